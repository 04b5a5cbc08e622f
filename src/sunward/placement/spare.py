"""Containers kept awake beyond what is planned, where new work is likely enough to want them at once.

Starts come as a Poisson process of the learnt rate r. Containers kept for the j-th start of a slot are used with the
probability P_j that j starts come in it, and idle for a mean time of (P_1 + … + P_j) / r until they are used or the
slot ends. A start that finds its containers awake begins earlier by the wake time, which the objective prices as it
prices any delay. So they are kept as long as r · gain · P_j > cost · (P_1 + … + P_j), with the gain of one start and
the cost of an hour idle instead of asleep; for the first start this is r · gain > cost. The energy to wake is no part
of it: for what a start takes another container is woken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sunward import units
from sunward.model.identity import PoolId
from sunward.model.plan import AwakeTarget
from sunward.placement.fleet import NO_CEILING_W, Fleet
from sunward.placement.score import carbon_usd_per_kwh
from sunward.world.snapshot import BoolArray, Expected, FloatArray, IntArray

AHEAD_MS = units.DAY_MS
"""Nothing is kept awake later than so long after the last full plan."""
UNLIKELY = 1e-6
Step = tuple[int, int, int]
"""Start, end, count."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Worth:
    """Axes: A pools that take such work, S slots ahead."""

    rows: IntArray
    """(A,) of the fleet."""
    idle_usd_per_h: FloatArray
    """(A, S) of the containers of one start, awake instead of asleep."""
    gain_usd: FloatArray
    """(A,) of one start that finds them awake."""
    score: FloatArray
    """(A, S) of an hour of such work, mean over its run: where it would go first."""


def with_spares(
    fleet: Fleet, expected: Expected | None, free: IntArray, planned: Sequence[AwakeTarget]
) -> tuple[AwakeTarget, ...]:
    """The planned targets, raised where the forecast pays; `free` is (P, H) what the plan leaves."""
    if expected is None:
        return tuple(planned)
    raised: dict[str, list[Step]] = {}
    for row, slot, spare in _spares(fleet, expected, free):
        begin_ms, count = int(fleet.begin_ms[slot]), int(fleet.pools.available[row, slot] - free[row, slot]) + spare
        awake_ms = max(fleet.now_ms, begin_ms - int(fleet.pools.wake_ms[row]))
        raised.setdefault(fleet.pools.ids[row], []).append((awake_ms, begin_ms + int(fleet.usable_ms[slot]), count))
    kept = [target for target in planned if target.pool not in raised]
    for target in planned:
        if target.pool in raised:
            raised[target.pool].append((target.start_ms, target.end_ms, target.count))
    for pool, needs in raised.items():
        kept += [AwakeTarget(pool=PoolId(pool), start_ms=s, end_ms=e, count=n) for s, e, n in highest(needs)]
    return tuple(sorted(kept, key=lambda target: (target.pool, target.start_ms)))


def highest(needs: Sequence[Step]) -> list[Step]:
    """Overlapping steps as disjoint ones of the greatest count, equal neighbours joined."""
    edges = sorted({edge for start, end, _ in needs for edge in (start, end)})
    steps: list[Step] = []
    for start, end in pairwise(edges):
        most = max((count for begins, ends, count in needs if begins <= start < ends), default=0)
        if steps and steps[-1][1:] == (start, most):
            steps[-1] = (steps[-1][0], end, most)
        elif most:
            steps.append((start, end, most))
    return steps


def _spares(fleet: Fleet, expected: Expected, free: IntArray) -> Iterator[Step]:
    """(pool, slot, containers) to keep awake for what may come; in each slot the pools are filled in order of score."""
    worth = _worth(fleet, expected, min(fleet.slots, AHEAD_MS // fleet.slot_ms))
    rates = expected.starts_per_h[: worth.score.shape[1]]
    pays: BoolArray = np.any(rates * worth.gain_usd[:, None] > worth.idle_usd_per_h, axis=0)
    size = max(1, round(expected.containers))
    for slot in np.flatnonzero(pays).tolist():
        rate = float(rates[slot])
        chances = _chances(rate * int(fleet.usable_ms[slot]) / units.HOUR_MS)
        summed, chance = 0.0, 1.0
        for at in np.lexsort((worth.rows, worth.score[:, slot])).tolist():
            row, kept = int(worth.rows[at]), 0
            gain, idle = rate * float(worth.gain_usd[at]), float(worth.idle_usd_per_h[at, slot])
            for _ in range(max(0, int(free[row, slot])) // size):
                chance = next(chances)
                summed += chance
                if chance < UNLIKELY:
                    break
                kept += size if gain * chance > idle * summed else 0
            if kept:
                yield row, slot, kept
            if chance < UNLIKELY:
                break


def _chances(mean: float) -> Iterator[float]:
    """The probabilities that at least one, two, three … starts come."""
    exactly = math.exp(-mean)
    left, number = 1.0 - exactly, 1
    while True:
        yield max(0.0, left)
        exactly *= mean / number
        left -= exactly
        number += 1


def _worth(fleet: Fleet, expected: Expected, slots: int) -> _Worth:
    """What one start is worth where, by the objective: money, and carbon at the mean price of such work."""
    pools, rows = fleet.pools, _takers(fleet, expected)
    carbon_usd = carbon_usd_per_kwh(fleet.carbon[rows], 1) * expected.carbon_price_usd_per_t
    usd_per_kwh = (fleet.price[rows] + carbon_usd) * pools.overhead[rows][:, None]
    run_usd_per_kwh = _ahead(usd_per_kwh, expected.work_h / expected.containers * units.HOUR_MS / fleet.slot_ms)
    idle_kw = (pools.idle_w - pools.asleep_w)[rows] / units.W_PER_KW * max(1, round(expected.containers))
    busy_kw = pools.busy_w[rows].mean(axis=1) / units.W_PER_KW
    delay_share = fleet.policy.delay_ppm_per_h / units.PPM * pools.wake_ms[rows] / units.HOUR_MS
    return _Worth(
        rows=rows,
        idle_usd_per_h=idle_kw[:, None] * usd_per_kwh[:, :slots],
        gain_usd=delay_share * pools.ask_usd_per_h[rows] * expected.work_h,
        score=(pools.ask_usd_per_h[rows][:, None] + busy_kw[:, None] * run_usd_per_kwh[:, :slots])
        / pools.rate[rows].mean(axis=1)[:, None],
    )


def _ahead(values: FloatArray, slots: float) -> FloatArray:
    """(A, H) mean over so many slots from each one on, within the horizon."""
    before = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    first = np.arange(values.shape[1])
    last = np.minimum(first + max(1, round(slots)), values.shape[1])
    mean: FloatArray = (before[:, last] - before[:, first]) / (last - first)
    return mean


def _takers(fleet: Fleet, expected: Expected) -> IntArray:
    """Pools that take such work: those that did, and those like them that are open to anyone.

    A site under a power ceiling keeps what it may draw for work.
    """
    took = {fleet.row[pool] for pool in expected.pools if pool in fleet.row}
    models = {fleet.pools.gpu_model[row] for row in took}
    unbound: BoolArray = np.all(fleet.headroom_w >= NO_CEILING_W, axis=1)[fleet.pools.site]
    return np.array(
        [
            row
            for row, (model, admission) in enumerate(zip(fleet.pools.gpu_model, fleet.pools.admission, strict=True))
            if unbound[row] and (row in took or (admission == "anyone" and model in models))
        ],
        np.int64,
    )
