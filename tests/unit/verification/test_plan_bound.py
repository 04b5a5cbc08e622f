from __future__ import annotations

from dataclasses import replace

import numpy as np

from sunward.model.plan import PolicyInputs
from sunward.placement.planner import plan
from sunward.units import HOUR_MS, MICRO
from sunward.verification.plan_bound import certify
from sunward.world.snapshot import Lengths, Snapshot, Standing
from tests.support.snapshots import NOW_MS, Pool, job, segment, snapshot

POLICY = PolicyInputs(delay_ppm_per_h=0, switch_ms=0, hysteresis_ppm=0)
HOURS = [400.0, 100.0, 300.0, 200.0]


def contested(count: int = 1) -> Snapshot:
    """Two jobs of an hour want the hour of 100 g/kWh; 400 W at 5,000 USD/t are 2 USD for 1,000 g/kWh."""
    asked = [job(name, hours=1, due_h=4, carbon_price_usd_per_t=5_000) for name in ("a", "b")]
    pools = [Pool(id="no", count=count, ask=0.0)]
    return snapshot(pools, asked, slots=4, slot_ms=HOUR_MS, carbon={"NO": HOURS}, price={"NO": [0.0]}, policy=POLICY)


def with_places(world: Snapshot, **starts_h: float) -> Snapshot:
    jobs = tuple(
        replace(one, segments=(segment("no", at, at + 1),))
        for one, at in zip(world.jobs, starts_h.values(), strict=True)
    )
    return replace(world, jobs=jobs)


def test_the_best_plan_is_proved_to_be_the_best_by_its_own_prices() -> None:
    world = contested()
    made = plan(world)
    starts = {one.job: (one.segments[0].start_ms - NOW_MS) / HOUR_MS for one in made.assignments}
    price = np.zeros((1, 4), dtype=np.int64)
    for one in made.prices:
        price[0, (one.start_ms - NOW_MS) // HOUR_MS : (one.end_ms - NOW_MS) // HOUR_MS] = one.usd_micro_per_h
    found = certify(with_places(world, **dict(sorted(starts.items()))), price)
    # 100 and 200 g/kWh of 0.4 kWh at 0.005 USD/g.
    assert found.cost_usd_micro == round((0.2 + 0.4) * MICRO)
    assert found.holds
    assert found.gap_ppm < 20_000
    assert [(one.pool, one.scarce_ms >= HOUR_MS) for one in found.pools] == [("no", True)]


def test_without_prices_the_bound_is_the_cost_as_if_there_were_room_for_all() -> None:
    found = certify(with_places(contested(), a=1, b=3))
    assert (found.cost_usd_micro, found.bound_usd_micro) == (600_000, 400_000)
    assert (found.jobs, found.exact, found.gap_ppm, found.pools) == (2, 2, 333_333, ())


def test_prices_below_zero_count_as_none() -> None:
    world = with_places(contested(), a=1, b=3)
    assert certify(world, np.full((1, 4), -5)).bound_usd_micro == 400_000


def test_a_plan_that_costs_less_than_it_can_is_reported() -> None:
    """Both are written into the clean hour of one container."""
    price = np.array([[0, 200_000, 0, 0]])
    found = certify(with_places(contested(), a=1, b=1), price)
    assert (found.cost_usd_micro, found.bound_usd_micro) == (400_000, 600_000)
    assert not found.holds
    assert certify(with_places(contested(2), a=1, b=1), price).holds


def test_a_place_that_no_option_explains_is_reported() -> None:
    world = with_places(contested(), a=1, b=3)
    late = replace(world.jobs[1], spec=replace(world.jobs[1].spec, gpu_models=("h100",)))
    found = certify(replace(world, jobs=(world.jobs[0], late)))
    assert (found.without, found.holds, found.exact) == (("b",), False, 1)


def test_what_stays_is_counted_alike_on_both_sides_and_keeps_its_room() -> None:
    world = with_places(contested(), a=1, b=3)
    fixed = replace(world.jobs[0], fixed=True, pool="no")
    lengths = Lengths(remaining_ms=(HOUR_MS,), weight_ppm=(1_000_000,), promise_ppm=0)
    unknown = replace(world.jobs[0], lengths=lengths)
    for stays in (fixed, unknown):
        found = certify(replace(world, jobs=(stays, world.jobs[1])))
        assert (found.stays, found.exact) == (1, 1)
        # The other one finds the clean hour taken.
        assert (found.cost_usd_micro, found.bound_usd_micro) == (600_000, 600_000)


def test_room_that_others_hold_is_no_option() -> None:
    world = with_places(contested(), a=3, b=3)
    standing = Standing(taken=np.array([[0, 1, 0, 0]]), busy=np.zeros(1, dtype=np.int64))
    found = certify(replace(world, standing=standing, jobs=world.jobs[:1]))
    assert (found.cost_usd_micro, found.bound_usd_micro) == (400_000, 400_000)


def test_pauses_are_bounded_by_the_cheapest_hours() -> None:
    asked = job("a", hours=2, due_h=4, carbon_price_usd_per_t=5_000, interruptible=True)
    asked = replace(asked, segments=(segment("no", 1, 3),))
    found = certify(replace(contested(), jobs=(asked,)))
    assert (found.loose, found.cost_usd_micro, found.bound_usd_micro) == (1, 800_000, 600_000)


def test_a_run_may_begin_within_a_slot() -> None:
    """Half an hour in the clean hour and half in the next one is what a start at half past costs."""
    asked = replace(job("a", hours=1, due_h=2.5, carbon_price_usd_per_t=5_000), segments=(segment("no", 1.5, 2.5),))
    found = certify(replace(contested(), jobs=(asked,)))
    assert found.cost_usd_micro == 400_000
    assert found.bound_usd_micro == 200_000
