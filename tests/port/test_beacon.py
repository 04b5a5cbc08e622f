"""The beacon port: one's own, and a drand relay on this machine that answers as documented."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sunward.adapters.beacon import LOCAL, UNVERIFIED, DrandBeacon, LocalBeacon
from sunward.errors import InputError, SourceError

CHAIN = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
GENESIS_S, PERIOD_S = 1_692_803_367, 3


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
            "schemeID": "bls-unchained-g1-rfc9380",
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
