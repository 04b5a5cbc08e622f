"""What the containers and the energy of each site served, by day, as receipts and seals say; nothing is judged."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field

from sunward.units import DAY_MS, floor_to

WINDOW_MS = 30 * DAY_MS
"""How long a day counts, today included."""


@dataclass(slots=True, kw_only=True)
class ServedDay:
    """One site and one UTC day of grid time."""

    day_ms: int = 0
    leased_j: int = 0
    """Facility energy of leases, in final receipts."""
    idle_j: int = 0
    """Facility energy that served no job, asleep included."""
    renewable_wh: int = 0
    """Matched in the hour."""
    leased_ms: int = 0
    """Container time of those leases."""
    present_ms: int = 0
    """Container time there was: declared, whether anybody used it or not."""

    def add(self, other: ServedDay) -> None:
        """Take over another day's figures."""
        self.leased_j += other.leased_j
        self.idle_j += other.idle_j
        self.renewable_wh += other.renewable_wh
        self.leased_ms += other.leased_ms
        self.present_ms += other.present_ms


@dataclass(slots=True)
class Tally:
    """Figures of many lines and hours, added up by site and day before they go into the book."""

    days: dict[tuple[str, int], ServedDay] = field(default_factory=dict)

    def day(self, site: str, at_ms: int) -> ServedDay:
        """The day of a site that holds a moment."""
        key = (site, at_ms - at_ms % DAY_MS)
        known = self.days.get(key)
        if known is None:
            known = self.days[key] = ServedDay(day_ms=key[1])
        return known


@dataclass(slots=True, kw_only=True)
class SiteServed:
    """One site's days in order, and what it has declared since when."""

    containers: int = 0
    since_ms: int = 0
    """Up to when its containers' time is in the days."""
    matched_ms: int = 0
    """End of the last hour with any renewable energy; 0 = never."""
    days: list[ServedDay] = field(default_factory=list)


@dataclass(slots=True)
class ServedBook:
    """All sites, from the moment on that anybody asked."""

    sites: dict[str, SiteServed] = field(default_factory=dict)

    def present(self, site: str, containers: int, at_ms: int) -> None:
        """Count a site's containers up to now; from now on it has so many."""
        known = self.sites.setdefault(site, SiteServed(since_ms=at_ms))
        begin_ms = max(known.since_ms, floor_to(at_ms, DAY_MS) - WINDOW_MS)
        while known.containers and begin_ms < at_ms:
            end_ms = min(floor_to(begin_ms, DAY_MS) + DAY_MS, at_ms)
            self.add(site, ServedDay(day_ms=begin_ms, present_ms=known.containers * (end_ms - begin_ms)))
            begin_ms = end_ms
        known.containers, known.since_ms = containers, at_ms

    def add(self, site: str, served: ServedDay) -> None:
        """Add to the day that holds `day_ms`."""
        known = self.sites.setdefault(site, SiteServed())
        start_ms = floor_to(served.day_ms, DAY_MS)
        day = next((one for one in reversed(known.days) if one.day_ms == start_ms), None)
        if day is None:
            day = ServedDay(day_ms=start_ms)
            insort(known.days, day, key=lambda one: one.day_ms)
        day.add(served)

    def matched(self, site: str, hour_end_ms: int) -> None:
        """An hour of a site had renewable energy."""
        known = self.sites.setdefault(site, SiteServed())
        known.matched_ms = max(known.matched_ms, hour_end_ms)

    def total(self, site: str, at_ms: int) -> ServedDay:
        """The last thirty days of a site; older ones are forgotten."""
        known = self.sites.setdefault(site, SiteServed())
        known.days = [one for one in known.days if one.day_ms > floor_to(at_ms, DAY_MS) - WINDOW_MS]
        found = ServedDay(day_ms=floor_to(at_ms, DAY_MS))
        for one in known.days:
            found.add(one)
        return found
