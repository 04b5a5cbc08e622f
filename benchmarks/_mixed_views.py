"""Jobs of `_mixed` as the planner sees them, and the planner where all of them and the true series are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks._crowds import with_crowd
from benchmarks._mixed import Mixed, name_of
from benchmarks._mixed_lp import LATE, Asked
from benchmarks._zone_pools import USD_PER_T
from sunward.errors import InvariantError
from sunward.model.hardware import WorkClass
from sunward.model.identity import JobId, TenantId, ZoneId
from sunward.model.job import JobSpec
from sunward.model.plan import Plan, Segment
from sunward.placement.planner import plan
from sunward.units import HOUR_MS, W_PER_KW
from sunward.world.snapshot import FloatArray, IntArray, JobView, Snapshot

HALVES = 2
"""Units of an hour of work: even a job of one hour shows its progress, so that it may pause."""


def view_of(mixed: Mixed, one: int, done_h: int = 0, segments: tuple[Segment, ...] = ()) -> JobView:
    """One job for the planner."""
    length_h = int(mixed.length_h[one])
    spec = JobSpec(
        job=JobId(name_of(one)),
        tenant=TenantId("tenant"),
        commitment="",
        origin_zone=ZoneId("none"),
        work_class=WorkClass.GENERIC,
        gpus=int(mixed.gpus[one]),
        length_ms=length_h * HOUR_MS,
        units=length_h * HALVES,
        interruptible=bool(mixed.pausable[one]),
        deadline_ms=(mixed.first_hour + int(mixed.deadline_h[one])) * HOUR_MS,
        carbon_price_usd_per_t=USD_PER_T,
        allowed_countries=tuple(mixed.zones[zone] for zone in mixed.allowed[one].tolist()),
    )
    return JobView(
        spec=spec,
        revision=0,
        units_done=done_h * HALVES,
        elapsed_ms=0,
        pool="",
        fixed=False,
        segments=segments,
        opens_ms=(mixed.first_hour + int(mixed.arrival_h[one])) * HOUR_MS,
    )


def world_of(mixed: Mixed, hour: int, expected: FloatArray, jobs: tuple[JobView, ...]) -> Snapshot:
    """What is seen at an hour: expected intensities (Z, H) from it on, and jobs."""
    now_ms = (mixed.first_hour + hour) * HOUR_MS
    bare = with_crowd(mixed.zones, expected, now_ms, mixed.containers, float(W_PER_KW), None)
    return replace(bare, jobs=jobs)


def all_asked(mixed: Mixed) -> Asked:
    """All jobs and the true series, for the linear programme."""
    return Asked(
        gpus=mixed.gpus,
        hours=mixed.length_h,
        opens=mixed.arrival_h,
        deadline=mixed.deadline_h,
        pausable=mixed.pausable,
        allowed=mixed.allowed,
        cost=mixed.intensity,
        free=np.full(mixed.intensity.shape, mixed.containers),
    )


def true_plan(mixed: Mixed) -> Plan:
    """What the planner makes of all jobs and the true series, before the first hour."""
    jobs = tuple(view_of(mixed, one) for one in range(len(mixed.gpus)))
    return plan(world_of(mixed, 0, mixed.intensity, jobs))


def cost_of(mixed: Mixed, made: Plan) -> float:
    """Emissions of a plan from its segments alone; an hour left undone costs what it costs the linear programme.

    Raises: InvariantError where the plan breaks a rule of the instance.
    """
    zone = {name: row for row, name in enumerate(mixed.zones)}
    held = np.zeros(mixed.intensity.shape, dtype=np.int64)
    done = np.zeros(len(mixed.gpus), dtype=np.int64)
    emitted = 0.0
    for one in made.assignments:
        job, hours = int(one.job), _hours(mixed, one.segments)
        if len(set(hours.tolist())) < len(hours) or (len(one.segments) > 1 and not mixed.pausable[job]):
            raise InvariantError(f"job {job} runs twice at once, or pauses and may not")
        if hours.min() < mixed.arrival_h[job] or hours.max() >= mixed.deadline_h[job]:
            raise InvariantError(f"job {job} runs outside its window")
        rows = np.repeat([zone[part.pool] for part in one.segments], [_span(part) for part in one.segments])
        if not np.isin(rows, mixed.allowed[job]).all():
            raise InvariantError(f"job {job} runs where it may not")
        np.add.at(held, (rows, hours), mixed.gpus[job])
        done[job] = len(hours)
        emitted += float(mixed.gpus[job] * mixed.intensity[rows, hours].sum())
    if held.max() > mixed.containers or (done > mixed.length_h).any():
        raise InvariantError("a zone holds more than its containers, or a job does more than its work")
    return emitted + undone_g(mixed, done)


def undone_g(mixed: Mixed, done: IntArray) -> float:
    """What work left undone counts."""
    left = (mixed.length_h - done) * mixed.gpus
    return float(left.sum() * LATE * mixed.intensity.max())


def _span(part: Segment) -> int:
    return (part.end_ms - part.start_ms) // HOUR_MS


def _hours(mixed: Mixed, segments: tuple[Segment, ...]) -> IntArray:
    first = [part.start_ms // HOUR_MS - mixed.first_hour for part in segments]
    return np.concatenate([np.arange(at, at + _span(part)) for at, part in zip(first, segments, strict=True)])
