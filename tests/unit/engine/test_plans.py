"""Commit of a plan: what still fits is taken, the rest goes back with its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine.snapshots import dump, load
from sunward.model.commands import JobChanged, OrdersChanged, Rejected, RequestPlan
from sunward.model.events import AgentLost, CancelRequested
from sunward.model.identity import JobId, SiteId
from sunward.model.job import JobState
from sunward.model.plan import IMMEDIATE, AwakeTarget, ShadowPrice
from sunward.model.site import Phase
from sunward.units import HOUR_MS
from sunward.world.tick import take_new, take_tick
from tests.support.network import COAL, HYDRO, SOLAR, Network, assignment, of_kind, segment, unplaced
from tests.support.scenarios import START_MS, job


def reasons(commands) -> dict[str, str]:
    return {one.job: one.reason for one in of_kind(commands, Rejected)}


@pytest.fixture
def network() -> Network:
    network = Network()
    network.submit(*(job(f"j-{n}", gpus=2) for n in range(1, 5)))
    return network


def test_what_was_read_has_changed_since(network):
    network.plan(assignment("j-1", segment(HYDRO, 1, 3, 2)))
    stale = replace(assignment("j-1", segment(SOLAR, 1, 3, 2)), revision=network.number("revision", "j-1") + 1)
    commands = network.plan(stale, assignment("j-2", segment(SOLAR, 1, 3, 2)))
    assert reasons(commands) == {"j-1": "revision"}
    assert RequestPlan(reason="rejected") in commands
    assert network.cell("segments", "j-1") == (segment(HYDRO, 1, 3, 2),)
    assert network.job_state("j-2") is JobState.PLACED


def test_changes_of_a_job_that_had_a_plan_are_counted(network):
    network.plan(assignment("j-1", segment(HYDRO, 1, 3, 2)))
    assert network.state.world.plan_changes == 0
    for planned in ((1, 3), (1, 4), (2, 4), (1, 3)):
        network.plan(assignment("j-1", segment(HYDRO, *planned, 2)))
    # The second only gave it longer, the first changed nothing.
    assert (network.state.world.plan_changes, network.number("plan_changes", "j-1")) == (2, 2)
    network.plan(assignment("j-1", segment(HYDRO, 1, 2, 2), segment(HYDRO, 3, 4, 2)))
    network.plan(assignment("j-1", segment(COAL, 1, 2, 2), segment(HYDRO, 3, 4, 2)))
    assert network.number("plan_changes", "j-1") == 4


def test_capacity_is_counted_slot_by_slot(network):
    commands = network.plan(
        assignment("j-1", segment(HYDRO, 1, 3, 2)),
        assignment("j-2", segment(HYDRO, 1, 3, 2)),
        assignment("j-3", segment(HYDRO, 2.9, 4, 2)),
        assignment("j-4", segment(HYDRO, 3, 4, 2)),
    )
    assert reasons(commands) == {"j-3": "capacity"}


def test_what_ended_and_where_nobody_is(network):
    network.tell(CancelRequested(job=JobId("j-1")), AgentLost(site=SiteId("es-solar")))
    commands = network.plan(
        assignment("j-1", segment(HYDRO, 1, 3, 2)),
        assignment("j-2", segment(SOLAR, 1, 3, 2)),
        assignment("j-3", segment("no-such/L4", 1, 3, 2)),
        assignment("j-4", segment(COAL, 1, 3, 2)),
        assignment("j-9", segment(COAL, 4, 5, 2)),
    )
    assert reasons(commands) == {"j-1": "ended", "j-2": "site away", "j-3": "site away", "j-9": "ended"}
    assert [one.job for one in of_kind(commands, JobChanged)] == ["j-4"]


def test_a_rejected_job_keeps_its_place_and_nobody_else_gets_it(network):
    """A swap of which one half fails must not oversubscribe the other half."""
    network.plan(
        *(assignment(f"j-{n}", segment(pool, 1, 3, 2)) for n, pool in ((1, HYDRO), (2, HYDRO), (3, SOLAR), (4, SOLAR)))
    )
    stale = replace(assignment("j-3", segment(HYDRO, 1, 3, 2)), revision=99)
    commands = network.plan(assignment("j-1", segment(SOLAR, 1, 3, 2)), stale)
    assert reasons(commands) == {"j-1": "capacity", "j-3": "revision"}
    assert network.cell("segments", "j-1") == (segment(HYDRO, 1, 3, 2),)


def test_a_swap_that_fits_is_taken(network):
    network.plan(
        *(assignment(f"j-{n}", segment(pool, 1, 3, 2)) for n, pool in ((1, HYDRO), (2, HYDRO), (3, SOLAR), (4, SOLAR)))
    )
    commands = network.plan(assignment("j-1", segment(SOLAR, 1, 3, 2)), assignment("j-3", segment(HYDRO, 1, 3, 2)))
    assert reasons(commands) == {}


def test_one_crowded_out_crowds_out_who_came_in_its_place(network):
    network.plan(assignment("j-1", segment(COAL, 1, 3, 2)), assignment("j-2", segment(SOLAR, 1, 3, 4)))
    network.plan(assignment("j-3", segment(HYDRO, 1, 3, 4)))
    commands = network.plan(
        assignment("j-4", segment(COAL, 1, 3, 2)),
        assignment("j-1", segment(SOLAR, 1, 3, 2)),
        assignment("j-2", segment(HYDRO, 1, 3, 2)),
    )
    assert reasons(commands) == {"j-1": "capacity", "j-2": "capacity", "j-4": "capacity"}


def test_a_place_left_in_the_same_plan_can_be_taken(network):
    network.plan(assignment("j-1", segment(COAL, 1, 3, 2)))
    commands = network.plan(assignment("j-2", segment(COAL, 1, 3, 2)), leave=(unplaced("j-1"),))
    assert reasons(commands) == {}
    assert network.job_state("j-1") is JobState.SUBMITTED


def test_past_segments_take_nothing(network):
    """What lies before the horizon must not wrap round to its end."""
    network.submit(job("j-5", gpus=2, interruptible=True))
    network.plan(assignment("j-5", segment(COAL, 0, 1, 2), segment(COAL, 6, 7, 2)))
    network.report("j-5.1", Phase.RUNNING)
    network.wait(1)
    network.report("j-5.1", Phase.SUSPENDED, units=500, checkpoint=500)
    network.wait(4)
    commands = network.plan(assignment("j-2", segment(COAL, 7, 9, 2)), assignment("j-3", segment(COAL, 6.5, 7, 2)))
    assert reasons(commands) == {"j-3": "capacity"}


def test_a_running_job_counts_by_the_work_that_is_left(network):
    """The planner goes by progress; a commit that went by the old plan would refuse it again and again."""
    network.submit(job("j-5", gpus=2, length_ms=HOUR_MS))
    network.plan(assignment("j-5", segment(SOLAR, 0, 1, 2)), assignment("j-1", segment(SOLAR, 0, 2, 2)))
    network.report("j-5.1", Phase.RUNNING)
    network.wait(0.3)
    network.report("j-5.1", Phase.RUNNING, units=900)
    commands = network.plan(assignment("j-2", segment(SOLAR, 0.5, 2.5, 2)))
    assert reasons(commands) == {}
    network.wait(0.2)
    assert network.job_state("j-2") is JobState.PLACED
    network.report("j-5.1", Phase.FINISHED, units=1_000)
    assert network.job_state("j-2") is JobState.STAGING


def test_awake_counts_follow_the_plan_and_its_timers(network):
    target = AwakeTarget(pool=SOLAR, start_ms=START_MS + HOUR_MS, end_ms=START_MS + 2 * HOUR_MS, count=3)
    network.plan(awake=(target,))
    assert [one.count for one in network.orders("es-solar").awake] == [0]
    commands = network.wait(1)
    assert OrdersChanged(site=SiteId("es-solar")) in commands
    assert [one.count for one in network.orders("es-solar").awake] == [3]
    network.wait(1)
    assert [one.count for one in network.orders("es-solar").awake] == [0]
    network.plan()
    assert network.state.world.awake == {}


def test_what_leases_hold_is_awake_whatever_was_planned(network):
    network.plan(assignment("j-1", segment(HYDRO, 0, 2, 2)))
    assert [one.count for one in network.orders("no-hydro").awake] == [2]


def target(from_h: float, to_h: float, count: int) -> AwakeTarget:
    held = segment(HYDRO, from_h, to_h)
    return AwakeTarget(pool=HYDRO, start_ms=held.start_ms, end_ms=held.end_ms, count=count)


def test_a_plan_that_adds_leaves_the_rest_awake_and_adds_what_it_needs(network):
    coal = AwakeTarget(pool=COAL, start_ms=START_MS, end_ms=START_MS + HOUR_MS, count=1)
    network.plan(assignment("j-1", segment(HYDRO, 1, 3, 2)), awake=(target(1, 3, 2), coal))
    network.plan(assignment("j-2", segment(HYDRO, 2, 4, 2)), awake=(target(2, 4, 3),), planner=IMMEDIATE)
    assert network.state.world.awake == {
        HYDRO: (target(1, 2, 2), target(2, 3, 4), target(3, 4, 3)),
        COAL: (coal,),
    }, "at most as many as there are"


def test_a_full_plan_keeps_what_was_added_since_it_was_made(network):
    before = network.state.world.sequence
    network.plan(assignment("j-1", segment(HYDRO, 1, 3, 2)), awake=(target(1, 3, 2),), planner=IMMEDIATE)
    network.plan(awake=(target(0, 2, 1),), based_on=before)
    added = (target(0, 1, 1), target(1, 2, 3), target(2, 3, 2))
    assert network.state.world.awake == {HYDRO: added}
    assert load(dump(network.state)).world.added_awake == network.state.world.added_awake != []
    network.plan(awake=(target(1, 3, 2),))
    assert network.state.world.awake == {HYDRO: (target(1, 3, 2),)}
    assert network.state.world.added_awake == []


def test_a_new_job_without_room_asks_for_a_full_plan(network):
    assert RequestPlan(reason="unplaced") in network.plan(leave=(unplaced("j-1"),), planner=IMMEDIATE)
    assert of_kind(network.plan(leave=(unplaced("j-2"),)), RequestPlan) == []
    refused = network.plan(leave=(unplaced("j-3", permanent=True),), planner=IMMEDIATE)
    assert of_kind(refused, RequestPlan) == []


def test_new_work_that_starts_at_once_is_learnt_and_comes_back_with_the_state(network):
    network.plan(
        assignment("j-1", segment(HYDRO, 0.02, 3.02, 2)), assignment("j-2", segment(SOLAR, 1, 3, 2)), planner=IMMEDIATE
    )
    network.plan(assignment("j-3", segment(HYDRO, 0, 1, 2)))
    world = network.state.world
    expected = take_tick(world, network.at_ms).expected
    assert expected is not None
    assert (expected.containers, expected.work_h, expected.pools) == (2, 6, (HYDRO,))
    assert load(dump(network.state)).world.arrivals == world.arrivals


def test_shadow_prices_are_those_of_the_newest_full_plan(network):
    price = ShadowPrice(pool=HYDRO, start_ms=START_MS + HOUR_MS, end_ms=START_MS + 2 * HOUR_MS, usd_micro_per_h=40_000)
    network.plan(prices=(price,))
    network.plan(planner=IMMEDIATE)
    for world in (network.state.world, load(dump(network.state)).world):
        snapshot = take_new(world, network.at_ms)
        assert snapshot.shadow_usd_micro_per_h is not None
        assert snapshot.shadow_usd_micro_per_h[snapshot.pools.ids.index(HYDRO), :9].tolist() == [0] * 4 + [
            40_000
        ] * 4 + [0]
        assert snapshot.shadow_usd_micro_per_h.sum() == 4 * 40_000
    network.plan()
    assert take_new(network.state.world, network.at_ms).shadow_usd_micro_per_h is None
