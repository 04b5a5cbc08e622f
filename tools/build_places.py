"""Which degree cells of the Earth each country has any part in: what a place measured by round trips is held against.

    python tools/build_places.py [DATA]

Reads Natural Earth's 1:110m outlines (public domain), GeoNames' eight largest cities a country (CC-BY-4.0) and the
packaged zones; writes `signals/data/places/cells.csv`, one run of cells of one country a line.
"""

from __future__ import annotations

import csv
import json
import math
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
ZONES = ROOT / "src" / "sunward" / "signals" / "data" / "climatology" / "zones.csv"
TARGET = ROOT / "src" / "sunward" / "signals" / "data" / "places" / "cells.csv"
STEP_DEG = 0.1
Point = tuple[float, float]
"""(longitude, latitude)"""
Cell = tuple[int, int]
"""(southern edge, western edge), whole degrees."""


def main() -> None:
    base = Path(os.environ.get("SUNWARD_DATA", ROOT.parent / "shared"))
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else base / "data"
    cells: dict[str, set[Cell]] = defaultdict(set)
    for country, rings in outlines(data):
        cells[country] |= edges(rings) | inside(rings)
    for country, lon, lat in spots(data):
        # Around a spot, for a country too small to have an outline, or one drawn without its islands.
        cells[country] |= {cell_of(lon + east, lat + north) for east in (-1, 0, 1) for north in (-1, 0, 1)}
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    with TARGET.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["country", "south", "west", "east"])
        table.writerows(runs(cells))


def outlines(data: Path) -> Iterator[tuple[str, list[list[Point]]]]:
    """Countries with the rings of their outlines."""
    table = pq.read_table(data / "country_yearly.parquet", columns=["iso_num", "iso2"]).to_pylist()
    iso2 = {int(row["iso_num"]): row["iso2"] for row in table if row["iso_num"] and row["iso2"]}
    world = json.loads((data / "world_countries_110m.topojson").read_text(encoding="utf-8"))
    arcs = [list(unpacked(arc, world["transform"])) for arc in world["arcs"]]
    for shape in world["objects"]["countries"]["geometries"]:
        code = iso2.get(int(shape.get("id", -1)))
        if code:
            polygons = shape["arcs"] if shape["type"] == "MultiPolygon" else [shape["arcs"]]
            yield code, [joined(ring, arcs) for polygon in polygons for ring in polygon]


def unpacked(arc: list[list[int]], transform: dict[str, list[float]]) -> Iterator[Point]:
    x = y = 0
    for east, north in arc:
        x, y = x + east, y + north
        yield (
            x * transform["scale"][0] + transform["translate"][0],
            y * transform["scale"][1] + transform["translate"][1],
        )


def joined(ring: list[int], arcs: list[list[Point]]) -> list[Point]:
    return [point for index in ring for point in (arcs[index] if index >= 0 else reversed(arcs[~index]))]


def edges(rings: list[list[Point]]) -> set[Cell]:
    found = set()
    for ring in rings:
        for (x, y), (to_x, to_y) in pairwise([*ring, ring[0]]):
            steps = max(1, math.ceil(max(abs(to_x - x), abs(to_y - y)) / STEP_DEG))
            found |= {cell_of(x + (to_x - x) * i / steps, y + (to_y - y) * i / steps) for i in range(steps + 1)}
    return found


def inside(rings: list[list[Point]]) -> set[Cell]:
    """Cells whose middle lies inside, by the crossings of their parallel."""
    found = set()
    for south in range(-90, 90):
        at = south + 0.5
        crossings = sorted(
            x + (at - y) / (to_y - y) * (to_x - x)
            for ring in rings
            for (x, y), (to_x, to_y) in pairwise([*ring, ring[0]])
            if (y <= at) != (to_y <= at)
        )
        for west, east in zip(crossings[::2], crossings[1::2], strict=True):
            found |= {(south, column) for column in range(math.ceil(west - 0.5), math.floor(east - 0.5) + 1)}
    return found


def spots(data: Path) -> Iterator[tuple[str, float, float]]:
    for city in pq.read_table(data / "cities.parquet", columns=["iso2", "lon", "lat"]).to_pylist():
        yield city["iso2"], city["lon"], city["lat"]
    with ZONES.open(encoding="utf-8") as file:
        for zone in csv.DictReader(file):
            yield zone["country"], float(zone["lon"]), float(zone["lat"])


def cell_of(lon: float, lat: float) -> Cell:
    return min(89, max(-90, math.floor(lat))), (math.floor(lon) + 180) % 360 - 180


def runs(cells: dict[str, set[Cell]]) -> Iterable[tuple[str, int, int, int]]:
    for country in sorted(cells):
        for south, row in groupby(sorted(cells[country]), key=lambda cell: cell[0]):
            columns = [west for _, west in row]
            for _, run in groupby(enumerate(columns), key=lambda one: one[1] - one[0]):
                members = [column for _, column in run]
                yield country, south, members[0], members[-1]


if __name__ == "__main__":
    main()
