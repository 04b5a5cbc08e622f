"""Runs with pauses: the cheapest way through (slot, work left, pool or paused), exact in whole quanta.

Backwards over the slots. A slot advances the work by whole quanta, rounded down, so a plan is never late. A start after
a pause or a move first loses the restart, costs a wake and, at another site, a transfer; a run lasts at least two slots
unless it ends the job. O(H·K·W) for K pools and W quanta, with one numpy step per slot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.placement.demand import Demand, Option, Run, price
from sunward.placement.filter import is_fresh, price_usd_micro, settling_ms
from sunward.placement.fleet import Fleet
from sunward.placement.free_pauses import cheapest_slots
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

QUANTA_MAX = 480
"""Most quanta of one job that fit fewer slots than this: bounds memory and time."""
QUANTA_PER_SLOT = 16
"""Finest quantum: on the reference GPU rounding down costs at most a sixteenth of a slot per slot."""
SPARE_SLOTS = 3
"""A first slot cut short, a last run of one slot, and its rounding: see `_affordable`."""
PAUSED = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lattice:
    """The search's tables; axes K pools, H slots; costs in whole micro-USD held exactly in float64."""

    rows: IntArray
    """(K,) rows of the fleet."""
    site: IntArray
    quanta: int
    run_gain: IntArray
    """(K, H) quanta of a slot in which the job runs on."""
    start_gain: IntArray
    """(K, H) quanta of a slot in which it starts again."""
    first_gain: IntArray
    """(K, H) quanta of the slot of its next start."""
    run_cost: FloatArray
    """(K, H), inf where there is no room."""
    start_cost: FloatArray
    """(K, H) with the wake, inf where a restart does not fit the slot."""
    first_cost: FloatArray
    transfer: FloatArray
    """(K, H)."""


def best_with_pauses(fleet: Fleet, demand: Demand, room: BoolArray, among: IntArray) -> Option | None:
    """The cheapest way to run a job with pauses on some of its pools (`among`: positions in its rows)."""
    quantum = quantum_ms(demand.remaining_ms, fleet.slot_ms)
    among = among[_affordable(fleet, demand, among, quantum)]
    slots = (demand.limit_ms - fleet.start_ms) // fleet.slot_ms
    if not len(among) or slots <= 0:
        return None
    lattice = _lattice(fleet, demand, room[among, :slots], among, quantum)
    path = _path_of_cheapest(lattice) if _is_free(lattice) else _path(demand, lattice, *_values(lattice))
    if path is None:
        return None
    runs = _merge(fleet, demand, among, path)
    return Option(runs, price(fleet, demand, runs).terms.total)


