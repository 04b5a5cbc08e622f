"""The game's own arithmetic on a made-up zone: what a lie is expected to bring, splits, and honest years."""

from dataclasses import replace

import numpy as np
import pytest
from benchmarks._game_lies import Attempt, Outcome, Owner, expected, margins, outcome, rarer, taken
from benchmarks._game_page import render
from benchmarks._game_play import PAID_USD_PER_DAY, RULES, STAKE_USD, network
from benchmarks._game_reserve import reserve_outcomes
from benchmarks._game_world import Zone
from benchmarks.game import World, best, summary

DAYS = 40


@pytest.fixture(scope="module")
def owner():
    hours = np.arange(DAYS * 24)
    zone = Zone(
        zone="DE",
        start_ms=1_672_531_200_000,
        carbon_g_per_kwh=np.full(len(hours), 400.0),
        renewable=0.5 + 0.3 * np.sin(hours / 24 * 2 * np.pi),
        price_usd_per_kwh=np.full(len(hours), 0.1),
        clear=np.zeros(len(hours)),
        sun_ahead_h=1,
    )
    return Owner(network(zone, 0), 0)


def test_what_a_lie_is_expected_to_bring():
    more, none = np.array([3.0, 3.0, 3.0]), np.zeros(3)
    assert expected(more, none, 0.0, none) == 9
    # Found on the first evening: that day's gain is kept, ten is taken, two days with lowered evidence cost one each.
    assert expected(more, np.array([0.0, -1.0, -1.0]), 1.0, np.full(3, 10.0)) == 3 - 10 - 2
    # Half the time found at once (3 − 10), a quarter a day later (6 − 10), an eighth (9 − 10), an eighth never (9).
    assert expected(more, none, 0.5, np.full(3, 10.0)) == pytest.approx(-7 / 2 - 4 / 4 - 1 / 8 + 9 / 8)
    assert 1 < rarer(more, none, 0.5, np.full(3, 10.0)) < 10
    assert rarer(-more, none, 0.5, np.full(3, 10.0)) == np.inf


def test_who_bonds_nothing_loses_what_it_earned():
    floor = RULES.slash_floor_days * PAID_USD_PER_DAY
    earned = np.array([1.0, floor * 2])
    assert taken(0.0, earned).tolist() == [1.0, floor]
    assert taken(STAKE_USD, earned).tolist() == pytest.approx([STAKE_USD / 2] * 2)


def test_green_earns_what_brown_does_not(owner):
    green, brown = margins(owner)
    assert brown.green.sum() == 0 < green.green.sum()
    assert green.base.sum() == brown.base.sum() > 0
    assert green.pay.tolist() == brown.pay.tolist()
    assert green.margin.sum() > brown.margin.sum()


def test_a_split_brings_nothing_and_a_broken_promise_costs(owner):
    split = Attempt(lie="sybil", size="3", honest=owner.green, lying=replace(owner.green, names=3), found=owner.green)
    assert -1 < outcome(owner, split).gain_usd <= 0.01
    assert all(one.gain_usd < 0 for one in reserve_outcomes(owner))


def test_the_best_size_of_any_zone_counts():
    told = {"size": "s", "unseen_usd": 1.0, "honest_usd": 1.0, "chance": 0.5, "within_error": False, "rarer": 2.0}
    low, high = (Outcome(lie="x", gain_usd=gain, **told) for gain in (-1.0, 1.0))
    worlds = [
        World(zone=zone, seed=0, green_usd=11.0, brown_usd=10.0, outcomes=(one,))
        for zone, one in (("A", low), ("B", high))
    ]
    assert best(worlds) == {"x": high}
    found = summary(worlds, 2023)
    assert (found["profitable_lies"], found["green_over_brown"]) == (1, 1.1)
    assert "<svg" in render(2023, [("A", 11.0, 10.0)], best(worlds))
