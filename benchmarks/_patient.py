"""Jobs of a trace through the planner, none of whose lengths it is told: one pool that holds them all.

Nothing but carbon counts (benchmarks/_zone_pools.py). A job brings its class and how long others of the class ran; it
may be paused at no cost and stand still for as long as its class may. What it emits is charged by its true length, to
the step, on the true series, whatever the planner was told of either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks._deferral import STEP_S, Carbon, Jobs
from benchmarks._zone_pools import CARBON_ONLY, USD_PER_T, snapshot_of
from sunward.model.hardware import WorkClass
from sunward.model.identity import JobId, TenantId, ZoneId
from sunward.model.job import JobSpec
from sunward.model.plan import Segment
from sunward.placement.planner import plan
from sunward.units import HOUR_MS, PPM, SECOND_MS
from sunward.world.snapshot import FloatArray, JobView, Lengths, Snapshot

STEP_MS = STEP_S * SECOND_MS
POINTS = 200
"""Equally likely lengths that stand for all that were seen."""
ZONE = "zone"
Ahead = Callable[[int, int], FloatArray]
"""(hour, hours) → intensity of so many hours from an hour on, as it is known or thought to be at its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grain:
    """How finely jobs are planned."""

    slot_ms: int
    promise_ppm: int = PPM
    """Share of the lengths seen that a plan holds room for; whoever takes longer runs on."""
    hysteresis_ppm: int = 0
    """Gain for which a plan that stands is changed."""


def lengths_of(seen_ms: FloatArray, done_ms: int, promise_ppm: int) -> Lengths:
    """How long a job may still run that has run so long, from sorted lengths of others that ran longer."""
    left = seen_ms[np.searchsorted(seen_ms, done_ms, side="right") :] - done_ms
    if not len(left):
        # It outlasted all that were seen; nothing is known but that it goes on.
        left = np.array([float(HOUR_MS)])
    points = np.quantile(left, (np.arange(POINTS) + 0.5) / POINTS, method="inverted_cdf")
    ends, counts = np.unique(np.maximum(points, 1.0).astype(np.int64), return_counts=True)
    weights = counts * (PPM // POINTS)
    return Lengths(remaining_ms=tuple(ends.tolist()), weight_ppm=tuple(weights.tolist()), promise_ppm=promise_ppm)


def view_of(name: str, now_ms: int, wait_ms: int, lengths: Lengths, grain: Grain) -> JobView:
    """A job of unknown length; its deadline only bounds how far plans look."""
    longest = lengths.remaining_ms[-1]
    spec = JobSpec(
        job=JobId(name),
        tenant=TenantId("tenant"),
        commitment="",
        origin_zone=ZoneId(ZONE),
        work_class=WorkClass.GENERIC,
        length_ms=longest,
        units=2,
        interruptible=True,
        deadline_ms=now_ms + wait_ms + longest + 2 * grain.slot_ms,
        carbon_price_usd_per_t=USD_PER_T,
        wait_max_ms=wait_ms,
    )
    return JobView(
        spec=spec, revision=0, units_done=0, elapsed_ms=0, pool="", fixed=False, segments=(), lengths=lengths
    )


def world_of(ahead: Ahead, now_ms: int, views: list[JobView], grain: Grain) -> Snapshot:
    """The one pool with its hourly intensities, in the planner's slots."""
    hour = now_ms // HOUR_MS
    hours = -(-max(view.spec.deadline_ms for view in views) // HOUR_MS) - hour + 1
    per_hour = HOUR_MS // grain.slot_ms
    slots = np.repeat(ahead(hour, hours), per_hour)[None, (now_ms % HOUR_MS) // grain.slot_ms :]
    start_ms = now_ms - now_ms % grain.slot_ms
    policy = replace(CARBON_ONLY, slot_ms=grain.slot_ms, slots=slots.shape[1], hysteresis_ppm=grain.hysteresis_ppm)
    made = snapshot_of((ZONE,), slots, start_ms, views)
    return replace(made, now_ms=now_ms, slot_ms=grain.slot_ms, policy=policy)


def emitted(carbon: Carbon, segments: tuple[Segment, ...], steps: int) -> float:
    """What a job of so many steps emits that runs through its segments, and on after the last one."""
    total, left = 0.0, steps
    for segment in segments:
        first, last = segment.start_ms // STEP_MS, segment.end_ms // STEP_MS
        if segment is segments[-1]:
            last = first + left
        used = min(left, last - first)
        total += float(carbon.between(first, first + used))
        left -= used
    return total


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learnt:
    """Sorted lengths of other jobs, for short jobs and long ones; one set, or one for each part of the jobs."""

    seen_ms: tuple[dict[bool, FloatArray], ...]

    def of(self, row: int, *, short: bool) -> FloatArray:
        """What is known for one job: nothing of it or its part."""
        return self.seen_ms[row % len(self.seen_ms)][short]


def learnt_from(others: Jobs) -> Learnt:
    """From a trace of other jobs."""
    return Learnt(seen_ms=(_by_class(others),))


def learnt_across(jobs: Jobs, parts: int) -> Learnt:
    """From the jobs themselves, each part from all other parts."""
    rows = np.arange(len(jobs.cpus))
    return Learnt(seen_ms=tuple(_by_class(jobs.pick(rows % parts != part)) for part in range(parts)))


def _by_class(jobs: Jobs) -> dict[bool, FloatArray]:
    return {kind: np.sort(jobs.length_s[jobs.short == kind]) * SECOND_MS for kind in (True, False)}


def planned_once(jobs: Jobs, carbon: Carbon, learnt: Learnt, ahead: Ahead, grain: Grain) -> Iterator[float]:
    """Each job planned when it arrives, and never again: the series is known; time tells only that it still runs."""
    for row, arrives in enumerate(jobs.arrives.tolist()):
        now_ms, short = arrives * STEP_MS, bool(jobs.short[row])
        lengths = lengths_of(learnt.of(row, short=short), 0, grain.promise_ppm)
        view = view_of("job", now_ms, int(jobs.wait_steps[row]) * STEP_MS, lengths, grain)
        made = plan(world_of(ahead, now_ms, [view], grain))
        yield emitted(carbon, made.assignments[0].segments, int(jobs.steps[row]))
