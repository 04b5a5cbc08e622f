"""Machines that sleep as a whole: nothing is offered to them, nobody is given up early, and all work ends once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.model.events import AgentLost, Event, SiteAsleep
from sunward.model.identity import SiteId, TenantId
from sunward.sim.runner import Faults, Simulation
from sunward.sim.site_checker import check_sites
from sunward.units import HOUR_MS, MINUTE_MS
from tests.support.faults import FAULTS, problems
from tests.support.scenarios import SITES, START_MS, job, random_jobs, scenario

NORTH = SiteId("no-hydro")
HOME = tuple(
    replace(spec, owner=TenantId("p-home"), lan="home", wake_mac=f"02:00:00:00:00:0{number}")
    for number, spec in enumerate(SITES)
)


def run(sites=SITES, *, seed: int = 3, jobs: int = 12, hours: int = 48, faults: Faults | None = None) -> Simulation:
    made = scenario(random_jobs(seed, jobs, 12), hours=hours, faults=faults, seed=seed)
    simulation = Simulation(replace(made, sites=sites, naps=True))
    simulation.run()
    return simulation


def finished(simulation: Simulation) -> int:
    return sum(receipt.state == "finished" for receipt in simulation.journal.receipts)


def test_machines_sleep_between_jobs_and_everything_still_holds():
    simulation = run(seed=1)
    assert problems(simulation) == []
    assert simulation.tally.naps > len(SITES)
    assert not any(isinstance(one.event.payload, AgentLost) for one in simulation.journal.read())
    assert finished(simulation)


def test_neighbours_wake_each_other():
    simulation = run(HOME, seed=5)
    assert problems(simulation) == []
    assert simulation.tally.woken > 0


@settings(max_examples=3)
@given(st.integers(0, 10_000), st.booleans())
def test_whatever_goes_wrong_meanwhile(seed, home):
    faults = replace(FAULTS, oversleeps_frac=0.2)
    simulation = run(HOME if home else SITES, seed=seed, jobs=8, hours=30, faults=faults)
    assert problems(simulation) == []
    assert simulation.tally.naps > 0


def test_who_oversleeps_is_given_up_and_comes_back():
    simulation = run(faults=Faults(oversleeps_frac=0.5))
    assert problems(simulation) == []
    lost = sum(isinstance(one.event.payload, AgentLost) for one in simulation.journal.read())
    assert lost == simulation.tally.oversleeps > 0


@pytest.fixture(scope="module")
def history():
    simulation = Simulation(scenario(((START_MS + MINUTE_MS, job("j-1", length_ms=HOUR_MS)),), hours=8))
    simulation.run()
    return list(simulation.journal.read()), simulation.journal.projected


def planted(records, payload, kind):
    """The same journal with one more thing told in the place of the first record of a kind."""
    at = next(index for index, one in enumerate(records) if one.event.kind == kind)
    return [*records[:at], replace(records[at], event=Event(records[at].event.at_ms, payload)), *records[at + 1 :]]


def test_work_for_a_machine_that_sleeps_is_found(history):
    records, projected = history
    assert check_sites(records, projected) == []
    offered = next(one for one in projected.values() if getattr(one, "state", "") == "staging")
    sleep = SiteAsleep(site=offered.site, until_ms=START_MS + 20 * HOUR_MS)
    found = check_sites(planted(records, sleep, "forecast_issued"), projected)
    assert any("when it still sleeps" in fault for fault in found)
    assert any("which sleeps" in fault for fault in found)


def test_a_machine_given_up_in_its_sleep_is_found(history):
    records, projected = history
    sleeping = planted(records, SiteAsleep(site=NORTH, until_ms=START_MS + 20 * HOUR_MS), "forecast_issued")
    found = check_sites(planted(sleeping, AgentLost(site=NORTH), "power_reported"), projected)
    assert any("is given up" in fault for fault in found)
