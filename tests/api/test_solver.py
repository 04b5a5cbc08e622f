"""Searches in processes of their own: the same as here, and none is missed when it is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sunward.engine.inputs import plan_event
from sunward.service.solver import SolverProcess, SpareProcess, compile_ahead
from tests.support.snapshots import Pool, job, snapshot

WORLD = snapshot([Pool(id="no"), Pool(id="pl", ask=0.9)], [job("one"), job("two", interruptible=True)])


@pytest.fixture
def solver() -> Iterator[SolverProcess]:
    made = SolverProcess()
    yield made
    made.close()


def test_it_solves_as_this_process_does_and_ends_when_asked(solver: SolverProcess) -> None:
    assert solver.run(plan_event, WORLD) == plan_event(WORLD)
    process = solver._process
    assert process is not None
    assert process.pid != os.getpid()
    assert solver.run(plan_event, WORLD) == plan_event(WORLD)
    assert solver._process is process, "one process serves them all"
    solver.close()
    assert process.returncode is not None


def test_a_lost_process_loses_no_plan(solver: SolverProcess) -> None:
    solver.run(plan_event, WORLD)
    process = solver._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert solver.run(plan_event, WORLD) == plan_event(WORLD)
    assert solver.run(plan_event, WORLD) == plan_event(WORLD)
    assert solver._process is not process


def test_it_ends_with_its_input(solver: SolverProcess) -> None:
    solver.run(plan_event, WORLD)
    process = solver._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0


def test_a_spare_process_starts_when_two_searches_meet() -> None:
    spare = SpareProcess()
    both = threading.Barrier(2)

    def search() -> int:
        both.wait(60)
        return os.getpid()

    assert spare.run(os.getpid) == os.getpid(), "one at a time is searched here"
    with ThreadPoolExecutor(2) as threads:
        found = [threads.submit(spare.run, search) for _ in range(2)]
        assert [one.result(60) for one in found] == [os.getpid()] * 2, "none waits for the start"
    deadline_s = time.monotonic() + 60
    while spare.run(os.getpid) == os.getpid():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert spare.run(plan_event, WORLD) == plan_event(WORLD)
    spare.close()


def test_what_is_compiled_beside_the_sources_is_not_compiled_again() -> None:
    first = compile_ahead()
    assert first is None or first.wait(timeout=120) == 0
    assert compile_ahead() is None
