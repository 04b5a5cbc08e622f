"""Which pools a group looks at: those that may do its work for least at their best hour, before it looks closely.

Axes: L kinds of lines (class, carbon price, length in octaves), R reaches, P pools, T coarse steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.placement.crowd.groups import Groups, packed, ranges
from sunward.placement.crowd.room import Room
from sunward.placement.crowd.tables import Tables
from sunward.placement.score import carbon_usd_per_kwh
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

STEPS = 96
"""A horizon is looked at in about so many steps."""
HEAVY_BYTES = 10**9
"""Lighter data does not decide which pools are looked at."""
REACHES = 4
"""Limits are told apart by the eighth, quarter, half and whole of the logarithm of the horizon."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shortlist:
    """Orders of pools for some groups, cheapest first."""

    group: IntArray
    """(N,) groups that look, in the order in which they take what is scarce."""
    order: IntArray
    """(L, P) by kinds of line and reach."""
    possible: IntArray
    """(L,) how many of an order can do the work."""
    room: FloatArray
    """(L, P) container slots within reach, in that order."""
    kind: IntArray
    """(N,) row of the orders."""
    ahead: FloatArray
    """(N,) container slots that groups ahead want of the same pools."""

    def pairs(self, groups: Groups, some: IntArray, allowed: BoolArray, most: int) -> tuple[IntArray, IntArray]:
        """Positions of some groups, each with `most` pools from where those ahead of it may leave room."""
        family = groups.family[self.group[some]]
        code = packed([self.kind[some], family])
        _, at, entry = np.unique(code, return_index=True, return_inverse=True)
        pool, room, count = self._listed(self.kind[some[at]], allowed[family[at]])
        begin = np.cumsum(count) - count
        before = np.cumsum(room)
        base = np.append(0.0, before)[begin]
        first = np.searchsorted(before, base[entry] + self.ahead[some], side="right")
        mine = np.minimum(count[entry], most)
        end = (begin + count)[entry]
        first = np.clip(first - most // 4, begin[entry], end - mine)
        return some[np.repeat(np.arange(len(some)), mine)], pool[ranges(first, mine)]

    def _listed(self, kind: IntArray, allowed: BoolArray) -> tuple[IntArray, FloatArray, IntArray]:
        """Allowed pools in order, one entry after the other, their room, and how many each entry has."""
        pools, rooms, counts = [], [], []
        size = max(1, CHUNK_CELLS // max(1, allowed.shape[1]))
        for begin in range(0, len(kind), size):
            part = kind[begin : begin + size]
            order = self.order[part]
            mask = np.take_along_axis(allowed[begin : begin + size], order, axis=1)
            mask &= np.arange(order.shape[1]) < self.possible[part][:, None]
            pools.append(order[mask])
            rooms.append(self.room[part][mask])
            counts.append(mask.sum(axis=1))
        return np.concatenate(pools), np.concatenate(rooms), np.concatenate(counts)


def shortlist(tables: Tables, room: Room, groups: Groups, group: IntArray, shadow: FloatArray | None) -> Shortlist:
    """Order all pools for each kind of line and reach of some groups; `left` are their jobs."""
    fleet, length = tables.fleet, groups.length_ms[group]
    octave = np.log2(np.maximum(1, length / fleet.slot_ms)).astype(np.int64) // 2 * 2
    work_class, price = groups.work_class[group], groups.carbon_price[group]
    reach_slots = np.clip((groups.limit_ms[group] - length - fleet.start_ms) // fleet.slot_ms, 1, fleet.slots)
    step = np.log2(reach_slots) / max(1.0, np.log2(fleet.slots)) * REACHES
    reach = np.clip(np.ceil(step).astype(np.int64) - 1, 0, REACHES - 1)
    data = groups.data_bytes[group]
    heavy = np.where(data >= HEAVY_BYTES, np.log2(np.maximum(1, data)).astype(np.int64), 0)
    far = (np.where(heavy > 0, groups.origin[group], -1), np.where(heavy > 0, groups.gpus[group], 0))
    code = packed([work_class, price, octave, reach, heavy, *far])
    _, at, kind = np.unique(code, return_index=True, return_inverse=True)
    coarse = _Coarse(tables, room, shadow)
    least = np.stack(
        [
            coarse.least(int(work_class[one]), int(price[one]), int(octave[one]), int(reach[one]))
            + (_brought(tables, groups, int(group[one])) if heavy[one] else 0.0)
            for one in at
        ]
    )
    order = np.argsort(least, axis=1, kind="stable")
    return Shortlist(
        group=group,
        order=order,
        possible=np.isfinite(least).sum(axis=1),
        room=np.take_along_axis(coarse.room[reach[at]], order, axis=1),
        kind=kind,
        ahead=_ahead(tables, groups, group),
    )


def _brought(tables: Tables, groups: Groups, group: int) -> FloatArray:
    """(P,) what bringing the data adds to a reference hour."""
    pools = np.arange(len(tables.zone))
    asked = (groups.data_bytes[group], groups.carbon_price[group], groups.origin[group])
    cost = tables.bringing(pools, *(np.full_like(pools, one) for one in asked))
    shared: FloatArray = cost / (groups.gpus[group] * groups.length_ms[group] / units.HOUR_MS)
    return shared


def _ahead(tables: Tables, groups: Groups, group: IntArray) -> FloatArray:
    """(N,) what is wanted by groups that come before, of those that ask for the same hardware and countries."""
    families, family = groups.families, groups.family[group]
    slots = -(-groups.length_ms[group] // tables.fleet.slot_ms)
    wanted = (slots * groups.gpus[group] * groups.count[group]).astype(np.float64)
    rivals = packed([groups.carbon_price[group], families.models[family], families.countries[family]])
    order = np.argsort(rivals, kind="stable")
    summed = np.cumsum(wanted[order])
    starts = np.append(True, rivals[order][1:] != rivals[order][:-1])[: len(order)]
    begin = np.flatnonzero(starts)[np.cumsum(starts) - 1] if len(order) else order
    ahead = np.empty(len(group))
    ahead[order] = summed - wanted[order] - (summed[begin] - wanted[order][begin])
    return ahead


class _Coarse:
    """Zones at about `STEPS` steps of the horizon, and how full pools are."""

    __slots__ = ("_ask", "_before", "_edges", "_full", "_reach", "_shadow", "_starts", "_step", "_tables", "room")

    def __init__(self, tables: Tables, room: Room, shadow: FloatArray | None) -> None:
        fleet = tables.fleet
        self._tables, self._step = tables, max(1, fleet.slots // STEPS)
        self._edges = np.append(np.arange(0, fleet.slots, self._step), fleet.slots)
        count = len(self._edges) - 1
        self._reach = [max(0, round(count ** ((one + 1) / REACHES)) - 1) for one in range(REACHES)]
        ends = [int(self._edges[one + 1]) for one in self._reach]
        # A pool that is all but full within reach may still have gaps: it comes last, not never.
        self._full = np.stack([(room.free[:, :end] > 0).mean(axis=1) < LEAST_OPEN for end in ends])
        self.room: FloatArray = np.stack([PACKED * np.maximum(room.free[:, :end], 0).sum(axis=1) for end in ends])
        """(R, P) container slots within reach."""
        self._shadow = None if shadow is None else np.stack([shadow[:, :end].mean(axis=1) for end in ends])
        self._before: dict[int, tuple[FloatArray, FloatArray]] = {}
        self._starts: dict[tuple[int, int], tuple[FloatArray, FloatArray]] = {}
        self._ask = float(np.median(fleet.ask_usd_micro)) if len(tables.zone) else 0.0

    def _sums(self, carbon_price: int) -> tuple[FloatArray, FloatArray]:
        """(Z, T) micro-USD of a kW, and the same with the ask of a common pool, until each coarse edge."""
        if carbon_price not in self._before:
            tables = self._tables
            power = tables.risky_before[:, self._edges] * (carbon_usd_per_kwh(np.ones(1), 1) * carbon_price)
            power = (power + tables.price_before[:, self._edges]) * units.MICRO
            kw = float(np.median(tables.facility_kw)) if tables.facility_kw.size else 0.0
            self._before[carbon_price] = power, power * kw + tables.late[self._edges] * self._ask
        return self._before[carbon_price]

    def _best(self, carbon_price: int, length: int) -> tuple[FloatArray, FloatArray]:
        """(R, Z), (R, Z) cost of a kW and lateness, an hour, at the best start within each reach."""
        if (carbon_price, length) not in self._starts:
            power, whole = self._sums(carbon_price)
            hours, late = self._tables.hours[self._edges], self._tables.late[self._edges]
            lasted = hours[length:] - hours[:-length]
            mean = (whole[:, length:] - whole[:, :-length]) / lasted
            best = np.stack([mean[:, : reach + 1].argmin(axis=1) for reach in self._reach])
            zone = np.arange(len(power))
            spent = (power[zone, best + length] - power[zone, best]) / lasted[best]
            self._starts[carbon_price, length] = spent, (late[best + length] - late[best]) / lasted[best]
        return self._starts[carbon_price, length]

    def least(self, work_class: int, carbon_price: int, octave: int, reach: int) -> FloatArray:
        """(P,) about the least cost of a reference hour over the starts within a reach; inf without a rate."""
        tables, fleet = self._tables, self._tables.fleet
        count = len(self._edges) - 1
        rate = fleet.rate_ppm[:, work_class] / units.PPM
        run = (fleet.slot_ms << octave) / np.maximum(rate, 1 / units.PPM)
        steps = np.exp2(np.rint(np.log2(np.clip(run / (fleet.slot_ms * self._step), 1, count)))).astype(np.int64)
        kinds, which = np.unique(np.minimum(steps, count), return_inverse=True)
        tabled = [self._best(carbon_price, length) for length in kinds.tolist()]
        spent, late = np.stack([one[0][reach] for one in tabled]), np.stack([one[1][reach] for one in tabled])
        cost = spent[which, tables.zone] * tables.facility_kw[:, work_class]
        cost += late[which, tables.zone] * fleet.ask_usd_micro
        cost += tables.litres_per_h[:, work_class] * fleet.policy.water_price_usd_micro_per_l
        if self._shadow is not None:
            cost += self._shadow[reach]
        cost /= np.maximum(rate, 1 / units.PPM)
        cost[self._full[reach]] += NO_GAP
        least: FloatArray = np.where(rate > 0, cost, np.inf)
        return least


CHUNK_CELLS = 1 << 20
PACKED = 0.7
"""Share of free slots that jobs of many lengths will fill."""
NO_GAP = 1e12
LEAST_OPEN = 0.05
"""Share of the slots within reach."""
