"""Checks a plan against the snapshot it was made from, as a second author: it shares no arithmetic with placement.

Time is swept moment by moment in exact fractions; nothing is counted in slots but the signals themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import acos, cos, inf, radians, sin

import numpy as np

from sunward import units
from sunward.model.identity import ZoneId
from sunward.model.plan import Assignment, Plan, Segment, Unplaced
from sunward.signals import zones
from sunward.sim.crowd_checker import Shared, above_sleep_w, crowd_faults, joined, of_crowd, shared_faults
from sunward.sim.outcomes import RATE_TOLERANCE, Stretch, promise_faults, used_of, work
from sunward.world.snapshot import WORK_CLASSES, JobView, Snapshot

REASONS = frozenset(
    {
        "gpus",
        "memory",
        "model",
        "country",
        "latency",
        "evidence",
        "admission",
        "reserve",
        "deadline",
        "horizon",
        "budget",
        "start_by",
        "capacity",
    },
)
DIMENSIONS = ("identity", "energy", "overhead", "renewables", "place", "age")
LEVELS = ("declared", "documented", "metered", "endorsed", "attested")
WATT_TOLERANCE = Fraction(1, units.MICRO)
TRIP_MS, TRIP_MS_PER_KM, EARTH_KM = 16.6, 0.01515, 6_371.0
"""The line of docs/planning.md."""
TRIP_TOLERANCE_MS = 0.01
"""Two figures of the Earth's radius, and what rounding makes of nearly equal directions."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A stretch that one job holds under the plan."""

    job: JobView
    segment: Segment
    answerable: bool
    """The plan chose it, or let it stand for a job that waits."""


def check_plan(snapshot: Snapshot, plan: Plan) -> list[str]:
    """Everything a plan breaks, in words; empty when it breaks nothing."""
    faults = _header(snapshot, plan)
    jobs = {job.spec.job: job for job in snapshot.jobs}
    crowd = snapshot.crowd
    many = {} if crowd is None else dict(zip(crowd.ids, crowd.revision.tolist(), strict=True))
    for assignment in plan.assignments:
        job = jobs.get(assignment.job)
        if assignment.job in many:
            continue
        if job is None:
            faults.append(f"{assignment.job}: not an open job")
            continue
        faults += [f"{assignment.job}: {fault}" for fault in _assignment(snapshot, job, assignment)]
    for unplaced in plan.unplaced:
        job = jobs.get(unplaced.job)
        revision = many.get(unplaced.job) if job is None else job.revision
        faults += [f"{unplaced.job}: {fault}" for fault in _refusal(revision, unplaced)]
    held = _held(snapshot, plan)
    if crowd is not None:
        shared = joined(of_crowd(snapshot, crowd, plan), _shared(snapshot, held))
        return [*faults, *crowd_faults(snapshot, crowd, plan), *shared_faults(snapshot, plan, shared)]
    faults += [*_pool_faults(snapshot, held), *_ceiling_faults(snapshot, held), *_awake_faults(snapshot, plan, held)]
    return faults


def _header(snapshot: Snapshot, plan: Plan) -> list[str]:
    faults = []
    if (plan.based_on, plan.at_ms) != (snapshot.based_on, snapshot.now_ms):
        faults.append(f"plan is based on {plan.based_on} at {plan.at_ms}, not on this snapshot")
    names = Counter([*(one.job for one in plan.assignments), *(one.job for one in plan.unplaced)])
    faults += [f"{name}: named {times} times" for name, times in sorted(names.items()) if times > 1]
    return faults


def _refusal(revision: int | None, unplaced: Unplaced) -> Iterator[str]:
    if revision is None:
        yield "not an open job"
        return
    if unplaced.revision != revision:
        yield f"revision {unplaced.revision} was read, the snapshot has {revision}"
    if unplaced.reason not in REASONS or not unplaced.detail:
        yield f"refused without a known reason and figures: {unplaced.reason!r} {unplaced.detail!r}"


