from __future__ import annotations

import numpy as np

from sunward.model.plan import AwakeTarget, Segment
from sunward.placement.fleet import fleet_of
from sunward.placement.sleep import awake_targets, many_targets
from sunward.units import HOUR_MS, MINUTE_MS
from tests.support.snapshots import NOW_MS, Pool, segment, snapshot

# Idling costs 90 W more than sleeping, so 162 kJ are worth half an hour.
POOL = Pool(id="no", count=4, wake_j=162_000.0, wake_ms=2 * MINUTE_MS)


def steps(segments: list[Segment], pool: Pool = POOL, **world: object) -> list[tuple[float, float, int]]:
    """(start, end, count) in minutes from now."""
    targets: tuple[AwakeTarget, ...] = awake_targets(fleet_of(snapshot([pool], **world)), segments)  # type: ignore[arg-type]
    return [((one.start_ms - NOW_MS) / MINUTE_MS, (one.end_ms - NOW_MS) / MINUTE_MS, one.count) for one in targets]


def test_a_pool_wakes_ahead_of_its_work_and_sleeps_after() -> None:
    assert steps([segment("no", 1, 2, 2)]) == [(58, 120, 2)]


def test_waking_never_starts_in_the_past() -> None:
    assert steps([segment("no", 0, 1)]) == [(0, 60, 1)]


def test_counts_add_up() -> None:
    assert steps([segment("no", 1, 3), segment("no", 2, 3, 2)]) == [(58, 118, 1), (118, 180, 3)]


def test_short_gaps_are_bridged_and_long_ones_slept_through() -> None:
    short = [segment("no", 0, 1), segment("no", 1.5, 2)]
    assert steps(short) == [(0, 120, 1)]
    long = [segment("no", 0, 1), segment("no", 1.75, 2)]
    assert steps(long) == [(0, 60, 1), (103, 120, 1)]


def test_only_the_containers_needed_again_stay_awake() -> None:
    assert steps([segment("no", 0, 1, 3), segment("no", 1.5, 2)]) == [(0, 60, 3), (60, 120, 1)]


def test_a_container_awake_now_waits_for_work_that_is_near() -> None:
    awake = Pool(id="no", count=4, wake_j=162_000.0, wake_ms=2 * MINUTE_MS, awake=1)
    assert steps([segment("no", 0.5, 1, 2)], awake) == [(0, 28, 1), (28, 60, 2)]


def test_a_site_under_a_ceiling_idles_for_nothing() -> None:
    gap = [segment("no", 0, 1), segment("no", 1.5, 2)]
    assert steps(gap, ceiling_w={"no": [5_000.0]}) == [(0, 60, 1), (88, 120, 1)]


def test_past_and_foreign_segments_ask_for_nothing() -> None:
    past = Segment(pool=segment("no", 0, 1).pool, start_ms=NOW_MS - HOUR_MS, end_ms=NOW_MS, containers=1)
    assert steps([past, segment("gone", 0, 1)]) == []


def many(used: list[list[int]], pools: list[Pool], until_h: float = 4.0) -> list[tuple[str, float, float, int]]:
    found = many_targets(fleet_of(snapshot(pools)), np.array(used, np.int64), NOW_MS + round(until_h * HOUR_MS))
    return [
        (one.pool, (one.start_ms - NOW_MS) / MINUTE_MS, (one.end_ms - NOW_MS) / MINUTE_MS, one.count) for one in found
    ]


def test_many_jobs_are_kept_awake_by_what_pools_hold():
    # Slot by slot at first, then the most of longer spans; the next full plan comes before those.
    assert many([[1, 3, 2, 2, 0, 0, 0, 1] + [0] * 8], [POOL]) == [
        ("no", 0, 13, 1),
        ("no", 13, 30, 3),
        ("no", 30, 60, 2),
        ("no", 60, 120, 1),
    ]
    assert many([[0] * 16], [POOL]) == []
    assert many([[2] * 16], [POOL], until_h=9.0) == [("no", 0, 540, 2)]


def test_many_jobs_bridge_gaps_and_wake_ahead_by_whole_slots():
    gap = [2, 0, 0, 1] + [0] * 12
    assert many([gap], [POOL])[:2] == [("no", 0, 15, 2), ("no", 15, 60, 1)]
    slow = Pool(id="no", count=4, wake_ms=40 * MINUTE_MS)
    assert many([[0, 0, 0, 0, 2] + [0] * 11], [slow])[:2] == [("no", 20, 120, 2)]
