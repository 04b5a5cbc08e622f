"""Which pools a group looks at: those that may do its work for least at their best hour, before it looks closely.

Axes: L kinds of lines (class, carbon price, length in octaves, heavy data and its place), R reaches, P pools, T steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.placement.crowd.groups import Groups, packed
from sunward.placement.crowd.room import Room
from sunward.placement.crowd.tables import Tables
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

STEPS = 96
"""A horizon is looked at in about so many steps."""
HEAVY_BYTES = 10**9
"""Lighter data does not decide which pools are looked at."""
REACHES = 4
"""Limits are told apart by the eighth, quarter, half and whole of the logarithm of the horizon."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shortlist:
    """Orders of pools, cheapest first."""

    order: IntArray
    """(L, R, P)."""
    possible: IntArray
    """(L, R) how many of an order have any room."""
    line: IntArray
    """(G,)."""
    reach: IntArray
    """(G,)."""

    def pairs(self, groups: Groups, group: IntArray, allowed: BoolArray, most: int) -> tuple[IntArray, IntArray]:
        """Some groups, each with the first `most` pools that it may use."""
        code = packed([self.line[group], self.reach[group], groups.family[group]])
        _, at, entry = np.unique(code, return_index=True, return_inverse=True)
        first = group[at]
        found_entry, found_pool = [], []
        for rows in _chunks(len(at), max(1, (1 << 22) // max(1, allowed.shape[1]))):
            some = first[rows]
            order = self.order[self.line[some], self.reach[some]]
            mask = np.take_along_axis(allowed[groups.family[some]], order, axis=1)
            mask &= np.arange(order.shape[1]) < self.possible[self.line[some], self.reach[some]][:, None]
            mask &= np.cumsum(mask, axis=1, dtype=np.int32) <= most
            row, column = np.nonzero(mask)
            found_entry.append(row + rows.start)
            found_pool.append(order[row, column])
        pools, of_entry = np.concatenate(found_pool), np.concatenate(found_entry)
        count = np.bincount(of_entry, minlength=len(at))
        begin = np.cumsum(count) - count
        mine = count[entry]
        repeated = np.repeat(np.arange(len(group)), mine)
        within = np.arange(len(repeated)) - np.repeat(np.cumsum(mine) - mine, mine)
        return repeated, pools[begin[entry][repeated] + within]


def _chunks(length: int, size: int) -> list[slice]:
    return [slice(begin, min(begin + size, length)) for begin in range(0, length, size)]


def shortlist(tables: Tables, room: Room, groups: Groups, shadow: FloatArray | None) -> Shortlist:
    """Order all pools for each kind of line and reach."""
    octave = np.log2(np.maximum(1, groups.length_ms / tables.fleet.slot_ms)).astype(np.int64)
    heavy = np.where(groups.data_bytes >= HEAVY_BYTES, np.log2(np.maximum(1, groups.data_bytes)).astype(np.int64), 0)
    weighs = heavy > 0
    code = packed(
        [
            groups.work_class,
            groups.carbon_price,
            octave,
            heavy,
            np.where(weighs, groups.origin, -1),
            np.where(weighs, groups.gpus, 0),
        ]
    )
    _, at, line = np.unique(code, return_index=True, return_inverse=True)
    fleet = tables.fleet
    coarse = _Coarse(tables, room, shadow)
    least = np.stack(
        [
            coarse.least(int(groups.work_class[one]), int(groups.carbon_price[one]), fleet.slot_ms << int(octave[one]))
            + (_brought(tables, groups, one) if weighs[one] else 0.0)
            for one in at.tolist()
        ]
    )
    reach_slots = np.maximum(1, (groups.limit_ms - groups.length_ms - fleet.start_ms) // fleet.slot_ms)
    step = np.log2(np.minimum(reach_slots, fleet.slots)) / max(1.0, np.log2(fleet.slots)) * REACHES
    order = np.argsort(least, axis=2, kind="stable")
    return Shortlist(
        order=order,
        possible=np.isfinite(least).sum(axis=2),
        line=line,
        reach=np.clip(np.floor(step).astype(np.int64), 0, REACHES - 1),
    )


def _brought(tables: Tables, groups: Groups, group: int) -> FloatArray:
    """(P,) what bringing the data now adds to a reference hour, in the measure of `_Coarse.least`."""
    pools = np.arange(len(tables.fleet.pools.ids))
    asked = (groups.data_bytes[group], groups.carbon_price[group], 0, groups.origin[group])
    cost = tables.transfer(pools, *(np.full_like(pools, one) for one in asked))
    spread_over = groups.gpus[group] * groups.length_ms[group] / units.HOUR_MS * units.PPM
    shared: FloatArray = cost / spread_over
    return shared


class _Coarse:
    """The fleet at about `STEPS` steps of the horizon."""

    __slots__ = ("_edges", "_full", "_hours", "_shadow", "_step", "_tables")

    def __init__(self, tables: Tables, room: Room, shadow: FloatArray | None) -> None:
        fleet = tables.fleet
        self._tables, self._step = tables, max(1, fleet.slots // STEPS)
        self._edges = np.append(np.arange(0, fleet.slots, self._step), fleet.slots)
        self._hours = np.diff(tables.hours)
        self._shadow = None
        if shadow is not None:
            before = np.zeros((shadow.shape[0], fleet.slots + 1))
            np.cumsum(shadow * self._hours, axis=1, out=before[:, 1:])
            self._shadow = before[:, self._edges]
        self._full = np.zeros((len(fleet.pools.ids), fleet.slots + 1), dtype=np.int32)
        np.cumsum(room.free < 1, axis=1, out=self._full[:, 1:])

    def least(self, work_class: int, carbon_price: int, length_ms: int) -> FloatArray:
        """(R, P) least cost of a reference hour over the starts within each reach; inf where there is no room."""
        tables, fleet = self._tables, self._tables.fleet
        pools = np.arange(len(fleet.pools.ids))
        kind, price = np.full_like(pools, work_class), np.full_like(pools, carbon_price)
        before = tables.line(pools, kind, price)[:, self._edges]
        if self._shadow is not None:
            before = before + self._shadow
        run = tables.run_ms(pools, kind, np.full_like(pools, length_ms))
        steps = np.clip(-(-run // (fleet.slot_ms * self._step)), 1, len(self._edges) - 1)
        starts = np.arange(len(self._edges) - 1)
        ends = np.minimum(starts + steps[:, None], len(self._edges) - 1)
        spent = np.take_along_axis(before, ends, axis=1) - before[:, :-1]
        lasted = tables.hours[self._edges[ends]] - tables.hours[self._edges[:-1]]
        rate = fleet.rate_ppm[pools, kind][:, None]
        edges = self._edges
        full = np.take_along_axis(self._full, edges[ends], axis=1) > self._full[:, edges[:-1]]
        out = full | (starts + steps[:, None] > len(edges) - 1) & (starts > 0)
        cost = np.where(out | (rate <= 0), np.inf, spent / np.maximum(lasted * rate, 1e-9))
        least = np.minimum.accumulate(cost, axis=1)
        reach = [max(0, round(len(starts) ** ((one + 1) / REACHES)) - 1) for one in range(REACHES)]
        some: FloatArray = least[:, reach].T
        # A pool that is full at coarse steps may still have gaps: it comes last, not never.
        return np.where(np.isfinite(some) | (rate[:, 0] <= 0), some, NO_GAP)


NO_GAP = 1e12
