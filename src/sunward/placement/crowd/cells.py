"""Work that flows: jobs no longer than a slot, many of a kind, that fit any slot of any pool their kind may use.

A cell is a pool in a slot. What is looked at here costs with groups and cells, not with jobs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.placement.crowd.groups import Groups
from sunward.placement.crowd.tables import Tables
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


def flowing(tables: Tables, groups: Groups, open_pools: BoolArray) -> IntArray:
    """Groups whose jobs fit any whole slot of each of their pools, with nothing to bring along."""
    fleet = tables.fleet
    short = np.flatnonzero(
        (groups.length_ms * units.PPM <= fleet.slot_ms * fleet.rate_ppm.max(initial=0)) & (groups.data_bytes == 0)
    )
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
    ready = fleet.now_ms + fleet.pools.wake_ms[pool][:, None]
    slots = np.arange(fleet.slots)
    fits = (fleet.begin_ms >= ready) & (fleet.usable_ms >= run) & (slots >= groups.opens[group])
    fits &= (fleet.begin_ms + run <= groups.limit_ms[group]) & (fleet.begin_ms <= groups.start_by_ms[group])
    row, slot = np.nonzero(fits)
    line = tables.line(pool, np.full(len(pool), kind), price)
    share = (run / fleet.usable_ms)[row, slot]
    cost = (line[row, slot + 1] - line[row, slot]) * share + tables.waking(pool, price)[row]
    gpus = int(groups.gpus[group])
    return Cells(at=pool[row] * fleet.slots + slot, cost=cost * gpus, gpus=gpus, wanted=int(groups.wanted[group]))
