from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from sunward.model.plan import AwakeTarget, PolicyInputs
from sunward.placement.board import Board
from sunward.placement.fleet import fleet_of
from sunward.placement.spare import _chances, highest, with_spares
from sunward.units import MINUTE_MS
from sunward.world.snapshot import Expected
from tests.support.snapshots import NOW_MS, Pool, snapshot

# Ten minutes to wake; a container-hour is asked at 2 USD, an idle hour costs 0.09 kW at 0.10 USD/kWh.
SLOW = {"ask": 2.0, "wake_ms": 10 * MINUTE_MS, "wake_j": 60_000.0}
DELAY = PolicyInputs(delay_ppm_per_h=2_000)


def expected(*rates: float, containers: float = 1, work_h: float = 6, pools: tuple[str, ...] = ("no",)) -> Expected:
    spread = np.repeat(np.array(rates, np.float64), 16 // len(rates))
    return Expected(starts_per_h=spread, containers=containers, work_h=work_h, carbon_price_usd_per_t=0, pools=pools)


def kept(
    what: Expected | None, pools: Sequence[Pool], planned: tuple[AwakeTarget, ...] = (), **world: object
) -> list[tuple[str, float, float, int]]:
    """(pool, start, end, count), in minutes from now."""
    fleet = fleet_of(snapshot(pools, policy=DELAY, **world))  # type: ignore[arg-type]
    found = with_spares(fleet, what, Board(fleet).free, planned)
    return [
        (one.pool, (one.start_ms - NOW_MS) / MINUTE_MS, (one.end_ms - NOW_MS) / MINUTE_MS, one.count) for one in found
    ]


def test_nothing_expected_keeps_nothing_awake():
    pools = [Pool(id="no", count=4, **SLOW)]
    assert kept(None, pools) == []
    assert kept(expected(0.0), pools) == []


def test_starts_that_come_often_find_containers_awake():
    # A start gains 10 min x 6 h x 2 USD x 0.2 %/h = 0.004 USD; an idle hour costs 0.009 USD: from 2.25 an hour on.
    pools = [Pool(id="no", count=4, **SLOW)]
    assert kept(expected(2.2), pools) == []
    assert kept(expected(2.3), pools) == [("no", 0, 240, 1)]
    assert kept(expected(40.0), pools) == [("no", 0, 240, 4)]


def test_they_wake_ahead_of_the_hour_in_which_work_is_expected():
    assert kept(expected(0.0, 3.0), [Pool(id="no", count=4, **SLOW)]) == [("no", 110, 240, 1)]


def test_a_gang_is_awake_whole_or_not_at_all():
    whole = expected(6.0, containers=4, work_h=24)
    assert kept(whole, [Pool(id="no", count=7, **SLOW)]) == [("no", 0, 240, 4)]
    assert kept(whole, [Pool(id="no", count=3, **SLOW)]) == []


def test_the_cheapest_pool_that_takes_such_work_is_kept():
    pools = [
        Pool(id="dear", model="a100", **(SLOW | {"ask": 2.5})),
        Pool(id="known", model="a100", admission="known", **(SLOW | {"ask": 1.0})),
        Pool(id="no", model="a100", **SLOW),
        Pool(id="other", model="l4", **(SLOW | {"ask": 0.5})),
    ]
    assert {pool for pool, *_ in kept(expected(3.0), pools)} == {"no"}
    assert {pool for pool, *_ in kept(expected(3.0, pools=("dear", "known")), pools)} == set()
    assert {pool for pool, *_ in kept(expected(6.0, pools=("dear", "known")), pools)} == {"known"}


def test_work_that_finds_machines_always_awake_needs_no_others():
    always = Pool(id="always", model="a100", ask=1.0, idle_w=100.0, asleep_w=100.0, count=16)
    assert kept(expected(3.0, pools=("always", "no")), [always, Pool(id="no", model="a100", **SLOW)]) == []


def test_a_site_under_a_ceiling_keeps_nothing_for_later():
    assert kept(expected(9.0), [Pool(id="no", **SLOW)], ceiling_w={"no": [9_000.0]}) == []


def test_what_is_planned_stays_and_is_not_counted_twice():
    planned = AwakeTarget(pool="no", start_ms=NOW_MS, end_ms=NOW_MS + 60 * MINUTE_MS, count=3)  # type: ignore[arg-type]
    assert kept(expected(2.3), [Pool(id="no", count=4, **SLOW)], (planned,)) == [("no", 0, 60, 3), ("no", 60, 240, 1)]


def test_steps_take_the_highest():
    assert highest([(0, 4, 1), (2, 3, 5), (3, 6, 1)]) == [(0, 2, 1), (2, 3, 5), (3, 6, 1)]
    assert highest([(0, 1, 2), (1, 2, 2), (4, 5, 1)]) == [(0, 2, 2), (4, 5, 1)]


def test_long_work_goes_where_its_whole_run_is_cheapest():
    # Clean for an hour only, against somewhat clean throughout.
    series = {"A": [10.0] * 4 + [900.0] * 12, "B": [100.0] * 16}
    pools = [Pool(id="a", zone="A", **SLOW), Pool(id="b", zone="B", **SLOW)]
    for work_h, where in ((1.0, "a"), (4.0, "b")):
        wanted = replace(expected(60.0 / work_h, work_h=work_h, pools=("a", "b")), carbon_price_usd_per_t=100)
        first = [one for one in kept(wanted, pools, carbon=series) if one[1] == 0]
        assert {one[0]: one[3] for one in first}[where] == 2
        assert first[0][0] == where or len(first) == 2


def test_the_rule_keeps_what_saves_most_when_it_is_played_out():
    """A quarter of an hour again and again: what containers idle until they are used, and what starts gain."""
    rate, gain, idle, slot_h = 20.0, 0.004, 0.02, 0.25
    draw = np.random.default_rng(0)
    comes = np.cumsum(draw.exponential(1 / rate, (40_000, 16)), axis=1)
    saved = gain * (comes < slot_h) - idle * np.minimum(comes, slot_h)
    best = int(np.argmax(np.cumsum(saved.mean(axis=0)))) + 1
    chances = _chances(rate * slot_h)
    summed, kept = 0.0, 0
    for number in range(1, 17):
        chance = next(chances)
        summed += chance
        assert np.minimum(comes[:, number - 1], slot_h).mean() == pytest.approx(summed / rate, rel=0.02)
        kept += rate * gain * chance > idle * summed
    assert kept == best