def _assignment(snapshot: Snapshot, job: JobView, assignment: Assignment) -> Iterator[str]:
    if job.fixed:
        yield "is fixed and may not be planned"
    if assignment.revision != job.revision:
        yield f"revision {assignment.revision} was read, the snapshot has {job.revision}"
    needed = min((one.containers for one in assignment.segments), default=0)
    if assignment.free_read < needed:
        yield f"read {assignment.free_read} free containers, needs {needed}"
    unknown = [one.pool for one in assignment.segments if one.pool not in snapshot.pools.ids]
    if unknown or not assignment.segments:
        yield f"no segments on known pools: {unknown}"
        return
    yield from _times(snapshot, job, assignment.segments)
    for pool in sorted({one.pool for one in assignment.segments}):
        yield from _pool_constraints(snapshot, job, snapshot.pools.ids.index(pool))
    yield from _work(snapshot, job, assignment.segments)
    yield from _limits(snapshot, job, assignment.segments)
    yield from _pauses(snapshot, job, assignment.segments)
    if job.lengths is not None:
        yield from promise_faults(job, job.lengths, assignment, list(_stretches(snapshot, job, assignment.segments)))
    yield from _money(snapshot, job, assignment.segments)
    yield from _physics(snapshot, job, assignment)


def _times(snapshot: Snapshot, job: JobView, segments: tuple[Segment, ...]) -> Iterator[str]:
    horizon_ms = snapshot.start_ms + snapshot.slots * snapshot.slot_ms
    before = snapshot.now_ms
    for one in segments:
        if one.start_ms < before or one.end_ms <= one.start_ms:
            yield f"segment {one.start_ms}–{one.end_ms} begins before {before} or is empty"
        before = one.end_ms
        least, most = job.spec.gpus, max(job.spec.gpus, job.spec.gpus_max)
        if not least <= one.containers <= most:
            yield f"{one.containers} containers for a gang of {least} to {most}"
    if 0 < job.spec.start_by_ms < segments[0].start_ms and segments[0].start_ms > snapshot.now_ms:
        yield f"start-by {job.spec.start_by_ms} missed: starts {segments[0].start_ms}"
    if before > job.spec.deadline_ms:
        yield f"deadline {job.spec.deadline_ms} missed: ends {before}"
    if before > horizon_ms:
        yield f"ends {before}, after the horizon {horizon_ms}"
    if len(segments) > 1 and not job.spec.interruptible:
        yield f"runs in one piece, got {len(segments)} segments"


def _pauses(snapshot: Snapshot, job: JobView, segments: tuple[Segment, ...]) -> Iterator[str]:
    """How long it stands still, and how long it runs between two pauses."""
    spec = job.spec
    still_ms = segments[-1].end_ms - snapshot.now_ms - sum(one.end_ms - one.start_ms for one in segments)
    soonest = still_ms == segments[0].start_ms - snapshot.now_ms < snapshot.slot_ms
    left_ms = spec.wait_max_ms - job.waited_ms
    if spec.wait_max_ms and left_ms >= 0 and still_ms > left_ms and not soonest:
        yield f"stands still for {still_ms} ms more, {left_ms} ms are left"
    for one in segments[:-1]:
        before_ms = job.elapsed_ms if one.pool == job.pool and one.start_ms == snapshot.now_ms else 0
        if before_ms + one.end_ms - one.start_ms < spec.min_run_ms:
            yield f"runs for {one.end_ms - one.start_ms} ms, at least {spec.min_run_ms} ms are asked"


def _pool_constraints(snapshot: Snapshot, job: JobView, row: int) -> Iterator[str]:
    spec, pools = job.spec, snapshot.pools
    pool = pools.ids[row]
    if pools.count[row] < spec.gpus:
        yield f"{pool} has {pools.count[row]} containers, {spec.gpus} wanted"
    if pools.memory_gib[row] < spec.gpu_memory_gib:
        yield f"{pool} has {pools.memory_gib[row]} GiB, {spec.gpu_memory_gib} wanted"
    if spec.gpu_models and pools.gpu_model[row] not in spec.gpu_models:
        yield f"{pool} has {pools.gpu_model[row]}, which is not accepted"
    if spec.allowed_countries and pools.country[row] not in spec.allowed_countries:
        yield f"{pool} is in {pools.country[row]}, which is not allowed"
    trip_ms = _trip_ms(spec.origin_zone, snapshot.zones[pools.zone[row]])
    if spec.latency_max_ms and trip_ms > spec.latency_max_ms + TRIP_TOLERANCE_MS:
        yield f"{pool} is {trip_ms:.0f} ms away, at most {spec.latency_max_ms} are allowed"
    for word in spec.evidence:
        dimension, _, wanted = word.partition("=")
        held = 0 if pools.evidence is None else int(pools.evidence[row][DIMENSIONS.index(dimension)])
        if held < LEVELS.index(wanted):
            yield f"{pool} is believed {LEVELS[held]} in {dimension}, {wanted} is asked"
    if pools.admission[row] != "anyone" and snapshot.sites[pools.site[row]] not in spec.known_providers:
        yield f"{pool} does not admit this tenant"


