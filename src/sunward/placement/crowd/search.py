"""The cheapest start of every group on every pool that it looks at.

A *track* is one pool as one kind of job sees it: (pool, class, carbon price, gang, length, first slot). Groups that
differ in nothing but their limits share tracks: the cheapest start up to each slot is a running minimum. A search
holds whole slots and charges the part of them that is used; what a plan states is worked out exactly in the end.

Axes: N tracks, W slots that are looked at, E = H + 1 edges.
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
"""Micro-USD of what cannot be; sums of real costs stay far below."""
POSSIBLE = 1e13
CHUNK_CELLS = 1 << 18
"""Cells looked at together: what stays in the cache."""
LINES_FIRST = 1_024


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """(M,) the best start of each pair of a group and a pool."""

    cost: FloatArray
    """Micro-USD of one container; at least `POSSIBLE` = there is none."""
    slot: IntArray
    now_cost: FloatArray
    """The same for a start in slot 0."""


class Lines:
    """What a container costs from now to each edge, by (pool, class, carbon price); made when first asked for."""

    __slots__ = ("_count", "_prices", "_rows", "_store", "_tables")

    def __init__(self, tables: Tables, carbon_prices: IntArray) -> None:
        classes = tables.facility_kw.shape[1]
        self._tables, self._prices, self._count = tables, carbon_prices, 0
        self._rows = np.full(len(tables.zone) * classes * max(1, len(carbon_prices)), -1, dtype=np.int64)
        self._store = np.empty((LINES_FIRST, 2 * tables.fleet.slots + 2))

    @property
    def store(self) -> FloatArray:
        """(lines, 2 H + 2); beyond the horizon out of reach."""
        return self._store

    def rows(self, pool: IntArray, kind: IntArray, carbon_price: IntArray) -> IntArray:
        """Rows of the store."""
        prices = max(1, len(self._prices))
        at = np.searchsorted(self._prices, carbon_price)
        code = (pool * self._tables.facility_kw.shape[1] + kind) * prices + at
        missing = np.unique(code[self._rows[code] < 0])
        if len(missing):
            self._make(missing, prices)
        rows: IntArray = self._rows[code]
        return rows

    def _make(self, code: IntArray, prices: int) -> None:
        classes, edges = self._tables.facility_kw.shape[1], self._tables.fleet.slots + 1
        pool, kind = code // prices // classes, code // prices % classes
        begin, end = self._count, self._count + len(code)
        if end > len(self._store):
            store = np.empty((max(end, 2 * len(self._store)), self._store.shape[1]))
            store[:begin] = self._store[:begin]
            self._store = store
        self._store[begin:end, edges:] = NEVER
        for some in range(0, len(code), 512):
            part = slice(some, some + 512)
            line = self._tables.line(pool[part], kind[part], self._prices[code[part] % prices])
            self._store[begin + some : begin + some + len(line), :edges] = line
        self._rows[code] = np.arange(begin, end)
        self._count = end


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tracks:
    """(N,) what the tracks are."""

    pool: IntArray
    gpus: IntArray
    opens: IntArray
    line: IntArray
    kind: IntArray
    """Row of the blocked slots."""
    run_ms: IntArray
    held: IntArray
    """Slots."""
    scale: FloatArray
    """Time of the slots held over the time used."""
    wake: FloatArray

    def of(self, rows: IntArray | slice) -> _Tracks:
        return _Tracks(**{name: getattr(self, name)[rows] for name in _Tracks.__slots__})


class Search:
    """Finds starts on one room at one set of prices."""

    __slots__ = (
        "_blocked",
        "_blocked_pools",
        "_kinds",
        "_lines",
        "_place",
        "_priced_pools",
        "_prices",
        "_room",
        "_tables",
    )

    def __init__(
        self,
        tables: Tables,
        lines: Lines,
        room: Room,
        shadow: FloatArray | None,
        gpus: IntArray,
        work_class: IntArray,
        pools: IntArray,
    ) -> None:
        """`shadow` is (P, H) micro-USD per container and hour; the rest is all that will be asked for."""
        self._tables, self._lines, self._room = tables, lines, room
        self._prices = None if shadow is None else _priced(tables, shadow)
        self._priced_pools: BoolArray = np.zeros(0, np.bool_) if shadow is None else np.any(shadow > 0, axis=1)
        self._kinds, at = np.unique(self._code(gpus, work_class), return_index=True)
        used = np.unique(pools)
        self._place = np.zeros(len(tables.zone), dtype=np.int64)
        """(P,) row of a pool in what is blocked."""
        self._place[used] = np.arange(len(used))
        self._blocked = room.blocked(gpus[at], work_class[at], used)
        self._blocked_pools: BoolArray = self._blocked[:, :, tables.fleet.slots] > 0

    def _code(self, gpus: IntArray, kind: IntArray) -> IntArray:
        code: IntArray = gpus * (1 << 8) + (kind if self._room.bound.any() else 0)
        return code

    def best(self, groups: Groups, group: IntArray, pool: IntArray) -> Found:
        """The cheapest start of each pair, the earliest of equals."""
        at, which = _tracks(groups, group, pool)
        tracks = self._made(groups, group[at], pool[at])
        latest = self._latest(groups, group, pool, tracks.run_ms[which])
        width = np.zeros(len(at), dtype=np.int64)
        np.maximum.at(width, which, latest + 1)
        by_width = np.argsort(-width, kind="stable")
        rank = np.empty_like(by_width)
        rank[by_width] = np.arange(len(by_width))
        order = np.argsort(rank[which], kind="stable")
        ranked = rank[which][order]
        cost, now, slot = np.full(len(group), NEVER), np.full(len(group), NEVER), np.zeros(len(group), dtype=np.int64)
        begin = 0
        while begin < len(at) and width[by_width[begin]]:
            wide = int(width[by_width[begin]])
            end = min(len(at), begin + max(1, CHUNK_CELLS // wide))
            least = self._least(tracks.of(by_width[begin:end]), wide)
            pairs = order[np.searchsorted(ranked, begin) : np.searchsorted(ranked, end)]
            pairs = pairs[latest[pairs] >= 0]
            row = rank[which[pairs]] - begin
            cost[pairs], now[pairs] = least[row, latest[pairs]], least[row, 0]
            slot[pairs] = _first(least, row, latest[pairs])
            begin = end
        scale, wake = tracks.scale[which], tracks.wake[which]
        asked = (groups.data_bytes[group], groups.carbon_price[group], groups.origin[group])
        brought = self._tables.bringing(pool, *asked)
        more = wake + brought / groups.gpus[group]
        return Found(cost=cost / scale + more, slot=slot, now_cost=now / scale + more)

    def _made(self, groups: Groups, group: IntArray, pool: IntArray) -> _Tracks:
        tables, kind, price = self._tables, groups.work_class[group], groups.carbon_price[group]
        run = tables.run_ms(pool, kind, groups.length_ms[group])
        held = np.minimum(-(-run // tables.fleet.slot_ms), tables.fleet.slots + 1)
        return _Tracks(
            pool=pool,
            gpus=groups.gpus[group],
            opens=groups.opens[group],
            line=self._lines.rows(pool, kind, price),
            kind=np.searchsorted(self._kinds, self._code(groups.gpus[group], kind)),
            run_ms=run,
            held=held,
            scale=held * tables.fleet.slot_ms / run,
            wake=tables.waking(pool, price),
        )

    def _latest(self, groups: Groups, group: IntArray, pool: IntArray, run: IntArray) -> IntArray:
        """(M,) the last slot that a pair may start in; -1 = none."""
        fleet = self._tables.fleet
        limit, start_by = groups.limit_ms[group], groups.start_by_ms[group]
        end = (np.minimum(limit - run, start_by) - fleet.start_ms) // fleet.slot_ms
        latest = np.clip(end, -1, fleet.slots - 1)
        first, _ = self._room.first_start(pool, groups.gpus[group])
        # A start that waits for containers to wake begins within its slot: it may be late where the slot is the last.
        woken = fleet.now_ms + fleet.pools.wake_ms[pool]
        wakes = (woken - fleet.start_ms) // fleet.slot_ms
        late = (latest == wakes) & (wakes > 0) & ((woken + run > limit) | (woken > start_by))
        latest = np.where(late, 0, latest)
        none = (latest == 0) & ((first + run > limit) | ((first > start_by) & (first > fleet.now_ms)))
        return np.where(none | (latest < groups.opens[group]), -1, latest)

    def _least(self, tracks: _Tracks, wide: int) -> FloatArray:
        """(N, W) the least cost of a container, whole slots held, over the starts up to each slot."""
        store = self._lines.store
        cost: FloatArray = sliding_window_view(store, wide, axis=1)[tracks.line, tracks.held]
        cost -= store[:, :wide][tracks.line]
        if self._prices is not None:
            some = np.flatnonzero(self._priced_pools[tracks.pool])
            pool = tracks.pool[some]
            paid = sliding_window_view(self._prices, wide, axis=1)[pool, tracks.held[some]]
            paid -= self._prices[:, :wide][pool]
            cost[some] += paid
        self._block(cost, tracks, wide)
        self._within(cost, tracks, wide)
        if tracks.opens.any():
            cost[np.arange(wide) < tracks.opens[:, None]] = NEVER
        np.minimum.accumulate(cost, axis=1, out=cost)
        return cost

    def _block(self, cost: FloatArray, tracks: _Tracks, wide: int) -> None:
        """Mark starts without room in every slot."""
        place = self._place[tracks.pool]
        some = np.flatnonzero(self._blocked_pools[tracks.kind, place])
        if len(some):
            kind, pool = tracks.kind[some], place[some]
            before = sliding_window_view(self._blocked, wide, axis=2)[kind, pool, tracks.held[some]]
            mine = cost[some]
            mine[before > self._blocked[:, :, :wide][kind, pool]] = NEVER
            cost[some] = mine

    def _within(self, cost: FloatArray, tracks: _Tracks, wide: int) -> None:
        """Starts that do not begin with their slot."""
        fleet = self._tables.fleet
        first, awake = self._room.first_start(tracks.pool, tracks.gpus)
        woken = fleet.now_ms + fleet.pools.wake_ms[tracks.pool]
        wakes = np.minimum((woken - fleet.start_ms) // fleet.slot_ms, fleet.slots)
        late = np.flatnonzero(wakes > 0)
        if len(late):
            slot = np.arange(wide)
            cost[late] = np.where((slot <= wakes[late, None]) & (slot > 0), NEVER, cost[late])
            late = late[wakes[late] < wide]
            cost[late, wakes[late]] = self._exact(tracks.of(late), woken[late], wakes[late])
        every = np.arange(len(tracks.pool))
        now = self._exact(tracks, first, np.zeros_like(every)) - np.where(awake, tracks.wake * tracks.scale, 0.0)
        cost[:, 0] = np.where((wakes > 0) & ~awake, NEVER, now)

    def _exact(self, tracks: _Tracks, start: IntArray, slot: IntArray) -> FloatArray:
        """(N,) cost of starts at given moments of a slot, scaled as all others are."""
        tables, fleet = self._tables, self._tables.fleet
        end = np.minimum(start + tracks.run_ms, fleet.end_ms)
        cost = tables.at(self._lines.store, tracks.line, end) - tables.at(self._lines.store, tracks.line, start)
        if self._prices is not None:
            cost += tables.at(self._prices, tracks.pool, end) - tables.at(self._prices, tracks.pool, start)
        last = -(-(start + tracks.run_ms - fleet.start_ms) // fleet.slot_ms)
        within = np.minimum(last, fleet.slots)
        place = self._place[tracks.pool]
        full = self._blocked[tracks.kind, place, within] > self._blocked[tracks.kind, place, slot]
        return np.where(full | (last > fleet.slots), NEVER, cost * tracks.scale)


def _first(least: FloatArray, row: IntArray, latest: IntArray) -> IntArray:
    """(M,) the first slot of a falling row that is as low as the one at `latest`."""
    value = least[row, latest]
    low, high = np.zeros_like(latest), latest.copy()
    for _ in range(int(latest.max(initial=0)).bit_length()):
        middle = (low + high) // 2
        there = least[row, middle] <= value
        high = np.where(there, middle, high)
        low = np.where(there, low, np.minimum(middle + 1, high))
    return high


def _priced(tables: Tables, shadow: FloatArray) -> FloatArray:
    """(P, 2 H + 2) shadow prices paid by one container from now to each edge; nothing beyond the horizon."""
    slots = tables.fleet.slots
    before = np.zeros((shadow.shape[0], 2 * slots + 2))
    np.cumsum(shadow * np.diff(tables.hours), axis=1, out=before[:, 1 : slots + 1])
    before[:, slots + 1 :] = before[:, slots : slots + 1]
    return before


def _tracks(groups: Groups, group: IntArray, pool: IntArray) -> tuple[IntArray, IntArray]:
    """A pair that stands for each track, and the track of each pair."""
    kind = kinds_of(groups)
    pools = int(pool.max(initial=0)) + 1
    _, at, which = np.unique(kind[group] * pools + pool, return_index=True, return_inverse=True)
    return at, which


def kinds_of(groups: Groups) -> IntArray:
    """(G,) the same number for groups whose costs are the same wherever they go."""
    named = ("work_class", "carbon_price", "gpus", "length_ms", "opens")
    _, kind = np.unique(packed([getattr(groups, name) for name in named]), return_inverse=True)
    return kind
