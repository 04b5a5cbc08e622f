"""What moving a gigabyte from one zone to another costs by list prices, by the continents of both.

Source: price lists of three clouds for traffic between their regions (about 2025), gathered by HPE's sustain-cluster;
tools/build_egress.py says how lists become one figure. Quality: published; what a provider's own line costs may differ.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from importlib import resources

from sunward.signals import zones


def usd_micro_per_gb(origin: str, zone: str) -> int | None:
    """List price between two zones; None where one has no continent here, or no list knows the way."""
    return _prices().get((_region(origin), _region(zone)))


def _region(zone: str) -> str:
    known = zones.load()
    return _regions().get(known.zone(zone).country, "") if zone in known.rows else ""


@cache
def _prices() -> dict[tuple[str, str], int]:
    return {(row["from"], row["to"]): int(row["usd_micro_per_gb"]) for row in _rows("prices.csv")}


@cache
def _regions() -> dict[str, str]:
    return {row["country"]: row["region"] for row in _rows("regions.csv")}


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = (resources.files("sunward.signals") / "data" / "egress" / name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines())
