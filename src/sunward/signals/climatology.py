"""The typical year of every grid zone: what carbon and price usually are at a month and an hour.

Packaged figures (statistics of 2021-2023, built by `tools/build_climatology.py`) give, per zone, the
10th, 50th and 90th percentile, the mean and the standard deviation by month and UTC hour. Zones without
hourly data borrow the mean shape of named donor zones, shifted to their own solar hour and scaled to their own
mean; they are marked `modelled`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from sunward.errors import InputError, InvariantError
from sunward.model.datum import Quality
from sunward.model.identity import ZoneId
from sunward.signals.zones import Zone, Zones
from sunward.signals.zones import load as load_zones
from sunward.units import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

Int64Array: TypeAlias = npt.NDArray[np.int64]

MONTHS = 12
HOURS = 24
CARBON_STEP_MG = 100
"""Resolution the carbon series is published in, and its percentiles are stored in."""
BAND, MOMENTS = slice(0, 3), slice(3, 5)
"""Rows of a table that are percentiles, and that are mean and standard deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Three quantiles of one hourly series.

    Shapes: p10, p50, p90 are int64 of shape (hours,), in the unit of the series.
    """

    p10: Int64Array
    p50: Int64Array
    p90: Int64Array
    source: str
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Mean and standard deviation of one hourly series; int64 of shape (hours,), in the unit of the series."""

    mean: Int64Array
    std: Int64Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Climatology(Zones):
    """Typical years of all packaged zones.

    Shapes: `carbon` (mgCO2e/kWh) and `price` (micro-USD/kWh) are int64 (5, zones, 12, 24): p10, p50, p90,
    mean and std; zone; month; UTC hour.
    """

    carbon: Int64Array
    price: Int64Array

    def carbon_mgco2e_per_kwh(self, zone_id: str, start_ms: int, hours: int) -> Band:
        """Average life-cycle carbon intensity a typical year has in the hours from `start_ms`.

        Shapes: (hours,) mgCO2e/kWh. Raises: InputError for an unknown zone or a start off the hour.
        """
        zone = self.zone(zone_id)
        low, middle, high = interpolate(self.carbon[BAND, self.rows[zone_id]], start_ms, hours)
        return Band(p10=low, p50=middle, p90=high, source=zone.carbon_source, quality=zone.carbon_quality)

    def price_usd_micro_per_kwh(self, zone_id: str, start_ms: int, hours: int) -> Band:
        """Wholesale electricity price a typical year has in the hours from `start_ms`; may be negative.

        Shapes: (hours,) micro-USD/kWh. Raises: InputError for an unknown zone or a start off the hour.
        """
        zone = self.zone(zone_id)
        low, middle, high = interpolate(self.price[BAND, self.rows[zone_id]], start_ms, hours)
        return Band(p10=low, p50=middle, p90=high, source=zone.price_source, quality=zone.price_quality)

    def carbon_moments(self, zone_id: str, start_ms: int, hours: int) -> Moments:
        """Mean and standard deviation behind `carbon_mgco2e_per_kwh`; the mean is what expected emissions need.

        Shapes: (hours,) mgCO2e/kWh.
        """
        mean, std = interpolate(self.carbon[MOMENTS, self.row(zone_id)], start_ms, hours)
        return Moments(mean=mean, std=std)

    def price_moments(self, zone_id: str, start_ms: int, hours: int) -> Moments:
        """Mean and standard deviation behind `price_usd_micro_per_kwh`; the mean is what expected cost needs.

        Shapes: (hours,) micro-USD/kWh.
        """
        mean, std = interpolate(self.price[MOMENTS, self.row(zone_id)], start_ms, hours)
        return Moments(mean=mean, std=std)


