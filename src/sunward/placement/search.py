"""The cheapest option of one job against a board: in one piece or with pauses, then the green tie-break."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward.placement.board import Board
from sunward.placement.demand import Demand, Option
from sunward.placement.fleet import Fleet
from sunward.placement.lattice import quantum_ms
from sunward.placement.pauses import best_with_pauses, is_free
from sunward.placement.windows import Windows, cheapest, option_at, roomy, windows_of
from sunward.world.snapshot import BoolArray, IntArray

POOLS_PAUSED_MAX = 12
"""A job with pauses is searched on this many of its cheapest pools; the search is exact up to that many."""
ROWS_PAUSED_MAX = 24
"""An elastic job is searched on so many pairs of a pool and a count."""
ROWS_CAPPED_MAX = 12
"""Power limits are searched beside them on so many pairs of a pool and a limit, so that none is searched on fewer."""
CELLS_PER_SLOT = 5_000
"""What one step of the search with pauses costs besides its cells, counted in cells."""
GREEN_PERCENT = 1
"""Greenness decides between options this near to the best (DESIGN §5)."""
PERCENT = 100


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A job ready for the search."""

    demand: Demand
    windows: Windows
    effort: int
    """Table cells that one search of this job touches: the unit of every work limit."""


def task_of(fleet: Fleet, demand: Demand) -> Task:
    """Price a job's starts once; only what is free changes afterwards."""
    pools = len(demand.rows)
    effort = pools * fleet.slots
    if demand.pausable and not is_free(fleet, demand, np.arange(pools)):
        quanta = -(-demand.remaining_ms // quantum_ms(demand.remaining_ms, fleet.slot_ms))
        most = ROWS_PAUSED_MAX if demand.job.spec.elastic else POOLS_PAUSED_MAX
        capped = int(np.count_nonzero(demand.caps_w))
        rows = min(pools - capped, most) + min(capped, ROWS_CAPPED_MAX)
        effort = fleet.slots * (rows * quanta + CELLS_PER_SLOT)
    return Task(demand, windows_of(fleet, demand), effort)


def best_option(fleet: Fleet, task: Task, board: Board) -> Option | None:
    """The option of least total that finds room, or a verified greener one within the tie-break."""
    room = board.open(task.demand)
    best = _least(fleet, task, room)
    green = fleet.greenness_ppm[task.demand.rows]
    if best is None or not green.any():
        return best
    bound = best.total + abs(best.total) * GREEN_PERCENT // PERCENT
    for level in sorted(set(green.tolist()), reverse=True)[:-1]:
        greener = _least(fleet, task, room & (green >= level)[:, None])
        if greener is not None and greener.total <= bound:
            return greener
    return best


def _least(fleet: Fleet, task: Task, room: BoolArray) -> Option | None:
    found = roomy(task.windows, room)
    if task.demand.wait_ms is not None and task.demand.wait_ms < 0 and found.any():
        # It stood still for too long already: what is soonest comes before what is cheapest.
        found[:, int(found.any(axis=0).argmax()) + 1 :] = False
    place = cheapest(task.windows, found)
    whole = None if place is None else option_at(task.demand, task.windows, *place)
    if not task.demand.pausable:
        return whole
    paused = best_with_pauses(fleet, task.demand, room, _cheapest_pools(task, room, found))
    if whole is None or paused is None:
        return whole or paused
    return paused if paused.total < whole.total else whole


def _all_counts(demand: Demand, order: list[int]) -> list[int]:
    """Of the pools that come first, every count: a job gains most by changing it where it is."""
    pools = list(dict.fromkeys(demand.rows[order].tolist()))
    first = set(pools[: max(1, ROWS_PAUSED_MAX // len(demand.job.spec.counts))])
    return [at for at in order if int(demand.rows[at]) in first]


def _cheapest_pools(task: Task, room: BoolArray, found: BoolArray) -> IntArray:
    """Positions of the pools worth searching: the cheapest in one piece, then those without room for it."""
    limit = np.iinfo(np.int64).max
    now_best = np.where(found, task.windows.total, limit).min(axis=1)
    any_best = np.where(task.windows.possible, task.windows.total, limit).min(axis=1)
    usable = np.flatnonzero(room.any(axis=1))
    order = sorted(usable.tolist(), key=lambda at: (int(now_best[at]), int(any_best[at]), at))
    plain = [at for at in order if not task.demand.caps_w[at]]
    capped = [at for at in order if task.demand.caps_w[at]]
    plain = _all_counts(task.demand, plain) if task.demand.job.spec.elastic else plain[:POOLS_PAUSED_MAX]
    chosen = {*plain, *capped[:ROWS_CAPPED_MAX], *np.flatnonzero(task.demand.here).tolist()}
    return np.array(sorted(chosen), dtype=np.int64)
