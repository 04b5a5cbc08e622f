"""No plant feeds in at night, nor more than the sky gives; an honest one never trips."""

from __future__ import annotations

import builtins
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sunward.errors import SourceError
from sunward.verification import solar

HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS
FROM_MS = 1_798_761_600_000
"""2027-01-01."""
NAMEPLATE_W = 100_000

pvlib = pytest.importorskip("pvlib")
pandas = pytest.importorskip("pandas")


def at(month: int, day: int, hour: int) -> int:
    return int(datetime(2027, month, day, hour, tzinfo=UTC).timestamp()) * 1000


def found(lat: float, lon: float, hour_ms: int, wh: int, radius_km: float = 0.0, u_ppm: int = 10_000) -> list[str]:
    told = solar.solar_findings(
        "p-1",
        lat=lat,
        lon=lon,
        radius_km=radius_km,
        hour_ms=hour_ms,
        nameplate_w=NAMEPLATE_W,
        found_wh=wh,
        uncertainty_ppm=u_ppm,
    )
    return [finding.key for finding in told]


@settings(max_examples=60)
@example(66.0, 148.0, 0, 0.0, 0.0)
@given(st.floats(-70, 70), st.floats(-180, 180), st.integers(0, 8_759), st.floats(0, 0.25), st.floats(-0.05, 0.05))
def test_an_honest_plant_never_trips(lat: float, lon: float, hour: int, albedo: float, error: float) -> None:
    """A plant on a tracker under a clear sky of common air, by another model of the sky, with a noisy meter."""
    hour_ms = FROM_MS + hour * HOUR_MS
    times = pandas.to_datetime(range(hour_ms, hour_ms + HOUR_MS, 600_000), unit="ms", utc=True)
    place = pvlib.location.Location(lat, lon)
    position = place.get_solarposition(times)
    up = position[position["apparent_elevation"] > 0]
    if up.empty:
        assert found(lat, lon, hour_ms, 1) == []
        return
    sky = pvlib.clearsky.bird(
        up["apparent_zenith"], place.get_airmass(times, position)["airmass_relative"].loc[up.index], 0.1, 0.1, 1.5
    )
    plane = sky["dni"] + sky["dhi"] + albedo * sky["ghi"]
    wh = plane.sum() / len(times) / 1000 * NAMEPLATE_W * 0.95
    assert found(lat, lon, hour_ms, int(min(wh, NAMEPLATE_W) * (1 + error))) == []


@pytest.mark.parametrize(
    ("lat", "lon", "hour_ms"),
    [
        (40.4, -3.7, at(6, 21, 23)),
        (59.9, 10.8, at(12, 21, 18)),
        (-33.9, 151.2, at(3, 5, 14)),
        (69.6, 18.9, at(12, 21, 1)),
    ],
)
def test_sun_at_night_is_found(lat: float, lon: float, hour_ms: int) -> None:
    assert found(lat, lon, hour_ms, 2) == ["solar_high"]
    assert found(lat, lon, hour_ms, 1) == []


def test_more_than_the_sky_gives_is_found() -> None:
    noon = at(6, 21, 12)
    assert found(40.4, -3.7, noon, NAMEPLATE_W) == []
    assert found(40.4, -3.7, noon, NAMEPLATE_W * 2) == ["solar_high"]
    early = at(12, 21, 8)
    assert found(52.5, 13.4, early, NAMEPLATE_W) == ["solar_high"]


@settings(max_examples=20)
@given(st.floats(-60, 60), st.integers(0, 8_759), st.floats(0, 500))
def test_a_place_known_less_well_allows_no_less(lat: float, hour: int, radius_km: float) -> None:
    hour_ms = FROM_MS + hour * HOUR_MS
    exact = solar.solar_most_wh(lat, 0.0, 0.0, hour_ms, NAMEPLATE_W)
    assert 0 <= exact <= solar.solar_most_wh(lat, 0.0, radius_km, hour_ms, NAMEPLATE_W) <= 1.3 * NAMEPLATE_W + 1


def test_without_pvlib_it_says_so_and_bounds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "pvlib":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    solar._pvlib.cache_clear()
    with pytest.raises(SourceError, match=r"sunward\[audit\]") as told:
        found(40.4, -3.7, at(6, 21, 23), 2)
    assert told.value.code == "SW-750"
    solar._pvlib.cache_clear()
