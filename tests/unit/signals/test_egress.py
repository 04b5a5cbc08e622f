"""List prices of moved data: near is never dearer than far, and what no list knows is not made up."""

from __future__ import annotations

import os
import runpy
from importlib import resources
from pathlib import Path

import pytest

from sunward.signals.egress import usd_micro_per_gb

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("SUNWARD_DATA", "../shared")) / "data"
ZONES = {"AF": "ZA", "AS": "KR", "EU": "DE", "NA": "US-NY-NYIS", "OC": "AU-NSW", "SA": "BR-S"}


@pytest.mark.parametrize("region", sorted(set(ZONES) - {"AF"}))
def test_inside_a_region_costs_no_more_than_out_of_it(region: str) -> None:
    inside = usd_micro_per_gb(ZONES[region], ZONES[region])
    assert inside is not None
    ways = [usd_micro_per_gb(ZONES[region], other) for other in ZONES.values()]
    assert all(inside <= way for way in ways if way is not None)
    assert all(way is not None and 10_000 <= way <= 160_000 for way in ways)


def test_a_way_that_no_list_knows_has_no_price() -> None:
    assert usd_micro_per_gb("ZA", "KE") is None
    assert usd_micro_per_gb("DE", "nowhere") is None
    assert usd_micro_per_gb("GS", "DE") is None


def test_countries_of_one_region_share_a_price() -> None:
    assert usd_micro_per_gb("PL", "SE") == usd_micro_per_gb("DE", "DE") == 20_000
    assert usd_micro_per_gb("KR", "JP-TK") == 80_000


def test_the_files_are_what_the_tool_makes_of_the_lists() -> None:
    if not (DATA / "egress_cost_usd_per_gb.parquet").is_file():
        pytest.skip(f"raw tables not at {DATA}; set SUNWARD_DATA to rebuild and compare the packaged figures")
    pytest.importorskip("pyarrow")
    made = runpy.run_path(str(ROOT / "tools" / "build_egress.py"))["files"](DATA)
    packaged = resources.files("sunward.signals") / "data" / "egress"
    assert set(made) == {path.name for path in packaged.iterdir()}
    for name, text in made.items():
        assert (packaged / name).read_text(encoding="utf-8") == text
