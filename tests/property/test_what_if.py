"""The trade between cost, carbon and delay: a frontier is a frontier, and a dearer gram never brings more of them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.model.plan import Assignment
from sunward.model.whatif import WhatIfPoint
from sunward.placement.planner import quote
from sunward.placement.whatif import what_if
from sunward.world.snapshot import Snapshot
from tests.support.snapshots import Pool, job, segment, snapshot

PRICES = (0, 20, 50, 100, 300, 1_000, 5_000, 50_000)


def world_of(seed: int, jobs: int) -> Snapshot:
    """Some jobs on three pools whose asks, overheads and zones differ."""
    draw = np.random.default_rng(seed)
    pools = [
        Pool(id=name, zone=name, ask=float(draw.uniform(0.5, 3)), overhead=float(draw.uniform(1, 1.6)), count=2)
        for name in ("a", "b", "c")
    ]
    asked = [
        job(
            f"j{number}",
            hours=float(draw.uniform(0.3, 2.5)),
            due_h=float(draw.uniform(2.6, 6)),
            interruptible=jobs > 1 and bool(draw.integers(2)),
        )
        for number in range(jobs)
    ]
    carbon = {name: draw.uniform(20, 800, 24).tolist() for name in ("a", "b", "c")}
    price = {name: draw.uniform(0.02, 0.3, 24).tolist() for name in ("a", "b", "c")}
    return snapshot(pools, asked, slots=24, carbon=carbon, price=price)


def worse(one: WhatIfPoint, other: WhatIfPoint) -> bool:
    """Whether `other` is at least as good in everything and better in something."""
    pairs = [
        (one.cost_usd_micro, other.cost_usd_micro),
        (one.carbon_mg, other.carbon_mg),
        (one.delay_ms, other.delay_ms),
        (one.unplaced, other.unplaced),
    ]
    return all(mine >= theirs for mine, theirs in pairs) and any(mine > theirs for mine, theirs in pairs)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_the_frontier_holds_all_that_nothing_beats_and_nothing_else(seed: int, jobs: int) -> None:
    points = what_if(world_of(seed, jobs), PRICES)
    assert [point.carbon_price_usd_per_t for point in points] == list(PRICES)
    assert any(point.frontier for point in points)
    for point in points:
        assert point.frontier == (not any(worse(point, other) for other in points))
        assert point.placed + point.unplaced == jobs


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_single_job_causes_no_more_carbon_at_a_higher_carbon_price(seed: int) -> None:
    points = what_if(world_of(seed, 1), PRICES)
    for lower, higher in itertools.pairwise(points):
        assert higher.carbon_mg <= lower.carbon_mg + 1, "the rounding of one micro-USD may hide a milligram"
        assert higher.cost_usd_micro >= lower.cost_usd_micro - 1


def test_a_point_is_what_a_quote_at_that_price_says() -> None:
    world = world_of(7, 1)
    (point,) = what_if(world, [300])
    (only,) = world.jobs
    made = quote(world, replace(only.spec, carbon_price_usd_per_t=300))
    assert isinstance(made, Assignment)
    terms = made.terms
    assert point.cost_usd_micro == terms.energy + terms.water + terms.ask + terms.transfer + terms.wake
    assert (point.carbon_mg, point.finish_ms) == (made.carbon_mg, made.segments[-1].end_ms)
    assert point.price_usd_micro == pytest.approx(terms.ask, abs=24)
    assert point.delay_ms == made.segments[0].start_ms - world.now_ms


def test_what_a_job_was_promised_binds_nobody_here() -> None:
    mine = job("mine", segments=(segment("dear", 0.0, 1.0),))
    world = snapshot([Pool(id="cheap", ask=1.0), Pool(id="dear", ask=9.0)], [mine])
    (point,) = what_if(world, [0])
    assert 1_000_000 <= point.cost_usd_micro < 2_000_000


def test_a_job_without_room_is_counted() -> None:
    (point,) = what_if(snapshot([Pool(id="a", count=1)], [job("j", gpus=2)]), [100])
    assert (point.placed, point.unplaced, point.finish_ms, point.delay_ms, point.frontier) == (0, 1, 0, 0, True)
