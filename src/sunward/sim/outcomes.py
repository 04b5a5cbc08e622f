"""The ways a job of unknown length may go, one by one: the plan checker's own account of what a plan expects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from sunward import units
from sunward.model.plan import Assignment, Segment
from sunward.world.snapshot import JobView, Lengths

RATE_TOLERANCE = Fraction(2, units.PPM)
"""Rates are planned in whole ppm."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A segment, the time it loses before work goes on, and its rate."""

    segment: Segment
    lost_ms: int
    rate: Fraction

    @property
    def work(self) -> Fraction:
        """Reference ms that it adds."""
        return max(0, self.segment.end_ms - self.segment.start_ms - self.lost_ms) * self.rate


def work(stretches: Iterable[Stretch]) -> Fraction:
    """Reference ms of all stretches."""
    return sum((one.work for one in stretches), Fraction(0))


def used_of(stretches: Sequence[Stretch], wanted: int) -> tuple[Segment, ...]:
    """The segments up to the moment when so much work is done; all of them where it never is."""
    used: list[Segment] = []
    left = Fraction(wanted)
    for one in stretches:
        if one.work >= left:
            end_ms = one.segment.start_ms + one.lost_ms + round(left / one.rate)
            return (*used, replace(one.segment, end_ms=end_ms))
        used.append(one.segment)
        left -= one.work
    return tuple(used)


def promise_faults(
    job: JobView, lengths: Lengths, assignment: Assignment, stretches: Sequence[Stretch]
) -> Iterator[str]:
    """Whether there is room for as much as the promise asks, and the plan says how surely that is enough.

    A job that was promised its place before keeps it when it takes longer than was to be expected.
    """
    done = work(stretches)
    surely, hardly = (_ended_ppm(lengths, done * (1 + sign * RATE_TOLERANCE)) for sign in (-1, 1))
    certain = len(lengths.remaining_ms) == 1
    if not certain and not surely <= assignment.ends_ppm <= hardly:
        yield f"states that it ends within its segments with {assignment.ends_ppm} ppm, it does with {surely}"
    fresh = not (job.segments or job.pool or job.units_done or job.begun)
    if fresh and hardly < lengths.promise_ppm:
        yield f"holds room for {hardly} ppm of what may come, {lengths.promise_ppm} ppm are promised"


def _ended_ppm(lengths: Lengths, done: Fraction) -> int:
    pairs = zip(lengths.remaining_ms, lengths.weight_ppm, strict=True)
    return sum(weight for wanted, weight in pairs if wanted <= done)
