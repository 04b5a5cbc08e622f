"""Elastic jobs in a seeded run with everything going wrong: nothing is lost, and all is accounted by what was held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.model.commands import IssueReceipt
from sunward.sim.runner import Simulation
from sunward.units import HOUR_MS, PPM
from tests.support.faults import FAULTS, problems
from tests.support.scenarios import START_MS, job, random_jobs, scenario

CURVE = (1_000_000, 1_900_000, 2_700_000, 3_400_000)
SEED = 3


def elastic(spec):
    """The same job, if it can pause, able to use up to four GPUs, and so long that it sometimes needs them."""
    if not spec.interruptible or spec.gpus > 1:
        return spec
    return replace(spec, gpus_max=4, speedup_ppm=CURVE, length_ms=5 * spec.length_ms)


@pytest.fixture(scope="module")
def run() -> Simulation:
    jobs = tuple((at_ms, elastic(spec)) for at_ms, spec in random_jobs(SEED, 10, 10))
    simulation = Simulation(scenario(jobs, hours=30, faults=FAULTS, seed=SEED))
    simulation.run()
    return simulation


def test_everything_holds_whatever_goes_wrong(run):
    assert min(run.tally.crashes, run.tally.kills, run.tally.restarts, run.tally.owner_uses) > 0
    assert problems(run) == [], f"seed {run.scenario.seed}"


def test_a_job_went_on_with_another_number_of_gpus_and_finished(run):
    several = [one for one in run.journal.receipts if len({line.gpus for line in one.attempts if ran(line)}) > 1]
    assert any(one.state == "finished" for one in several)


def ran(line) -> bool:
    return line.end_ms > line.start_ms


def test_what_is_metered_is_what_the_attempts_held():
    """Without faults every container second of every attempt stands on the receipt."""
    cheap = replace(job("j-1", interruptible=True, length_ms=9 * HOUR_MS), gpus_max=4, speedup_ppm=CURVE)
    gang = job("j-2", gpus=4, length_ms=2 * HOUR_MS, deadline_ms=START_MS + 6 * HOUR_MS, allowed_countries=("NO",))
    simulation = Simulation(scenario(((START_MS, cheap), (START_MS + HOUR_MS, gang)), hours=24))
    simulation.run()
    assert problems(simulation) == []
    receipts = [one.receipt for one in simulation.journal.projected.values() if isinstance(one, IssueReceipt)]
    for receipt in receipts:
        held_ms = sum((line.end_ms - line.start_ms) * line.gpus for line in receipt.attempts)
        assert receipt.state == "finished"
        assert receipt.metered_ppm == PPM
        assert receipt.gpu_ms == pytest.approx(held_ms, rel=0.02)
