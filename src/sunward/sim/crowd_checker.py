"""Checks what a plan gave a crowd against the snapshot, as a second author: it shares no arithmetic with placement.

Columns over all jobs, swept moment by moment; nothing is counted in slots but the signals themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Like jobs of one row of the crowd that run together: one job, or so many of a cohort."""

    row: int
    jobs: int
    stretches: tuple[tuple[int, int, int, int], ...]
    """Row of `Snapshot.pools`, start, end, containers of each job."""
    energy_j: int = 0
    carbon_mg: int = 0
    free_read: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Uses:
    """Stretches of parts, one a row; those of a part together, in order of time."""

    part: IntArray
    job: IntArray
    """Row of the crowd."""
    pool: IntArray
    """Row of `Snapshot.pools`."""
    start_ms: IntArray
    end_ms: IntArray
    containers: IntArray
    """Of each job."""
    jobs: IntArray

    @property
    def held(self) -> IntArray:
        """Containers of all jobs."""
        return self.containers * self.jobs


def planned(snapshot: Snapshot, crowd: Crowd, plan: Plan) -> tuple[list[Part], list[str]]:
    """What the plan's own assignments give, and what is wrong with how they are named."""
    row_of = {job: row for row, job in enumerate(crowd.ids)}
    pool_of = {pool: row for row, pool in enumerate(snapshot.pools.ids)}
    faults: list[str] = []
    parts: list[Part] = []
    for one in plan.assignments:
        row = row_of.get(one.job, NOT_GIVEN)
        if row == NOT_GIVEN:
            continue
        if one.revision != crowd.revision[row]:
            faults.append(f"{one.job}: revision {one.revision} was read, the snapshot has {crowd.revision[row]}")
        if not one.segments or any(segment.pool not in pool_of for segment in one.segments):
            faults.append(f"{one.job}: no segments on known pools")
            continue
        where = tuple((pool_of[it.pool], it.start_ms, it.end_ms, it.containers) for it in one.segments)
        stated = {"energy_j": one.energy_j, "carbon_mg": one.carbon_mg, "free_read": one.free_read}
        parts.append(Part(row=row, jobs=1, stretches=where, **stated))
    for many in plan.cohorts:
        row = row_of.get(many.cohort, NOT_GIVEN)
        if row == NOT_GIVEN or many.revision != crowd.revision[row] or not set(many.pool) <= pool_of.keys():
            faults.append(f"{many.cohort}: no open cohort of revision {many.revision} on known pools")
            continue
        parts += [
            Part(
                row=row,
                jobs=many.jobs[at],
                stretches=((pool_of[pool], many.start_ms[at], many.end_ms[at], many.containers),),
                energy_j=many.energy_j[at],
                carbon_mg=many.carbon_mg[at],
                free_read=many.free_read[at],
            )
            for at, pool in enumerate(many.pool)
        ]
    return parts, [*faults, *_numbers(crowd, plan)]


def _numbers(crowd: Crowd, plan: Plan) -> Iterator[str]:
    """A cohort is told once, and whole: so many jobs have a place, and if those are not all the rest is refused."""
    size = dict(zip(crowd.ids, crowd.counts.tolist(), strict=True))
    single, refused = {one.job for one in plan.assignments}, {one.job for one in plan.unplaced}
    for job in single:
        if size.get(job, 1) > 1:
            yield f"{job}: a cohort of {size[job]} was given the place of one job"
    for name, times in Counter(one.cohort for one in plan.cohorts).items():
        if times > 1 or name in single:
            yield f"{name}: named several times"
    for many in plan.cohorts:
        placed, asked = sum(many.jobs), size.get(many.cohort, 0)
        if min(many.jobs, default=0) < 1 or placed > asked or (placed < asked) != (many.cohort in refused):
            yield f"{many.cohort}: {placed} of {asked} jobs have a place"


def standing(snapshot: Snapshot, crowd: Crowd, plan: Plan) -> list[Part]:
    """What jobs that the plan does not name go on holding."""
    named = {one.job for one in plan.assignments} | {one.job for one in plan.unplaced}
    named |= {one.cohort for one in plan.cohorts}
    counts = crowd.counts
    return [
        Part(
            row=row,
            jobs=int(counts[row]),
            stretches=((int(crowd.pool[row]), int(crowd.start_ms[row]), int(crowd.end_ms[row]), int(crowd.gpus[row])),),
        )
        for row, job in enumerate(crowd.ids)
        if job not in named and crowd.pool[row] != NOT_GIVEN and crowd.end_ms[row] > snapshot.now_ms
    ]


