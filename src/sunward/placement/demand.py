"""One job made ready for the search: where it fits, what it costs there, and what a start loses.

Axes: A pools that fit the job, H slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.model.hardware import WorkClass
from sunward.model.plan import ScoreTerms, Unplaced
from sunward.placement.caps import Book, caps_w, offers_for, with_caps
from sunward.placement.filter import Fit, fit, is_fresh, is_pausable, rate_ppm, settling_ms, stop_ms, unbanked_ms
from sunward.placement.fleet import Fleet
from sunward.placement.gravity import NOWHERE, Cargo, brought, cargo_of, moves
from sunward.placement.score import ASK, CARBON, ENERGY, RISK, SHADOW, WATER, SlotCosts, share, to_integer
from sunward.placement.survival import Survival, survival_of
from sunward.world.snapshot import WORK_CLASSES, BoolArray, IntArray, JobView

CostBook = Book
"""Slot costs that like jobs share."""


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch on one pool: the slots `[first, last)` are held, `[start_ms, end_ms)` is used."""

    row: int
    start_ms: int
    end_ms: int
    first: int
    last: int
    gpus: int
    """Containers held at once."""
    cap_w: int = 0
    """Power limit of each board; 0 = none."""


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
    cost_rows: IntArray
    """(A,) rows of the costs."""
    caps_w: IntArray
    """(A,) power limits; 0 = none."""
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
    """(A, H) micro-USD to bring the data from where it lies now."""
    cargo: Cargo
    need_w: IntArray
    """(A,) facility watts above sleeping, rounded up."""
    current: int
    """Row of the fleet it runs on, or NOWHERE."""
    here: BoolArray
    """(A,) where it runs on just as it does now."""
    pausable: bool

    @property
    def slots(self) -> int:
        """H: slots that are looked at, beyond which the job cannot end in time."""
        return int(self.delay_ms.shape[1])

    @property
    def gpus(self) -> int:
        """Containers needed at once, at least."""
        return self.job.spec.gpus

    @property
    def counts(self) -> IntArray:
        """(A,) containers held at once."""
        return self.fit.counts

    def fits(self, runs: tuple[Run, ...]) -> bool:
        """Whether every run is on a pool that fits, with a count and a power limit that are planned with."""
        known = set(zip(self.rows.tolist(), self.counts.tolist(), self.caps_w.tolist(), strict=True))
        return all((run.row, run.gpus, run.cap_w) in known for run in runs)

    def at(self, run: Run) -> int:
        """Position of a run's pool, count and power limit."""
        first = int(np.searchsorted(self.rows, run.row))
        if not self.fit.levels.any():
            return first + self.job.spec.counts.index(run.gpus)
        same = (self.rows == run.row) & (self.counts == run.gpus) & (self.caps_w == run.cap_w)
        return int(same.argmax())

    @property
    def rows(self) -> IntArray:
        """(A,) rows of the fleet, rising; each once for every count of an elastic job and every power limit."""
        return self.fit.rows


def demand_of(fleet: Fleet, job: JobView, book: CostBook) -> Demand | Unplaced:
    """Make a job ready, or say why it can never run."""
    fitting = fit(fleet, job)
    if isinstance(fitting, Unplaced):
        return fitting
    spec, fleet = job.spec, fleet.near(job.spec.deadline_ms)
    offers = offers_for(fleet, job, book)
    fitting = with_caps(fleet, job, fitting, offers)
    rows, counts, limits_w = fitting.rows, fitting.counts, caps_w(fleet, spec.work_class, fitting)
    costs, cost_rows = offers.costs, offers.row[rows, np.searchsorted(spec.counts, counts), fitting.levels]
    current, cargo = fleet.row.get(job.pool, NOWHERE), cargo_of(fleet, job)
    here = (rows == current) & (counts == job.held) & (limits_w == job.power_cap_w)
    asleep = _to_wake(fleet, job, rows, counts)
    woken_ms = fleet.now_ms + fleet.pools.wake_ms[rows][:, None]
    delay = np.maximum(0, woken_ms - fleet.begin_ms) * (asleep > 0)
    loss = np.full(delay.shape, 0 if is_fresh(job) else stop_ms(fleet, job), dtype=np.int64)
    loss[here] += unbanked_ms(job)
    loss[here, 0] = settling_ms(fleet, job)
    return Demand(
        job=job,
        fit=fitting,
        costs=costs,
        cost_rows=cost_rows,
        caps_w=limits_w,
        rate_ppm=rate_ppm(fleet, spec, rows, counts, fitting.levels),
        remaining_ms=fitting.hold_ms,
        survival=survival_of(job.lengths),
        limit_ms=min(spec.deadline_ms, fleet.end_ms),
        start_by_ms=spec.start_by_ms or fleet.end_ms,
        wait_ms=spec.wait_max_ms - job.waited_ms if spec.wait_max_ms else None,
        stop_ms=stop_ms(fleet, job),
        delay_ms=delay,
        loss_ms=loss,
        start_run=start_run(fleet, costs, cost_rows, delay),
        wake=to_integer(costs.wake_one[cost_rows] * asleep),
        transfer=brought(fleet, cargo, rows),
        cargo=cargo,
        need_w=need_w(fleet, rows, spec.work_class, counts, fitting.levels),
        current=current,
        here=here,
        pausable=is_pausable(job),
    )


