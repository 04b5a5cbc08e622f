from __future__ import annotations

import numpy as np
import pytest

from sunward.units import DAY_MS, HOUR_MS
from sunward.world.arrivals import ArrivalBook

DAY = 20_000 * DAY_MS


def rates(book: ArrivalBook, now_ms: int, *hours: float) -> list[float]:
    """Starts an hour at hours counted from DAY."""
    expected = book.expected(now_ms, np.array([DAY + round(hour * HOUR_MS) for hour in hours]))
    assert expected is not None
    return expected.starts_per_h.tolist()


def learnt(days: int, hour: int = 9, starts: int = 6) -> ArrivalBook:
    book = ArrivalBook()
    for day in range(days):
        for start in range(starts):
            at_ms = DAY + day * DAY_MS + hour * HOUR_MS + start * HOUR_MS // starts
            book.learn(at_ms, ["a/x"], 2, 4 * HOUR_MS, 100)
    return book


def test_nothing_learnt_is_nothing_expected():
    assert ArrivalBook().expected(DAY, np.array([DAY])) is None


def test_a_habit_is_expected_about_its_hour_and_trusted_with_the_days():
    book = learnt(days=1)
    first = rates(book, DAY + 12 * HOUR_MS, 24 + 7, 24 + 8, 24 + 9, 24 + 9.75, 24 + 10, 24 + 11)
    assert first[0] == first[5] == 0
    # Of the hour itself, and half of the one after it; the one before was before anything was known.
    assert first[2] == first[3] == pytest.approx(6 * 0.75 / (1 + 0.75 * 1.5))
    assert 0 < first[1] < first[2]
    assert 0 < first[4] < first[2]
    later = rates(learnt(days=20), DAY + 20 * DAY_MS, 20 * 24 + 9)[0]
    assert first[1] < later < 6


def test_what_ceased_fades():
    book = learnt(days=5)
    soon, late = (rates(book, DAY + day * DAY_MS, day * 24 + 9)[0] for day in (5, 11))
    assert late < soon / 4


def test_a_start_is_told_by_its_mean():
    book = ArrivalBook()
    book.learn(DAY, ["b/x", "a/x"], 2, 4 * HOUR_MS, 100)
    book.learn(DAY + HOUR_MS, ["a/x"], 4, 2 * HOUR_MS, 0)
    expected = book.expected(DAY + 2 * HOUR_MS, np.array([DAY + 2 * HOUR_MS]))
    assert expected is not None
    assert (expected.containers, expected.work_h, expected.carbon_price_usd_per_t) == (3, 3, 50)
    assert expected.pools == ("a/x", "b/x")


def test_pools_that_took_nothing_for_a_week_are_forgotten():
    book = learnt(days=1)
    assert book.expected(DAY + 9 * DAY_MS, np.array([DAY + 9 * DAY_MS])) is None


def test_a_dump_brings_everything_back():
    book = learnt(days=3)
    assert ArrivalBook.load(book.dump()) == book
    assert ArrivalBook.load(()) == ArrivalBook()
