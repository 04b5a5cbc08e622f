from dataclasses import replace

import pytest

from sunward.settlement.reserve import Obligation, Prices
from sunward.settlement.stress import Behind, Book, Sold, largest_zone, stress
from sunward.units import HOUR_MS

USD = 10**6
PRICES = Prices(usd_held_micro=0, wei_per_usd_micro=2 * 10**12, wei_per_usd_micro_max=2 * 10**12, haircut_ppm=1_000_000)


def sold(name, owner, *behind):
    return Sold(
        obligation=Obligation(
            promise=name,
            containers=sum(one.containers for one in behind),
            left_ms=10 * HOUR_MS,
            replacement_usd_micro_per_h=4 * USD,
            premium_usd_micro_per_h=1 * USD,
        ),
        owner=owner,
        behind=behind,
    )


def in_zone(zone, containers, ready=None):
    return Behind(zone=zone, containers=containers, ready=containers if ready is None else ready)


BOOK = Book(
    held_wei=1_000 * 10**18,
    prices=PRICES,
    penalties_usd_micro=0,
    promises=(sold("p-1", "a", in_zone("DE", 4), in_zone("FR", 1)), sold("p-2", "b", in_zone("FR", 2))),
    stakes_wei={},
    demand=2,
)
"""500 USD held; 7 containers · 10 h · 3 USD = 210 USD owed."""


def lines(book):
    return {one.shock: one for one in stress(book)}


def test_as_it_is():
    now = lines(BOOK)["now"]
    assert (now.value_usd_micro, now.liability_usd_micro) == (500 * USD, 210 * USD)
    assert now.coverage_ppm == 500 * 10**6 // 210
    assert (now.asked, now.delivered, now.first_broken) == (2, 2, "")


def test_the_token_falls():
    token = lines(BOOK)["token"]
    assert token.value_usd_micro == pytest.approx(65 * USD, rel=1e-6)
    assert token.first_broken == "p-1"  # 150 USD owed on the first one alone


def test_the_region_with_most_promises_goes_dark():
    assert largest_zone(BOOK.promises) == "DE"
    region = lines(BOOK)["region"]
    # Four containers are replaced for ten hours without a premium: 4 · 40 USD; one stays, and two of the other.
    assert (region.dark, region.liability_usd_micro) == ("DE", (160 + 30 + 60) * USD)
    assert (region.asked, region.delivered) == (2, 1)


def test_three_times_the_demand_meets_what_is_not_ready():
    book = replace(BOOK, promises=(sold("p-1", "a", in_zone("DE", 5, ready=3)), BOOK.promises[1]))
    assert (lines(book)["now"].asked, lines(book)["now"].delivered) == (2, 2)
    demand = lines(book)["demand"]
    assert (demand.asked, demand.delivered) == (6, 4)
    assert demand.liability_usd_micro == (2 * 40 + 3 * 30 + 60) * USD


def test_all_together_is_the_worst_and_the_stake_pays_first():
    every = lines(BOOK)
    assert every["all"].coverage_ppm == min(one.coverage_ppm for one in every.values())
    assert every["all"].first_broken == "p-1"
    rich = replace(BOOK, stakes_wei={"a": 10**22})
    assert lines(rich)["all"].first_broken == ""
    assert lines(replace(rich, stakes_wei={"b": 10**22}))["all"].first_broken == "p-1"


def test_nothing_sold_nothing_breaks():
    for line in stress(replace(BOOK, promises=())):
        assert (line.coverage_ppm, line.asked, line.first_broken) == (None, 0, "")
