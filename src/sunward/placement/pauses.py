"""Runs with pauses: the cheapest way through (slot, work left, pool or paused), exact in whole quanta.

Backwards over the slots. A slot advances the work by whole quanta, rounded down, so a plan is never late. A start after
a pause or a move first loses the restart, costs a wake and, at another site, a transfer; a run lasts at least two
slots, or as long as the job asks, unless it ends the job. O(H·K·W) for K pools and W quanta, one numpy step per slot.

Where the length is not known, all that is ever seen is that the job has not ended yet, so the best policy is one path
here too; what a slot costs counts by the probability that the job still runs then. Where the job may stand still for so
long only, pools of different rates are searched apart: time run, and with it time stood still, follows from work left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.placement.demand import Demand, Option, Run, price
from sunward.placement.filter import is_fresh, price_usd_micro, settling_ms
from sunward.placement.fleet import Fleet
from sunward.placement.free_pauses import cheapest_slots
from sunward.placement.survival import Survival
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
    rate_ppm: IntArray
    """(K,)."""
    quanta: int
    quantum_ms: int
    usable_ms: IntArray
    """(H,)."""
    run_gain: IntArray
    """(K, H) quanta of a slot in which the job runs on."""
    start_gain: IntArray
    """(K, H) quanta of a slot in which it starts again."""
    first_gain: IntArray
    """(K, H) quanta of the slot of its next start."""
    run_cost: FloatArray
    """(K, H), inf where there is no room."""
    start_cost: FloatArray
    """(K, H) inf where a restart does not fit the slot."""
    first_cost: FloatArray
    """(K, H) inf where the next start may not be."""
    wake: FloatArray
    """(K, H)."""
    transfer: FloatArray
    """(K, H)."""
    pause_left: IntArray
    """(H,) most quanta left with which the job may stand still in each slot."""
    bound: int
    """Slots that a run must go on after the slot of its start."""
    survival: Survival | None
    alive: FloatArray
    """(W + 1,) probability that the job comes to have so many quanta left; one value for all where it is certain."""

    def counts(self, gain: IntArray, usable_ms: IntArray, done_ms: FloatArray) -> FloatArray:
        """How much of a slot's cost counts: until the job ends in it, on average; to the end where that is certain."""
        if self.survival is None:
            return np.ones((1, 1))
        work_ms = (gain * self.quantum_ms).astype(np.float64)
        part = np.minimum(work_ms * units.PPM / (usable_ms * self.rate_ppm[:, None]), 1.0)
        ahead = self.survival.mean_until(done_ms + work_ms) - self.survival.mean_until(done_ms)
        counted: FloatArray = self.survival.alive_after(done_ms) * (1.0 - part) + part * ahead / np.maximum(
            work_ms, 1.0
        )
        return counted


class Steps:
    """What a slot does to the quanta left, and how much of its cost counts; the same few come again at most slots."""

    __slots__ = ("_known", "_lattice", "_left")

    def __init__(self, lattice: Lattice) -> None:
        self._lattice = lattice
        self._left = np.arange(lattice.quanta + 1)
        self._known: dict[tuple[int, bytes], tuple[IntArray, FloatArray]] = {}

    def at(self, gain: IntArray, slot: int) -> tuple[IntArray, FloatArray]:
        """Flat index of the quanta left after gaining, (K, W + 1), and the part of the cost that counts."""
        usable = self._lattice.usable_ms[slot]
        key = (int(usable), gain.tobytes())
        if key not in self._known:
            width = len(self._left)
            left = np.maximum(self._left - gain[:, None], 0)
            done_ms = ((width - 1 - self._left) * self._lattice.quantum_ms).astype(np.float64)
            counts = self._lattice.counts(gain[:, None], usable, done_ms)
            counts[:, 0] = 1.0  # Nothing is left then: the value is set, and inf · 0 would not be a number.
            self._known[key] = left + np.arange(len(gain))[:, None] * width, counts
        return self._known[key]

    def start(self, slot: int) -> tuple[IntArray, FloatArray]:
        """A start in a slot: where it leads, and what it costs to get there."""
        lattice = self._lattice
        index, counts = self.at(lattice.start_gain[:, slot], slot)
        return index, lattice.start_cost[:, slot, None] * counts + lattice.wake[:, slot, None] * lattice.alive

    def run(self, slot: int) -> tuple[IntArray, FloatArray]:
        """A slot in which the job runs on."""
        index, counts = self.at(self._lattice.run_gain[:, slot], slot)
        return index, self._lattice.run_cost[:, slot, None] * counts


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
    lattice = _lattice(fleet, demand, room[among, :slots], among, quantum)
    if _is_free(lattice):
        path = _path_of_cheapest(lattice)
    else:
        steps = Steps(lattice)
        path = _path(demand, lattice, steps, _values(lattice, steps), _bound_now(fleet, demand))
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


