"""Tenants take turns by weight where containers are scarce, and only there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
import pytest

from sunward.model.identity import TenantId
from sunward.model.plan import Plan, PolicyInputs
from sunward.placement.immediate import place
from sunward.placement.planner import plan
from sunward.placement.shares import Shares
from sunward.sim.plan_checker import check_plan
from sunward.units import HOUR_MS
from sunward.world.snapshot import JobView, Snapshot, Standing
from tests.support.crowds import Asked
from tests.support.crowds import crowd as counted_together
from tests.support.snapshots import NOW_MS, Pool, job, segment, snapshot

SHARES = PolicyInputs(tenant_shares=(("a", 3), ("b", 1)))
NEUTRAL = PolicyInputs()
FLEET = (Pool(id="es", count=4),)


def crowd(tenant: str, count: int, *, due_h: float = 60.0, prefix: str = "", **fields: object) -> list[JobView]:
    return [
        job(f"{tenant}-{prefix}{number:03d}", due_h=due_h, tenant=TenantId(tenant), **fields) for number in range(count)
    ]


def world(jobs: Sequence[JobView], policy: PolicyInputs = SHARES, hours: int = 60) -> Snapshot:
    return snapshot(FLEET, jobs, slots=hours, slot_ms=HOUR_MS, policy=policy)


def many(tenant: str, count: int, *, due_h: float = 60.0, hours: float = 1.0, given: bool = False) -> list[Asked]:
    """As `crowd`, counted together; `given` the hours one after another, four jobs each."""
    places = [(0, number // 4, number // 4 + hours) if given else None for number in range(count)]
    return [
        Asked(id=f"{tenant}-{number:03d}", tenant=tenant, due_h=due_h, hours=hours, given=place)
        for number, place in enumerate(places)
    ]


def counted(jobs: Sequence[Asked], policy: PolicyInputs = SHARES) -> Snapshot:
    return replace(world([], policy), crowd=counted_together(jobs))


def started(made: Plan) -> list[tuple[int, str]]:
    """Hour of start and tenant of every assignment, in order of time."""
    found = (((one.segments[0].start_ms - NOW_MS) // HOUR_MS, one.job[0]) for one in made.assignments)
    return sorted(found)


@pytest.mark.parametrize("together", [False, True])
def test_three_to_one_over_any_window_of_a_full_fleet(together: bool) -> None:  # noqa: FBT001
    full = counted(many("a", 100) + many("b", 100)) if together else world(crowd("a", 100) + crowd("b", 100))
    made = plan(full)
    assert check_plan(full, made) == []
    assert len(made.assignments) == 200
    by_hour = [[tenant for hour, tenant in started(made) if hour == at] for at in range(50)]
    contested = by_hour[: 100 // 3]
    for first in range(len(contested)):
        for last in range(first + 1, len(contested) + 1):
            window = [tenant for hour in contested[first:last] for tenant in hour]
            assert abs(window.count("a") - 0.75 * len(window)) <= 1
    assert {tenant for hour in by_hour[34:] for tenant in hour} == {"b"}, "what one does not need, the other gets"


def test_where_not_all_fit_each_gets_its_share_of_what_does() -> None:
    made = plan(world(crowd("a", 100, due_h=10) + crowd("b", 100, due_h=10)))
    assert [sum(tenant == one for _, tenant in started(made)) for one in "ab"] == [30, 10]
    assert {one.reason for one in made.unplaced} == {"capacity"}


def test_longer_jobs_take_fewer_turns() -> None:
    made = plan(world(crowd("a", 30, hours=2.0, due_h=12) + crowd("b", 30, due_h=12)))
    hours = {"a": 2 * sum(tenant == "a" for _, tenant in started(made)), "b": 0}
    hours["b"] = sum(tenant == "b" for _, tenant in started(made))
    assert sum(hours.values()) == 48
    assert abs(hours["a"] - 36) <= 2


def test_a_tenant_without_a_weight_weighs_one_and_nobody_starves() -> None:
    made = plan(world(crowd("a", 50, due_h=10) + crowd("b", 50, due_h=10) + crowd("c", 50, due_h=10)))
    assert [sum(tenant == one for _, tenant in started(made)) for one in "abc"] == [24, 8, 8]


def test_what_runs_counts_and_is_left_alone() -> None:
    running = [
        replace(one, pool="es", fixed=True, segments=(segment("es", 0, 5),))
        for one in crowd("b", 2, hours=5.0, prefix="run")
    ]
    made = plan(world(running + crowd("a", 40, due_h=10) + crowd("b", 40, due_h=10)))
    assert [sum(tenant == one for _, tenant in started(made)) for one in "ab"] == [30, 0]


def test_what_is_held_by_jobs_that_are_not_looked_at_counts() -> None:
    full = world(crowd("a", 100, due_h=10) + crowd("b", 100, due_h=10))
    nothing = np.zeros((1, 60), dtype=np.int64)
    held = Standing(taken=nothing, busy=nothing[:, 0], tenants=(("b", 4 * HOUR_MS),))
    made = plan(replace(full, standing=held))
    assert [sum(tenant == one for _, tenant in started(made)) for one in "ab"] == [33, 7]


def test_without_scarcity_nothing_changes() -> None:
    few = crowd("a", 9) + crowd("b", 9, hours=3.0)
    wide = (Pool(id="es", count=18), Pool(id="no", count=18, ask=0.9))
    plans = [plan(snapshot(wide, few, slots=60, slot_ms=HOUR_MS, policy=policy)) for policy in (NEUTRAL, SHARES)]
    assert plans[0] == plans[1]


def test_a_late_tenant_gets_its_turns_and_no_promise_is_broken() -> None:
    early = plan(world(crowd("a", 100, due_h=40)))
    given = {one.job: one.segments for one in early.assignments}
    waiting = [replace(one, segments=given[one.spec.job], revision=2) for one in crowd("a", 100, due_h=40)]
    both = world([*waiting, *crowd("b", 20, due_h=40)])
    made = plan(both)
    assert check_plan(both, made) == []
    assert not {one.job for one in made.unplaced} & set(given)
    assert {one.job for one in made.assignments} >= {f"b-{number:03d}" for number in range(20)}
    first = [one for one in made.assignments if one.job[0] == "b" and one.segments[0].start_ms < NOW_MS + 8 * HOUR_MS]
    assert len(first) == 8


def test_a_turn_is_worth_more_than_the_margin_against_restlessness() -> None:
    """What others planned first is no reason to stay behind them; what is free anyway is none to move for little."""
    slow = replace(SHARES, delay_ppm_per_h=2_000)
    early = plan(world(crowd("a", 40, due_h=40), slow))
    given = {one.job: one.segments for one in early.assignments}
    late = [replace(one, segments=(segment("es", 10 + n // 4, 11 + n // 4),)) for n, one in enumerate(crowd("b", 8))]
    waiting = [replace(one, segments=given[one.spec.job]) for one in crowd("a", 40, due_h=40)]
    moved = {one.job: one.segments[0].start_ms for one in plan(world([*waiting, *late], slow)).assignments}
    assert sorted((moved[one.spec.job] - NOW_MS) // HOUR_MS for one in late) == list(range(8))
    assert plan(world(late, slow)).assignments == ()


def test_a_promise_comes_before_a_turn() -> None:
    early = plan(world(crowd("a", 40, due_h=10)))
    given = {one.job: one.segments for one in early.assignments}
    assert len(given) == 40
    waiting = [replace(one, segments=given[one.spec.job], revision=2) for one in crowd("a", 40, due_h=10)]
    made = plan(world([*waiting, *crowd("b", 5, due_h=10)]))
    assert (made.assignments, {one.job[0] for one in made.unplaced}) == ((), {"b"})


def test_the_order_of_arrival_of_jobs_and_weights_is_no_matter() -> None:
    jobs = crowd("a", 20, due_h=8) + crowd("b", 20, due_h=8) + crowd("c", 20, due_h=8)
    turned = replace(SHARES, tenant_shares=SHARES.tenant_shares[::-1])
    made = plan(world(jobs))
    other = replace(world(jobs[::-1], turned), jobs=tuple(jobs[::-1]))
    assert (made.assignments, made.unplaced) == (plan(other).assignments, plan(other).unplaced)


def test_new_jobs_take_turns_too() -> None:
    full = world(crowd("a", 30, due_h=5) + crowd("b", 30, due_h=5))
    made = place(full)
    assert [sum(tenant == one for _, tenant in started(made)) for one in "ab"] == [15, 5]


def test_a_crowd_gets_its_shares_of_what_fits() -> None:
    made = plan(counted(many("a", 100, due_h=10) + many("b", 100, due_h=10)))
    assert [sum(tenant == one for _, tenant in started(made)) for one in "ab"] == [30, 10]
    longer = plan(counted(many("a", 60, hours=2, due_h=10) + many("b", 60, due_h=10)))
    held = {one: sum(tenant == one for _, tenant in started(longer)) for one in "ab"}
    assert 2 * held["a"] + held["b"] == 40
    assert abs(2 * held["a"] - 30) <= 2


def test_what_others_of_a_crowd_hold_counts_and_so_do_single_jobs() -> None:
    running = [replace(one, pool="es", fixed=True, segments=(segment("es", 0, 5),)) for one in crowd("b", 2, hours=5.0)]
    made = plan(replace(counted(many("a", 40, due_h=10) + many("c", 40, due_h=10)), jobs=tuple(running)))
    assert [sum(tenant == one for _, tenant in started(made)) for one in "ac"] == [22, 8]


def test_a_late_tenant_of_a_crowd_gets_its_turns_and_no_promise_is_broken() -> None:
    both = counted(many("a", 100, due_h=40, given=True) + many("b", 20, due_h=40))
    made = plan(both)
    assert check_plan(both, made) == []
    assert made.unplaced == ()
    first = [one for one in made.assignments if one.job[0] == "b" and one.segments[0].start_ms < NOW_MS + 12 * HOUR_MS]
    assert len(first) >= 10
    again = counted(many("a", 100, due_h=40, given=True) + many("b", 20, due_h=40), NEUTRAL)
    assert all(one.segments[0].start_ms >= NOW_MS + 25 * HOUR_MS for one in plan(again).assignments)


def test_a_promise_of_a_crowd_comes_before_a_turn() -> None:
    made = plan(counted(many("a", 40, due_h=10, given=True) + many("b", 5, due_h=10)))
    assert (made.assignments, {one.job[0] for one in made.unplaced}) == ((), {"b"})


def test_nobody_is_pushed_aside_by_who_holds_more() -> None:
    shares = Shares((("a", 2), ("b", 1)))
    assert [shares.may_displace(*pair) for pair in ("ab", "ba", "aa")] == [False, False, True]
    shares.add("a", 30)
    shares.add("b", 10)
    assert [shares.may_displace(*pair) for pair in ("ab", "ba")] == [False, True]
    assert Shares(()).may_displace("a", "b")


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (7, 3), (1_000_000, 1)])
def test_every_prefix_of_equal_turns_is_within_one_job_of_the_weights(weights: tuple[int, int]) -> None:
    shares = Shares((("a", weights[0]), ("b", weights[1])))
    taken = []
    for tenant in shares.turns(["a"] * 60 + ["b"] * 60, str):
        shares.add(tenant, HOUR_MS)
        taken.append(tenant)
    until = max(index for index, tenant in enumerate(taken) if tenant == "a")
    for count, held in enumerate(accumulate(tenant == "a" for tenant in taken[: until + 1]), start=1):
        assert abs(held - count * weights[0] / sum(weights)) <= 1
