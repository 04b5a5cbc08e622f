"""Thousands of open jobs through the engine: counted together, placed, and nothing broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sunward.model.events import JobsSubmitted
from sunward.model.job import JobState
from sunward.sim.runner import Simulation
from sunward.units import HOUR_MS, MINUTE_MS
from sunward.world.tick import take_tick
from tests.support.faults import problems
from tests.support.scenarios import SITES, START_MS, job, scenario

JOBS = 2_100
CONTAINERS = 40


def flood() -> tuple:
    """Like jobs of a few kinds, and one that a crowd does not hold."""
    draw = np.random.default_rng(5)
    many = (
        job(
            f"j-{number:04d}",
            gpus=int(draw.choice([1, 1, 1, 2])),
            length_ms=int(draw.choice([HOUR_MS // 2, HOUR_MS, 2 * HOUR_MS])),
            deadline_ms=START_MS + int(draw.choice([6, 12, 23])) * HOUR_MS,
            allowed_countries=("NO", "ES") if draw.random() < 0.2 else (),
            carbon_price_usd_per_t=int(draw.choice([0, 100])),
            escrow_wei=10**18,
        )
        for number in range(JOBS)
    )
    return (*many, job("k-waits", wait_max_ms=20 * HOUR_MS, escrow_wei=10**18))


@pytest.fixture(scope="module")
def run() -> Simulation:
    sites = tuple(
        replace(
            one,
            pools=(
                replace(one.pools[0], count=CONTAINERS, devices=tuple(f"{one.site}-{at}" for at in range(CONTAINERS))),
            ),
        )
        for one in SITES
    )
    asked = replace(scenario((), hours=1), sites=sites, report_ms=HOUR_MS)
    simulation = Simulation(asked)
    simulation.at(START_MS + MINUTE_MS, lambda: simulation.commit([JobsSubmitted(jobs=flood())]))
    simulation.run()
    return simulation


def test_nothing_is_broken_and_every_plan_is_what_solving_again_gives(run):
    assert problems(run, settled=False) == []


def test_all_have_an_answer_after_one_plan_and_most_a_place(run):
    world = run.writer.state.world
    states = [world.jobs.state(row) for row in world.jobs.row_of.values()]
    assert not world.fresh
    assert states.count(JobState.PLACED) > JOBS / 2
    assert {JobState.SUBMITTED, JobState.RUNNING} & set(states)
    # One immediate plan for the one that is looked at by itself.
    plans = [one.event.payload.plan for one in run.journal.read() if one.event.kind == "plan_proposed"]
    assert sum(plan.adds for plan in plans) == 1
    assert len(plans[0].assignments) > JOBS / 2


def test_what_stays_is_not_named_again(run):
    world = run.writer.state.world
    assert take_tick(world, run.now_ms).crowd is not None
    plans = [one.event.payload.plan for one in run.journal.read() if one.event.kind == "plan_proposed"]
    full = [plan for plan in plans if not plan.adds]
    assert len(full) >= 4
    assert all(len(plan.assignments) < JOBS / 4 for plan in full[1:])
