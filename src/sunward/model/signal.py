"""Signals as they enter the journal: integers with source and quality."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Values of one series of one zone from `start_ms`, one per hour."""

    zone: ZoneId
    kind: SeriesKind
    start_ms: int
    values: tuple[int, ...]
    source: str
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Hourly p10, p50 and p90 of one series of one zone, issued at `issued_ms` from what was known then."""

    zone: ZoneId
    kind: SeriesKind
    issued_ms: int
    start_ms: int
    p10: tuple[int, ...]
    p50: tuple[int, ...]
    p90: tuple[int, ...]
    source: str
    quality: Quality
