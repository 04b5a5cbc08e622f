"""Orders and coverage in integers, and serials that are never used twice."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.model.credits import CreditOrder, Emitted, FilledOrder, RetiredCredits
from sunward.settlement import credits as pure
from sunward.settlement.serials import is_used, use
from sunward.units import MG_PER_KG, MICRO

RATE = 2 * 10**12
LIMIT = 105 * MICRO


def order(**changes: object) -> CreditOrder:
    plain: dict[str, object] = {
        "order": "co-1",
        "epoch": 3,
        "at_ms": 1_000,
        "registry": "test",
        "kg": 10,
        "price_usd_micro_per_t": 100 * MICRO,
        "limit_usd_micro_per_t": LIMIT,
        "wei_per_usd_micro": RATE,
        "held_wei": pure.held_for(10, LIMIT, RATE),
        "vintage_from": 2021,
        "methods": (),
        "countries": (),
        "start_ms": 0,
        "end_ms": 1_000,
        "emitted": (Emitted(country="DE", location_mg=5),),
    }
    return CreditOrder(**(plain | changes))  # type: ignore[arg-type]


def retired(first: int, last: int, registry: str = "r", **changes: object) -> RetiredCredits:
    plain: dict[str, object] = {
        "registry": registry,
        "first": first,
        "last": last,
        "kg": last - first + 1,
        "vintage": 2024,
        "method": "ACM0002",
        "country": "IN",
        "project": "wind",
    }
    return RetiredCredits(**(plain | changes))  # type: ignore[arg-type]


def test_what_is_ordered_can_be_paid_at_the_limit():
    assert pure.limit_usd_micro_per_t(100 * MICRO, 500) == LIMIT
    spend = 1_050_000 * RATE
    assert pure.wanted_kg(spend, RATE, LIMIT, 10**12, 0) == 10
    assert pure.held_for(10, LIMIT, RATE) == spend
    assert pure.wanted_kg(spend - 1, RATE, LIMIT, 10**12, 0) == 9


@given(
    spend=st.integers(0, 10**24),
    rate=st.integers(1, 10**15),
    limit=st.integers(1, 10**11),
    liability=st.integers(-(10**12), 10**15),
    open_kg=st.integers(0, 10**6),
)
def test_an_order_never_holds_more_than_there_is_nor_covers_more_than_is_owed(spend, rate, limit, liability, open_kg):
    kg = pure.wanted_kg(spend, rate, limit, liability, open_kg)
    assert kg >= 0
    assert pure.held_for(kg, limit, rate) <= spend
    assert kg == 0 or (kg + open_kg - 1) * MG_PER_KG < liability


def test_only_what_was_ordered_counts():
    wanted = order(methods=("ACM0002",), countries=("IN", "BR"))
    for changes, kg in (
        ({}, 5),
        ({"test": True}, 0),
        ({"vintage": 2020}, 0),
        ({"vintage": 2021}, 5),
        ({"method": "AMS-I.D."}, 0),
        ({"country": "CN"}, 0),
        ({"country": ""}, 0),
    ):
        assert pure.counted_kg(wanted, [retired(1, 5, **changes)]) == kg, changes


def test_an_order_never_costs_more_than_was_set_aside():
    wanted = order()
    assert pure.paid_wei(wanted, 1_000_000) == 1_000_000 * RATE
    assert pure.paid_wei(wanted, 2_000_000) == wanted.held_wei == wanted.limit_usd_micro * RATE


def test_an_order_that_comes_to_nothing_leaves_its_emissions_to_the_next():
    book = pure.CreditBook(since_ms=500, emitted={"DE": 5, "KR": 7})
    book.add(order(start_ms=500, end_ms=1_000, emitted=pure.by_country(book.emitted)))
    assert (book.since_ms, book.emitted, book.held_wei) == (1_000, {}, order().held_wei)
    book.emit({"DE": 1})
    book.drop("co-1", "out of stock", 2_000)
    assert (book.since_ms, book.emitted, book.held_wei) == (500, {"DE": 6, "KR": 7}, 0)
    assert [one.reason for one in book.refused] == ["out of stock"]


def test_the_largest_emissions_come_first():
    assert [one.country for one in pure.by_country({"A": 1, "C": 9, "B": 9})] == ["B", "C", "A"]


@pytest.mark.parametrize(
    ("retired_kg", "residual_mg", "words"),
    [
        (0, 0, "0.00"),
        (0, 10**9, "0.00"),
        (1, 3 * MG_PER_KG, "33.33"),
        (2, 3 * MG_PER_KG, "66.66"),
        (3, 10**6, "300.00"),
    ],
)
def test_coverage_is_never_overstated(retired_kg, residual_mg, words):
    told = pure.sentence(pure.coverage_ppm(retired_kg, residual_mg))
    assert told == f"Retired credits cover {words} % of measured residual."


RANGES = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.integers(0, 12)), max_size=40)


@given(RANGES)
def test_no_serial_is_ever_used_twice(wanted):
    """Against a set of single serials, kept beside it."""
    book = pure.CreditBook()
    used: set[tuple[str, int]] = set()
    for number, (registry, first, more) in enumerate(wanted):
        one = retired(first, first + more, registry)
        fresh = {(registry, serial) for serial in range(first, first + more + 1)}
        again = book.used_before([one])
        assert (again is not None) == bool(fresh & used)
        if again is None:
            asked = order(order=f"co-{number}")
            book.open[asked.order] = asked
            book.fill(filled(asked, one))
            used |= fresh
    held = [(key, range_[0], range_[1]) for key, ranges in book.serials.items() for range_ in ranges]
    assert sum(last - first + 1 for _, first, last in held) == len(used)
    for key, ranges in book.serials.items():
        assert ranges == sorted(ranges), key


def test_a_list_that_names_a_serial_twice_is_found():
    book = pure.CreditBook()
    assert book.used_before([retired(1, 5), retired(6, 9), retired(1, 5, "s")]) is None
    found = book.used_before([retired(1, 5), retired(5, 6)])
    assert found is not None
    assert (found.first, found.last) == (5, 6)


def test_ranges_are_kept_in_order_and_apart():
    ranges: dict[str, list[list[int]]] = {}
    for first, last in ((10, 20), (1, 3), (30, 30)):
        use(ranges, "k", first, last)
    assert ranges == {"k": [[1, 3], [10, 20], [30, 30]]}
    assert [is_used(ranges, "k", *one) for one in ((4, 9), (3, 9), (20, 21), (0, 40), (31, 40))] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert not is_used(ranges, "other", 1, 40)


def filled(asked: CreditOrder, *ranges: RetiredCredits, paid_wei: int = 1) -> FilledOrder:
    return FilledOrder(
        order=asked,
        at_ms=2_000,
        epoch=4,
        credits=ranges,
        paid_usd_micro=1,
        paid_wei=paid_wei,
        counted_kg=pure.counted_kg(asked, ranges),
        certificate="",
    )


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.integers(0, 10**24))
def test_the_calls_of_the_vault_pay_what_the_order_cost(kgs, paid_wei):
    ranges = [retired(1, kg, f"r{number}") for number, kg in enumerate(kgs)]
    calls = pure.vault_retirements(4, ranges, paid_wei)
    assert sum(call.amount_wei for call in calls) == paid_wei
    assert len({call.order for call in calls}) == len(calls)
    assert all(len(call.order) == len(call.registry) == 32 for call in calls)
    assert [(call.first_serial, call.last_serial, call.kg) for call in calls] == [(1, kg, kg) for kg in kgs]


def test_a_call_of_the_vault_is_the_same_however_often_it_is_made():
    ranges = [retired(7, 9, test=True)]
    (call,) = pure.vault_retirements(4, ranges, 5)
    assert (call,) == pure.vault_retirements(4, ranges, 5)
    assert [one.order for one in pure.vault_retirements(5, ranges, 5)] != [call.order]
    assert (call.test, call.amount_wei) == (True, 5)
    assert call.order == hashlib.sha256(b"sunward-credit-order/1\n4\n0\n").digest()
