"""The bound against every plan there is, on instances small enough to try them all."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.model.plan import PolicyInputs, Segment
from sunward.placement.planner import plan
from sunward.units import HOUR_MS
from sunward.verification.plan_bound import certify
from sunward.world.snapshot import JobView, Snapshot
from tests.support.snapshots import NOW_MS, Pool, job, segment, snapshot

SLOTS = 5
POLICY = PolicyInputs(delay_ppm_per_h=0, switch_ms=0, hysteresis_ppm=0)
SERIES = st.lists(st.integers(10, 600), min_size=SLOTS, max_size=SLOTS)


def placed(world: Snapshot, chosen: dict[str, tuple[Segment, ...]]) -> Snapshot:
    jobs = tuple(replace(one, segments=chosen[one.spec.job]) for one in world.jobs if one.spec.job in chosen)
    return replace(world, jobs=jobs)


def ways(one: JobView, pools: list[str]) -> list[tuple[Segment, ...]]:
    """Every way to run a job of whole hours, at one pool at a time."""
    hours = one.spec.length_ms // HOUR_MS
    due = (one.spec.deadline_ms - NOW_MS) // HOUR_MS
    if not one.spec.interruptible:
        starts = range(due - hours + 1)
        return [(segment(pool, at, at + hours),) for pool in pools for at in starts]
    return [
        tuple(segment(pool, at, at + 1) for pool, at in zip(where, when, strict=True))
        for when in itertools.combinations(range(due), hours)
        for where in itertools.product(pools, repeat=hours)
    ]


def fits(parts: list[Segment], counts: dict[str, int]) -> bool:
    for pool, count in counts.items():
        for at in range(SLOTS):
            moment = NOW_MS + at * HOUR_MS
            if sum(one.pool == pool and one.start_ms <= moment < one.end_ms for one in parts) > count:
                return False
    return True


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 2), st.integers(0, 2), st.booleans()), min_size=1, max_size=3),
    SERIES,
    SERIES,
    st.integers(0, 2**31),
)
def test_no_plan_costs_less_than_the_bound(
    asked: list[tuple[int, int, bool]], one: list[int], two: list[int], seed: int
) -> None:
    jobs = [
        job(f"j{at}", hours=hours, due_h=min(SLOTS, hours + slack), interruptible=pauses, carbon_price_usd_per_t=5_000)
        for at, (hours, slack, pauses) in enumerate(asked)
    ]
    pools = [Pool(id="a", zone="A", count=1, ask=0.01), Pool(id="b", zone="B", count=1, ask=0.02)]
    world = snapshot(pools, jobs, slots=SLOTS, slot_ms=HOUR_MS, carbon={"A": one, "B": two}, policy=POLICY)
    names = [str(each.spec.job) for each in jobs]
    costs = [
        certify(placed(world, dict(zip(names, chosen, strict=True)))).cost_usd_micro
        for chosen in itertools.product(*(ways(each, ["a", "b"]) for each in jobs))
        if fits([part for parts in chosen for part in parts], {"a": 1, "b": 1})
    ]
    prices = np.random.default_rng(seed).integers(0, 400_000, (2, SLOTS))
    made = plan(world)
    if made.unplaced:
        assert not costs
        return
    present = placed(world, {str(each.job): each.segments for each in made.assignments})
    for given_prices in (None, np.zeros((2, SLOTS), dtype=np.int64), prices):
        found = certify(present, given_prices)
        assert found.holds
        assert found.bound_usd_micro <= min(costs) + 1 <= found.cost_usd_micro + 2
        assert found.exact + found.loose == found.jobs == len(jobs)
