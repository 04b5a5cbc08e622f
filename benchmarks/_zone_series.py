"""Hourly intensities of many zones from the open data, which is never part of the project."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from sunward.errors import InputError
from sunward.world.snapshot import FloatArray, IntArray

DATA = Path(os.environ.get("SUNWARD_DATA", "../shared"))
PUBLISHED = DATA / "bench" / "ci2022_123zones.parquet"
"""The series of the published answers: one year, hours counted from 0."""
PUBLISHED_YEAR = 2022
HOURLY = DATA / "data" / "carbon_intensity_hourly.parquet"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Year:
    """A year to score, and the year before it as far as it is known."""

    zones: tuple[str, ...]
    start_ms: int
    intensity: FloatArray
    """(Z, T) gCO2e/kWh of the scored year."""
    before: FloatArray
    """(Z, B) of the year before; NaN in zones without a record of it."""


def add_year_options(parser: argparse.ArgumentParser) -> None:
    """What `load_year` is asked, as options of a command line."""
    parser.add_argument("--year", type=int, default=PUBLISHED_YEAR, help="to score; others than 2022 from --hourly")
    parser.add_argument("--published", type=Path, default=PUBLISHED, help="the 123 zones of 2022")
    parser.add_argument("--hourly", type=Path, default=HOURLY, help="hourly intensities of several years")
    parser.add_argument("--zones", type=int, default=0, help="only the first so many; 0 = all")
    parser.add_argument("--hours", type=int, default=0, help="only the first so many of the year; 0 = all")


def load_year(year: int, published: Path, hourly: Path, zones: int = 0, hours: int = 0) -> Year:
    """The zones of the published series in one year; of another year than theirs, from the hourly table.

    `zones` and `hours` keep the first so many, 0 all. Raises: InputError where a file or the year is absent.
    """
    names, series = _published(published)
    first, start, end = (np.datetime64(f"{year + more}", "h") for more in (-1, 0, 1))
    table = _hourly(hourly, first, end)
    span, gone = int((end - start).astype(int)), int((start - first).astype(int))
    if year != PUBLISHED_YEAR:
        names = tuple(name for name in names if name in table)
        if not names:
            raise InputError(f"no hours of {year} in {hourly}; choose another --year")
        series = np.stack([table[name][-span:] for name in names])
    before = np.stack([table[name][:gone] if name in table else np.full(gone, np.nan) for name in names])
    kept = slice(zones or None)
    return Year(
        zones=names[kept],
        start_ms=int(start.astype("datetime64[ms]").astype(np.int64)),
        intensity=series[kept, : hours or None],
        before=before[kept],
    )


def _published(path: Path) -> tuple[tuple[str, ...], FloatArray]:
    zone, value, hour = _columns(path, "gco2_per_kwh", "hour")
    names = sorted(set(zone))
    return tuple(names), _matrix(zone, hour.astype(np.int64), value, names)


def _hourly(path: Path, start: np.datetime64, end: np.datetime64) -> dict[str, FloatArray]:
    zone, value, stamp = _columns(path, "gco2_per_kwh_lca", "ts_utc")
    hour = (stamp.astype("datetime64[h]") - start).astype(np.int64)
    within = (hour >= 0) & (hour < int((end - start).astype(int)))
    names = sorted(set(zone[within]))
    rows = _matrix(zone[within], hour[within], value[within], names) if names else np.zeros((0, 0))
    return dict(zip(names, rows, strict=True))


def _columns(path: Path, value: str, time: str) -> tuple[np.ndarray, FloatArray, np.ndarray]:
    if not path.is_file():
        raise InputError(f"no file {path}; set SUNWARD_DATA to the folder that holds `bench` and `data`")
    table = pq.read_table(path, columns=["zone", value, time])
    zone = table["zone"].combine_chunks()
    names = np.array(zone.dictionary.to_pylist())[zone.indices.to_numpy()]
    return names, table[value].to_numpy().astype(np.float64), table[time].to_numpy()


def _matrix(zone: np.ndarray, hour: IntArray, value: FloatArray, names: list[str]) -> FloatArray:
    rows = np.full((len(names), int(hour.max()) + 1), np.nan)
    rows[np.searchsorted(names, zone), hour] = value
    return rows
