"""What live feeds have told so far, and what stands in for what they have not: always from what is held, never waiting.

An hour waits for its value; then what was forecast for it stands in; then the typical year. Each says so.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import groupby

from sunward.adapters.feeds.cache import Cache, Held
from sunward.adapters.feeds.settings import Subscription
from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.model.records import FeedLine
from sunward.model.signal import Forecast, Observation
from sunward.ports import Forecaster, SignalSource
from sunward.units import DAY_MS, HOUR_MS, floor_to

FORECAST_OLD_MS = DAY_MS
"""A forecast had longer ago than this is not believed."""
OBSERVED, FORECAST, TYPICAL = "observed", "forecast", "typical year"
ACCOUNTED = frozenset({SeriesKind.CARBON_AVERAGE_LIFECYCLE, SeriesKind.PRICE})
"""The series that decide and account; others are shown."""


class LiveFeeds:
    """The standing of every subscribed series; `rest` and `later` are asked where no feed has a word."""

    def __init__(
        self, cache: Cache, subscriptions: Iterable[Subscription], rest: SignalSource, later: Forecaster
    ) -> None:
        self._cache = cache
        self._rest = rest
        self._later = later
        self._of = {(one.zone, kind): one for one in subscriptions for kind in one.kinds}
        self._news = threading.Event()

    def covers(self, zone: ZoneId, kind: SeriesKind) -> bool:
        """Whether a feed tells this series."""
        return (zone, kind) in self._of

    def kinds(self, zone: ZoneId) -> tuple[SeriesKind, ...]:
        """The series that feeds tell of a zone."""
        return tuple(kind for name, kind in self._of if name == zone)

    def tell_news(self) -> None:
        """Say that more is held than before; any thread may."""
        self._news.set()

    def take_news(self) -> bool:
        """Whether more is held than when this was asked last."""
        fresh = self._news.is_set()
        self._news.clear()
        return fresh

    def told(self, zone: ZoneId, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Observation, ...]:
        """Hours of [start_ms, end_ms) that the feed told as observed, in runs of one source and quality."""
        return _runs(zone, kind, self._cache.held(zone, kind, start_ms, end_ms, ahead=False))

    def expected(self, zone: ZoneId, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Observation, ...]:
        """Hours of [start_ms, end_ms) as the feed forecast them last."""
        return _runs(zone, kind, self._cache.held(zone, kind, start_ms, end_ms, ahead=True))

    def instead(self, zone: ZoneId, kind: SeriesKind, hour_ms: int, at_ms: int) -> Observation | None:
        """What counts for an hour that was not told: nothing while its value may still come, then the next best.

        Raises: as the source that is asked in the end.
        """
        if at_ms < hour_ms + HOUR_MS * (1 + self._of[zone, kind].wait_hours):
            return None
        forecast = _runs(zone, kind, self._cache.held(zone, kind, hour_ms, hour_ms + HOUR_MS, ahead=True))
        if forecast:
            return forecast[0]
        series = self._rest.observe(zone, kind, hour_ms, hour_ms + HOUR_MS)
        return Observation(
            zone=zone,
            kind=kind,
            start_ms=hour_ms,
            values=(series.at(hour_ms),),
            source=series.source,
            quality=series.quality,
        )

    def issued_ms(self, zone: ZoneId, kind: SeriesKind) -> int:
        """When the newest forecast of a series was had; 0 for none."""
        return self._cache.latest(zone, kind)[1]

    def forecast(self, zone: ZoneId, kind: SeriesKind, issued_ms: int, hours: int) -> Forecast:
        """The feed's forecast as far as it goes, with the typical year's spread around it; then the typical year.

        Raises: as the other forecaster.
        """
        beyond = self._later.forecast(zone, kind, issued_ms, hours)
        held = self._fresh(zone, kind, beyond.start_ms, hours, issued_ms)
        if not held:
            return beyond
        bands = list(zip(beyond.p10, beyond.p50, beyond.p90, strict=True))
        for hour_ms, one in held.items():
            index = (hour_ms - beyond.start_ms) // HOUR_MS
            bands[index] = _around(one, bands[index], kind)
        p10, p50, p90 = zip(*bands, strict=True)
        named = next(iter(held.values())).source
        return Forecast(
            zone=zone,
            kind=kind,
            issued_ms=issued_ms,
            start_ms=beyond.start_ms,
            p10=p10,
            p50=p50,
            p90=p90,
            source=f"{named}; spread and other hours: {beyond.source}",
            quality=Quality.FORECAST,
        )

    def status(self, at_ms: int) -> tuple[FeedLine, ...]:
        """How every subscribed series stands, by zone and kind."""
        return tuple(self._line(zone, kind, one, at_ms) for (zone, kind), one in sorted(self._of.items()))

    def _line(self, zone: ZoneId, kind: SeriesKind, one: Subscription, at_ms: int) -> FeedLine:
        observed_to_ms, _ = self._cache.latest(zone, kind)
        asked = self._cache.asked(zone, kind)
        using, quality = self._using(zone, kind, at_ms, observed_to_ms, one.wait_hours)
        return FeedLine(
            zone=zone,
            kind=kind,
            feed=one.feed.name,
            source=one.feed.source(kind),
            using=using,
            quality=quality,
            observed_to_ms=observed_to_ms,
            had_ms=asked.had_ms if asked else 0,
            next_ms=asked.next_ms if asked else 0,
            failures=asked.failures if asked else 0,
            code=asked.code if asked else "",
            error=asked.error if asked else "",
        )

    def _using(
        self, zone: ZoneId, kind: SeriesKind, at_ms: int, observed_to_ms: int, wait_hours: int
    ) -> tuple[str, Quality | None]:
        """What counts now for hours that are due, and its quality."""
        hour_ms = floor_to(at_ms, HOUR_MS)
        if observed_to_ms > hour_ms - wait_hours * HOUR_MS:
            last = self._cache.held(zone, kind, observed_to_ms - HOUR_MS, observed_to_ms, ahead=False)
            return OBSERVED, last[0].quality
        if self._fresh(zone, kind, hour_ms, 1, at_ms):
            return FORECAST, Quality.FORECAST
        if kind not in ACCOUNTED:
            return "", None
        return TYPICAL, self._rest.observe(zone, kind, hour_ms, hour_ms + HOUR_MS).quality

    def _fresh(self, zone: ZoneId, kind: SeriesKind, start_ms: int, hours: int, at_ms: int) -> dict[int, Held]:
        held = self._cache.held(zone, kind, start_ms, start_ms + hours * HOUR_MS, ahead=True)
        return {one.hour_ms: one for one in held if at_ms - one.fetched_ms <= FORECAST_OLD_MS}


def _around(one: Held, typical: tuple[int, int, int], kind: SeriesKind) -> tuple[int, int, int]:
    """A point forecast with the typical year's spread, since sources give none; what is published is certain."""
    if one.quality is not Quality.FORECAST:
        return one.value, one.value, one.value
    low, middle, high = typical
    lowest = one.value + low - middle if kind is SeriesKind.PRICE else max(0, one.value + low - middle)
    return lowest, one.value, one.value + high - middle


def _runs(zone: ZoneId, kind: SeriesKind, held: tuple[Held, ...]) -> tuple[Observation, ...]:
    """Consecutive hours of one source and quality as one observation each."""

    def run(numbered: tuple[int, Held]) -> tuple[int, str, Quality]:
        return numbered[1].hour_ms - numbered[0] * HOUR_MS, numbered[1].source, numbered[1].quality

    groups = ([one for _, one in group] for _, group in groupby(enumerate(held), key=run))
    return tuple(
        Observation(
            zone=zone,
            kind=kind,
            start_ms=group[0].hour_ms,
            values=tuple(one.value for one in group),
            source=group[0].source,
            quality=group[0].quality,
        )
        for group in groups
    )
