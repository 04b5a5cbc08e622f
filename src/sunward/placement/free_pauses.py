"""Runs with pauses where a pause costs nothing: the cheapest slots, wherever they lie; of equals the earlier ones.

The axes of jobs are those of their costs: one row is one job, so a year of arrivals is decided at once.
"""

from __future__ import annotations

import numpy as np

from sunward.world.snapshot import BoolArray, IntArray, NumberArray


def cheapest_slots(cost: NumberArray, needed: int) -> BoolArray:
    """(…, H) the `needed` cheapest slots of every row, 1 <= needed <= H."""
    dearest = np.partition(cost, needed - 1, axis=-1)[..., needed - 1 : needed]
    below, equal = cost < dearest, cost == dearest
    still = needed - below.sum(axis=-1, keepdims=True)
    chosen: BoolArray = below | (equal & (np.cumsum(equal, axis=-1) <= still))
    return chosen


def runs_now(cost: NumberArray, needed: IntArray, window: IntArray) -> BoolArray:
    """(…, N) whether the first slot is among the `needed` cheapest of the first `window` slots.

    Shapes: (…, H), (…, N), (N,); 1 <= window <= H. It is where fewer than `needed` later slots are cheaper, which is
    known for every window after one pass over the slots.
    """
    cheaper = np.zeros(cost.shape, dtype=np.int64)
    np.cumsum(cost[..., 1:] < cost[..., :1], axis=-1, out=cheaper[..., 1:])
    runs: BoolArray = cheaper[..., window - 1] < needed
    return runs
