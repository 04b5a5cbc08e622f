"""As `_patient`, with forecasts: every hour all jobs that have not ended are planned anew from what is known then."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from benchmarks._deferral import HOUR_STEPS, Carbon, Jobs
from benchmarks._patient import STEP_MS, ZONE, Ahead, Grain, Learnt, lengths_of, view_of, world_of
from sunward.model.plan import Segment
from sunward.placement.planner import plan
from sunward.world.snapshot import FloatArray, JobView


@dataclass(slots=True, eq=False)
class Patient:
    """One open job as time passes, in steps."""

    row: int
    steps: int
    """True length, which only `advance` looks at."""
    view: JobView
    at: int
    segments: tuple[Segment, ...] = ()
    done: int = 0
    since: int = -1
    """When it last began to run; -1 = it stands still."""
    emitted: float = 0.0
    changes: int = 0
    """How often a later plan changed when it runs."""

    @property
    def ended(self) -> bool:
        """Whether all its work is done."""
        return self.done >= self.steps

    def advance(self, until: int, carbon: Carbon) -> None:
        """Run through the segments, and on after the last one, up to a step."""
        for segment in self.segments:
            first, last = max(self.at, segment.start_ms // STEP_MS), min(until, segment.end_ms // STEP_MS)
            if segment is self.segments[-1]:
                last = until
            if first >= last or self.ended:
                continue
            if first > self.at or self.since < 0:
                self.since = first
            used = min(last - first, self.steps - self.done)
            self.emitted += float(carbon.between(first, first + used))
            self.done += used
            self.view = replace(self.view, waited_ms=self.view.waited_ms + (first - self.at) * STEP_MS)
            self.at = last
        if self.at < until:
            self.view = replace(self.view, waited_ms=self.view.waited_ms + (until - self.at) * STEP_MS)
            self.at, self.since = until, -1

    def seen(self, seen_ms: FloatArray, grain: Grain) -> JobView:
        """What the planner sees of it: that it has not ended."""
        lengths = lengths_of(seen_ms, self.done * STEP_MS, grain.promise_ppm)
        now_ms, spec = self.at * STEP_MS, self.view.spec
        wait_ms = max(0, spec.wait_max_ms - self.view.waited_ms)
        deadline_ms = now_ms + wait_ms + lengths.remaining_ms[-1] + 2 * grain.slot_ms
        running = self.since >= 0
        return replace(
            self.view,
            spec=replace(spec, deadline_ms=deadline_ms),
            lengths=lengths,
            units_done=min(self.done, 1),
            pool=ZONE if running else "",
            elapsed_ms=(self.at - self.since) * STEP_MS if running else 0,
            segments=tuple(one for one in self.segments if one.end_ms > now_ms),
        )

    def take(self, segments: tuple[Segment, ...]) -> None:
        """Go by a new plan; a run that only lasts longer is no change."""
        self.changes += bool(self.segments) and _pattern(self.segments, self.at) != _pattern(segments, self.at)
        self.segments = segments


def _pattern(segments: tuple[Segment, ...], at: int) -> tuple[int, ...]:
    """Starts and pauses that are still to come."""
    moments = [moment for one in segments for moment in (one.start_ms, one.end_ms)][:-1]
    return tuple(moment for moment in moments if moment > at * STEP_MS)


@dataclass(slots=True, eq=False)
class Outcome:
    """What the jobs emitted for one cpu, and how often plans were changed."""

    emitted: dict[int, float] = field(default_factory=dict)
    changes: int = 0


def planned_hourly(jobs: Jobs, carbon: Carbon, learnt: Learnt, ahead: Ahead, grain: Grain) -> Outcome:
    """Every job is planned when it arrives, and with all others at every full hour until it ends."""
    outcome, open_jobs = Outcome(), dict[int, Patient]()
    arrivals = jobs.arrives.tolist()
    following, hour = 0, arrivals[0] // HOUR_STEPS
    while open_jobs or following < len(arrivals):
        if open_jobs:
            _plan(list(open_jobs.values()), jobs, learnt, ahead, grain)
        while following < len(arrivals) and arrivals[following] < (hour + 1) * HOUR_STEPS:
            open_jobs[following] = one = _arrived(following, jobs, learnt, grain)
            _plan([one], jobs, learnt, ahead, grain)
            following += 1
        hour += 1
        for row, one in list(open_jobs.items()):
            one.advance(hour * HOUR_STEPS, carbon)
            if one.ended:
                outcome.emitted[row] = one.emitted
                outcome.changes += one.changes
                del open_jobs[row]
    return outcome


def _arrived(row: int, jobs: Jobs, learnt: Learnt, grain: Grain) -> Patient:
    arrives = int(jobs.arrives[row])
    lengths = lengths_of(learnt.of(row, short=bool(jobs.short[row])), 0, grain.promise_ppm)
    view = view_of(f"{row:06d}", arrives * STEP_MS, int(jobs.wait_steps[row]) * STEP_MS, lengths, grain)
    return Patient(row=row, steps=int(jobs.steps[row]), view=view, at=arrives)


def _plan(some: list[Patient], jobs: Jobs, learnt: Learnt, ahead: Ahead, grain: Grain) -> None:
    """Plan jobs that stand at the same moment."""
    known = [one.seen(learnt.of(one.row, short=bool(jobs.short[one.row])), grain) for one in some]
    made = plan(world_of(ahead, some[0].at * STEP_MS, known, grain))
    chosen = {assignment.job: assignment.segments for assignment in made.assignments}
    for one in some:
        if one.view.spec.job in chosen:
            one.take(chosen[one.view.spec.job])
