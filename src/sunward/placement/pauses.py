"""Runs with pauses: the cheapest way through (slot, work left, pool or paused), exact in whole quanta.

Backwards over the slots. A slot advances the work by whole quanta, rounded down, so a plan is never late. A start after
a pause or a move first loses the restart, costs a wake and, at another site, a transfer; a run lasts at least two
slots, or as long as the job asks, unless it ends the job. O(H·K·W) for K pools and W quanta, one numpy step per slot.

Where the length is not known, all that is ever seen is that the job has not ended yet, so the best policy is one path
here too; what a slot costs counts by the probability that the job still runs then. Where the job may stand still for so
long only, pools of different rates are searched apart: time run, and with it time stood still, follows from work left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sunward.placement.demand import Demand, Option, Run, price
from sunward.placement.filter import price_usd_micro
from sunward.placement.fleet import Fleet
from sunward.placement.free_pauses import cheapest_slots
from sunward.placement.lattice import (
    Lattice,
    Steps,
    bound_now,
    even_quantum_ms,
    gained,
    lattice_of,
    quantum_ms,
)
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

SPARE_SLOTS = 3
"""A first slot cut short, a last run of one slot, and its rounding: see `_affordable`."""
PAUSED = -1
BARRED = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Least cost to end from each slot on, (H + 1, K, W + 1)."""

    keep: FloatArray
    """Running in it."""
    ahead: FloatArray
    """Running in it and as long after it as a run that has just started must."""
    rest: FloatArray
    """Standing still before it."""


def best_with_pauses(fleet: Fleet, demand: Demand, room: BoolArray, among: IntArray) -> Option | None:
    """The cheapest way to run a job with pauses on some of its pools (`among`: positions in its rows)."""
    if demand.wait_ms is None:
        return _best(fleet, demand, room, among, quantum_ms(demand.remaining_ms, fleet.slot_ms))
    rates = demand.rate_ppm[among]
    found = [
        _best(fleet, demand, room, among[rates == rate], even_quantum_ms(demand.remaining_ms, fleet.slot_ms, rate))
        for rate in np.unique(rates).tolist()
    ]
    return min((option for option in found if option is not None), key=lambda option: option.total, default=None)


def _best(fleet: Fleet, demand: Demand, room: BoolArray, among: IntArray, quantum: int) -> Option | None:
    among = among[_affordable(fleet, demand, among, quantum)]
    slots = (demand.limit_ms - fleet.start_ms) // fleet.slot_ms
    if not len(among) or slots <= 0:
        return None
    if is_free(fleet, demand, among):
        return _cheapest(fleet, demand, room[:, :slots], among, quantum)
    lattice = lattice_of(fleet, demand, room[among, :slots], among, quantum)
    steps = Steps(lattice)
    path = _path(lattice, steps, _values(lattice, steps), bound_now(fleet, demand))
    if path is None:
        return None
    runs = _merge(fleet, demand, among, path)
    return Option(runs, price(fleet, demand, runs).terms.total)


