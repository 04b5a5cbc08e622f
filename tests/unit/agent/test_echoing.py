"""An anchor and a site's key on one machine: what is measured is signed by both, and held-back answers look farther."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.adapters.anchor import SAMPLES, AnchorPost
from sunward.agent import echoing
from sunward.agent.echoing import Echo, answer_anchor
from sunward.agent.identity import public_key
from sunward.model.codec import decode, encode
from sunward.model.identity import SiteId
from sunward.model.place import AnchorCall, AnchorWish, EchoAnswer, EchoHello, EchoNonce, RoundTrip
from sunward.verification.place import holds, possible_countries

SITE = SiteId("s-1")
PARIS_UDEG = (48_860_000, 2_350_000)
WAIT_S = 60.0
PEER = """
import sys, time
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sunward.agent import echoing
from sunward.agent.echoing import answer_anchor
from sunward.model.place import AnchorCall
echoing.WAIT_S = 20.0
key, address, own, delay_s = sys.argv[1:]
site_key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(own))
print(answer_anchor(AnchorCall(key=key, address=address), "s-1", site_key, hold=lambda: time.sleep(float(delay_s))))
"""


@dataclass
class Post:
    """An anchor in Paris that wants to hear of one site, on a thread of its own."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    site_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    found: list[RoundTrip] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.listener.bind(("127.0.0.1", 0))
        self.call = AnchorCall(key=public_key(self.key), address=f"127.0.0.1:{self.listener.getsockname()[1]}")
        self.post = AnchorPost(self.listener, self.key, PARIS_UDEG, lambda: 1_000)
        self.post.want([AnchorWish(site=SITE, key=public_key(self.site_key))])
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self) -> None:
        while not self.over.is_set():
            trip = self.post.step(0.05)
            self.found += [trip] if trip else []

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        self.listener.close()


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    # A machine with other work may let a datagram wait.
    monkeypatch.setattr(echoing, "WAIT_S", 20.0)
    made = Post()
    yield made
    made.close()


def wait_until(true: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_what_is_measured_is_signed_by_anchor_and_site(post: Post) -> None:
    assert answer_anchor(post.call, SITE, post.site_key) == SAMPLES
    wait_until(lambda: post.found)
    (trip,) = post.found
    assert holds(trip)
    assert (trip.site, trip.lat_udeg, trip.lon_udeg, trip.at_ms) == (SITE, *PARIS_UDEG, 1_000)
    assert trip.rtt_us > 0
    # It is measured once, and then not wanted any more.
    assert answer_anchor(post.call, SITE, post.site_key) == 0


def test_a_delayed_echo_looks_farther_and_never_nearer(post: Post) -> None:
    """The site answers from a process of its own, twenty milliseconds late."""
    told = [post.call.key, post.call.address, post.site_key.private_bytes_raw().hex(), "0.02"]
    peer = subprocess.run([sys.executable, "-c", PEER, *told], check=True, timeout=WAIT_S, capture_output=True)
    assert peer.stdout.strip() == str(SAMPLES).encode()
    wait_until(lambda: post.found)
    (trip,) = post.found
    assert trip.rtt_us >= 20_000
    # Two thousand kilometres: the place of both is still within reach.
    assert "FR" in possible_countries([trip])


def test_another_key_is_neither_wanted_nor_believed(post: Post) -> None:
    stranger = Ed25519PrivateKey.generate()
    assert answer_anchor(post.call, SITE, stranger) == 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(WAIT_S)
        line.connect(post.listener.getsockname())
        line.send(encode(EchoHello(site=SITE, key=public_key(post.site_key), padding="." * 400)))
        nonce = decode(line.recv(1_500), EchoNonce).nonce
        for wrong in (b"", b"\xff\x00", b"{}" * 300, encode(EchoAnswer(nonce="00" * 32, answer="00" * 64))):
            line.send(wrong)
        line.send(encode(EchoAnswer(nonce=nonce, answer=stranger.sign(b"something else").hex())))
        line.send(encode(EchoHello(site=SiteId("s-2"), key=public_key(stranger), padding="." * 400)))
        assert decode(line.recv(1_500), EchoNonce).nonce == ""
    assert post.found == []


def test_an_agent_answers_whom_its_orders_name_and_says_when_nobody_is_there(post: Post) -> None:
    said: list[dict[str, object]] = []
    echo = Echo(SITE, post.site_key, lambda event, **facts: said.append({"event": event} | facts))
    echo.step()
    assert said == []
    echo.take((AnchorCall(key="", address="127.0.0.1:1"), post.call))
    echo.step()
    wait_until(lambda: len(said) == 2)
    assert [one["event"] for one in said] == ["problem", "anchor"]
    wait_until(lambda: post.found)
    echo.step()
    # It rests before it tries again.
    assert len(said) == 2
