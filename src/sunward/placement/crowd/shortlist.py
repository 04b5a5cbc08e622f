"""Which pools a group looks at: those that may do its work for least at their best hour, before it looks closely.

Axes: L kinds of lines (class, carbon price, length in octaves), R reaches, P pools, T coarse steps.
"""

from __future__ import annotations

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
Listed = tuple[IntArray, IntArray, IntArray]
"""Entries, their pools one entry after the other, and how many each has."""
REACHES = 4
"""Limits are told apart by the eighth, quarter, half and whole of the logarithm of the horizon."""


class Shortlist:
    """Orders of pools for all groups, cheapest first; made once, read on what is free at the moment."""

    __slots__ = ("_allowed", "_begin", "_coarse", "_count", "_kind", "_order", "_pools", "_possible", "_rank", "_reach")

    def __init__(self, tables: Tables, groups: Groups, allowed: BoolArray, shadow: FloatArray | None) -> None:
        """`allowed` is (F, P)."""
        self._allowed, self._count = allowed, allowed.sum(axis=1)
        listed = np.flatnonzero(self._count <= NARROW)
        self._pools = np.nonzero(allowed[listed])[1]
        self._begin = np.zeros(len(allowed), dtype=np.int64)
        self._begin[listed] = np.cumsum(self._count[listed]) - self._count[listed]
        fleet, length = tables.fleet, groups.length_ms
        octave = np.log2(np.maximum(1, length / fleet.slot_ms)).astype(np.int64) // 2 * 2
        reach_slots = np.clip((groups.limit_ms - length - fleet.start_ms) // fleet.slot_ms, 1, fleet.slots)
        step = np.log2(reach_slots) / max(1.0, np.log2(fleet.slots)) * REACHES
        reach = np.clip(np.ceil(step).astype(np.int64) - 1, 0, REACHES - 1)
        heavy = np.where(
            groups.data_bytes >= HEAVY_BYTES, np.log2(np.maximum(1, groups.data_bytes)).astype(np.int64), 0
        )
        far = (np.where(heavy > 0, groups.origin, -1), np.where(heavy > 0, groups.gpus, 0))
        code = packed([groups.work_class, groups.carbon_price, octave, reach, heavy, *far])
        _, at, self._kind = np.unique(code, return_index=True, return_inverse=True)
        self._coarse = _Coarse(tables, shadow)
        asked = (groups.work_class[at], groups.carbon_price[at], octave[at], reach[at])
        least = np.empty((len(at), len(tables.zone)))
        for row, one in enumerate(zip(*(column.tolist() for column in asked), strict=True)):
            least[row] = self._coarse.least(*one)
            if heavy[at[row]]:
                least[row] += _brought(tables, groups, int(at[row]))
        self._order = np.argsort(least, axis=1, kind="stable").astype(np.int32)
        self._rank = np.empty_like(self._order)
        np.put_along_axis(self._rank, self._order, np.arange(least.shape[1], dtype=np.int32)[None], axis=1)
        self._possible = np.isfinite(least).sum(axis=1)
        self._reach = reach[at]

    def pairs(self, groups: Groups, group: IntArray, room: Room, most: int) -> tuple[IntArray, IntArray]:
        """Positions of some groups, each with the first `most` pools that it may use and that are not all but full.

        Where fewer are left, full ones come after them: they may still have gaps.
        """
        kind, family = self._kind[group], groups.family[group]
        _, at, entry = np.unique(packed([kind, family]), return_index=True, return_inverse=True)
        kind, family, roomy = kind[at], family[at], self._coarse.roomy(room)
        narrow = self._count[family] <= NARROW
        pool, count = _joined(
            self._narrow(kind, family, np.flatnonzero(narrow), roomy, most),
            self._wide(kind, family, np.flatnonzero(~narrow), roomy, most),
            len(at),
        )
        begin, mine = np.cumsum(count) - count, count[entry]
        return np.repeat(np.arange(len(group)), mine), pool[ranges(begin[entry], mine)]

    def _narrow(self, kind: IntArray, family: IntArray, some: IntArray, roomy: BoolArray, most: int) -> Listed:
        """Entries with few pools: each one's own are put in order."""
        kind, family = kind[some], family[some]
        count = self._count[family]
        row = np.repeat(np.arange(len(some)), count)
        pool = self._pools[ranges(self._begin[family], count)]
        rank = self._rank[kind[row], pool]
        full = ~roomy[self._reach[kind[row]], pool]
        good = np.flatnonzero(rank < self._possible[kind[row]])
        order = good[np.argsort((row[good] * 2 + full[good]) * self._rank.shape[1] + rank[good])]
        has = np.bincount(row[good], minlength=len(some))
        within = np.arange(len(order)) - np.repeat(np.cumsum(has) - has, has)
        return some, pool[order[within < most]], np.minimum(has, most)

    def _wide(self, kind: IntArray, family: IntArray, some: IntArray, roomy: BoolArray, most: int) -> Listed:
        """Entries with many: the beginning of the order is looked through first, then all of it."""
        pools = self._rank.shape[1]
        found = self._listed(kind, family, some, roomy, most, min(pools, PREFIX * most))
        for again in (roomy, np.ones_like(roomy)):
            few = found[2] < most
            if few.any():
                more = self._listed(kind, family, found[0][few], again, most, pools)
                keep = np.repeat(~few, found[2])
                pool, count = _joined((found[0][~few], found[1][keep], found[2][~few]), more, len(kind))
                found = found[0], pool, count[found[0]]
        return found

    def _listed(
        self, kind: IntArray, family: IntArray, some: IntArray, roomy: BoolArray, most: int, wide: int
    ) -> Listed:
        """The first pools of each entry's order that pass."""
        pools, counts = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        size = max(1, CHUNK_CELLS // max(1, wide))
        for begin in range(0, len(some), size):
            part = kind[some[begin : begin + size]]
            order = self._order[part, :wide]
            mask = self._allowed[family[some[begin : begin + size], None], order]
            mask &= roomy[self._reach[part][:, None], order]
            mask &= np.arange(wide) < self._possible[part][:, None]
            mask &= np.cumsum(mask, axis=1, dtype=np.int32) <= most
            pools.append(order[mask].astype(np.int64))
            counts.append(mask.sum(axis=1))
        return some, np.concatenate(pools), np.concatenate(counts)


def _joined(one: Listed, other: Listed, entries: int) -> tuple[IntArray, IntArray]:
    """Lists of entries in the order of entries, and how many each has."""
    count = np.zeros(entries, dtype=np.int64)
    count[one[0]], count[other[0]] = one[2], other[2]
    owner = np.concatenate([np.repeat(one[0], one[2]), np.repeat(other[0], other[2])])
    return np.concatenate([one[1], other[1]])[np.argsort(owner, kind="stable")], count


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
    """Zones at about `STEPS` steps of the horizon."""

    __slots__ = ("_ask", "_before", "_edges", "_reach", "_shadow", "_starts", "_step", "_tables")

    def __init__(self, tables: Tables, shadow: FloatArray | None) -> None:
        fleet = tables.fleet
        self._tables, self._step = tables, max(1, fleet.slots // STEPS)
        self._edges = np.append(np.arange(0, fleet.slots, self._step), fleet.slots)
        count = len(self._edges) - 1
        self._reach = [max(0, round(count ** ((one + 1) / REACHES)) - 1) for one in range(REACHES)]
        ends = [int(self._edges[one + 1]) for one in self._reach]
        self._shadow = None if shadow is None else np.stack([shadow[:, :end].mean(axis=1) for end in ends])
        self._before: dict[int, tuple[FloatArray, FloatArray]] = {}
        self._starts: dict[tuple[int, int], tuple[FloatArray, FloatArray]] = {}
        self._ask = float(np.median(fleet.ask_usd_micro)) if len(tables.zone) else 0.0

    def roomy(self, room: Room) -> BoolArray:
        """(R, P) pools that have room in some of their slots within each reach."""
        ends = [int(self._edges[one + 1]) for one in self._reach]
        free = np.cumsum(room.free > 0, axis=1, dtype=np.int32)
        return np.stack([free[:, end - 1] >= LEAST_OPEN * end for end in ends])

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
        least: FloatArray = np.where(rate > 0, cost, np.inf)
        return least


CHUNK_CELLS = 1 << 20
NARROW = 160
"""Pools that a family of jobs may use; so few are sorted for it."""
PREFIX = 16
"""So many times as many pools of an order are looked through first."""
LEAST_OPEN = 0.05
"""Share of the slots within reach."""
