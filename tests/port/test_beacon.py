"""The beacon port: one's own, and a drand relay on this machine that answers as documented."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sunward.adapters import beacon as beacon_module
from sunward.adapters.beacon import LOCAL, UNVERIFIED, VERIFIED, DrandBeacon, LocalBeacon
from sunward.adapters.bls import CHAINED, ON_G1, round_signed
from sunward.errors import InputError, SourceError

CHAIN = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
GENESIS_S, PERIOD_S = 1_692_803_367, 3
QUICKNET = {
    "schemeID": "bls-unchained-g1-rfc9380",
    "public_key": "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
    "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
    "groupHash": "f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e",
}
"""What relays tell of drand's chain of that name."""
ROUND = 1_000
SIGNED = {
    "randomness": "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd",
    "signature": "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39",
}
"""Its round 1000."""
LEAGUE = "868f005eb8e6e4ca0a47c8a77ceaa5309a47978a7c71bc5cce96366b5d7a569937c529eeda66c7293784a9402801af31"
"""The key of drand's first chain, whose rounds name the one before; below its round 72785."""
LONG = (
    "82f5d3d2de4db19d40a6980e8aa37842a0e55d1df06bd68bddc8d60002e8e959eb9cfa368b3c1b77d18f02a54fe047b8"
    "0f0989315f83b12a74fd8679c4f12aae86eaf6ab5690b34f1fddd50ee3cc6f6cdf59e95526d5a5d82aaa84fa6f181e42"
)
BEFORE = (
    "a609e19a03c2fcc559e8dae14900aaefe517cb55c840f6e69bc8e4f66c8d18e8a609685d9917efbfb0c37f058c2de88f"
    "13d297c7e19e0ab24813079efe57a182554ff054c7638153f9b26a60e7111f71a0ff63d9571704905d3ca6df0b031747"
)


@dataclass
class Relay:
    """What `/CHAIN/info` and `/CHAIN/public/N` answer; rounds up to `latest` are published."""

    latest: int = 1_000
    info: dict[str, object] = field(
        default_factory=lambda: {
            "public_key": "83cf",
            "period": PERIOD_S,
            "genesis_time": GENESIS_S,
            "hash": CHAIN,
            "groupHash": "f477",
            "schemeID": "one-that-is-not-known-here",
            "metadata": {"beaconID": "quicknet"},
        }
    )
    changed: dict[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, dict[str, object]]:
        self.asked.append(path)
        if path == f"/{CHAIN}/info":
            return 200, self.info
        number = int(path.rpartition("/")[2])
        if number > self.latest:
            return 425, {}
        signature = hashlib.sha384(str(number).encode()).digest()
        told = {"round": number, "randomness": hashlib.sha256(signature).hexdigest(), "signature": signature.hex()}
        return 200, told | self.changed


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = made.answer(self.path)
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/{CHAIN}"  # type: ignore[attr-defined]
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def beacon(relay: Relay) -> Iterator[DrandBeacon]:
    made = DrandBeacon(relay.url)  # type: ignore[attr-defined]
    yield made
    made.close()


def test_the_round_counts_that_begins_after_the_moment(relay: Relay, beacon: DrandBeacon) -> None:
    for after_ms, number in ((0, 2), (1, 2), (2_999, 2), (3_000, 3), (299_999, 101)):
        found = beacon.after(GENESIS_S * 1_000 + after_ms)
        assert found.round == number
        # Published when `round - 1` periods have passed since the first one.
        assert (number - 1) * PERIOD_S * 1_000 > after_ms
        assert (found.source, found.label, len(found.value)) == ("drand 52db9ba7", UNVERIFIED, 64)
    assert relay.asked.count(f"/{CHAIN}/info") == 1


def test_a_round_that_is_not_there_yet_is_asked_for_again(relay: Relay, beacon: DrandBeacon) -> None:
    moment_ms = (GENESIS_S + PERIOD_S * 2_000) * 1_000
    with pytest.raises(SourceError):
        beacon.after(moment_ms)
    relay.latest = 5_000
    assert beacon.after(moment_ms).round == 2_002


