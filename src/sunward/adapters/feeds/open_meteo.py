"""Open-Meteo: wet-bulb temperature of the outside air, analysed and forecast; no key for non-commercial use.

Replies: https://open-meteo.com/en/docs
"""

from __future__ import annotations

from dataclasses import dataclass

from sunward.adapters.feeds.feed import NOT_UNDERSTOOD, FeedError, Told, half_up
from sunward.adapters.feeds.stamps import text_of
from sunward.adapters.feeds.web import Web
from sunward.errors import InputError
from sunward.model.datum import Quality, SeriesKind
from sunward.units import DAY_MS, HOUR_MS, MILLI_PER_UNIT, SECOND_MS

NAME = "open-meteo"
URL = "https://api.open-meteo.com"
STAMP = "%Y-%m-%dT%H:%M"
LATITUDE_MAX, LONGITUDE_MAX = 90, 180


@dataclass(frozen=True, slots=True)
class _Columns:
    time: tuple[int, ...]
    wet_bulb_temperature_2m: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class _Reply:
    hourly: _Columns


class OpenMeteo:
    """One place, as `latitude,longitude`."""

    name = NAME
    span_ms = 15 * DAY_MS
    kinds = (SeriesKind.WET_BULB,)

    def __init__(self, *, place: str, url: str = "") -> None:
        self._latitude, self._longitude = _coordinates(place)
        self._web = Web(NAME, url or URL)

    def source(self, kind: SeriesKind) -> str:
        """Variable and licence."""
        del kind
        return f"Open-Meteo.com ({self._latitude},{self._longitude}; wet bulb at 2 m; CC-BY-4.0)"

    def observed(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """Analysed by weather models: an estimate."""
        del kind
        return self._hours(Quality.ESTIMATED, start_ms, end_ms)

    def ahead(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """Up to 16 days."""
        del kind
        return self._hours(Quality.FORECAST, start_ms, end_ms)

    def close(self) -> None:
        """Let go of connections."""
        self._web.close()

    def _hours(self, quality: Quality, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        query = {
            "latitude": self._latitude,
            "longitude": self._longitude,
            "hourly": "wet_bulb_temperature_2m",
            "timeformat": "unixtime",
            "timezone": "GMT",
            "start_hour": text_of(start_ms, STAMP),
            "end_hour": text_of(end_ms - HOUR_MS, STAMP),
        }
        columns = self._web.get("/v1/forecast", _Reply, query).hourly
        if len(columns.time) != len(columns.wet_bulb_temperature_2m):
            raise FeedError(f"{NAME} gives unequal rows", code=NOT_UNDERSTOOD)
        return tuple(
            Told(second * SECOND_MS, half_up(value * MILLI_PER_UNIT), quality)
            for second, value in zip(columns.time, columns.wet_bulb_temperature_2m, strict=True)
            if value is not None and start_ms <= second * SECOND_MS < end_ms
        )


def _coordinates(place: str) -> tuple[str, str]:
    try:
        latitude, longitude = (float(part) for part in place.split(","))
    except ValueError:
        latitude = longitude = float("nan")
    if not (abs(latitude) <= LATITUDE_MAX and abs(longitude) <= LONGITUDE_MAX):
        raise InputError(f"{place!r} is no place; write it as latitude,longitude", code="SW-221")
    return f"{latitude:g}", f"{longitude:g}"
