"""Jobs of unknown and estimated length under faults: rules hold, what was learnt replays, receipts state promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sunward.engine.snapshots import dump, load, state_digest
from sunward.engine.writer import replay
from sunward.model.job import JobSpec, LengthKind
from sunward.sim.runner import Simulation
from sunward.units import DAY_MS, HOUR_MS
from tests.support.faults import FAULTS, problems
from tests.support.scenarios import random_jobs, scenario

HOURS = 16


def uncertain(index: int, spec: JobSpec, at_ms: int) -> JobSpec:
    """Every second in one piece and without units, every third estimated, all with a promise."""
    whole = index % 2 == 0
    return replace(
        spec,
        units=1 if whole else spec.units,
        interruptible=not whole,
        length_kind=LengthKind.ESTIMATED if index % 3 == 0 else LengthKind.UNKNOWN,
        promise_ppm=900_000 if index % 4 else 500_000,
        timeout_ms=2 * DAY_MS,
        deadline_ms=at_ms + 10 * HOUR_MS,
        counterfactual=2,
    )


@pytest.fixture(scope="module")
def run() -> Simulation:
    draw = np.random.default_rng(5)
    asked = tuple((at_ms, uncertain(index, spec, at_ms)) for index, (at_ms, spec) in enumerate(random_jobs(5, 14, 4)))
    true_ms = {spec.job: int(spec.length_ms * draw.lognormal(0, 0.7)) for _, spec in asked}
    simulation = Simulation(replace(scenario(asked, hours=HOURS, faults=FAULTS, seed=5), true_ms=true_ms))
    simulation.run()
    return simulation


def test_everything_holds(run):
    assert problems(run) == [], f"seed {run.scenario.seed}"


def test_what_was_learnt_is_what_the_journal_says(run):
    state = run.writer.state
    assert state.world.lengths.classes
    assert state_digest(replay(run.journal.read())) == state_digest(state)
    assert load(dump(state)).world.lengths.dump() == state.world.lengths.dump()


def test_receipts_state_the_promise_and_the_time_really_run(run):
    specs = {spec.job: spec for _, spec in run.scenario.jobs}
    finished = [receipt for receipt in run.journal.receipts if receipt.state == "finished"]
    assert len(finished) > len(specs) // 2
    for receipt in finished:
        spec = specs[receipt.job]
        assert [one.stated_ppm for one in receipt.promises] == [spec.promise_ppm]
        assert {one.name.partition("/")[2] for one in receipt.counterfactuals} == {"2"}
