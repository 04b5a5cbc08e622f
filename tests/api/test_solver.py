"""Full plans from the solver process: the same as here, and none is missed when it is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from sunward.engine.inputs import plan_event
from sunward.service.solver import SolverProcess
from tests.support.snapshots import Pool, job, snapshot

WORLD = snapshot([Pool(id="no"), Pool(id="pl", ask=0.9)], [job("one"), job("two", interruptible=True)])


@pytest.fixture
def solver() -> Iterator[SolverProcess]:
    made = SolverProcess()
    yield made
    made.close()


def test_it_solves_as_this_process_does_and_ends_when_asked(solver: SolverProcess) -> None:
    assert solver.plan(WORLD) == plan_event(WORLD)
    process = solver._process
    assert process is not None
    assert process.pid != os.getpid()
    assert solver.plan(WORLD) == plan_event(WORLD)
    assert solver._process is process, "one process serves them all"
    solver.close()
    assert process.returncode is not None


def test_a_lost_process_loses_no_plan(solver: SolverProcess) -> None:
    solver.plan(WORLD)
    process = solver._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert solver.plan(WORLD) == plan_event(WORLD)
    assert solver.plan(WORLD) == plan_event(WORLD)
    assert solver._process is not process


def test_it_ends_with_its_input(solver: SolverProcess) -> None:
    solver.plan(WORLD)
    process = solver._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0
