"""A user's own hourly file as a source, and as the forecast of the hours it holds."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from sunward.errors import InputError, NotFoundError
from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.signals.series import UNITS, Series
from sunward.signals.zones import near_miss
from sunward.units import HOUR_MS, MG_PER_G, MICRO, MILLI_PER_UNIT, SECOND_MS, W_PER_KW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from sunward.model.signal import Forecast
    from sunward.ports import Forecaster, SignalSource

CARBON_UNITS = {"gCO2e/kWh": MG_PER_G, "kgCO2e/MWh": MG_PER_G, "mgCO2e/kWh": 1}
PRICE_UNITS = {"USD/kWh": MICRO, "USD/MWh": MICRO // W_PER_KW, "micro-USD/kWh": 1}
"""Units a file may use, and how many of our integer units one of them is; a MWh is to a kWh as a kW to a W."""
SCALES = {
    SeriesKind.CARBON_AVERAGE_LIFECYCLE: CARBON_UNITS,
    SeriesKind.CARBON_AVERAGE_DIRECT: CARBON_UNITS,
    SeriesKind.CARBON_MARGINAL: CARBON_UNITS,
    SeriesKind.PRICE: PRICE_UNITS,
    SeriesKind.WET_BULB: {"°C": MILLI_PER_UNIT, "m°C": 1},
}
COLUMNS_NEEDED = ("zone", "ts_utc", "value")
WORST_LAST = tuple(Quality)
INTEGER_MAX = 2**53
"""Largest magnitude at which a float still names every integer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One checked line of a file."""

    number: int
    zone: ZoneId
    at_ms: int
    value: int
    quality: Quality
    source: str


@dataclass(frozen=True, slots=True)
class FileSource:
    """A user's own hourly series of one kind, from CSV or Parquet.

    Columns: zone, ts_utc, value, and optionally unit, quality, source. Without a unit column carbon is in gCO2e/kWh
    and price in USD/kWh; without a quality column values count as modelled; without a source column the file's
    name is the source. Row numbers in errors count the header of a CSV as row 1, and Parquet rows from 1.
    Raises: InputError naming the row and the remedy, for the whole file, when it is read.
    """

    path: Path
    kind: SeriesKind
    _rows: dict[ZoneId, list[_Row]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read and check the whole file once, so a bad hour is found before it matters."""
        zones: dict[ZoneId, list[_Row]] = {}
        for number, record in _records(self.path):
            row = _checked(self.path, self.kind, number, record)
            zones.setdefault(row.zone, []).append(row)
        if not zones:
            raise InputError(f"{self.path.name}: no rows; add at least one hour")
        for rows in zones.values():
            rows.sort(key=lambda row: (row.at_ms, row.number))
            _require_consecutive(self.path, rows)
        object.__setattr__(self, "_rows", zones)

    def holds(self, zone: ZoneId) -> bool:
        """Whether the file has hours of a zone."""
        return zone in self._rows

    def zones(self) -> tuple[ZoneId, ...]:
        """The zones it has hours of."""
        return tuple(self._rows)

    def gone(self, zone: ZoneId, start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
        """Start and value of the hours held of [start_ms, end_ms)."""
        rows = self._rows[zone]
        first, last = ((at_ms - rows[0].at_ms) // HOUR_MS for at_ms in (start_ms, end_ms))
        return ((row.at_ms, row.value) for row in rows[max(first, 0) : max(last, 0)])

    def hours(self) -> Iterator[tuple[ZoneId, int, int, Quality, str]]:
        """Every hour: zone, start, value, quality and source."""
        return (
            (zone, row.at_ms, row.value, row.quality, row.source) for zone, rows in self._rows.items() for row in rows
        )

    def source(self, zone: ZoneId) -> str:
        """Where the values of a zone come from."""
        return self._rows[zone][0].source

    def ahead(self, zone: ZoneId, start_ms: int, hours: int) -> dict[int, int]:
        """What the file holds of the hours from a full hour on: the value of each by its number, from 0."""
        found = (((row.at_ms - start_ms) // HOUR_MS, row.value) for row in self._rows[zone])
        return {hour: value for hour, value in found if 0 <= hour < hours}

    def observe(self, zone: ZoneId, kind: SeriesKind, start_ms: int, end_ms: int) -> Series:
        """Hourly values over [start_ms, end_ms), widened to whole hours; quality is the worst of them.

        Raises: NotFoundError when the file lacks the zone, InputError for another kind or hours it does not hold.
        """
        if kind is not self.kind:
            raise InputError(f"{self.path.name} holds {self.kind}, not {kind}; name a file of that kind")
        rows = self._rows.get(zone)
        if rows is None:
            raise NotFoundError(f"{self.path.name} has no zone '{zone}'{near_miss(zone, self._rows)}")
        end_held_ms = rows[-1].at_ms + HOUR_MS
        if not rows[0].at_ms <= start_ms < end_ms <= end_held_ms:
            held = f"[{_stamp(rows[0].at_ms)}, {_stamp(end_held_ms)})"
            raise InputError(f"{self.path.name}: zone {zone} holds {held}, not [{_stamp(start_ms)}, {_stamp(end_ms)})")
        first = (start_ms - rows[0].at_ms) // HOUR_MS
        last = -((rows[0].at_ms - end_ms) // HOUR_MS)
        part = rows[first:last]
        return Series(
            zone=zone,
            kind=kind,
            start_ms=part[0].at_ms,
            step_ms=HOUR_MS,
            values=np.array([row.value for row in part], dtype=np.int64),
            unit=UNITS[kind],
            source=rows[0].source,
            quality=max((row.quality for row in part), key=WORST_LAST.index),
        )


@dataclass(frozen=True, slots=True)
class OwnSeriesFirst:
    """A user's own files for the zones and kinds they hold, another source for the rest.

    A zone that a file holds is never filled from the other source: a missing hour is an error that is seen.
    """

    files: tuple[FileSource, ...]
    rest: SignalSource

    def observe(self, zone: ZoneId, kind: SeriesKind, start_ms: int, end_ms: int) -> Series:
        """Hourly values over [start_ms, end_ms). Raises: as the source that is asked."""
        for file in self.files:
            if file.kind is kind and file.holds(zone):
                return file.observe(zone, kind, start_ms, end_ms)
        return self.rest.observe(zone, kind, start_ms, end_ms)


@dataclass(frozen=True, slots=True)
class OwnForecastFirst:
    """A user's own files for the hours ahead that they hold, another forecaster for the rest of the way.

    An hour of a file is taken as certain; beyond the file's end the other forecast goes on, and the source names both.
    """

    files: tuple[FileSource, ...]
    rest: Forecaster

    def forecast(self, zone: ZoneId, kind: SeriesKind, issued_ms: int, hours: int) -> Forecast:
        """Hourly p10, p50, p90 for `hours` hours from the hour that holds `issued_ms`.

        Raises: as the other forecaster.
        """
        beyond = self.rest.forecast(zone, kind, issued_ms, hours)
        own = next((file for file in self.files if file.kind is kind and file.holds(zone)), None)
        told = own.ahead(zone, beyond.start_ms, hours) if own else {}
        if own is None or not told:
            return beyond
        bands = (
            [told.get(hour, value) for hour, value in enumerate(band)] for band in (beyond.p10, beyond.p50, beyond.p90)
        )
        p10, p50, p90 = map(tuple, bands)
        source = own.source(zone) if len(told) == hours else f"{own.source(zone)}; where it ends, {beyond.source}"
        return replace(beyond, p10=p10, p50=p50, p90=p90, source=source)


def _records(path: Path) -> Iterable[tuple[int, Mapping[str, object]]]:
    """Numbered rows of a file, cells as they stand."""
    suffix = path.suffix.lower()
    if suffix not in {".csv", ".parquet"}:
        raise InputError(f"{path.name}: unknown kind of file; use .csv or .parquet")
    if not path.is_file():
        raise InputError(f"{path.name}: no such file at {path}")
    return _csv_records(path) if suffix == ".csv" else _parquet_records(path)


def _csv_records(path: Path) -> list[tuple[int, Mapping[str, object]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, strict=True)
            _require_columns(path, reader.fieldnames or ())
            return [(number, record) for number, record in enumerate(reader, start=2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name}: not readable as CSV ({error}); save it as UTF-8 text") from error


def _parquet_records(path: Path) -> list[tuple[int, Mapping[str, object]]]:
    import pyarrow as pa  # noqa: PLC0415 - half a second that users of CSV need not pay
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path.name}: not readable as Parquet; write it again") from error
    _require_columns(path, table.column_names)
    return list(enumerate(table.to_pylist(), start=1))


def _require_columns(path: Path, names: Iterable[str]) -> None:
    missing = [name for name in COLUMNS_NEEDED if name not in set(names)]
    if missing:
        raise InputError(f"{path.name}: no column {', '.join(missing)}; needed are {', '.join(COLUMNS_NEEDED)}")


def _checked(path: Path, kind: SeriesKind, number: int, record: Mapping[str, object]) -> _Row:
    where = f"{path.name} row {number}"
    zone = str(record["zone"] or "").strip()
    if not zone:
        raise InputError(f"{where}: no zone; name the grid zone, such as DE")
    scales = SCALES[kind]
    unit = str(record.get("unit") or next(iter(scales))).strip()
    if unit not in scales:
        raise InputError(f"{where}: unknown unit '{unit}' for {kind}; use one of {', '.join(scales)}")
    label = str(record.get("quality") or Quality.MODELLED).strip()
    if label not in set(Quality):
        raise InputError(f"{where}: unknown quality '{label}'; use one of {', '.join(Quality)}")
    return _Row(
        number=number,
        zone=ZoneId(zone),
        at_ms=_at_ms(where, record["ts_utc"]),
        value=_value(where, kind, record["value"], scales[unit]),
        quality=Quality(label),
        source=str(record.get("source") or path.name).strip(),
    )


def _value(where: str, kind: SeriesKind, cell: object, scale: int) -> int:
    """The integer value, rounded half up."""
    try:
        value = float(str(cell))
    except ValueError:
        raise InputError(f"{where}: value '{cell}' is not a number; write it with a decimal point") from None
    if not math.isfinite(value) or abs(value) * scale > INTEGER_MAX:
        raise InputError(f"{where}: value {cell} is not a finite amount; leave no hour blank or infinite")
    if value < 0 and kind not in {SeriesKind.PRICE, SeriesKind.WET_BULB}:
        raise InputError(f"{where}: carbon intensity {cell} is below 0; correct it (only prices may be negative)")
    return math.floor(value * scale + 0.5)


def _at_ms(where: str, cell: object) -> int:
    """The hour in ms since 1970 UTC; a stamp without an offset is UTC, as the column's name says."""
    try:
        stamp = cell if isinstance(cell, datetime) else datetime.fromisoformat(str(cell).strip())
    except ValueError:
        raise InputError(f"{where}: ts_utc '{cell}' is not a time; write it like 2026-01-31T13:00:00Z") from None
    if stamp.utcoffset() not in {None, timedelta(0)}:
        raise InputError(f"{where}: ts_utc '{cell}' is not UTC; convert it and end it with Z")
    stamp = stamp.replace(tzinfo=UTC)
    if stamp.minute or stamp.second or stamp.microsecond:
        raise InputError(f"{where}: ts_utc '{cell}' is not a whole hour; give hourly values, stamped at their start")
    return int(stamp.timestamp()) * SECOND_MS


def _require_consecutive(path: Path, rows: list[_Row]) -> None:
    """Refuse duplicates, gaps and a change of source inside one zone."""
    for before, row in pairwise(rows):
        where = f"{path.name} row {row.number}"
        if row.at_ms == before.at_ms:
            raise InputError(f"{where}: zone {row.zone} has {_stamp(row.at_ms)} in row {before.number} too; keep one")
        if row.at_ms != before.at_ms + HOUR_MS:
            raise InputError(f"{where}: zone {row.zone} lacks {_stamp(before.at_ms + HOUR_MS)} before it; fill the gap")
        if row.source != before.source:
            raise InputError(f"{where}: zone {row.zone} changes source to '{row.source}'; use one file a source")


def _stamp(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / SECOND_MS, tz=UTC).strftime("%Y-%m-%dT%H:%MZ")
