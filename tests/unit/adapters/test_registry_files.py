"""Exports of registries: what a row says, and the one line that says why a file does not count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.adapters.registry_files import FORMATS, read_export, read_hours
from sunward.errors import InputError
from sunward.model.granular import is_hour
from sunward.units import DAY_MS, HOUR_MS

JUNE_MS = 1_780_272_000_000
"""2026-06-01T00:00Z."""
HEADS = {
    "mrets": "Generator,Fuel Type,Vintage,Certificate Serial Numbers,Quantity,Status,Country",
    "wregis": "Generator Plant-Unit Name,Fuel Type,Vintage Month,Vintage Year,Certificate Serial Numbers,"
    "Quantity,Status",
    "gats": "Facility Name,Fuel Type,Month/Year,Certificate Serial Numbers,Quantity,Status",
    "go": "Production Device Name,Energy Source,Production Start,Production End,Certificate Number From,"
    "Certificate Number To,Volume,Status,Country of Production",
    "irec": "Production Device,Technology,Period Start,Period End,From Certificate,To Certificate,"
    "Number of Certificates,Status,Country",
}
ROWS = {
    "mrets": "Ridge 1,Wind,06/2026,MRETS-805-MN-06-1 to MRETS-805-MN-06-40,40,Retired,US",
    "wregis": "Sun 2,Solar Photovoltaic,6,2026,4411-CA-98765-1 to 40,40,Retired",
    "gats": "Dam 3,Hydro Water,06/2026,7654321 - 1 to 7654321 - 40,40,Retired",
    "go": "Windpark 4,Onshore wind,2026-06-01,2026-06-30,643002406123456789012345000001,"
    "643002406123456789012345000040,40,Cancelled,ES",
    "irec": "Solar 5,Solar - PV,2026-06-01,2026-06-30,0000-0123-4567-0000001,0000-0123-4567-0000040,40,Redeemed,CL",
}
ZONES = {"mrets": "US-MIDW-MISO", "wregis": "US-CAL-CISO", "gats": "US-MIDA-PJM", "go": "", "irec": ""}
SOURCES = {"mrets": "wind", "wregis": "solar", "gats": "hydro", "go": "wind", "irec": "solar"}


def export(registry: str, *rows: str) -> bytes:
    return "\n".join([HEADS[registry], *(rows or (ROWS[registry],))]).encode()


def changed(registry: str, old: str, new: str) -> bytes:
    assert old in ROWS[registry]
    return export(registry, ROWS[registry].replace(old, new, 1))


@pytest.mark.parametrize("registry", [name for name in FORMATS if name != "gats"])
def test_each_registry_is_read_with_its_true_period(registry) -> None:
    (row,) = read_export(export(registry), registry, ZONES[registry])
    assert (row.source, row.wh, row.last - row.first + 1) == (SOURCES[registry], 40_000_000, 40)
    assert (row.start_ms, row.end_ms) == (JUNE_MS, JUNE_MS + 30 * DAY_MS)
    assert not is_hour(row.start_ms, row.end_ms)
    assert row.device.startswith(f"{registry}:")


def test_a_registry_that_puts_blanks_into_serials_is_read_as_it_writes_them() -> None:
    raw = export("gats", "Dam 3,Hydro Water,06/2026,7654321-1 to 7654321-40,40,Retired")
    (row,) = read_export(raw, "gats", "US-MIDA-PJM")
    assert (row.serials, row.first, row.last, row.market) == ("7654321-", 1, 40, "US-MIDA-PJM")
    with pytest.raises(InputError, match="row 2, column Certificate Serial Numbers"):
        read_export(export("gats"), "gats", "US-MIDA-PJM")


def test_markets_follow_from_countries_of_one_market_and_else_from_the_zone_named() -> None:
    assert read_export(export("go"), "go")[0].market == "ES"
    assert read_export(changed("go", ",ES", ",LU"), "go")[0].market == "DE-LU"
    with pytest.raises(InputError, match="row 2, column Country of Production: 'SE' has several markets"):
        read_export(changed("go", ",ES", ",SE"), "go")
    assert read_export(changed("go", ",ES", ",SE"), "go", "SE-SE3")[0].market == "SE-SE3"
    with pytest.raises(InputError, match="covers several"):
        read_export(export("go"), "go", "SE")


def test_only_a_row_that_names_an_hour_with_its_offset_is_of_an_hour() -> None:
    hour = changed("go", "2026-06-01,2026-06-30", "2026-06-01T12:00+02:00,2026-06-01T11:00Z")
    (row,) = read_export(hour, "go")
    assert (row.start_ms, row.end_ms) == (JUNE_MS + 10 * HOUR_MS, JUNE_MS + 11 * HOUR_MS)
    with pytest.raises(InputError, match="row 2, column Production Start: an hour is written"):
        read_export(changed("go", "2026-06-01,2026-06-30", "2026-06-01T12:00,2026-06-01T13:00"), "go")


def test_serials_too_long_to_count_with_keep_their_beginning() -> None:
    (row,) = read_export(export("go"), "go")
    assert (row.serials, row.first, row.last) == ("643002406123456789", 12_345_000_001, 12_345_000_040)


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ("Cancelled", "Active", "Status"),
        ("Cancelled", "", "Status"),
        (",40,", ",41,", "Volume"),
        (",40,", ",40.5,", "Volume"),
        (",40,", ",-40,", "Volume"),
        (",40,", ",1e2,", "Volume"),
        ("Onshore wind", "Coal", "Energy Source"),
        ("Onshore wind", "wind and solar", "Energy Source"),
        ("2026-06-30", "2026-06-31", "Production End"),
        ("2026-06-30", "2026-05-30", "Production End"),
        ("2026-06-01", "1926-06-01", "Production Start"),
        ("2026-06-01", "", "Production Start"),
        ("5000001,", "x,", "Certificate Number From"),
        ("643002406123456789012345000040", "743002406123456789012345000040", "Certificate Number From"),
        ("5000040", "4999999", "Certificate Number From"),
        (",ES", ",ZZ", "Country of Production"),
        (",ES", ",", "Country of Production"),
    ],
)
def test_a_bad_row_is_named_with_its_column(old, new, column) -> None:
    with pytest.raises(InputError) as caught:
        read_export(changed("go", old, new), "go")
    assert caught.value.code == "SW-768"
    assert caught.value.message.startswith(f"row 2, column {column}")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "lacks"),
        (b"\xff\xfe", "UTF-8"),
        (b"a,b\n1,2", "lacks Production Device Name"),
        (HEADS["go"].encode(), "1 to 10000 rows"),
        (export("go", ROWS["go"] + ",more"), "row 2: 10 cells"),
        (export("go", '"' + ROWS["go"]), "not CSV"),
        (export("go") + b"\n" + ROWS["go"].encode(), "rows 2 and 3 name the same serials"),
        (HEADS["go"].encode() + b",Status\n", "each column once"),
        (b"x" * (2 * 2**20 + 1), "at most"),
    ],
)
def test_a_bad_file_is_one_line(raw, why) -> None:
    with pytest.raises(InputError, match=why) as caught:
        read_export(raw, "go")
    assert "\n" not in caught.value.message


def test_empty_lines_do_not_shift_the_rows_named() -> None:
    raw = export("go") + b"\n\n,,,,,,,,\n" + ROWS["go"].replace("Cancelled", "Sold").encode()
    with pytest.raises(InputError, match="row 5, column Status"):
        read_export(raw, "go")


def test_an_unknown_registry_is_said_so() -> None:
    with pytest.raises(InputError, match="mrets"):
        read_export(b"", "nasdaq")


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), st.sampled_from(sorted(FORMATS)))
def test_no_bytes_do_more_than_be_refused(raw, registry) -> None:
    for read in (lambda: read_export(raw, registry), lambda: read_hours(raw)):
        with pytest.raises(InputError):
            read()


def test_hours_of_a_meter() -> None:
    raw = b"hour,wh,exported_wh\n2026-06-01T00:00Z,0,\n2026-06-01T01:00Z,1500,\n2026-06-01T02:00Z,1700,200\n"
    found = [(one.start_ms - JUNE_MS, one.wh, one.exported_wh) for one in read_hours(raw)]
    assert found == [(HOUR_MS, 1_500, 0), (2 * HOUR_MS, 1_700, 200)]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("2026-06-01T00:00,5", "row 2, column hour"),
        ("2026-06-01T00:00Z,5.5", "row 2, column wh"),
        ("2026-06-01T00:00Z,0", "no hour"),
        ("never,5", "row 2, column hour"),
    ],
)
def test_hours_that_cannot_be(row, why) -> None:
    with pytest.raises(InputError, match=why):
        read_hours(f"hour,wh\n{row}\n".encode())
    with pytest.raises(InputError, match="column exported_wh"):
        read_hours(b"hour,wh,exported_wh\n2026-06-01T00:00Z,5,6\n")
