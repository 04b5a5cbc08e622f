"""The API's benchmark with tiny sizes: real processes, every figure there, and the work it measures done."""

from __future__ import annotations

import json

import pytest
from benchmarks.api import Sizes, measure

TINY = Sizes(jobs=60, sites=2, gpus=4, seconds=3.0, submits_per_s=4.0, reads_per_s=7.0)


@pytest.mark.slow
def test_every_figure_is_there(tmp_path):
    result = json.loads(json.dumps(measure(tmp_path, TINY)))
    for key in ("read_p99_ms", "submit_p99_ms", "submits_per_s", "submit_to_placed_p95_ms"):
        assert result[key] > 0, key
    assert result["jobs"] == TINY.jobs
    assert result["errors"] == 0, result["error_examples"]
    assert result["submits_per_s"] == TINY.submits_per_s
    assert sum(result["jobs_by_state"].values()) == TINY.submits_per_s * TINY.seconds
    assert set(result["reads_p99_ms"]) == {
        "page",
        "page_deep",
        "page_of_state",
        "job_closed",
        "job_open",
        "history",
        "receipt",
    }
