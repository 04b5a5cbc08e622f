"""The typical year: known shapes, smooth calendars, honest labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.errors import InputError
from sunward.model.datum import Quality
from sunward.signals.climatology import HOURS, interpolate, load
from sunward.signals.zones import distance_km
from sunward.units import DAY_MS, HOUR_MS, MG_PER_G

YEAR_HOURS = 365 * HOURS
SHORTEST_MONTH_DAYS = 28


def at(stamp: str) -> int:
    return int(np.datetime64(stamp, "ms").astype(np.int64))


def test_spain_dips_at_noon_in_june_and_peaks_at_night():
    band = load().carbon_mgco2e_per_kwh("ES", at("2026-06-15"), HOURS)
    noon, night = band.p50[10:15].mean(), band.p50[[0, 1, 2, 3, 22, 23]].mean()
    assert noon < 0.8 * night


@pytest.mark.parametrize("zone", ["NO-NO1", "NO-NO2", "NO-NO3", "NO-NO4", "NO-NO5"])
def test_norway_is_clean_all_year(zone):
    assert 20 * MG_PER_G <= load().zone(zone).carbon_mean_mgco2e_per_kwh <= 45 * MG_PER_G


def test_poland_is_coal():
    year = load()
    midday = year.carbon_mgco2e_per_kwh("PL", at("2026-06-15T11:00"), 1)
    assert 600 * MG_PER_G < midday.p50[0] < 760 * MG_PER_G
    assert 750 * MG_PER_G < year.zone("PL").carbon_mean_mgco2e_per_kwh < 900 * MG_PER_G
    assert year.zone("PL").fossil_gco2e_per_kwh == 1_000


def test_hourly_zones_are_estimated_and_the_rest_modelled():
    year = load()
    own = [zone for zone in year.zones if zone.carbon_donors == (zone.zone,)]
    assert len(own) == 158
    assert {zone.carbon_quality for zone in own} == {Quality.ESTIMATED}
    assert {zone.carbon_quality for zone in year.zones if zone not in own} == {Quality.MODELLED}
    assert sum(zone.price_quality is Quality.ESTIMATED for zone in year.zones) == 20


def test_zones_are_sorted_unique_and_within_bounds():
    zones = load().zones
    names = [zone.zone for zone in zones]
    assert names == sorted(set(names))
    for zone in zones:
        assert 490 <= zone.fossil_gco2e_per_kwh <= 1_000
        assert 0 <= zone.low_carbon_share <= 1
        assert 0 < zone.carbon_mean_mgco2e_per_kwh <= 1_000 * MG_PER_G
        assert abs(zone.lat) <= 90
        assert abs(zone.lon) <= 180


def test_donors_lend_shapes_only_from_their_own_history():
    year = load()
    for zone in year.zones:
        assert all(year.zone(donor).carbon_donors == (donor,) for donor in zone.carbon_donors)
        assert year.zone(zone.price_donor).price_donor == zone.price_donor


def test_a_modelled_zone_keeps_its_own_yearly_mean():
    year = load()
    china = year.zone("CN")
    assert china.carbon_quality is Quality.MODELLED
    assert year.carbon_moments("CN", at("2026-01-01"), YEAR_HOURS).mean.mean() == pytest.approx(533_460, rel=0.01)
    assert len(china.carbon_donors) == 3
    assert all(donor in china.carbon_source for donor in china.carbon_donors)


def test_tables_are_ordered_and_never_negative():
    year = load()
    p10, p50, p90, mean, std = year.carbon
    assert (p10 >= 0).all()
    assert (p10 <= p50).all()
    assert (p50 <= p90).all()
    assert (mean > 0).all()
    assert (std >= 0).all()
    assert (year.price[0] <= year.price[1]).all()
    assert (year.price[1] <= year.price[2]).all()


def test_no_jump_at_month_ends():
    whole = load().carbon_mgco2e_per_kwh("DE", at("2026-01-01"), YEAR_HOURS).p50.reshape(-1, HOURS)
    months = load().carbon[1, load().row("DE")]
    steepest = np.abs(np.diff(months, axis=0, append=months[:1])).max() / SHORTEST_MONTH_DAYS
    assert np.abs(np.diff(whole, axis=0)).max() <= steepest + 1


def test_the_middle_of_a_month_is_the_table_itself():
    table = np.arange(12 * HOURS, dtype=np.int64).reshape(12, HOURS) ** 2
    assert interpolate(table, at("2026-04-16"), 1)[0] == table[3, 0]


def test_a_year_wraps_from_december_to_january():
    table = np.zeros((12, HOURS), dtype=np.int64)
    table[0], table[11] = 100, 300
    assert interpolate(table, at("2027-01-01"), 1)[0] == 200


@given(st.integers(min_value=-400_000, max_value=1_000_000), st.integers(min_value=1, max_value=100))
def test_interpolation_stays_between_extremes_and_agrees_hour_by_hour(hour, hours):
    table = load().carbon[1, load().row("ES")]
    series = interpolate(table, hour * HOUR_MS, hours)
    assert series.min() >= table.min()
    assert series.max() <= table.max()
    assert series[-1] == interpolate(table, (hour + hours - 1) * HOUR_MS, 1)[0]


def test_prices_may_be_negative_and_texas_storms_do_not_set_the_median():
    year = load()
    assert year.price[0].min() < 0
    band = year.price_usd_micro_per_kwh("US-TEX-ERCO", at("2026-02-15"), HOURS)
    mean = year.price_moments("US-TEX-ERCO", at("2026-02-15"), HOURS).mean
    assert band.p50.max() < mean.min()


@pytest.mark.parametrize("asked", ["de", "D E", "NO-N01", "US-CAL-CSIO"])
def test_an_unknown_zone_is_refused_with_a_near_miss(asked):
    with pytest.raises(InputError, match=r"unknown grid zone .*; (did you mean|\d+ are known)") as refusal:
        load().zone(asked)
    assert "\n" not in refusal.value.message


def test_near_misses_name_the_right_zone():
    with pytest.raises(InputError, match="US-CAL-CISO"):
        load().zone("US-CAL-CSIO")


@pytest.mark.parametrize(("start_ms", "hours"), [(1, 1), (HOUR_MS, -1)])
def test_a_start_off_the_hour_is_refused(start_ms, hours):
    with pytest.raises(InputError, match="whole UTC hour"):
        load().carbon_mgco2e_per_kwh("DE", start_ms, hours)


@pytest.mark.parametrize(
    ("lat", "lon", "zone"),
    [(37.57, 126.98, "KR"), (52.52, 13.4, "DE"), (51.5, -0.1, "GB"), (39.9, 116.4, "CN"), (45.46, 9.19, "IT-NO")],
)
def test_a_place_guesses_its_zone(lat, lon, zone):
    assert load().nearest_zone(lat, lon).zone == zone


def test_a_country_narrows_the_guess():
    assert load().nearest_zone(48.5, 7.7, country="FR").zone == "FR"
    with pytest.raises(InputError, match="no grid zone known in country 'XX'"):
        load().nearest_zone(0, 0, country="XX")
    with pytest.raises(InputError, match="no such place"):
        load().nearest_zone(float("nan"), 0)


def test_distances_on_the_sphere():
    assert distance_km(0, 0, 0, 180) == pytest.approx(20_015, rel=1e-3)
    assert distance_km(48.8566, 2.3522, 51.5074, -0.1278) == pytest.approx(343.6, rel=5e-3)
    assert distance_km(-10, 179, -10, -179) == pytest.approx(distance_km(-10, 0, -10, 2))


def test_leap_days_and_dates_before_1970_work():
    band = load().carbon_mgco2e_per_kwh("FR", at("2028-02-28T12:00"), 48)
    assert len(band.p50) == 48
    assert load().carbon_mgco2e_per_kwh("FR", -DAY_MS, HOURS).p50.min() > 0