def _trip_ms(origin: str, zone: str) -> float:
    """Round trip by the angle between two directions from the Earth's centre; without end to a place not known."""
    known = {one.zone: one for one in zones.load().zones if one.zone in {origin, zone}}
    if len(known) < len({origin, zone}):
        return inf
    (x1, y1, z1), (x2, y2, z2) = (_direction(known[ZoneId(one)]) for one in (origin, zone))
    angle = acos(min(1.0, max(-1.0, x1 * x2 + y1 * y2 + z1 * z2)))
    return TRIP_MS + angle * EARTH_KM * TRIP_MS_PER_KM


def _direction(zone: zones.Zone) -> tuple[float, float, float]:
    across, up = radians(zone.lon), radians(zone.lat)
    return cos(up) * cos(across), cos(up) * sin(across), sin(up)


def _stretches(snapshot: Snapshot, job: JobView, segments: tuple[Segment, ...]) -> Iterator[Stretch]:
    """Each start but the very first of a job loses the stop and restart time, or what is left of it, before work."""
    spec, where = job.spec, WORK_CLASSES.index(job.spec.work_class)
    stop_ms = spec.stop_ms or snapshot.policy.switch_ms
    last = job.pool, job.gpus or spec.gpus, job.power_cap_w, snapshot.now_ms
    started = bool(job.pool) or job.units_done > 0 or job.begun
    for one in segments:
        goes_on = (one.pool, one.containers, one.power_cap_w, one.start_ms) == last
        lost = 0 if goes_on or not started else stop_ms
        if goes_on and one is segments[0]:
            known_whole = spec.units == 1 and job.lengths is None
            lost = max(0, stop_ms - job.elapsed_ms) - (job.elapsed_ms if known_whole else 0)
        rate = Fraction(_under_limit(snapshot, one, where)[1])
        if spec.gpus_max > spec.gpus:
            rate *= Fraction(spec.speedup_ppm[one.containers - spec.gpus], units.PPM)
        yield Stretch(one, lost, rate)
        started, last = True, (one.pool, one.containers, one.power_cap_w, one.end_ms)


def _under_limit(snapshot: Snapshot, segment: Segment, where: int) -> tuple[float, float]:
    """IT watts and rate of one container in a class of work, under the segment's power limit if it has a known one."""
    pools, row = snapshot.pools, snapshot.pools.ids.index(segment.pool)
    if pools.caps is not None:
        for at, cap_w in enumerate(pools.caps.cap_w[row, where].tolist()):
            if 0 < cap_w == segment.power_cap_w:
                return float(pools.caps.busy_w[row, where, at]), float(pools.caps.rate[row, where, at])
    return float(pools.busy_w[row, where]), float(pools.rate[row, where])


def _limits(snapshot: Snapshot, job: JobView, segments: tuple[Segment, ...]) -> Iterator[str]:
    """Power limits that the site can set, on jobs that can be seen to fall behind, and as slow as the tenant allows."""
    where, allowed = WORK_CLASSES.index(job.spec.work_class), job.spec.max_slowdown_ppm
    before = {job.power_cap_w, *(one.power_cap_w for one in job.segments)}
    for one in segments:
        if not one.power_cap_w:
            continue
        row, caps = snapshot.pools.ids.index(one.pool), snapshot.pools.caps
        if caps is None or one.power_cap_w not in caps.cap_w[row, where].tolist():
            yield f"{one.pool} cannot be limited to {one.power_cap_w} W"
            continue
        if job.lengths is not None or job.spec.units == 1:
            yield f"limited to {one.power_cap_w} W, and nobody would see that it is late"
        slower = Fraction(float(snapshot.pools.rate[row, where])) / Fraction(_under_limit(snapshot, one, where)[1])
        most = 1 + Fraction(max(0, allowed), units.PPM) * (1 + RATE_TOLERANCE)
        if allowed and slower > most and one.power_cap_w not in before:
            yield f"limited to {one.power_cap_w} W it takes {float(slower):.3f} times as long"


def _work(snapshot: Snapshot, job: JobView, segments: tuple[Segment, ...]) -> Iterator[str]:
    spec = job.spec
    wanted = Fraction(spec.length_ms * (spec.units - job.units_done), spec.units)
    done = work(_stretches(snapshot, job, segments))
    if job.lengths is None and done < wanted * (1 - RATE_TOLERANCE):
        yield f"work not completed: {float(done):.0f} of {float(wanted):.0f} reference ms"


