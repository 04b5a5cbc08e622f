"""The agent answers what stands in its orders, one at a time, and gives way to leases and its owner."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from sunward.agent import challenged
from sunward.agent.challenge_process import ProverProcess
from sunward.agent.challenged import Challenger
from sunward.errors import ConflictError, SourceError
from sunward.model.challenge import (
    ChallengeEcho,
    ChallengeNonce,
    ChallengeOrder,
    ChallengeQuestion,
    ChallengeResult,
    ChallengeSize,
)
from sunward.model.identity import PoolId

POOL = PoolId("here/L40S")
SIZE = ChallengeSize(rows=20, width=64, columns=4, rounds=2, mixing=2, leaf_rows=4, rounds_opened=1, rows_opened=2)
WAIT_S = 60.0


def order(name: str = "c-1", containers: int = 1) -> ChallengeOrder:
    return ChallengeOrder(challenge=name, pool=POOL, containers=containers, seed="ab" * 32, size=SIZE, until_ms=10**15)


class Plane:
    """A control plane that says yes, unless told what to say."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []
        self.refusal: Exception | None = None
        self.refused = "ready"

    def challenge(self, name: str, step: str, told: Any, kind: type) -> Any:
        self.steps.append((name, step))
        if self.refusal is not None and step == self.refused:
            raise self.refusal
        return {
            ChallengeEcho: ChallengeEcho(echo="e"),
            ChallengeNonce: ChallengeNonce(nonce="cd" * 32, allowed_ms=1),
            ChallengeQuestion: ChallengeQuestion(seed="ef" * 32),
            ChallengeResult: ChallengeResult(passed=True),
        }[kind]


class Process:
    """In place of the process: computes nothing, and may take until it is ended."""

    slow = False
    ended = 0

    def __init__(self, order: ChallengeOrder, kind: str, devices: tuple[str, ...]) -> None:
        self.over = threading.Event()
        Process.devices = devices

    def fill(self) -> None:
        if self.slow and not self.over.wait(WAIT_S):
            raise AssertionError("nobody ended it")
        if self.over.is_set():
            raise SourceError("ended")

    def commit(self, nonce: str) -> tuple[str, ...]:
        return ("00" * 32,)

    def answer(self, question: str) -> tuple[()]:
        return ()

    def end(self) -> None:
        Process.ended += 1
        self.over.set()

    def close(self) -> None:
        return


class Here:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str = "processor") -> None:
        monkeypatch.setattr(challenged, "ProverProcess", Process)
        monkeypatch.setattr(challenged, "REST_S", 0.0)
        monkeypatch.setattr(Process, "slow", False)
        monkeypatch.setattr(Process, "ended", 0)
        self.plane, self.said, self.spare = Plane(), [], ("g0", "g1")
        self.challenger = Challenger(self.plane, "boot", kind, self.free, self.say)

    def free(self, pool: str) -> tuple[str, ...]:
        return self.spare

    def say(self, event: str, **facts: object) -> None:
        self.said.append((event, facts))

    def settle(self, until: Any) -> None:
        deadline_s = time.monotonic() + WAIT_S
        while not until():
            assert time.monotonic() < deadline_s
            self.challenger.step()
            time.sleep(0.005)


def computing(here: Here) -> bool:
    return any(one.process is not None for one in here.challenger._tries.values())


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(monkeypatch)


def test_it_answers_all_at_once_and_each_once(here: Here) -> None:
    here.challenger.take((order("c-1"), order("c-2", containers=2)))
    assert here.challenger.active
    here.settle(lambda: not here.challenger.active)
    for name in ("c-1", "c-2"):
        assert [step for asked, step in here.plane.steps if asked == name] == ["ready", "begin", "roots", "answer"]
    assert [facts["passed"] for event, facts in here.said if event == "challenge"] == [True, True]
    here.challenger.take((order("c-1"), order("c-2", containers=2)))
    here.challenger.step()
    assert len(here.plane.steps) == 8


def test_it_waits_for_as_many_devices_as_are_challenged(here: Here) -> None:
    here.spare = ("g0",)
    here.challenger.take((order(containers=2),))
    here.challenger.step()
    assert here.plane.steps == []
    here.spare = ("g0", "g1")
    here.settle(lambda: not here.challenger.active)
    assert len(here.plane.steps) == 4


def test_it_gives_way_to_a_lease_and_begins_anew(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Process, "slow", True)
    here.challenger.take((order(),))
    here.settle(lambda: computing(here))
    here.spare = ("g1",)
    here.settle(lambda: Process.ended > 0 and not computing(here))
    monkeypatch.setattr(Process, "slow", False)
    here.settle(lambda: not here.challenger.active)
    assert len(here.plane.steps) == 4
    assert Process.devices == ("g1",)


@pytest.mark.parametrize("how", ["orders", "close"])
def test_what_is_not_ordered_any_more_is_ended(here: Here, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(Process, "slow", True)
    here.challenger.take((order(),))
    here.settle(lambda: computing(here))
    if how == "orders":
        here.challenger.take(())
    else:
        here.challenger.close()
    here.settle(lambda: not here.challenger.active)
    assert (Process.ended > 0, here.plane.steps) == (True, [])


@pytest.mark.parametrize(
    ("refusal", "tries"),
    [
        (ConflictError("late", code="SW-775"), 1),
        (SourceError("no GPU", transient=False, code="SW-771"), 1),
        (ConflictError("begin anew", code="SW-773"), challenged.TRIES_MAX),
    ],
)
def test_it_tries_again_where_that_makes_sense(here: Here, refusal: Exception, tries: int) -> None:
    here.plane.refusal = refusal
    here.challenger.take((order(),))
    here.settle(lambda: not here.challenger.active)
    assert here.plane.steps == [("c-1", "ready")] * tries
    assert here.said[-1] == ("problem", {"what": "challenge", "reason": str(refusal)})


def test_it_waits_for_the_others_of_its_owner(here: Here) -> None:
    here.plane.refusal = ConflictError("not yet", code="SW-779")
    here.plane.refused = "begin"
    here.challenger.take((order(),))
    here.settle(lambda: here.plane.steps.count(("c-1", "begin")) > 3)
    here.plane.refusal = None
    here.settle(lambda: not here.challenger.active)
    assert here.plane.steps[-2:] == [("c-1", "roots"), ("c-1", "answer")]


def test_switched_off_it_answers_none(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Here(monkeypatch, kind="off")
    here.challenger.take((order(),))
    here.challenger.step()
    assert (here.challenger.active, here.plane.steps) == (False, [])


@pytest.mark.slow
def test_the_process_computes_and_says_what_is_missing() -> None:
    process = ProverProcess(order(), "processor", ())
    try:
        process.fill()
        roots = process.commit("cd" * 32)
        assert [len(root) for root in roots] == [64, 64]
        assert process.answer("ef" * 32)
    finally:
        process.close()
    with pytest.raises(SourceError, match="was ended"):
        process.fill()
    gpu = ProverProcess(order(), "gpu", ("GPU-0",))
    try:
        with pytest.raises(SourceError, match=r"PyTorch|GPUs are challenged") as caught:
            gpu.fill()
        assert (caught.value.code, caught.value.transient) == ("SW-771", False)
    finally:
        gpu.close()
