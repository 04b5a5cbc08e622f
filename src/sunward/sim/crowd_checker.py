"""Checks what a plan gave a crowd against the snapshot, as a second author: it shares no arithmetic with placement.

Columns over all jobs, swept moment by moment; nothing is counted in slots but the signals themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.model.plan import AwakeTarget, Plan
from sunward.world.crowd import NOT_GIVEN, Crowd
from sunward.world.snapshot import BoolArray, FloatArray, IntArray, Snapshot

RATE_STEP = 1 / units.PPM
"""Rates are planned in whole ppm, which for slow hardware is more than a fixed share."""
FLOAT_TOLERANCE = 1e-12
WATT_TOLERANCE = 1e-3
"""Sums of floats over a hundred thousand stretches are exact to less."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Uses:
    """Stretches that jobs hold, one a row."""

    job: IntArray
    """Row of the crowd."""
    pool: IntArray
    """Row of `Snapshot.pools`."""
    start_ms: IntArray
    end_ms: IntArray
    containers: IntArray


def planned(snapshot: Snapshot, crowd: Crowd, plan: Plan) -> tuple[Uses, list[str]]:
    """What the plan's own assignments give, and what is wrong with how they are named."""
    row_of = {job: row for row, job in enumerate(crowd.ids)}
    pool_of = {pool: row for row, pool in enumerate(snapshot.pools.ids)}
    faults: list[str] = []
    rows: list[tuple[int, int, int, int, int]] = []
    for one in plan.assignments:
        row = row_of.get(one.job, NOT_GIVEN)
        if row == NOT_GIVEN:
            continue
        if one.revision != crowd.revision[row]:
            faults.append(f"{one.job}: revision {one.revision} was read, the snapshot has {crowd.revision[row]}")
        if not one.segments or any(segment.pool not in pool_of for segment in one.segments):
            faults.append(f"{one.job}: no segments on known pools")
            continue
        rows += [(row, pool_of[part.pool], part.start_ms, part.end_ms, part.containers) for part in one.segments]
    return _uses(rows), faults


def standing(snapshot: Snapshot, crowd: Crowd, plan: Plan) -> Uses:
    """What jobs that the plan does not name go on holding."""
    named = {one.job for one in plan.assignments} | {one.job for one in plan.unplaced}
    rows = [
        (row, int(crowd.pool[row]), int(crowd.start_ms[row]), int(crowd.end_ms[row]), int(crowd.gpus[row]))
        for row, job in enumerate(crowd.ids)
        if job not in named and crowd.pool[row] != NOT_GIVEN and crowd.end_ms[row] > snapshot.now_ms
    ]
    return _uses(rows)


def crowd_faults(snapshot: Snapshot, crowd: Crowd, plan: Plan) -> Iterator[str]:
    """Everything that assignments of a crowd break by themselves; what they share is counted with all other jobs."""
    uses, faults = planned(snapshot, crowd, plan)
    yield from faults
    yield from _times(snapshot, crowd, uses)
    yield from _places(snapshot, crowd, uses)
    yield from _amounts(snapshot, crowd, uses, plan)


def _uses(rows: list[tuple[int, int, int, int, int]]) -> Uses:
    table = np.array(sorted(rows, key=lambda one: (one[0], one[2])), dtype=np.int64).reshape(-1, 5)
    job, pool, start_ms, end_ms, containers = table.T
    return Uses(job=job, pool=pool, start_ms=start_ms, end_ms=end_ms, containers=containers)


def _said(crowd: Crowd, uses: Uses, broken: BoolArray, words: str) -> Iterator[str]:
    for row in np.unique(uses.job[broken]).tolist():
        yield f"{crowd.ids[row]}: {words}"


