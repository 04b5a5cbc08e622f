"""Hourly series of many zones from Parquet files that are not part of the repository."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sunward.errors import InputError
from sunward.signals.zones import load
from sunward.units import HOUR_MS

DATA = Path(os.environ.get("SUNWARD_DATA", "../shared")) / "data"
FILES = {"carbon": DATA / "carbon_intensity_hourly.parquet", "price": DATA / "price_hourly.parquet"}
VALUES = ("gco2_per_kwh_lca", "gco2_per_kwh", "price_usd_per_mwh", "value")
"""Columns that hold the series, by the names files give them."""
DEGREES_PER_HOUR = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Shapes: values float64 (zones, hours) from `first_hour` since 1970 UTC, NaN where the file has none."""

    zones: tuple[str, ...]
    first_hour: int
    values: npt.NDArray[np.float64]
    shifts_h: tuple[int, ...]

    def only(self, rows: list[int]) -> Grid:
        """Some of the zones."""
        return Grid(
            zones=tuple(self.zones[row] for row in rows),
            first_hour=self.first_hour,
            values=self.values[rows],
            shifts_h=tuple(self.shifts_h[row] for row in rows),
        )

    @property
    def last_year(self) -> int:
        """The year of the last hour."""
        last = np.datetime64(self.first_hour + self.values.shape[1] - 1, "h")
        return int(str(last.astype("datetime64[Y]")))

    def hour_of(self, year: int) -> int:
        """The first hour of a year."""
        return int(np.datetime64(f"{year}-01-01T00", "h").astype(np.int64))


def read(path: Path, column: str = "") -> Grid:
    """All zones of a file with the columns zone, ts_utc and a value. Raises: InputError."""
    if not path.is_file():
        raise InputError(f"no series at {path}; set SUNWARD_DATA to the folder that holds `data`, or name a --file")
    names = pq.read_schema(path).names
    value = column or next((name for name in VALUES if name in names), "")
    if not {"zone", "ts_utc", value} <= set(names):
        raise InputError(f"{path.name} needs the columns zone, ts_utc and one of {', '.join(VALUES)}, or a --column")
    table = pq.read_table(path, columns=["zone", "ts_utc", value])
    stamps = table["ts_utc"].cast(pa.timestamp("ms", tz="UTC")).cast("int64").to_numpy()
    hours = stamps // HOUR_MS
    zones, rows = np.unique(
        table["zone"].cast("string").to_numpy(zero_copy_only=False).astype(str), return_inverse=True
    )
    first = int(hours.min())
    values = np.full((len(zones), int(hours.max()) - first + 1), math.nan)
    values[rows, hours - first] = table[value].to_numpy(zero_copy_only=False)
    names_of = tuple(str(zone) for zone in zones)
    return Grid(zones=names_of, first_hour=first, values=values, shifts_h=tuple(map(solar_shift_h, names_of)))


def solar_shift_h(zone: str) -> int:
    """Whole hours that the sun is ahead of UTC in a zone; 0 where it is not known."""
    known = load()
    return round(known.zone(zone).lon / DEGREES_PER_HOUR) if zone in known.rows else 0