def _to_wake(fleet: Fleet, job: JobView, rows: IntArray, counts: IntArray) -> IntArray:
    """(A, H) containers to wake: what is idle and awake serves a start now; later it will have been put to sleep."""
    asleep = np.repeat(counts[:, None], fleet.slots, axis=1)
    ready = fleet.idle_awake[rows]
    if job.pool in fleet.row:
        ready = ready + job.held * (rows == fleet.row[job.pool])
    asleep[:, 0] = np.maximum(0, counts - ready)
    return asleep


def start_run(fleet: Fleet, costs: SlotCosts, rows: IntArray, delay_ms: IntArray) -> IntArray:
    """(A, H) micro-USD of running through a slot from a start in it."""
    used = np.maximum(fleet.usable_ms - delay_ms, 0)
    run: IntArray = share(costs.terms[:, rows], used, fleet.usable_ms).sum(axis=0)
    return run


def need_w(
    fleet: Fleet, rows: IntArray, work_class: WorkClass, gpus: int | IntArray, levels: IntArray | None = None
) -> IntArray:
    """Facility watts that busy containers draw above sleeping ones, rounded up; `levels`: under power limits."""
    pools, kind = fleet.pools, WORK_CLASSES.index(work_class)
    busy_w = pools.busy_w[rows, kind]
    if levels is not None and pools.caps is not None and levels.any():
        busy_w = np.where(levels > 0, pools.caps.busy_w[rows, kind, np.maximum(levels - 1, 0)], busy_w)
    watts: IntArray = np.ceil(gpus * (busy_w - pools.asleep_w[rows]) * pools.overhead[rows]).astype(np.int64)
    return np.maximum(watts, 0)


def continues(fleet: Fleet, demand: Demand, run: Run) -> bool:
    """Whether a run only goes on with what runs now: nothing is woken, moved or restarted."""
    now = demand.current, demand.job.held, demand.job.power_cap_w
    return (run.row, run.gpus, run.cap_w) == now and run.start_ms <= fleet.now_ms


def price(fleet: Fleet, demand: Demand, runs: tuple[Run, ...]) -> Priced:
    """Score runs term by term from the slot costs; of a job of unknown length, what is to be expected of them."""
    sums = np.zeros(len(demand.costs.terms), dtype=np.int64)
    energy_j = carbon_mg = wake = transfer = 0
    last, done_ms = NOWHERE, 0.0
    for run in runs:
        slots, at = slice(run.first, run.last), demand.at(run)
        row = int(demand.cost_rows[at])
        lost_ms = _lost_ms(fleet, demand, run, at, first=run is runs[0])
        used, whole = _used_ms(fleet, demand, run, at, done_ms, lost_ms), fleet.usable_ms[slots]
        sums += share(demand.costs.terms[:, row, slots], used, whole).sum(axis=1)
        energy_j += int(share(demand.costs.energy_j[row, slots], used, whole).sum())
        carbon_mg += int(share(demand.costs.carbon_mg[row, slots], used, whole).sum())
        if not continues(fleet, demand, run):
            wake += _likely(demand, int(demand.wake[at, run.first]), done_ms)
        transfer += _likely(demand, _brought(fleet, demand, run, at, last), done_ms)
        last = run.row
        done_ms += _work_ms(demand, run, at, lost_ms)
    terms = ScoreTerms(
        energy=int(sums[ENERGY]),
        carbon=int(sums[CARBON]),
        water=int(sums[WATER]),
        ask=int(sums[ASK]),
        transfer=transfer,
        wake=wake,
        risk=int(sums[RISK]),
        shadow=int(sums[SHADOW]) if len(sums) > SHADOW else 0,
    )
    return Priced(terms, energy_j, carbon_mg)


def _brought(fleet: Fleet, demand: Demand, run: Run, at: int, last: int) -> int:
    """What it costs to bring the data to a run: from where it lies, or from the pool of the run before."""
    if last == NOWHERE:
        return int(demand.transfer[at, run.first])
    sites = fleet.pools.site[[last, run.row]]
    if not demand.cargo.size_bytes or sites[0] == sites[1]:
        return 0
    return int(moves(fleet, demand.cargo, sites[:1], np.array([run.row]))[0, 0, run.first])


def held_work_ms(fleet: Fleet, demand: Demand, runs: tuple[Run, ...]) -> float:
    """Reference run time that runs have room for."""
    total = 0.0
    for run in runs:
        at = demand.at(run)
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
