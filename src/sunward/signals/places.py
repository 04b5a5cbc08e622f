"""Where countries lie, coarsely and never too small: the cells of one degree that each has any part in."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from sunward.signals.zones import EARTH_RADIUS_KM

CELL_KM = 79.0
"""From the middle of a cell to its farthest corner, at the equator, where it is longest."""
OUTLINE_KM = 50.0
"""How far the outlines that the cells were made of may run inside the true ones; at 1:110,000,000 half a millimetre."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Middles of all cells, in radians, and the country of each; a cell on a border stands once for each country."""

    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    code: NDArray[np.int64]
    """Row of its country."""
    countries: tuple[str, ...]

    def nearest_km(self, lat: float, lon: float) -> NDArray[np.float64]:
        """Shape (cells,): what no part of each cell is nearer to a place than; haversine on a sphere."""
        phi, lam = np.radians(lat), np.radians(lon)
        chord = np.sin((self.lat - phi) / 2) ** 2 + np.cos(self.lat) * np.cos(phi) * np.sin((self.lon - lam) / 2) ** 2
        middle_km = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(1.0, chord)))
        return np.asarray(np.maximum(0.0, middle_km - CELL_KM - OUTLINE_KM), np.float64)


@cache
def load() -> Cells:
    """The packaged cells; read once."""
    file = resources.files("sunward.signals") / "data" / "places" / "cells.csv"
    cells = [
        (row["country"], int(row["south"]) + 0.5, west + 0.5)
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines())
        for west in range(int(row["west"]), int(row["east"]) + 1)
    ]
    rows = {country: row for row, country in enumerate(sorted({country for country, _, _ in cells}))}
    return Cells(
        lat=np.radians([south for _, south, _ in cells]),
        lon=np.radians([west for _, _, west in cells]),
        code=np.array([rows[country] for country, _, _ in cells], np.int64),
        countries=tuple(rows),
    )
