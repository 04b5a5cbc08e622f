"""`sunward journal mirror` follows the real service, and finds out when it contradicts what it signed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import uvicorn
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.adapters.exclusive import lock_folder
from sunward.cli.main import cli
from sunward.cli.mirror_store import ABOUT, HEADS, RECORDS
from sunward.cli.shell import Shell
from sunward.model.chain import head_bytes
from sunward.model.codec import decode, encode
from sunward.model.events import TimerFired
from sunward.model.records import JournalPage
from sunward.model.wire import JournalHead
from sunward.service.bootstrap import rotate_key
from sunward.service.keys import KEY_FILE, public_of
from sunward.verification.forks import ForkProof, read_fork, verify_fork
from tests.api.harness import FEEDS, URL, Bridge, Service

OTHER = "http://other.test"
PATIENCE_S = 60


class Ways(httpx.BaseTransport):
    """Leads requests to one service or another; an answer may be bent, or never come."""

    def __init__(self, service: Service) -> None:
        self.services = {httpx.URL(URL).host: service}
        self.bend: Callable[[httpx.Request, bytes], bytes] = lambda _request, content: content
        self.down: set[str] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host in self.down:
            raise httpx.ConnectError("refused")
        answer = Bridge(self.services[request.url.host]).handle_request(request)
        return httpx.Response(answer.status_code, content=self.bend(request, answer.content))


@pytest.fixture
def ways(service: Service) -> Ways:
    return Ways(service)


@pytest.fixture
def mirror(ways: Ways, service: Service, tmp_path: Path) -> Callable[..., Result]:
    """One look, with an auditor's token."""

    def run(*words: str, to: str = "copy", sleep: Callable[[float], None] | None = None) -> Result:
        shell = Shell(transport=ways, sleep=sleep or (lambda _seconds: None))
        token = service.credentials["auditor_token"]
        environment = {"SUNWARD_TOKEN": token, "SUNWARD_URL": URL, "SUNWARD_HOME": str(tmp_path / "none")}
        line = ["journal", "mirror", "--to", str(tmp_path / to), *([] if sleep else ["--once"]), *words]
        return CliRunner().invoke(cli, line, obj=shell, env=environment, catch_exceptions=False)

    return run


def happen(service: Service, times: int = 1) -> None:
    for _ in range(times):
        service.control.commit_one(TimerFired())


def head_of(service: Service) -> JournalHead:
    return service.control.signed_head()


def forked(service: Service, folder: Path, *, behind: int = 0) -> Service:
    """The service on a copy of its database, going its own way with the same key: the operator's attack."""
    shutil.copytree(service.home, folder)
    happen(service, 3 + behind)
    other = Service(folder, service.machine)
    other.control.commit_one(TimerFired())
    service.machine.ms += 1_000
    happen(other, 2)
    return other


