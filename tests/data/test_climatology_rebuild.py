"""What is packaged is what the tools make of the raw tables, byte for byte."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
DATA = Path(os.environ.get("SUNWARD_DATA", "../shared")) / "data"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (DATA / "carbon_intensity_hourly.parquet").is_file(),
        reason=f"raw tables not at {DATA}; set SUNWARD_DATA to rebuild and compare the packaged figures",
    ),
]


def rebuild(tool: str, out: Path) -> dict[str, bytes]:
    command = [sys.executable, str(TOOLS / tool), "--data", str(DATA), "--out", str(out)]
    subprocess.run(command, check=True, timeout=300)
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_the_typical_years_rebuild_byte_for_byte(tmp_path):
    built = rebuild("build_climatology.py", tmp_path)
    packaged = resources.files("sunward.signals") / "data" / "climatology"
    assert {path.name for path in packaged.iterdir()} == set(built)
    for name, content in built.items():
        assert (packaged / name).read_bytes() == content, name


def test_the_power_fits_rebuild_byte_for_byte(tmp_path):
    packaged = resources.files("sunward.world") / "data"
    for name, content in rebuild("fit_power.py", tmp_path).items():
        assert (packaged / name).read_bytes() == content, name