def _times(snapshot: Snapshot, crowd: Crowd, uses: Uses) -> Iterator[str]:
    job, begins = uses.job, np.append(True, uses.job[1:] != uses.job[:-1])[: len(uses.job)]
    horizon_ms = snapshot.start_ms + snapshot.slots * snapshot.slot_ms
    before = np.where(begins, snapshot.now_ms, np.append(0, uses.end_ms[:-1])[: len(job)])
    yield from _said(crowd, uses, (uses.start_ms < before) | (uses.end_ms <= uses.start_ms), "begins too early")
    yield from _said(crowd, uses, uses.containers != crowd.gpus[job], "another number of containers than asked")
    yield from _said(crowd, uses, begins & (uses.start_ms < crowd.opens_ms[job]), "begins before it may")
    late = (crowd.start_by_ms[job] > 0) & (uses.start_ms > crowd.start_by_ms[job]) & (uses.start_ms > snapshot.now_ms)
    yield from _said(crowd, uses, begins & late, "start-by missed")
    yield from _said(crowd, uses, uses.end_ms > crowd.deadline_ms[job], "deadline missed")
    yield from _said(crowd, uses, uses.end_ms > horizon_ms, "ends after the horizon")
    yield from _said(crowd, uses, ~begins & ~crowd.pausable[job], "runs in one piece, got several segments")
    lost = np.where(begins, 0, snapshot.policy.switch_ms)
    rate = snapshot.pools.rate[uses.pool, crowd.work_class[job]] + RATE_STEP / 2
    done = np.bincount(job, np.maximum(0, uses.end_ms - uses.start_ms - lost) * rate, len(crowd.ids))
    short = done[job] < crowd.length_ms[job] * (1 - FLOAT_TOLERANCE)
    yield from _said(crowd, uses, short, "work not completed")


def _places(snapshot: Snapshot, crowd: Crowd, uses: Uses) -> Iterator[str]:
    pools, job, pool = snapshot.pools, uses.job, uses.pool
    yield from _said(crowd, uses, pools.count[pool] < crowd.gpus[job], "the pool has too few containers")
    yield from _said(crowd, uses, pools.memory_gib[pool] < crowd.memory_gib[job], "the pool has too little memory")
    for row, where in zip(job.tolist(), pool.tolist(), strict=True):
        models, countries = crowd.model_sets[crowd.models[row]], crowd.country_sets[crowd.countries[row]]
        if models and pools.gpu_model[where] not in models:
            yield f"{crowd.ids[row]}: {pools.ids[where]} has {pools.gpu_model[where]}, which is not accepted"
        if countries and pools.country[where] not in countries:
            yield f"{crowd.ids[row]}: {pools.ids[where]} is in {pools.country[where]}, which is not allowed"
        known = crowd.provider_sets[crowd.providers[row]]
        if pools.admission[where] != "anyone" and snapshot.sites[pools.site[where]] not in known:
            yield f"{crowd.ids[row]}: {pools.ids[where]} does not admit this tenant"


def _amounts(snapshot: Snapshot, crowd: Crowd, uses: Uses, plan: Plan) -> Iterator[str]:
    """Money, energy and emissions stated against sums over the overlaps with slots."""
    pools, jobs = snapshot.pools, len(crowd.ids)
    hours = (uses.end_ms - uses.start_ms) / units.HOUR_MS
    ask = pools.ask_usd_per_h[uses.pool] * units.MICRO * uses.containers * hours
    price = np.bincount(uses.job, ask, jobs)
    spare = np.bincount(uses.job, uses.containers * hours + 2, jobs)
    dear = (crowd.budget_usd_micro > 0) & (price > crowd.budget_usd_micro + spare)
    yield from _said(crowd, uses, dear[uses.job], "costs more than its budget")
    watts = pools.busy_w[uses.pool, crowd.work_class[uses.job]] * uses.containers * pools.overhead[uses.pool]
    energy_j = np.bincount(uses.job, watts * (uses.end_ms - uses.start_ms) / units.SECOND_MS, jobs)
    carbon_mg, overlaps = np.zeros(jobs), np.zeros(jobs)
    for grams, touched in _by_slot(snapshot, uses, watts):
        carbon_mg += np.bincount(uses.job, grams * units.MG_PER_G, jobs)
        overlaps += np.bincount(uses.job, touched, jobs)
    row_of = {job: row for row, job in enumerate(crowd.ids)}
    for one in plan.assignments:
        row = row_of.get(one.job, NOT_GIVEN)
        if row != NOT_GIVEN and abs(one.energy_j - energy_j[row]) > overlaps[row] + 1:
            yield f"{one.job}: states {one.energy_j} J, the segments take {energy_j[row]:.0f} J"
        if row != NOT_GIVEN and abs(one.carbon_mg - carbon_mg[row]) > overlaps[row] + 1:
            yield f"{one.job}: states {one.carbon_mg} mg, the segments emit {carbon_mg[row]:.0f} mg"
        if row != NOT_GIVEN and one.free_read < crowd.gpus[row]:
            yield f"{one.job}: read {one.free_read} free containers, needs {crowd.gpus[row]}"


