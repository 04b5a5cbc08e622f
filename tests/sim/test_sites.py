"""Sites that drain, close, keep containers or cannot sleep: every job still ends once, and what is planted is found."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.model.commands import JobChanged
from sunward.model.events import Event, PowerReported, SiteDrained, SiteEnrolled
from sunward.model.identity import SiteId
from sunward.model.site import Sleep
from sunward.sim.runner import Faults, Simulation
from sunward.sim.site_checker import check_sites
from sunward.units import HOUR_MS, MINUTE_MS
from tests.support.faults import problems
from tests.support.scenarios import SITES, START_MS, job, random_jobs, scenario

NORTH = SiteId("no-hydro")
HOUR = START_MS // HOUR_MS % 24


def few_jobs():
    names = ("one", "two", "three")
    jobs = (
        job(name, interruptible=name != "two", length_ms=2 * HOUR_MS, deadline_ms=START_MS + 20 * HOUR_MS)
        for name in names
    )
    return tuple((START_MS + index * MINUTE_MS, spec) for index, spec in enumerate(jobs))


@settings(max_examples=12)
@given(st.integers(0, 6 * 60), st.integers(1, 4 * 60), st.sampled_from([spec.site for spec in SITES]))
def test_a_drain_at_any_moment_loses_nothing(minute, lasts, site):
    simulation = Simulation(scenario(few_jobs(), hours=24))
    for at_minute, draining in ((minute, True), (minute + lasts, False)):
        event = SiteDrained(site=site, draining=draining)
        simulation.at(START_MS + at_minute * MINUTE_MS, lambda event=event: simulation.commit([event]))
    simulation.run()
    assert problems(simulation) == []
    assert [receipt.state for receipt in simulation.journal.receipts] == ["finished"] * 3


def run(sites, *, seed: int = 3, faults: Faults | None = None) -> Simulation:
    simulation = Simulation(
        replace(scenario(random_jobs(seed, 12, 12), hours=48, faults=faults, seed=seed), sites=sites)
    )
    simulation.run()
    return simulation


def test_sites_that_close_every_night_are_left_alone_then():
    closed = tuple(sorted((HOUR + hour) % 24 for hour in range(2, 9)))
    simulation = run(tuple(replace(spec, closed_hours_utc=closed) for spec in SITES))
    assert problems(simulation) == []
    endings = {line.ended for receipt in simulation.journal.receipts for line in receipt.attempts}
    assert "finished" in endings


@pytest.mark.parametrize("sleep", [Sleep.NONE, Sleep.GPU_IDLE, Sleep.OFF])
def test_sites_run_whatever_their_sleep(sleep):
    simulation = run(tuple(replace(spec, sleep=sleep, wake_s=30) for spec in SITES))
    assert problems(simulation) == []
    assert any(receipt.state == "finished" for receipt in simulation.journal.receipts)


@pytest.fixture(scope="module")
def history():
    simulation = run(SITES, faults=Faults(owner_uses_per_h=0.2))
    assert problems(simulation) == []
    return list(simulation.journal.read()), simulation.journal.projected


def planted(records, payload, after=3):
    """The same journal with one more thing told near its beginning, in the place of the record before."""
    at = next(index for index, one in enumerate(records) if one.event.kind == "agent_seen") + after
    return [*records[:at], replace(records[at], event=Event(records[at].event.at_ms, payload)), *records[at + 1 :]]


def test_work_offered_to_a_draining_site_is_found(history):
    records, projected = history
    assert check_sites(records, projected) == []
    found = check_sites(planted(records, SiteDrained(site=NORTH, draining=True)), projected)
    assert any("is planned on no-hydro, which takes no work" in fault for fault in found)
    assert any("is offered to no-hydro, which takes no work" in fault for fault in found)


def test_work_in_closed_hours_is_found(history):
    records, projected = history
    spec = replace(SITES[0], closed_hours_utc=tuple(hour for hour in range(24) if hour != (HOUR + 20) % 24))
    found = check_sites(planted(records, SiteEnrolled(spec=spec)), projected)
    assert any("in which it is closed" in fault and "planned" in fault for fault in found)
    assert any("in which it is closed" in fault and "offered" in fault for fault in found)


def test_work_on_kept_containers_is_found(history):
    records, projected = history
    later = [one for one in records if not isinstance(one.event.payload, PowerReported)]
    seen = next(one.event.payload for one in records if isinstance(one.event.payload, PowerReported))
    kept = replace(seen, site=NORTH, pools=(replace(seen.pools[0], pool="no-hydro/H100-SXM", withheld=4),))
    found = check_sites(planted(later, kept), projected)
    assert any("where" in fault and "are held then and 0 are there" in fault for fault in found)


def test_an_offer_that_never_ends_is_found(history):
    records, projected = history
    endless = {
        key: one
        for key, one in projected.items()
        if not (isinstance(one, JobChanged) and one.state in ("finished", "suspended"))
    }
    assert any("containers are held then" in fault for fault in check_sites(records, endless))
