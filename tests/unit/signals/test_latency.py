"""The modelled round trip: its line, its symmetry, what is not known, and the data it was fitted to."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from sunward.signals import zones
from sunward.signals.latency import RTT_MS_BASE, RTT_MS_MAE, RTT_MS_PER_KM, rtt_ms, within

FOLDER = Path(os.environ.get("SUNWARD_DATA", "../shared")) / "data"


def test_a_trip_grows_with_the_distance_and_is_the_same_both_ways() -> None:
    assert rtt_ms("FR", "FR") == RTT_MS_BASE
    trips = [rtt_ms("FR", zone) for zone in ("FR", "ES", "PL", "US-NY-NYIS", "KR", "AU-NSW")]
    assert trips == sorted(trips)
    assert rtt_ms("AU-NSW", "FR") == pytest.approx(trips[-1])


def test_half_around_the_earth_is_the_longest() -> None:
    half = max(rtt_ms("ES", zone.zone) for zone in zones.load().zones)
    assert 300 < half < RTT_MS_BASE + RTT_MS_PER_KM * np.pi * zones.EARTH_RADIUS_KM


def test_no_place_is_no_distance() -> None:
    assert rtt_ms("FR", "nowhere") is None
    assert rtt_ms("", "") is None
    assert within("FR", ("FR", "KR", "nowhere"), 50) == (True, False, False)
    assert within("nowhere", ("FR", "nowhere"), 0) == (True, True)


def test_the_line_is_the_least_squares_line_of_its_source() -> None:
    file = FOLDER / "latency_gcp_regions.parquet"
    if not file.exists():
        pytest.skip(f"{file} is not here; SUNWARD_DATA names its folder")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(file)
    distance_km, measured_ms = (table[name].to_numpy() for name in ("distance_km", "rtt_ms"))
    slope, base = np.polyfit(distance_km, measured_ms, 1)
    assert (base, slope) == pytest.approx((RTT_MS_BASE, RTT_MS_PER_KM), rel=0.005)
    error_ms = np.abs(measured_ms - RTT_MS_BASE - RTT_MS_PER_KM * distance_km).mean()
    assert error_ms == pytest.approx(RTT_MS_MAE, abs=0.5)
