"""The cheapest start of every group on every pool that it looks at.

A *track* is one pool as one kind of job sees it: (pool, class, carbon price, gang, length, first slot, data). Groups
that differ in nothing but their limits share tracks: the cheapest start up to each slot is a running minimum.

Axes: N tracks, H slots, E = H + 1 edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sunward.placement.crowd.groups import Groups, packed
from sunward.placement.crowd.room import Room
from sunward.placement.crowd.tables import Tables
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

NEVER = 1e15
"""Micro-USD of what cannot be; exact sums of real costs stay far below."""
POSSIBLE = 1e14
CHUNK_CELLS = 1 << 19
"""Cells looked at together: what stays in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """(M,) the best start of each pair of a group and a pool."""

    cost: FloatArray
    """Micro-USD of one container; at least `POSSIBLE` = there is none."""
    slot: IntArray
    now_cost: FloatArray
    """The same for a start in slot 0."""


class Search:
    """Finds starts on one room at one set of prices."""

    __slots__ = ("_blocked", "_blocked_pools", "_kinds", "_lines", "_prices", "_room", "_tables", "_wakes")

    def __init__(self, tables: Tables, room: Room, shadow: FloatArray | None, kinds: tuple[IntArray, IntArray]) -> None:
        """`shadow` is (P, H) micro-USD per container and hour; `kinds` all pairs of gang and class to be asked for."""
        self._tables, self._room = tables, room
        self._prices = None if shadow is None else _priced(tables, shadow)
        gangs, classes = kinds
        code = gangs * (1 << 8) + (classes if room.bound.any() else 0)
        self._kinds, at = np.unique(code, return_index=True)
        self._blocked = room.blocked(gangs[at], classes[at])
        self._blocked_pools: BoolArray = self._blocked[:, :, -1] > 0

    def best(self, groups: Groups, group: IntArray, pool: IntArray) -> Found:
        """The cheapest start of each pair, the earliest of equals."""
        tracks, which = _tracks(groups, group, pool)
        latest = self._latest(groups, group, pool)
        order = np.argsort(which, kind="stable")
        cost, now, slot = np.full(len(group), NEVER), np.full(len(group), NEVER), np.zeros(len(group), dtype=np.int64)
        size = max(1, CHUNK_CELLS // self._tables.fleet.slots)
        edges = np.searchsorted(which[order], np.arange(0, len(tracks[0]) + size, size))
        for at, (begin, end) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
            some = order[begin:end]
            rows = slice(at * size, (at + 1) * size)
            least = self._least(groups, tracks[0][rows], tracks[1][rows])
            row = which[some] - at * size
            late = latest[some]
            value = least[row, np.maximum(late, 0)]
            cost[some] = np.where(late >= 0, value, NEVER)
            slot[some] = (least[row] > value[:, None]).sum(axis=1)
            now[some] = np.where(late >= 0, least[row, 0], NEVER)
        return Found(cost=cost, slot=slot, now_cost=now)

    def first_start(self, pool: IntArray, gpus: IntArray) -> tuple[IntArray, BoolArray]:
        """(N,) when a start in slot 0 begins, and whether it does so on containers that are awake."""
        fleet = self._tables.fleet
        awake = self._room.idle[pool] >= gpus
        woken = fleet.now_ms + fleet.pools.wake_ms[pool]
        return np.where(awake, fleet.now_ms, woken), awake

    def _latest(self, groups: Groups, group: IntArray, pool: IntArray) -> IntArray:
        """(M,) the last slot that a pair may start in; -1 = none."""
        fleet, tables = self._tables.fleet, self._tables
        run = tables.run_ms(pool, groups.work_class[group], groups.length_ms[group])
        limit, start_by = groups.limit_ms[group], groups.start_by_ms[group]
        end = (np.minimum(limit - run, start_by) - fleet.start_ms) // fleet.slot_ms
        latest = np.clip(end, -1, fleet.slots - 1)
        first, _ = self.first_start(pool, groups.gpus[group])
        # A start that waits for containers to wake begins within its slot: it may be late where the slot is the last.
        wakes = (fleet.now_ms + fleet.pools.wake_ms[pool] - fleet.start_ms) // fleet.slot_ms
        woken = np.maximum(fleet.now_ms + fleet.pools.wake_ms[pool], fleet.start_ms)
        late = (latest == wakes) & (wakes > 0) & ((woken + run > limit) | (woken > start_by))
        latest = np.where(late, 0, latest)
        none = (latest == 0) & ((first + run > limit) | ((first > start_by) & (first > fleet.now_ms)))
        return np.where(none | (latest < 0), -1, latest)

    def _least(self, groups: Groups, group: IntArray, pool: IntArray) -> FloatArray:
        """(N, H) the least cost of a container over the starts up to each slot."""
        cost = self._costs(groups, group, pool)
        opens = groups.opens[group]
        if opens.any():
            cost[np.arange(cost.shape[1]) < opens[:, None]] = NEVER
        least: FloatArray = np.minimum.accumulate(cost, axis=1)
        return least

    def _costs(self, groups: Groups, group: IntArray, pool: IntArray) -> FloatArray:
        """(N, H) micro-USD of one container for a start in each slot; `NEVER` where there is no room."""
        tables, fleet = self._tables, self._tables.fleet
        kind, price = groups.work_class[group], groups.carbon_price[group]
        code = (pool * (1 << 8) + kind) * (1 << 20) + np.minimum(price, (1 << 20) - 1)
        _, at, line = np.unique(code, return_index=True, return_inverse=True)
        before = self._line(pool[at], kind[at], price[at])
        wake = tables.start(pool[at], price[at])
        run = tables.run_ms(pool, kind, groups.length_ms[group])
        whole, part = run // fleet.slot_ms, run % fleet.slot_ms / fleet.slot_ms
        ends = sliding_window_view(_padded(before), fleet.slots, axis=1)
        whole = np.minimum(whole, fleet.slots + 1)
        cost: FloatArray = ends[line, whole]
        some = np.flatnonzero(part > 0)
        if len(some):
            more = ends[line[some], whole[some] + 1]
            more -= cost[some]
            more *= part[some, None]
            cost[some] += more
        cost -= (before[:, :-1] - wake)[line]
        self._within(cost, groups, group, pool, before, wake, line)
        data = groups.data_bytes[group]
        if data.any():
            rows = np.flatnonzero(data > 0)
            brought = tables.transfer(
                pool[rows, None],
                data[rows, None],
                price[rows, None],
                np.arange(fleet.slots)[None, :],
                groups.origin[group[rows], None],
            )
            cost[rows] += brought / groups.gpus[group[rows]][:, None]
        return cost

    def _line(self, pool: IntArray, kind: IntArray, price: IntArray) -> FloatArray:
        before = self._tables.line(pool, kind, price)
        if self._prices is not None:
            before += self._prices[pool]
        return before

    def _within(
        self,
        cost: FloatArray,
        groups: Groups,
        group: IntArray,
        pool: IntArray,
        before: FloatArray,
        wake: FloatArray,
        line: IntArray,
    ) -> None:
        """Starts that do not begin with their slot, and starts without room."""
        fleet, tables = self._tables.fleet, self._tables
        run = tables.run_ms(pool, groups.work_class[group], groups.length_ms[group])
        self._block(cost, groups, group, pool, run)
        first, awake = self.first_start(pool, groups.gpus[group])
        wakes = np.minimum((fleet.now_ms + fleet.pools.wake_ms[pool] - fleet.start_ms) // fleet.slot_ms, fleet.slots)
        late = np.flatnonzero(wakes > 0)
        if len(late):
            slot = np.arange(fleet.slots)
            cost[late] = np.where((slot < wakes[late, None]) & (slot > 0), NEVER, cost[late])
            late = late[wakes[late] < fleet.slots]
            self._exact(
                cost,
                late,
                wakes[late],
                first[late] * 0 + fleet.now_ms + fleet.pools.wake_ms[pool[late]],
                np.ones(len(late), dtype=np.bool_),
                groups,
                group,
                pool,
                run,
                before,
                wake,
                line,
            )
        every = np.arange(len(pool))
        self._exact(cost, every, np.zeros_like(every), first, ~awake, groups, group, pool, run, before, wake, line)
        cost[(wakes > 0) & ~awake, 0] = NEVER

    def _exact(
        self,
        cost: FloatArray,
        rows: IntArray,
        slot: IntArray,
        start: IntArray,
        woken: BoolArray,
        groups: Groups,
        group: IntArray,
        pool: IntArray,
        run: IntArray,
        before: FloatArray,
        wake: FloatArray,
        line: IntArray,
    ) -> None:
        """Cost of starts at given moments of a slot."""
        fleet, tables = self._tables.fleet, self._tables
        end = start + run[rows]
        value = tables.at(before, line[rows], np.minimum(end, fleet.end_ms)) - tables.at(before, line[rows], start)
        value += wake[line[rows], slot] * woken
        last = -(-(end - fleet.start_ms) // fleet.slot_ms)
        kind = self._kind(groups, group[rows])
        within = np.minimum(last, fleet.slots)
        full = self._blocked[kind, pool[rows], within] > self._blocked[kind, pool[rows], slot]
        cost[rows, slot] = np.where(full | (last > fleet.slots), NEVER, value)

    def _kind(self, groups: Groups, group: IntArray) -> IntArray:
        code = groups.gpus[group] * (1 << 8) + (groups.work_class[group] if self._room.bound.any() else 0)
        return np.searchsorted(self._kinds, code)

    def _block(self, cost: FloatArray, groups: Groups, group: IntArray, pool: IntArray, run: IntArray) -> None:
        """Mark starts without room in every slot."""
        fleet, kind = self._tables.fleet, self._kind(groups, group)
        some = np.flatnonzero(self._blocked_pools[kind, pool])
        if not len(some):
            return
        counts = self._blocked[kind[some], pool[some]]
        padded = np.concatenate([counts, np.repeat(counts[:, -1:], fleet.slots, axis=1)], axis=1)
        held = np.minimum(-(-run[some] // fleet.slot_ms), fleet.slots)
        ends = sliding_window_view(padded, fleet.slots, axis=1)[np.arange(len(some)), held]
        cost[some] = np.where(ends > counts[:, :-1], NEVER, cost[some])


def _priced(tables: Tables, shadow: FloatArray) -> FloatArray:
    """(P, E) shadow prices paid by one container from now to each edge."""
    before = np.zeros((shadow.shape[0], shadow.shape[1] + 1))
    np.cumsum(shadow * np.diff(tables.hours), axis=1, out=before[:, 1:])
    return before


def _padded(before: FloatArray) -> FloatArray:
    """Lines with what is beyond the horizon out of reach."""
    beyond = np.full((before.shape[0], before.shape[1] + 1), NEVER)
    return np.concatenate([before, beyond], axis=1)


def _tracks(groups: Groups, group: IntArray, pool: IntArray) -> tuple[tuple[IntArray, IntArray], IntArray]:
    """A group and a pool that stand for each track, and the track of each pair."""
    kind = kinds_of(groups)
    pools = int(pool.max(initial=0)) + 1
    _, at, which = np.unique(kind[group] * pools + pool, return_index=True, return_inverse=True)
    return (group[at], pool[at]), which


def kinds_of(groups: Groups) -> IntArray:
    """(G,) the same number for groups whose costs are the same wherever they go."""
    named = ("work_class", "carbon_price", "gpus", "length_ms", "opens", "data_bytes", "origin")
    _, kind = np.unique(packed([getattr(groups, name) for name in named]), return_inverse=True)
    return kind
