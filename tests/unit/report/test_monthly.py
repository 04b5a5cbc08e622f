"""A month's statement: its lines, sums, CSV and page."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from sunward.model.calendar import month_span
from sunward.model.datum import Quality
from sunward.model.receipt import Counterfactual
from sunward.model.statement import MonthPage, SeriesNote
from sunward.report.monthly import statement_line, totals_of, whole_month
from sunward.report.monthly_csv import COLUMNS, decimal, kwh, safe, statement_csv
from sunward.report.monthly_html import render_month
from sunward.report.receipts import build_receipt
from tests.unit.report.samples import DAY, HOUR_MS, SPEC, line, parts
from tests.unit.report.test_html import HOSTILE, parsed, same

MONTH = "2023-06"
ONE = build_receipt(parts())
TWO = build_receipt(
    parts(
        spec=replace(SPEC, job="j-zzzzzzzzzz"),
        finished_ms=DAY + HOUR_MS,
        lines=(line(0, zone="PT", site="pt-wind", carbon_quality=Quality.MEASURED),),
        counterfactuals=(Counterfactual(name="run-now-mean-site/1", facility_j=1, carbon_mg=1, change_ppm=5),),
    )
)
FINAL = statement_line(ONE, 1_999_999, digest="ab" * 32, name="train")
PROVISIONAL = statement_line(TWO, 2_000_000)


def page(*lines, pending=(), following=None) -> MonthPage:
    start_ms, end_ms = month_span(MONTH)
    return MonthPage(
        tenant="t-1",
        month=MONTH,
        start_ms=start_ms,
        end_ms=end_ms,
        at_ms=end_ms + HOUR_MS,
        lines=lines,
        totals=totals_of(lines),
        pending=pending,
        next=following,
    )


STATEMENT = whole_month([page(FINAL, following="1.1"), page(PROVISIONAL, pending=("j-late",))])
PAGE = render_month(STATEMENT, "en", same)


def test_a_line_tells_its_receipt() -> None:
    assert (FINAL.final, FINAL.receipt, FINAL.name) == (True, "ab" * 32, "train")
    assert (FINAL.sites, FINAL.zones, FINAL.gpu_ms) == (("es-solar",), ("ES",), 2 * HOUR_MS)
    assert (FINAL.device_j, FINAL.facility_j) == (2_400_000, 4_320_000)
    assert (FINAL.location_mg, FINAL.market_mg, FINAL.embodied_mg, FINAL.water_ml) == (162_500, 720_000, 20_000, 1_800)
    assert (FINAL.price_usd_micro, FINAL.paid_usd_micro, FINAL.paid_wei, FINAL.offset_wei) == (
        2_000_000,
        1_999_999,
        2_000,
        20,
    )
    assert FINAL.series == (
        SeriesNote(zone="ES", source="typical year", quality=Quality.MODELLED, facility_j=4_320_000),
    )
    assert (PROVISIONAL.final, PROVISIONAL.receipt, PROVISIONAL.name) == (False, "", "")


def test_the_month_is_in_order_of_ends_and_its_totals_are_sums() -> None:
    assert [one.job for one in STATEMENT.lines] == [TWO.job, ONE.job]
    totals = STATEMENT.totals
    assert (totals.jobs, totals.provisional, totals.promises, totals.promises_kept) == (2, 1, 2, 2)
    assert (totals.facility_j, totals.location_mg, totals.market_mg) == (6_480_000, 264_500, 1_080_000)
    assert (totals.paid_usd_micro, totals.paid_wei, totals.offset_wei) == (3_999_999, 4_000, 40)
    assert [(one.name, one.jobs, one.carbon_mg, one.location_mg) for one in totals.counterfactuals] == [
        ("run-now-mean-site/1", 1, 1, 102_000),
        ("run-now-origin/1", 1, 325_000, 162_500),
    ]
    assert [(note.zone, note.facility_j) for note in totals.series] == [("ES", 4_320_000), ("PT", 2_160_000)]
    assert STATEMENT.pending == ("j-late",)


def test_a_job_that_became_final_between_two_pages_counts_once() -> None:
    later = statement_line(TWO, 2_000_000, digest="cd" * 32)
    for pages in ([page(PROVISIONAL), page(later, pending=(TWO.job,))], [page(later), page(PROVISIONAL)]):
        whole = whole_month(pages)
        assert [one.final for one in whole.lines] == [True]
        assert (whole.totals.jobs, whole.pending) == (1, ())


def test_no_job_gives_zeroes() -> None:
    empty = whole_month([page()])
    assert (empty.lines, empty.totals.paid_wei, empty.totals.series) == ((), 0, ())
    assert statement_csv(empty) == ",".join(COLUMNS) + "\r\n"
    assert parsed(render_month(empty, "en", same)) is not None


def test_csv_has_one_header_and_every_recorded_digit() -> None:
    written = statement_csv(STATEMENT)
    assert written.endswith("\r\n")
    assert written.count("\r\n") == 3
    header, _first, second = list(csv.reader(io.StringIO(written)))
    assert header == list(COLUMNS)
    row = dict(zip(header, second, strict=True))
    assert (row["job"], row["name"], row["standing"], row["receipt_sha256"]) == (ONE.job, "train", "final", "ab" * 32)
    assert (row["submitted_utc"], row["ended_utc"]) == ("2023-06-12T00:00:00Z", "2023-06-12T02:00:00Z")
    assert (row["gpu_seconds"], row["device_kwh"], row["facility_kwh"]) == ("7200.000", "0.666666667", "1.200000000")
    assert (row["location_based_gco2e"], row["market_based_gco2e"]) == ("162.500", "720.000")
    assert (row["embodied_gco2e"], row["water_l"]) == ("20.000", "1.800")
    assert (row["price_usd"], row["paid_usd"]) == ("2.000000", "1.999999")
    assert (row["paid_ath"], row["offset_ath"]) == ("0.000000000000002000", "0.000000000000000020")
    assert (row["run_now_origin_gco2e"], row["run_now_origin_change"]) == ("325.000", "-0.500000")
    assert (row["run_now_mean_site_gco2e"], row["promise_kept"]) == ("", "yes")
    assert row["carbon_series"] == "ES: typical year (modelled)"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=x", "\n=x"])
def test_names_command_no_spreadsheet(name) -> None:
    assert safe(name) == f"'{name}"
    (_, row) = csv.reader(io.StringIO(statement_csv(whole_month([page(replace(FINAL, name=name))])), newline=""))
    assert row[list(COLUMNS).index("name")] == f"'{name}"


def test_names_with_signs_of_the_format_come_back_whole() -> None:
    for name in ('a, "b"\r\nc', "학습, 첫째", "plain"):
        (_, row) = csv.reader(io.StringIO(statement_csv(whole_month([page(replace(FINAL, name=name))])), newline=""))
        assert row[list(COLUMNS).index("name")] == name


def test_decimals_are_exact() -> None:
    assert (decimal(-1_234, 1_000), decimal(5, 10**18), decimal(0, 1_000)) == (
        "-1.234",
        "0.000000000000000005",
        "0.000",
    )
    assert (kwh(1), kwh(3_600_000)) == ("0.000000278", "1.000000000")


def test_the_page_says_all_that_a_statement_must() -> None:
    words = " ".join(parsed(PAGE).itertext())
    for expected in (
        "statement of 2023-06",
        "from 2023-06-01 until 2023-07-01",
        "train",
        "es-solar (ES)",
        "provisional",
        "run-now-origin/1",
        "−50 %",
        "typical year",
        "j-late",
        "never added",
        "0.000000 ATH (1.00%)",
        "fossil factor",
    ):
        assert expected in words
    assert "A4 landscape" in PAGE
    assert "http" not in PAGE.replace("http-equiv", "")


def test_names_are_text_and_never_markup() -> None:
    evil = whole_month([page(replace(FINAL, name=HOSTILE, sites=(HOSTILE,), zones=(HOSTILE,)))])
    shown = render_month(evil, HOSTILE, same)
    assert parsed(shown) is not None
    assert "<script" not in shown
