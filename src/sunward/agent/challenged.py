"""Answers the challenges that stand in the orders, on devices that nobody needs meanwhile.

A challenge gives way: as soon as a lease or the owner takes one of its devices, it is ended and begun anew later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sunward.agent.challenge_process import ProverProcess
from sunward.errors import ConflictError, SourceError, SunwardError
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
NOT_YET = "SW-779"
"""Others that were drawn together are not ready."""
REST_S = 5.0
"""Machine time between two tries of one challenge."""
JOIN_S = 0.1
TRIES_MAX = 20
"""After so many failures it is left; its time is over then, or something is wrong that trying does not mend."""


class Plane(Protocol):
    """What of the control plane is needed here."""

    def challenge(self, name: str, step: str, told: object, kind: type[T]) -> T:
        """One step of a challenge."""


@dataclass(slots=True)
class _Try:
    """One challenge that is being answered."""

    order: ChallengeOrder
    devices: tuple[str, ...]
    thread: threading.Thread | None = None
    process: ProverProcess | None = None

    def end(self) -> None:
        """End what computes, from any thread."""
        if self.process is not None:
            self.process.end()


class Challenger:
    """The challenges of one agent. `take` and `step` belong to the agent's loop; the work is done in threads."""

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
        self._failures: dict[str, int] = {}
        self._rest_until_s = 0.0
        self._tries: dict[str, _Try] = {}

    @property
    def active(self) -> bool:
        """Whether any is being answered, or waits to be."""
        return bool(self._tries or self._waiting())

    def take(self, orders: tuple[ChallengeOrder, ...]) -> None:
        """Take what stands in the orders now; the rest is over."""
        self._orders = orders
        named = {one.challenge for one in orders}
        self._done &= named
        self._failures = {name: count for name, count in self._failures.items() if name in named}

    def step(self) -> None:
        """Begin what can begin; end what must give way."""
        for name, one in tuple(self._tries.items()):
            if one.thread is not None and not one.thread.is_alive():
                del self._tries[name]
            elif one.order not in self._orders or not set(one.devices) <= set(self._free(one.order.pool)):
                one.end()
        if time.monotonic() < self._rest_until_s:
            return
        for order in self._waiting():
            devices = self._free(order.pool)[: order.containers]
            if len(devices) == order.containers:
                one = self._tries[order.challenge] = _Try(order, devices)
                one.thread = threading.Thread(target=self._work, args=(one,), daemon=True)
                one.thread.start()

    def close(self) -> None:
        """End what goes on; the control plane asks again when the agent is back."""
        self._orders = ()
        for one in self._tries.values():
            while one.thread is not None and one.thread.is_alive():
                one.end()
                one.thread.join(JOIN_S)

    def _waiting(self) -> list[ChallengeOrder]:
        if self._kind == "off":
            return []
        return [one for one in self._orders if one.challenge not in self._done and one.challenge not in self._tries]

    def _work(self, one: _Try) -> None:
        """Thread: one try."""
        name = one.order.challenge
        process = one.process = ProverProcess(one.order, self._kind, one.devices)
        try:
            result = self._answer(process, one.order)
            self._done.add(name)
            self._say("challenge", challenge=name, passed=result.passed, findings=list(result.findings))
        except SunwardError as reason:
            self._failures[name] = self._failures.get(name, 0) + 1
            self._rest_until_s = time.monotonic() + REST_S
            lasting = isinstance(reason, SourceError) and not reason.transient
            if self._failures[name] >= TRIES_MAX or reason.code in FINAL or lasting:
                self._done.add(name)
            self._say("problem", what="challenge", reason=reason.message)
        finally:
            one.process = None
            process.close()

    def _answer(self, process: ProverProcess, order: ChallengeOrder) -> ChallengeResult:
        name, boot, tell = order.challenge, self._boot, self._plane.challenge
        process.fill()
        echo = tell(name, "ready", ChallengeReady(boot=boot), ChallengeEcho).echo
        nonce = self._begin(order, ChallengeBegin(boot=boot, echo=echo))
        roots = process.commit(nonce)
        question = tell(name, "roots", ChallengeRoots(boot=boot, nonce=nonce, roots=roots), ChallengeQuestion).seed
        openings = process.answer(question)
        answer = ChallengeAnswer(boot=boot, nonce=nonce, openings=openings)
        return tell(name, "answer", answer, ChallengeResult)

    def _begin(self, order: ChallengeOrder, told: ChallengeBegin) -> str:
        """The nonce; those that were drawn together get theirs at one moment."""
        while True:
            try:
                return self._plane.challenge(order.challenge, "begin", told, ChallengeNonce).nonce
            except ConflictError as reason:
                if reason.code != NOT_YET or order not in self._orders:
                    raise