def _by_slot(snapshot: Snapshot, uses: Uses, watts: FloatArray) -> Iterator[tuple[FloatArray, BoolArray]]:
    """Grams that each stretch emits in each slot, and whether it touches it."""
    zone = snapshot.pools.zone[uses.pool]
    for slot in range(snapshot.slots):
        begin = snapshot.start_ms + slot * snapshot.slot_ms
        overlap = np.minimum(uses.end_ms, begin + snapshot.slot_ms) - np.maximum(uses.start_ms, begin)
        kwh = watts * np.maximum(overlap, 0) / units.SECOND_MS / units.J_PER_KWH
        yield kwh * snapshot.carbon_g_per_kwh[zone, slot], overlap > 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shared:
    """Everything held on pools, by whomever, one row a stretch."""

    pool: IntArray
    start_ms: IntArray
    end_ms: IntArray
    containers: IntArray
    above_sleep_w: FloatArray
    answerable: BoolArray
    """The plan chose it, or let it stand for a job that waits."""


def shared_faults(snapshot: Snapshot, plan: Plan, held: Shared) -> Iterator[str]:
    """Pools and sites that are asked for more than they have, and containers that sleep when they are to run."""
    targets: dict[str, list[AwakeTarget]] = {}
    for target in plan.awake:
        targets.setdefault(target.pool, []).append(target)
    free = snapshot.pools.available - (0 if snapshot.standing is None else snapshot.standing.taken)
    order = np.argsort(held.pool, kind="stable")
    edges = np.searchsorted(held.pool[order], np.arange(len(snapshot.pools.ids) + 1))
    for row, pool in enumerate(snapshot.pools.ids):
        some = order[edges[row] : edges[row + 1]]
        if len(some):
            yield from _pool(snapshot, pool, free[row], held, some)
            yield from _awake(snapshot, pool, targets.get(pool, []), held, some)
    yield from _sites(snapshot, held)


def _level(at_ms: IntArray, start_ms: IntArray, end_ms: IntArray, amount: FloatArray) -> FloatArray:
    """The sum of what is held at each moment."""
    begun, ended = np.argsort(start_ms), np.argsort(end_ms)
    more = np.append(0.0, np.cumsum(amount[begun]))[np.searchsorted(start_ms[begun], at_ms, side="right")]
    less = np.append(0.0, np.cumsum(amount[ended]))[np.searchsorted(end_ms[ended], at_ms, side="right")]
    left: FloatArray = more - less
    return left


def _moments(snapshot: Snapshot, start_ms: IntArray) -> tuple[IntArray, IntArray]:
    """When something may be too much, and the slots of these moments."""
    borders = snapshot.start_ms + np.arange(snapshot.slots, dtype=np.int64) * snapshot.slot_ms
    horizon_ms = snapshot.start_ms + snapshot.slots * snapshot.slot_ms
    at_ms = np.unique(np.maximum(np.concatenate([borders, start_ms]), snapshot.now_ms))
    at_ms = at_ms[at_ms < horizon_ms]
    return at_ms, (at_ms - snapshot.start_ms) // snapshot.slot_ms


