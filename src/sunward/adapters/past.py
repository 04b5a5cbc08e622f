"""Hours gone as real sources told them: what forecasts are learnt from. The typical year is no part of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sunward.adapters.feeds.cache import Cache
from sunward.model.datum import SeriesKind
from sunward.model.identity import ZoneId
from sunward.units import HOUR_MS

if TYPE_CHECKING:
    from sunward.adapters.feeds.files import FileSource
    from sunward.signals.forecast.rows import Float64Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Hours gone of one series. Shapes: values (hours,), NaN where nobody told; at least one hour was told."""

    start_ms: int
    values: Float64Array
    source: str
    """Of the newest hour told."""
    last_ms: int
    """End of the newest hour told."""

    @property
    def told_hours(self) -> int:
        """Hours with a value."""
        return int(np.isfinite(self.values).sum())


@dataclass(frozen=True, slots=True)
class Past:
    """Files of the user's own, and what live feeds have told; where both tell an hour, the feed counts."""

    files: tuple[FileSource, ...] = ()
    feeds: Cache | None = None

    def zones(self, kind: SeriesKind) -> tuple[ZoneId, ...]:
        """Zones of which anything was told, sorted."""
        filed = {zone for file in self.files if file.kind is kind for zone in file.zones()}
        return tuple(sorted(filed | {*(self.feeds.zones(kind) if self.feeds else ())}))

    def kinds(self) -> tuple[SeriesKind, ...]:
        """Kinds of which anything was told."""
        return tuple(kind for kind in SeriesKind if self.zones(kind))

    def gone(self, zone: ZoneId, kind: SeriesKind, start_ms: int, end_ms: int) -> Gone | None:
        """What was told of the hours of [start_ms, end_ms), and nothing later; None where nothing was."""
        told: dict[int, tuple[float, str]] = {}
        for hour_ms, value, source in self._told(zone, kind, start_ms, end_ms):
            told[hour_ms] = (value, source)
        if not told:
            return None
        first_ms, last_ms = min(told), max(told)
        values = np.full((end_ms - first_ms) // HOUR_MS, math.nan)
        for hour_ms, (value, _) in told.items():
            values[(hour_ms - first_ms) // HOUR_MS] = value
        return Gone(start_ms=first_ms, values=values, source=told[last_ms][1], last_ms=last_ms + HOUR_MS)

    def _told(self, zone: ZoneId, kind: SeriesKind, start_ms: int, end_ms: int) -> Iterable[tuple[int, float, str]]:
        for file in self.files:
            if file.kind is kind and file.holds(zone):
                source = file.source(zone)
                for hour_ms, value in file.gone(zone, start_ms, end_ms):
                    yield hour_ms, value, source
        if self.feeds is not None:
            for held in self.feeds.held(zone, kind, start_ms, end_ms, ahead=False):
                yield held.hour_ms, held.value, held.source
