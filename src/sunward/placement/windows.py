"""Runs in one piece: the exact cost of every start on every pool, and the cheapest that finds room.

A job starts now or at the start of a slot. Its cost is a difference of running sums over slots plus the share of the
last slot, so all A·H starts of a job are priced in O(A·H) and searched in O(A·H).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward.placement.demand import Demand, Option, Run
from sunward.placement.filter import price_usd_micro
from sunward.placement.fleet import Fleet
from sunward.placement.score import share
from sunward.world.snapshot import BoolArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """Every start of one job; axes A pools, H slots of the start."""

    total: IntArray
    """(A, H) score, micro-USD."""
    end_ms: IntArray
    last: IntArray
    """(A, H) first slot after the run."""
    possible: BoolArray
    """(A, H) ends in time and within budget, whatever the load."""


def windows_of(fleet: Fleet, demand: Demand) -> Windows:
    """Price every start of a job."""
    spec, rows = demand.job.spec, demand.rows
    run_ms = demand.fit.needed_ms[:, None] + demand.loss_ms
    end = fleet.begin_ms + run_ms
    possible = end <= demand.limit_ms
    if spec.budget_usd_micro:
        ask = fleet.ask_usd_micro[rows][:, None]
        possible &= price_usd_micro(ask, spec.gpus, run_ms) <= spec.budget_usd_micro
    last = np.where(possible, -(-(end - fleet.start_ms) // fleet.slot_ms), 1)
    return Windows(total=_totals(fleet, demand, end, last), end_ms=end, last=last, possible=possible)


def _totals(fleet: Fleet, demand: Demand, end: IntArray, last: IntArray) -> IntArray:
    rows, tail = demand.rows[:, None], last - 1
    start = np.arange(fleet.slots)
    used = np.clip(end - fleet.begin_ms[tail], 0, fleet.usable_ms[tail])
    whole = demand.costs.before[:, rows, tail] - demand.costs.before[:, rows, start]
    parts = share(demand.costs.terms[:, rows, tail], used, fleet.usable_ms[tail])
    total: IntArray = (whole + parts).sum(axis=0) + demand.wake
    moves = fleet.pools.site[demand.rows] != demand.current_site
    total += demand.transfer * moves[:, None]
    return total


def roomy(windows: Windows, room: BoolArray) -> BoolArray:
    """(A, H) starts that are possible and find room in every slot they touch."""
    taken = np.zeros((room.shape[0], room.shape[1] + 1), dtype=np.int64)
    np.cumsum(~room, axis=1, out=taken[:, 1:])
    full = np.take_along_axis(taken, windows.last, axis=1) - taken[:, :-1]
    found: BoolArray = windows.possible & (full == 0)
    return found


def cheapest(windows: Windows, found: BoolArray) -> tuple[int, int] | None:
    """The (pool, slot) of the least total; of equals the earliest start, then the first pool id."""
    if not found.any():
        return None
    total = np.where(found, windows.total, np.iinfo(np.int64).max).T
    slot, at = divmod(int(total.argmin()), total.shape[1])
    return at, slot


def option_at(fleet: Fleet, demand: Demand, windows: Windows, at: int, slot: int) -> Option:
    """The option that starts at one slot of one of the job's pools."""
    run = Run(
        int(demand.rows[at]),
        int(fleet.begin_ms[slot]),
        int(windows.end_ms[at, slot]),
        slot,
        int(windows.last[at, slot]),
    )
    return Option((run,), int(windows.total[at, slot]))


def regret(windows: Windows, found: BoolArray) -> int | None:
    """How much more the best start costs that shares no pool-slot with the best one; None without a second."""
    best = cheapest(windows, found)
    if best is None:
        return None
    at, slot = best
    others = found.copy()
    starts = np.arange(found.shape[1])
    others[at] &= (windows.last[at] <= slot) | (starts >= windows.last[at, slot])
    second = cheapest(windows, others)
    return None if second is None else int(windows.total[second] - windows.total[at, slot])
