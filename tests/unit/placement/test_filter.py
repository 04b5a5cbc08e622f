from __future__ import annotations

import pytest

from sunward.model.plan import Assignment, Unplaced
from sunward.placement.planner import plan, quote
from sunward.units import HOUR_MS
from tests.support.snapshots import NOW_MS, Pool, job, segment, snapshot, spec

POOLS = (
    Pool(id="es", zone="ES", country="ES", count=4, model="a100", memory_gib=80),
    Pool(id="no", zone="NO", country="NO", count=2, model="h100", memory_gib=48, rate=2.0, ask=3.0),
)


def refusal(pools: tuple[Pool, ...] = POOLS, **asked: object) -> Unplaced:
    result = quote(snapshot(pools), spec(**asked))  # type: ignore[arg-type]
    assert isinstance(result, Unplaced)
    return result


@pytest.mark.parametrize(
    ("asked", "reason", "detail"),
    [
        ({"gpus": 8}, "gpus", "largest site has 4"),
        ({"gpu_memory_gib": 96}, "memory", "most memory is 80 GiB, 96 GiB wanted"),
        ({"gpu_models": ("l40s",)}, "model", "fitting pools have a100, h100; wanted l40s"),
        ({"allowed_countries": ("PL",)}, "country", "fitting pools are in ES, NO; allowed PL"),
        (
            {"origin_zone": "KR", "latency_max_ms": 50},
            "latency",
            "nearest fitting pool is 130 ms away in NO (modelled, error 29 ms), at most 50 ms from KR wanted",
        ),
        (
            {"evidence": ("identity=metered",)},
            "evidence",
            "best evidence of identity at fitting pools is declared; wanted metered",
        ),
        ({"hours": 9.0, "due_h": 3.0}, "deadline", "fastest fitting pool needs 4.50 h, deadline is in 3.00 h"),
        ({"hours": 9.0, "due_h": 99.0}, "horizon", "fastest fitting pool needs 4.50 h, plans reach 4.00 h"),
        ({"hours": 2.0, "budget_usd_micro": 1_500_000}, "budget", "least price is 2.00 USD, budget is 1.50 USD"),
    ],
)
def test_each_hard_constraint_refuses_for_good_with_figures(asked: dict[str, object], reason: str, detail: str) -> None:
    refused = refusal(**asked)
    assert (refused.reason, refused.detail, refused.permanent) == (reason, detail, True)


def test_a_latency_bound_leaves_what_is_near_enough() -> None:
    for latency_max_ms, pool in ((45, "es"), (0, "no")):
        clean = snapshot(POOLS, carbon={"NO": [10.0], "ES": [500.0]})
        placed = quote(clean, spec(origin_zone="FR", latency_max_ms=latency_max_ms, carbon_price_usd_per_t=5_000))
        assert isinstance(placed, Assignment)
        assert placed.segments[0].pool == pool


def test_a_job_runs_only_where_what_it_asks_is_believed() -> None:
    pools = (
        Pool(id="no", evidence=(2, 4, 0, 0, 0, 0)),
        Pool(id="es", zone="ES", country="ES", evidence=(3, 0, 0, 0, 3, 0)),
    )
    for asked, pool in ((("identity=metered",), "no"), (("identity=endorsed", "place=endorsed"), "es")):
        clean = snapshot(pools, carbon={"NO": [10.0], "ES": [500.0]})
        placed = quote(clean, spec(evidence=asked, carbon_price_usd_per_t=5_000))
        assert isinstance(placed, Assignment)
        assert placed.segments[0].pool == pool
    both = refusal(pools, evidence=("energy=attested", "place=metered"))
    assert (both.reason, both.permanent) == ("evidence", True)
    assert both.detail == "no fitting pool has all the evidence wanted: energy=attested, place=metered"


@pytest.mark.parametrize(("origin", "zone"), [("nowhere", "ES"), ("ES", "nowhere"), ("nowhere", "nowhere")])
def test_a_zone_without_a_place_is_never_near(origin: str, zone: str) -> None:
    refused = refusal((Pool(id="es", zone=zone),), origin_zone=origin, latency_max_ms=10_000)
    assert (refused.reason, refused.permanent) == ("latency", True)
    assert refused.detail == f"how far the fitting pools are is not known, at most 10000 ms from {origin} wanted"


def test_a_gang_needs_one_pool_not_one_site() -> None:
    mixed = (Pool(id="s/a", site="s", count=2), Pool(id="s/b", site="s", count=3))
    assert refusal(mixed, gpus=4).detail == "largest pool of one GPU model has 3"


