from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from benchmarks._crowds import crowd_of, with_crowd

from sunward.model.plan import Plan
from sunward.placement.planner import plan
from sunward.sim.plan_checker import check_plan
from sunward.units import HOUR_MS, W_PER_KW
from sunward.verification.plan_bound import certify
from sunward.world.crowd import NOT_GIVEN
from sunward.world.snapshot import Snapshot

ZONES = ("A", "B")
INTENSITY = [[90.0, 10.0, 20.0, 300.0], [200.0, 100.0, 95.0, 40.0]]
ASKED = [(17, 0, 4, 1), (11, 0, 2, 1), (9, 1, 4, 1), (5, 2, 4, 1)]
"""How many, opens, due, hours each."""


def world(asked: list[tuple[int, int, int, int]], *, cohorts: bool, containers: int = 10) -> Snapshot:
    rows = [(one, 1 if cohorts else number) for one, (number, *_) in enumerate(asked)]
    kind = np.repeat([one for one, _ in rows], [times for _, times in rows])
    numbers, opens, due, hours = np.array(asked, dtype=np.int64).T[:, kind]
    jobs = crowd_of(
        ids=[f"g{one}-{at:03d}" for one, times in rows for at in range(times)],
        gpus=np.ones(len(kind), dtype=np.int64),
        opens_ms=opens * HOUR_MS,
        deadline_ms=due * HOUR_MS,
        length_ms=hours * HOUR_MS,
        pausable=np.zeros(len(kind), dtype=np.bool_),
        places=kind,
        place_sets=[ZONES] * len(asked),
        cohort=numbers if cohorts else None,
    )
    return with_crowd(ZONES, np.array(INTENSITY), 0, containers, float(W_PER_KW), jobs)


def checked(snapshot: Snapshot) -> Plan:
    made = plan(snapshot)
    assert check_plan(snapshot, made) == []
    return made


def cells(made: Plan) -> Counter[tuple[str, str, int]]:
    """How many jobs of each group begin where and when."""
    found: Counter[tuple[str, str, int]] = Counter()
    for one in made.assignments:
        found[one.job[:2], one.segments[0].pool, one.segments[0].start_ms] += 1
    for many in made.cohorts:
        for pool, start, jobs in zip(many.pool, many.start_ms, many.jobs, strict=True):
            found[many.cohort[:2], pool, start] += jobs
    return found


def after(snapshot: Snapshot, made: Plan) -> Snapshot:
    """The same jobs with the places that a plan gave them, a row for each entry."""
    crowd = snapshot.crowd
    assert crowd is not None
    row = {name: at for at, name in enumerate(crowd.ids)}
    told = [
        (row[many.cohort], snapshot.pools.ids.index(many.pool[at]), many.start_ms[at], many.end_ms[at], many.jobs[at])
        for many in made.cohorts
        for at in range(len(many.jobs))
    ]
    rows, pool, start, end, jobs = np.array(told, dtype=np.int64).T
    return replace(
        snapshot, crowd=replace(crowd.of(rows), pool=pool, start_ms=start, end_ms=end, cohort=jobs), jobs=snapshot.jobs
    )


@pytest.mark.parametrize("asked", [ASKED, [(6, 0, 4, 2), (3, 1, 4, 3), (5, 0, 4, 1)]])
def test_a_cohort_goes_where_its_jobs_would_go_one_by_one(asked: list[tuple[int, int, int, int]]) -> None:
    together, apart = checked(world(asked, cohorts=True)), checked(world(asked, cohorts=False))
    assert cells(together) == cells(apart)
    assert not together.assignments
    assert not apart.cohorts
    assert sum(sum(one.carbon_mg) for one in together.cohorts) == sum(one.carbon_mg for one in apart.assignments)
    assert sum(one.terms.total for one in together.cohorts) == sum(one.terms.total for one in apart.assignments)
    assert together.awake == apart.awake


def test_a_cohort_that_finds_room_for_some_says_so_of_the_others() -> None:
    made = checked(world([(25, 0, 1, 1), (4, 0, 4, 1)], cohorts=True))
    placed = {one.cohort: sum(one.jobs) for one in made.cohorts}
    assert placed == {"g0-000": 20, "g1-000": 4}
    assert [(one.job, one.reason) for one in made.unplaced] == [("g0-000", "capacity")]


def test_the_next_plan_keeps_what_still_holds() -> None:
    first = world(ASKED, cohorts=True)
    kept = after(first, checked(first))
    made = checked(kept)
    assert not made.cohorts
    assert not made.assignments


def test_new_cohorts_take_what_kept_ones_leave() -> None:
    first = world([(10, 1, 2, 1), (6, 0, 4, 1)], cohorts=True, containers=10)
    assert first.crowd is not None
    half = replace(first.crowd, pool=np.array([0, NOT_GIVEN]), start_ms=np.array([HOUR_MS, 0]))
    made = checked(replace(first, crowd=replace(half, end_ms=np.array([2 * HOUR_MS, 0]))))
    assert cells(made) == {("g1", "A", 2 * HOUR_MS): 6}


def test_prices_of_a_flow_prove_that_nothing_is_cheaper() -> None:
    first = world(ASKED, cohorts=True)
    made = checked(first)
    assert made.prices
    prices = np.zeros((2, 4), dtype=np.int64)
    for one in made.prices:
        prices[ZONES.index(one.pool), one.start_ms // HOUR_MS : one.end_ms // HOUR_MS] = one.usd_micro_per_h
    proof = certify(after(first, made), prices)
    assert proof.jobs == sum(number for number, *_ in ASKED)
    assert proof.holds
    assert proof.gap_ppm < 50, "costs are counted in steps"
    assert certify(after(first, made)).gap_ppm > 10_000


def test_the_checker_counts_jobs() -> None:
    first = world(ASKED, cohorts=True)
    made = checked(first)
    one = made.cohorts[0]
    more = replace(one, jobs=(one.jobs[0] + 30, *one.jobs[1:]))
    faults = check_plan(first, replace(made, cohorts=(more, *made.cohorts[1:])))
    assert any("oversubscribed" in fault for fault in faults)
    assert any(f"{sum(more.jobs)} of 17 jobs have a place" in fault for fault in faults)
    assert any("the segments take" in fault for fault in faults)
    twice = check_plan(first, replace(made, cohorts=(one, *made.cohorts)))
    assert "g0-000: named several times" in twice