def sent(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def test_it_follows_goes_on_where_it_was_and_keeps_a_journal_that_verifies(mirror, service, tmp_path) -> None:
    happen(service, 3)
    assert mirror().exit_code == 0
    held = (tmp_path / "copy" / RECORDS).read_bytes()
    happen(service, 520)
    told = mirror("--key", public_of(service.control.key))
    assert told.exit_code == 0
    assert str(head_of(service).sequence) in told.stdout
    grown = (tmp_path / "copy" / RECORDS).read_bytes()
    assert grown.startswith(held)
    assert grown.count(b"\n") == head_of(service).sequence
    assert sent("journal", "verify", "--file", tmp_path / "copy" / RECORDS).exit_code == 0
    heads = (tmp_path / "copy" / HEADS).read_bytes().splitlines()
    assert decode(heads[-1], JournalHead) == head_of(service)
    assert mirror().exit_code == 0
    assert (tmp_path / "copy" / RECORDS).read_bytes() == grown


def test_a_new_key_that_the_old_one_named_is_followed(mirror, ways, service, tmp_path) -> None:
    assert mirror().exit_code == 0
    rotate_key(service.home, FEEDS)
    again = Service(service.home, service.machine)
    ways.services = {httpx.URL(URL).host: again}
    happen(again, 2)
    assert mirror().exit_code == 0
    assert mirror("--key", public_of(again.control.key)).exit_code == 0
    again.close()


def test_a_fork_is_proved_to_anybody(mirror, ways, service, tmp_path) -> None:
    other = forked(service, tmp_path / "forked")
    assert mirror().exit_code == 0
    ways.services[httpx.URL(URL).host] = other
    happen(other, 9)
    told = mirror()
    assert told.exit_code == 1
    assert told.stdout.count("ALARM (fork)") == 1
    (file,) = (tmp_path / "copy").glob("fork-*.json")
    proof = read_fork(file.read_bytes())
    at = proof.sequence
    assert at == head_of(service).sequence
    assert file.name == f"fork-{at}.json"
    checked = sent("verify", file, "--key", public_of(service.control.key))
    assert checked.exit_code == 0
    assert "PROVED" in checked.stdout
    assert "that whoever signed was not a thief of the key" in checked.stdout
    assert sent("verify", file, "--key", "00" * 32).exit_code == 1
    assert (tmp_path / "copy" / RECORDS).read_bytes().count(b"\n") == at, "the copy stays what it was"
    assert mirror().exit_code == 1, "it does not forget"
    other.close()


def test_a_rewritten_past_shorter_than_what_was_seen_is_a_fork_too(mirror, ways, service, tmp_path) -> None:
    other = forked(service, tmp_path / "forked", behind=20)
    assert mirror().exit_code == 0
    ways.services[httpx.URL(URL).host] = other
    assert "ALARM (fork)" in mirror().stdout
    (file,) = (tmp_path / "copy").glob("fork-*.json")
    proof = read_fork(file.read_bytes())
    assert proof.sequence == head_of(other).sequence
    assert verify_fork(proof).ok
    other.close()


def test_two_services_that_show_different_journals_are_compared(mirror, ways, service, tmp_path) -> None:
    other = forked(service, tmp_path / "forked")
    ways.services[httpx.URL(OTHER).host] = other
    assert mirror("--compare", URL).exit_code == 0
    ways.down.add(httpx.URL(OTHER).host)
    told = mirror("--compare", OTHER)
    assert told.exit_code == 0
    assert f"{OTHER} not reached" in " ".join(told.stdout.split())
    ways.down.clear()
    # A token is only shown to the service it is for, so one is named for both.
    shown = mirror("--compare", OTHER)
    assert shown.exit_code == 1, shown.output
    assert "ALARM (fork)" in shown.stdout
    other.close()


def test_heads_that_were_handed_over_are_compared(mirror, service, tmp_path) -> None:
    other = forked(service, tmp_path / "forked")
    assert mirror().exit_code == 0
    file = tmp_path / "heads"
    good = head_of(service)
    file.write_bytes(encode(good) + b"\n" + encode(replace(good, sequence=10**6)) + b"\n")
    told = mirror("--compare", str(file))
    assert told.exit_code == 0
    assert "not held yet" in told.stdout
    file.write_bytes(encode(head_of(other)))
    assert "ALARM (fork)" in mirror("--compare", str(file)).stdout
    forged = Ed25519PrivateKey.generate().sign(head_bytes(good.sequence, "f" * 64, good.term)).hex()
    file.write_bytes(encode(replace(good, hash="f" * 64, signature=forged)))
    assert "ALARM (unsigned)" in mirror("--compare", str(file)).stdout
    file.write_bytes(b"nothing")
    assert mirror("--compare", str(file)).exit_code == 2
    other.close()


def test_a_journal_that_went_back_is_an_alarm(mirror, ways, service, tmp_path) -> None:
    old = encode(head_of(service))
    happen(service, 5)
    assert mirror().exit_code == 0
    ways.bend = lambda request, content: old if request.url.path == "/v1/journal/head" else content
    told = mirror()
    assert told.exit_code == 1
    assert "ALARM (rollback)" in told.stdout
    ways.bend = lambda _request, content: content
    assert mirror().exit_code == 0


def bent(change: Callable[[tuple], tuple]) -> Callable[[httpx.Request, bytes], bytes]:
    """Answers in which records are changed."""

    def bend(request: httpx.Request, content: bytes) -> bytes:
        if request.url.path != "/v1/journal":
            return content
        return encode(JournalPage(records=change(decode(content, JournalPage).records)))

    return bend


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda records: (*records[:2], *records[3:]), "chain"),
        (lambda records: (*records[:2], replace(records[2], at_ms=1), *records[3:]), "chain"),
        (lambda records: (records[1], records[0], *records[2:]), "chain"),
        (lambda records: records[:-1], "broken"),
        (lambda _records: (), "broken"),
        (lambda records: records[:1] * 3, "chain"),
    ],
)
def test_records_that_do_not_lead_to_the_head_are_an_alarm_and_not_kept(
    mirror, ways, service, tmp_path, change, kind
) -> None:
    happen(service, 5)
    ways.bend = bent(change)
    told = mirror()
    assert (told.exit_code, f"ALARM ({kind})" in told.stdout) == (1, True), told.stdout
    assert not (tmp_path / "copy" / RECORDS).exists() or (tmp_path / "copy" / RECORDS).read_bytes() == b""
    ways.bend = lambda _request, content: content
    assert mirror().exit_code == 0


