"""Why one job is placed as it is: what was ruled out, what was chosen, what else there was, and what waiting saves."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.plan import Assignment, ScoreTerms, Segment, Unplaced


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterLine:
    """One hard constraint and what it took away."""

    name: str
    """`gpus`, `memory`, `model`, `country`, `admission`, `deadline`, `horizon`, `budget`, `start_by`, `wake`,
    `capacity`, `ceiling`: in the order they are checked."""
    removed: int
    """Pools that meet all constraints before this one, but not this one."""
    left: int
    """Pools that are still left after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to run what is left of the job, priced on what is known now."""

    label: str
    """`planned` (what it has), `best` (the best there is now), `now` (start at once), or the one pool it uses."""
    segments: tuple[Segment, ...]
    terms: ScoreTerms
    total_usd_micro: int
    more_usd_micro: int
    """Its total less that of the chosen one; negative where it is better, but not by enough to change a plan for."""
    price_usd_micro: int
    """What the tenant would pay."""
    energy_j: int
    carbon_mg: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitPoint:
    """The best there is now if the job had to finish by then."""

    finish_by_ms: int
    start_ms: int
    end_ms: int
    total_usd_micro: int
    price_usd_micro: int
    carbon_mg: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What the job was promised, and when it is expected to start and end."""

    finish_by_ms: int
    start_by_ms: int
    """0 = no such promise."""
    start_ms: int
    """0 = it has begun, or has no place."""
    end_ms: int
    """0 = it has no place."""
    spare_ms: int
    """From the expected end to finish-by; negative when it will be late."""
    stated_ppm: int = 0
    """Probability with which it is to be kept; 0 = none was stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedZone:
    """A site whose carbon is costed in another zone than its own, since its place is not shown as well as asked."""

    site: str
    declared: str
    counted: str
    """The dirtiest zone that is not excluded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything behind one job's place; of a job that has ended, only what was recorded."""

    job: str
    state: str
    at_ms: int
    based_on: int
    """Sequence of the last journal event taken into account."""
    assignment: Assignment | None
    """The decision as it was recorded when it was made; null before there was one."""
    refusal: Unplaced | None
    """Why it has no place."""
    promise: Promise
    fixed: bool
    """It runs and is not moved: nothing else is possible."""
    pools: int
    """All pools there are now."""
    filters: tuple[FilterLine, ...]
    chosen: Choice | None
    alternatives: tuple[Choice, ...]
    """The best three of what else is possible, cheapest first."""
    waiting: tuple[WaitPoint, ...]
    """By finish-by, the earliest first; times that leave no place are left out."""
    elsewhere: tuple[CountedZone, ...] = ()
    """Of the sites in `chosen` and `alternatives`."""
