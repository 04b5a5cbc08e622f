"""What the reserve would still hold if ATH fell, a region went dark, and demand rose: each alone, and all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sunward.model.reserve_views import StressLine
from sunward.settlement.reserve import Obligation, Prices, coverage_ppm, value_usd_micro
from sunward.units import PPM

FALL_PPM = 870_000
"""How far the token falls: of the order of the deepest falls that tokens of compute networks have seen."""
DEMAND_FACTOR = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Containers behind a promise in one zone."""

    zone: str
    containers: int
    ready: int
    """Of these, how many could be made ready now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold:
    """A sold promise as the test sees it."""

    obligation: Obligation
    owner: str
    behind: tuple[Behind, ...]

    def ready(self, dark: str) -> int:
        """Containers that could be had while a zone is dark."""
        return sum(one.ready for one in self.behind if one.zone != dark)


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """All that the test looks at."""

    held_wei: int
    prices: Prices
    penalties_usd_micro: int
    promises: tuple[Sold, ...]
    """In the order they were sold."""
    stakes_wei: Mapping[str, int]
    """What owners have staked, on its way out included."""
    demand: int
    """Most containers that were called at once so far, at least 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shock:
    """What happens."""

    name: str
    fall_ppm: int = 0
    dark: str = ""
    factor: int = 1


def largest_zone(promises: Sequence[Sold]) -> str:
    """The zone with most containers behind sold promises, of equal ones the first; empty where there is none."""
    out: dict[str, int] = {}
    for behind in (one for promise in promises for one in promise.behind):
        out[behind.zone] = out.get(behind.zone, 0) + behind.containers
    return min(out, key=lambda zone: (-out[zone], zone), default="")


def shocks(dark: str) -> tuple[Shock, ...]:
    """As it is, each shock alone, and all together."""
    return (
        Shock(name="now"),
        Shock(name="token", fall_ppm=FALL_PPM),
        Shock(name="region", dark=dark),
        Shock(name="demand", factor=DEMAND_FACTOR),
        Shock(name="all", fall_ppm=FALL_PPM, dark=dark, factor=DEMAND_FACTOR),
    )


def stress(book: Book) -> tuple[StressLine, ...]:
    """A line for each shock."""
    return tuple(_line(book, shock) for shock in shocks(largest_zone(book.promises)))


def _line(book: Book, shock: Shock) -> StressLine:
    prices = _fallen(book.prices, shock.fall_ppm)
    value = value_usd_micro(book.held_wei, prices)
    asked = _asked(book.promises, book.demand * shock.factor)
    ready = [min(one.ready(shock.dark), wanted) for one, wanted in zip(book.promises, asked, strict=True)]
    costs = [_cost(one, shock.dark, wanted) for one, wanted in zip(book.promises, asked, strict=True)]
    liability = book.penalties_usd_micro + sum(costs)
    return StressLine(
        shock=shock.name,
        dark=shock.dark,
        fall_ppm=shock.fall_ppm,
        demand_factor=shock.factor,
        value_usd_micro=value,
        liability_usd_micro=liability,
        coverage_ppm=coverage_ppm(value, liability),
        asked=sum(asked),
        delivered=sum(ready),
        first_broken=_first_broken(book, prices, value, costs),
    )


def _fallen(prices: Prices, fall_ppm: int) -> Prices:
    """The price after a fall, rounded down: so many more wei for a micro-USD. The low of 30 days is at most that."""
    fallen = -(-prices.cheapest * PPM // (PPM - fall_ppm))
    return replace(prices, wei_per_usd_micro=fallen, wei_per_usd_micro_max=fallen)


def _asked(promises: Sequence[Sold], demand: int) -> list[int]:
    """Containers called of each promise, in the order they were sold; nobody owes what nobody promised."""
    asked = []
    for one in promises:
        wanted = min(demand, one.obligation.containers)
        demand -= wanted
        asked.append(wanted)
    return asked


def _cost(one: Sold, dark: str, wanted: int) -> int:
    """What a promise may cost: replacement of what is missing, and for the rest what is owed anyhow.

    What stands in a zone that went dark is missing whether it was called or not; elsewhere only what was called is.
    """
    whole = one.obligation
    gone = sum(behind.containers for behind in one.behind if behind.zone == dark)
    missing = max(gone, wanted - one.ready(dark))
    there = replace(whole, containers=whole.containers - missing)
    return replace(whole, containers=missing).replacement_usd_micro + there.liability_usd_micro


def _first_broken(book: Book, prices: Prices, value: int, costs: Sequence[int]) -> str:
    """The first promise, in the order they were sold, whose cost neither its owner's stake nor the vault can bear."""
    stakes = {owner: wei // prices.cheapest for owner, wei in book.stakes_wei.items()}
    left = value - book.penalties_usd_micro
    for one, cost in zip(book.promises, costs, strict=True):
        own = min(cost, stakes.get(one.owner, 0))
        stakes[one.owner] = stakes.get(one.owner, 0) - own
        left -= cost - own
        if left < 0:
            return one.obligation.promise
    return ""
