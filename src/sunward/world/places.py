"""Where sites may be, as measured so far, and the zone each of them counts in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from sunward.model.identity import ZoneId
from sunward.model.place import Anchor, PlaceRules, RoundTrip
from sunward.model.site import SiteSpec
from sunward.model.trust import Dimension, Level
from sunward.signals import zones

if TYPE_CHECKING:
    from sunward.world.state import World

PLACE = tuple(Dimension).index(Dimension.PLACE)
HALF = 2
"""A measurement is made anew when this part of its time is over: none lapses while site and anchor are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """A measurement, and when it was recorded."""

    trip: RoundTrip
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What is known of the place of one site."""

    trips: tuple[Dated, ...]
    """The last of each anchor, the newest last; all answered by one key."""
    countries: tuple[str, ...]
    """Where they leave it, by code."""


@dataclass(slots=True)
class PlaceBook:
    """Bounded by sites and anchors: one measurement of each pair."""

    rules: PlaceRules = field(default_factory=PlaceRules)
    placed: dict[str, Placed] = field(default_factory=dict)
    """By site."""

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever asked of places."""
        return self.rules == PlaceRules()

    def anchor(self, key: str) -> Anchor | None:
        """The anchor with a key."""
        return next((one for one in self.rules.anchors if one.key == key), None)

    def beside(self, trip: RoundTrip, at_ms: int) -> tuple[Dated, ...]:
        """Measurements of the same key by other anchors that count at a moment."""
        known = self.placed.get(trip.site)
        return tuple(
            one
            for one in (known.trips if known else ())
            if one.trip.anchor_key != trip.anchor_key
            and one.trip.site_key == trip.site_key
            and at_ms < one.at_ms + self.rules.valid_ms
        )

    def measured(self, spec: SiteSpec, at_ms: int) -> Placed | None:
        """What counts of a site at a moment: of its present key, and until the first part of it is over."""
        known = self.placed.get(spec.site)
        if known is None or known.trips[-1].trip.site_key != spec.public_key:
            return None
        return known if at_ms < min(one.at_ms for one in known.trips) + self.rules.valid_ms else None

    def due(self, spec: SiteSpec, anchor: str, at_ms: int) -> bool:
        """Whether an anchor should measure a site now."""
        known = self.placed.get(spec.site)
        return not any(
            one.trip.anchor_key == anchor
            and one.trip.site_key == spec.public_key
            and at_ms < one.at_ms + self.rules.valid_ms // HALF
            for one in (known.trips if known else ())
        )


def possible(countries: tuple[str, ...]) -> tuple[ZoneId, ...]:
    """The zones of some countries, of a country with finer ones these alone; without any countries all zones."""
    every = zones.load().zones
    return tuple(ZoneId(one.zone) for one in every if not one.aggregate and (not countries or one.country in countries))


@lru_cache(maxsize=1_024)
def dirtiest(declared: ZoneId, countries: tuple[str, ...]) -> ZoneId:
    """Of the zone declared and those possible the one with the highest yearly mean."""
    known = zones.load()
    return max((declared, *possible(countries)), key=lambda zone: (known.zone(zone).carbon_mean_mgco2e_per_kwh, zone))


def unproven(world: World, spec: SiteSpec, at_ms: int) -> bool:
    """Whether the place of a site is shown less well than the network asks."""
    asked = world.places.rules.level
    if asked is Level.DECLARED:
        return False
    return world.trust.ranks(spec, at_ms)[PLACE] < asked.rank


def counted_zone(world: World, spec: SiteSpec, at_ms: int) -> ZoneId:
    """The zone whose carbon a site counts with: its own where that is shown, else the dirtiest that is left."""
    if not unproven(world, spec, at_ms):
        return spec.zone
    known = world.places.measured(spec, at_ms)
    return dirtiest(spec.zone, known.countries if known else ())


def counted_elsewhere(world: World, specs: Iterable[SiteSpec], at_ms: int) -> dict[str, ZoneId]:
    """Sites that count in another zone than their own, and in which."""
    if world.places.rules.level is Level.DECLARED:
        return {}
    counted = {spec.site: (spec.zone, counted_zone(world, spec, at_ms)) for spec in specs}
    return {site: zone for site, (declared, zone) in counted.items() if zone != declared}
