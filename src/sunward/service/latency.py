"""How long submitted jobs wait for a place, on the machine clock: a histogram that does not grow."""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterable

from sunward.model.commands import JobChanged
from sunward.model.job import JobState

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Waits:
    """Times from the commit that records a job to the commit that places it."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0
        self._since: dict[str, float] = {}

    def see(self, change: JobChanged) -> None:
        """Take note of a job that was submitted, placed or ended."""
        if change.reason == JobState.SUBMITTED.word:
            self._since[change.job] = time.perf_counter()
            return
        since_s = self._since.pop(change.job, None)
        if since_s is not None and change.state == JobState.PLACED.word:
            waited_s = time.perf_counter() - since_s
            self.counts[bisect.bisect_left(BOUNDS_S, waited_s)] += 1
            self.sum_s += waited_s

    def buckets(self) -> Iterable[tuple[str, int]]:
        """Upper bounds in seconds with how many waited at most so long."""
        total = 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            total += count
            yield bound, total
