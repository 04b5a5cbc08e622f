"""The clock of a live process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sunward.model.wire import ClockMapping
from sunward.units import NS_PER_MS

REAL_TIME = ClockMapping(machine_ms=0, grid_ms=0, speed=1)
"""Grid time is machine time."""


class SystemClock:
    """A `ports.Clock` on the machine's own clock.

    When the machine clock steps back (a correction by NTP, a resumed virtual machine), grid time stands
    still until the machine clock has passed the latest moment seen: it is computed from the highest machine
    time read so far. Machine time itself is reported as it is. Spans of machine time, such as a silence, are
    told by `elapsed_ms`, which no step touches.
    """

    def __init__(
        self,
        mapping: ClockMapping = REAL_TIME,
        now_ns: Callable[[], int] = time.time_ns,
        elapsed_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._mapping = mapping
        self._now_ns = now_ns
        self._elapsed_ns = elapsed_ns
        self._latest_ms = 0
        self._reached_ms: int | None = None
        self._lock = threading.Lock()

    @property
    def mapping(self) -> ClockMapping:
        """The mapping in force."""
        return self._mapping

    def set_mapping(self, mapping: ClockMapping, reached_ms: int | None = None) -> None:
        """Take a recorded mapping; only this may set grid time back, but never before `reached_ms`.

        `reached_ms`: grid time that has been recorded, by a run before this one whose machine clock was ahead.
        """
        with self._lock:
            self._mapping = mapping
            self._reached_ms = reached_ms

    def machine_ms(self) -> int:
        """Machine time now, ms since 1970 UTC."""
        return self._now_ns() // NS_PER_MS

    def elapsed_ms(self) -> int:
        """Machine time since some moment, ms; it goes on evenly whatever the machine clock is set to."""
        return self._elapsed_ns() // NS_PER_MS

    def grid_ms(self) -> int:
        """Grid time now, ms since 1970 UTC."""
        with self._lock:
            self._latest_ms = max(self._latest_ms, self.machine_ms())
            told_ms = self._mapping.grid(self._latest_ms)
            return told_ms if self._reached_ms is None else max(told_ms, self._reached_ms)