def _affordable(fleet: Fleet, demand: Demand, among: IntArray, quantum: int) -> BoolArray:
    """Pools that fit the budget however the job is paused and moved between them.

    A run of n ≥ 2 slots gains at least n·(start + run)/2 quanta, so W quanta take at most 2W/(start + run) slots and
    the spare ones; a budget that holds for that on every pool used holds for any mix of them.
    """
    budget = demand.job.spec.budget_usd_micro
    if not budget:
        return np.ones(len(among), dtype=np.bool_)
    rate = demand.rate_ppm[among]
    whole = np.full((len(among), 1), fleet.slot_ms)
    pair = (gained(whole, rate, quantum) + gained(whole - demand.stop_ms, rate, quantum))[:, 0]
    quanta = -(-demand.remaining_ms // quantum)
    slots = -(-2 * quanta // np.maximum(pair, 1)) + SPARE_SLOTS
    ask = fleet.ask_usd_micro[demand.rows[among]]
    cost = price_usd_micro(ask, demand.counts[among], slots * fleet.slot_ms)
    affordable: BoolArray = (cost <= budget) & (pair > 0)
    return affordable


def is_free(fleet: Fleet, demand: Demand, among: IntArray) -> bool:
    """Whether a pause or a move costs the job neither work nor money, and every slot and pool counts the same."""
    if demand.stop_ms or demand.job.spec.min_run_ms or demand.wait_ms is not None or demand.survival is not None:
        return False
    if demand.start_by_ms < demand.limit_ms or fleet.usable_ms[0] < fleet.slot_ms or demand.cargo.size_bytes:
        return False
    tables = (demand.wake, demand.delay_ms, demand.loss_ms)
    rates = demand.rate_ppm[among]
    return bool((rates == rates[:1]).all()) and not any(table[among].any() for table in tables)


def _cheapest(fleet: Fleet, demand: Demand, room: BoolArray, among: IntArray, quantum: int) -> Option | None:
    """The cheapest slots that together do the work, each on its cheapest pool, where `is_free`."""
    slots = room.shape[1]
    gain = int(gained(fleet.usable_ms[None, :1], demand.rate_ppm[among[:1]], quantum)[0, 0])
    needed = -(-demand.remaining_ms // (quantum * gain)) if gain else slots + 1
    cost = np.where(room[among], demand.costs.run[demand.cost_rows[among], :slots], BARRED)
    least = cost.min(axis=0)
    if (least < BARRED).sum() < needed:
        return None
    chosen = cheapest_slots(least, needed)
    path = np.where(chosen, cost.argmin(axis=0), PAUSED).tolist()
    return Option(_merge(fleet, demand, among, path), int(least[chosen].sum()))


def _values(lattice: Lattice, steps: Steps) -> Values:
    pools, slots = lattice.run_cost.shape
    width = lattice.quanta + 1
    keep, rest = np.empty((slots + 1, pools, width)), np.empty((slots + 1, pools, width))
    keep[slots] = rest[slots] = np.inf
    keep[slots, :, 0] = rest[slots, :, 0] = 0.0
    ahead = keep if lattice.bound == 1 else keep.copy()
    forced = [keep[slots]] * lattice.bound
    free_move = not lattice.moves.any()
    going = rest[slots]
    for slot in reversed(range(slots)):
        index, cost = steps.start(slot)
        start = ahead[slot + 1].take(index)
        start += cost
        start[:, 0] = np.inf
        best = start.min(axis=0) if free_move else _best_from(lattice, start, slot)[lattice.source]
        np.minimum(rest[slot + 1], best, out=rest[slot])
        first_barred = int(lattice.pause_left[slot]) + 1
        rest[slot, :, first_barred:] = best[..., first_barred:]
        index, cost = steps.run(slot)
        going.take(index, out=keep[slot], mode="clip")
        keep[slot] += cost
        keep[slot, :, 0] = 0.0
        if lattice.bound > 1:
            forced = [keep[slot], *(_run_on(after, index, cost) for after in forced[:-1])]
            ahead[slot] = forced[-1]
        going = np.minimum(keep[slot], rest[slot])
    return Values(keep, ahead, rest)


def _run_on(after: FloatArray, index: IntArray, cost: FloatArray) -> FloatArray:
    """Least cost with one more slot in which the job must run on."""
    value: FloatArray = after.take(index) + cost
    value[:, 0] = 0.0
    return value


def _best_from(lattice: Lattice, start: FloatArray, slot: int) -> FloatArray:
    """(S, W + 1) least value over all starts, with the way of the data from each site."""
    return np.stack([(start + way[:, slot, None] * lattice.alive).min(axis=0) for way in lattice.moves])


def _path(lattice: Lattice, steps: Steps, values: Values, bound_now: int) -> list[int] | None:
    """Pool position per slot, or PAUSED; ties go to running on, then to the earlier start and the first pool id."""
    begun = _begin(lattice, steps, values, bound_now)
    if begun is None:
        return None
    path, at, left = begun
    running, bound = True, lattice.bound if path else bound_now
    while left > 0:
        slot = len(path)
        if running and (bound or values.keep[slot, at, left] <= values.rest[slot, at, left]):
            path.append(at)
            left -= int(lattice.run_gain[at, slot])
            bound = max(0, bound - 1)
            continue
        index, cost = steps.start(slot)
        starts = values.ahead[slot + 1].take(index[:, left]) + cost[:, min(left, cost.shape[1] - 1)]
        way = lattice.moves[lattice.source[at], :, slot]
        starts += way * lattice.alive[min(left, len(lattice.alive) - 1)]
        best = int(starts.argmin())
        running = bool(starts[best] <= values.rest[slot + 1, at, left]) or left > lattice.pause_left[slot]
        path.append(best if running else PAUSED)
        if running:
            at, bound = best, lattice.bound
            left -= int(lattice.start_gain[at, slot])
    return path


def _begin(lattice: Lattice, steps: Steps, values: Values, bound_now: int) -> tuple[list[int], int, int] | None:
    """The path up to and with the next start (empty when the job runs on), its pool, and the quanta left then."""
    slots, pools, quanta = lattice.run_cost.shape[1], len(lattice.here), lattice.quanta
    left = np.maximum(quanta - lattice.first_gain.T, 0)
    onward = values.ahead[np.arange(1, slots + 1)[:, None], np.arange(pools), left]
    counts = lattice.counts(lattice.first_gain, lattice.usable_ms, np.zeros(1))
    starts = onward + (lattice.first_cost * counts + lattice.wake + lattice.transfer).T
    slot, best = divmod(int(starts.argmin()), pools)
    here = np.flatnonzero(lattice.here)
    if len(here):
        going_on = _going_on(lattice, steps, values, int(here[0]), bound_now)
        if going_on <= starts[slot, best]:
            return ([], int(here[0]), quanta) if np.isfinite(going_on) else None
    if not np.isfinite(starts[slot, best]):
        return None
    return [PAUSED] * slot + [best], best, int(left[slot, best])


def _going_on(lattice: Lattice, steps: Steps, values: Values, here: int, bound: int) -> float:
    """Least cost of what runs now, if it goes on for so many slots."""
    total, left = 0.0, lattice.quanta
    for slot in range(bound - 1):
        if left <= 0 or slot + 1 >= lattice.run_cost.shape[1]:
            break
        cost = steps.run(slot)[1][here]
        total += float(cost[min(left, len(cost) - 1)])
        left -= int(lattice.run_gain[here, slot])
    else:
        return total + float(values.keep[bound - 1, here, left])
    return total if left <= 0 else np.inf


def _merge(fleet: Fleet, demand: Demand, among: IntArray, path: list[int]) -> tuple[Run, ...]:
    """Consecutive slots on one pool, with one count and power limit, become one run that ends with its last slot."""
    runs: list[Run] = []
    for slot, at in enumerate(path):
        if at == PAUSED:
            continue
        end = int(fleet.begin_ms[slot] + fleet.usable_ms[slot])
        row, gpus, cap_w = (int(one[among[at]]) for one in (demand.rows, demand.counts, demand.caps_w))
        if runs and (runs[-1].row, runs[-1].gpus, runs[-1].cap_w, runs[-1].last) == (row, gpus, cap_w, slot):
            runs[-1] = replace(runs[-1], end_ms=end, last=slot + 1)
        else:
            start = int(fleet.begin_ms[slot] + demand.delay_ms[among[at], slot])
            runs.append(Run(row, start, end, slot, slot + 1, gpus, cap_w))
    return tuple(runs)
