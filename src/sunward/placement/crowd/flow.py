"""Work that flows takes its cells: at the least cost there is, or as good as filling finds it.

A minimum-cost flow is exact for gangs of one size. Where sizes differ each is solved on what larger ones leave; if that
is not near a bound, the better of it and the best filling is taken. Where the library is not there, or the cells are
too many, filling alone decides. What is not placed here is left to the search by kind.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sunward.placement.crowd.cells import Cells, Filled, cells_of, flowing, now_pool_of, short_of
from sunward.placement.crowd.filling import filled
from sunward.placement.crowd.groups import Groups
from sunward.placement.crowd.room import Room
from sunward.placement.crowd.tables import Tables
from sunward.placement.crowd.transport import ARCS_MAX, EXACT, cheapest
from sunward.world.snapshot import BoolArray

GROUPS_MIN = 2
JOBS_PER_GROUP = 8
"""Kinds of fewer jobs on average are searched as well one by one."""
NEAR_FRAC = 2e-3
"""Above a bound; filling seldom comes nearer."""
CELLS_MAX = 8_000_000
"""Cells of all groups together that are looked at: a limit of work, not of time."""


def flow(tables: Tables, room: Room, groups: Groups, allowed: BoolArray) -> Filled | None:
    """Where work that flows goes; None where there is none, or more cells than may be looked at."""
    short = short_of(tables, groups)
    if len(short) < GROUPS_MIN or groups.wanted[short].sum() < JOBS_PER_GROUP * len(short):
        return None
    open_pools = allowed & ~room.bound
    names = flowing(tables, groups, short, open_pools)
    slots = (groups.limit_ms[names] - tables.fleet.start_ms) // tables.fleet.slot_ms - groups.opens[names]
    size = int((open_pools.sum(axis=1)[groups.family[names]] * np.maximum(slots, 0)).sum())
    if size > CELLS_MAX:
        return None
    every = {group: cells_of(tables, groups, group, open_pools) for group in names.tolist()}
    cells = {group: one for group, one in every.items() if len(one.at)}
    if not cells:
        return None
    best = _best(room, cells, exact=EXACT and size <= ARCS_MAX)
    if best is None:
        return None
    now = {group: now_pool_of(tables, room.free, groups, group, open_pools) for group in cells}
    return replace(best, now_pool=now)


def _best(room: Room, cells: dict[int, Cells], *, exact: bool) -> Filled | None:
    best = cheapest(room.free, cells) if exact else None
    if best is not None and (len({one.gpus for one in cells.values()}) == 1 or _is_near(best)):
        return best
    other = filled(room.free, cells)
    if best is None or other is None or best.worth <= other.worth:
        return other if best is None else best
    return replace(other, prices=best.prices)


def _is_near(found: Filled) -> bool:
    """Whether all jobs have a cell and nothing could save more than filling is worth."""
    without, cost = found.worth
    return not without and cost - found.bound <= NEAR_FRAC * abs(found.bound)