def _money(snapshot: Snapshot, job: JobView, segments: tuple[Segment, ...]) -> Iterator[str]:
    budget = job.spec.budget_usd_micro
    price = Fraction(0)
    for one in segments:
        ask = Fraction(float(snapshot.pools.ask_usd_per_h[snapshot.pools.ids.index(one.pool)])) * units.MICRO
        price += ask * one.containers * Fraction(one.end_ms - one.start_ms, units.HOUR_MS)
    # The ask is charged in whole micro-USD an hour and the price rounded down, hence one per hour and segment.
    spare = len(segments) + sum(one.containers * (one.end_ms - one.start_ms) // units.HOUR_MS + 1 for one in segments)
    if budget and price > budget + spare:
        yield f"costs {float(price):.0f} micro-USD, the budget is {budget}"


def _physics(snapshot: Snapshot, job: JobView, assignment: Assignment) -> Iterator[str]:
    """Facility energy and emissions stated against a sum over the slots' overlaps, outcome by outcome."""
    energy_j, carbon_mg, overlaps = 0.0, 0.0, 0
    for chance, used in _outcomes(snapshot, job, assignment.segments):
        one_j, one_mg, touched = _used(snapshot, job, used)
        energy_j, carbon_mg = energy_j + chance * one_j, carbon_mg + chance * one_mg
        overlaps = max(overlaps, touched)
    spare = overlaps + 1
    if abs(assignment.energy_j - energy_j) > spare + (0.0 if job.lengths is None else energy_j * float(RATE_TOLERANCE)):
        yield f"states {assignment.energy_j} J, the segments take {energy_j:.0f} J"
    if abs(assignment.carbon_mg - carbon_mg) > spare + (
        0.0 if job.lengths is None else carbon_mg * float(RATE_TOLERANCE)
    ):
        yield f"states {assignment.carbon_mg} mg, the segments emit {carbon_mg:.0f} mg"


def _outcomes(
    snapshot: Snapshot, job: JobView, segments: tuple[Segment, ...]
) -> Iterator[tuple[float, tuple[Segment, ...]]]:
    """Each way it may go, with its probability: what is used of the segments."""
    if job.lengths is None:
        yield 1.0, segments
        return
    stretches = list(_stretches(snapshot, job, segments))
    for wanted, chance in zip(job.lengths.remaining_ms, job.lengths.weight_ppm, strict=True):
        yield chance / units.PPM, used_of(stretches, wanted)


def _used(snapshot: Snapshot, job: JobView, segments: tuple[Segment, ...]) -> tuple[float, float, int]:
    """Energy, emissions, and the number of overlaps with slots."""
    pools, where = snapshot.pools, WORK_CLASSES.index(job.spec.work_class)
    energy_j = carbon_mg = 0.0
    overlaps = 0
    for one in segments:
        row = pools.ids.index(one.pool)
        watts = _under_limit(snapshot, one, where)[0] * one.containers * float(pools.overhead[row])
        for slot, overlap_ms in _overlaps(snapshot, one):
            used_j = watts * overlap_ms / units.SECOND_MS
            energy_j += used_j
            grams = used_j / units.J_PER_KWH * float(snapshot.carbon_g_per_kwh[pools.zone[row], slot])
            carbon_mg += grams * units.MG_PER_G
            overlaps += 1
    return energy_j, carbon_mg, overlaps


def _overlaps(snapshot: Snapshot, segment: Segment) -> Iterator[tuple[int, int]]:
    for slot in range(snapshot.slots):
        begin = snapshot.start_ms + slot * snapshot.slot_ms
        overlap = min(segment.end_ms, begin + snapshot.slot_ms) - max(segment.start_ms, begin)
        if overlap > 0:
            yield slot, overlap


def _held(snapshot: Snapshot, plan: Plan) -> list[_Held]:
    """What is held once the plan is committed: named jobs as planned, refused ones nothing, others as before."""
    chosen = {one.job: one.segments for one in plan.assignments}
    refused = {one.job for one in plan.unplaced}
    held = []
    for job in snapshot.jobs:
        if job.spec.job in refused:
            continue
        named = job.spec.job in chosen
        # What runs already and is left alone may exceed what its site now offers; that is not the plan's doing.
        answerable = named or not (job.fixed or job.pool)
        held += [
            _Held(job, one, answerable)
            for one in chosen.get(job.spec.job, job.segments)
            if one.end_ms > snapshot.now_ms and one.pool in snapshot.pools.ids
        ]
    return held


def _shared(snapshot: Snapshot, held: list[_Held]) -> Shared:
    """The same as columns."""
    row_of = {pool: row for row, pool in enumerate(snapshot.pools.ids)}
    columns = [
        (
            row_of[one.segment.pool],
            one.segment.start_ms,
            one.segment.end_ms,
            one.segment.containers,
            WORK_CLASSES.index(one.job.spec.work_class),
            int(one.answerable),
        )
        for one in held
    ]
    pool, start, end, containers, work_class, answerable = np.array(columns, dtype=np.int64).reshape(-1, 6).T
    return Shared(
        pool=pool,
        start_ms=start,
        end_ms=end,
        containers=containers,
        above_sleep_w=above_sleep_w(snapshot, pool, work_class, containers),
        answerable=answerable.astype(np.bool_),
    )


def _active(held: list[_Held], at_ms: int) -> list[_Held]:
    return [one for one in held if one.segment.start_ms <= at_ms < one.segment.end_ms]


def _pool_faults(snapshot: Snapshot, held: list[_Held]) -> Iterator[str]:
    for row, pool in enumerate(snapshot.pools.ids):
        here = [one for one in held if one.segment.pool == pool]
        free_by_slot = snapshot.pools.available[row].tolist()
        changes = [slot for slot in range(1, snapshot.slots) if free_by_slot[slot] != free_by_slot[slot - 1]]
        borders = {snapshot.start_ms + slot * snapshot.slot_ms for slot in changes}
        for at in sorted({max(one.segment.start_ms, snapshot.now_ms) for one in here} | borders):
            now = _active(here, at)
            used = sum(one.segment.containers for one in now)
            slot = (at - snapshot.start_ms) // snapshot.slot_ms
            free = free_by_slot[slot] if slot < snapshot.slots else 0
            if used > free and any(one.answerable for one in now):
                yield f"{pool} oversubscribed at {at}: {used} of {free}"


def _ceiling_faults(snapshot: Snapshot, held: list[_Held]) -> Iterator[str]:
    pools = snapshot.pools
    borders = [snapshot.start_ms + slot * snapshot.slot_ms for slot in range(snapshot.slots)]
    for site, name in enumerate(snapshot.sites):
        rows = [row for row in range(len(pools.ids)) if pools.site[row] == site]
        here = [one for one in held if pools.ids.index(one.segment.pool) in rows]
        asleep = sum(_watts(snapshot, row, float(pools.asleep_w[row])) * int(pools.count[row]) for row in rows)
        for at in sorted({max(snapshot.now_ms, moment) for moment in [*borders, *(h.segment.start_ms for h in here)]}):
            now, slot = _active(here, at), (at - snapshot.start_ms) // snapshot.slot_ms
            if slot >= snapshot.slots or not any(one.answerable for one in now):
                continue
            ceiling = float(snapshot.site_ceiling_w[site, slot])
            drawn = asleep + sum(_above_sleep(snapshot, one) for one in now)
            if ceiling != float("inf") and drawn > Fraction(ceiling) + WATT_TOLERANCE:
                yield f"{name} draws {float(drawn):.0f} W at {at}, its ceiling is {ceiling:.0f} W"


def _watts(snapshot: Snapshot, row: int, it_w: float) -> Fraction:
    return Fraction(it_w) * Fraction(float(snapshot.pools.overhead[row]))


def _above_sleep(snapshot: Snapshot, held: _Held) -> Fraction:
    row = snapshot.pools.ids.index(held.segment.pool)
    busy, _ = _under_limit(snapshot, held.segment, WORK_CLASSES.index(held.job.spec.work_class))
    asleep = float(snapshot.pools.asleep_w[row])
    return (_watts(snapshot, row, busy) - _watts(snapshot, row, asleep)) * held.segment.containers


def _awake_faults(snapshot: Snapshot, plan: Plan, held: list[_Held]) -> Iterator[str]:
    for pool in snapshot.pools.ids:
        here = [one for one in held if one.segment.pool == pool]
        targets = [one for one in plan.awake if one.pool == pool]
        starts = {one.segment.start_ms for one in here} | {one.end_ms for one in targets}
        for at in sorted(max(start, snapshot.now_ms) for start in starts):
            needed = sum(one.segment.containers for one in _active(here, at))
            awake = sum(one.count for one in targets if one.start_ms <= at < one.end_ms)
            if awake < needed:
                yield f"{pool} has {awake} containers awake at {at}, {needed} are planned to run"
