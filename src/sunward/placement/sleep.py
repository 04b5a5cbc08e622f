"""How many containers of each pool are to be awake when: what is planned, and gaps too short to sleep through."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sunward import units
from sunward.model.identity import PoolId
from sunward.model.plan import AwakeTarget, Segment
from sunward.placement.fleet import NO_CEILING_W, Fleet
from sunward.world.snapshot import BoolArray, IntArray

FOREVER_MS = 2**62
EDGES = (0, 1, 2, 4, 8, 24, 96, 384)
"""Slots at which the targets of many jobs may change."""
GAP_MAX = 16
"""Longest gap, in slots, that is bridged where nobody looks at each job."""
Held = tuple[IntArray, IntArray, IntArray, IntArray]
"""Rows of the fleet, starts, ends and containers."""


def awake_targets(fleet: Fleet, segments: Iterable[Segment]) -> tuple[AwakeTarget, ...]:
    """Targets for all planned segments, in order of pool and time; outside them a pool may sleep."""
    known = [one for one in segments if one.pool in fleet.row]
    rows = [(fleet.row[one.pool], one.start_ms, one.end_ms, one.containers) for one in known]
    columns: Held = tuple(np.array(rows, dtype=np.int64).reshape(-1, 4).T)  # type: ignore[assignment]
    ids = fleet.pools.ids
    return tuple(
        AwakeTarget(pool=PoolId(ids[row]), start_ms=start, end_ms=end, count=count)
        for row, start, end, count in zip(*(one.tolist() for one in _targets(fleet, columns)), strict=True)
    )


def many_targets(fleet: Fleet, used: IntArray, until_ms: int) -> tuple[AwakeTarget, ...]:
    """Targets where pools hold too many jobs to look at each: slot by slot soon, later the most of ever longer spans.

    The next full plan comes before they matter. `used`: (P, H) containers; what goes on beyond the horizon does so
    until `until_ms`.
    """
    wanted = _woken_ahead(fleet, _idled_through(fleet, used))
    first = np.array([edge for edge in EDGES if edge < fleet.slots], np.int64)
    most = np.maximum.reduceat(wanted, first, axis=1)
    begins = np.maximum(fleet.now_ms, fleet.start_ms + first * fleet.slot_ms)
    ends = np.append(begins[1:], until_ms)
    rise = np.diff(most, axis=1, prepend=0) > 0
    lead_ms = fleet.pools.wake_ms % fleet.slot_ms
    targets: list[AwakeTarget] = []
    for row in np.flatnonzero(most.any(axis=1)).tolist():
        early = np.maximum(fleet.now_ms, begins - np.where(rise[row], lead_ms[row], 0))
        columns = early.tolist(), [*early[1:].tolist(), int(ends[-1])], most[row].tolist()
        joined = steps([one for one in zip(*columns, strict=True) if one[2]])
        pool = PoolId(fleet.pools.ids[row])
        targets += [AwakeTarget(pool=pool, start_ms=start, end_ms=end, count=count) for start, end, count in joined]
    return tuple(targets)


def _idled_through(fleet: Fleet, used: IntArray) -> IntArray:
    """(P, H) with gaps that are worth idling through filled: of each container, so many slots at most."""
    gaps = np.minimum(break_even_ms(fleet) // fleet.slot_ms, min(GAP_MAX, fleet.slots))
    # What cannot sleep needs nobody to keep it awake.
    gaps[fleet.pools.idle_w <= fleet.pools.asleep_w] = 0
    bridged = used.copy()
    for gap in np.unique(gaps[gaps > 0]).tolist():
        rows = gaps == gap
        before = np.repeat(np.minimum(fleet.pools.awake[rows], used[rows].max(axis=1))[:, None], gap, axis=1)
        after = np.zeros_like(before)
        # The most of the slots up to a gap before, then the least of those up to a gap later: a closing.
        most = sliding_window_view(np.concatenate([before, used[rows], after], axis=1), gap + 1, axis=1).max(axis=2)
        bridged[rows] = sliding_window_view(most, gap + 1, axis=1).min(axis=2)
    return bridged


def _woken_ahead(fleet: Fleet, used: IntArray) -> IntArray:
    """(P, H) with what takes whole slots to wake begun so many slots earlier."""
    ahead = np.minimum(fleet.pools.wake_ms // fleet.slot_ms, fleet.slots)
    wanted = used.copy()
    for slots in np.unique(ahead[ahead > 0]).tolist():
        rows = ahead == slots
        later = np.concatenate([used[rows], np.zeros((int(rows.sum()), slots), np.int64)], axis=1)
        wanted[rows] = sliding_window_view(later, slots + 1, axis=1).max(axis=2)
    return wanted


def break_even_ms(fleet: Fleet) -> IntArray:
    """(P,) the longest gap that idling bridges for less energy than sleeping and waking.

    A site under a power ceiling bridges nothing: what it may draw is kept for work.
    """
    pools = fleet.pools
    saved_w = pools.idle_w - pools.asleep_w
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.where(saved_w > 0, pools.wake_j / saved_w * units.SECOND_MS, float(FOREVER_MS))
    bound: BoolArray = np.any(fleet.headroom_w < NO_CEILING_W, axis=1)
    bridged: IntArray = np.where(bound[pools.site], 0, np.minimum(gap, float(FOREVER_MS))).astype(np.int64)
    return bridged


def _targets(fleet: Fleet, held: Held) -> Held:
    """Pools, beginnings, ends and counts of what is to be awake, in order of pool and time."""
    pool, start, end, count = (one[held[2] > fleet.now_ms] for one in held)
    start = np.maximum(fleet.now_ms, start - fleet.pools.wake_ms[pool])
    used = np.unique(pool)
    # What is awake now is the level before the first step; the steps of a pool end with a level of nothing.
    change_pool = np.concatenate([used, pool, pool])
    change_at = np.concatenate([np.full(len(used), fleet.now_ms), start, end])
    change = np.concatenate([np.zeros(len(used), dtype=np.int64), count, -count])
    order = np.lexsort((change_at, change_pool))
    change_pool, change_at = change_pool[order], change_at[order]
    level = np.cumsum(change[order])
    last = np.append((change_pool[1:] != change_pool[:-1]) | (change_at[1:] != change_at[:-1]), True)[: len(level)]
    steps_pool, steps_at, level = change_pool[last], change_at[last], level[last]
    first = np.searchsorted(steps_pool, used)
    steps_pool = np.insert(steps_pool, first, used)
    steps_at = np.insert(steps_at, first, fleet.now_ms)
    level = np.insert(level, first, fleet.pools.awake[used])
    steps_pool, steps_at, level = _bridged(steps_pool, steps_at, level, break_even_ms(fleet))
    ends = np.append(steps_at[1:], fleet.now_ms)
    some = np.flatnonzero((level > 0) & (ends > steps_at))
    return steps_pool[some], steps_at[some], ends[some], level[some]


def _bridged(
    pool: IntArray, at_ms: IntArray, level: IntArray, limit_ms: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Steps without the gaps that are not worth sleeping through: each is filled to the lower of its sides."""
    while len(pool):
        same = np.append(False, (pool[1:] == pool[:-1]) & (level[1:] == level[:-1]))
        pool, at_ms, level = pool[~same], at_ms[~same], level[~same]
        inner = np.zeros(len(pool), dtype=np.bool_)
        inner[1:-1] = (pool[1:-1] == pool[:-2]) & (pool[1:-1] == pool[2:])
        middle = np.flatnonzero(inner)
        left, right = level[middle - 1], level[middle + 1]
        short = at_ms[middle + 1] - at_ms[middle] <= limit_ms[pool[middle]]
        gap = middle[short & (level[middle] < left) & (level[middle] < right)]
        if not len(gap):
            break
        level = level.copy()
        level[gap] = np.minimum(level[gap - 1], level[gap + 1])
    return pool, at_ms, level


def steps(needs: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Overlapping (start, end, count) summed into disjoint steps of positive count, equal neighbours joined."""
    change: dict[int, int] = {}
    for start, end, count in needs:
        change[start] = change.get(start, 0) + count
        change[end] = change.get(end, 0) - count
    steps: list[tuple[int, int, int]] = []
    total, since = 0, 0
    for at in sorted(change):
        if total and at > since:
            if steps and steps[-1][1] == since and steps[-1][2] == total:
                steps[-1] = (steps[-1][0], at, total)
            else:
                steps.append((since, at, total))
        total, since = total + change[at], at
    return steps
