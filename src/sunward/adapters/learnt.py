"""Forecasts learnt from each zone's own past; where too little is known of it, another forecaster, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sunward.adapters.past import Gone, Past
from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.model.signal import Forecast
from sunward.signals.forecast.learner import HORIZON_H, Learner, Model
from sunward.signals.forecast.rows import REACH_H, WEEK_H
from sunward.signals.zones import load
from sunward.units import HOUR_MS, floor_to

if TYPE_CHECKING:
    from sunward.ports import Forecaster

LEARNT_HOURS_MAX = 2 * 366 * 24
"""Two years are learnt from; older hours tell less of the next week than they cost."""
HISTORY_DAYS_LEAST = 56
"""Told days of a zone before its own forecasts count: with less they were no nearer than the mean of a week."""
LATE_H_MAX = 48
"""Hours that the newest told one may lie back."""
RECENT_H = REACH_H + WEEK_H
DEGREES_PER_HOUR = 15
DAY_H = 24


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was learnt of one kind of series."""

    model: Model | None
    """None where no zone has enough of a past."""
    rows: dict[ZoneId, int]
    days: dict[ZoneId, int]
    """Told days of each zone, learnt or not."""


class LearntForecaster:
    """Learns when it is told to, in whatever thread; forecasts from what was learnt last, with a few products."""

    def __init__(self, past: Past, later: Forecaster) -> None:
        self.past = past
        self._later = later
        self._learnt: dict[SeriesKind, Learnt] = {}

    def learn(self, past: Past, at_ms: int) -> None:
        """Learn anew from the hours before the one that holds `at_ms`; forecasts meanwhile rest on what was known."""
        hour_ms = floor_to(at_ms, HOUR_MS)
        learnt = {kind: _learn(past, kind, hour_ms) for kind in past.kinds()}
        # One assignment: a forecast in another thread sees all of it or nothing.
        self._learnt = learnt

    def count(self) -> int:
        """Series that forecasts are learnt of."""
        return sum(len(one.rows) for one in self._learnt.values())

    def forecast(self, zone: ZoneId, kind: SeriesKind, issued_ms: int, hours: int) -> Forecast:
        """Hourly p10, p50, p90 for `hours` hours from the hour that holds `issued_ms`, from hours before it alone.

        Raises: as the other forecaster, where too little is known of the zone's past.
        """
        start_ms = floor_to(issued_ms, HOUR_MS)
        learnt = self._learnt.get(kind)
        gone = self.past.gone(zone, kind, start_ms - RECENT_H * HOUR_MS, start_ms)
        if gone is None:
            return self._later.forecast(zone, kind, issued_ms, hours)
        lacking = _lacking(learnt, zone, gone, start_ms)
        if learnt is None or learnt.model is None or lacking:
            other = self._later.forecast(zone, kind, issued_ms, hours)
            return replace(other, source=f"{other.source}; {lacking}")
        model, zones = learnt.model, tuple(learnt.rows)
        others = [zones[row] for row in model.beside(learnt.rows[zone])]
        found = [self.past.gone(other, kind, gone.start_ms, start_ms) for other in others]
        ours = _issue(learnt, model.of(learnt.rows[zone]), zone, kind, _together(gone, found), issued_ms)
        if hours <= HORIZON_H:
            return replace(ours, p10=ours.p10[:hours], p50=ours.p50[:hours], p90=ours.p90[:hours])
        return _continued(ours, self._later.forecast(zone, kind, issued_ms, hours))


def _lacking(learnt: Learnt | None, zone: ZoneId, gone: Gone, start_ms: int) -> str:
    """Why a zone's past is not enough; empty where it is."""
    late_h = (start_ms - gone.last_ms) // HOUR_MS
    if late_h > LATE_H_MAX:
        return f"its last hour by {gone.source} is {late_h} h old"
    if learnt is None or zone not in learnt.days:
        return "nothing has been learnt of it yet"
    if learnt.model is None or zone not in learnt.rows:
        return f"{learnt.days[zone]} days of it are told, and {HISTORY_DAYS_LEAST} are needed to learn from"
    if learnt.model.learnt_to * HOUR_MS > start_ms:
        return "what was learnt is of later hours"
    return ""


