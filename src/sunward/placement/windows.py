"""Runs in one piece: the exact cost of every start on every pool, and the cheapest that finds room.

A job starts now or at the start of a slot. Its cost is a difference of running sums over slots plus the share of the
last slot, so all A·H starts of a job are priced in O(A·H) and searched in O(A·H).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sunward.placement.demand import Demand, Option, Run
from sunward.placement.filter import price_usd_micro
from sunward.placement.fleet import Fleet
from sunward.placement.score import share, to_integer
from sunward.placement.survival import Survival
from sunward.world.snapshot import BoolArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """Every start of one job; axes A pools, H slots of the start."""

    total: IntArray
    """(A, H) score, micro-USD."""
    start_ms: IntArray
    end_ms: IntArray
    last: IntArray
    """(A, H) first slot after the run."""
    possible: BoolArray
    """(A, H) ends in time and within budget, whatever the load."""


def windows_of(fleet: Fleet, demand: Demand) -> Windows:
    """Price every start of a job."""
    fleet = fleet.near(demand.job.spec.deadline_ms)
    run_ms = demand.fit.needed_ms[:, None] + demand.loss_ms
    start = fleet.begin_ms + demand.delay_ms
    end = start + run_ms
    possible = _possible(fleet, demand, start, run_ms)
    last = np.where(possible, -(-(end - fleet.start_ms) // fleet.slot_ms), 1)
    if demand.survival is None:
        total = _totals(fleet, demand, run_ms, end, last)
    else:
        total = _expected(fleet, demand, demand.survival, run_ms, start)
    total += demand.wake + demand.transfer
    return Windows(total=total, start_ms=start, end_ms=end, last=last, possible=possible)


def _possible(fleet: Fleet, demand: Demand, start: IntArray, run_ms: IntArray) -> BoolArray:
    spec = demand.job.spec
    possible: BoolArray = (start + run_ms <= demand.limit_ms) & (start <= demand.start_by_ms)
    possible &= demand.delay_ms < fleet.usable_ms
    if demand.wait_ms is not None and demand.wait_ms >= 0:
        # The next moment is always in time: what waits only for its containers to wake could not do better.
        possible &= (start <= fleet.now_ms + demand.wait_ms) | (np.arange(fleet.slots) == 0)
    if spec.budget_usd_micro:
        ask = fleet.ask_usd_micro[demand.rows][:, None]
        possible &= price_usd_micro(ask, demand.counts[:, None], run_ms) <= spec.budget_usd_micro
    return possible


def _totals(fleet: Fleet, demand: Demand, run_ms: IntArray, end: IntArray, last: IntArray) -> IntArray:
    """(A, H) the slot of the start, the whole slots between, and the part of the last one."""
    rows, tail, terms = demand.cost_rows[:, None], last - 1, demand.costs.terms
    second = np.arange(1, fleet.slots + 1)
    within = run_ms <= fleet.usable_ms - demand.delay_ms
    only = share(terms[:, demand.cost_rows], np.where(within, run_ms, 0), fleet.usable_ms).sum(axis=0)
    between = demand.costs.before_run[rows, np.maximum(tail, second)] - demand.costs.before_run[rows, second]
    used = np.clip(end - fleet.begin_ms[tail], 0, fleet.usable_ms[tail])
    rest = share(terms[:, rows, tail], used, fleet.usable_ms[tail]).sum(axis=0)
    total: IntArray = np.where(within, only, demand.start_run + between + rest)
    return total


def _expected(fleet: Fleet, demand: Demand, survival: Survival, run_ms: IntArray, start: IntArray) -> IntArray:
    """(A, H) mean cost of a run: each slot costs by how much of it the job is expected to use.

    From a whole slot on the shares of the slots that follow are the same for all starts on pools of one rate, so these
    starts are one product; a start within a slot has shares of its own.
    """
    total = np.empty(run_ms.shape)
    within: BoolArray = np.any(demand.delay_ms > 0, axis=0)
    within[0] = True
    for rate in np.unique(demand.rate_ppm).tolist():
        at = np.flatnonzero(demand.rate_ppm == rate)
        cost = demand.costs.run[demand.cost_rows[at], : fleet.slots].astype(np.float64)
        run, lost = run_ms[at, -1:].max(), demand.loss_ms[at, -1].max()
        taps = -(-int(run) // fleet.slot_ms)
        edges = np.minimum(np.arange(taps + 1, dtype=np.int64) * fleet.slot_ms, run)
        shares = np.diff(survival.held_ms(0.0, lost, rate, edges)) / fleet.slot_ms
        padded = np.concatenate([cost, np.zeros((len(at), taps - 1))], axis=1)
        total[at] = sliding_window_view(padded, taps, axis=1) @ shares
        for slot in np.flatnonzero(within).tolist():
            begun = np.clip(fleet.begin_ms - start[at, slot, None], 0, run_ms[at, slot, None])
            ended = np.clip(fleet.begin_ms + fleet.usable_ms - start[at, slot, None], 0, run_ms[at, slot, None])
            loss = demand.loss_ms[at, slot, None]
            held = survival.held_ms(0.0, loss, rate, ended) - survival.held_ms(0.0, loss, rate, begun)
            total[at, slot] = (cost * held / fleet.usable_ms).sum(axis=1)
    return to_integer(total)


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


def starts_per_pool(total: IntArray, found: BoolArray) -> tuple[IntArray, IntArray]:
    """(A,), (A,) the slot of the cheapest start of each pool, the earliest of equals, and its total."""
    limited = np.where(found, total, np.iinfo(np.int64).max)
    slots = limited.argmin(axis=1)
    return slots, np.take_along_axis(limited, slots[:, None], axis=1)[:, 0]


def option_at(demand: Demand, windows: Windows, at: int, slot: int) -> Option:
    """The option that starts at one slot of one of the job's pools."""
    run = Run(
        int(demand.rows[at]),
        int(windows.start_ms[at, slot]),
        int(windows.end_ms[at, slot]),
        slot,
        int(windows.last[at, slot]),
        int(demand.counts[at]),
        int(demand.caps_w[at]),
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