def test_a_head_by_another_key_is_an_alarm(mirror, service, ways) -> None:
    assert mirror().exit_code == 0
    happen(service)
    thief = Ed25519PrivateKey.generate()

    def bend(request: httpx.Request, content: bytes) -> bytes:
        if request.url.path != "/v1/journal/head":
            return content
        head = decode(content, JournalHead)
        return encode(replace(head, signature=thief.sign(head_bytes(head.sequence, head.hash, head.term)).hex()))

    ways.bend = bend
    assert "ALARM (unsigned)" in mirror().stdout
    assert "ALARM (unsigned)" in mirror("--key", "00" * 32, to="fresh").stdout


def test_an_outage_is_said_and_waited_for(mirror, ways, service) -> None:
    assert mirror().exit_code == 0
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            ways.down.clear()
        if len(pauses) == 5:
            raise KeyboardInterrupt

    ways.down.add(httpx.URL(URL).host)
    told = mirror("--every", "1", sleep=sleep)
    assert pauses == [2, 4, 8, 1, 1]
    assert told.stdout.count("not reached") == 3
    ways.down.add(httpx.URL(URL).host)
    assert mirror().exit_code == 3


def test_what_a_crash_cut_off_is_dropped_and_what_was_changed_is_not_trusted(mirror, service, tmp_path) -> None:
    happen(service, 5)
    assert mirror().exit_code == 0
    records, heads = tmp_path / "copy" / RECORDS, tmp_path / "copy" / HEADS
    whole, signed = records.read_bytes(), heads.read_bytes()
    for cut in (1, 40, len(whole.splitlines(keepends=True)[-1]), len(whole)):
        records.write_bytes(whole[:-cut])
        heads.write_bytes(signed[: -cut % len(signed)])
        assert mirror().exit_code == 0, cut
        assert records.read_bytes() == whole
    middle = whole.index(b'"at_ms":') + 9
    records.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    refused = mirror()
    assert (refused.exit_code, "SW-782" in refused.stderr) == (2, True)
    records.write_bytes(whole)
    (tmp_path / "copy" / ABOUT).write_text("{}")
    assert "SW-782" in mirror().stderr


def test_one_process_at_a_time(mirror, service, tmp_path) -> None:
    assert mirror().exit_code == 0
    lock = lock_folder(tmp_path / "copy")
    assert "SW-783" in mirror().stderr
    lock.close()


def test_an_alarm_is_sent_on(mirror, ways, service, monkeypatch) -> None:
    sent_on: list[tuple[str, dict]] = []

    def post(url, json, timeout):
        sent_on.append((url, json))
        return httpx.Response(500 if "broken" in url else 200, request=httpx.Request("POST", url))

    monkeypatch.setattr(httpx, "post", post)
    ways.bend = bent(lambda _records: ())
    assert mirror("--webhook", "https://hooks.test/a").exit_code == 1
    assert "could not be sent" in mirror("--webhook", "https://hooks.test/broken").stdout
    assert [(url, told["alarm"]) for url, told in sent_on] == [
        ("https://hooks.test/a", "broken"),
        ("https://hooks.test/broken", "broken"),
    ]
    shown = mirror("--json")
    assert json.loads(shown.stdout.splitlines()[-1])["alarm"] == "broken"


