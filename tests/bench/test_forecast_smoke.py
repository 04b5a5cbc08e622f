"""The forecasts' benchmark on a made-up file: every figure is there, and rivals know no more than they may."""

from __future__ import annotations

import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks import _rivals, forecast

FIRST = int(np.datetime64("2030-11-01T00", "h").astype(np.int64))
DAYS = 130


def written(path):
    draw = np.random.default_rng(5)
    hours = np.arange(DAYS * 24)
    made = {
        zone: 300 + 50 * np.cos(hours * 2 * np.pi / 24 + row) + draw.normal(0, 9, len(hours))
        for row, zone in enumerate("AB")
    }
    stamps = ((FIRST + hours) * 3_600_000).astype("datetime64[ms]")
    table = {
        "zone": np.repeat(list(made), len(hours)),
        "ts_utc": pa.array(np.tile(stamps, len(made)), pa.timestamp("ms", tz="UTC")),
        "gco2_per_kwh_lca": np.concatenate(list(made.values())),
    }
    pq.write_table(pa.table(table), path)
    return path


def test_every_figure_is_there(tmp_path, monkeypatch, capsys):
    path = written(tmp_path / "other.parquet")
    monkeypatch.setattr(sys, "argv", ["forecast", "--file", str(path), "--year", "2031", "--seed", "3"])
    monkeypatch.setattr(forecast, "calibrate", dict)
    assert forecast.main() == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    for key in ("mape_24", "mape_168", "naive_mape_24", "naive_mape_168", "coverage_80", "train_s"):
        assert result[key] > 0, key
    assert result["mape_24"] < result["naive_mape_24"]
    assert 0.6 < result["coverage_80"] < 0.95
    assert (result["zones"], result["year"]) == (2, 2031)


def test_a_file_without_the_year_is_refused(tmp_path, monkeypatch, capsys):
    path = written(tmp_path / "other.parquet")
    monkeypatch.setattr(sys, "argv", ["forecast", "--file", str(path), "--year", "2029"])
    assert forecast.main() == 2
    assert "2029" in capsys.readouterr().err


def test_rivals_look_at_nothing_from_the_issue_on():
    draw = np.random.default_rng(6)
    series = draw.normal(100, 9, 60 * 24)
    cut = 40 * 24
    planted = series.copy()
    planted[cut:] = 1e6
    issues = np.array([cut])
    found = [_rivals.forecasts(one, _rivals.climatology(one, FIRST, cut), issues, 168) for one in (series, planted)]
    for name in _rivals.NAMES:
        assert np.array_equal(found[0][name], found[1][name]), name