def quantum_ms(remaining_ms: int, slot_ms: int) -> int:
    """Reference run time of one quantum: the finest part of a slot that keeps the quanta few enough.

    A slot has a whole number of them, so that no slot of the reference GPU is rounded down. It depends on no
    constraint, so that fewer options never cost less.
    """
    slots = -(-remaining_ms // slot_ms)
    return max(slot_ms // max(min(QUANTA_PER_SLOT, QUANTA_MAX // slots), 1), 1)


def _gain(used_ms: IntArray, rate_ppm: IntArray, quantum: int) -> IntArray:
    gain: IntArray = np.maximum(used_ms, 0) * rate_ppm[:, None] // (quantum * units.PPM)
    return gain


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
    pair = (_gain(whole, rate, quantum) + _gain(whole - fleet.policy.switch_ms, rate, quantum))[:, 0]
    quanta = -(-demand.remaining_ms // quantum)
    slots = -(-2 * quanta // np.maximum(pair, 1)) + SPARE_SLOTS
    cost = price_usd_micro(fleet.ask_usd_micro[demand.rows[among]], demand.gpus, slots * fleet.slot_ms)
    affordable: BoolArray = (cost <= budget) & (pair > 0)
    return affordable


def _lattice(fleet: Fleet, demand: Demand, room: BoolArray, among: IntArray, quantum: int) -> Lattice:
    slots, rows = room.shape[1], demand.rows[among]
    usable, rate = fleet.usable_ms[:slots], demand.rate_ppm[among]
    run_cost = np.where(room, demand.costs.run[rows, :slots], np.inf)
    woken = np.where(room, demand.start_run[among, :slots] + demand.wake[among, :slots], np.inf)
    up_ms = usable - demand.delay_ms[among, :slots]
    first_ms = up_ms - demand.loss_ms[among, :slots]
    start_ms = up_ms - fleet.policy.switch_ms
    run_gain = _gain(_worked(fleet, demand, rows, slots), rate, quantum)
    first_gain = _gain(first_ms, rate, quantum)
    # A slot too short for one quantum cannot show progress; only a restart may use one up.
    first_fits = (up_ms > 0) & (first_ms >= 0) & ((first_gain > 0) | (not is_fresh(demand.job)))
    first_fits &= fleet.begin_ms[:slots] + demand.delay_ms[among, :slots] <= demand.start_by_ms
    return Lattice(
        rows=rows,
        site=fleet.pools.site[rows],
        quanta=-(-demand.remaining_ms // quantum),
        run_gain=run_gain,
        start_gain=_gain(start_ms, rate, quantum),
        first_gain=first_gain,
        run_cost=run_cost,
        start_cost=np.where((up_ms > 0) & (start_ms >= 0), woken, np.inf),
        first_cost=np.where(first_fits, woken, np.inf),
        transfer=demand.transfer[among, :slots].astype(np.float64),
    )


def _worked(fleet: Fleet, demand: Demand, rows: IntArray, slots: int) -> IntArray:
    """(K, H) time that a job which runs on works in each slot; where it runs now it may still be starting."""
    until = np.cumsum(fleet.usable_ms[:slots])
    worked = np.repeat(fleet.usable_ms[None, :slots], len(rows), axis=0)
    after_start = np.maximum(until - settling_ms(fleet, demand.job), 0)
    worked[rows == demand.current] = np.diff(after_start, prepend=0)
    return worked


def _is_free(lattice: Lattice) -> bool:
    """Whether starting again on the only pool costs neither work nor money, and every slot does the same work."""
    if len(lattice.rows) > 1 or lattice.transfer.any():
        return False
    gains = (lattice.run_gain, lattice.start_gain, lattice.first_gain)
    costs = (lattice.start_cost, lattice.first_cost)
    return bool(
        lattice.run_gain[0, 0] > 0
        and all((gain == lattice.run_gain[0, 0]).all() for gain in gains)
        and all((cost == lattice.run_cost).all() for cost in costs)
    )


def _path_of_cheapest(lattice: Lattice) -> list[int] | None:
    """As `_path`, where pauses are free: the cheapest slots that together do the work."""
    cost, needed = lattice.run_cost[0], -(-lattice.quanta // int(lattice.run_gain[0, 0]))
    if np.isfinite(cost).sum() < needed:
        return None
    chosen = cheapest_slots(cost, needed)
    return [0 if runs else PAUSED for runs in chosen.tolist()]


def _values(lattice: Lattice) -> tuple[FloatArray, FloatArray]:
    """Least cost to end from each slot on: `keep` running in it, `rest` standing still before it, (H + 1, K, W + 1)."""
    pools, slots = lattice.run_cost.shape
    width = lattice.quanta + 1
    keep, rest = np.empty((slots + 1, pools, width)), np.empty((slots + 1, pools, width))
    keep[slots] = rest[slots] = np.inf
    keep[slots, :, 0] = rest[slots, :, 0] = 0.0
    free_move = not lattice.transfer.any()
    shared = len(np.unique(lattice.site)) < pools
    going = rest[slots]
    shifts: dict[bytes, IntArray] = {}
    for slot in reversed(range(slots)):
        start = keep[slot + 1].take(_shift(shifts, lattice.start_gain[:, slot], width))
        start += lattice.start_cost[:, slot, None]
        start[:, 0] = np.inf
        reached = start if free_move else start + lattice.transfer[:, slot, None]
        np.minimum(rest[slot + 1], reached.min(axis=0), out=rest[slot])
        if not free_move:
            here = _best_at_site(start, lattice.site) if shared else start
            np.minimum(rest[slot], here, out=rest[slot])
        going.take(_shift(shifts, lattice.run_gain[:, slot], width), out=keep[slot], mode="clip")
        keep[slot] += lattice.run_cost[:, slot, None]
        keep[slot, :, 0] = 0.0
        going = np.minimum(keep[slot], rest[slot])
    return keep, rest


def _shift(known: dict[bytes, IntArray], gain: IntArray, width: int) -> IntArray:
    """Flat index of the work left after gaining; the same few gains come again at most slots."""
    key = gain.tobytes()
    if key not in known:
        left = np.maximum(np.arange(width) - gain[:, None], 0)
        known[key] = left + np.arange(len(gain))[:, None] * width
    return known[key]


def _best_at_site(values: FloatArray, site: IntArray) -> FloatArray:
    """(K, W + 1) least value over the pools at the same site: the data is there already."""
    best = values.copy()
    for one in np.unique(site):
        best[site == one] = values[site == one].min(axis=0)
    return best


def _path(demand: Demand, lattice: Lattice, keep: FloatArray, rest: FloatArray) -> list[int] | None:
    """Pool position per slot, or PAUSED; ties go to running on, then to the earlier start and the first pool id."""
    begun = _begin(demand, lattice, keep)
    if begun is None:
        return None
    path, at, left = begun
    running, bound = True, bool(path)
    while left > 0:
        slot = len(path)
        if running and (bound or keep[slot, at, left] <= rest[slot, at, left]):
            path.append(at)
            left -= int(lattice.run_gain[at, slot])
            bound = False
            continue
        moved = np.where(lattice.site == lattice.site[at], 0.0, lattice.transfer[:, slot])
        starts = _starts(keep[slot + 1], left, lattice.start_gain[:, slot]) + lattice.start_cost[:, slot] + moved
        best = int(starts.argmin())
        running = bound = bool(starts[best] <= rest[slot + 1, at, left])
        path.append(best if running else PAUSED)
        if running:
            at = best
            left -= int(lattice.start_gain[at, slot])
    return path


def _begin(demand: Demand, lattice: Lattice, keep: FloatArray) -> tuple[list[int], int, int] | None:
    """The path up to and with the next start (empty when the job runs on), its pool, and the quanta left then."""
    slots, pools, quanta = lattice.run_cost.shape[1], len(lattice.rows), lattice.quanta
    left = np.maximum(quanta - lattice.first_gain.T, 0)
    ahead = keep[np.arange(1, slots + 1)[:, None], np.arange(pools), left]
    moved = np.where(lattice.site[:, None] == demand.current_site, 0.0, lattice.transfer)
    starts = ahead + lattice.first_cost.T + moved.T
    slot, best = divmod(int(starts.argmin()), pools)
    here = np.flatnonzero(lattice.rows == demand.current)
    if len(here) and keep[0, here[0], quanta] <= starts[slot, best]:
        return ([], int(here[0]), quanta) if np.isfinite(keep[0, here[0], quanta]) else None
    if not np.isfinite(starts[slot, best]):
        return None
    return [PAUSED] * slot + [best], best, int(left[slot, best])


def _starts(ahead: FloatArray, left: int, gain: IntArray) -> FloatArray:
    """(K,) cost ahead after starting with `left` quanta to do."""
    reached: FloatArray = ahead[np.arange(len(gain)), np.maximum(left - gain, 0)]
    return reached


def _merge(fleet: Fleet, demand: Demand, among: IntArray, path: list[int]) -> tuple[Run, ...]:
    """Consecutive slots on one pool become one run that ends with its last slot."""
    runs: list[Run] = []
    for slot, at in enumerate(path):
        if at == PAUSED:
            continue
        end = int(fleet.begin_ms[slot] + fleet.usable_ms[slot])
        row = int(demand.rows[among[at]])
        if runs and runs[-1].row == row and runs[-1].last == slot:
            runs[-1] = Run(row, runs[-1].start_ms, end, runs[-1].first, slot + 1)
        else:
            start = int(fleet.begin_ms[slot] + demand.delay_ms[among[at], slot])
            runs.append(Run(row, start, end, slot, slot + 1))
    return tuple(runs)
