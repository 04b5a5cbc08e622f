"""The planner's view: what is known, who is there, what running jobs hold; and occupancy counted slot by slot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.engine.inputs import Feeds, signal_events
from sunward.model.events import AgentLost, CancelRequested
from sunward.model.identity import JobId, SiteId
from sunward.model.site import Phase
from sunward.placement.planner import plan
from sunward.signals.typical import ClimatologyForecaster, ClimatologySource
from sunward.units import HOUR_MS, MINUTE_MS
from sunward.world.occupancy import add, occupied, slot_range
from sunward.world.snapshot import Snapshot
from sunward.world.view import take_snapshot
from tests.support.network import COAL, HYDRO, SLOT_MS, SOLAR, Network, assignment, segment
from tests.support.scenarios import START_MS, job


def with_forecasts(network: Network) -> Network:
    feeds = Feeds(ClimatologySource(), ClimatologyForecaster())
    network.tell(*signal_events(network.state.world, feeds, network.at_ms))
    return network


def free(snapshot: Snapshot) -> list[int]:
    """Containers that can be planned on, where that is the same in every slot."""
    assert (snapshot.pools.available == snapshot.pools.available[:, :1]).all()
    return snapshot.pools.available[:, 0].tolist()


@pytest.fixture(scope="module")
def calm() -> Network:
    return with_forecasts(Network())


def test_pools_stand_in_order_with_what_they_have(calm):
    snapshot = take_snapshot(calm.state.world, START_MS + 1)
    assert snapshot.pools.ids == (SOLAR, HYDRO, COAL)
    assert free(snapshot) == snapshot.pools.count.tolist() == [4, 4, 2]
    assert snapshot.zones == ("ES", "NO-NO1", "PL")
    assert (snapshot.start_ms, snapshot.now_ms) == (START_MS, START_MS + 1)
    assert snapshot.carbon_g_per_kwh.shape == (3, snapshot.slots)
    assert (snapshot.carbon_g_per_kwh > 0).all()
    assert np.isinf(snapshot.site_ceiling_w).all()
    assert snapshot.pools.overhead.tolist() == [1.15, 1.08, 1.4]


def test_without_a_forecast_over_the_horizon_nothing_can_be_planned_on():
    snapshot = take_snapshot(Network().state.world, START_MS)
    assert free(snapshot) == [0, 0, 0]


def test_a_snapshot_is_a_copy():
    network = with_forecasts(Network())
    snapshot = take_snapshot(network.state.world, START_MS)
    network.tell(AgentLost(site=SiteId("no-hydro")))
    network.submit(job("j-1"))
    assert free(snapshot) == [4, 4, 2]
    assert snapshot.jobs == ()
    later = take_snapshot(network.state.world, START_MS)
    assert free(later) == [4, 0, 2]
    assert [view.spec.job for view in later.jobs] == ["j-1"]


def views(network: Network, after_h: float):
    snapshot = take_snapshot(network.state.world, START_MS + int(after_h * HOUR_MS))
    return {view.spec.job: view for view in snapshot.jobs}


def test_a_job_that_waits_shows_its_future_segments():
    network = Network()
    network.submit(job("j-1"), job("j-2"))
    network.plan(assignment("j-1", segment(HYDRO, 1, 2), segment(HYDRO, 3, 4)))
    seen = views(network, 2.5)
    assert seen["j-1"].segments == (segment(HYDRO, 3, 4),)
    assert (seen["j-1"].pool, seen["j-1"].fixed, seen["j-2"].segments) == ("", False, ())


def test_a_contiguous_job_that_runs_is_fixed_until_its_estimated_end():
    network = Network()
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(SOLAR, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    network.report("j-1.1", Phase.RUNNING, units=500)
    view = views(network, 1.2)["j-1"]
    assert (view.pool, view.fixed, view.units_done) == (SOLAR, True, 500)
    assert view.segments == (segment(SOLAR, 1.2, 2.2),)


def test_a_pausable_job_moves_until_it_is_about_to_end():
    network = Network()
    network.submit(job("j-1", interruptible=True))
    network.plan(assignment("j-1", segment(SOLAR, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    assert not views(network, 1)["j-1"].fixed
    network.report("j-1.1", Phase.RUNNING, units=950)
    assert views(network, 1)["j-1"].fixed


def test_a_started_job_that_cannot_be_in_time_gets_more_time():
    network = Network()
    spec = job("j-1", deadline_ms=START_MS + 3 * HOUR_MS)
    network.submit(spec)
    network.plan(assignment("j-1", segment(SOLAR, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    network.tell(AgentLost(site=SiteId("es-solar")))
    margin_ms = network.state.world.network.policy.finish_margin_ms
    assert views(network, 0)["j-1"].spec == replace(spec, deadline_ms=spec.deadline_ms - margin_ms)
    late = views(network, 2.9)["j-1"].spec
    assert late.deadline_ms > START_MS + 5 * HOUR_MS
    assert replace(late, deadline_ms=spec.deadline_ms) == spec


@pytest.mark.parametrize("after_h", [2.5, 2.9, 3.55, 100.1])
@pytest.mark.parametrize("restart_ms", [MINUTE_MS, 2 * SLOT_MS, 9 * SLOT_MS])
def test_a_job_stopped_with_nothing_left_but_its_end_can_always_start_again(after_h, restart_ms):
    network = with_forecasts(Network())
    network.submit(job("j-1", interruptible=True, stop_ms=restart_ms, deadline_ms=START_MS + 3 * HOUR_MS))
    network.plan(assignment("j-1", segment(HYDRO, 0, 1)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(1)
    network.report("j-1.1", Phase.SUSPENDED, units=1_000, checkpoint=1_000)
    network.wait(after_h - 1)
    with_forecasts(network)
    found = plan(take_snapshot(network.state.world, network.at_ms))
    assert found.unplaced == ()
    assert [one.job for one in found.assignments] == ["j-1"]


def test_what_has_ended_is_not_seen():
    network = Network()
    network.submit(job("j-1"), job("j-2"))
    network.tell(CancelRequested(job=JobId("j-1")))
    assert list(views(network, 0)) == ["j-2"]


slots_total = st.integers(1, 20)
moments = st.integers(-30 * SLOT_MS, 30 * SLOT_MS)


@given(moments, st.integers(1, 10 * SLOT_MS), slots_total)
def test_a_segment_takes_exactly_the_slots_it_touches(from_ms, length_ms, slots):
    piece = replace(segment(HYDRO, 0, 1, 3), start_ms=START_MS + from_ms, end_ms=START_MS + from_ms + length_ms)
    taken = {}
    add(taken, [piece], START_MS, SLOT_MS, slots)
    expected = [
        3 if piece.start_ms < START_MS + (n + 1) * SLOT_MS and piece.end_ms > START_MS + n * SLOT_MS else 0
        for n in range(slots)
    ]
    assert taken[HYDRO].tolist() == expected
    first, last = slot_range(piece, START_MS, SLOT_MS, slots)
    assert 0 <= first <= last <= slots


def test_occupancy_leaves_out_whom_it_is_told_to():
    network = Network()
    network.submit(job("j-1"), job("j-2"))
    network.plan(assignment("j-1", segment(HYDRO, 1, 2)), assignment("j-2", segment(HYDRO, 1.5, 2.5)))

    def taken(*without: str) -> list[int]:
        return occupied(network.state.world, START_MS, 12, without, (HYDRO,))[HYDRO].tolist()

    assert taken() == [0] * 4 + [1, 1, 2, 2, 1, 1, 0, 0]
    assert taken("j-1") == [0] * 6 + [1] * 4 + [0] * 2
    assert taken("j-1", "j-2") == [0] * 12


def test_what_will_not_come_takes_no_room_elsewhere():
    """A job given a later stretch on another pool, and about to end where it is, holds only where it is."""
    network = Network()
    network.submit(job("j-1", interruptible=True))
    network.plan(assignment("j-1", segment(SOLAR, 0, 1), segment(HYDRO, 2, 3)))
    network.report("j-1.1", Phase.RUNNING)
    world = network.state.world
    later = [0] * 8 + [1] * 4
    assert occupied(world, START_MS, 12, (), (HYDRO,))[HYDRO].tolist() == later
    network.report("j-1.1", Phase.RUNNING, units=990)
    held = occupied(world, START_MS, 12, (), (HYDRO, SOLAR))
    assert (held[HYDRO].tolist(), held[SOLAR].tolist()) == ([0] * 12, [1] + [0] * 11)


def test_a_start_by_is_planned_with_a_margin_until_the_job_has_begun():
    network = Network()
    margin_ms = network.state.world.network.policy.finish_margin_ms
    start_by_ms = START_MS + 2 * HOUR_MS
    network.submit(job("j-1", start_by_ms=start_by_ms), job("j-2", start_by_ms=START_MS + margin_ms))
    assert views(network, 0)["j-1"].spec.start_by_ms == start_by_ms - margin_ms
    assert views(network, 0)["j-2"].spec.start_by_ms == START_MS + margin_ms // 2
    assert views(network, 1.99)["j-1"].spec.start_by_ms == start_by_ms
    network.plan(assignment("j-1", segment(SOLAR, 0, 2)))
    assert views(network, 1)["j-1"].spec.start_by_ms == start_by_ms - margin_ms
    assert views(network, 3)["j-1"].spec.start_by_ms == 0
    network.report("j-1.1", Phase.RUNNING)
    assert views(network, 1)["j-1"].spec.start_by_ms == 0
    network.report("j-1.1", Phase.SUSPENDED)
    assert views(network, 1)["j-1"].spec.start_by_ms == 0
