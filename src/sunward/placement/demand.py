"""One job made ready for the search: where it fits, what it costs there, and what a start loses.

Axes: A pools that fit the job, H slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.model.hardware import WorkClass
from sunward.model.plan import ScoreTerms, Unplaced
from sunward.placement.filter import Fit, fit, is_fresh, is_pausable, settling_ms, stop_ms, unbanked_ms
from sunward.placement.fleet import Fleet
from sunward.placement.score import ASK, CARBON, ENERGY, RISK, WATER, SlotCosts, share, slot_costs, to_integer
from sunward.placement.score import transfer_costs as _transfer_costs
from sunward.placement.survival import Survival, survival_of
from sunward.world.snapshot import WORK_CLASSES, IntArray, JobView

NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch on one pool: the slots `[first, last)` are held, `[start_ms, end_ms)` is used."""

    row: int
    start_ms: int
    end_ms: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Option:
    """A way to run a whole job."""

    runs: tuple[Run, ...]
    total: int
    """Score, micro-USD."""


@dataclass(frozen=True, slots=True)
class Priced:
    """An option's score, term by term, and its expected physics."""

    terms: ScoreTerms
    energy_j: int
    carbon_mg: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demand:
    """A job and everything the search needs of it."""

    job: JobView
    fit: Fit
    costs: SlotCosts
    rate_ppm: IntArray
    """(A,)."""
    remaining_ms: int
    """Reference run time that an option must hold."""
    survival: Survival | None
    """How surely the job still runs after so much of it; None = to its end."""
    limit_ms: int
    """The earlier of deadline and end of the last slot."""
    start_by_ms: int
    """The latest start of its first run."""
    wait_ms: int | None
    """How much longer it may stand still, negative where it did so for too long already; None = as long as it likes."""
    stop_ms: int
    """Time lost by a stop and a start."""
    delay_ms: IntArray
    """(A, H) how much later than the slot a start there can be, because containers are waking until then."""
    loss_ms: IntArray
    """(A, H) time lost before work goes on when the job's next start is at this slot."""
    start_run: IntArray
    """(A, H) micro-USD of running through a slot from a start in it."""
    wake: IntArray
    """(A, H) micro-USD to wake what a start needs."""
    transfer: IntArray
    """(A, H) micro-USD to bring the data from another site."""
    need_w: IntArray
    """(A,) facility watts above sleeping, rounded up."""
    current: int
    """Row of the fleet it runs on, or NOWHERE."""
    current_site: int
    """Site its data is at, or NOWHERE."""
    pausable: bool

    @property
    def slots(self) -> int:
        """H: slots that are looked at, beyond which the job cannot end in time."""
        return int(self.delay_ms.shape[1])

    @property
    def gpus(self) -> int:
        """Containers needed at once."""
        return self.job.spec.gpus

    @property
    def rows(self) -> IntArray:
        """(A,) rows of the fleet."""
        return self.fit.rows


CostBook = dict[tuple[WorkClass, int, int, int], SlotCosts]
"""Slot costs by (work class, GPUs, carbon price, slots): like jobs share them."""


def demand_of(fleet: Fleet, job: JobView, book: CostBook) -> Demand | Unplaced:
    """Make a job ready, or say why it can never run."""
    fitting = fit(fleet, job)
    if isinstance(fitting, Unplaced):
        return fitting
    spec, rows = job.spec, fitting.rows
    fleet = fleet.near(spec.deadline_ms)
    kind = (spec.work_class, spec.gpus, spec.carbon_price_usd_per_t)
    key = (*kind, fleet.slots)
    if key not in book:
        book[key] = slot_costs(fleet, *kind)
    current = fleet.row.get(job.pool, NOWHERE)
    asleep = _to_wake(fleet, job, rows)
    woken_ms = fleet.now_ms + fleet.pools.wake_ms[rows][:, None]
    delay = np.maximum(0, woken_ms - fleet.begin_ms) * (asleep > 0)
    loss = np.full(delay.shape, 0 if is_fresh(job) else stop_ms(fleet, job), dtype=np.int64)
    loss[rows == current] += unbanked_ms(job)
    loss[rows == current, 0] = settling_ms(fleet, job)
    return Demand(
        job=job,
        fit=fitting,
        costs=book[key],
        rate_ppm=fleet.rate_ppm[rows, WORK_CLASSES.index(spec.work_class)],
        remaining_ms=fitting.hold_ms,
        survival=survival_of(job.lengths),
        limit_ms=min(spec.deadline_ms, fleet.end_ms),
        start_by_ms=spec.start_by_ms or fleet.end_ms,
        wait_ms=spec.wait_max_ms - job.waited_ms if spec.wait_max_ms else None,
        stop_ms=stop_ms(fleet, job),
        delay_ms=delay,
        loss_ms=loss,
        start_run=_start_run(fleet, book[key], rows, delay),
        wake=to_integer(book[key].wake_one[rows] * asleep),
        transfer=_transfer_costs(fleet, spec.data_bytes, spec.carbon_price_usd_per_t)[rows],
        need_w=need_w(fleet, rows, spec.work_class, spec.gpus),
        current=current,
        current_site=NOWHERE if current == NOWHERE else int(fleet.pools.site[current]),
        pausable=is_pausable(job),
    )


