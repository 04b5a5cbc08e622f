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
    time read so far. Machine time itself is reported as it is.
    """

    def __init__(self, mapping: ClockMapping = REAL_TIME, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._mapping = mapping
        self._now_ns = now_ns
        self._latest_ms = 0
        self._lock = threading.Lock()

    @property
    def mapping(self) -> ClockMapping:
        """The mapping in force."""
        return self._mapping

    def set_mapping(self, mapping: ClockMapping) -> None:
        """Take a recorded mapping; only this may set grid time back."""
        with self._lock:
            self._mapping = mapping

    def machine_ms(self) -> int:
        """Machine time now, ms since 1970 UTC."""
        return self._now_ns() // NS_PER_MS

    def grid_ms(self) -> int:
        """Grid time now, ms since 1970 UTC."""
        with self._lock:
            self._latest_ms = max(self._latest_ms, self.machine_ms())
            return self._mapping.grid(self._latest_ms)
