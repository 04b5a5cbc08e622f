"""Equal seeds give equal journals, and one more site leaves everybody else's luck alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.model.hardware import Admission
from sunward.sim.runner import Simulation
from tests.support.faults import FAULTS, faulty
from tests.support.scenarios import SITES, random_jobs, scenario, site

EMPTY = replace(site("se-wind", "SE-SE1", "SE", "L4", 2, 1.1, 1.0), admission=Admission.OWN)


def planned(seed: int, sites) -> Simulation:
    """Owners and drains ask for plans of their own, which would move those of the others by seconds."""
    jobs = random_jobs(seed, 8, 10)
    faults = replace(FAULTS, owner_uses_per_h=0.0, drains_per_h=0.0)
    return Simulation(replace(scenario(jobs, hours=24, faults=faults, seed=seed), sites=sites))


def test_the_same_seed_gives_the_same_journal():
    assert faulty(7, jobs=6, hours=30).journal.head() == faulty(7, jobs=6, hours=30).journal.head()


def test_another_seed_gives_another_journal():
    assert faulty(7, jobs=6, hours=30).journal.head() != faulty(8, jobs=6, hours=30).journal.head()


def test_streams_are_named_by_purpose_and_entity():
    one, other = planned(5, SITES), planned(5, (*SITES, EMPTY))
    for purpose in ("crash", "kill", "deliver-report-1"):
        draws = [one.stream(purpose, spec.site).integers(0, 2**62, 4).tolist() for spec in SITES]
        assert draws == [other.stream(purpose, spec.site).integers(0, 2**62, 4).tolist() for spec in SITES]
        assert len({tuple(draw) for draw in draws}) == len(SITES)


@pytest.mark.parametrize("first", [True, False])
def test_a_site_without_jobs_changes_nothing_for_the_others(first):
    """Crashes, kills, delays and doubles fall on the same moments: the jobs live the same lives."""
    alone = planned(5, SITES)
    beside = planned(5, (EMPTY, *SITES) if first else (*SITES, EMPTY))
    lives = []
    for simulation in (alone, beside):
        simulation.run()
        lives.append(
            sorted((one.job, one.at_ms, one.state, one.reason, one.site) for one in simulation.journal.job_changes)
        )
    assert alone.tally.crashes > 0
    assert lives[0] == lives[1]
