"""Measures over UDP how long the keys of sites take to answer, from a place that is known.

A site calls first, so that it can be reached behind any router; then it is sent a number that nobody could know, again
and again, and signs each at once. The shortest time counts: whatever holds an answer back makes the site look farther.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.errors import InputError
from sunward.model.codec import decode, encode
from sunward.model.identity import SiteId
from sunward.model.place import (
    HELLO_BYTES,
    AnchorWish,
    EchoAnswer,
    EchoHello,
    EchoNonce,
    RoundTrip,
    answer_bytes,
    round_trip_bytes,
)
from sunward.units import NS_PER_US
from sunward.verification.signature import signed_by

SAMPLES = 16
"""Answers of which the quickest counts; a queue on the way is seldom full every time."""
SESSIONS_MAX = 1_000
"""Callers at one time; a new one takes the place of the oldest."""
DATAGRAM_BYTES = 1_500
NONCE_BYTES = 32


@dataclass(slots=True)
class _Session:
    """One caller."""

    site: SiteId
    key: str
    nonce: str = ""
    sent_ns: int = 0
    answers: int = 0
    best_us: int = 0
    best: EchoAnswer | None = None


class AnchorPost:
    """A place from which sites are measured; `step` belongs to one thread."""

    def __init__(
        self,
        listener: socket.socket,
        key: Ed25519PrivateKey,
        place_udeg: tuple[int, int],
        machine_ms: Callable[[], int],
    ) -> None:
        self._listener = listener
        self._key = key
        self._public = key.public_key().public_bytes_raw().hex()
        self._place_udeg = place_udeg
        self._machine_ms = machine_ms
        self._wishes: dict[SiteId, str] = {}
        self._sessions: dict[object, _Session] = {}

    def want(self, wishes: Iterable[AnchorWish]) -> None:
        """Measure these sites, each once, and no others."""
        self._wishes = {one.site: one.key for one in wishes}

    def step(self, wait_s: float) -> RoundTrip | None:
        """Take one datagram, and answer it; what was measured when it was the last of its caller."""
        self._listener.settimeout(wait_s)
        try:
            raw, caller = self._listener.recvfrom(DATAGRAM_BYTES)
        except TimeoutError:
            return None
        now_ns = time.perf_counter_ns()
        try:
            if len(raw) >= HELLO_BYTES:
                self._greet(caller, decode(raw, EchoHello))
                return None
            return self._hear(caller, decode(raw, EchoAnswer), now_ns)
        except (InputError, OSError):
            # Anybody can send anything here, under any sender's address; nobody is told what is wrong with it.
            return None

    def _greet(self, caller: object, hello: EchoHello) -> None:
        if self._wishes.get(hello.site) != hello.key:
            self._send(caller, EchoNonce(nonce=""))
            return
        session = self._sessions.get(caller)
        if session is None or (session.site, session.key) != (hello.site, hello.key):
            while len(self._sessions) >= SESSIONS_MAX:
                del self._sessions[next(iter(self._sessions))]
            session = self._sessions[caller] = _Session(hello.site, hello.key)
        self._ask(caller, session)

    def _ask(self, caller: object, session: _Session) -> None:
        session.nonce = secrets.token_hex(NONCE_BYTES)
        datagram = EchoNonce(nonce=session.nonce)
        session.sent_ns = time.perf_counter_ns()
        self._send(caller, datagram)

    def _hear(self, caller: object, told: EchoAnswer, now_ns: int) -> RoundTrip | None:
        session = self._sessions.get(caller)
        if session is None or told.nonce != session.nonce:
            return None
        if not signed_by(session.key, told.answer, answer_bytes(self._public, session.site, told.nonce)):
            return None
        # Rounded up: no site may look nearer than it was measured.
        took_us = -(-(now_ns - session.sent_ns) // NS_PER_US)
        if session.best is None or took_us < session.best_us:
            session.best, session.best_us = told, took_us
        session.answers += 1
        if session.answers < SAMPLES:
            self._ask(caller, session)
            return None
        del self._sessions[caller]
        self._send(caller, EchoNonce(nonce=""))
        return self._signed(session, session.best) if self._wishes.pop(session.site, "") == session.key else None

    def _signed(self, session: _Session, best: EchoAnswer) -> RoundTrip:
        trip = RoundTrip(
            anchor_key=self._public,
            lat_udeg=self._place_udeg[0],
            lon_udeg=self._place_udeg[1],
            site=session.site,
            site_key=session.key,
            nonce=best.nonce,
            answer=best.answer,
            rtt_us=session.best_us,
            at_ms=self._machine_ms(),
        )
        return replace(trip, signature=self._key.sign(round_trip_bytes(trip)).hex())

    def _send(self, caller: object, what: EchoNonce) -> None:
        self._listener.sendto(encode(what), caller)  # type: ignore[call-overload]
