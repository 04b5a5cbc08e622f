"""What every live feed is to the rest: a zone's hours as they happened and as its source forecasts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sunward.errors import SourceError
from sunward.model.datum import Quality, SeriesKind
from sunward.units import HOUR_MS

REFUSED_KEY = "SW-223"
UNKNOWN_PLACE = "SW-224"
TOO_OFTEN = "SW-225"
OUTAGE = "SW-226"
NOT_UNDERSTOOD = "SW-227"
NOT_THERE = "SW-229"
VALUE_MAX = 2.0**53
"""Beyond it a float holds no whole numbers; not a number is beyond it too."""


class Told(NamedTuple):
    """One hour's value as a source tells it."""

    hour_ms: int
    value: int
    quality: Quality


class FeedError(SourceError):
    """A feed's source failed; `rest_s` is how long it asked to be left alone, 0 when it did not say."""

    def __init__(self, message: str, *, code: str, transient: bool = True, rest_s: int = 0) -> None:
        super().__init__(message, transient=transient, code=code)
        self.rest_s = rest_s


class Feed(Protocol):
    """One zone of one source. Every method asks the network once or a few times and waits for the answer."""

    @property
    def name(self) -> str:
        """The source's short name, as settings give it."""

    @property
    def kinds(self) -> tuple[SeriesKind, ...]:
        """The series it has."""

    @property
    def span_ms(self) -> int:
        """The longest stretch that one request may ask for."""

    def source(self, kind: SeriesKind) -> str:
        """What a value is said to come from, with its basis; receipts show it."""

    def observed(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """Whole hours of [start_ms, end_ms) that have happened, in order; an hour the source lacks is left out.

        Raises: FeedError.
        """

    def ahead(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """Hours of [start_ms, end_ms) as the source forecasts them now; empty where it forecasts nothing.

        Raises: FeedError.
        """

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A value of a stretch of time, or a stretch without one."""

    start_ms: int
    length_ms: int
    value: float | None


def hourly(samples: list[Sample], quality: Quality, start_ms: int, end_ms: int) -> tuple[Told, ...]:
    """Means of the hours that samples cover wholly, weighted by length and rounded half up; others are left out."""
    sums: dict[int, tuple[float, int]] = {}
    for sample in {one.start_ms: one for one in samples}.values():
        if sample.value is not None:
            hour_ms = sample.start_ms - sample.start_ms % HOUR_MS
            total, covered_ms = sums.get(hour_ms, (0.0, 0))
            sums[hour_ms] = (total + sample.value * sample.length_ms, covered_ms + sample.length_ms)
    return tuple(
        Told(hour_ms, half_up(total / covered_ms), quality)
        for hour_ms, (total, covered_ms) in sorted(sums.items())
        if covered_ms == HOUR_MS and start_ms <= hour_ms < end_ms
    )


def half_up(value: float) -> int:
    """The nearest integer, halves up; the rounding of every value a feed tells.

    Raises: FeedError for what is no number, or more than any value is.
    """
    if not abs(value) < VALUE_MAX:
        raise FeedError(f"the source gives a value that is none: {value}", code=NOT_UNDERSTOOD)
    return int((value + 0.5) // 1)
