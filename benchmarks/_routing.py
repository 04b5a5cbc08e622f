"""Work that may run at any of many equal sites, hour by hour: what is expected of each, who gets it, what it saves.

A site has room for one unit of work an hour, and every site is loaded to the same share of it. All of it may run
elsewhere, in any parts: every hour it fills the sites that are expected to be cheapest. Saving = 1 − its emissions ÷
those of leaving it where it is.
"""

from __future__ import annotations

import numpy as np

from benchmarks._zone_series import Year
from sunward.signals.forecast.learner import HORIZON_H, rolling
from sunward.units import HOUR_MS
from sunward.world.snapshot import FloatArray

LEAD_H = 24
"""What runs in hour t is fixed at the start of hour t − 24, with what is known up to the end of t − 25."""
PERCENT = 100


def work_of(sites: int, idle: int) -> float:
    """Units of work an hour of a fleet that is idle to so many percent."""
    return sites * (PERCENT - idle) / PERCENT


def filled(expected: FloatArray, work: float) -> FloatArray:
    """The cheapest sites of every hour, each up to its room; the last of them in part.

    Shapes: (Z, H) -> (Z, H) shares of a site's room.
    """
    order = np.argsort(expected, axis=0, kind="stable")
    room = np.clip(work - np.arange(len(expected)), 0.0, 1.0)
    share = np.empty(expected.shape)
    np.put_along_axis(share, order, np.broadcast_to(room[:, None], expected.shape), axis=0)
    return share


def saving(share: FloatArray, true: FloatArray, work: float) -> float:
    """Against every site keeping its load, on the true values. Shapes: (Z, H) both."""
    return float(1 - (share * true).sum() / (true.mean(axis=0).sum() * work))


def still(year: Year) -> FloatArray:
    """Each site as it is on average over the year that is scored: what no routing that stands still can better."""
    mean = year.intensity.mean(axis=1, keepdims=True)
    return np.broadcast_to(mean, year.intensity.shape)


def yesterday(year: Year) -> FloatArray:
    """The same hour of the day before; nothing is sent where even that is not known."""
    values = np.concatenate([year.before, year.intensity], axis=1)
    first = year.before.shape[1]
    return _dearest_where_unknown(values[:, first - LEAD_H : values.shape[1] - LEAD_H])


def committed(year: Year) -> FloatArray:
    """Every hour as it is expected `LEAD_H` hours before it begins, learnt and told from hours before that alone.

    Shapes: (Z, H). The forecaster is the one of the live service. Of a site that nothing is known of, not one hour,
    it says nothing; work goes there last.
    """
    values = np.concatenate([year.before, year.intensity], axis=1)
    gone, hours = year.before.shape[1], year.intensity.shape[1]
    first = year.start_ms // HOUR_MS - gone
    issues = range(first + gone - LEAD_H, first + gone + hours - LEAD_H)
    blocks = rolling(values, first, issues, horizon=HORIZON_H, lowest=0.0)
    expected = np.concatenate([block.p50[:, :, LEAD_H] for block in blocks], axis=1).astype(np.float64)
    heard = np.logical_or.accumulate(np.isfinite(values), axis=1)
    return _dearest_where_unknown(np.where(heard[:, gone - LEAD_H - 1 : -LEAD_H - 1], expected, np.nan))


def _dearest_where_unknown(expected: FloatArray) -> FloatArray:
    dearest = np.nanmax(expected, axis=0)
    return np.where(np.isfinite(expected), expected, dearest + 1.0)
