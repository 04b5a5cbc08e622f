"""Observed hours and standing forecasts of every zone in use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sunward.model.codec import decode, encode
from sunward.model.datum import Quality, SeriesKind
from sunward.model.signal import Forecast, Observation
from sunward.units import DAY_MS, HOUR_MS, floor_to

KEPT_MS = 40 * DAY_MS
"""Observed hours older than this are forgotten; no job may be open longer."""
REVISABLE_MS = 10 * DAY_MS
"""Revisions of hours older than this are not taken in: receipts of their energy stand."""


@dataclass(frozen=True, slots=True)
class Datum:
    """One hour's value with where it came from."""

    value: int
    source: str
    quality: Quality


def hours_of(observation: Observation) -> range:
    """Starts of the hours an observation has a value for."""
    return range(observation.start_ms, observation.start_ms + len(observation.values) * HOUR_MS, HOUR_MS)


@dataclass(slots=True)
class SignalBook:
    """What is known of each (zone, kind): observed values by hour, and the newest forecast."""

    observed: dict[tuple[str, str], dict[int, Datum]] = field(default_factory=dict)
    forecasts: dict[tuple[str, str], Forecast] = field(default_factory=dict)

    def observe(self, observation: Observation) -> None:
        """Record values; a later value for the same hour replaces the earlier one."""
        hours = self.observed.setdefault((observation.zone, observation.kind.value), {})
        for hour_ms, value in zip(hours_of(observation), observation.values, strict=True):
            hours[hour_ms] = Datum(value, observation.source, observation.quality)
        oldest = observation.start_ms - KEPT_MS
        for hour in [hour for hour in hours if hour < oldest]:
            del hours[hour]

    def issue(self, forecast: Forecast) -> None:
        """Replace the standing forecast of a series."""
        self.forecasts[forecast.zone, forecast.kind.value] = forecast

    def at(self, zone: str, kind: SeriesKind, at_ms: int) -> Datum | None:
        """The value of the hour that holds `at_ms`: observed, else forecast and labelled so, else nothing."""
        hour_ms = floor_to(at_ms, HOUR_MS)
        observed = self.observed.get((zone, kind.value), {}).get(hour_ms)
        if observed is not None:
            return observed
        forecast = self.forecasts.get((zone, kind.value))
        if forecast is None:
            return None
        index = (hour_ms - forecast.start_ms) // HOUR_MS
        if not 0 <= index < len(forecast.p50):
            return None
        return Datum(forecast.p50[index], forecast.source, Quality.FORECAST)

    def dump(self) -> dict[str, Any]:
        """Plain values, sorted."""
        return {
            "observed": [
                [zone, kind, sorted([hour, d.value, d.source, d.quality.value] for hour, d in hours.items())]
                for (zone, kind), hours in sorted(self.observed.items())
            ],
            "forecasts": [encode(self.forecasts[key]) for key in sorted(self.forecasts)],
        }

    def load(self, record: Any) -> None:  # noqa: ANN401
        """Take the content of a dump."""
        self.observed = {
            (zone, kind): {hour: Datum(value, source, Quality(quality)) for hour, value, source, quality in hours}
            for zone, kind, hours in record["observed"]
        }
        self.forecasts = {}
        for raw in record["forecasts"]:
            self.issue(decode(raw, Forecast))
