"""A user's own archive of a series: fetched hour by hour from a source, kept in the form that `FileSource` reads.

The file is whole and readable after every step, so a fetch that is broken off goes on where it was.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sunward.adapters.feeds.feed import NOT_THERE, Feed, FeedError, Told
from sunward.adapters.feeds.files import FileSource
from sunward.adapters.feeds.stamps import text_of
from sunward.errors import InputError
from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.signals.series import UNITS
from sunward.units import HOUR_MS, SECOND_MS

OTHER_FILE = "SW-228"
COLUMNS = ("zone", "ts_utc", "value", "unit", "quality", "source")
TRIES = 4
REST_S_MAX = 120
"""A source that asks for a longer rest is asked again by hand: what is kept stays kept."""

Kept = tuple[int, Quality, str]
"""Value, quality and source of an hour."""


@dataclass(slots=True)
class Archive:
    """The file of one kind of series, of one zone or more; each zone has one source and no gap."""

    path: Path
    kind: SeriesKind
    zones: dict[ZoneId, dict[int, Kept]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what is kept so far. Raises: InputError for a file that is no such archive."""
        if self.path.suffix.lower() not in {".csv", ".parquet"}:
            raise InputError(f"{self.path.name}: unknown kind of file; use .csv or .parquet", code=OTHER_FILE)
        if self.path.exists():
            for zone, hour_ms, value, quality, source in FileSource(self.path, self.kind).hours():
                self.zones.setdefault(zone, {})[hour_ms] = (value, quality, source)

    def span(self, zone: ZoneId) -> range | None:
        """The hours kept of a zone."""
        hours = self.zones.get(zone)
        return range(min(hours), max(hours) + HOUR_MS, HOUR_MS) if hours else None

    def keep(self, zone: ZoneId, told: tuple[Told, ...], source: str) -> None:
        """Take hours, new ones and others anew, and put the file in place whole."""
        hours = self.zones.setdefault(zone, {})
        hours.update({one.hour_ms: (one.value, one.quality, source) for one in told})
        partial = self.path.with_name(f".{self.path.name}.new{self.path.suffix.lower()}")
        (self._write_csv if self.path.suffix.lower() == ".csv" else self._write_parquet)(partial)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(self.path)

    def _rows(self) -> Iterator[tuple[str, datetime, int, str, str, str]]:
        for zone, hours in sorted(self.zones.items()):
            for hour_ms, (value, quality, source) in sorted(hours.items()):
                moment = datetime.fromtimestamp(hour_ms / SECOND_MS, tz=UTC)
                yield zone, moment, value, UNITS[self.kind], quality.value, source

    def _write_csv(self, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows((zone, f"{at:%Y-%m-%dT%H:%MZ}", *rest) for zone, at, *rest in self._rows())

    def _write_parquet(self, path: Path) -> None:
        import pyarrow as pa  # noqa: PLC0415 - half a second that users of CSV need not pay
        import pyarrow.parquet as pq  # noqa: PLC0415 - as above

        columns = zip(*self._rows(), strict=True)
        pq.write_table(pa.table(dict(zip(COLUMNS, map(list, columns), strict=True))), path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Hours kept by one request."""

    start_ms: int
    end_ms: int
    hours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be fetched into an archive."""

    zone: ZoneId
    kind: SeriesKind
    start_ms: int
    end_ms: int
    again: bool = False
    """Ask for hours that are kept already too: sources revise."""


def fetch(
    feed: Feed, archive: Archive, wish: Wish, told: Callable[[Step], None], wait: Callable[[float], None] = time.sleep
) -> None:
    """Fetch what is missing, outwards from what is kept, telling each step.

    An hour that the source has not yet ends the fetch; one it lacks before others is an error.
    Raises: InputError when the file cannot take it, FeedError when the source fails or has a gap.
    """
    source = feed.source(wish.kind)
    _check_joins(archive, wish, source)
    for start_ms, end_ms in _steps(archive, wish, feed.span_ms):
        before = archive.span(wish.zone)
        found = _asked(feed, wish.kind, start_ms, end_ms, wait)
        fits = _joined(found, before, start_ms, end_ms)
        if fits:
            archive.keep(wish.zone, fits, source)
            told(Step(start_ms=fits[0].hour_ms, end_ms=fits[-1].hour_ms + HOUR_MS, hours=len(fits)))
        if len(fits) * HOUR_MS < end_ms - start_ms:
            if len(fits) < len(found) or end_ms < wish.end_ms or _backward(before, start_ms):
                raise FeedError(_gap(feed, fits, start_ms), code=NOT_THERE)
            return


def _check_joins(archive: Archive, wish: Wish, source: str) -> None:
    """A zone of an archive has one source and no gap."""
    span = archive.span(wish.zone)
    if span is None:
        return
    kept = next(iter(archive.zones[wish.zone].values()))[2]
    name = archive.path.name
    if kept != source:
        line = f"{name}: {wish.zone} is kept from '{kept}', not from '{source}'; name another file"
        raise InputError(line, code=OTHER_FILE)
    if wish.start_ms > span.stop or wish.end_ms < span.start:
        held = f"[{text_of(span.start)}, {text_of(span.stop)})"
        raise InputError(f"{name}: {wish.zone} is kept for {held}; fetch a time that joins it", code=OTHER_FILE)


def _steps(archive: Archive, wish: Wish, span_ms: int) -> list[tuple[int, int]]:
    """Stretches to ask for, each within the source's limit and next to what is kept by then."""
    span = archive.span(wish.zone) or range(wish.start_ms, wish.start_ms, HOUR_MS)
    earlier = range(min(span.start, wish.end_ms), wish.start_ms, -span_ms)
    later = range(max(span.start if wish.again else span.stop, wish.start_ms), wish.end_ms, span_ms)
    return [
        *((max(end_ms - span_ms, wish.start_ms), end_ms) for end_ms in earlier),
        *((start_ms, min(start_ms + span_ms, wish.end_ms)) for start_ms in later),
    ]


def _backward(before: range | None, start_ms: int) -> bool:
    return before is not None and start_ms < before.start


def _joined(found: tuple[Told, ...], before: range | None, start_ms: int, end_ms: int) -> tuple[Told, ...]:
    """The hours without a gap between them and what is kept."""
    by_hour = {one.hour_ms: one for one in found}
    hours = range(start_ms, end_ms, HOUR_MS)
    fits = []
    for hour_ms in reversed(hours) if _backward(before, start_ms) else hours:
        if hour_ms not in by_hour:
            break
        fits.append(by_hour[hour_ms])
    return tuple(sorted(fits))


def _asked(feed: Feed, kind: SeriesKind, start_ms: int, end_ms: int, wait: Callable[[float], None]) -> tuple[Told, ...]:
    """Ask, and after a passing failure again, as long as the source does not want a long rest."""
    for attempt in range(1, TRIES):
        try:
            return feed.observed(kind, start_ms, end_ms)
        except FeedError as reason:
            if not reason.transient or reason.rest_s > REST_S_MAX:
                raise
            wait(max(reason.rest_s, 1 << attempt))
    return feed.observed(kind, start_ms, end_ms)


def _gap(feed: Feed, fits: tuple[Told, ...], start_ms: int) -> str:
    stop = text_of(fits[-1].hour_ms + HOUR_MS if fits else start_ms)
    return f"{feed.name} has no value for an hour near {stop}; what lies up to there is kept"
