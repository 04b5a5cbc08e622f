"""Lies about where a site stands, told to anchors, the engine and the accounts."""

from __future__ import annotations

import random
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.support.network import Network
from tests.support.scenarios import START_MS

from benchmarks._honest import KEY, a_site
from benchmarks._lies import MY, Ends, Lie, Play, Played
from sunward.errors import InvariantError
from sunward.model.datum import SeriesKind
from sunward.model.identity import SiteId, ZoneId
from sunward.model.place import Anchor, PlaceRules, RoundTrip, answer_bytes, round_trip_bytes
from sunward.model.place_events import PlaceMeasured, PlaceRulesSet
from sunward.model.site import SiteSpec
from sunward.model.trust import Level
from sunward.signals import zones
from sunward.signals.typical import ClimatologySource
from sunward.signals.zones import Zone, distance_km
from sunward.units import DAY_MS, HOUR_MS, MG_PER_T, MICRO
from sunward.verification.coefficients import value
from sunward.verification.place import holds, possible_countries
from sunward.world.places import counted_zone

ANCHORS = 3
CARBON_USD_PER_T = 100.0
"""What a tonne that is not counted is worth at most: the planner's price of `balanced` jobs."""


def told_elsewhere(hold_us: float) -> Play:
    """A site of a dirty zone is enrolled in a cleaner country, before anchors; it may hold its answers back."""

    def play(draw: random.Random) -> Played:
        every = [one for one in zones.load().zones if not one.aggregate]
        true, said = sorted(draw.sample(every, 2), key=lambda one: -one.carbon_mean_mgco2e_per_kwh)
        spec = a_site(zone=ZoneId(said.zone), country=said.country)
        network = Network(sites=(spec,))
        keys = [Ed25519PrivateKey.from_private_bytes(draw.randbytes(32)) for _ in range(ANCHORS)]
        posts = [an_anchor(f"a{row}", key, draw.choice(every)) for row, key in enumerate(keys)]
        network.tell(PlaceRulesSet(rules=PlaceRules(level=Level.ENDORSED, anchors=tuple(posts))))
        for key, post in zip(keys, posts, strict=True):
            measure(network, measured(draw, key, post, spec, true, draw.uniform(0, hold_us)))
        counted = counted_zone(network.state.world, spec, network.at_ms)
        found = tuple(sorted({one.record.fault for one in network.state.world.trust.verdicts.values()}))
        return Played(found=found, gain_usd=MY.kwh * HOUR_MS / DAY_MS * unseen_usd(draw, true.zone, counted))

    return play


def an_anchor(name: str, key: Ed25519PrivateKey, zone: Zone) -> Anchor:
    """An anchor at the middle of a zone."""
    public = key.public_key().public_bytes_raw().hex()
    return Anchor(
        name=name,
        key=public,
        lat_udeg=round(zone.lat * MICRO),
        lon_udeg=round(zone.lon * MICRO),
        address="anchor.example:8475",
    )


def measured(
    draw: random.Random, key: Ed25519PrivateKey, post: Anchor, spec: SiteSpec, true: Zone, hold_us: float
) -> RoundTrip:
    """What an anchor measures of a key that answers from the true zone, over a way that is no straight line."""
    there_us = distance_km(post.lat_udeg / MICRO, post.lon_udeg / MICRO, true.lat, true.lon) / value("fibre_km_per_us")
    nonce = draw.randbytes(32).hex()
    trip = RoundTrip(
        anchor_key=post.key,
        lat_udeg=post.lat_udeg,
        lon_udeg=post.lon_udeg,
        site=SiteId(spec.site),
        site_key=spec.public_key,
        nonce=nonce,
        answer=KEY.sign(answer_bytes(post.key, spec.site, nonce)).hex(),
        rtt_us=round(2 * there_us * draw.uniform(1.1, 2.5) + draw.uniform(200, 5_000) + hold_us),
        at_ms=START_MS,
    )
    return replace(trip, signature=key.sign(round_trip_bytes(trip)).hex())


def measure(network: Network, trip: RoundTrip) -> None:
    """What the service does with it."""
    if not holds(trip):
        raise InvariantError("an honest anchor's measurement does not hold")
    beside = network.state.world.places.beside(trip, network.at_ms)
    left = possible_countries([*(one.trip for one in beside), trip])
    network.tell(PlaceMeasured(trip=trip, countries=tuple(sorted(left))))


def unseen_usd(draw: random.Random, true: str, counted: str) -> float:
    """The worth of what is not counted, of a kWh in each hour of a day; where too much counts, nothing is taken off."""
    start_ms = (START_MS // DAY_MS + draw.randrange(365)) * DAY_MS
    known = [
        ClimatologySource().observe(ZoneId(zone), SeriesKind.CARBON_AVERAGE_LIFECYCLE, start_ms, start_ms + DAY_MS)
        for zone in (true, counted)
    ]
    emitted, told = (series.values.tolist() for series in known)
    mg = sum(max(0, one - other) for one, other in zip(emitted, told, strict=True))
    return mg / MG_PER_T * CARBON_USD_PER_T


LIES = (
    Lie(key="wrong_country", ends=Ends.BOUNDED, play=told_elsewhere(0), seen_on_visit=True, slashed=False),
    Lie(key="delayed_echo", ends=Ends.BOUNDED, play=told_elsewhere(300_000), seen_on_visit=True, slashed=False),
)
