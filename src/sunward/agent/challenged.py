"""Answers the challenges that stand in the orders, one at a time, on devices that nobody needs meanwhile.

A challenge gives way: as soon as a lease or the owner takes one of its devices, it is ended and begun anew later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from sunward.agent.challenge_process import ProverProcess
from sunward.errors import SourceError, SunwardError
from sunward.model.challenge import (
    ChallengeAnswer,
    ChallengeBegin,
    ChallengeEcho,
    ChallengeNonce,
    ChallengeOrder,
    ChallengeQuestion,
    ChallengeReady,
    ChallengeResult,
    ChallengeRoots,
)

T = TypeVar("T")

FINAL = frozenset({"SW-775", "SW-778"})
"""Refusals after which nothing is left to try."""
REST_S = 5.0
"""Machine time between two tries of one challenge."""
JOIN_S = 0.1
TRIES_MAX = 20
"""After so many failures it is left; its time is over then, or something is wrong that trying does not mend."""


class Plane(Protocol):
    """What of the control plane is needed here."""

    def challenge(self, name: str, step: str, told: object, kind: type[T]) -> T:
        """One step of a challenge."""


class Challenger:
    """The challenges of one agent. `take` and `step` belong to the agent's loop; the work is done in a thread."""

    def __init__(
        self, plane: Plane, boot: str, kind: str, free: Callable[[str], tuple[str, ...]], say: Callable[..., None]
    ) -> None:
        self._plane = plane
        self._boot = boot
        self._kind = kind
        self._free = free
        self._say = say
        self._orders: tuple[ChallengeOrder, ...] = ()
        self._done: set[str] = set()
        self._tries: dict[str, int] = {}
        self._rest_until_s = 0.0
        self._thread: threading.Thread | None = None
        self._process: ProverProcess | None = None
        self._running: tuple[ChallengeOrder, tuple[str, ...]] | None = None

    @property
    def active(self) -> bool:
        """Whether one is being answered, or waits to be."""
        return self._running is not None or self._next() is not None

    def take(self, orders: tuple[ChallengeOrder, ...]) -> None:
        """Take what stands in the orders now; the rest is over."""
        self._orders = orders
        named = {one.challenge for one in orders}
        self._done &= named
        self._tries = {name: count for name, count in self._tries.items() if name in named}

    def step(self) -> None:
        """Begin what can begin; end what must give way."""
        if self._thread is not None and not self._thread.is_alive():
            self._thread = self._running = None
        if self._running is not None:
            order, devices = self._running
            if order not in self._orders or not set(devices) <= set(self._free(order.pool)):
                self._end()
            return
        following = self._next()
        if following is None or time.monotonic() < self._rest_until_s:
            return
        devices = self._free(following.pool)[: following.containers]
        if len(devices) == following.containers:
            self._running = (following, devices)
            self._thread = threading.Thread(target=self._work, args=self._running, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End what goes on; the control plane asks again when the agent is back."""
        self._orders = ()
        while self._thread is not None and self._thread.is_alive():
            self._end()
            self._thread.join(JOIN_S)

    def _next(self) -> ChallengeOrder | None:
        if self._kind == "off":
            return None
        return next((one for one in self._orders if one.challenge not in self._done), None)

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()

    def _work(self, order: ChallengeOrder, devices: tuple[str, ...]) -> None:
        """Thread: one try."""
        name = order.challenge
        process = self._process = ProverProcess(order, self._kind, devices)
        try:
            result = self._answer(process, order)
            self._done.add(name)
            self._say("challenge", challenge=name, passed=result.passed, findings=list(result.findings))
        except SunwardError as reason:
            self._tries[name] = self._tries.get(name, 0) + 1
            self._rest_until_s = time.monotonic() + REST_S
            lasting = isinstance(reason, SourceError) and not reason.transient
            if self._tries[name] >= TRIES_MAX or reason.code in FINAL or lasting:
                self._done.add(name)
            self._say("problem", what="challenge", reason=reason.message)
        finally:
            self._process = None
            process.close()

    def _answer(self, process: ProverProcess, order: ChallengeOrder) -> ChallengeResult:
        name, boot, tell = order.challenge, self._boot, self._plane.challenge
        process.fill()
        echo = tell(name, "ready", ChallengeReady(boot=boot), ChallengeEcho).echo
        nonce = tell(name, "begin", ChallengeBegin(boot=boot, echo=echo), ChallengeNonce).nonce
        roots = process.commit(nonce)
        question = tell(name, "roots", ChallengeRoots(boot=boot, nonce=nonce, roots=roots), ChallengeQuestion).seed
        openings = process.answer(question)
        answer = ChallengeAnswer(boot=boot, nonce=nonce, openings=openings)
        return tell(name, "answer", answer, ChallengeResult)
