"""What other zones tell of a zone's next hours: weather and exchanged power reach some zones before others."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sunward.signals.forecast.rows import DAY_H, Float32Array, Float64Array, departures, without_holes

IntArray: TypeAlias = npt.NDArray[np.int64]

NEAR = 5
"""Other zones that a row looks at; with 3 to 8 forecasts were equally near."""
FIGURES = 2 * NEAR
"""Of each its last hour and the mean of its last day, less its mean day of the last week."""
NOBODY = -1
CHOSEN_H = 182 * DAY_H
"""Of the past, before which no zone looks at others: with less what seems to lead is chance."""
AHEAD_H = 12
"""Others are chosen by what they tell of the mean of so many next hours."""
DOUBT = 0.02
"""Share of every variance that counts as noise, so that two zones of one series do not divide by nothing."""


def nobody(zones: int) -> IntArray:
    """No zone looks at another. Shapes: (zones, NEAR)."""
    return np.full((zones, NEAR), NOBODY, dtype=np.int64)


def states(values: Float64Array, start: int, stop: int) -> Float32Array:
    """Of every zone the last hour and the mean of the last day before each hour, less what those hours are like.

    Shapes: values (zones, hours), NaN where unknown -> (zones, stop - start, 2); hour `stop - 1` is not looked at.
    """
    back = max(start - DAY_H, 0)
    made = np.zeros((len(values), stop - back, 2), dtype=np.float32)
    for zone, series in enumerate(values):
        made[zone, :, 0] = departures(without_holes(series[: stop - 1]), back, stop)
    total = np.cumsum(made[:, :, 0], axis=1, dtype=np.float64)
    total[:, DAY_H:] -= total[:, :-DAY_H].copy()
    made[:, :, 1] = total / DAY_H
    return made[:, start - back :]


def beside(told: Float32Array, near: IntArray) -> Float32Array:
    """The figures that one zone's rows have of others; 0 for nobody.

    Shapes: told (zones, rows, 2), near (NEAR,) -> (rows, FIGURES).
    """
    seen = np.where((near >= 0)[:, None, None], told[near], np.float32(0.0))
    return seen.transpose(1, 0, 2).reshape(told.shape[1], FIGURES)


def choose(values: Float64Array) -> IntArray:
    """For every zone those others that tell most of its next hours beyond what its own last day tells.

    Shapes: (zones, hours) -> (zones, NEAR).
    """
    told = states(values, 0, values.shape[1] + 1).astype(np.float64)
    total = np.cumsum(told[:, :, 0], axis=1)
    coming = (total[:, AHEAD_H:] - total[:, :-AHEAD_H]) / AHEAD_H
    last, day, coming = (_standard(one) for one in (told[:, :-AHEAD_H, 0], told[:, :-AHEAD_H, 1], coming))
    hours = last.shape[1]
    lasts, days, comings = (one @ last.T / hours for one in (last, day, coming))
    alone = (last * day).mean(axis=1), (coming * day).mean(axis=1)
    found = nobody(len(values))
    for zone in range(len(values)):
        within = np.array([[1.0 + DOUBT, alone[0][zone]], [alone[0][zone], 1.0 + DOUBT]])
        own = np.stack([lasts[zone], days[zone]])
        explained = np.linalg.solve(within, own)
        left = comings[zone] - np.array([comings[zone, zone], alone[1][zone]]) @ explained
        score = np.abs(left) / np.sqrt(1.0 + DOUBT - (own * explained).sum(axis=0))
        score[zone] = 0.0
        order = np.argsort(-score, kind="stable")[:NEAR]
        told_of = order[score[order] > 0]
        found[zone, : len(told_of)] = told_of
    return found


def _standard(figures: Float64Array) -> Float64Array:
    """Mean 0 and spread 1 in every row; a row that does not move tells nothing."""
    centred = figures - figures.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    result: Float64Array = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    return result
