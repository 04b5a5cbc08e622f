"""How many containers of each pool are to be awake when: what is planned, and gaps too short to sleep through."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sunward import units
from sunward.model.identity import PoolId
from sunward.model.plan import AwakeTarget, Segment
from sunward.placement.fleet import NO_CEILING_W, Fleet
from sunward.world.snapshot import BoolArray, IntArray

FOREVER_MS = 2**62
Span = tuple[int, int]


def awake_targets(fleet: Fleet, segments: Iterable[Segment]) -> tuple[AwakeTarget, ...]:
    """Targets for all planned segments, in order of pool and time; outside them a pool may sleep."""
    by_pool: dict[int, list[Segment]] = {}
    for segment in segments:
        if segment.pool in fleet.row and segment.end_ms > fleet.now_ms:
            by_pool.setdefault(fleet.row[segment.pool], []).append(segment)
    limit = break_even_ms(fleet)
    return tuple(
        AwakeTarget(pool=PoolId(fleet.pools.ids[row]), start_ms=start, end_ms=end, count=count)
        for row in sorted(by_pool)
        for start, end, count in _pool_targets(fleet, row, by_pool[row], int(limit[row]))
    )


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


def _pool_targets(fleet: Fleet, row: int, segments: list[Segment], limit_ms: int) -> list[tuple[int, int, int]]:
    wake_ms = int(fleet.pools.wake_ms[row])
    needs = _levels([(max(fleet.now_ms, one.start_ms - wake_ms), one.end_ms, one.containers) for one in segments])
    awake_now = int(fleet.pools.awake[row])
    spans: list[tuple[int, int, int]] = []
    for level, busy in enumerate(needs):
        held = [(fleet.now_ms, fleet.now_ms), *busy] if level < awake_now else busy
        spans += [(start, end, 1) for start, end in _bridge(held, limit_ms) if start < end]
    return steps(spans)


def _levels(needs: list[tuple[int, int, int]]) -> list[list[Span]]:
    """For the k-th container the spans in which at least k are needed."""
    levels: list[list[Span]] = []
    for start, end, count in steps(needs):
        levels += [[] for _ in range(count - len(levels))]
        for level in levels[:count]:
            if level and level[-1][1] == start:
                level[-1] = (level[-1][0], end)
            else:
                level.append((start, end))
    return levels


def _bridge(spans: list[Span], limit_ms: int) -> list[Span]:
    joined = spans[:1]
    for start, end in spans[1:]:
        if start - joined[-1][1] <= limit_ms:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


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
