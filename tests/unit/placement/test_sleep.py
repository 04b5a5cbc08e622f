from __future__ import annotations

from sunward.model.plan import AwakeTarget, Segment
from sunward.placement.fleet import fleet_of
from sunward.placement.sleep import awake_targets
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
