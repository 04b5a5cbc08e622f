"""Sites that are told to draw less: their meters show it, every job still ends once, and what is planted is found."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.model.events import Event, SiteCurtailed
from sunward.model.identity import SiteId
from sunward.model.site import Ceiling
from sunward.sim.draw_checker import check_draw
from sunward.sim.runner import Faults, Simulation
from sunward.units import HOUR_MS, MINUTE_MS
from tests.support.faults import problems
from tests.support.scenarios import SITES, START_MS, job, random_jobs, scenario


def told(simulation: Simulation) -> list[str]:
    return check_draw(list(simulation.journal.read()), simulation.readings)


def limit(watts: int, from_min: int, lasts_min: int) -> Ceiling:
    start_ms = START_MS + from_min * MINUTE_MS
    return Ceiling(
        ceiling="g-1", start_ms=start_ms, end_ms=start_ms + lasts_min * MINUTE_MS, ceiling_w=watts, source="operator"
    )


def two_jobs(*, pausable: bool) -> Simulation:
    names = ("one", "two")
    jobs = tuple(
        (START_MS, job(name, interruptible=pausable, length_ms=6 * HOUR_MS, deadline_ms=START_MS + 30 * HOUR_MS))
        for name in names
    )
    return Simulation(replace(scenario(jobs, hours=48), keep_readings=True))


@settings(max_examples=5)
@given(
    st.integers(0, 4 * 60),
    st.integers(-60, 60),
    st.integers(5, 4 * 60),
    st.integers(0, 2_500),
    st.sampled_from([spec.site for spec in SITES]),
    st.booleans(),
)
def test_an_event_at_any_moment_is_obeyed_and_loses_nothing(minute, notice, lasts, watts, site, pausable):
    simulation = two_jobs(pausable=pausable)
    event = SiteCurtailed(site=site, ceiling=limit(watts, max(0, minute + notice), lasts + abs(notice)))
    simulation.at(START_MS + minute * MINUTE_MS, lambda: simulation.commit([event]))
    simulation.run()
    assert problems(simulation) == []
    assert told(simulation) == []
    assert [receipt.state for receipt in simulation.journal.receipts] == ["finished"] * 2


@pytest.fixture(scope="module")
def stormy():
    faults = Faults(curtailments_per_h=0.3, agent_crashes_per_h=0.05, service_restarts_per_h=0.1)
    run = Simulation(replace(scenario(random_jobs(5, 16, 20), hours=60, faults=faults, seed=5), keep_readings=True))
    run.run()
    return run


def test_many_events_among_faults_are_obeyed(stormy):
    assert stormy.tally.curtailments > 10
    assert problems(stormy) == []
    assert told(stormy) == []
    assert "curtailed" in {line.ended for receipt in stormy.journal.receipts for line in receipt.attempts}


def test_a_site_that_drew_more_is_found(stormy):
    records = list(stormy.journal.read())
    busiest = max(
        (batch for batch in stormy.readings if batch.site == "no-hydro"),
        key=lambda batch: sum(span.end_j - span.start_j for span in batch.spans) / (batch.t1_ms - batch.t0_ms),
    )
    low = Ceiling(
        ceiling="planted", start_ms=busiest.t0_ms - HOUR_MS, end_ms=busiest.t1_ms, ceiling_w=100, source="operator"
    )
    payload = SiteCurtailed(site=SiteId("no-hydro"), ceiling=low)
    at = next(index for index, one in enumerate(records) if one.event.kind == "agent_seen")
    planted = [*records[:at], replace(records[at], event=Event(records[at].event.at_ms, payload)), *records[at + 1 :]]
    assert any("it was told 100 W" in fault for fault in check_draw(planted, stormy.readings))
