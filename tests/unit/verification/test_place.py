"""A place is excluded only where light could not have come from; whoever proves nothing counts as the dirtiest."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sunward.model.identity import SiteId
from sunward.model.place import RoundTrip, answer_bytes, round_trip_bytes
from sunward.signals import zones
from sunward.signals.zones import Zone, distance_km
from sunward.verification.place import (
    dirtiest,
    holds,
    place_findings,
    possible_countries,
    possible_zones,
    reach_km,
)

ZONES = [zone for zone in zones.load().zones if not zone.aggregate]
PARIS, SEOUL, SYDNEY = (48.86, 2.35), (37.57, 126.98), (-33.87, 151.21)
WORLD = max(ZONES, key=lambda zone: (zone.carbon_mean_mgco2e_per_kwh, zone.zone))


def trip(place: tuple[float, float], rtt_ms: float) -> RoundTrip:
    return RoundTrip(
        anchor_key=f"{place}",
        lat_udeg=round(place[0] * 1e6),
        lon_udeg=round(place[1] * 1e6),
        site=SiteId("s-1"),
        site_key="",
        nonce="",
        answer="",
        rtt_us=round(rtt_ms * 1000),
        at_ms=0,
    )


@given(
    st.sampled_from(ZONES),
    st.lists(
        st.tuples(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), st.floats(1.0, 30.0), st.floats(0, 300)),
        max_size=4,
    ),
)
def test_where_an_honest_site_stands_is_never_excluded(
    zone: Zone, anchors: list[tuple[tuple[float, float], float, float]]
) -> None:
    """Its answers take as long as light in fibre needs on the straight way, or longer by any detour and wait."""
    trips = [
        trip(place, distance_km(*place, zone.lat, zone.lon) * 2 / 204.2 * detour + wait + 0.001)
        for place, detour, wait in anchors
    ]
    assert place_findings("s-1", zone.zone, possible_countries(trips), len(trips)) == ()
    assert zone in possible_zones(trips)
    assert dirtiest(zone.zone, trips).carbon_mean_mgco2e_per_kwh >= zone.carbon_mean_mgco2e_per_kwh


def test_without_a_measurement_a_site_counts_in_the_dirtiest_zone_of_all() -> None:
    assert dirtiest("NO-NO2", []) == WORLD


def test_a_near_anchor_leaves_its_neighbours_and_no_more() -> None:
    left = possible_countries([trip(PARIS, 2.0)])
    assert {"FR", "BE"} <= left
    assert not left & {"PL", "US", "KR", "NO", "ES", "IN"}
    assert dirtiest("FR", [trip(PARIS, 2.0)]).carbon_mean_mgco2e_per_kwh < WORLD.carbon_mean_mgco2e_per_kwh
    assert possible_countries([trip(SEOUL, 1.0)]) <= {"KR", "KP"}


def test_a_wrong_country_is_found() -> None:
    (found,) = place_findings("s-1", "NO-NO2", possible_countries([trip(SYDNEY, 5.0)]), 1)
    assert found.key == "place_excluded"
    assert found.text == "s-1 says it is in NO-NO2; its key answered 1 anchors too soon for any place in NO"


def test_long_times_exclude_nothing() -> None:
    assert possible_countries([trip(PARIS, 400.0)]) == possible_countries([])


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(0.1, 100), st.floats(0, 100))
def test_a_longer_time_never_excludes_more(lat: float, lon: float, rtt_ms: float, more_ms: float) -> None:
    short, long = (
        possible_countries([trip((lat, lon), rtt_ms)]),
        possible_countries([trip((lat, lon), rtt_ms + more_ms)]),
    )
    on_land_at_all = possible_countries([]) != short
    assert short <= long or not on_land_at_all


def test_anchors_that_contradict_each_other_exclude_nothing() -> None:
    assert possible_countries([trip(PARIS, 1.0), trip(SYDNEY, 1.0)]) == possible_countries([])


def test_reach_is_half_the_time_at_the_speed_of_light_in_fibre() -> None:
    assert 102.0 < reach_km(1_000) < 102.2


def test_a_measurement_is_signed_by_both_sides() -> None:
    anchor, site = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    keys = [key.public_key().public_bytes_raw().hex() for key in (anchor, site)]
    nonce = "5a" * 32
    told = replace(
        trip(PARIS, 2.0),
        anchor_key=keys[0],
        site_key=keys[1],
        nonce=nonce,
        answer=site.sign(answer_bytes(keys[0], "s-1", nonce)).hex(),
    )
    told = replace(told, signature=anchor.sign(round_trip_bytes(told)).hex())
    assert holds(told)
    for changed in (
        replace(told, rtt_us=1),
        replace(told, lat_udeg=0),
        replace(told, site=SiteId("s-2")),
        replace(told, nonce="00" * 32),
        replace(told, answer=told.signature),
        replace(told, site_key=keys[0]),
        replace(told, at_ms=1),
    ):
        assert not holds(changed)
