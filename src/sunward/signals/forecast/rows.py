"""What a forecast looks at: one row of figures for each hour at which one may be issued.

A row of hour t is made of hours before t alone. Every figure of the series is relative to the zone's own recent level
and spread, so one set of coefficients fits zones of any size, and a release of the data on another level fits too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Int64Array: TypeAlias = npt.NDArray[np.int64]

DAY_H = 24
WEEK_H = 7 * DAY_H
SPREAD_H = 28 * DAY_H
PROFILE_DAYS = (7, 28)
"""A row holds the mean day of the last week and of the last four weeks, hour by hour."""
REACH_H = SPREAD_H
"""How far back a row looks."""
READY_H = WEEK_H
"""With less of a series than this nothing can be said but what its last days were like."""
YEAR_H = 8_766
FIRST_DAY = 3
"""1 January 1970 was a Thursday; Monday is 0."""
SPECIAL_DAYS = (0, 4, 5, 6)
GAPS_FRAC_MAX = 0.05
"""Hours that had to be filled in, of those a row and its targets span, beyond which it teaches nothing."""
CLIP = 4.0
"""Figures beyond this many spreads are faults of the data more often than not; they teach as if they lay here."""
SPREAD_LEAST_FRAC = 1e-3
"""Of the level: a series that moves less counts as flat."""
BY_HOUR = (22, 20, 17, 11, 0, DAY_H)
"""Figures of a row, and the mean of its last day, that tell another thing at another hour of the day."""
SHARED = DAY_H * (1 + len(PROFILE_DAYS)) + 13 + 4 * (len(BY_HOUR) + 1)
COLUMNS = SHARED + 44
"""Leading columns whose meaning is the same in every zone; the calendar of the zone's own follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of one zone for the hours [start, stop) of its series.

    Shapes: x float32 (rows, columns); level and spread float64 (rows,); ready bool (rows,).
    """

    x: Float32Array
    level: Float64Array
    spread: Float64Array
    ready: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One zone's series without holes, and where there were some.

    Shapes: all (hours,). `begin` is the first hour known, or the number of hours when none is.
    """

    values: Float64Array
    missing: BoolArray
    begin: int


def without_holes(series: Float64Array) -> Known:
    """Fill an unknown hour with the same hour of the day before, else with the last one known: the past alone.

    Shapes: (hours,) with NaN where unknown -> (hours,); zeros before the first known hour.
    """
    missing = ~np.isfinite(series)
    known = np.flatnonzero(~missing)
    values = np.where(missing, 0.0, series)
    begin = int(known[0]) if len(known) else len(series)
    for hour in np.flatnonzero(missing[begin:]) + begin:
        values[hour] = values[hour - DAY_H] if hour - DAY_H >= begin else values[hour - 1]
    return Known(values=values, missing=missing, begin=begin)


def rows(known: Known, first_hour: int, shift_h: int, start: int, stop: int) -> Rows:
    """Rows of the hours [start, stop) of a series whose first hour is `first_hour` since 1970 UTC.

    `stop` may be one past the series: the row of the hour that comes next. `shift_h` turns UTC into solar time.
    """
    values, begin = known.values, known.begin
    back = max(start - REACH_H - WEEK_H, 0)
    part = values[back:stop]
    begin = min(max(begin - back, 0), len(part))
    at = slice(start - back, stop - back)
    level, spread = _level(part, begin, at)
    columns = [_window(part, at), *(_window(_mean_days(part, begin, days), at) for days in PROFILE_DAYS)]
    hours = first_hour + np.arange(start, stop)
    relative = (np.concatenate(columns, axis=1) - level[:, None]) / spread[:, None]
    # An hour of the day that has never been seen is expected to be as the others, not to be 0.
    unseen = np.arange(start, stop)[:, None] - DAY_H + np.arange(DAY_H) < known.begin
    relative[np.tile(unseen, len(columns))] = 0.0
    solar, coarse = (_harmonics(hours + shift_h, orders) for orders in (3, 2))
    by_hour = [relative[:, one, None] * coarse for one in BY_HOUR]
    by_hour.append(relative[:, :DAY_H].mean(axis=1, keepdims=True) * coarse)
    shared = [relative, relative[:, DAY_H - 1 : DAY_H] * solar, *by_hour, solar, np.ones((stop - start, 1))]
    return Rows(
        x=np.concatenate([*shared, _calendar(hours, shift_h)], axis=1).astype(np.float32),
        level=level,
        spread=spread,
        ready=np.arange(start, stop) - known.begin >= READY_H,
    )


