"""Electricity Maps, API v3: flow-traced (consumption-based) average intensity of zones worldwide; needs a token.

Replies: https://app.electricitymaps.com/developer-hub/api/reference and https://docs.electricitymaps.com
"""

from __future__ import annotations

from dataclasses import dataclass

from sunward.adapters.feeds.feed import Told, half_up
from sunward.adapters.feeds.stamps import ms_of, text_of
from sunward.adapters.feeds.web import Web
from sunward.model.datum import Quality, SeriesKind
from sunward.units import DAY_MS, HOUR_MS, MG_PER_G

NAME = "electricity-maps"
URL = "https://api.electricitymaps.com"
FACTORS = {SeriesKind.CARBON_AVERAGE_LIFECYCLE: "lifecycle", SeriesKind.CARBON_AVERAGE_DIRECT: "direct"}
HISTORY_MS = 25 * HOUR_MS
"""What every plan may ask for: the last 24 hours and the present one. More needs a plan with `past-range`."""
HORIZON_H = "72"
STAMP = "%Y-%m-%dT%H:%M:%S.000Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hour:
    datetime: str
    carbonIntensity: float | None  # noqa: N815 - the API's own name
    isEstimated: bool | None = None  # noqa: N815 - as above


@dataclass(frozen=True, slots=True)
class _History:
    history: tuple[_Hour, ...]


@dataclass(frozen=True, slots=True)
class _Range:
    data: tuple[_Hour, ...]


@dataclass(frozen=True, slots=True)
class _Forecast:
    forecast: tuple[_Hour, ...]


class ElectricityMaps:
    """One zone, by Electricity Maps' own key of it."""

    name = NAME
    span_ms = 10 * DAY_MS
    kinds = tuple(FACTORS)

    def __init__(self, *, place: str, key: str, url: str = "") -> None:
        self._zone = place
        self._web = Web(NAME, url or URL, headers={"auth-token": key})

    def source(self, kind: SeriesKind) -> str:
        """Basis of a series."""
        basis = "life-cycle" if FACTORS[kind] == "lifecycle" else "direct"
        return f"Electricity Maps API v3 ({self._zone}; average, {basis}, consumption-based)"

    def observed(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """Hours that have begun; `isEstimated` decides the quality."""
        if end_ms - start_ms <= HISTORY_MS:
            recent = self._web.get("/v3/carbon-intensity/history", _History, self._query(kind)).history
            told = _told(recent, start_ms, end_ms)
            if told:
                return told
        query = self._query(kind) | {"start": text_of(start_ms, STAMP), "end": text_of(end_ms, STAMP)}
        return _told(self._web.get("/v3/carbon-intensity/past-range", _Range, query).data, start_ms, end_ms)

    def ahead(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """Up to 72 hours."""
        query = self._query(kind) | {"horizonHours": HORIZON_H}
        hours = self._web.get("/v3/carbon-intensity/forecast", _Forecast, query).forecast
        return _told(hours, start_ms, end_ms, Quality.FORECAST)

    def close(self) -> None:
        """Let go of connections."""
        self._web.close()

    def _query(self, kind: SeriesKind) -> dict[str, str]:
        return {"zone": self._zone, "emissionFactorType": FACTORS[kind], "temporalGranularity": "hourly"}


def _told(hours: tuple[_Hour, ...], start_ms: int, end_ms: int, quality: Quality | None = None) -> tuple[Told, ...]:
    found: dict[int, Told] = {}
    for hour in hours:
        at_ms = ms_of(hour.datetime, NAME)
        if hour.carbonIntensity is not None and start_ms <= at_ms < end_ms:
            measured = Quality.ESTIMATED if hour.isEstimated in {None, True} else Quality.MEASURED
            found[at_ms] = Told(at_ms, half_up(hour.carbonIntensity * MG_PER_G), quality or measured)
    return tuple(found[at_ms] for at_ms in sorted(found))