def _together(gone: Gone, others: list[Gone | None]) -> Gone:
    """A zone's past with that of others below it, NaN where nobody told."""
    values = np.full((1 + len(others), len(gone.values)), np.nan)
    for row, one in enumerate((gone, *others)):
        if one is not None:
            values[row, (one.start_ms - gone.start_ms) // HOUR_MS :] = one.values
    return replace(gone, values=values)


def _issue(learnt: Learnt, model: Model, zone: ZoneId, kind: SeriesKind, gone: Gone, issued_ms: int) -> Forecast:
    """The forecast of a zone; the past holds its series, and below it those of the zones it looks at."""
    start_ms = floor_to(issued_ms, HOUR_MS)
    bands = model.predict(gone.values, gone.start_ms // HOUR_MS, start_ms // HOUR_MS)
    middle = np.rint(bands.p50[0, 0]).astype(np.int64)
    low = np.minimum(np.rint(bands.p10[0, 0]).astype(np.int64), middle)
    high = np.maximum(np.rint(bands.p90[0, 0]).astype(np.int64), middle)
    told = gone.values[0, np.isfinite(gone.values[0])]
    flat = "; it has not moved for weeks" if told.min() == told.max() else ""
    return Forecast(
        zone=zone,
        kind=kind,
        issued_ms=issued_ms,
        start_ms=start_ms,
        p10=tuple(low.tolist()),
        p50=tuple(middle.tolist()),
        p90=tuple(high.tolist()),
        source=f"learnt from {learnt.days[zone]} days of {gone.source}{flat}",
        quality=Quality.FORECAST,
    )


def _continued(ours: Forecast, other: Forecast) -> Forecast:
    """Another forecast where ours ends; the source names both."""
    bands = ((getattr(ours, name), getattr(other, name)) for name in ("p10", "p50", "p90"))
    p10, p50, p90 = (mine + theirs[len(mine) :] for mine, theirs in bands)
    return replace(ours, p10=p10, p50=p50, p90=p90, source=f"{ours.source}; where it ends, {other.source}")


def _learn(past: Past, kind: SeriesKind, hour_ms: int) -> Learnt:
    """Learn one kind of all zones with enough of a past."""
    begin_ms = hour_ms - LEARNT_HOURS_MAX * HOUR_MS
    asked = ((zone, past.gone(zone, kind, begin_ms, hour_ms)) for zone in past.zones(kind))
    found = {zone: gone for zone, gone in asked if gone is not None}
    days = {zone: gone.told_hours // DAY_H for zone, gone in found.items()}
    enough = {zone: gone for zone, gone in found.items() if days[zone] >= HISTORY_DAYS_LEAST}
    if not enough:
        return Learnt(None, {}, days)
    first_ms = min(gone.start_ms for gone in enough.values())
    history = np.full((len(enough), (hour_ms - first_ms) // HOUR_MS), np.nan)
    for row, gone in enumerate(enough.values()):
        history[row, (gone.start_ms - first_ms) // HOUR_MS :] = gone.values
    lowest = -np.inf if kind in {SeriesKind.PRICE, SeriesKind.WET_BULB} else 0.0
    learner = Learner(len(enough), HORIZON_H, [_shift_h(zone) for zone in enough], lowest)
    learner.learn(history, first_ms // HOUR_MS)
    return Learnt(learner.model(), {zone: row for row, zone in enumerate(enough)}, days)


def _shift_h(zone: ZoneId) -> int:
    """Whole hours the sun is ahead of UTC; 0 in a zone that only the user's file knows."""
    known = load()
    return round(known.zone(zone).lon / DEGREES_PER_HOUR) if zone in known.rows else 0
