"""Hard constraints: which pools a job may use at all, and the first reason that leaves none.

These look at what exists (`count`), never at what is free at the moment: load and lost agents pass, so they are left
to the board. A job that fails here is refused for good.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.model.hardware import Admission
from sunward.model.job import JobSpec
from sunward.model.plan import Unplaced
from sunward.model.trust import Dimension, Level, level_asked
from sunward.placement.fleet import Fleet
from sunward.placement.survival import promised_ms
from sunward.signals.latency import RTT_MS_MAE, rtt_ms, within
from sunward.world.snapshot import WORK_CLASSES, BoolArray, IntArray, JobView, PoolColumns

OF_THE_WHOLE = frozenset({"deadline", "horizon"})
"""Constraints on the end of a job, which a job with pauses may meet on several pools together."""
PASSING = frozenset({"reserve"})
"""Constraints that end by themselves: nobody is refused for good for a promise that someone else bought."""


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """(P,) run times of what remains."""

    fastest_ms: IntArray
    """On the most containers that the job can use there."""
    cheapest_ms: IntArray
    """On the least."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """The pools that meet every hard constraint."""

    rows: IntArray
    """(A,) rows of the fleet, in order of pool id; of an elastic job each once for every count it has there."""
    counts: IntArray
    """(A,) containers held at once, of one pool in rising order."""
    levels: IntArray
    """(A,) power limits, counted from 1 in the order of the pool's, rising; 0 = none."""
    needed_ms: IntArray
    """(A,) run time of what remains, start and restart apart; where it runs now, as if it ran on."""
    hold_ms: int
    """Reference run time that the plan must hold room for: all that remains, or as much as the promise asks."""
    residency: bool
    """The allowed countries ruled out a pool that meets all else."""


