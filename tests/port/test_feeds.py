"""Feeds: what a user's file may hold, and what is refused with which remedy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.adapters.feeds.files import FileSource
from sunward.errors import InputError, NotFoundError
from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.signals.climatology import load
from sunward.signals.typical import ClimatologySource
from sunward.units import HOUR_MS

CARBON, PRICE = SeriesKind.CARBON_AVERAGE_LIFECYCLE, SeriesKind.PRICE
DE = ZoneId("DE")
NOON = int(np.datetime64("2026-01-01T12", "ms").astype(np.int64))
GOOD = "DE,2026-01-01T12:00:00Z,350.5\nDE,2026-01-01T13:00:00Z,351\n"


@pytest.fixture
def write(tmp_path):
    def written(body, header="zone,ts_utc,value", name="mine.csv"):
        path = tmp_path / name
        path.write_text(f"{header}\n{body}", encoding="utf-8")
        return path

    return written


def test_a_plain_file_is_read(write):
    series = FileSource(write(GOOD), CARBON).observe(DE, CARBON, NOON, NOON + 2 * HOUR_MS)
    assert series.values.tolist() == [350_500, 351_000]
    assert (series.source, series.quality, series.unit) == ("mine.csv", Quality.MODELLED, "mgCO2e/kWh")


def test_rows_may_come_in_any_order_and_zones_may_mix(write):
    body = "FR,2026-01-01 12:00,50\nDE,2026-01-01T13:00:00+00:00,2\nDE,2026-01-01T12:00:00Z,1\n"
    source = FileSource(write(body), CARBON)
    assert source.observe(DE, CARBON, NOON, NOON + 2 * HOUR_MS).values.tolist() == [1_000, 2_000]
    assert source.observe(ZoneId("FR"), CARBON, NOON, NOON + 1).values.tolist() == [50_000]


def test_named_units_quality_and_source_are_kept(write):
    header = "zone,ts_utc,value,unit,quality,source"
    body = "DE,2026-01-01T12:00Z,-12.5,USD/MWh,measured,EPEX\nDE,2026-01-01T13:00Z,0.1,USD/kWh,estimated,EPEX\n"
    source = FileSource(write(body, header), PRICE)
    series = source.observe(DE, PRICE, NOON, NOON + 2 * HOUR_MS)
    assert series.values.tolist() == [-12_500, 100_000]
    assert (series.source, series.quality) == ("EPEX", Quality.ESTIMATED)
    assert source.observe(DE, PRICE, NOON, NOON + HOUR_MS).quality is Quality.MEASURED


def test_parquet_equals_csv(write, tmp_path):
    stamps = pa.array([NOON, NOON + HOUR_MS], pa.timestamp("ms", tz="UTC"))
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"zone": ["DE", "DE"], "ts_utc": stamps, "value": [350.5, 351.0]}), path)
    window = (DE, CARBON, NOON, NOON + 2 * HOUR_MS)
    values = FileSource(path, CARBON).observe(*window).values
    assert (values == FileSource(write(GOOD), CARBON).observe(*window).values).all()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("DE,2026-01-01T12:00Z,1\nDE,2026-01-01T14:00Z,1\n", r"row 3: zone DE lacks 2026-01-01T13:00Z .*fill the gap"),
        ("DE,2026-01-01T12:00Z,1\nDE,2026-01-01T12:00Z,1\n", r"row 3: zone DE has .* in row 2 too; keep one"),
        ("DE,2026-01-01T12:00Z,-1\n", r"row 2: carbon intensity -1 is below 0"),
        ("DE,2026-01-01T12:00Z,nan\n", r"row 2: value nan is not a finite"),
        ("DE,2026-01-01T12:00Z,inf\n", r"row 2: value inf is not a finite"),
        ("DE,2026-01-01T12:00Z,1e300\n", r"row 2: value 1e300 is not a finite"),
        ("DE,2026-01-01T12:00Z,\n", r"row 2: value '' is not a number"),
        ("DE,2026-01-01T12:00Z\n", r"row 2: value 'None' is not a number"),
        ("DE,2026-01-01T12:30Z,1\n", r"row 2: .* not a whole hour"),
        ("DE,2026-01-01T12:00+01:00,1\n", r"row 2: .* is not UTC"),
        ("DE,yesterday,1\n", r"row 2: .* is not a time"),
        (",2026-01-01T12:00Z,1\n", r"row 2: no zone"),
        ("", r"no rows"),
    ],
)
def test_faults_name_the_row_and_the_remedy(write, body, message):
    with pytest.raises(InputError, match=message) as refusal:
        FileSource(write(body), CARBON)
    assert "\n" not in refusal.value.message


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("unit", "lb/MWh", "unknown unit 'lb/MWh'"),
        ("unit", "USD/kWh", "unknown unit 'USD/kWh' for carbon"),
        ("quality", "good", "unknown quality 'good'"),
    ],
)
def test_unknown_labels_are_refused(write, column, cell, message):
    with pytest.raises(InputError, match=message):
        FileSource(write(f"DE,2026-01-01T12:00Z,1,{cell}\n", f"zone,ts_utc,value,{column}"), CARBON)


def test_a_zone_has_one_source(write):
    body = "DE,2026-01-01T12:00Z,1,a\nDE,2026-01-01T13:00Z,1,b\n"
    with pytest.raises(InputError, match="changes source to 'b'"):
        FileSource(write(body, "zone,ts_utc,value,source"), CARBON)


def test_files_that_are_none_are_refused(write, tmp_path):
    with pytest.raises(InputError, match="no column value"):
        FileSource(write("DE,x\n", "zone,ts_utc"), CARBON)
    with pytest.raises(InputError, match=r"use \.csv or \.parquet"):
        FileSource(tmp_path / "mine.xlsx", CARBON)
    with pytest.raises(InputError, match="no such file"):
        FileSource(tmp_path / "absent.csv", CARBON)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"no")
    with pytest.raises(InputError, match="not readable as Parquet"):
        FileSource(broken, CARBON)
    latin = tmp_path / "latin.csv"
    latin.write_bytes(b"zone,ts_utc,value\n\xff,1,1\n")
    with pytest.raises(InputError, match="UTF-8"):
        FileSource(latin, CARBON)


def test_what_the_file_lacks_is_not_made_up(write):
    source = FileSource(write(GOOD), CARBON)
    with pytest.raises(InputError, match="zone DE holds"):
        source.observe(DE, CARBON, NOON, NOON + 3 * HOUR_MS)
    with pytest.raises(InputError, match="zone DE holds"):
        source.observe(DE, CARBON, NOON - 1, NOON + HOUR_MS)
    with pytest.raises(NotFoundError, match="has no zone 'De'; did you mean DE"):
        source.observe(ZoneId("De"), CARBON, NOON, NOON + HOUR_MS)
    with pytest.raises(InputError, match="holds carbon_average_lifecycle, not price"):
        source.observe(DE, PRICE, NOON, NOON + HOUR_MS)


@given(st.lists(st.integers(min_value=-(10**12), max_value=10**12), min_size=1, max_size=30))
def test_integer_prices_survive_unchanged(tmp_path_factory, prices):
    path = tmp_path_factory.mktemp("feeds") / "prices.csv"
    stamps = [np.datetime64(NOON + hour * HOUR_MS, "ms").item().isoformat() for hour in range(len(prices))]
    lines = [f"DE,{stamp},{price},micro-USD/kWh" for stamp, price in zip(stamps, prices, strict=True)]
    path.write_text("\n".join(["zone,ts_utc,value,unit", *lines]), encoding="utf-8")
    series = FileSource(path, PRICE).observe(DE, PRICE, NOON, NOON + len(prices) * HOUR_MS)
    assert series.values.tolist() == prices


def test_the_typical_year_can_be_observed():
    series = ClimatologySource().observe(DE, CARBON, NOON + 1, NOON + HOUR_MS + 1)
    assert (series.start_ms, len(series.values)) == (NOON, 2)
    assert (series.values == load().carbon_moments("DE", NOON, 2).mean).all()
    assert series.quality is Quality.ESTIMATED
    price = ClimatologySource().observe(ZoneId("KR"), PRICE, NOON, NOON + HOUR_MS)
    assert price.quality is Quality.MODELLED
    assert "default" in price.source


def test_the_typical_year_has_no_marginal_series():
    with pytest.raises(InputError, match="no typical year of carbon_marginal"):
        ClimatologySource().observe(DE, SeriesKind.CARBON_MARGINAL, NOON, NOON + HOUR_MS)
    with pytest.raises(InputError, match="nothing to observe"):
        ClimatologySource().observe(DE, CARBON, NOON, NOON)
    with pytest.raises(InputError, match="unknown grid zone"):
        ClimatologySource().observe(ZoneId("Atlantis"), CARBON, NOON, NOON + HOUR_MS)
