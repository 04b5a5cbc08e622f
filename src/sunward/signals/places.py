"""Where countries lie, coarsely and never too small: the cells of one degree that each has any part in."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from sunward.signals.zones import EARTH_RADIUS_KM

CELL_KM = 79.0
"""From the middle of a cell to its farthest corner, at the equator, where it is longest."""
OUTLINE_KM = 50.0
"""How far the outlines that the cells were made of may run inside the true ones; at 1:110,000,000 half a millimetre."""


class Direction(NamedTuple):
    """A place on the sphere, as the way to it from the middle."""

    x: float
    y: float
    z: float


class Disc(NamedTuple):
    """Everything within a distance of a place."""

    middle: Direction
    cosine: float
    """Of the angle between the middle and the edge."""


def direction(lat: float, lon: float) -> Direction:
    """The direction of a place, in degrees."""
    phi, lam = math.radians(lat), math.radians(lon)
    return Direction(math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi))


def disc(lat: float, lon: float, reach_km: float) -> Disc:
    """Middles of all cells that may have a part within reach of a place."""
    angle = (reach_km + CELL_KM + OUTLINE_KM) / EARTH_RADIUS_KM
    # No cosine is below -1, but a sum of rounded products may be: the whole sphere is inside whatever it says.
    return Disc(direction(lat, lon), math.cos(angle) if angle < math.pi else -math.inf)


def countries_in(discs: Sequence[Disc]) -> frozenset[str]:
    """Countries that have a cell inside every disc."""
    return frozenset(country for country, cells in load().items() if any(_inside(cell, discs) for cell in cells))


@cache
def load() -> Mapping[str, tuple[Direction, ...]]:
    """The packaged cells' middles by country; a cell on a border stands once for each. Read once."""
    file = resources.files("sunward.signals") / "data" / "places" / "cells.csv"
    cells: dict[str, list[Direction]] = {}
    for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
        middles = (
            direction(int(row["south"]) + 0.5, west + 0.5) for west in range(int(row["west"]), int(row["east"]) + 1)
        )
        cells.setdefault(row["country"], []).extend(middles)
    return {country: tuple(cells[country]) for country in sorted(cells)}


def _inside(cell: Direction, discs: Sequence[Disc]) -> bool:
    x, y, z = cell
    return all(x * middle.x + y * middle.y + z * middle.z >= cosine for middle, cosine in discs)