def keys_of(proof: ForkProof, key: str = "") -> set[str]:
    return {finding.key for finding in verify_fork(proof, key).findings}


def test_a_false_proof_is_refused(mirror, ways, service, tmp_path) -> None:
    other = forked(service, tmp_path / "forked")
    assert mirror().exit_code == 0
    ways.services[httpx.URL(URL).host] = other
    happen(other, 9)
    mirror()
    (file,) = (tmp_path / "copy").glob("fork-*.json")
    raw = file.read_bytes()
    proof = read_fork(raw)
    one, two = proof.sides
    assert len(two.records) > 1
    assert keys_of(replace(proof, sides=(one, one))) == {"fork_ways"}
    assert keys_of(replace(proof, sequence=proof.sequence - 1)) == {"fork_ways"}
    assert keys_of(replace(proof, sides=(one, replace(two, records=two.records[:-1])))) == {"fork_ways"}
    assert keys_of(replace(proof, sides=(one, replace(two, records=())))) == {"fork_ways"}
    thief = Ed25519PrivateKey.generate()
    head = replace(two.head, signature=thief.sign(head_bytes(two.head.sequence, two.head.hash, two.head.term)).hex())
    assert keys_of(replace(proof, sides=(one, replace(two, head=head)))) == {"fork_heads"}
    stranger = replace(two, head=head, public_key=public_of(thief))
    assert keys_of(replace(proof, sides=(one, stranger))) == {"fork_keys"}
    assert keys_of(proof, public_of(thief)) == {"control_plane_key"}
    file.write_bytes(raw + b"\n")
    assert "SW-781" in sent("verify", file).stderr
    other.close()


def test_a_fork_around_a_change_of_keys_is_proved_by_the_line_of_keys(mirror, ways, service, tmp_path) -> None:
    shutil.copytree(service.home, tmp_path / "forked")
    happen(service, 3)
    assert mirror().exit_code == 0
    rotate_key(tmp_path / "forked", FEEDS)
    other = Service(tmp_path / "forked", service.machine)
    happen(other, 9)
    ways.services[httpx.URL(URL).host] = other
    assert "ALARM (fork)" in mirror().stdout
    (file,) = (tmp_path / "copy").glob("fork-*.json")
    proof = read_fork(file.read_bytes())
    assert len({side.public_key for side in proof.sides}) == 2
    assert verify_fork(proof, public_of(service.control.key)).ok
    assert keys_of(replace(proof, changes=())) == {"fork_keys"}
    other.close()


@pytest.fixture
def loopback(service: Service) -> Iterator[str]:
    """The service behind a real socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(service.app, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(PATIENCE_S)


@pytest.mark.slow
def test_a_mirror_killed_in_the_middle_goes_on_and_holds_everything(service: Service, loopback, tmp_path) -> None:
    happen(service, 1_200)
    folder = tmp_path / "copy"
    words = ("journal", "mirror", loopback, "--to", str(folder), "--every", "0.2")
    environment = os.environ | {"SUNWARD_TOKEN": service.credentials["auditor_token"], "SUNWARD_HOME": str(tmp_path)}
    for reached in (1, 600):
        process = subprocess.Popen(
            [sys.executable, "-m", "sunward", *words], env=environment, stdout=subprocess.DEVNULL
        )
        records = folder / RECORDS
        until = time.monotonic() + PATIENCE_S
        while not records.exists() or records.read_bytes().count(b"\n") < reached:
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    last = subprocess.run(
        [sys.executable, "-m", "sunward", *words, "--once"], env=environment, check=False, timeout=PATIENCE_S
    )
    assert last.returncode == 0
    assert records.read_bytes().count(b"\n") == head_of(service).sequence
    assert sent("journal", "verify", "--file", records, "--key", public_of(service.control.key)).exit_code == 0
    assert (service.home / KEY_FILE).exists()
