"""Where electricity counts as delivered, and what the certificates of each source of energy are worth.

Sources and the meaning of each column: data/markets/sources.md. Quality: published.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

from sunward.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergySource:
    """One source of energy that certificates are issued for."""

    source: str
    mg_per_kwh: int
    """Life-cycle."""
    renewable: bool
    carbon_free: bool


def market_of(zone: str) -> str:
    """The market of a zone; empty for one that covers several, within which nothing is known to be deliverable.

    Raises: InputError for a zone that is not in the table.
    """
    try:
        return _markets()[zone]
    except KeyError:
        raise InputError(f"no market is known of zone {zone}", code="SW-764") from None


def is_market(name: str) -> bool:
    """Whether any zone lies in a market of this name."""
    return bool(name) and name in set(_markets().values())


def energy_source(name: str) -> EnergySource:
    """A source of energy by its key.

    Raises: InputError naming those there are.
    """
    known = sources().get(name)
    if known is None:
        raise InputError(f"unknown source of energy {name!r}; one of {', '.join(sources())}", code="SW-760")
    return known


@cache
def sources() -> dict[str, EnergySource]:
    """All sources of energy, by key."""
    return {
        row["source"]: EnergySource(
            source=row["source"],
            mg_per_kwh=int(row["mg_per_kwh"]),
            renewable=row["renewable"] == "1",
            carbon_free=row["carbon_free"] == "1",
        )
        for row in _rows("sources.csv")
    }


@cache
def _markets() -> dict[str, str]:
    return {row["zone"]: row["market"] for row in _rows("markets.csv")}


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = (resources.files("sunward.signals") / "data" / "markets" / name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines())