def even_quantum_ms(remaining_ms: int, slot_ms: int, rate_ppm: int) -> int:
    """As `quantum_ms`, for pools of one rate: a whole number of quanta fills a slot, so that nothing is rounded."""
    work_ms = max(1, slot_ms * rate_ppm // units.PPM)
    per_slot = min(max(1, QUANTA_MAX * work_ms // max(1, remaining_ms)), QUANTA_PER_SLOT)
    return max(1, work_ms // per_slot)


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
    pair = (_gain(whole, rate, quantum) + _gain(whole - demand.stop_ms, rate, quantum))[:, 0]
    quanta = -(-demand.remaining_ms // quantum)
    slots = -(-2 * quanta // np.maximum(pair, 1)) + SPARE_SLOTS
    cost = price_usd_micro(fleet.ask_usd_micro[demand.rows[among]], demand.gpus, slots * fleet.slot_ms)
    affordable: BoolArray = (cost <= budget) & (pair > 0)
    return affordable


def _lattice(fleet: Fleet, demand: Demand, room: BoolArray, among: IntArray, quantum: int) -> Lattice:
    slots, rows = room.shape[1], demand.rows[among]
    usable, rate = fleet.usable_ms[:slots], demand.rate_ppm[among]
    delay, quanta = demand.delay_ms[among, :slots], -(-demand.remaining_ms // quantum)
    start_run = np.where(room, demand.start_run[among, :slots], np.inf)
    up_ms = usable - delay
    first_ms, start_ms = up_ms - demand.loss_ms[among, :slots], up_ms - demand.stop_ms
    first_gain = _gain(first_ms, rate, quantum)
    # A slot too short for one quantum cannot show progress; only a restart may use one up.
    first_fits = (up_ms > 0) & (first_ms >= 0) & ((first_gain > 0) | (not is_fresh(demand.job)))
    first_fits &= fleet.begin_ms[:slots] + delay <= _latest_start(fleet, demand, slots)
    left_ms = ((quanta - np.arange(quanta + 1)) * quantum).astype(np.float64)
    return Lattice(
        rows=rows,
        site=fleet.pools.site[rows],
        rate_ppm=rate,
        quanta=quanta,
        quantum_ms=quantum,
        usable_ms=usable,
        run_gain=_gain(_worked(fleet, demand, rows, slots), rate, quantum),
        start_gain=_gain(start_ms, rate, quantum),
        first_gain=first_gain,
        run_cost=np.where(room, demand.costs.run[rows, :slots], np.inf),
        start_cost=np.where((up_ms > 0) & (start_ms >= 0), start_run, np.inf),
        first_cost=np.where(first_fits, start_run, np.inf),
        wake=demand.wake[among, :slots].astype(np.float64),
        transfer=demand.transfer[among, :slots].astype(np.float64),
        pause_left=_pause_left(fleet, demand, int(rate[0]), quanta, quantum)[:slots],
        bound=_bound(fleet, demand, up_ms),
        survival=demand.survival,
        alive=np.ones(1) if demand.survival is None else demand.survival.alive_after(left_ms),
    )


def _latest_start(fleet: Fleet, demand: Demand, slots: int) -> IntArray:
    """(H,) when the next start must be at the latest; the next moment is always in time for a limit on waiting."""
    latest = np.full(slots, demand.start_by_ms, dtype=np.int64)
    if demand.wait_ms is not None:
        latest[1:] = np.minimum(latest[1:], fleet.now_ms + demand.wait_ms)
    return latest


def _pause_left(fleet: Fleet, demand: Demand, rate_ppm: int, quanta: int, quantum: int) -> IntArray:
    """(H,) most quanta left with which standing still in a slot leaves the job within its limit; a restart counts."""
    if demand.wait_ms is None:
        return np.full(fleet.slots, quanta, dtype=np.int64)
    until_ms = fleet.begin_ms + fleet.usable_ms - fleet.now_ms
    needed_ms = np.maximum(until_ms - demand.wait_ms, 0) * rate_ppm
    left: IntArray = quanta - -(-needed_ms // (quantum * units.PPM))
    return np.maximum(left, 0)


def _bound(fleet: Fleet, demand: Demand, up_ms: IntArray) -> int:
    """Slots after that of its start until a run has lasted as long as it must, however short the first one is."""
    least_ms = demand.job.spec.min_run_ms
    if not least_ms or not (up_ms > 0).any():
        return 1
    return max(1, -(-(least_ms - int(up_ms[up_ms > 0].min())) // fleet.slot_ms))


def _bound_now(fleet: Fleet, demand: Demand) -> int:
    """Slots that what runs now must still go on, this one counted."""
    least_ms = demand.job.spec.min_run_ms - demand.job.elapsed_ms - int(fleet.usable_ms[0])
    return 1 + max(0, -(-least_ms // fleet.slot_ms))


def _worked(fleet: Fleet, demand: Demand, rows: IntArray, slots: int) -> IntArray:
    """(K, H) time that a job which runs on works in each slot; where it runs now it may still be starting."""
    until = np.cumsum(fleet.usable_ms[:slots])
    worked = np.repeat(fleet.usable_ms[None, :slots], len(rows), axis=0)
    after_start = np.maximum(until - settling_ms(fleet, demand.job), 0)
    worked[rows == demand.current] = np.diff(after_start, prepend=0)
    return worked


def _is_free(lattice: Lattice) -> bool:
    """Whether starting again on the only pool costs neither work nor money, and every slot counts the same."""
    if len(lattice.rows) > 1 or lattice.transfer.any() or lattice.wake.any():
        return False
    if lattice.survival is not None or lattice.bound > 1 or (lattice.pause_left < lattice.quanta).any():
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


def _values(lattice: Lattice, steps: Steps) -> Values:
    pools, slots = lattice.run_cost.shape
    width = lattice.quanta + 1
    keep, rest = np.empty((slots + 1, pools, width)), np.empty((slots + 1, pools, width))
    keep[slots] = rest[slots] = np.inf
    keep[slots, :, 0] = rest[slots, :, 0] = 0.0
    ahead = keep if lattice.bound == 1 else keep.copy()
    forced = [keep[slots]] * lattice.bound
    free_move = not lattice.transfer.any()
    shared = len(np.unique(lattice.site)) < pools
    going = rest[slots]
    for slot in reversed(range(slots)):
        index, cost = steps.start(slot)
        start = ahead[slot + 1].take(index)
        start += cost
        start[:, 0] = np.inf
        reached = start if free_move else start + lattice.transfer[:, slot, None] * lattice.alive
        best = reached.min(axis=0)
        np.minimum(rest[slot + 1], best, out=rest[slot])
        first_barred = int(lattice.pause_left[slot]) + 1
        rest[slot, :, first_barred:] = best[first_barred:]
        if not free_move:
            here = _best_at_site(start, lattice.site) if shared else start
            np.minimum(rest[slot], here, out=rest[slot])
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


def _best_at_site(values: FloatArray, site: IntArray) -> FloatArray:
    """(K, W + 1) least value over the pools at the same site: the data is there already."""
    best = values.copy()
    for one in np.unique(site):
        best[site == one] = values[site == one].min(axis=0)
    return best


def _path(demand: Demand, lattice: Lattice, steps: Steps, values: Values, bound_now: int) -> list[int] | None:
    """Pool position per slot, or PAUSED; ties go to running on, then to the earlier start and the first pool id."""
    begun = _begin(demand, lattice, steps, values, bound_now)
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
        starts += _moved(lattice, slot, int(lattice.site[at])) * lattice.alive[min(left, len(lattice.alive) - 1)]
        best = int(starts.argmin())
        running = bool(starts[best] <= values.rest[slot + 1, at, left]) or left > lattice.pause_left[slot]
        path.append(best if running else PAUSED)
        if running:
            at, bound = best, lattice.bound
            left -= int(lattice.start_gain[at, slot])
    return path


def _moved(lattice: Lattice, slot: int, site: int) -> FloatArray:
    """(K,) cost of bringing the data from a site."""
    moved: FloatArray = np.where(lattice.site == site, 0.0, lattice.transfer[:, slot])
    return moved


def _begin(
    demand: Demand, lattice: Lattice, steps: Steps, values: Values, bound_now: int
) -> tuple[list[int], int, int] | None:
    """The path up to and with the next start (empty when the job runs on), its pool, and the quanta left then."""
    slots, pools, quanta = lattice.run_cost.shape[1], len(lattice.rows), lattice.quanta
    left = np.maximum(quanta - lattice.first_gain.T, 0)
    onward = values.ahead[np.arange(1, slots + 1)[:, None], np.arange(pools), left]
    counts = lattice.counts(lattice.first_gain, lattice.usable_ms, np.zeros(1))
    moved = np.where(lattice.site[:, None] == demand.current_site, 0.0, lattice.transfer)
    starts = onward + (lattice.first_cost * counts + lattice.wake + moved).T
    slot, best = divmod(int(starts.argmin()), pools)
    here = np.flatnonzero(lattice.rows == demand.current)
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
