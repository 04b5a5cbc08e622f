"""Power limits as choices of the planner: never against a constraint, never dearer than none or than with less time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.model.codec import encode
from sunward.model.plan import Assignment
from sunward.placement.caps import worth
from sunward.placement.demand import Demand, demand_of
from sunward.placement.fleet import fleet_of
from sunward.placement.planner import plan, quote
from sunward.sim.plan_checker import check_plan
from sunward.units import HOUR_MS, PPM
from sunward.verification.plan_bound import certify
from sunward.world.snapshot import JobView, Snapshot
from tests.support.snapshots import NOW_MS, Pool, job, segment, snapshot

SLOTS = 24
QUICK = settings(max_examples=40, deadline=None)
CAPS = ((300, 300.0, 0.96), (250, 240.0, 0.9), (200, 190.0, 0.8))
"""Of a pool that draws 400 W at rate 1."""

carbons = st.lists(st.integers(20, 900), min_size=1, max_size=SLOTS).map(lambda values: {"NO": values, "SE": values})
asks = st.sampled_from([0.0, 0.001, 0.02, 1.0])


@st.composite
def worlds(draw, caps: tuple[tuple[int, float, float], ...] = CAPS, most: int = 3) -> Snapshot:
    """A few pools, some with limits, and jobs that wait or run, in one piece or with pauses."""
    pools = [
        Pool(id="a/x", zone="NO", count=3, ask=draw(asks), caps=caps, overhead=1.2, awake=1, wake_j=2_000.0),
        Pool(id="b/y", zone="SE", count=2, ask=draw(asks), rate=1.5, busy_w=600.0, caps=caps[:2]),
        Pool(id="c/z", zone="SE", count=1, ask=draw(asks), rate=0.5, closed=(5, 6)),
    ]
    return snapshot(
        pools,
        [draw(jobs(f"j{number}")) for number in range(draw(st.integers(1, most)))],
        slots=SLOTS,
        now_ms=NOW_MS + draw(st.sampled_from([0, 1, 400_000])),
        carbon=draw(carbons),
        ceiling_w={"a/x": [draw(st.sampled_from([600.0, 900.0, 5_000.0]))]},
    )


@st.composite
def jobs(draw, name: str) -> JobView:
    hours = draw(st.floats(0.3, 2.5))
    running = draw(st.booleans())
    return job(
        name,
        hours=hours,
        due_h=draw(st.floats(1.0, 6.0)),
        units=draw(st.sampled_from([1, 400])),
        interruptible=draw(st.booleans()),
        carbon_price_usd_per_t=draw(st.sampled_from([0, 100, 5_000])),
        max_slowdown_ppm=draw(st.sampled_from([0, 0, -1, 50_000, 120_000])),
        **({"pool": "a/x", "elapsed_ms": 600_000} if running else {}),
    )


def total(found: object) -> int:
    return found.terms.total if isinstance(found, Assignment) else 2**62


@QUICK
@given(worlds())
def test_no_plan_with_limits_breaks_a_constraint(world: Snapshot) -> None:
    assert check_plan(world, plan(world)) == []


@QUICK
@given(st.lists(st.floats(0.4, 1.6), min_size=4, max_size=9), carbons)
def test_plans_of_scarce_containers_with_limits_break_no_constraint(
    lengths: list[float], carbon: dict[str, list[int]]
) -> None:
    """Shadow prices lead: every job wants the same clean hours."""
    asked = [
        job(f"j{at}", hours=hours, due_h=5.5, interruptible=at % 3 == 0, carbon_price_usd_per_t=5_000)
        for at, hours in enumerate(lengths)
    ]
    world = snapshot([Pool(id="a/x", count=2, ask=0.0, caps=CAPS)], asked, slots=SLOTS, carbon=carbon)
    assert check_plan(world, plan(world)) == []


@QUICK
@given(worlds(most=1))
def test_a_limit_is_never_dearer_than_none(world: Snapshot) -> None:
    bare = replace(world, pools=replace(world.pools, caps=None))
    (view,) = world.jobs
    assert total(quote(world, view.spec)) <= total(quote(bare, view.spec))


@QUICK
@given(worlds(most=1), st.floats(0, 3))
def test_more_time_never_costs_more(world: Snapshot, hours: float) -> None:
    spec = replace(world.jobs[0].spec, interruptible=False)
    later = replace(spec, deadline_ms=spec.deadline_ms + round(hours * HOUR_MS))
    assert total(quote(world, later)) <= total(quote(world, spec))


@QUICK
@given(worlds(most=2))
def test_where_no_limit_is_allowed_plans_are_those_of_pools_without(world: Snapshot) -> None:
    never = tuple(replace(one, spec=replace(one.spec, max_slowdown_ppm=-1)) for one in world.jobs)
    bare = replace(world, pools=replace(world.pools, caps=None), jobs=never)
    found = plan(replace(world, jobs=never))
    assert encode(found) == encode(plan(bare))
    assert not any(part.power_cap_w for one in found.assignments for part in one.segments)


@QUICK
@given(st.floats(0.5, 3), st.floats(0, 0.6), carbons)
def test_a_limit_slows_by_no_more_than_the_deadline_leaves(
    hours: float, slack: float, carbon: dict[str, list[int]]
) -> None:
    world = snapshot([Pool(id="a/x", ask=0.0, caps=CAPS)], slots=SLOTS, carbon=carbon)
    asked = job(hours=hours, due_h=hours * (1 + slack) + 1e-5).spec
    found = quote(world, asked)
    assert isinstance(found, Assignment)
    (run,) = found.segments
    rate = {0: 1.0, **{cap_w: rate for cap_w, _, rate in CAPS}}[run.power_cap_w]
    assert rate >= 1 / (1 + slack) - 1e-4
    assert run.end_ms <= asked.deadline_ms
    assert run.end_ms - run.start_ms >= asked.length_ms / rate - 1


def test_a_lower_limit_takes_less_energy_and_the_plan_says_so() -> None:
    world = snapshot([Pool(id="a/x", ask=0.0, overhead=1.25, caps=CAPS, count=1)], slots=SLOTS)
    energies = []
    for due_h in (2.01, 2.1, 2.3, 2.6):
        found = quote(world, job(hours=2, due_h=due_h, carbon_price_usd_per_t=0).spec)
        assert isinstance(found, Assignment)
        energies.append((found.segments[0].power_cap_w, found.energy_j))
    assert [cap_w for cap_w, _ in energies] == [0, 300, 250, 200]
    for (_, energy_j), (watts, rate) in zip(energies, ((400, 1), (300, 0.96), (240, 0.9), (190, 0.8)), strict=True):
        assert abs(energy_j - 1.25 * watts * 7_200 / rate) < 10


def test_a_dear_container_is_not_slowed_and_costs_the_search_nothing() -> None:

    world = snapshot([Pool(id="a/x", ask=2.0, caps=CAPS), Pool(id="b/x", ask=0.01, caps=CAPS)], slots=SLOTS)
    fleet = fleet_of(world)
    view = job(hours=1, due_h=5)
    assert worth(fleet, view.spec.work_class, 100).any(axis=1).tolist() == [False, True]
    demand = demand_of(fleet, view, {})
    assert isinstance(demand, Demand)
    assert demand.rows.tolist() == [0, 1, 1, 1, 1]
    assert len(demand.costs.run) == 5
    assert {int(PPM * rate) for _, _, rate in CAPS} < set(demand.rate_ppm.tolist())


def test_a_running_job_keeps_its_limit_when_it_would_not_be_chosen_now() -> None:
    here = replace(segment("a/x", 0, 2.1), power_cap_w=300)
    held = job(hours=2, due_h=5, pool="a/x", units_done=40, segments=(here,), power_cap_w=300)
    world = snapshot([Pool(id="a/x", ask=0.6, caps=CAPS)], [held], slots=SLOTS)
    assert check_plan(world, plan(world)) == []
    assert plan(world).assignments == ()


@QUICK
@given(worlds(most=1))
def test_the_certificate_knows_of_limits(world: Snapshot) -> None:
    """Of one job alone the bound is what its plan costs, whatever limit it was given, but for waking and rounding."""
    (view,) = world.jobs
    fresh = replace(view, pool="", elapsed_ms=0, spec=replace(view.spec, interruptible=False, max_slowdown_ppm=0))
    free = replace(world, jobs=(fresh,), pools=replace(world.pools, wake_j=0.0 * world.pools.wake_j))
    free = replace(free, site_ceiling_w=np.full_like(free.site_ceiling_w, np.inf))
    found = quote(free, fresh.spec)
    if not isinstance(found, Assignment):
        return
    told = certify(replace(free, jobs=(replace(fresh, segments=found.segments),)))
    assert told.holds
    assert told.bound_usd_micro <= told.cost_usd_micro + 2
    assert abs(told.cost_usd_micro - found.terms.total) <= 5 * SLOTS
