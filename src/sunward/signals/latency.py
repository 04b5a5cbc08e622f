"""Round-trip time between two grid zones, modelled from the distance between their reference points.

Source: least squares over the 1,122 ordered pairs of 34 regions of one cloud, published by AT&T Center, SMU, and kept
by umassos/decarbonization-potential (`raw_gcp_latency.csv`, in use since 2023; the year of measurement is not stated).
R² 0.76, mean absolute error 29 ms; pairs within 2,000 km answer 12 ms sooner on average, and one pair in twenty takes
82 ms longer.
"""

from __future__ import annotations

from functools import lru_cache

from sunward.model.datum import Quality
from sunward.signals import zones

QUALITY = Quality.MODELLED
RTT_MS_BASE = 16.6
RTT_MS_PER_KM = 0.01515
RTT_MS_MAE = 29
"""Mean absolute error of the fit; with zone reference points in place of the regions' own it is 29 ms too."""


@lru_cache(maxsize=1 << 16)
def rtt_ms(origin: str, zone: str) -> float | None:
    """Modelled round trip between the reference points of two zones; None where one of them has no place here."""
    known = zones.load()
    if origin not in known.rows or zone not in known.rows:
        return None
    here, there = known.zone(origin), known.zone(zone)
    return RTT_MS_BASE + RTT_MS_PER_KM * zones.distance_km(here.lat, here.lon, there.lat, there.lon)


@lru_cache(maxsize=1 << 10)
def within(origin: str, there: tuple[str, ...], most_ms: int) -> tuple[bool, ...]:
    """Which of some zones are known to lie within a round trip of `most_ms`; 0 = every one does."""
    trips = (rtt_ms(origin, zone) if most_ms else 0.0 for zone in there)
    return tuple(trip is not None and trip <= most_ms for trip in trips)
