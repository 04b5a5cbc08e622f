"""What past arrivals tell of new work that starts at once: decaying counts by hour of the day.

Integers only, so equal histories of plans give equal books. What one plan places at once counts as one start of so
many containers, so that a batch is no proof of many arrivals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS
from sunward.world.snapshot import Expected, FloatArray, IntArray

HOURS_A_DAY = DAY_MS // HOUR_MS
UNIT = 1 << 16
"""Weight of what has just been counted."""
KEPT, OF = 3, 4
"""What a day leaves of the weight of the days before it."""
BESIDE = ((-1, 0.5), (0, 1.0), (1, 0.5))
"""Hours beside one, and how much of what was counted in them counts."""
SILENT_DAYS = 1.0
"""Days without arrivals that are held to have been before the first: one busy hour is not yet a habit."""
DAYS_MAX = 60
"""Days before that still weigh anything."""
TOOK_MS = 7 * DAY_MS
"""A pool that took no such work for so long is not expected to take any."""


@dataclass(slots=True)
class HourOfDay:
    """What was counted in one hour of the UTC day, over all days, the older the lighter."""

    day: int = 0
    """Day since 1970 at which it was counted last; the sums are as of it."""
    starts: int = 0
    containers: int = 0
    work_min: int = 0
    """Container-minutes."""
    carbon_usd_per_t: int = 0
    """Carbon prices, summed over starts."""

    def age(self, day: int) -> None:
        """Let the days pass up to this one."""
        kept, of = KEPT ** max(0, day - self.day), OF ** max(0, day - self.day)
        for name in ("starts", "containers", "work_min", "carbon_usd_per_t"):
            setattr(self, name, getattr(self, name) * kept // of)
        self.day = max(day, self.day)


@dataclass(slots=True)
class ArrivalBook:
    """New work that was started at once."""

    since_ms: int = 0
    """When counting began; 0 = it has not."""
    hours: list[HourOfDay] = field(default_factory=lambda: [HourOfDay() for _ in range(HOURS_A_DAY)])
    pools: dict[str, int] = field(default_factory=dict)
    """When each pool took some last."""

    def learn(self, at_ms: int, pools: Sequence[str], containers: int, work_ms: int, carbon_usd_per_t: int) -> None:
        """Count one start."""
        self.since_ms = self.since_ms or at_ms
        row = self.hours[at_ms // HOUR_MS % HOURS_A_DAY]
        row.age(at_ms // DAY_MS)
        row.starts += UNIT
        row.containers += containers * UNIT
        row.work_min += work_ms // MINUTE_MS * UNIT
        row.carbon_usd_per_t += carbon_usd_per_t * UNIT
        for pool in pools:
            self.pools[pool] = at_ms

    def expected(self, now_ms: int, begins_ms: IntArray) -> Expected | None:
        """What is to be expected in slots that begin then; None where nothing was learnt."""
        starts = sum(row.starts for row in self.hours)
        pools = tuple(sorted(pool for pool, at_ms in self.pools.items() if now_ms - at_ms < TOOK_MS))
        if not starts or not pools:
            return None
        return Expected(
            starts_per_h=self._rates(now_ms, begins_ms),
            containers=sum(row.containers for row in self.hours) / starts,
            work_h=sum(row.work_min for row in self.hours) * MINUTE_MS / HOUR_MS / starts,
            carbon_price_usd_per_t=sum(row.carbon_usd_per_t for row in self.hours) / starts,
            pools=pools,
        )

    def _rates(self, now_ms: int, begins_ms: IntArray) -> FloatArray:
        """Starts an hour: counted over the time that was looked at, both fading by the day."""
        hours, at = np.unique(begins_ms // HOUR_MS, return_inverse=True)
        rates = [self._rate(now_ms, hour) for hour in hours.tolist()]
        spread: FloatArray = np.array(rates, np.float64)[at]
        return spread

    def _rate(self, now_ms: int, hour: int) -> float:
        """Of one hour; those beside it count half, for what comes at nine comes at ten too."""
        starts, looked_at = 0.0, SILENT_DAYS
        for beside, share in BESIDE:
            counted, hours = self._counted(now_ms, hour + beside)
            starts, looked_at = starts + share * counted, looked_at + share * hours
        return starts / looked_at

    def _counted(self, now_ms: int, hour: int) -> tuple[float, float]:
        """Starts counted in an hour of the day, and hours that were looked at, as of the day of that hour."""
        row, day = self.hours[hour % HOURS_A_DAY], hour // HOURS_A_DAY
        looked_at = 0.0
        for before in range(max(self.since_ms // DAY_MS, day - DAYS_MAX), day + 1):
            begins = (before * HOURS_A_DAY + hour % HOURS_A_DAY) * HOUR_MS
            seen_ms = min(begins + HOUR_MS, now_ms) - max(begins, self.since_ms)
            looked_at += max(0, seen_ms) / HOUR_MS * (KEPT / OF) ** (day - before)
        return row.starts / UNIT * (KEPT / OF) ** max(0, day - row.day), looked_at

    def dump(self) -> list[Any]:
        """The book as plain values."""
        names = [one.name for one in fields(HourOfDay)]
        return [
            self.since_ms,
            [[getattr(row, name) for name in names] for row in self.hours],
            sorted(self.pools.items()),
        ]

    @classmethod
    def load(cls, record: Sequence[Any]) -> ArrivalBook:
        """The book a dump holds."""
        if not record:
            return cls()
        since_ms, hours, pools = record
        return cls(since_ms=since_ms, hours=[HourOfDay(*row) for row in hours], pools=dict(pools))
