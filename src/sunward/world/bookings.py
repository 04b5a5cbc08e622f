"""What jobs were given and what they hold, by pool: kept in step with the tables, so that nobody counts all jobs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sunward.model.plan import Segment

FIRST_ROWS = 16
Rows = NDArray[np.int64]


class OpenRows:
    """Rows of the open leases of one pool with the rows of their jobs, in no order that matters."""

    __slots__ = ("_pairs", "_place")

    def __init__(self) -> None:
        self._pairs: Rows = np.zeros((FIRST_ROWS, 2), np.int64)
        self._place: dict[int, int] = {}

    def add(self, lease_row: int, job_row: int) -> None:
        """Take in one lease."""
        place = len(self._place)
        if place == len(self._pairs):
            self._pairs = np.concatenate((self._pairs, np.zeros_like(self._pairs)))
        self._pairs[place] = lease_row, job_row
        self._place[lease_row] = place

    def remove(self, lease_row: int) -> None:
        """Forget one lease; the last one takes its place."""
        place, last = self._place.pop(lease_row), len(self._place)
        if place != last:
            self._pairs[place] = self._pairs[last]
            self._place[int(self._pairs[place, 0])] = place

    def columns(self) -> tuple[Rows, Rows]:
        """(N,) lease rows and (N,) job rows."""
        used = self._pairs[: len(self._place)]
        return used[:, 0], used[:, 1]


class Steps:
    """By how much the containers that were given of one pool change at a slot; slots count from 1970."""

    __slots__ = ("_change",)

    def __init__(self) -> None:
        self._change: dict[int, int] = {}

    def book(self, segment: Segment, slot_ms: int, containers: int) -> None:
        """Add containers, or with a negative number take them away, over the slots that a segment touches."""
        change = self._change
        ends = ((segment.start_ms // slot_ms, containers), (-(-segment.end_ms // slot_ms), -containers))
        for slot, step in ends:
            change[slot] = change.get(slot, 0) + step
            if not change[slot]:
                del change[slot]

    def add_to(self, steps: Rows, first: int) -> None:
        """Add the changes from a slot on; what came before goes into the first, what comes after into the last."""
        count = len(self._change)
        at = np.fromiter(self._change.keys(), np.int64, count) - first
        np.add.at(steps, np.clip(at, 0, len(steps) - 1), np.fromiter(self._change.values(), np.int64, count))
