"""How far forecasts were off: hence how wide their bands are, and how much they are trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sunward.signals.forecast.rows import DAY_H, Float32Array, Int64Array

LOW, HIGH = 0.1, 0.9
KEPT = 1_024
"""Issues of a zone whose misses are kept, newest first; at one in seven hours more than three quarters of a year."""
ENOUGH = 48
"""With fewer, a zone's bands are those of all zones together."""
UNKNOWN = 1.2816
"""Spreads on either side while nothing has been seen: the 10th percentile of a normal distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Distances of p10 and p90 from p50, in spreads of the zone.

    Shapes: below and above float32 (zones, horizon), daily float32 (zones, 24): how an hour of the solar day compares.
    """

    below: Float32Array
    above: Float32Array
    daily: Float32Array

    def of(self, zone: int) -> Widths:
        """Those of one zone."""
        part = slice(zone, zone + 1)
        return Widths(below=self.below[part], above=self.above[part], daily=self.daily[part])

    def around(self, zone: int, issues: range, shift_h: int) -> tuple[Float32Array, Float32Array]:
        """Shapes: two of (issues, horizon)."""
        horizon = self.below.shape[1]
        hours = (np.arange(issues.start, issues.stop)[:, None] + np.arange(horizon) + shift_h) % DAY_H
        factor = self.daily[zone][hours]
        return self.below[zone] * factor, self.above[zone] * factor


class Misses:
    """The newest misses of every zone."""

    STEP = 7
    """Every seventh issue counts: all hours of the day take turns."""

    def __init__(self, zones: int, horizon: int) -> None:
        self._of: list[npt.NDArray[np.float16]] = [np.zeros((0, horizon), dtype=np.float16) for _ in range(zones)]
        self._hours: list[Int64Array] = [np.zeros(0, dtype=np.int64) for _ in range(zones)]
        self._horizon = horizon

    def add(self, zone: int, missed: Float32Array, solar_hours: Int64Array) -> None:
        """Take in what happened less what was expected.

        Shapes: (issues, horizon) in spreads, (issues,).
        """
        self._of[zone] = np.concatenate([self._of[zone], missed.astype(np.float16)])[-KEPT:]
        self._hours[zone] = np.concatenate([self._hours[zone], solar_hours])[-KEPT:]

    def widths(self) -> Widths:
        """Bands that would have held eight of ten of the hours seen."""
        zones = len(self._of)
        below = np.full((zones, self._horizon), UNKNOWN, dtype=np.float32)
        above, daily = below.copy(), np.ones((zones, DAY_H), dtype=np.float32)
        for zone, missed in enumerate(self._of):
            if len(missed) >= ENOUGH:
                below[zone], above[zone], daily[zone] = _widths(missed.astype(np.float32), self._hours[zone])
        few = np.array([len(missed) < ENOUGH for missed in self._of])
        if few.any() and not few.all():
            below[few], above[few] = below[~few].mean(axis=0), above[~few].mean(axis=0)
        return Widths(below=below, above=above, daily=daily)


def _widths(missed: Float32Array, solar_hours: Int64Array) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Shapes: (issues, horizon), (issues,) -> (horizon,), (horizon,), (24,)."""
    hour = ((solar_hours[:, None] + np.arange(missed.shape[1])) % DAY_H).ravel()
    size = np.bincount(hour, np.abs(missed).ravel(), DAY_H) / np.maximum(np.bincount(hour, minlength=DAY_H), 1)
    daily = (
        np.maximum(size / max(float(size.mean()), 1e-9), 0.1).astype(np.float32)
        if size.mean() > 0
        else np.ones(DAY_H, dtype=np.float32)
    )
    even = missed / daily[hour].reshape(missed.shape)
    low, high = np.quantile(even, (LOW, HIGH), axis=0).astype(np.float32)
    return np.maximum(-low, 0.0), np.maximum(high, 0.0), daily


class Trust:
    """How far what was learnt proved better than repeating the mean day, by zone and hour ahead."""

    FADE = 0.9
    """Weight that earlier stretches keep when another is added: the more was learnt by then, the more it tells."""
    NEAR = 25
    """Hours ahead that are judged together."""
    OTHERS = 0.2
    """Weight of the mean zone beside a zone's own record."""
    DOUBT = 10.0
    """Hours' squared spreads of doubt, which count for the mean day."""

    def __init__(self, zones: int, horizon: int) -> None:
        self._agreed = np.zeros((zones, horizon))
        self._moved = np.zeros((zones, horizon))

    def add(self, zone: int, moved: Float32Array, true: Float32Array) -> None:
        """Take in forecasts and what happened, both less the mean day.

        Shapes: (issues, horizon) each.
        """
        self._agreed[zone] = self.FADE * self._agreed[zone] + (moved * true).sum(axis=0)
        self._moved[zone] = self.FADE * self._moved[zone] + (moved * moved).sum(axis=0)

    def shares(self) -> Float32Array:
        """The share of the way from the mean day to what was learnt that would have been best; 0..1.

        Shapes: (zones, horizon).
        """
        near = np.ones(self.NEAR)
        sums = []
        for figures in (self._agreed, self._moved):
            wide = np.stack([np.convolve(one, near, "full")[self.NEAR // 2 :][: len(one)] for one in figures])
            sums.append(wide + self.OTHERS * wide.mean(axis=0))
        result: Float32Array = np.clip(sums[0] / (sums[1] + self.DOUBT), 0.0, 1.0).astype(np.float32)
        return result
