"""What a learnt forecast has to beat, each as good as it can be made from the same past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sunward.signals.forecast.rows import DAY_H, WEEK_H

Array = npt.NDArray[np.float64]
Hours = npt.NDArray[np.int64]
NAMES = ("naive", "yesterday", "last_week", "mean_of_7_days", "climatology", "climatology_on_level")
MONTHS = 12


def forecasts(series: Array, normal: Array, issues: Hours, horizon: int) -> dict[str, Array]:
    """Point forecasts of every rival for the hours from each issue on; `issues` are columns of the series.

    Shapes: (hours,) without holes, (hours,) climatology of the same hours -> (issues, horizon) each.
    """
    ahead = np.arange(horizon)
    at = issues[:, None] + ahead
    day = at - DAY_H * (ahead // DAY_H + 1)
    week = at - WEEK_H * (ahead // WEEK_H + 1)
    mean_day = sum(series[day - DAY_H * back] for back in range(7)) / 7
    last_week = issues[:, None] - 1 - np.arange(WEEK_H)
    level = (series[last_week] - normal[last_week]).mean(axis=1, keepdims=True)
    return {
        "naive": np.repeat(series[issues - 1][:, None], horizon, axis=1),
        "yesterday": series[day],
        "last_week": series[week],
        "mean_of_7_days": np.asarray(mean_day),
        "climatology": normal[at],
        "climatology_on_level": normal[at] + level,
    }


def climatology(series: Array, first_hour: int, cut: int) -> Array:
    """Mean of the month and hour in what lies before the cut, for every hour of the series; months blend at their ends.

    Shapes: (hours,) -> (hours,). Raises: nothing; a month that was never seen counts as the mean of the hour.
    """
    month, hour = _calendar(first_hour + np.arange(len(series)))
    cell = month[:cut] * DAY_H + hour[:cut]
    seen = np.isfinite(series[:cut])
    total = np.bincount(cell[seen], series[:cut][seen], MONTHS * DAY_H).reshape(MONTHS, DAY_H)
    count = np.bincount(cell[seen], minlength=MONTHS * DAY_H).reshape(MONTHS, DAY_H)
    by_hour = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
    table = np.where(count > 0, total / np.maximum(count, 1), by_hour)
    smooth = (np.roll(table, 1, axis=0) + 4 * table + np.roll(table, -1, axis=0)) / 6
    result: Array = smooth[month, hour]
    return result


def _calendar(hours: Hours) -> tuple[Hours, Hours]:
    month = hours.astype("datetime64[h]").astype("datetime64[M]").astype(np.int64) % MONTHS
    return month, hours % DAY_H


@dataclass(slots=True)
class Tally:
    """Sums over issues and zones of how far a forecast was off, for each hour of the horizon."""

    off: Array
    off_share: Array
    size: Array
    pinball: Array
    held: Array
    count: Array
    shares: Array

    @classmethod
    def empty(cls, horizon: int) -> Tally:
        """Nothing counted yet."""
        return cls(*(np.zeros(horizon) for _ in range(7)))

    def add(self, true: Array, bands: tuple[Array, Array, Array], least: float) -> None:
        """Count forecasts; percentages are of hours whose value is at least `least`.

        Shapes: true and each band (issues, horizon), NaN in `true` where it is not known.
        """
        known = np.isfinite(true)
        low, middle, high = bands
        off = np.where(known, np.abs(true - middle), 0.0)
        counts = known & (true >= least)
        self.off += off.sum(axis=0)
        self.off_share += np.where(counts, off / np.where(counts, true, 1.0), 0.0).sum(axis=0)
        self.shares += counts.sum(axis=0)
        self.size += np.where(known, np.abs(true), 0.0).sum(axis=0)
        for share, band in ((0.1, low), (0.5, middle), (0.9, high)):
            miss = np.where(known, true - band, 0.0)
            self.pinball += np.maximum(share * miss, (share - 1) * miss).sum(axis=0) / 3
        self.held += (known & (low <= true) & (true <= high)).sum(axis=0)
        self.count += known.sum(axis=0)

    def join(self, other: Tally) -> None:
        """Count what another counted too."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def figures(self, horizon: int) -> dict[str, float]:
        """Means over the first hours of the horizon."""
        part = slice(0, horizon)
        count = max(self.count[part].sum(), 1.0)
        return {
            "mape": float(self.off_share[part].sum() / max(self.shares[part].sum(), 1.0)),
            "wape": float(self.off[part].sum() / max(self.size[part].sum(), 1e-9)),
            "pinball_of_size": float(self.pinball[part].sum() / max(self.size[part].sum(), 1e-9)),
            "coverage_80": float(self.held[part].sum() / count),
        }

    def at(self, ahead: int) -> dict[str, float]:
        """Means of one hour of the horizon, counted from 1."""
        one = Tally(*(getattr(self, name)[ahead - 1 : ahead] for name in self.__slots__))
        return one.figures(1)
