"""The engine's benchmark with tiny sizes: every figure is there, and the work it measures was done."""

from __future__ import annotations

from collections import Counter

from benchmarks._traffic import MIX, Sizes, group
from benchmarks.engine import run

from sunward.model.events import Event

TINY = Sizes(sites=2, running=8, waiting=8, groups=6, rows=8, seals=2, open_jobs=120)


def test_every_figure_is_there(tmp_path):
    result = run(TINY, tmp_path)
    for key in ("events_per_s", "batch_items_per_s", "replay_events_per_s", "snapshot_mib", "bare_append_events_per_s"):
        assert result[key] >= 0, key
    assert result["group"] == 64
    assert result["snapshot_open_jobs"] == TINY.open_jobs
    assert sum(result["single_mix"].values()) == result["single_events"]


def test_a_group_holds_every_kind_and_no_batch():
    payloads = group(TINY, 10)
    kinds = Counter(Event(0, payload).kind for payload in payloads)
    assert len(payloads) == MIX.group
    assert set(kinds) == {
        "timer_fired",
        "jobs_submitted",
        "plan_proposed",
        "leases_reported",
        "readings_sealed",
        "power_reported",
        "deposited",
    }
    for payload in payloads:
        for name in ("jobs", "reports"):
            assert len(getattr(payload, name, (0,))) == 1
