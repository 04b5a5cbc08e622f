"""Where a site can be, from round trips between anchors and its key.

Nothing answers sooner than light in fibre gets there and back, so a short time shows that the key is near. A long
time shows nothing: the way may be long, or the answer held back. A zone is excluded only where no part of its
country is within reach of every anchor, for the finer zones of a country have no outlines here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sunward.model.place import RoundTrip, answer_bytes, round_trip_bytes
from sunward.signals import places, zones
from sunward.signals.zones import Zone
from sunward.verification.coefficients import value
from sunward.verification.exact import MILLION
from sunward.verification.signature import signed_by
from sunward.verification.verdict import Finding

LATITUDE_MAX_UDEG, LONGITUDE_MAX_UDEG = 90 * MILLION, 180 * MILLION
NONCE_DIGITS = 64

PLACE_EXCLUDED = "{site} says it is in {zone}; its key answered {anchors} anchors too soon for any place in {country}"


def holds(trip: RoundTrip) -> bool:
    """Whether the anchor signed this, and the site's key its nonce; not whether the anchor is honest."""
    possible = (
        abs(trip.lat_udeg) <= LATITUDE_MAX_UDEG
        and abs(trip.lon_udeg) <= LONGITUDE_MAX_UDEG
        and trip.rtt_us >= 0
        and len(trip.nonce) == NONCE_DIGITS
    )
    return (
        possible
        and signed_by(trip.site_key, trip.answer, answer_bytes(trip.anchor_key, trip.site, trip.nonce))
        and signed_by(trip.anchor_key, trip.signature, round_trip_bytes(trip))
    )


def reach_km(rtt_us: int) -> float:
    """How far away the key can be at most: half the time at the speed of light in fibre."""
    return rtt_us / 2.0 * value("fibre_km_per_us")


def possible_countries(trips: Sequence[RoundTrip]) -> frozenset[str]:
    """Countries with any part within reach of every anchor; without measurements all of them.

    Measurements that leave no place on Earth contradict each other: they show nothing, and exclude nothing.
    """
    discs = [places.disc(trip.lat_udeg / MILLION, trip.lon_udeg / MILLION, reach_km(trip.rtt_us)) for trip in trips]
    return places.countries_in(discs) or frozenset(places.load())


def possible_zones(trips: Sequence[RoundTrip]) -> tuple[Zone, ...]:
    """Zones that the measurements do not exclude, by name; of a country with finer ones these alone."""
    countries = possible_countries(trips)
    return tuple(zone for zone in zones.load().zones if zone.country in countries and not zone.aggregate)


def dirtiest(declared: str, trips: Sequence[RoundTrip]) -> Zone:
    """The zone a site counts in whose place rests on round trips alone: the highest yearly mean that is possible.

    The declared zone is among those compared, so that no measurement makes a site cleaner than its own word.
    """
    candidates = {zone.zone: zone for zone in (*possible_zones(trips), zones.load().zone(declared))}
    return max(candidates.values(), key=lambda zone: (zone.carbon_mean_mgco2e_per_kwh, zone.zone))


def place_findings(site: str, declared: str, countries: Collection[str], anchors: int) -> tuple[Finding, ...]:
    """Whether a site can be where it says, by the countries that so many anchors leave."""
    zone = zones.load().zone(declared)
    if zone.country in countries:
        return ()
    figures: dict[str, str | int] = {"site": site, "zone": declared, "anchors": anchors, "country": zone.country}
    return (Finding(key="place_excluded", sentence=PLACE_EXCLUDED, figures=figures),)
