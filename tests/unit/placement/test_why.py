"""Every pool that is ruled out is counted once, and every figure of an explanation is the planner's own."""

from __future__ import annotations

import pytest

from sunward.model.plan import Assignment, PolicyInputs
from sunward.placement.planner import plan, quote
from sunward.placement.why import why
from sunward.units import HOUR_MS, MINUTE_MS
from sunward.world.snapshot import JobView
from tests.support.snapshots import NOW_MS, SLOT_MS, Pool, job, segment, snapshot

POOLS = [
    Pool(id="few", count=1, zone="A"),
    Pool(id="small", memory_gib=8, zone="A"),
    Pool(id="slow", rate=0.01, zone="A"),
    Pool(id="abroad", country="DE", zone="A"),
    Pool(id="private", admission="own", zone="A"),
    Pool(id="dear", ask=90.0, zone="A"),
    Pool(id="deep", wake_ms=int(3.9 * HOUR_MS), wake_j=1.0, zone="A"),
    Pool(id="full", available=1, zone="A"),
    Pool(id="hot", zone="A"),
    Pool(id="good", zone="A"),
    Pool(id="next", zone="B", ask=2.0),
]
ASKED = {"gpus": 2, "gpu_memory_gib": 16, "allowed_countries": ("NO",), "budget_usd_micro": 20_000_000}
CARBON = {"A": [500.0] * 8 + [100.0] * 8, "B": [900.0] * 16}


def explained(pools: list[Pool], asked: JobView, **more: object):
    return why(snapshot(pools, [asked], ceiling_w={"hot": [100.0]}, carbon=CARBON, **more))


def test_every_pool_is_ruled_out_once_and_by_the_first_constraint_it_fails() -> None:
    found = explained(POOLS, job("a", due_h=4.0, carbon_price_usd_per_t=1_000, **ASKED))
    removed = {line.name: line.removed for line in found.filters}
    expected = {"gpus", "memory", "country", "admission", "deadline", "budget", "wake", "capacity", "ceiling"}
    assert {name for name, count in removed.items() if count} == expected
    assert all(count == 1 for name, count in removed.items() if name in expected)
    assert [line.left for line in found.filters][-1] == 2
    assert sum(removed.values()) + 2 == len(POOLS)


def test_a_start_by_rules_out_pools_that_wake_too_late() -> None:
    deep = Pool(id="deep", wake_ms=HOUR_MS, wake_j=1.0, zone="A")
    found = explained([deep, POOLS[-1]], job("a", start_by_ms=NOW_MS + 30 * MINUTE_MS))
    assert {line.name: line.removed for line in found.filters}["start_by"] == 1


def test_what_is_shown_is_what_the_planner_would_choose() -> None:
    asked = job("a", due_h=4.0, carbon_price_usd_per_t=1_000, **ASKED)
    found = explained(POOLS, asked)
    made = quote(snapshot(POOLS, ceiling_w={"hot": [100.0]}, carbon=CARBON), asked.spec)
    assert isinstance(made, Assignment)
    assert found.chosen is not None
    assert (found.chosen.label, found.chosen.segments, found.chosen.terms) == ("best", made.segments, made.terms)
    assert found.chosen.price_usd_micro == 2_000_000
    assert [(one.label, one.total_usd_micro) for one in found.alternatives] == [
        (one.label, one.total_usd_micro) for one in made.alternatives
    ]
    for other in found.alternatives:
        assert other.more_usd_micro == other.terms.total - made.terms.total > 0


def test_a_placed_job_keeps_its_place_and_the_better_one_is_shown() -> None:
    held = (segment("good", 0.0, 1.0),)
    world = {"policy": PolicyInputs(hysteresis_ppm=0, delay_ppm_per_h=0)}
    asked = job("a", due_h=4.0, segments=held, carbon_price_usd_per_t=1_000)
    found = explained(POOLS[-2:], asked, **world)
    assert found.chosen is not None
    assert (found.chosen.label, found.chosen.segments) == ("planned", held)
    best, *others = found.alternatives
    assert (best.label, best.segments[0].start_ms) == ("best", NOW_MS + 2 * HOUR_MS)
    assert best.more_usd_micro < 0
    assert [one.label for one in others] == ["next"]
    (moved,) = plan(snapshot(POOLS[-2:], [asked], carbon=CARBON, **world)).assignments
    assert moved.segments == best.segments


@pytest.mark.parametrize("pauses", [False, True])
def test_the_curve_of_waiting_is_what_quotes_with_later_deadlines_say(*, pauses: bool) -> None:
    asked = job("a", due_h=2.0, interruptible=pauses, carbon_price_usd_per_t=1_000)
    found = explained(POOLS[-2:], asked)
    totals = [point.total_usd_micro for point in found.waiting]
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] < totals[0]
    assert NOW_MS + 2 * HOUR_MS in {point.finish_by_ms for point in found.waiting}
    for point in found.waiting:
        later = job("a", due_h=(point.finish_by_ms - NOW_MS) / HOUR_MS, interruptible=pauses)
        made = quote(
            snapshot(POOLS[-2:], carbon=CARBON),
            job("a", interruptible=pauses, carbon_price_usd_per_t=1_000, deadline_ms=point.finish_by_ms).spec,
        )
        assert isinstance(made, Assignment)
        assert later.spec.deadline_ms == point.finish_by_ms
        assert (made.terms.total, made.carbon_mg) == (point.total_usd_micro, point.carbon_mg)
        assert made.segments[-1].end_ms == point.end_ms <= point.finish_by_ms


def test_a_pausable_job_counts_a_pool_that_can_take_a_part() -> None:
    gappy = Pool(id="gappy", closed=tuple(range(0, 16, 3)), zone="A")
    whole = explained([gappy], job("a", due_h=4.0))
    parts = explained([gappy], job("a", due_h=4.0, interruptible=True))
    assert {line.name: line.removed for line in whole.filters}["capacity"] == 1
    assert whole.chosen is None
    assert {line.name: line.removed for line in parts.filters}["capacity"] == 0


def test_a_running_job_that_is_not_moved_has_no_alternatives() -> None:
    held = (segment("good", 0.0, 1.0),)
    found = explained(POOLS[-2:], job("a", pool="good", fixed=True, segments=held, elapsed_ms=SLOT_MS))
    assert found.chosen is not None
    assert found.chosen.segments == held
    assert (found.alternatives, found.waiting) == ((), ())


def test_a_network_without_pools_rules_nothing_out() -> None:
    found = explained([], job("a"))
    assert (found.filters, found.chosen, found.waiting) == ((), None, ())
