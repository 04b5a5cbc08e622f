"""Work that flows: jobs no longer than a slot, many of a kind, spread over all slots and pools their kind may use.

The groups are filled one after another, each into the cells (a pool in a slot) that cost it least with their prices,
as many jobs as find room. Then all is done anew: who ended far above its cheapest cells goes earlier, and a full cell
costs what the group that wants it most would pay. The best of a fixed number of fillings is taken. A filling costs with
groups and cells, not with jobs. What is not placed here is left to the search by kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.placement.crowd.groups import Groups
from sunward.placement.crowd.room import Room
from sunward.placement.crowd.tables import Tables
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

FILLINGS_MAX = 12
CELLS_MAX = 8_000_000
"""Figures that all fillings may touch: a limit of work, not of time."""
GROUPS_MIN = 2
JOBS_PER_GROUP = 8
"""Kinds of fewer jobs on average are searched as well one by one."""
FIRST_SHARE = 0.3
"""Share of what a filling tells in the prices after it; less each time, so that they settle."""
AHEAD_FRAC = 0.5
"""How far the group that lost most goes ahead, as a share of all."""


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
    worth: tuple[int, float]
    """Jobs without a cell, and cost; less is better."""


def flow(tables: Tables, room: Room, groups: Groups, allowed: BoolArray) -> Filled | None:
    """The best filling; None where there is nothing that flows, or more cells than may be looked at."""
    open_pools = allowed & ~room.bound
    names = _flowing(tables, groups, open_pools)
    if len(names) < GROUPS_MIN or groups.count[names].sum() < JOBS_PER_GROUP * len(names):
        return None
    slots = (groups.limit_ms[names] - tables.fleet.start_ms) // tables.fleet.slot_ms - groups.opens[names]
    size = int((open_pools.sum(axis=1)[groups.family[names]] * np.maximum(slots, 0)).sum())
    fillings = min(FILLINGS_MAX, CELLS_MAX // max(1, size))
    if not fillings:
        return None
    cells = {group: _cells(tables, groups, group, open_pools) for group in names.tolist()}
    return _best(room.free, {group: one for group, one in cells.items() if len(one.at)}, fillings)


def _best(room: IntArray, cells: dict[int, Cells], fillings: int) -> Filled | None:
    prices = np.zeros(room.size)
    order, best = list(cells), None
    for number in range(fillings if order else 0):
        found, lost, level, free = _fill(cells, order, room, prices)
        if best is None or found.worth < best.worth:
            best = found
        if not any(lost.values()):
            break
        order = _reordered(order, lost)
        prices += FIRST_SHARE / (1 + number) * (_told(cells, level, free) - prices)
    return best


def _flowing(tables: Tables, groups: Groups, open_pools: BoolArray) -> IntArray:
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


def _cells(tables: Tables, groups: Groups, group: int, open_pools: BoolArray) -> Cells:
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
    return Cells(at=pool[row] * fleet.slots + slot, cost=cost * gpus, gpus=gpus, wanted=int(groups.count[group]))


def _fill(
    cells: dict[int, Cells], order: list[int], room: IntArray, prices: FloatArray
) -> tuple[Filled, dict[int, float], dict[int, float], IntArray]:
    """One filling; what each group lost against its cheapest cells, and the price per container at which it ended."""
    free = np.maximum(room.reshape(-1), 0)
    whole = free.copy()
    parts, lost, level = [], {}, {}
    without, cost = 0, 0.0
    for group in order:
        one = cells[group]
        priced = one.cost + one.gpus * prices[one.at]
        ranked = np.argsort(priced, kind="stable")
        at = one.at[ranked]
        taken = _first(free[at] // one.gpus, one.wanted)
        alone = _first(whole[at] // one.gpus, one.wanted)
        free[at] -= taken * one.gpus
        used = np.flatnonzero(taken)
        parts.append((np.full(len(used), group), at[used], taken[used]))
        missing = one.wanted - int(taken.sum())
        without += missing
        cost += float(taken @ one.cost[ranked])
        lost[group] = float(priced[ranked] @ (taken - alone)) if not missing else np.inf
        level[group] = float(priced[ranked[used[-1]]]) / one.gpus if len(used) else 0.0
    where, at, jobs = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Filled(group=where, at=at, jobs=jobs, worth=(without, cost)), lost, level, free


def _first(room: IntArray, wanted: int) -> IntArray:
    """How many go to each cell when the first are filled first."""
    before = np.cumsum(room) - room
    taken: IntArray = np.clip(wanted - before, 0, room)
    return taken


def _reordered(order: list[int], lost: dict[int, float]) -> list[int]:
    """Those without room for all first, then everybody as far ahead as it lost."""
    most = max([1.0, *(one for one in lost.values() if np.isfinite(one))])
    ahead = AHEAD_FRAC * len(order) / most
    rank = {group: at - ahead * lost[group] for at, group in enumerate(order)}
    return sorted(order, key=rank.__getitem__)


def _told(cells: dict[int, Cells], level: dict[int, float], free: IntArray) -> FloatArray:
    """What a container of each full cell is worth to the group that would pay most for it."""
    worth = np.zeros(len(free))
    for group, one in cells.items():
        np.maximum.at(worth, one.at, level[group] - one.cost / one.gpus)
    worth[free > 0] = 0.0
    return worth
