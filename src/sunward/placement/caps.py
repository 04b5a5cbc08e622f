"""Power limits as choices: one more column beside pool and number of containers, where it can pay.

A limit makes a job slower, so its container is held and paid for longer; what it saves is energy. Where that can save
in no slot, at the job's price of carbon, the limit is left out before any table is made: jobs that pay a market price
for GPUs cost the search what they cost without limits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from sunward import units
from sunward.errors import InvariantError
from sunward.model.hardware import WorkClass
from sunward.model.job import JobSpec
from sunward.placement.filter import Fit, is_pausable, needed_ms, restart_ms
from sunward.placement.fleet import Fleet
from sunward.placement.score import RISK_FRAC, SlotCosts, carbon_usd_per_kwh, costs_on, joined, slot_costs
from sunward.world.snapshot import WORK_CLASSES, BoolArray, FloatArray, IntArray, JobView, PowerCaps

NOT_OFFERED = -1


@dataclass(frozen=True, slots=True, eq=False)
class Offers:
    """What running costs like jobs, with every number of containers and power limit they may be given."""

    costs: SlotCosts
    row: IntArray
    """(P, N, 1 + K) row of the costs, of no limit first; NOT_OFFERED where there is no such choice."""


Held = tuple[tuple[int, int], ...]
"""Pools and limits that a job has now: they stay choices whatever they cost."""
Book = dict[tuple[WorkClass, tuple[int, ...], int, int, Held], Offers]
"""By work class, counts of GPUs, carbon price, slots and what is held: like jobs share them."""


def offers_for(fleet: Fleet, job: JobView, book: Book) -> Offers:
    """Slot costs of a job, those of each count of containers after those of the one before, then those with limits."""
    spec = job.spec
    held = _held(fleet, job)
    key = (spec.work_class, spec.counts, spec.carbon_price_usd_per_t, fleet.slots, held)
    if key not in book:
        book[key] = _offers(fleet, spec, held)
    return book[key]


def _offers(fleet: Fleet, spec: JobSpec, held: Held) -> Offers:
    kind, price, pools = spec.work_class, spec.carbon_price_usd_per_t, len(fleet.pools.ids)
    tables = [slot_costs(fleet, kind, count, price) for count in spec.counts]
    chosen = worth(fleet, kind, price)
    for row, level in held:
        chosen[row, level - 1] = True
    rows = np.full((pools, len(spec.counts), 1 + chosen.shape[1]), NOT_OFFERED, dtype=np.int64)
    rows[:, :, 0] = np.arange(pools)[:, None] + pools * np.arange(len(spec.counts))
    following = pools * len(spec.counts)
    for level in np.flatnonzero(chosen.any(axis=0)).tolist():
        among = np.flatnonzero(chosen[:, level])
        busy_w = _caps(fleet).busy_w[among, WORK_CLASSES.index(kind), level]
        for place, count in enumerate(spec.counts):
            tables.append(costs_on(fleet, among, busy_w, count, price))
            rows[among, place, level + 1] = following + np.arange(len(among))
            following += len(among)
    return Offers(joined(tables), rows)


def worth(fleet: Fleet, work_class: WorkClass, carbon_price_usd_per_t: int) -> BoolArray:
    """(P, K) whether work under a limit costs less than without, in any slot: energy saved against time held longer."""
    caps = fleet.pools.caps
    if caps is None:
        return np.zeros((len(fleet.pools.ids), 0), dtype=np.bool_)
    kind, pools = WORK_CLASSES.index(work_class), fleet.pools
    found: BoolArray = caps.cap_w[:, kind] > 0
    for level in np.flatnonzero(found.any(axis=0)).tolist():
        rows = np.flatnonzero(found[:, level])
        longer = pools.rate[rows, kind] / caps.rate[rows, kind, level]
        saved_kw = (pools.busy_w[rows, kind] - caps.busy_w[rows, kind, level] * longer) / units.W_PER_KW
        per_kwh, per_h = _prices(fleet, rows, carbon_price_usd_per_t)
        found[rows, level] = (per_kwh * saved_kw[:, None] > per_h * (longer - 1.0)[:, None]).any(axis=1)
    return found


def _prices(fleet: Fleet, rows: IntArray, carbon_price_usd_per_t: int) -> tuple[FloatArray, FloatArray]:
    """(A, H), (A, H) micro-USD of a kWh of IT energy, and of holding a container for an hour."""
    policy, pools = fleet.policy, fleet.pools
    grams = fleet.carbon[rows] + RISK_FRAC * fleet.spread[rows]
    usd = fleet.price[rows] + carbon_usd_per_kwh(grams, carbon_price_usd_per_t)
    water = pools.water_l_per_kwh[rows][:, None] * policy.water_price_usd_micro_per_l
    per_kwh = usd * pools.overhead[rows][:, None] * units.MICRO + water
    delay_h = (fleet.begin_ms - fleet.now_ms) / units.HOUR_MS
    per_h = fleet.ask_usd_micro[rows][:, None] * (1.0 + delay_h * policy.delay_ppm_per_h / units.PPM)
    if fleet.shadow_usd_micro_per_h is not None:
        per_h = per_h + fleet.shadow_usd_micro_per_h[rows]
    return per_kwh, per_h


def with_caps(fleet: Fleet, job: JobView, fitting: Fit, offers: Offers) -> Fit:
    """The places of a job, each as often as there are power limits for it there."""
    if offers.row.shape[2] == 1 or not may_be_capped(job):
        return fitting
    spec = job.spec
    offered = offers.row[fitting.rows, np.searchsorted(spec.counts, fitting.counts)] != NOT_OFFERED
    offered[:, 1:] &= _fast_enough(fleet, spec, fitting.rows) | _kept(fleet, job, fitting.rows)
    at, levels = np.nonzero(offered)
    rows, counts = fitting.rows[at], fitting.counts[at]
    needed = needed_ms(fleet, job, fitting.hold_ms, rows, counts, levels)
    # A run in one piece is in time or is none; with pauses a part of the work may be done under any limit.
    in_time = fleet.now_ms + needed + restart_ms(fleet, job)[rows] <= spec.deadline_ms
    keep = (levels == 0) | in_time | is_pausable(job)
    return replace(fitting, rows=rows[keep], counts=counts[keep], levels=levels[keep], needed_ms=needed[keep])


def may_be_capped(job: JobView) -> bool:
    """Whether a slower run would be noticed in time: the job's length is known, and units show how far it is."""
    return job.lengths is None and job.spec.units > 1


