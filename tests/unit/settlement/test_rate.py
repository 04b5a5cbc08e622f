"""The exchange rate out of several sources' prices: means over time, the median, age, and moves that are too large."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.errors import InvariantError
from sunward.model.rate import ToldPrice
from sunward.settlement.rate import (
    CALM_MS,
    REFUSE_MS,
    WINDOW_MS,
    RateBook,
    lower_median,
    mean_over_time,
    wei_per_usd_micro,
)
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS

T = 40 * DAY_MS
HALF = 500_000
ABC = ("a", "b", "c")


def book(*sources: str) -> RateBook:
    made = RateBook()
    made.set_sources(sources or ABC, T)
    return made


def tell(one: RateBook, at_ms: int, **prices: int) -> None:
    one.tell([ToldPrice(source=name, usd_micro_per_ath=price, at_ms=at_ms) for name, price in prices.items()], at_ms)


def test_half_a_dollar_is_the_test_rate():
    assert wei_per_usd_micro(HALF) == 2 * 10**12
    assert wei_per_usd_micro(3) == 10**18 // 3


def test_the_median_of_an_even_number_is_the_lower_middle_one():
    assert lower_median([4, 1, 3]) == 3
    assert lower_median([4, 1, 3, 2]) == 2


def test_a_mean_weighs_each_price_by_the_time_it_held():
    told = [(T, 100), (T + 10 * MINUTE_MS, 160)]
    assert mean_over_time(told, T + 30 * MINUTE_MS) == (100 * 10 + 160 * 20) // 30
    assert mean_over_time([(T, 7)], T) == 7
    assert mean_over_time([], T) is None


def test_only_the_window_counts_and_an_old_price_not_at_all():
    told = [(T - HOUR_MS, 999), (T, 100)]
    assert mean_over_time(told, T + WINDOW_MS) == 100
    assert mean_over_time(told, T + WINDOW_MS + 1) is None


@given(
    prices=st.lists(st.integers(1, 10**12), min_size=1, max_size=8),
    gaps=st.lists(st.integers(1, WINDOW_MS), min_size=8, max_size=8),
    age=st.integers(0, WINDOW_MS),
)
def test_a_mean_lies_between_the_prices_and_is_that_of_every_minute(prices, gaps, age):
    told, since = [], T
    for price, gap in zip(prices, gaps, strict=False):
        told.append((since, price))
        since += gap
    found = mean_over_time(told, told[-1][0] + age)
    assert found is not None
    assert min(prices) <= found <= max(prices)


def test_one_liar_of_three_moves_nothing_beyond_an_honest_price():
    one = book()
    tell(one, T, a=HALF, b=HALF + 1_000, c=10**14)
    assert one.median(T) == HALF + 1_000
    tell(one, T + 1, a=HALF, b=HALF + 1_000, c=1)
    assert HALF <= one.price <= HALF + 1_000


def test_two_sources_are_too_few_and_the_last_price_stays():
    one = book()
    tell(one, T, a=HALF, b=HALF, c=HALF)
    later = T + WINDOW_MS + 1
    tell(one, later, a=2 * HALF, b=2 * HALF)
    assert (one.median(later), one.price, one.at_ms) == (None, HALF, T)
    assert one.is_stale(later)
    assert not one.refuses(later)


def test_after_a_day_without_enough_sources_nothing_is_quoted():
    one = book()
    tell(one, T, a=HALF, b=HALF, c=HALF)
    assert not one.refuses(T + REFUSE_MS)
    assert one.refuses(T + REFUSE_MS + 1)
    tell(one, T + 2 * DAY_MS, a=HALF, b=HALF, c=HALF)
    assert not one.refuses(T + 2 * DAY_MS)


def test_a_rate_that_never_was_told_is_refused_after_a_day_too():
    one = book()
    assert one.is_stale(T)
    assert not one.refuses(T + REFUSE_MS)
    assert one.refuses(T + REFUSE_MS + 1)


def test_without_sources_nothing_is_ever_stale():
    one = RateBook()
    assert not one.is_stale(T)
    assert not one.refuses(T + 100 * DAY_MS)


def test_a_move_of_a_fifth_is_borne_and_one_more_pauses():
    for price, paused in ((600_000, 0), (600_001, T + HOUR_MS), (400_000, 0), (399_999, T + HOUR_MS)):
        one = book()
        tell(one, T, a=HALF, b=HALF, c=HALF)
        tell(one, T + HOUR_MS, a=price, b=price, c=price)
        assert one.paused_ms == paused, price


def test_promises_go_on_after_an_hour_within_the_limit():
    one = book()
    tell(one, T, a=HALF, b=HALF, c=HALF)
    tell(one, T + HOUR_MS, a=900_000, b=900_000, c=900_000)
    since = T + 2 * HOUR_MS
    tell(one, since, a=HALF, b=HALF, c=HALF)
    tell(one, since + CALM_MS - 1, a=HALF, b=HALF, c=HALF)
    assert one.paused_ms
    tell(one, since + CALM_MS, a=HALF, b=HALF, c=HALF)
    assert not one.paused_ms


def test_an_hour_that_is_interrupted_begins_anew():
    one = book()
    tell(one, T, a=HALF, b=HALF, c=HALF)
    for minute, price in ((60, 900_000), (120, HALF), (160, 900_000), (195, HALF), (240, HALF)):
        tell(one, T + minute * MINUTE_MS, a=price, b=price, c=price)
    assert one.paused_ms == T + 60 * MINUTE_MS
    for minute, paused in ((265, True), (290, True), (310, False)):
        tell(one, T + minute * MINUTE_MS, a=HALF, b=HALF, c=HALF)
        assert bool(one.paused_ms) == paused, minute


def test_what_was_a_day_ago_is_the_reference():
    one = book()
    for hour in range(26):
        price = HALF + hour * 10_000
        tell(one, T + hour * HOUR_MS, a=price, b=price, c=price)
    assert one.reference(T + 25 * HOUR_MS) == HALF + 10_000
    assert one.paused_ms


def test_a_confirmed_price_is_the_reference_for_a_day():
    one = book()
    tell(one, T, a=HALF, b=HALF, c=HALF)
    tell(one, T + HOUR_MS, a=900_000, b=900_000, c=900_000)
    one.confirm(T + HOUR_MS)
    assert not one.paused_ms
    tell(one, T + 2 * HOUR_MS, a=900_000, b=900_000, c=900_000)
    assert not one.paused_ms
    tell(one, T + 3 * HOUR_MS, a=1_100_000, b=1_100_000, c=1_100_000)
    assert one.paused_ms


def test_nothing_is_confirmed_before_there_is_a_price():
    with pytest.raises(InvariantError):
        book().confirm(T)


def test_the_lowest_price_of_thirty_days_is_kept():
    one = book()
    for day, price, low in (
        (0, 300_000, 300_000),
        (1, 700_000, 300_000),
        (15, 400_000, 300_000),
        (30, 800_000, 400_000),
    ):
        tell(one, T + day * DAY_MS, a=price, b=price, c=price)
        assert one.low(T + day * DAY_MS) == low
    assert len(one.lows) <= 30


def test_what_is_kept_does_not_grow():
    one = book()
    for minute in range(3 * 24 * 60):
        tell(one, T + minute * MINUTE_MS, a=HALF, b=HALF, c=HALF)
    assert len(one.prices) <= 24 * 60 + 2
    assert max(map(len, one.told.values())) <= 32