def remaining_ms(job: JobView) -> int:
    """Run time on the reference GPU that a plan must hold, rounded up, at least 1 ms.

    Of a job whose length is not known it is what the job does not exceed with the probability of its promise.
    """
    if job.lengths is not None:
        return promised_ms(job.lengths)
    left = max(0, job.spec.units - job.units_done)
    return max(1, -(-job.spec.length_ms * left // job.spec.units))


def is_pausable(job: JobView) -> bool:
    """A job that cannot show what it has done would lose it in a pause: it runs in one piece.

    Units show it; of a job whose length is not known, how long it has run is all there is to know.
    """
    return job.spec.interruptible and (job.spec.units > 1 or job.lengths is not None)


def stop_ms(fleet: Fleet, job: JobView) -> int:
    """Time lost by a stop and a start of the job."""
    return job.spec.stop_ms or fleet.policy.switch_ms


def is_promised(job: JobView) -> bool:
    """Whether the job was given a place already, or has begun."""
    return bool(job.segments) or not is_fresh(job)


def is_fresh(job: JobView) -> bool:
    """Whether the job has not begun: its first start costs no restart."""
    return not job.pool and job.units_done == 0 and not job.begun


def fit(fleet: Fleet, job: JobView) -> Fit | Unplaced:
    """The pools a job may use, or why there are none."""
    spec = job.spec
    if not fleet.pools.ids:
        return _refusal(job, "capacity", "no site has joined yet", permanent=False)
    if 0 < spec.start_by_ms < fleet.now_ms:
        late_h = units.hours(fleet.now_ms - spec.start_by_ms)
        return _refusal(job, "start_by", f"start-by passed {late_h:.2f} h ago", permanent=False)
    checks, hold_ms, times = _checks(fleet, job)
    left = np.ones(len(fleet.pools.ids), dtype=np.bool_)
    for reason, passed in checks.items():
        if not (left & passed).any():
            detail = _detail(fleet, spec, reason, left, times)
            return _refusal(job, reason, detail, permanent=reason not in PASSING)
        # A pool too slow to end a pausable job by itself can still do a part of it.
        if not (is_pausable(job) and reason in OF_THE_WHOLE):
            left &= passed
    others = np.logical_and.reduce([passed for reason, passed in checks.items() if reason != "country"])
    rows, counts = _with_counts(fleet, spec, np.flatnonzero(left))
    return Fit(
        rows=rows,
        counts=counts,
        levels=np.zeros_like(rows),
        needed_ms=needed_ms(fleet, job, hold_ms, rows, counts),
        hold_ms=hold_ms,
        residency=bool((others & ~checks["country"]).any()),
    )


def _with_counts(fleet: Fleet, spec: JobSpec, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Pools, each as often as there are counts that it has containers for, and these counts."""
    has = fleet.pools.count[rows][:, None] >= np.array(spec.counts)
    at, which = np.nonzero(has)
    return rows[at], np.array(spec.counts, dtype=np.int64)[which]


def _most(fleet: Fleet, spec: JobSpec) -> IntArray:
    """(P,) the most containers a job can use at once of each pool; the least where the pool is too small."""
    found = np.searchsorted(spec.counts, fleet.pools.count, side="right") - 1
    most: IntArray = np.array(spec.counts, dtype=np.int64)[np.maximum(found, 0)]
    return most


def rate_ppm(fleet: Fleet, spec: JobSpec, rows: IntArray, counts: IntArray, levels: IntArray | None = None) -> IntArray:
    """(A,) rate of a job on so many containers of each pool, against one reference GPU or the least number of them.

    `levels`: under these power limits.
    """
    kind = WORK_CLASSES.index(spec.work_class)
    rate: IntArray = fleet.rate_ppm[rows, kind]
    if levels is not None and fleet.pools.caps is not None and levels.any():
        capped = fleet.pools.caps.rate[rows, kind, np.maximum(levels - 1, 0)]
        rate = np.where(levels > 0, np.rint(capped * units.PPM).astype(np.int64), rate)
    if spec.elastic:
        rate = rate * np.array(spec.speedup_ppm, dtype=np.int64)[counts - spec.gpus] // units.PPM
    return rate


def removed(fleet: Fleet, job: JobView) -> dict[str, int]:
    """How many pools each hard constraint takes away; a pool counts for the first one it fails."""
    if not fleet.pools.ids:
        return {}
    counts: dict[str, int] = {}
    left = np.ones(len(fleet.pools.ids), dtype=np.bool_)
    for reason, passed in _checks(fleet, job)[0].items():
        stays = is_pausable(job) and reason in OF_THE_WHOLE and bool((left & passed).any())
        counts[reason] = 0 if stays else int((left & ~passed).sum())
        left &= passed | stays
    return counts


def _refusal(job: JobView, reason: str, detail: str, *, permanent: bool) -> Unplaced:
    return Unplaced(job=job.spec.job, revision=job.revision, reason=reason, detail=detail, permanent=permanent)


def _hold_ms(fleet: Fleet, job: JobView, fitting: BoolArray) -> int:
    """What a plan must hold room for.

    The longer a job of unknown length goes on, the longer it may yet take. One that was promised its place is not
    refused for that: it gets what can still be done in time; so does one that nothing was promised.
    """
    wanted = remaining_ms(job)
    if job.lengths is None or not fitting.any() or (job.lengths.promise_ppm and not is_promised(job)):
        return wanted
    rate = rate_ppm(fleet, job.spec, np.arange(len(fitting)), _most(fleet, job.spec))
    left_ms = min(job.spec.deadline_ms, fleet.end_ms) - fleet.now_ms - restart_ms(fleet, job)
    possible = int((left_ms * rate // units.PPM)[fitting].max())
    return min(wanted, possible) if possible > 0 else wanted


def needed_ms(
    fleet: Fleet, job: JobView, hold_ms: int, rows: IntArray, counts: IntArray, levels: IntArray | None = None
) -> IntArray:
    """(A,) run time of what remains; a pool without a rate never ends."""
    rate = rate_ppm(fleet, job.spec, rows, counts, levels)
    never = 2 * (fleet.end_ms - fleet.now_ms + fleet.slot_ms) + max(0, job.spec.deadline_ms - fleet.now_ms)
    needed: IntArray = np.where(rate > 0, -(-hold_ms * units.PPM // np.maximum(rate, 1)), never)
    if job.pool in fleet.row:
        here = rows == fleet.row[job.pool]
        needed[here] = np.maximum(1, needed[here] - unbanked_ms(job))
    return needed


def unbanked_ms(job: JobView) -> int:
    """Run time that counts only while the job runs on where it is: a job without units cannot bank it."""
    return job.elapsed_ms if job.pool and job.spec.units == 1 and job.lengths is None else 0


def restart_ms(fleet: Fleet, job: JobView) -> IntArray:
    """(P,) time lost before work goes on, when the job starts now on each pool."""
    lost = np.full(len(fleet.pools.ids), 0 if is_fresh(job) else stop_ms(fleet, job), dtype=np.int64)
    if job.pool in fleet.row:
        lost[fleet.row[job.pool]] = settling_ms(fleet, job)
    return lost


def settling_ms(fleet: Fleet, job: JobView) -> int:
    """What may be left of the start of a running job before its work goes on."""
    return max(0, stop_ms(fleet, job) - job.elapsed_ms) if job.pool else 0


def _checks(fleet: Fleet, job: JobView) -> tuple[dict[str, BoolArray], int, Times]:
    """Each constraint as (P,), in the order of reasons; what must be held, and the run times that takes."""
    checks = _lasting_checks(fleet, job)
    hold_ms = _hold_ms(fleet, job, np.logical_and.reduce(list(checks.values())))
    every, most = np.arange(len(fleet.pools.ids)), _most(fleet, job.spec)
    fastest = needed_ms(fleet, job, hold_ms, every, most)
    times = Times(fastest, needed_ms(fleet, job, hold_ms, every, np.full_like(most, job.spec.gpus)))
    return checks | _timed_checks(fleet, job, times), hold_ms, times


def _lasting_checks(fleet: Fleet, job: JobView) -> dict[str, BoolArray]:
    """What no length and no time changes."""
    spec, pools = job.spec, fleet.pools
    known = set(spec.known_providers)
    site_known = [fleet.sites[site] in known for site in pools.site.tolist()]
    checks = {
        "gpus": pools.count >= spec.gpus,
        "memory": pools.memory_gib >= spec.gpu_memory_gib,
        "model": np.array([not spec.gpu_models or model in spec.gpu_models for model in pools.gpu_model])
        & (fleet.rate_ppm[:, WORK_CLASSES.index(spec.work_class)] > 0),
        "country": np.array([not spec.allowed_countries or where in spec.allowed_countries for where in pools.country]),
        "latency": _near(fleet, spec),
        "evidence": believed(pools, spec),
        "admission": np.array([rule == Admission.ANYONE for rule in pools.admission]) | np.array(site_known),
    }
    if pools.not_promised is not None and not spec.interruptible:
        checks["reserve"] = pools.not_promised >= spec.gpus
    return checks


def believed(pools: PoolColumns, spec: JobSpec) -> BoolArray:
    """(P,) whose site is believed as the job asks, in every dimension it names."""
    found = np.ones(len(pools.ids), dtype=np.bool_)
    for dimension, level in map(level_asked, spec.evidence):
        found &= _ranks(pools, dimension) >= level.rank
    return found


def _ranks(pools: PoolColumns, dimension: Dimension) -> IntArray:
    if pools.evidence is None:
        return np.zeros(len(pools.ids), np.int64)
    ranks: IntArray = pools.evidence[:, tuple(Dimension).index(dimension)]
    return ranks


def _best_believed(pools: PoolColumns, spec: JobSpec, rows: list[int]) -> str:
    """The first dimension in which no fitting pool alone is believed enough; else that no pool has them all."""
    levels = tuple(Level)
    for dimension, level in map(level_asked, spec.evidence):
        best = levels[_ranks(pools, dimension)[rows].max()]
        if best.rank < level.rank:
            return f"best evidence of {dimension} at fitting pools is {best}; wanted {level}"
    return f"no fitting pool has all the evidence wanted: {', '.join(spec.evidence)}"


def _near(fleet: Fleet, spec: JobSpec) -> BoolArray:
    """(P,) within the latency bound; a zone whose place is not known is never taken to be near."""
    near = np.array(within(spec.origin_zone, fleet.zones, spec.latency_max_ms), dtype=np.bool_)
    return near[fleet.pools.zone]


def _nearest(fleet: Fleet, spec: JobSpec, rows: list[int]) -> str:
    """How far the nearest of some pools is."""
    there = {fleet.zones[zone] for zone in fleet.pools.zone[rows].tolist()}
    trips = [(trip, zone) for zone in sorted(there) if (trip := rtt_ms(spec.origin_zone, zone)) is not None]
    bound = f"{spec.latency_max_ms} ms from {spec.origin_zone} wanted"
    if not trips:
        return f"how far the fitting pools are is not known, at most {bound}"
    trip, zone = min(trips)
    away = f"{math.ceil(trip)} ms away in {zone} (modelled, error {RTT_MS_MAE} ms)"
    return f"nearest fitting pool is {away}, at most {bound}"


def _timed_checks(fleet: Fleet, job: JobView, times: Times) -> dict[str, BoolArray]:
    spec, restart = job.spec, restart_ms(fleet, job)
    in_time, least = times.fastest_ms + restart, times.cheapest_ms + restart
    return {
        "deadline": fleet.now_ms + in_time <= spec.deadline_ms,
        "horizon": fleet.now_ms + in_time <= fleet.end_ms,
        "budget": (price_usd_micro(fleet.ask_usd_micro, spec.gpus, least) <= spec.budget_usd_micro)
        | (spec.budget_usd_micro == 0),
    }


def price_usd_micro(ask_usd_micro: IntArray, gpus: int | IntArray, run_ms: IntArray) -> IntArray:
    """What the tenant pays for `gpus` containers over `run_ms`, as `units.price_usd_micro` for columns."""
    price: IntArray = gpus * run_ms * ask_usd_micro // units.HOUR_MS
    return price


def _detail(fleet: Fleet, spec: JobSpec, reason: str, left: BoolArray, times: Times) -> str:
    """Figures of the pools that were still left when the reason struck."""
    pools, rows = fleet.pools, np.flatnonzero(left).tolist()
    if reason == "gpus":
        return _largest(fleet, spec.gpus)
    if reason == "memory":
        return f"most memory is {max(pools.memory_gib[rows].tolist())} GiB, {spec.gpu_memory_gib} GiB wanted"
    if reason == "model":
        there = ", ".join(sorted({pools.gpu_model[row] for row in rows}))
        return f"fitting pools have {there}; wanted {', '.join(spec.gpu_models) or spec.work_class.value}"
    if reason == "country":
        there = ", ".join(sorted({pools.country[row] for row in rows}))
        return f"fitting pools are in {there}; allowed {', '.join(spec.allowed_countries)}"
    if reason == "latency":
        return _nearest(fleet, spec, rows)
    if reason == "evidence":
        return _best_believed(pools, spec, rows)
    if reason in ("reserve", "admission"):
        return _not_lent(pools, rows) if reason == "reserve" else _not_admitted(pools, rows)
    fastest_h = units.hours(min(times.fastest_ms[rows].tolist()))
    if reason == "deadline":
        due_h = units.hours(spec.deadline_ms - fleet.now_ms)
        return f"fastest fitting pool needs {fastest_h:.2f} h, deadline is in {due_h:.2f} h"
    if reason == "horizon":
        reach_h = units.hours(fleet.end_ms - fleet.now_ms)
        return f"fastest fitting pool needs {fastest_h:.2f} h, plans reach {reach_h:.2f} h"
    least = min(price_usd_micro(fleet.ask_usd_micro, spec.gpus, times.cheapest_ms)[rows].tolist())
    return f"least price is {least / units.MICRO:.2f} USD, budget is {spec.budget_usd_micro / units.MICRO:.2f} USD"


def _not_admitted(pools: PoolColumns, rows: list[int]) -> str:
    return f"none of {len({pools.site[row] for row in rows})} fitting sites admits this tenant"


def _not_lent(pools: PoolColumns, rows: list[int]) -> str:
    free = max(pools.not_promised[rows].tolist()) if pools.not_promised is not None else 0
    return f"fitting pools have at most {free} containers that back no promise; work that can pause may use them all"


def _largest(fleet: Fleet, gpus: int) -> str:
    at_site = np.zeros(len(fleet.sites), dtype=np.int64)
    np.add.at(at_site, fleet.pools.site, fleet.pools.count)
    if at_site.max() < gpus:
        return f"largest site has {at_site.max()}"
    return f"largest pool of one GPU model has {fleet.pools.count.max()}"