def departures(known: Known, start: int, stop: int) -> Float64Array:
    """Of each hour in [start, stop) the last hour before it less the mean day of the week before, in spreads.

    `stop` may be one past the series. Figures are as far out as faults may lie.
    """
    back = max(start - REACH_H - WEEK_H, 0)
    part = known.values[back:stop]
    begin = min(max(known.begin - back, 0), len(part))
    spread = _level(part, begin, slice(start - back, stop - back))[1]
    beyond = part - _mean_days(part, begin, PROFILE_DAYS[0])
    gone = np.concatenate([[0.0], beyond])[start - back : stop - back]
    result: Float64Array = np.clip(gone / spread, -CLIP, CLIP)
    return result


def teaches(known: Known, start: int, stop: int, horizon: int) -> BoolArray:
    """Rows of [start, stop) that one may learn from: enough before them, and few holes there and among the targets."""
    holes = np.concatenate([[0], np.cumsum(known.missing)])
    at = np.arange(start, stop)
    first = np.maximum(at - REACH_H, known.begin)
    spanned = at + horizon - first
    few = holes[at + horizon] - holes[np.minimum(first, at)] <= GAPS_FRAC_MAX * spanned
    result: BoolArray = few & (at - known.begin >= READY_H)
    return result


def _level(part: Float64Array, begin: int, at: slice) -> tuple[Float64Array, Float64Array]:
    """Mean of the last week and standard deviation of the last four, of as much as there is."""
    total = np.concatenate([[0.0], np.cumsum(part)])
    # Sums of squares are exact enough near 0; the first known hour is in every row's past.
    shifted = np.where(np.arange(len(part)) >= begin, part - part[min(begin, len(part) - 1)], 0.0)
    first, second = (np.concatenate([[0.0], np.cumsum(shifted**power)]) for power in (1, 2))
    end = np.arange(at.start, at.stop)
    week, month = (np.minimum(np.maximum(end - length, begin), end) for length in (WEEK_H, SPREAD_H))
    of_month = np.maximum(end - month, 1)
    level = (total[end] - total[week]) / np.maximum(end - week, 1)
    variance = (second[end] - second[month]) / of_month - ((first[end] - first[month]) / of_month) ** 2
    least = SPREAD_LEAST_FRAC * np.abs(level) + SPREAD_LEAST_FRAC
    return level, np.maximum(np.sqrt(np.maximum(variance, 0.0)), least)


def _mean_days(part: Float64Array, begin: int, days: int) -> Float64Array:
    """At every hour the mean of that hour and the same hour of the days before it, of as many days as there are."""
    padded = np.zeros(-(-len(part) // DAY_H) * DAY_H)
    padded[: len(part)] = part
    there = (np.arange(len(padded)) >= begin).astype(np.float64)
    means = []
    for figures in (padded, there):
        daily = np.cumsum(figures.reshape(-1, DAY_H), axis=0)
        daily[days:] -= daily[:-days].copy()
        means.append(daily.reshape(-1))
    result: Float64Array = (means[0] / np.maximum(means[1], 1.0))[: len(part)]
    return result


def _window(figures: Float64Array, at: slice) -> Float64Array:
    """The 24 figures before each hour, oldest first; zeros before the series."""
    padded = np.concatenate([np.zeros(DAY_H), figures])
    return np.lib.stride_tricks.sliding_window_view(padded, DAY_H)[at]


def _harmonics(hours: Int64Array, orders: int) -> Float64Array:
    """Shapes: (rows,) -> (rows, 2·orders)."""
    angle = (hours % DAY_H)[:, None] * (2 * np.pi / DAY_H) * np.arange(1, orders + 1)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def _calendar(hours: Int64Array, shift_h: int) -> Float64Array:
    """Hour, weekday and season, and how the day's shape changes with the latter two."""
    day = _harmonics(hours, 5)
    weekday = ((hours + shift_h) // DAY_H + FIRST_DAY) % 7
    special = [(weekday == one).astype(np.float64)[:, None] for one in SPECIAL_DAYS]
    season = 2 * np.pi * (hours % YEAR_H) / YEAR_H
    yearly = [np.sin(season)[:, None], np.cos(season)[:, None]]
    first_two, first_three = day[:, [0, 1, 5, 6]], day[:, [0, 1, 2, 5, 6, 7]]
    return np.concatenate(
        [day, *special, *(one * first_two for one in special), *yearly, *(one * first_three for one in yearly)], axis=1
    )
