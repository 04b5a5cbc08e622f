"""Plans of crowds break nothing, do not depend on the order of their inputs, and are kept."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sunward.model.codec import encode
from sunward.placement.planner import plan
from sunward.sim.plan_checker import check_plan
from sunward.units import MINUTE_MS
from sunward.world.crowd import Crowd
from sunward.world.snapshot import PoolColumns, Snapshot
from tests.property.test_placement import ZONES, fleets, series, shuffled
from tests.property.test_placement import jobs as single_jobs
from tests.support.crowds import Asked, crowd
from tests.support.snapshots import NOW_MS, Pool, snapshot

SLOTS = 20
QUICK = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def asked(draw: st.DrawFn, name: str, fleet: list[Pool]) -> Asked:
    given_place = None
    hours = draw(st.sampled_from([0.1, 0.3, 1.0, 1.25, 2.2]))
    if draw(st.integers(0, 3)) == 0:
        begins = draw(st.sampled_from([0.0, 0.25, 1.0]))
        given_place = (
            draw(st.integers(0, len(fleet) - 1)),
            begins,
            begins + hours * draw(st.sampled_from([0.6, 1, 2])),
        )
    return Asked(
        id=name,
        hours=hours,
        due_h=draw(st.sampled_from([0.7, 2.4, 3.01, 4.0, 9.0])),
        work_class=draw(st.sampled_from([0, 5])),
        gpus=draw(st.sampled_from([1, 1, 2, 3])),
        memory_gib=draw(st.sampled_from([0, 0, 80])),
        models=draw(st.sampled_from([(), (), ("h100",)])),
        countries=draw(st.sampled_from([(), (), ("NO",), ("ES", "PL")])),
        providers=draw(st.sampled_from([(), ("s0",)])),
        opens_h=draw(st.sampled_from([0.0, 0.0, 0.6])),
        start_by_h=draw(st.sampled_from([None, None, 0.02, 1.0])),
        carbon_price=draw(st.sampled_from([0, 100, 5_000])),
        budget_usd_micro=draw(st.sampled_from([0, 0, 1_000_000, 4_000_000])),
        data_bytes=draw(st.sampled_from([0, 10**10])),
        origin=draw(st.sampled_from(["", "NO", "KR", "nowhere"])),
        pausable=draw(st.booleans()),
        given=given_place,
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    fleet = draw(fleets())
    ceilings = {
        site: [draw(st.sampled_from([900.0, 2_000.0]))] * SLOTS for site in ("s0", "s1") if draw(st.integers(0, 3)) == 0
    }
    kinds = [draw(asked("", fleet)) for _ in range(draw(st.integers(1, 4)))]
    many = [replace(draw(st.sampled_from(kinds)), id=f"c{number:02}") for number in range(draw(st.integers(1, 12)))]
    world = snapshot(
        fleet,
        [draw(single_jobs(f"j{number}", fleet)) for number in range(draw(st.integers(0, 2)))],
        slots=SLOTS,
        now_ms=NOW_MS + draw(st.sampled_from([0, 1, 7 * MINUTE_MS])),
        carbon={zone: draw(series) for zone in ZONES},
        ceiling_w=ceilings,
    )
    return replace(world, crowd=crowd(many))


def shuffled_crowd(many: Crowd, pools: list[int], order: list[int]) -> Crowd:
    """The same crowd with its rows in another order, on pools whose rows are in another order."""
    rows = sorted(range(len(many.ids)), key=lambda row: (order[row % len(order)], row))
    columns = {}
    for column in fields(Crowd):
        values = getattr(many, column.name)
        columns[column.name] = values[rows] if isinstance(values, np.ndarray) else values
    moved = np.array([-1 if row < 0 else pools.index(row) for row in columns["pool"].tolist()], dtype=np.int64)
    return replace(many, **{**columns, "ids": tuple(many.ids[row] for row in rows), "pool": moved})


@QUICK
@given(snapshots())
def test_no_plan_of_a_crowd_breaks_a_constraint(world: Snapshot) -> None:
    assert check_plan(world, plan(world)) == []


@QUICK
@given(snapshots(), st.permutations(range(6)))
def test_a_crowd_in_any_order_gets_the_same_plan(world: Snapshot, order: list[int]) -> None:
    assert world.crowd is not None
    other = shuffled(world, order)
    pools: PoolColumns = world.pools
    rows = [pools.ids.index(pool) for pool in other.pools.ids]
    assert encode(plan(replace(other, crowd=shuffled_crowd(world.crowd, rows, order)))) == encode(plan(world))


@QUICK
@given(snapshots())
def test_what_is_planned_once_is_kept(world: Snapshot) -> None:
    """A second look at the same moment changes nothing."""
    assert world.crowd is not None
    first = plan(replace(world, jobs=()))
    placed = {one.job: one.segments[0] for one in first.assignments if len(one.segments) == 1}
    row = {pool: at for at, pool in enumerate(world.pools.ids)}
    many = world.crowd
    given_place = [placed.get(job) for job in many.ids]
    kept = {
        "pool": [old if one is None else row[one.pool] for one, old in zip(given_place, many.pool, strict=True)],
        "start_ms": [old if one is None else one.start_ms for one, old in zip(given_place, many.start_ms, strict=True)],
        "end_ms": [old if one is None else one.end_ms for one, old in zip(given_place, many.end_ms, strict=True)],
    }
    columns = {name: np.array(values, dtype=np.int64) for name, values in kept.items()}
    again = plan(replace(world, jobs=(), crowd=replace(many, **columns)))
    assert not set(placed) & {one.job for one in again.assignments}
    assert check_plan(replace(world, jobs=(), crowd=replace(many, **columns)), again) == []
