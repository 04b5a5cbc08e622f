"""Jobs of estimated length in a simulated network: no plan breaks what it promises, and all come to an end."""

from __future__ import annotations

import numpy as np
import pytest

from sunward.model.job import JobSpec, LengthKind
from sunward.sim.runner import Faults, Simulation
from sunward.units import HOUR_MS
from tests.support.scenarios import START_MS, job, scenario


def estimated(seed: int) -> tuple[tuple[int, JobSpec], ...]:
    """Half of them may be paused, some only for six hours or after a run of an hour."""
    draw = np.random.default_rng(seed)
    jobs = []
    for number in range(10):
        at_ms = START_MS + int(draw.uniform(0, 6) * HOUR_MS)
        jobs.append(
            (
                at_ms,
                job(
                    f"j-{number:03d}",
                    length_kind=LengthKind.ESTIMATED,
                    length_ms=int(draw.uniform(0.3, 3) * HOUR_MS),
                    promise_ppm=int(draw.choice([0, 800_000])),
                    interruptible=bool(number % 2),
                    deadline_ms=at_ms + int(draw.uniform(20, 30) * HOUR_MS),
                    wait_max_ms=6 * HOUR_MS if number % 4 < 2 else 0,
                    min_run_ms=HOUR_MS if number % 5 == 0 else 0,
                ),
            )
        )
    return tuple(sorted(jobs, key=lambda one: one[0]))


@pytest.mark.parametrize(
    "faults", [Faults(), Faults(agent_crashes_per_h=0.05, drains_per_h=0.05)], ids=["calm", "faults"]
)
def test_no_plan_breaks_what_it_promises(faults: Faults) -> None:
    simulation = Simulation(scenario(estimated(4), hours=36, seed=4, slots=192, faults=faults))
    tally = simulation.run()
    assert tally.plan_violations == []
    assert not simulation.writer.state.world.jobs.row_of
    assert tally.plan_changes == simulation.writer.state.world.plan_changes
