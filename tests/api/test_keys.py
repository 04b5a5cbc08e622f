"""The service changes its signing key: what was signed before and after holds, and what the old key adds does not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.adapters.backup import back_up, restore
from sunward.cli.main import cli
from sunward.engine.snapshots import dump, load, state_digest
from sunward.engine.writer import replay
from sunward.errors import ConflictError, InputError
from sunward.model.chain import head_bytes, rotation_bytes
from sunward.model.codec import decode, encode
from sunward.model.events import KeyRotated
from sunward.model.records import JournalPage, SigningKeys
from sunward.model.wire import JournalHead
from sunward.service.bootstrap import build_control, rotate_key
from sunward.service.keys import KEY_FILE, NEXT_FILE, SECRETS_FILE, public_of
from sunward.service.secrecy import first_secrets, webhook_key
from sunward.verification.bundle import Bundle
from sunward.verification.journal import verify_chain
from sunward.verification.receipt import verify
from tests.api.harness import FEEDS, Agent, Service, finish, start, submit
from tests.support.bundles import bound

SECRET = "s3cret-0123456789"


def paid(service: Service, agent: Agent) -> str:
    """A job with a final receipt."""
    job, lease = start(service, agent)
    finish(service, agent, lease)
    service.ok("POST", "/v1/epochs/close", "operator")
    return job


def bundle_of(service: Service, job: str) -> Bundle:
    return decode(service.ask("GET", f"/v1/jobs/{job}/bundle", "auditor").content, Bundle)


def rotated(service: Service) -> Service:
    """The service as it is after its home was given a new key; the old run is fenced off."""
    rotate_key(service.home, FEEDS)
    return Service(service.home, service.machine)


def journal_of(service: Service) -> tuple[JournalPage, JournalHead]:
    page = decode(service.ask("GET", "/v1/journal?limit=1000", "auditor").content, JournalPage)
    return page, decode(service.ask("GET", "/v1/journal/head").content, JournalHead)


def found(*arguments) -> set[str]:
    return {finding.key for finding in verify(*arguments).findings}


def test_what_was_signed_before_and_after_a_new_key_holds(service: Service, agent: Agent) -> None:
    job = paid(service, agent)
    before, old = bundle_of(service, job), public_of(service.control.key)
    signed = service.ok("GET", f"/v1/jobs/{job}/receipt")
    assert (before.signature, before.rotations) == (signed["signature"], ())
    rotate_key(service.home, FEEDS)
    again = rotated(service)
    new = public_of(again.control.key)
    assert new != old
    agent.service = again
    later = paid(again, agent)
    history = decode(again.ask("GET", "/v1/keys").content, SigningKeys)
    assert [key.public_key for key in history.keys][::2] == [old, new]
    assert (history.keys[0].last, history.keys[2].last) == (history.keys[1].first - 1, None)
    assert again.ok("GET", f"/v1/jobs/{job}/receipt")["signature"] == signed["signature"]
    for bundle in (bundle_of(again, job), bundle_of(again, later)):
        for known in ("", old, history.keys[1].public_key, new):
            assert found(bundle, known) == set()
    assert found(before, old) == set(), "on its own, as ever"
    assert found(before, new) == {"control_plane_key"}, "it knows nothing of the new key"
    for known in (old, history.keys[1].public_key, new):
        assert found(before, known, history.rotations) == set()
    again.close()


def test_the_journal_holds_under_any_of_its_keys_and_replays(service: Service, agent: Agent) -> None:
    paid(service, agent)
    old = service.control.key
    again = rotated(service)
    submit(again, budget_usd=1.0)
    page, head = journal_of(again)
    for known in (public_of(old), public_of(again.control.key)):
        assert verify_chain(page.records, head, known).ok
    stranger = public_of(Ed25519PrivateKey.generate())
    assert not verify_chain(page.records, head, stranger).ok
    forged = replace(head, signature=old.sign(head_bytes(head.sequence, head.hash, head.term)).hex())
    assert {one.key for one in verify_chain(page.records, forged, public_of(old)).findings} == {"head"}
    state = replay(again.control.store.read())
    assert state_digest(state) == state_digest(again.control.state)
    assert load(dump(state)).rotations == state.rotations != []
    again.close()


def test_a_retired_key_can_sign_nothing_later(service: Service, agent: Agent) -> None:
    old = service.control.key
    again = rotated(service)
    agent.service = again
    agent.join()
    bundle = bundle_of(again, paid(again, agent))
    history = decode(again.ask("GET", "/v1/keys").content, SigningKeys).rotations

    def by_old(record):
        return replace(record, signature=old.sign(head_bytes(record.sequence, record.hash, record.term)).hex())

    forged = replace(
        bundle,
        public_key=public_of(old),
        signature=old.sign(bundle.receipt.encode()).hex(),
        head=by_old(bundle.head),
        events=tuple(map(by_old, bundle.events)),
        rotations=tuple(map(by_old, bundle.rotations)),
    )
    forged = bound(forged, old)
    assert found(forged) == {"retired_key"}
    without = bound(replace(forged, rotations=()), old)
    assert found(without, public_of(again.control.key)) == {"control_plane_key"}
    assert found(without, public_of(old), history) == {"retired_key"}
    again.close()


def test_a_change_of_keys_that_the_old_one_did_not_sign_is_refused(service: Service, agent: Agent) -> None:
    again = rotated(service)
    agent.service = again
    agent.join()
    bundle = bundle_of(again, paid(again, agent))
    (record,) = bundle.rotations
    payload = decode(record.body.encode(), KeyRotated)
    false = Ed25519PrivateKey.generate().sign(rotation_bytes(payload.old_public, payload.new_public)).hex()
    changed = replace(record, body=encode(replace(payload, signature=false)).decode())
    assert "key_rotation" in found(replace(bundle, rotations=(changed,)))
    twice = replace(bundle, rotations=(record, record))
    assert {"key_rotation", "chain"} <= found(twice)
    with pytest.raises(ConflictError, match="not the one in force"):
        again.control.commit_one(payload)
    again.close()


def test_nothing_else_changes_with_the_key(service: Service, agent: Agent) -> None:
    held = service.credentials
    job, lease = start(service, agent, secrets={"TOKEN": SECRET})
    kept = service.control.secrets
    assert kept == first_secrets(service.control.key), "a home as it always was"
    again = rotated(service)
    assert (again.control.secrets, again.credentials) == (kept, held)
    assert kept != first_secrets(again.control.key)
    agent.service = again
    answer = again.ask("GET", f"/v1/leases/{lease}/secrets", token=agent.token)
    assert answer.json() == {"TOKEN": SECRET}
    assert again.ok("GET", f"/v1/jobs/{job}")["state"] == "running"
    assert webhook_key(again.control.secrets, "t") == webhook_key(kept, "t")
    again.close()


def test_a_change_cut_short_ends_at_the_next_start(service: Service) -> None:
    old = service.control.key
    coming = service.home / NEXT_FILE
    coming.write_bytes(Ed25519PrivateKey.generate().private_bytes_raw())
    again = Service(service.home, service.machine)
    assert (public_of(again.control.key), coming.exists()) == (public_of(old), False), "it was never recorded"
    again.close()
    rotate_key(service.home, FEEDS)
    (service.home / KEY_FILE).replace(coming)
    (service.home / KEY_FILE).write_bytes(old.private_bytes_raw())
    last = Service(service.home, service.machine)
    assert last.control.state.rotations[-1][1] == public_of(last.control.key) != public_of(old)
    assert not coming.exists()
    last.close()


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda home: (home / KEY_FILE).write_bytes(bytes(32)), "SW-441"),
        (lambda home: (home / KEY_FILE).unlink(), "SW-441"),
        (lambda home: (home / SECRETS_FILE).unlink(), "SW-442"),
        (lambda home: (home / SECRETS_FILE).write_bytes(b'{"ids":"00","sealing":"00","webhooks":"00"}'), "SW-442"),
        (lambda home: (home / SECRETS_FILE).write_bytes(b"\xff"), "SW-442"),
    ],
)
def test_a_home_without_its_own_keys_is_not_opened(service: Service, damage, code: str) -> None:
    rotated(service).close()
    damage(service.home)
    with pytest.raises(InputError) as refused:
        build_control(service.home, feeds=FEEDS)
    assert refused.value.code == code


def test_a_backup_holds_what_a_rotated_service_needs(service: Service, tmp_path: Path) -> None:
    again = rotated(service)
    back_up(again.home, tmp_path / "b.tar", "correct horse", again.machine.ms)
    raw = (tmp_path / "b.tar").read_bytes()
    assert again.control.secrets.sealing.encode() not in raw
    restore(tmp_path / "b.tar", tmp_path / "new", "correct horse")
    third = Service(tmp_path / "new", again.machine)
    assert third.control.secrets == again.control.secrets
    assert public_of(third.control.key) == public_of(again.control.key)
    third.close()
    again.close()


def test_the_commands(service: Service, agent: Agent, tmp_path: Path) -> None:
    def run(*words: str):
        return CliRunner().invoke(cli, list(words), env={"LANG": "C.UTF-8", "SUNWARD_LANG": "en"})

    bundle = bundle_of(service, paid(service, agent))
    (tmp_path / "bundle.json").write_bytes(encode(bundle))
    shutil.copytree(service.home, tmp_path / "copy")
    home = str(tmp_path / "copy")
    made = run("--home", home, "key", "rotate", "service", "--json")
    assert made.exit_code == 0, made.stderr
    new = json.loads(made.stdout)["new_public"]
    again = Service(tmp_path / "copy", service.machine)
    keys = tmp_path / "keys.json"
    keys.write_bytes(again.ask("GET", "/v1/keys").content)
    again.close()
    check = ("verify", str(tmp_path / "bundle.json"), "--key", new)
    assert run(*check).exit_code == 1
    assert run(*check, "--keys", str(keys)).exit_code == 0
    refused = run("--home", str(tmp_path / "none"), "key", "rotate", "service")
    assert (refused.exit_code, "SW-443" in refused.stderr) == (2, True)
    assert not (tmp_path / "none").exists()
