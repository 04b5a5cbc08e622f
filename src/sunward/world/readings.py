"""What the readings of each site amount to by day: time and energy covered, and every fault; nothing is judged here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sunward.model.datum import Quality
from sunward.model.reading import SiteSeal
from sunward.units import DAY_MS, PPM, floor_to

TOLD_MAX = 50
"""Boots of a site that are remembered as told."""
RESET = "reset"
WINDOW_MS = 30 * DAY_MS
"""How long a fault is remembered."""
COVER_MS = 7 * DAY_MS
"""Over how long time cover is measured: a week has every hour of work and of rest."""


@dataclass(slots=True, kw_only=True)
class ReadingsDay:
    """One site and one UTC day of grid time, by when the seals came."""

    covered_ms: int = 0
    gap_ms: int = 0
    measured_ms: int = 0
    """Covered by batches that say `measured`."""
    meter_ms: int = 0
    meter_j: int = 0
    meter_it_j: int = 0
    facility_j: int = 0
    """With what is unmetered."""
    unmetered_j: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    """Seals that name a fault, and messages that were refused for one."""

    def add(self, other: ReadingsDay) -> None:
        """Take over another day's figures."""
        self.covered_ms += other.covered_ms
        self.gap_ms += other.gap_ms
        self.measured_ms += other.measured_ms
        self.meter_ms += other.meter_ms
        self.meter_j += other.meter_j
        self.meter_it_j += other.meter_it_j
        self.facility_j += other.facility_j
        self.unmetered_j += other.unmetered_j
        for fault, count in other.faults.items():
            self.faults[fault] = self.faults.get(fault, 0) + count

    def share_ppm(self, of_ms: int) -> int:
        """Share of its time and energy that so much covered time speaks for; gaps and unmetered joules are not."""
        all_ms = self.covered_ms + self.gap_ms
        metered_j = self.facility_j - self.unmetered_j
        by_time = of_ms * PPM // all_ms if all_ms else 0
        return by_time * metered_j // self.facility_j if self.facility_j else by_time


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRow:
    """A day as a snapshot holds it."""

    site: str
    day_ms: int
    day: ReadingsDay


@dataclass(slots=True)
class ReadingsBook:
    """The days of every site, as far as they are remembered."""

    days: dict[str, dict[int, ReadingsDay]] = field(default_factory=dict)
    unseen: dict[str, dict[str, int]] = field(default_factory=dict)
    """Boots that signed and of which the agent has not told, with when that was seen."""
    told: dict[str, list[str]] = field(default_factory=dict)
    """Boots that agents told of, newest last."""

    def dump(self) -> tuple[DayRow, ...]:
        """The days in order."""
        return tuple(
            DayRow(site=site, day_ms=day_ms, day=known[day_ms])
            for site, known in sorted(self.days.items())
            for day_ms in sorted(known)
        )

    def load(self, rows: Iterable[DayRow]) -> None:
        """Take back what was dumped."""
        for row in rows:
            self.days.setdefault(row.site, {})[row.day_ms] = row.day

    def day(self, site: str, at_ms: int) -> ReadingsDay:
        """The day of a moment; days beyond memory are dropped."""
        known = self.days.setdefault(site, {})
        today_ms = floor_to(at_ms, DAY_MS)
        if today_ms not in known:
            known[today_ms] = ReadingsDay()
            for old_ms in [day_ms for day_ms in known if day_ms <= today_ms - WINDOW_MS]:
                del known[old_ms]
        return known[today_ms]

    def sealed(self, seal: SiteSeal, facility_j: int, at_ms: int) -> ReadingsDay:
        """Take in a seal of a site; `facility_j`: of leases, idle and unmetered together."""
        day = self.day(seal.site, at_ms)
        faults = dict.fromkeys(seal.faults, 1)
        if RESET in faults:
            faults[RESET] = max(1, len(seal.boots))
        day.add(
            ReadingsDay(
                covered_ms=seal.covered_ms,
                gap_ms=seal.gap_ms,
                measured_ms=seal.covered_ms if seal.quality is Quality.MEASURED else 0,
                meter_ms=seal.meter_ms,
                meter_j=seal.meter_j,
                meter_it_j=seal.meter_it_j,
                facility_j=facility_j,
                unmetered_j=seal.unmetered_j,
                faults=faults,
            )
        )
        return day

    def refused(self, site: str, fault: str, count: int, at_ms: int) -> None:
        """Take in messages that were refused."""
        faults = self.day(site, at_ms).faults
        faults[fault] = faults.get(fault, 0) + count

    def over(self, site: str, at_ms: int, length_ms: int) -> ReadingsDay:
        """All of a site's days up to a moment, as far back as the length says."""
        total = ReadingsDay()
        first_ms = floor_to(at_ms, DAY_MS) - length_ms
        for day_ms, day in self.days.get(site, {}).items():
            if day_ms > first_ms:
                total.add(day)
        return total

    def days_with(self, site: str, faults: frozenset[str]) -> int:
        """On how many of the days remembered any of the faults stands."""
        return sum(bool(faults & day.faults.keys()) for day in self.days.get(site, {}).values())

    def signed(self, site: str, boots: tuple[str, ...], at_ms: int) -> None:
        """Note boots that signed and that the agent has not told of."""
        for boot in boots:
            if boot not in self.told.get(site, ()):
                self.unseen.setdefault(site, {})[boot] = at_ms

    def tell(self, site: str, boot: str) -> None:
        """The agent tells of a boot."""
        self.unseen.get(site, {}).pop(boot, None)
        known = self.told.setdefault(site, [])
        if boot not in known:
            known.append(boot)
            del known[:-TOLD_MAX]
