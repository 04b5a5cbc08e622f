from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from xml.etree import ElementTree as ET

import pytest

from sunward.model.credits import EpochOffset
from sunward.report import figures
from sunward.report.html import render_report
from sunward.report.page import AccountRow
from sunward.report.timeline import heat_class, timeline
from tests.unit.report.samples import DAY, HOUR_MS, REPORT

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&\u202e"


def same(text: str) -> str:
    return text


PAGE = render_report(REPORT, same)


def hostile(value):
    """The same data with every text replaced by markup."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, tuple):
        return tuple(hostile(item) for item in value)
    if is_dataclass(value):
        return replace(value, **{field.name: hostile(getattr(value, field.name)) for field in fields(value)})
    return value


def parsed(page: str) -> ET.Element:
    """The page as XML, but for its doctype and void elements: every tag it opens it closes."""
    body = page.removeprefix("<!doctype html>\n")
    return ET.fromstring(re.sub(r"<meta ([^>]*)>", r"<meta \1/>", body))  # noqa: S314 - our own text


def test_it_says_what_it_is() -> None:
    assert "<h1>Sunward: AI jobs run where power is clean, with a receipt.</h1>" in PAGE
    assert PAGE.startswith("<!doctype html>")
    text = " ".join(parsed(PAGE).itertext())
    for expected in ("What is real", "checkpoints", "What is modelled", "GPU watts", "es-solar", "run-now-origin/1"):
        assert expected in text


def test_figures_stand_in_the_tables() -> None:
    rows = [[cell.text for cell in row] for row in parsed(PAGE).iter("tr")]
    assert [
        "train",
        "es-solar, no-hydro",
        "6.000",
        "812.0",
        "2,320.0",
        "−65 %",
        "61.0",
        "1/1",
        "9.350",
        "final",
    ] in rows
    assert ["Balance", "0"] in rows
    assert ["one byte changed", "failed", "accepted"] in rows


def test_nothing_outside_the_file_is_needed() -> None:
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<link|<script|<iframe|<img|\bsrc=|\bhref=|\bon[a-z]+=", PAGE)


def test_hostile_text_stays_text() -> None:
    page = render_report(hostile(REPORT), same)
    tree = parsed(page)
    assert {element.tag for element in tree.iter()} == {element.tag for element in parsed(PAGE).iter()}
    assert not any(name.startswith("on") or name == "src" for element in tree.iter() for name in element.attrib)
    assert HOSTILE in [element.text for element in tree.iter("td")]


def test_hostile_translations_stay_text() -> None:
    tree = parsed(render_report(REPORT, lambda _: HOSTILE))
    assert tree.find("body/header/h1").text == HOSTILE
    assert "script" not in {element.tag for element in tree.iter()}


def test_every_text_goes_through_the_translation() -> None:
    asked = []

    def translate(text):
        asked.append(text)
        return f"«{text}»"

    tree = parsed(render_report(REPORT, translate))
    headings = [element.text for name in ("h1", "h2") for element in tree.iter(name)]
    assert all(text.startswith("«") for text in headings)
    columns = [element.text for element in tree.iter("th") if element.get("scope") == "col"]
    assert [text for text in columns if not text.startswith("«")] == ["ATH"]
    assert "Timeline of jobs over carbon intensity" in asked


def test_it_can_be_read_without_seeing_colours() -> None:
    tree = parsed(PAGE)
    assert tree.get("lang") == "en"
    picture = next(element for element in tree.iter("svg") if element.get("role") == "img")
    named = {element.get("id") for element in picture.iter()}
    assert set(picture.get("aria-labelledby").split()) <= named
    assert all(shape.find("title") is not None for shape in picture.iter("rect"))
    assert all(element.get("scope") for element in tree.iter("th") if element.text)
    assert "prefers-color-scheme: dark" in PAGE
    assert "@media print" in PAGE


def test_every_shape_lies_inside_the_picture() -> None:
    picture = ET.fromstring(timeline(REPORT, same))  # noqa: S314 - our own text
    _, _, width, height = map(float, picture.get("viewBox").split())
    for shape in picture.iter("rect"):
        x, y, across, down = (float(shape.get(name)) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + across <= width
        assert 0 <= y <= y + down <= height
    for text in picture.iter("text"):
        assert 0 <= float(text.get("x")) <= width
        assert 0 <= float(text.get("y")) <= height


def test_bars_marks_and_ticks() -> None:
    picture = timeline(REPORT, same)
    assert "<title>train: es-solar 09:30–17:00</title>" in picture
    assert "<title>killed on purpose 08:15</title>" in picture
    assert picture.count('class="kill"') == 1
    assert picture.count('class="deadline"') == 4
    assert re.findall(r'text-anchor="middle">([^<]*)<', picture)[:3] == ["06:00", "08:00", "10:00"]


def test_an_hour_that_began_before_the_window_is_cut_at_its_edge() -> None:
    late = replace(REPORT, start_ms=DAY + 6 * HOUR_MS + HOUR_MS // 2)
    assert timeline(late, same).count('x="128.0"') >= len(REPORT.sites)


def test_a_series_is_drawn_no_further_than_the_window() -> None:
    assert timeline(REPORT, same).count("gCO2e/kWh</title>") == 3 * 18


def test_a_long_name_is_cut_on_the_picture_only() -> None:
    job = replace(REPORT.jobs[0], label="a-very-long-name-of-a-job")
    page = render_report(replace(REPORT, jobs=(job,)), same)
    assert ">a-very-long-name…</text>" in page
    assert '<th scope="row">a-very-long-name-of-a-job</th>' in page


def test_an_empty_report_is_still_a_page() -> None:
    empty = replace(
        REPORT, sites=(), jobs=(), receipts=(), epochs=(), accounts=(), checks=(), not_proved=(), end_ms=REPORT.start_ms
    )
    assert "<footer></footer>" in render_report(empty, same)


def test_a_ledger_that_is_off_shows_by_how_much() -> None:
    off = replace(REPORT, accounts=(AccountRow(account="network", amount_wei=-(10**18)),))
    assert '<td class="n">−1.000000</td></tr></tfoot>' in render_report(off, same)


@pytest.mark.parametrize(("mg", "expected"), [(0, 0), (49_999, 0), (50_000, 1), (170_000, 2), (650_000, 6)])
def test_heat_classes(mg: int, expected: int) -> None:
    assert heat_class(mg) == expected


def test_figures() -> None:
    assert figures.kwh(5_400_000) == "1.500"
    assert figures.kwh(54_000_000) == "15.0"
    assert figures.grams(1_234_567) == "1,234.6"
    assert figures.ath(-1_500_000_000_000_000_000) == "−1.500000"
    assert figures.change(0) == "0 %"
    assert figures.change(350_000) == "+35 %"
    assert figures.clock(DAY + 25 * HOUR_MS + 60_000) == "01:01"
    assert figures.ratio(1_080_000) == "1.08"
    assert figures.usd(31_400_000) == "31.400"


def test_an_epoch_says_what_was_retired_and_how_far_that_covers():
    told = EpochOffset(
        location_mg=1,
        market_mg=2,
        embodied_mg=3,
        matched_wh=1_500,
        residual_mg=5_000,
        retired_kg=4,
        test_kg=6,
        paid_wei=1,
        credits=(),
        residual_to_date_mg=12_000_000,
        retired_to_date_kg=4,
        coverage_ppm=333_333,
    )
    (row,) = REPORT.epochs
    page = render_report(replace(REPORT, epochs=(replace(row, offset=told),)), same)
    assert "Retired credits cover 33.33 % of measured residual." in page
    assert "Test credits, counted 0" in page
    assert "Retired credits" not in PAGE