def _fast_enough(fleet: Fleet, spec: JobSpec, rows: IntArray) -> BoolArray:
    """(A, K) whether a limit slows the job by no more than its tenant allows."""
    kind = WORK_CLASSES.index(spec.work_class)
    rate = _caps(fleet).rate[rows, kind]
    if not spec.max_slowdown_ppm:
        return np.ones(rate.shape, dtype=np.bool_)
    least = fleet.pools.rate[rows, kind] / (1.0 + max(0, spec.max_slowdown_ppm) / units.PPM)
    allowed: BoolArray = rate >= least[:, None]
    return allowed


def _kept(fleet: Fleet, job: JobView, rows: IntArray) -> BoolArray:
    """(A, K) limits that the job has now, or was given."""
    kept = np.zeros((len(rows), _caps(fleet).rate.shape[2]), dtype=np.bool_)
    for row, level in _held(fleet, job):
        kept[rows == row, level - 1] = True
    return kept


def _held(fleet: Fleet, job: JobView) -> Held:
    if fleet.pools.caps is None:
        return ()
    now = [(job.pool, job.power_cap_w), *((one.pool, one.power_cap_w) for one in job.segments)]
    return tuple(sorted(set(_levels(fleet, job.spec.work_class, now))))


def _levels(fleet: Fleet, work_class: WorkClass, given: list[tuple[str, int]]) -> Iterable[tuple[int, int]]:
    for pool, cap_w in given:
        if cap_w and pool in fleet.row:
            level = fleet.cap_level(fleet.row[pool], work_class, cap_w)
            if level:
                yield fleet.row[pool], level


def caps_w(fleet: Fleet, work_class: WorkClass, fitting: Fit) -> IntArray:
    """(A,) watts of the limits; 0 = none."""
    watts = np.zeros(len(fitting.rows), dtype=np.int64)
    at = np.flatnonzero(fitting.levels)
    if len(at):
        kind = WORK_CLASSES.index(work_class)
        watts[at] = _caps(fleet).cap_w[fitting.rows[at], kind, fitting.levels[at] - 1]
    return watts


def _caps(fleet: Fleet) -> PowerCaps:
    if fleet.pools.caps is None:
        raise InvariantError("power limits of a fleet that has none")
    return fleet.pools.caps
