"""The tables of the search with pauses: quanta that a slot gains and what it costs, for each pool and slot.

Where the length of a job is not known, what a slot costs counts by the probability that the job still runs then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.placement.demand import Demand
from sunward.placement.filter import is_fresh, settling_ms
from sunward.placement.fleet import Fleet
from sunward.placement.gravity import moves
from sunward.placement.survival import Survival
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

QUANTA_MAX = 480
"""Most quanta of one job that fit fewer slots than this: bounds memory and time."""
QUANTA_PER_SLOT = 16
"""Finest quantum: on the reference GPU rounding down costs at most a sixteenth of a slot per slot."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lattice:
    """The search's tables; axes K pools, H slots; costs in whole micro-USD held exactly in float64."""

    here: BoolArray
    """(K,) where the job runs on just as it does now."""
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
    """(K, H) to bring the data to the next start."""
    source: IntArray
    """(K,) which of the sites of `moves` a pool stands at."""
    moves: FloatArray
    """(S, K, H) to bring the data on from a site to a later start."""
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


def gained(used_ms: IntArray, rate_ppm: IntArray, quantum: int) -> IntArray:
    """(K, H) whole quanta done in so much of each slot."""
    gain: IntArray = np.maximum(used_ms, 0) * rate_ppm[:, None] // (quantum * units.PPM)
    return gain


def lattice_of(fleet: Fleet, demand: Demand, room: BoolArray, among: IntArray, quantum: int) -> Lattice:
    """The tables of a job on some of its pools."""
    slots = room.shape[1]
    usable, rate = fleet.usable_ms[:slots], demand.rate_ppm[among]
    delay, quanta = demand.delay_ms[among, :slots], -(-demand.remaining_ms // quantum)
    start_run = np.where(room, demand.start_run[among, :slots], np.inf)
    up_ms = usable - delay
    first_ms, start_ms = up_ms - demand.loss_ms[among, :slots], up_ms - demand.stop_ms
    first_gain = gained(first_ms, rate, quantum)
    # A slot too short for one quantum cannot show progress; only a restart may use one up.
    first_fits = (up_ms > 0) & (first_ms >= 0) & ((first_gain > 0) | (not is_fresh(demand.job)))
    first_fits &= fleet.begin_ms[:slots] + delay <= _latest_start(fleet, demand, slots)
    site = fleet.pools.site[demand.rows[among]]
    sites, source = np.unique(site, return_inverse=True)
    onward = moves(fleet, demand.cargo, sites, demand.rows[among])
    left_ms = ((quanta - np.arange(quanta + 1)) * quantum).astype(np.float64)
    return Lattice(
        here=demand.here[among],
        rate_ppm=rate,
        quanta=quanta,
        quantum_ms=quantum,
        usable_ms=usable,
        run_gain=gained(_worked(fleet, demand, among, slots), rate, quantum),
        start_gain=gained(start_ms, rate, quantum),
        first_gain=first_gain,
        run_cost=np.where(room, demand.costs.run[demand.cost_rows[among], :slots], np.inf),
        start_cost=np.where((up_ms > 0) & (start_ms >= 0), start_run, np.inf),
        first_cost=np.where(first_fits, start_run, np.inf),
        wake=demand.wake[among, :slots].astype(np.float64),
        transfer=demand.transfer[among, :slots].astype(np.float64),
        source=source,
        moves=onward[:, :, :slots].astype(np.float64),
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


def bound_now(fleet: Fleet, demand: Demand) -> int:
    """Slots that what runs now must still go on, this one counted."""
    least_ms = demand.job.spec.min_run_ms - demand.job.elapsed_ms - int(fleet.usable_ms[0])
    return 1 + max(0, -(-least_ms // fleet.slot_ms))


def _worked(fleet: Fleet, demand: Demand, among: IntArray, slots: int) -> IntArray:
    """(K, H) time that a job which runs on works in each slot; where it runs now it may still be starting."""
    until = np.cumsum(fleet.usable_ms[:slots])
    worked = np.repeat(fleet.usable_ms[None, :slots], len(among), axis=0)
    after_start = np.maximum(until - settling_ms(fleet, demand.job), 0)
    worked[demand.here[among]] = np.diff(after_start, prepend=0)
    return worked