def crowd_faults(snapshot: Snapshot, crowd: Crowd, plan: Plan) -> Iterator[str]:
    """Everything that assignments of a crowd break by themselves; what they share is counted with all other jobs."""
    parts, faults = planned(snapshot, crowd, plan)
    uses = _uses(parts)
    yield from faults
    yield from _times(snapshot, crowd, uses)
    yield from _places(snapshot, crowd, uses)
    yield from _amounts(snapshot, crowd, uses, parts)


def _uses(parts: list[Part]) -> Uses:
    rows = [
        (number, part.row, *stretch, part.jobs)
        for number, part in enumerate(parts)
        for stretch in sorted(part.stretches, key=itemgetter(1))
    ]
    part, job, pool, start_ms, end_ms, containers, jobs = np.array(rows, dtype=np.int64).reshape(-1, 7).T
    return Uses(part=part, job=job, pool=pool, start_ms=start_ms, end_ms=end_ms, containers=containers, jobs=jobs)


def _said(crowd: Crowd, uses: Uses, broken: BoolArray, words: str) -> Iterator[str]:
    for row in np.unique(uses.job[broken]).tolist():
        yield f"{crowd.ids[row]}: {words}"


def _times(snapshot: Snapshot, crowd: Crowd, uses: Uses) -> Iterator[str]:
    job, begins = uses.job, np.append(True, uses.part[1:] != uses.part[:-1])[: len(uses.part)]
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
    done = np.bincount(uses.part, np.maximum(0, uses.end_ms - uses.start_ms - lost) * rate)
    short = done[uses.part] < crowd.length_ms[job] * (1 - FLOAT_TOLERANCE)
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


def _amounts(snapshot: Snapshot, crowd: Crowd, uses: Uses, parts: list[Part]) -> Iterator[str]:
    """Money, energy and emissions stated against sums over the overlaps with slots."""
    pools, part = snapshot.pools, uses.part
    hours = (uses.end_ms - uses.start_ms) / units.HOUR_MS
    ask = pools.ask_usd_per_h[uses.pool] * units.MICRO * uses.containers * hours
    price, spare = np.bincount(part, ask), np.bincount(part, uses.containers * hours + 2)
    budget = crowd.budget_usd_micro[uses.job]
    dear = (budget > 0) & (price[part] > budget + spare[part])
    yield from _said(crowd, uses, dear, "costs more than its budget")
    watts = pools.busy_w[uses.pool, crowd.work_class[uses.job]] * uses.held * pools.overhead[uses.pool]
    energy_j = np.bincount(part, watts * (uses.end_ms - uses.start_ms) / units.SECOND_MS)
    carbon_mg, overlaps = np.zeros(len(parts)), np.zeros(len(parts))
    for grams, touched in _by_slot(snapshot, uses, watts):
        carbon_mg += np.bincount(part, grams * units.MG_PER_G, len(parts))
        overlaps += np.bincount(part, touched, len(parts))
    for at, one in enumerate(parts):
        name, needed = crowd.ids[one.row], one.jobs * int(crowd.gpus[one.row])
        if abs(one.energy_j - energy_j[at]) > overlaps[at] + 1:
            yield f"{name}: states {one.energy_j} J, the segments take {energy_j[at]:.0f} J"
        if abs(one.carbon_mg - carbon_mg[at]) > overlaps[at] + 1:
            yield f"{name}: states {one.carbon_mg} mg, the segments emit {carbon_mg[at]:.0f} mg"
        if one.free_read < needed:
            yield f"{name}: read {one.free_read} free containers, needs {needed}"


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
    uses = _uses([*planned(snapshot, crowd, plan)[0], *standing(snapshot, crowd, plan)])
    return Shared(
        pool=uses.pool,
        start_ms=uses.start_ms,
        end_ms=uses.end_ms,
        containers=uses.held,
        above_sleep_w=above_sleep_w(snapshot, uses.pool, crowd.work_class[uses.job], uses.held),
        answerable=np.ones(len(uses.job), dtype=np.bool_),
    )


def joined(one: Shared, other: Shared) -> Shared:
    """Both together."""
    names = ("pool", "start_ms", "end_ms", "containers", "above_sleep_w", "answerable")
    return Shared(**{name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names})
