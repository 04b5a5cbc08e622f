"""Write the prices of moved data by region, and the region of each country, from the raw tables.

python tools/build_egress.py --data ../shared/data --out src/sunward/signals/data/egress
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet

MICRO = 1_000_000
REGIONS = ("AF", "AS", "EU", "NA", "OC", "SA")
"""Continents by their two letters; Antarctica has no list price."""
PREFIXES = {
    "us-": "NA",
    "ca-": "NA",
    "us": "NA",
    "canada": "NA",
    "east us": "NA",
    "west us": "NA",
    "south central us": "NA",
    "eu-": "EU",
    "europe-": "EU",
    "west europe": "EU",
    "north europe": "EU",
    "france": "EU",
    "switzerland": "EU",
    "austria": "EU",
    "germany": "EU",
    "spain": "EU",
    "portugal": "EU",
    "ap-southeast-2": "OC",
    "australia": "OC",
    "ap-": "AS",
    "asia-": "AS",
    "me-": "AS",
    "southeast asia": "AS",
    "japan": "AS",
    "korea": "AS",
    "central india": "AS",
    "sa-": "SA",
    "southamerica": "SA",
    "brazil": "SA",
    "chile": "SA",
    "us-east-1-chl-1": "SA",
    "af-": "AF",
    "africa": "AF",
    "south africa": "AF",
}
"""Where the regions of three clouds are, by the longest prefix of their names."""


def region(cloud_region: str) -> str:
    """The region of a cloud's region."""
    name = cloud_region.lower()
    return PREFIXES[max((prefix for prefix in PREFIXES if name.startswith(prefix)), key=len)]


def prices(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[int, int]]:
    """USD/GB times a million by (from, to), and how many price lists know the way.

    The median over the lists of each list's median over its pairs of different places. A short way is charged no more
    than the cheapest long one: some lists price by where data leaves alone, others by where it goes alone.
    """
    listed: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        if row["src"] != row["dst"]:
            way = region(row["src"]), region(row["dst"])
            listed.setdefault(way, {}).setdefault(row["provider"], []).append(row["usd_per_gb"])
    found = {
        way: (round(median(median(one) for one in lists.values()), 4), len(lists)) for way, lists in listed.items()
    }
    for way in [one for one in found if one[0] == one[1]]:
        cheapest = min(usd for other, (usd, _) in found.items() if other[0] == way[0])
        found[way] = cheapest, found[way][1]
    return {way: (round(usd * MICRO), lists) for way, (usd, lists) in sorted(found.items())}


def continents(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Country and region, by country."""
    for row in sorted(rows, key=lambda one: str(one["iso2"])):
        if row["iso2"] and row["continent"] in REGIONS:
            yield row["iso2"], row["continent"]


def files(data: Path) -> dict[str, str]:
    """What lies in the package, by name."""
    table = prices(pyarrow.parquet.read_table(data / "egress_cost_usd_per_gb.parquet").to_pylist())
    lines = [(*way, str(usd_micro), str(lists)) for way, (usd_micro, lists) in table.items()]
    where = continents(pyarrow.parquet.read_table(data / "country_yearly.parquet").to_pylist())
    return {
        "prices.csv": _csv(("from", "to", "usd_micro_per_gb", "lists"), lines),
        "regions.csv": _csv(("country", "region"), where),
    }


def _csv(head: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(lines)
    return text.getvalue()


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, text in files(asked.data).items():
        (asked.out / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
