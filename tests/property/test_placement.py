"""Plans break nothing, do not depend on the order of their inputs, and cost no less when more is asked."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sunward.model.codec import encode
from sunward.model.plan import Assignment, Segment
from sunward.placement.planner import plan, quote
from sunward.sim.plan_checker import check_plan
from sunward.units import HOUR_MS, MINUTE_MS
from sunward.world.snapshot import JobView, PoolColumns, Snapshot
from tests.support.snapshots import NOW_MS, Pool, job, segment, snapshot, spec

SLOTS = 20
ZONES = ("ES", "NO", "PL")
QUICK = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

series = st.lists(st.sampled_from([20.0, 50.0, 170.0, 400.0, 650.0]), min_size=SLOTS, max_size=SLOTS)
pools = st.builds(
    Pool,
    id=st.just(""),
    site=st.sampled_from(["", "s0", "s1"]),
    zone=st.sampled_from(ZONES),
    country=st.sampled_from(ZONES),
    model=st.sampled_from(["a100", "h100"]),
    count=st.integers(1, 4),
    memory_gib=st.sampled_from([48, 80]),
    overhead=st.sampled_from([1.0, 1.08, 1.4]),
    water=st.sampled_from([0.0, 1.8]),
    ask=st.sampled_from([0.5, 1.0, 2.37]),
    rate=st.sampled_from([0.6, 1.0, 1.9, 2.03]),
    wake_j=st.sampled_from([0.0, 50_000.0]),
    wake_ms=st.sampled_from([0, 2 * MINUTE_MS, 20 * MINUTE_MS]),
    awake=st.integers(0, 2),
    admission=st.sampled_from(["anyone", "anyone", "known"]),
)


@st.composite
def fleets(draw: st.DrawFn) -> list[Pool]:
    drawn = draw(st.lists(pools, min_size=1, max_size=4))
    fleet = []
    for number, pool in enumerate(drawn):
        lost = draw(st.integers(0, 4)) == 0
        fleet.append(replace(pool, id=f"p{number}", available=0 if lost else pool.count))
    return fleet


@st.composite
def jobs(draw: st.DrawFn, name: str, fleet: list[Pool]) -> JobView:
    units_done = draw(st.sampled_from([0, 0, 250, 617]))
    present: tuple[Segment, ...] = ()
    pool = ""
    gpus = draw(st.sampled_from([1, 1, 2, 3]))
    fixed = False
    if draw(st.booleans()):
        where = draw(st.sampled_from(fleet)).id
        start = draw(st.sampled_from([-0.5, 0.0, 1.0]))
        present = (segment(where, start, start + draw(st.sampled_from([0.75, 1.3, 2.5])), gpus),)
        pool = where if start <= 0 else ""
        fixed = bool(pool) and draw(st.booleans())
    return job(
        name,
        hours=draw(st.sampled_from([0.3, 1.0, 2.2])),
        due_h=draw(st.sampled_from([0.7, 2.4, 4.0, 9.0])),
        units_done=units_done,
        units=draw(st.sampled_from([1, 1_000])) if not units_done else 1_000,
        pool=pool,
        elapsed_ms=draw(st.sampled_from([0, 2 * MINUTE_MS, 30 * MINUTE_MS])) if pool else 0,
        fixed=fixed,
        segments=present,
        gpus=gpus,
        interruptible=draw(st.booleans()),
        gpu_memory_gib=draw(st.sampled_from([0, 0, 80])),
        allowed_countries=draw(st.sampled_from([(), (), ("NO",), ("ES", "PL")])),
        start_by_ms=0 if pool else draw(st.sampled_from([0, 0, NOW_MS + MINUTE_MS, NOW_MS + HOUR_MS])),
        budget_usd_micro=draw(st.sampled_from([0, 0, 1_000_000, 4_000_000])),
        carbon_price_usd_per_t=draw(st.sampled_from([0, 100, 5_000])),
        data_bytes=draw(st.sampled_from([0, 10**10])),
        known_providers=draw(st.sampled_from([(), ("s0",)])),
    )


@st.composite
def snapshots(draw: st.DrawFn, most_jobs: int = 5) -> Snapshot:
    fleet = draw(fleets())
    ceilings = {
        site: [draw(st.sampled_from([900.0, 2_000.0]))] * SLOTS for site in ("s0", "s1") if draw(st.integers(0, 3)) == 0
    }
    return snapshot(
        fleet,
        [draw(jobs(f"j{number}", fleet)) for number in range(draw(st.integers(1, most_jobs)))],
        slots=SLOTS,
        now_ms=NOW_MS + draw(st.sampled_from([0, 1, 7 * MINUTE_MS])),
        carbon={zone: draw(series) for zone in ZONES},
        ceiling_w=ceilings,
    )


def shuffled(world: Snapshot, order: list[int]) -> Snapshot:
    """The same world with its pool rows and jobs in another order."""
    rows = sorted(range(len(world.pools.ids)), key=lambda row: order[row % len(order)])
    columns = {}
    for column in fields(PoolColumns):
        values = getattr(world.pools, column.name)
        if values is not None:
            columns[column.name] = (
                values[rows] if isinstance(values, np.ndarray) else tuple(values[row] for row in rows)
            )
    open_jobs = sorted(world.jobs, key=lambda one: order[int(one.spec.job[1:]) % len(order)])
    return replace(world, pools=PoolColumns(**columns), jobs=tuple(open_jobs))


@QUICK
@given(snapshots())
def test_no_plan_breaks_a_constraint(world: Snapshot) -> None:
    assert check_plan(world, plan(world)) == []


@QUICK
@given(snapshots(), st.permutations(range(6)))
def test_equal_inputs_in_any_order_give_the_same_plan(world: Snapshot, order: list[int]) -> None:
    assert encode(plan(shuffled(world, order))) == encode(plan(world))


def cost(world: Snapshot, **constraints: object) -> float:
    """Score of one hypothetical job; infinite when it cannot be placed."""
    base: dict[str, object] = {"hours": 1.3, "due_h": 4.5, "carbon_price_usd_per_t": 100, "units": 100}
    asked = quote(world, spec("new", **{**base, **constraints}))  # type: ignore[arg-type]
    return asked.terms.total if isinstance(asked, Assignment) else float("inf")


@QUICK
@given(
    snapshots(most_jobs=3),
    st.fixed_dictionaries(
        {
            "interruptible": st.booleans(),
            "gpus": st.integers(1, 2),
            "data_bytes": st.sampled_from([0, 10**10]),
            "due_h": st.sampled_from([2.0, 3.1, 4.9]),
            "budget_usd_micro": st.sampled_from([0, 2_500_000, 6_000_000]),
            "allowed_countries": st.sampled_from([(), ("ES", "NO")]),
        }
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "due_h": st.sampled_from([1.0, 1.9]),
            "budget_usd_micro": st.sampled_from([700_000, 1_500_000, 2_000_000]),
            "allowed_countries": st.sampled_from([("ES",), ("NO",)]),
            "gpu_memory_gib": st.just(80),
            "gpu_models": st.just(("h100",)),
        },
    ),
)
def test_cost_never_falls_when_a_constraint_is_added(
    world: Snapshot, asked: dict[str, object], added: dict[str, object]
) -> None:
    assert cost(world, **{**asked, **added}) >= cost(world, **asked)


@QUICK
@given(snapshots(most_jobs=3), st.booleans(), st.sampled_from([0, 10**10]))
def test_cost_never_falls_when_a_pool_is_taken_away(world: Snapshot, interruptible: bool, data_bytes: int) -> None:  # noqa: FBT001
    available = world.pools.available.copy()
    available[0] = 0
    fewer = replace(world, pools=replace(world.pools, available=available))
    asked = {"interruptible": interruptible, "data_bytes": data_bytes}
    assert cost(fewer, **asked) >= cost(world, **asked)


def test_horizon_is_as_long_as_the_series() -> None:
    world = snapshot([Pool(id="p0")], slots=SLOTS)
    assert world.carbon_g_per_kwh.shape == (1, SLOTS)
    assert world.start_ms + SLOTS * world.slot_ms == NOW_MS + 5 * HOUR_MS
