"""A running job moves to a cleaner site where that is worth more than it costs, and stays where it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.model.plan import Assignment, PolicyInputs
from sunward.placement.planner import plan
from sunward.units import HOUR_MS
from sunward.world.snapshot import JobView, Snapshot
from tests.support.snapshots import Pool, job, segment, snapshot

LEFT_H, STOP_H = 8, 5 / 60
POWER_KW, PRICE, ASK = 0.4, 0.10, 1.0
DIRTY, CLEAN = 600.0, 50.0
WAY = (DIRTY + CLEAN) / 2
DATA_GB = 20
FREE = PolicyInputs(delay_ppm_per_h=0, hysteresis_ppm=0)
WARY = PolicyInputs(delay_ppm_per_h=0, hysteresis_ppm=30_000)


def running(usd_per_t: int, **changes: object) -> JobView:
    """A job that has run for an hour at a dirty site, has 8 h left and is to run there to its end."""
    given: dict[str, object] = {"data_bytes": DATA_GB * 10**9, "interruptible": True} | changes
    return job(
        hours=LEFT_H, due_h=LEFT_H + 1, pool="pl", elapsed_ms=HOUR_MS, carbon_price_usd_per_t=usd_per_t,
        segments=(segment("pl", 0, LEFT_H),), **given,
    )  # fmt: skip


def world(one: JobView, policy: PolicyInputs = FREE) -> Snapshot:
    pools = [Pool(id="no", zone="NO", awake=1, ask=ASK), Pool(id="pl", zone="PL", awake=1, ask=ASK)]
    return snapshot(pools, [one], slots=48, carbon={"NO": [CLEAN], "PL": [DIRTY]}, policy=policy)


def move(one: JobView, policy: PolicyInputs = FREE) -> Assignment | None:
    """What a plan changes."""
    made = plan(world(one, policy))
    assert made.unplaced == ()
    return made.assignments[0] if made.assignments else None


def break_even_usd_per_t(hysteresis: float = 0.0, gigabytes: float = DATA_GB) -> float:
    """The carbon price at which 8 h of cleaner power pay for egress, the carbon of the transfer, and 5 min more."""
    hourly_usd = POWER_KW * PRICE + ASK
    fixed_usd = gigabytes * 0.02 + STOP_H * hourly_usd + hysteresis * LEFT_H * hourly_usd
    stay_g = LEFT_H * POWER_KW * DIRTY
    move_g = (LEFT_H + STOP_H) * POWER_KW * CLEAN + gigabytes * 0.06 * WAY
    return fixed_usd / (stay_g * (1 - hysteresis) - move_g) * 1e6


def test_it_stays_just_below_the_break_even_and_moves_just_above_it() -> None:
    even = break_even_usd_per_t()
    assert 350 < even < 360
    assert move(running(int(even * 0.99))) is None
    made = move(running(int(even * 1.01)))
    assert made is not None
    assert [one.pool for one in made.segments] == ["no"]
    assert made.reason == "moving"
    assert made.terms.transfer == round((DATA_GB * 0.02 + DATA_GB * 0.06 * WAY * int(even * 1.01) / 1e6) * 1e6)


def test_what_was_promised_moves_only_for_a_gain_beyond_the_margin() -> None:
    even = break_even_usd_per_t(hysteresis=0.03)
    assert even > 1.4 * break_even_usd_per_t()
    assert move(running(int(even * 0.99)), WARY) is None
    assert move(running(int(even * 1.01)), WARY) is not None


def test_a_checkpoint_travels_as_data_do() -> None:
    """The same break-even, whether what must travel was submitted or has come about since."""
    even = break_even_usd_per_t()
    for price, moves in ((int(even * 0.99), False), (int(even * 1.01), True)):
        one = running(price, data_bytes=5 * 10**9)
        assert (move(with_checkpoint(one, 15)) is not None) == moves
        assert move(one) is not None


def with_checkpoint(one: JobView, gigabytes: int) -> JobView:
    return replace(one, checkpoint_bytes=gigabytes * 10**9)


def test_between_pools_of_one_site_nothing_travels() -> None:
    one = running(0, data_bytes=10**15)
    pools = [Pool(id="no", site="here", awake=1, ask=0.1), Pool(id="pl", site="here", awake=1)]
    made = plan(snapshot(pools, [one], slots=48, policy=FREE)).assignments[0]
    assert made.segments[0].pool == "no"
    assert made.terms.transfer == 0


@pytest.mark.parametrize("left", [1, 2, 4])
def test_the_less_is_left_the_dearer_carbon_must_be(left: int) -> None:
    """A job near its end is left in peace at a price at which one with 8 h left moves."""
    price = int(break_even_usd_per_t() * 1.01)
    assert move(running(price, units=LEFT_H)) is not None
    assert move(job_with(price, left)) is None


def job_with(price: int, left: int) -> JobView:
    return job(
        hours=LEFT_H, due_h=LEFT_H + 1, units=LEFT_H, units_done=LEFT_H - left, pool="pl", elapsed_ms=HOUR_MS,
        carbon_price_usd_per_t=price, data_bytes=DATA_GB * 10**9, interruptible=True,
        segments=(segment("pl", 0, left),),
    )  # fmt: skip


def test_a_job_that_may_not_pause_is_never_moved() -> None:
    assert move(replace(running(50_000, interruptible=False), fixed=True)) is None
