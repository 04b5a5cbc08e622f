"""A home in one file, taken while the service runs, and put back: all of it or nothing."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from sunward.adapters.backup import DATABASE, KEY, MANIFEST, back_up, restore
from sunward.cli.main import cli
from sunward.engine.snapshots import state_digest
from sunward.errors import InputError
from sunward.model.codec import decode
from sunward.model.records import JournalPage
from sunward.verification.journal import verify_chain
from tests.api.harness import Agent, Service, finish, start, submit
from tests.api.test_requests import is_problem

PASSPHRASE = "correct horse"


def moved(service: Service, folder: Path, passphrase: str | None = PASSPHRASE) -> Service:
    """Another service, from a backup of a running one."""
    back_up(service.home, folder / "b.tar", passphrase, service.machine.ms)
    restore(folder / "b.tar", folder / "new", passphrase)
    return Service(folder / "new", service.machine)


def test_a_restored_service_goes_on_with_a_running_lease(service: Service, agent: Agent, tmp_path: Path) -> None:
    digest = service.ask("PUT", "/v1/objects", content=b"bundle").json()["digest"]
    job, lease = start(service, agent, bundle=digest)
    service.pass_grid(60_000)
    agent.meter(lease)
    held = agent.counter
    state = state_digest(service.control.state)
    term = service.control.store.head().term
    again = moved(service, tmp_path)
    assert state_digest(again.control.state) == state
    assert again.control.store.head().term == term + 2, "a restart of the old one has another"
    assert again.ask("GET", f"/v1/objects/{digest}", token=service.credentials["tenant_token"]).content == b"bundle"
    assert again.control.key.private_bytes_raw() == service.control.key.private_bytes_raw()
    agent.service = again
    finish(again, agent, lease)
    assert agent.counter > held
    again.ok("POST", "/v1/epochs/close", "operator")
    assert again.ok("GET", f"/v1/jobs/{job}/receipt")["final"]
    page = decode(again.ask("GET", "/v1/journal?limit=1000", "auditor").content, JournalPage)
    assert verify_chain(page.records).ok
    again.close()


def test_readings_after_the_backup_are_asked_for_again(service: Service, agent: Agent, tmp_path: Path) -> None:
    _, lease = start(service, agent)
    service.pass_grid(60_000)
    agent.meter(lease)
    held = agent.counter
    again = moved(service, tmp_path)
    service.pass_grid(180_000)
    later = [agent.batch(lease, agent.metered_to_ms + 60_000) for _ in range(3)]
    assert agent.send(later).json() == {"accepted": held + 3}
    agent.service = again
    gap = agent.send([agent.batch(lease, agent.metered_to_ms + 1)])
    assert (gap.status_code, gap.json()["expected"]) == (409, held + 1)
    assert agent.send(later).json() == {"accepted": held + 3}
    again.close()


def test_a_lease_newer_than_the_backup_is_fenced(service: Service, agent: Agent, tmp_path: Path) -> None:
    agent.sync()
    again = moved(service, tmp_path)
    job, lease = start(service, agent)
    agent.service = again
    assert agent.sync().orders.leases == ()
    for what in ("output", "checkpoint?units=1"):
        assert is_problem(agent.put(lease, what, b"late"), 409)
    agent.report(lease, "failed")
    assert agent.reports == {}, "it need not be named again"
    assert is_problem(again.ask("GET", f"/v1/jobs/{job}", token=service.credentials["tenant_token"]), 404)
    again.close()


def test_two_services_from_one_past_show_their_fork(service: Service, tmp_path: Path) -> None:
    again = moved(service, tmp_path)
    submit(service, budget_usd=1.0, name="here")
    submit(again, budget_usd=1.0, name="there")
    ours, theirs = (one.ok("GET", "/v1/journal/head") for one in (service, again))
    assert (ours["sequence"], ours["hash"]) != (theirs["sequence"], theirs["hash"])
    assert ours["term"] < theirs["term"]
    again.close()


def test_without_its_key_a_service_is_another(service: Service, tmp_path: Path) -> None:
    back_up(service.home, tmp_path / "b.tar", None, service.machine.ms)
    with tarfile.open(tmp_path / "b.tar") as archive:
        names = archive.getnames()
    assert KEY not in names
    assert not restore(tmp_path / "b.tar", tmp_path / "new", None).keys
    assert not (tmp_path / "new" / KEY).exists()


def test_nothing_secret_lies_open_in_the_archive(service: Service, tmp_path: Path) -> None:
    back_up(service.home, tmp_path / "b.tar", PASSPHRASE, service.machine.ms)
    raw = (tmp_path / "b.tar").read_bytes()
    assert service.control.key.private_bytes_raw() not in raw
    assert all(token.encode() not in raw for name, token in service.credentials.items() if name != "url")
    assert stat.S_IMODE((tmp_path / "b.tar").stat().st_mode) == 0o600
    restore(tmp_path / "b.tar", tmp_path / "new", PASSPHRASE)
    for file in (tmp_path / "new").rglob("*"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def changed(raw: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """The archive with other members."""
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        members = {entry.name: archive.extractfile(entry).read() for entry in archive}
    change(members)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def rewrite_history(members: dict[str, bytes]) -> None:
    """Change one figure in the journal, and all that names the database."""
    members[DATABASE] = members[DATABASE].replace(b'"epoch_ms":86400000', b'"epoch_ms":86400001')
    manifest = json.loads(members[MANIFEST])
    manifest["files"][DATABASE] = hashlib.sha256(members[DATABASE]).hexdigest()
    members[MANIFEST] = json.dumps(manifest).encode()


DAMAGE: dict[str, Callable[[dict[str, bytes]], None]] = {
    "a flipped byte": lambda m: m.update({DATABASE: m[DATABASE][:-1] + bytes([m[DATABASE][-1] ^ 1])}),
    "a lost object": lambda m: m.pop(next(name for name in m if name.startswith("objects/"))),
    "a file too many": lambda m: m.update({"objects/ab/" + "0" * 62: b"x"}),
    "a way out": lambda m: m.update({"../outside": b"x"}),
    "an absolute name": lambda m: m.update({"/etc/outside": b"x"}),
    "no manifest": lambda m: m.pop(MANIFEST),
    "a bad manifest": lambda m: m.update({MANIFEST: b"{"}),
    "no database": lambda m: m.pop(DATABASE),
    "another history": rewrite_history,
    "a key that is none": lambda m: m.update({KEY: b"-----"}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_does_not_hold_together_is_refused_and_nothing_is_written(
    service: Service, tmp_path: Path, damage: str
) -> None:
    service.ask("PUT", "/v1/objects", content=b"bundle")
    back_up(service.home, tmp_path / "b.tar", PASSPHRASE, service.machine.ms)
    (tmp_path / "bad.tar").write_bytes(changed((tmp_path / "b.tar").read_bytes(), DAMAGE[damage]))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError) as refused:
        restore(tmp_path / "bad.tar", tmp_path / "new", PASSPHRASE)
    assert refused.value.code == "SW-688"
    assert sorted(tmp_path.iterdir()) == before


def test_a_cut_archive_a_wrong_passphrase_and_a_home_in_use_are_refused(service: Service, tmp_path: Path) -> None:
    back_up(service.home, tmp_path / "b.tar", PASSPHRASE, service.machine.ms)
    raw = (tmp_path / "b.tar").read_bytes()
    for cut in (0, 100, len(raw) // 2, len(raw) - 20_000):
        (tmp_path / "cut.tar").write_bytes(raw[:cut])
        with pytest.raises(InputError) as refused:
            restore(tmp_path / "cut.tar", tmp_path / "new", PASSPHRASE)
        assert refused.value.code == "SW-688"
    for wrong in ("wrong", None):
        with pytest.raises(InputError) as refused:
            restore(tmp_path / "b.tar", tmp_path / "new", wrong)
        assert refused.value.code == "SW-689"
    with pytest.raises(InputError) as refused:
        restore(tmp_path / "b.tar", service.home, PASSPHRASE)
    assert refused.value.code == "SW-687"
    with pytest.raises(InputError) as refused:
        back_up(tmp_path, tmp_path / "c.tar", PASSPHRASE, 0)
    assert refused.value.code == "SW-686"
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").mkdir()
    restore(tmp_path / "b.tar", tmp_path / "new", PASSPHRASE)


def test_the_commands(service: Service, tmp_path: Path, monkeypatch) -> None:
    def run(*words: str, **env: str):
        return CliRunner().invoke(cli, list(words), env={"LANG": "C.UTF-8", "SUNWARD_LANG": "en", **env})

    file, home = str(tmp_path / "b.tar"), str(service.home)
    assert run("--home", home, "backup", file).exit_code == 2, "nobody is here to ask for a passphrase"
    made = run("--home", home, "backup", file, "--json", SUNWARD_PASSPHRASE=PASSPHRASE)
    assert json.loads(made.stdout)["head"]["sequence"] == service.head[0]
    assert "SW-687" in run("--home", home, "backup", file, SUNWARD_PASSPHRASE=PASSPHRASE).stderr
    assert "SW-689" in run("--home", str(tmp_path / "new"), "restore", file).stderr
    back = run("--home", str(tmp_path / "new"), "restore", file, SUNWARD_PASSPHRASE=PASSPHRASE)
    assert (back.exit_code, f"record {service.head[0]}" in back.stdout) == (0, True)
    assert run("--home", home, "backup", str(tmp_path / "c.tar"), "--without-keys").exit_code == 0
    assert "control.key" in run("--home", str(tmp_path / "other"), "restore", str(tmp_path / "c.tar")).stdout