def interpolate(typical: Int64Array, start_ms: int, hours: int) -> Int64Array:
    """Hours of a calendar read from month-by-hour tables, linear between the middles of the months.

    Shapes: (..., 12, 24), scalar, scalar -> (..., hours), same unit; exact integers, halves up, so the
    result has no jump at a month's end and is the same on every machine.
    Raises: InputError when `start_ms` is not a whole UTC hour or `hours` is negative.
    """
    if start_ms % HOUR_MS or hours < 0:
        raise InputError(f"typical years are hourly: start {start_ms} ms must be a whole UTC hour, hours {hours} >= 0")
    at_ms = start_ms + np.arange(hours, dtype=np.int64) * HOUR_MS
    stamps = at_ms.astype("datetime64[ms]")
    months = stamps.astype("datetime64[M]")
    begin_ms = months.astype("datetime64[ms]").astype(np.int64)
    length_ms = (months + 1).astype("datetime64[ms]").astype(np.int64) - begin_ms
    month = months.astype(np.int64) % MONTHS
    hour = at_ms // HOUR_MS % HOURS
    late = 2 * (at_ms - begin_ms) >= length_ms
    first = np.where(late, month, (month - 1) % MONTHS)
    second = (first + 1) % MONTHS
    span_ms = 2 * length_ms
    ahead_ms = 2 * (at_ms - begin_ms) + np.where(late, -length_ms, length_ms)
    mixed = typical[..., first, hour] * (span_ms - ahead_ms) + typical[..., second, hour] * ahead_ms
    result: Int64Array = (2 * mixed + span_ms) // (2 * span_ms)
    return result


@cache
def load() -> Climatology:
    """The packaged typical years; read once."""
    folder = resources.files("sunward.signals") / "data" / "climatology"
    known = load_zones()
    zones = known.zones
    return Climatology(
        zones=zones,
        rows=known.rows,
        carbon=_tables(
            _stored(folder, "carbon", CARBON_STEP_MG),
            zones,
            {zone.zone: (zone.carbon_donors, zone.carbon_shifts_h, zone.carbon_mean_mgco2e_per_kwh) for zone in zones},
        ),
        price=_tables(
            _stored(folder, "price", 1),
            zones,
            {
                zone.zone: ((zone.price_donor,), (zone.price_shift_h,), zone.price_mean_usd_micro_per_kwh)
                for zone in zones
            },
        ),
    )


def _stored(folder: Traversable, kind: str, step: int) -> Int64Array:
    """Shapes: stored (3, rows, 12, 24) percentiles in steps, (rows, 12, 24) mean and std -> (5, rows, 12, 24)."""
    with (folder / "tables.npz").open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
        quantiles, mean, std = (stored[f"{kind}_{part}"].astype(np.int64) for part in ("quantiles", "mean", "std"))
    return np.concatenate([quantiles * step, mean[None], std[None]])


def _tables(
    own_tables: Int64Array,
    zones: tuple[Zone, ...],
    shapes: Mapping[ZoneId, tuple[tuple[ZoneId, ...], tuple[int, ...], int]],
) -> Int64Array:
    """One table a zone: its own, or its donors' moved to its solar hour, scaled to its mean and averaged."""
    own = [zone.zone for zone in zones if shapes[zone.zone][0] == (zone.zone,)]
    if len(own) != own_tables.shape[1]:
        raise InvariantError(f"climatology holds {own_tables.shape[1]} tables for {len(own)} zones; rebuild it")
    stored = {zone: row for row, zone in enumerate(own)}
    tables = np.empty((len(own_tables), len(zones), MONTHS, HOURS), dtype=np.int64)
    for row, zone in enumerate(zones):
        donors, shifts_h, mean = shapes[zone.zone]
        scaled = np.zeros_like(tables[:, row])
        for donor, shift_h in zip(donors, shifts_h, strict=True):
            donor_mean = shapes[donor][2]
            moved = np.roll(own_tables[:, stored[donor]], -shift_h, axis=-1)
            scaled += (2 * moved * mean + donor_mean) // (2 * donor_mean)
        tables[:, row] = (2 * scaled + len(donors)) // (2 * len(donors))
    tables.setflags(write=False)
    return tables
