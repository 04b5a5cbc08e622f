"""`sunward plan what-if`: what is asked, what cannot be, and the pictures."""

import re
from xml.etree import ElementTree as ET

import pytest

from sunward.cli.commands.plan_whatif import chart
from sunward.report.whatif_html import render_what_if
from tests.unit.cli.conftest import JOB, WHAT_IF

JOB_FILE = "command: [python, train.py]\nhours: 2\nfinish_within: 12h\nzone: DE\npolicy: greenest\n"


def test_open_jobs_or_a_job_file_are_sent_as_asked(run, service, tmp_path):
    assert run("plan", "what-if", JOB, "--carbon-prices", "0, 50").exit_code == 0
    asked = service.sent("POST", "/v1/plan/what-if")
    assert (asked["jobs"], asked["carbon_prices_usd_per_t"], asked["request"]) == ([JOB], [0, 50], None)
    (tmp_path / "job.yaml").write_text(JOB_FILE)
    assert run("plan", "what-if", "--job-file", str(tmp_path / "job.yaml")).exit_code == 0
    asked = service.sent("POST", "/v1/plan/what-if")
    assert asked["jobs"] == []
    assert (asked["request"]["length_s"], asked["request"]["deadline_s"]) == (7_200, 43_200)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--carbon-prices", "5,cheap"], "whole USD per tonne"),
        (["--carbon-prices", "-5"], "whole USD per tonne"),
        ([JOB, "--job-file", "job.yaml"], "not both"),
        (["--job-file", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_what_cannot_be_read_is_one_line(run, words, told):
    result = run("plan", "what-if", *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_chart_puts_each_point_where_its_figures_are():
    lines = ["".join(cell.text for cell in line) for line in chart(WHAT_IF.points, 41)]
    assert [line.count("●") + line.count("○") for line in lines[:12]].count(1) == 3
    assert lines[0][12 + 16] == "○"
    assert lines[11][12 + 40] == "●"
    assert lines[-1].split() == ["4.0000", "4.5000"]


def test_a_page_holds_both_pictures_and_every_figure(run, tmp_path):
    page = tmp_path / "what-if.html"
    assert "written" in run("plan", "what-if", "--html", str(page)).stdout
    text = page.read_text(encoding="utf-8")
    pictures = [ET.fromstring(one) for one in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]  # noqa: S314  our own page
    assert len(pictures) == 2
    for picture in pictures:
        dots = picture.findall("circle")
        assert [dot.get("fill") for dot in dots] == ["var(--accent)", "none", "var(--accent)"]
        assert len(picture.find("polyline").get("points").split()) == 2
        assert all(0 < float(dot.get("cx")) < 760 and 0 < float(dot.get("cy")) < 340 for dot in dots)
    assert "http" not in text
    assert text == render_what_if(WHAT_IF, "en", lambda words: words)


def test_a_page_without_any_place_says_so():
    nothing = WHAT_IF.__class__(at_ms=0, based_on=0, jobs=(), left_out=0, points=())
    assert "No job finds a place." in render_what_if(nothing, "en", lambda words: words)