def _to_wake(fleet: Fleet, job: JobView, rows: IntArray) -> IntArray:
    """(A, H) containers to wake: what is idle and awake serves a start now; later it will have been put to sleep."""
    asleep = np.full((len(rows), fleet.slots), job.spec.gpus, dtype=np.int64)
    asleep[:, 0] = np.maximum(0, job.spec.gpus - fleet.idle_awake[rows])
    if job.pool in fleet.row:
        asleep[rows == fleet.row[job.pool], 0] = 0
    return asleep


def _start_run(fleet: Fleet, costs: SlotCosts, rows: IntArray, delay_ms: IntArray) -> IntArray:
    used = np.maximum(fleet.usable_ms - delay_ms, 0)
    run: IntArray = share(costs.terms[:, rows], used, fleet.usable_ms).sum(axis=0)
    return run


def need_w(fleet: Fleet, rows: IntArray, work_class: WorkClass, gpus: int) -> IntArray:
    """Facility watts that busy containers draw above sleeping ones, rounded up."""
    pools = fleet.pools
    busy_w = pools.busy_w[rows, WORK_CLASSES.index(work_class)]
    watts: IntArray = np.ceil(gpus * (busy_w - pools.asleep_w[rows]) * pools.overhead[rows]).astype(np.int64)
    return np.maximum(watts, 0)


def continues(fleet: Fleet, demand: Demand, run: Run) -> bool:
    """Whether a run only goes on with what runs now: nothing is woken, moved or restarted."""
    return run.row == demand.current and run.start_ms <= fleet.now_ms


def price(fleet: Fleet, demand: Demand, runs: tuple[Run, ...]) -> Priced:
    """Score runs term by term from the slot costs; of a job of unknown length, what is to be expected of them."""
    sums = np.zeros(5, dtype=np.int64)
    energy_j = carbon_mg = wake = transfer = 0
    site, done_ms = demand.current_site, 0.0
    for run in runs:
        slots, at = slice(run.first, run.last), int(np.searchsorted(demand.rows, run.row))
        lost_ms = _lost_ms(fleet, demand, run, at, first=run is runs[0])
        used, whole = _used_ms(fleet, demand, run, at, done_ms, lost_ms), fleet.usable_ms[slots]
        sums += share(demand.costs.terms[:, run.row, slots], used, whole).sum(axis=1)
        energy_j += int(share(demand.costs.energy_j[run.row, slots], used, whole).sum())
        carbon_mg += int(share(demand.costs.carbon_mg[run.row, slots], used, whole).sum())
        if not continues(fleet, demand, run):
            wake += _likely(demand, int(demand.wake[at, run.first]), done_ms)
        if fleet.pools.site[run.row] != site:
            transfer += _likely(demand, int(demand.transfer[at, run.first]), done_ms)
            site = int(fleet.pools.site[run.row])
        done_ms += _work_ms(demand, run, at, lost_ms)
    terms = ScoreTerms(
        energy=int(sums[ENERGY]),
        carbon=int(sums[CARBON]),
        water=int(sums[WATER]),
        ask=int(sums[ASK]),
        transfer=transfer,
        wake=wake,
        risk=int(sums[RISK]),
        shadow=0,
    )
    return Priced(terms, energy_j, carbon_mg)


def held_work_ms(fleet: Fleet, demand: Demand, runs: tuple[Run, ...]) -> float:
    """Reference run time that runs have room for."""
    total = 0.0
    for run in runs:
        at = int(np.searchsorted(demand.rows, run.row))
        total += _work_ms(demand, run, at, _lost_ms(fleet, demand, run, at, first=run is runs[0]))
    return total


def _work_ms(demand: Demand, run: Run, at: int, lost_ms: int) -> float:
    return max(0, run.end_ms - run.start_ms - lost_ms) * int(demand.rate_ppm[at]) / units.PPM


def _lost_ms(fleet: Fleet, demand: Demand, run: Run, at: int, *, first: bool) -> int:
    """Time that a run loses before its work goes on."""
    if continues(fleet, demand, run):
        return settling_ms(fleet, demand.job)
    return int(demand.loss_ms[at, run.first]) if first else demand.stop_ms


def _used_ms(fleet: Fleet, demand: Demand, run: Run, at: int, done_ms: float, lost_ms: int) -> IntArray:
    """What a run uses of each of its slots, on average where the job may end before."""
    slots = slice(run.first, run.last)
    slot_end = fleet.begin_ms[slots] + fleet.usable_ms[slots]
    begin, end = np.maximum(run.start_ms, fleet.begin_ms[slots]), np.minimum(run.end_ms, slot_end)
    if demand.survival is None:
        used: IntArray = end - begin
        return used
    since_ms = np.append(begin, end[-1:]) - run.start_ms
    return to_integer(np.diff(demand.survival.held_ms(done_ms, lost_ms, int(demand.rate_ppm[at]), since_ms)))


def _likely(demand: Demand, usd_micro: int, done_ms: float) -> int:
    """A cost that arises only if the job has not ended before."""
    if demand.survival is None:
        return usd_micro
    return int(to_integer(usd_micro * demand.survival.alive_after(np.asarray(done_ms))))
