"""Jobs of `_mixed` that become known as they arrive, with forecasts: decided anew every hour.

What runs in one piece goes on where it is; what may pause, and what waits, may be given another place every hour. The
planner and the linear programme see the same: jobs that have arrived, and forecasts made before the hour. The programme
is solved anew every hour and rounded: of the jobs in one piece those whose largest share of a start is largest come
first, each takes the start of its largest share that finds room, of equal shares the one of least reduced cost. With
these in their places the programme is solved once more for what may pause, and its hours are rounded likewise, gangs
first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks._mixed import Mixed, name_of
from benchmarks._mixed_lp import Asked, Relaxed, relax
from benchmarks._mixed_views import undone_g, view_of, world_of
from sunward.errors import InvariantError
from sunward.model.identity import PoolId
from sunward.model.plan import Segment
from sunward.placement.planner import plan
from sunward.signals.forecast.learner import rolling
from sunward.units import HOUR_MS
from sunward.world.snapshot import FloatArray, IntArray, JobView

NOWHERE = -1
Where = dict[int, int]
"""Zone of every job that runs."""
Forecasts = list[FloatArray]
"""For every hour, (Z, H - hour) what is expected from it on."""


def forecasts_of(mixed: Mixed) -> Forecasts:
    """Learnt and told from hours before each one alone."""
    values = np.concatenate([mixed.history, mixed.intensity], axis=1)
    first = mixed.first_hour - mixed.history.shape[1]
    issues = range(mixed.first_hour, mixed.first_hour + mixed.hours)
    found: Forecasts = []
    for bands in rolling(values, first, issues, horizon=mixed.hours, shifts_h=mixed.shifts_h, lowest=0.0):
        told = bands.p50.astype(np.float64)
        for at in range(told.shape[1]):
            found.append(told[:, at, : mixed.hours - len(found)])
    return found


@dataclass(slots=True, eq=False)
class Course:
    """Jobs as hours pass."""

    mixed: Mixed
    done: IntArray
    """(J,) hours of work."""
    zone: IntArray
    """(J,) where a job in one piece runs."""
    emitted: float = 0.0

    def known(self, hour: int) -> list[int]:
        """Jobs that have arrived, have work left, and may still end in time."""
        mixed = self.mixed
        left = mixed.length_h - self.done
        there = (mixed.arrival_h <= hour) & (left > 0) & (hour + left <= mixed.deadline_h)
        return np.flatnonzero(there).tolist()

    def runs(self, one: int) -> bool:
        """Whether a job runs in one piece and has begun."""
        return bool(self.zone[one] != NOWHERE)

    def free(self, hour: int) -> IntArray:
        """(Z, H - hour) containers that are not held by what runs in one piece."""
        mixed = self.mixed
        free = np.full((len(mixed.zones), mixed.hours - hour), mixed.containers)
        for one in np.flatnonzero(self.zone != NOWHERE).tolist():
            free[self.zone[one], : mixed.length_h[one] - self.done[one]] -= mixed.gpus[one]
        return free

    def pass_hour(self, hour: int, where: Where) -> None:
        """Let jobs run for an hour. Raises: InvariantError where they may not."""
        mixed, held = self.mixed, np.zeros(len(self.mixed.zones), dtype=np.int64)
        for one in np.flatnonzero(self.zone != NOWHERE).tolist():
            if where.get(one) != self.zone[one]:
                raise InvariantError(f"job {one} was stopped and may not be")
        for one, zone in where.items():
            if zone not in mixed.allowed[one] or not mixed.arrival_h[one] <= hour < mixed.deadline_h[one]:
                raise InvariantError(f"job {one} runs where or when it may not")
            held[zone] += mixed.gpus[one]
            self.done[one] += 1
            self.emitted += float(mixed.gpus[one] * mixed.intensity[zone, hour])
            if not mixed.pausable[one]:
                self.zone[one] = zone if self.done[one] < mixed.length_h[one] else NOWHERE
        if (held > mixed.containers).any():
            raise InvariantError(f"a zone holds more than its containers at {hour}")

    def total_g(self) -> float:
        """All emissions, and what is undone."""
        return self.emitted + undone_g(self.mixed, self.done)


Decide = Callable[[Course, int, FloatArray], Where]


def followed(mixed: Mixed, forecasts: Forecasts, decide: Decide) -> Course:
    """Decide every hour, and let it pass."""
    jobs = len(mixed.gpus)
    course = Course(mixed, np.zeros(jobs, dtype=np.int64), np.full(jobs, NOWHERE))
    for hour, expected in enumerate(forecasts):
        course.pass_hour(hour, decide(course, hour, expected))
    return course


@dataclass(slots=True)
class Planner:
    """Decides by `plan()`; what was planned stays unless a later plan changes it."""

    segments: dict[str, tuple[Segment, ...]] = field(default_factory=dict)

    def __call__(self, course: Course, hour: int, expected: FloatArray) -> Where:
        """Plan, and tell what runs now."""
        mixed, now_ms = course.mixed, (course.mixed.first_hour + hour) * HOUR_MS
        views = [self._view(course, one, now_ms) for one in course.known(hour)]
        made = plan(world_of(mixed, hour, expected, tuple(views)))
        self.segments |= {one.job: one.segments for one in made.assignments}
        for refused in made.unplaced:
            self.segments.pop(refused.job, None)
        rows = {name: row for row, name in enumerate(mixed.zones)}
        return {
            int(view.spec.job): rows[part.pool]
            for view in views
            for part in self.segments.get(view.spec.job, ())
            if part.start_ms <= now_ms < part.end_ms
        }

    def _view(self, course: Course, one: int, now_ms: int) -> JobView:
        mixed, present = course.mixed, self.segments.get(name_of(one), ())
        ahead = tuple(replace(part, start_ms=max(part.start_ms, now_ms)) for part in present if part.end_ms > now_ms)
        view = view_of(mixed, one, int(course.done[one]), ahead)
        if not course.runs(one):
            return view
        return replace(view, pool=PoolId(mixed.zones[course.zone[one]]), fixed=True, gpus=int(mixed.gpus[one]))


def resolved(course: Course, hour: int, expected: FloatArray) -> Where:
    """Decide by the linear programme on what is known now."""
    mixed = course.mixed
    where = {one: int(course.zone[one]) for one in course.known(hour) if course.runs(one)}
    some = np.array([one for one in course.known(hour) if not course.runs(one)], dtype=np.int64)
    if not len(some):
        return where
    asked = Asked(
        gpus=mixed.gpus[some],
        hours=mixed.length_h[some] - course.done[some],
        opens=np.zeros(len(some), dtype=np.int64),
        deadline=mixed.deadline_h[some] - hour,
        pausable=mixed.pausable[some],
        allowed=tuple(mixed.allowed[one] for one in some.tolist()),
        cost=expected,
        free=course.free(hour),
    )
    begun = rounded(asked)
    return where | {int(some[one]): zone for one, zone in begun.items()}


def rounded(asked: Asked) -> Where:
    """Whole jobs from shares: what runs in the first hour, and where."""
    free, where = asked.free.copy(), Where()
    pieces, pausing = np.flatnonzero(~asked.pausable), np.flatnonzero(asked.pausable)
    if len(pieces):
        where |= _taken(asked, relax(asked), set(pieces.tolist()), free)
    if len(pausing):
        rest = replace(
            asked,
            **{name: getattr(asked, name)[pausing] for name in ("gpus", "hours", "opens", "deadline", "pausable")},
            allowed=tuple(asked.allowed[one] for one in pausing.tolist()),
            free=free,
        )
        found = _taken(rest, relax(rest), set(range(len(pausing))), free)
        where |= {int(pausing[one]): zone for one, zone in found.items()}
    return where


def _taken(asked: Asked, relaxed: Relaxed, some: set[int], free: IntArray) -> Where:
    """Give some jobs whole choices, and take what they hold from what is free; zones of those that begin at once."""
    choices, ways = relaxed.choices, dict[int, list[int]]()
    for at in np.lexsort((relaxed.dearer, -relaxed.chosen.round(6))).tolist():
        if int(choices.job[at]) in some:
            ways.setdefault(int(choices.job[at]), []).append(at)
    where = Where()
    # Gangs first; then in the order in which their largest shares were met.
    for one in sorted(ways, key=lambda job: -int(asked.gpus[job])):
        gpus, span = int(asked.gpus[one]), 1 if asked.pausable[one] else int(asked.hours[one])
        wanted, taken = int(asked.hours[one]) if asked.pausable[one] else 1, dict[int, int]()
        for at in ways[one]:
            zone, hour = int(choices.zone[at]), int(choices.hour[at])
            if len(taken) < wanted and hour not in taken and (free[zone, hour : hour + span] >= gpus).all():
                taken[hour] = zone
        if len(taken) < wanted:
            continue
        for hour, zone in taken.items():
            free[zone, hour : hour + span] -= gpus
        if 0 in taken:
            where[one] = taken[0]
    return where