@pytest.mark.parametrize("changed", [{"randomness": "00" * 32}, {"round": 7}, {"signature": "zz"}])
def test_a_value_that_is_not_its_rounds_is_refused(
    relay: Relay, beacon: DrandBeacon, changed: dict[str, object]
) -> None:
    relay.changed = changed
    with pytest.raises(SourceError, match="is not what it says") as caught:
        beacon.after(GENESIS_S * 1_000)
    assert (caught.value.code, caught.value.transient) == ("SW-777", False)


def published(relay: Relay, **changed: object) -> int:
    """Quicknet's round 1000 at the relay, but for what is changed; the moment after which it counts."""
    relay.info |= QUICKNET
    relay.changed = SIGNED | changed
    return (GENESIS_S + PERIOD_S * (ROUND - 2)) * 1_000


def test_a_round_is_held_against_the_key_of_the_chain(relay: Relay, beacon: DrandBeacon) -> None:
    found = beacon.after(published(relay))
    assert (found.round, found.value, found.label) == (ROUND, SIGNED["randomness"], VERIFIED)


def test_a_round_that_the_chain_did_not_sign_is_refused(relay: Relay, beacon: DrandBeacon) -> None:
    forged = SIGNED["signature"][:-2] + "00"
    value = hashlib.sha256(bytes.fromhex(forged)).hexdigest()
    moment_ms = published(relay, signature=forged, randomness=value)
    with pytest.raises(SourceError, match="is not signed") as caught:
        beacon.after(moment_ms)
    assert (caught.value.code, caught.value.transient) == ("SW-777", False)


@pytest.mark.parametrize("changed", [{"public_key": "ab" * 96}, {"groupHash": "zz"}])
def test_a_key_that_is_not_the_chains_is_refused(relay: Relay, beacon: DrandBeacon, changed: dict[str, object]) -> None:
    moment_ms = published(relay)
    relay.info |= changed
    with pytest.raises(SourceError, match="is not signed"):
        beacon.after(moment_ms)


def test_rounds_of_both_kinds_of_chain_are_signed_as_they_were() -> None:
    assert round_signed(CHAINED, LEAGUE, 72_785, LONG, BEFORE)
    assert not round_signed(CHAINED, LEAGUE, 72_786, LONG, BEFORE)
    quicknet = QUICKNET["public_key"]
    for key, number, signature in ((quicknet, -1, SIGNED["signature"]), (quicknet, ROUND, "zz"), (LEAGUE, ROUND, LONG)):
        assert not round_signed(ON_G1, key, number, signature)
    nothing = "c0" + "00" * 47
    assert not round_signed(ON_G1, quicknet, ROUND, nothing)
    assert sys.getrecursionlimit() < 100_000


def test_without_the_arithmetic_it_is_said_that_nothing_was_checked(
    relay: Relay, beacon: DrandBeacon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beacon_module, "find_spec", lambda _name: None)
    assert beacon.after(published(relay)).label == UNVERIFIED


@pytest.mark.parametrize("changed", [{"hash": "00" * 32}, {"period": 0}])
def test_another_chain_is_refused(relay: Relay, beacon: DrandBeacon, changed: dict[str, object]) -> None:
    relay.info |= changed
    with pytest.raises(SourceError, match="another chain"):
        beacon.after(GENESIS_S * 1_000)


def test_an_address_without_a_chain_is_refused() -> None:
    for url in ("http://127.0.0.1:1/", f"http://127.0.0.1:1/{CHAIN[:-1]}", "http://127.0.0.1:1/" + "G" * 64):
        with pytest.raises(InputError) as caught:
            DrandBeacon(url)
        assert caught.value.code == "SW-776"


def test_ones_own_beacon_says_what_it_is() -> None:
    first, second = (LocalBeacon().after(0) for _ in range(2))
    assert first.value != second.value
    assert first.label == second.label == LOCAL
    assert "the operator could have chosen it" in LOCAL
