"""Work that flows: jobs no longer than a slot, many of a kind, that fit any slot of any pool their kind may use.

A cell is a pool in a slot. What is looked at here costs with groups and cells, not with jobs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sunward import units
from sunward.placement.crowd.groups import Groups
from sunward.placement.crowd.tables import Tables
from sunward.world.crowd import NOT_GIVEN
from sunward.world.snapshot import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Where one group's jobs may run; N cells."""

    at: IntArray
    """(N,) position in `Room.free`."""
    cost: FloatArray
    """(N,) micro-USD of one job."""
    gpus: int
    wanted: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filled:
    """How many jobs of each group go where; entries of one filling."""

    group: IntArray
    at: IntArray
    jobs: IntArray
    cost: FloatArray
    """Micro-USD of one job."""
    worth: tuple[int, float]
    """Jobs without a cell, and cost; less is better."""
    prices: FloatArray | None = None
    """(cells,) micro-USD that one more container of each cell would save; None = not known."""
    bound: float = -np.inf
    """What no way to give all jobs a cell costs less than."""
    now_pool: dict[int, int] = field(default_factory=dict)
    """Where a group's jobs could have begun at once."""


def short_of(tables: Tables, groups: Groups) -> IntArray:
    """Groups whose jobs fit a whole slot of the fastest pool, with nothing to bring along."""
    fastest = tables.fleet.slot_ms * int(tables.fleet.rate_ppm.max(initial=0))
    return np.flatnonzero((groups.length_ms * units.PPM <= fastest) & (groups.data_bytes == 0))


def flowing(tables: Tables, groups: Groups, short: IntArray, open_pools: BoolArray) -> IntArray:
    """Of short groups those whose jobs fit any whole slot of each of their pools."""
    fleet = tables.fleet
    kinds, which = np.unique(np.stack([groups.family[short], groups.work_class[short]]), axis=1, return_inverse=True)
    slowest = np.array(
        [fleet.rate_ppm[open_pools[family], kind].min(initial=units.PPM**2) for family, kind in kinds.T.tolist()],
        dtype=np.int64,
    )
    fits: IntArray = short[groups.length_ms[short] * units.PPM <= fleet.slot_ms * slowest[which]]
    return fits


def cells_of(tables: Tables, groups: Groups, group: int, open_pools: BoolArray) -> Cells:
    """All cells where a group's jobs may run, by pool and slot."""
    fleet = tables.fleet
    pool = np.flatnonzero(open_pools[groups.family[group]])
    kind, price = int(groups.work_class[group]), np.full(len(pool), groups.carbon_price[group])
    run = tables.run_ms(pool, np.full(len(pool), kind), groups.length_ms[group])[:, None]
    start = starts_of(tables, pool[:, None], np.arange(fleet.slots))
    fits = (start + run <= fleet.begin_ms + fleet.usable_ms) & (np.arange(fleet.slots) >= groups.opens[group])
    fits &= (start + run <= groups.limit_ms[group]) & (start <= groups.start_by_ms[group])
    row, slot = np.nonzero(fits)
    line = tables.line(pool, np.full(len(pool), kind), price)
    share = (run / fleet.usable_ms)[row, slot]
    cost = (line[row, slot + 1] - line[row, slot]) * share + tables.waking(pool, price)[row]
    gpus = int(groups.gpus[group])
    return Cells(at=pool[row] * fleet.slots + slot, cost=cost * gpus, gpus=gpus, wanted=int(groups.wanted[group]))


def starts_of(tables: Tables, pool: IntArray, slot: IntArray) -> IntArray:
    """When what flows begins in a cell: with the slot, or as soon as containers that sleep now are awake."""
    fleet = tables.fleet
    start: IntArray = np.maximum(fleet.begin_ms[slot], fleet.now_ms + fleet.pools.wake_ms[pool])
    return start


def now_pool_of(tables: Tables, room: IntArray, groups: Groups, group: int, open_pools: BoolArray) -> int:
    """The cheapest pool where a group's jobs could begin at once beside what stands; `NOT_GIVEN` = nowhere."""
    fleet, gpus = tables.fleet, int(groups.gpus[group])
    pool = np.flatnonzero(open_pools[groups.family[group]] & (room[:, 0] >= gpus))
    if groups.opens[group] or not len(pool):
        return NOT_GIVEN
    kind, price = np.full(len(pool), groups.work_class[group]), np.full(len(pool), groups.carbon_price[group])
    run = tables.run_ms(pool, kind, groups.length_ms[group])
    ends = fleet.now_ms + fleet.pools.wake_ms[pool] + run
    cost = tables.line(pool, kind, price, slice(2))[:, 1] * run / fleet.usable_ms[0] + tables.waking(pool, price)
    cost[ends > groups.limit_ms[group]] = np.inf
    return int(pool[np.argmin(cost)]) if np.isfinite(cost).any() else NOT_GIVEN