def test_admission_needs_the_site_among_the_known() -> None:
    closed = (Pool(id="es", admission="known"), Pool(id="no", admission="own"))
    assert refusal(closed).reason == "admission"
    placed = quote(snapshot(closed), spec(known_providers=("no",)))
    assert isinstance(placed, Assignment)
    assert placed.segments[0].pool == "no"


def test_constraints_narrow_one_after_the_other() -> None:
    assert refusal(gpus=4, gpu_models=("h100",)).reason == "model"


def test_a_lost_agent_is_a_matter_of_time() -> None:
    refused = refusal((Pool(id="es", available=0),))
    assert (refused.reason, refused.permanent) == ("capacity", False)
    assert refused.detail == "at most 0 of 1 containers are free at once on 1 fitting pools"


def test_a_full_pool_is_a_matter_of_time() -> None:
    holder = job("holder", fixed=True, pool="es", segments=(segment("es", 0, 3.5),))
    world = snapshot((Pool(id="es", count=1),), [holder])
    refused = quote(world, spec(hours=1.0))
    assert isinstance(refused, Unplaced)
    assert (refused.reason, refused.permanent) == ("capacity", False)


def test_a_site_ceiling_names_the_watts() -> None:
    world = snapshot((Pool(id="es", count=1),), ceiling_w={"es": [300.0]})
    refused = quote(world, spec())
    assert isinstance(refused, Unplaced)
    assert (refused.reason, refused.permanent) == ("capacity", False)
    assert refused.detail == "needs 390 W at least, ceilings leave 290 W at most"


def test_a_ceiling_that_lifts_later_only_delays() -> None:
    world = snapshot((Pool(id="es", count=1),), ceiling_w={"es": [300.0] * 4 + [500.0]})
    placed = quote(world, spec())
    assert isinstance(placed, Assignment)
    assert placed.segments[0].start_ms == NOW_MS + HOUR_MS


def test_no_site_at_all_is_a_matter_of_time() -> None:
    refused = refusal(())
    assert (refused.reason, refused.permanent) == ("capacity", False)


def test_a_running_job_that_will_be_late_runs_on() -> None:
    late = job("late", hours=3.0, due_h=1.0, pool="es", segments=(segment("es", -1, 2),))
    made = plan(snapshot(POOLS, [late]))
    assert (made.assignments, made.unplaced) == ((), ())
    assert made.awake[0].pool == "es"


CLEANER_LATER = {"ES": [600.0] * 8 + [20.0], "NO": [600.0] * 8 + [20.0]}


@pytest.mark.parametrize("interruptible", [False, True])
def test_a_start_by_holds_however_clean_the_grid_is_later(interruptible: bool) -> None:  # noqa: FBT001
    start_by_ms = NOW_MS + HOUR_MS // 2
    world = snapshot(POOLS, carbon=CLEANER_LATER)
    free = quote(world, spec(carbon_price_usd_per_t=5_000, interruptible=interruptible))
    bound = quote(world, spec(carbon_price_usd_per_t=5_000, interruptible=interruptible, start_by_ms=start_by_ms))
    assert isinstance(free, Assignment)
    assert isinstance(bound, Assignment)
    assert bound.segments[0].start_ms <= start_by_ms < free.segments[0].start_ms


def test_a_start_that_comes_too_late_says_so() -> None:
    holder = job("holder", fixed=True, pool="es", segments=(segment("es", 0, 2),))
    world = snapshot((Pool(id="es", count=1),), [holder])
    refused = quote(world, spec(hours=1.0, start_by_ms=NOW_MS + HOUR_MS))
    assert isinstance(refused, Unplaced)
    assert (refused.reason, refused.permanent) == ("start_by", False)
    assert refused.detail == "the best start left is in 2.00 h, it must start within 1.00 h"
    full = quote(world, spec(hours=3.0, start_by_ms=NOW_MS + HOUR_MS))
    assert isinstance(full, Unplaced)
    assert full.reason == "capacity"


def test_a_start_by_that_has_passed_is_told() -> None:
    refused = refusal(start_by_ms=NOW_MS - HOUR_MS)
    assert (refused.reason, refused.detail, refused.permanent) == ("start_by", "start-by passed 1.00 h ago", False)


def test_a_plan_that_would_start_too_late_is_not_kept() -> None:
    late = job("late", segments=(segment("es", 2, 3),), start_by_ms=NOW_MS + HOUR_MS)
    made = plan(snapshot(POOLS, [late]))
    assert made.assignments[0].segments[0].start_ms <= NOW_MS + HOUR_MS