def _pool(snapshot: Snapshot, pool: str, free: IntArray, held: Shared, some: IntArray) -> Iterator[str]:
    start, end = held.start_ms[some], held.end_ms[some]
    at_ms, slot = _moments(snapshot, start)
    used = _level(at_ms, start, end, held.containers[some].astype(np.float64))
    blamed = _level(at_ms, start, end, held.answerable[some].astype(np.float64)) > 0
    for at in np.flatnonzero((used > free[slot]) & blamed).tolist():
        yield f"{pool} oversubscribed at {at_ms[at]}: {used[at]:.0f} of {free[slot[at]]}"


def _awake(snapshot: Snapshot, pool: str, targets: list[AwakeTarget], held: Shared, some: IntArray) -> Iterator[str]:
    ends = np.array([one.end_ms for one in targets], dtype=np.int64)
    starts = np.array([one.start_ms for one in targets], dtype=np.int64)
    count = np.array([one.count for one in targets], dtype=np.float64)
    at_ms = np.unique(np.maximum(np.concatenate([held.start_ms[some], ends]), snapshot.now_ms))
    needed = _level(at_ms, held.start_ms[some], held.end_ms[some], held.containers[some].astype(np.float64))
    awake = _level(at_ms, starts, ends, count)
    for at in np.flatnonzero(awake < needed).tolist():
        yield f"{pool} has {awake[at]:.0f} containers awake at {at_ms[at]}, {needed[at]:.0f} are planned to run"


def _sites(snapshot: Snapshot, held: Shared) -> Iterator[str]:
    pools = snapshot.pools
    asleep = np.bincount(pools.site, pools.asleep_w * pools.overhead * pools.count, len(snapshot.sites))
    for site in np.flatnonzero(np.isfinite(snapshot.site_ceiling_w).any(axis=1)).tolist():
        some = np.flatnonzero(pools.site[held.pool] == site)
        start, end = held.start_ms[some], held.end_ms[some]
        at_ms, slot = _moments(snapshot, start)
        drawn = asleep[site] + _level(at_ms, start, end, held.above_sleep_w[some])
        blamed = _level(at_ms, start, end, held.answerable[some].astype(np.float64)) > 0
        over = drawn > snapshot.site_ceiling_w[site, slot] + WATT_TOLERANCE
        for at in np.flatnonzero(over & blamed).tolist():
            ceiling = snapshot.site_ceiling_w[site, slot[at]]
            yield f"{snapshot.sites[site]} draws {drawn[at]:.0f} W at {at_ms[at]}, its ceiling is {ceiling:.0f} W"


def above_sleep_w(snapshot: Snapshot, pool: IntArray, work_class: IntArray, containers: IntArray) -> FloatArray:
    """Facility watts of busy containers above sleeping ones."""
    pools = snapshot.pools
    watts: FloatArray = (pools.busy_w[pool, work_class] - pools.asleep_w[pool]) * pools.overhead[pool] * containers
    return watts


def of_crowd(snapshot: Snapshot, crowd: Crowd, plan: Plan) -> Shared:
    """What the crowd holds once the plan is committed."""
    new, old = planned(snapshot, crowd, plan)[0], standing(snapshot, crowd, plan)
    job, pool, start, end, containers = (
        np.concatenate([getattr(new, name), getattr(old, name)])
        for name in ("job", "pool", "start_ms", "end_ms", "containers")
    )
    return Shared(
        pool=pool,
        start_ms=start,
        end_ms=end,
        containers=containers,
        above_sleep_w=above_sleep_w(snapshot, pool, crowd.work_class[job], containers),
        answerable=np.ones(len(job), dtype=np.bool_),
    )


def joined(one: Shared, other: Shared) -> Shared:
    """Both together."""
    names = ("pool", "start_ms", "end_ms", "containers", "above_sleep_w", "answerable")
    return Shared(**{name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names})
