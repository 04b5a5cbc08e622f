"""Great Britain: the Carbon Intensity API of the National Energy System Operator; half-hourly, no key.

Its intensity is that of generation, direct emissions only: a series of its own kind. Its fuel mix gives a life-cycle
estimate by published factors. Replies: https://carbon-intensity.github.io/api-definitions/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sunward.adapters.feeds.feed import Sample, Told, hourly
from sunward.adapters.feeds.mix import FACTORS, lifecycle_g_per_kwh
from sunward.adapters.feeds.stamps import ms_of, text_of
from sunward.adapters.feeds.web import Web
from sunward.model.datum import Quality, SeriesKind
from sunward.units import DAY_MS, MG_PER_G, MINUTE_MS

NAME = "neso"
URL = "https://api.carbonintensity.org.uk"
STEP_MS = 30 * MINUTE_MS
UNPLACED = "imports"
"""The mix does not say whence: imports count at the mean of what is generated at home."""


@dataclass(frozen=True, slots=True)
class _Intensity:
    forecast: float | None = None
    actual: float | None = None


@dataclass(frozen=True, slots=True)
class _Share:
    fuel: str
    perc: float | None


@dataclass(frozen=True, slots=True)
class _Row:
    """Half an hour, by its end: the name of its start is a word of the language."""

    to: str
    intensity: _Intensity = _Intensity()
    generationmix: tuple[_Share, ...] = ()


@dataclass(frozen=True, slots=True)
class _Rows:
    data: tuple[_Row, ...]


@dataclass(frozen=True, slots=True)
class _Region:
    data: _Rows


class Neso:
    """Great Britain as a whole, or one of its regions by number (regions are forecast only)."""

    name = NAME
    span_ms = 13 * DAY_MS
    """The API takes 14 days; half an hour before the start comes along."""

    def __init__(self, *, place: str = "", url: str = "") -> None:
        self._region = place
        self._web = Web(NAME, url or URL)
        direct, lifecycle = SeriesKind.CARBON_AVERAGE_DIRECT, SeriesKind.CARBON_AVERAGE_LIFECYCLE
        self.kinds = (direct, lifecycle)

    def source(self, kind: SeriesKind) -> str:
        """Basis and licence of a series."""
        where = f"region {self._region}" if self._region else "GB"
        if kind is SeriesKind.CARBON_AVERAGE_DIRECT:
            return f"NESO Carbon Intensity API ({where}; average, direct, generation-based; CC-BY-4.0)"
        return f"NESO fuel mix ({where}; CC-BY-4.0) at {FACTORS} (average, life-cycle, generation-based)"

    def observed(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """What was generated; the national figures only."""
        if self._region:
            return ()
        path = "intensity" if kind is SeriesKind.CARBON_AVERAGE_DIRECT else "generation"
        rows = self._web.get(f"/{path}/{text_of(start_ms)}/{text_of(end_ms)}", _Rows).data
        if kind is SeriesKind.CARBON_AVERAGE_DIRECT:
            values = ((row, row.intensity.actual) for row in rows)
        else:
            values = ((row, _lifecycle(row.generationmix)) for row in rows)
        return hourly([_sample(row, value) for row, value in values], Quality.ESTIMATED, start_ms, end_ms)

    def ahead(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """48 hours; a fuel mix is forecast for regions only."""
        start = text_of(start_ms)
        if self._region:
            rows = self._web.get(f"/regional/intensity/{start}/fw48h/regionid/{self._region}", _Region).data.data
        elif kind is SeriesKind.CARBON_AVERAGE_DIRECT:
            rows = self._web.get(f"/intensity/{start}/fw48h", _Rows).data
        else:
            return ()
        if kind is SeriesKind.CARBON_AVERAGE_DIRECT:
            values = ((row, row.intensity.forecast) for row in rows)
        else:
            values = ((row, _lifecycle(row.generationmix)) for row in rows)
        return hourly([_sample(row, value) for row, value in values], Quality.FORECAST, start_ms, end_ms)

    def close(self) -> None:
        """Let go of connections."""
        self._web.close()


def _lifecycle(mix: tuple[_Share, ...]) -> float | None:
    shares: Mapping[str, float] = {one.fuel: one.perc or 0.0 for one in mix if one.fuel != UNPLACED}
    return lifecycle_g_per_kwh(shares)


def _sample(row: _Row, g_per_kwh: float | None) -> Sample:
    value = None if g_per_kwh is None else g_per_kwh * MG_PER_G
    return Sample(ms_of(row.to, NAME) - STEP_MS, STEP_MS, value)
