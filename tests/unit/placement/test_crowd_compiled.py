"""What is compiled ahead is what plans call, and a group is more than its hardest job."""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
import pytest

from sunward.placement.crowd import compiled, seek
from sunward.placement.crowd.warm import warm_up
from sunward.placement.planner import plan
from sunward.sim.plan_checker import check_plan
from tests.support.crowds import Asked, crowd
from tests.support.snapshots import Pool, snapshot


def test_a_plan_calls_what_was_compiled_ahead():
    warm_up()
    known = [list(one.signatures) for one in (seek.fill, seek.survey)]
    world = replace(snapshot([Pool(id="p", count=4)]), crowd=crowd([Asked(id="a"), Asked(id="b", data_bytes=10**10)]))
    assert len(plan(world).assignments) == 2
    assert [list(one.signatures) for one in (seek.fill, seek.survey)] == known


def test_where_nothing_may_be_written_loops_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch):
    def refuses(**settings: object) -> object:
        if settings.get("cache"):
            raise RuntimeError("no folder may be written")
        return numba.njit(**settings)

    monkeypatch.setattr(compiled, "_compiler", refuses)

    @compiled.compiled
    def total(values: np.ndarray) -> float:
        summed = 0.0
        for value in values:
            summed += value
        return summed

    assert total(np.array([1.0, 2.5])) == 3.5


def test_jobs_of_a_group_that_ask_less_than_all_of_it_still_find_room():
    """One container for half an hour: two like jobs in one bin of lengths, of which only the shorter one fits."""
    pools = [Pool(id="p", count=1)]
    hours = [4.0 + 0.01 * (step % 40) for step in range(48)]
    asked = [Asked(id=f"j-{row:02d}", hours=each, due_h=4.0) for row, each in enumerate(hours)]
    made = plan(replace(snapshot(pools, slots=40), crowd=crowd(asked)))
    assert [one.job for one in made.assignments] == ["j-00"]
    assert len(made.unplaced) == 47


def test_equal_snapshots_give_equal_plans_where_room_is_short():
    pools = [Pool(id=f"p{row}", count=3, zone=("NO", "PL")[row % 2]) for row in range(5)]
    kinds = [(hours, due) for hours in (0.5, 1.0, 2.2) for due in (2.4, 4.0)]
    asked = [
        Asked(id=f"j-{row:03d}", hours=kinds[row % 6][0], due_h=kinds[row % 6][1], gpus=1 + row % 2)
        for row in range(120)
    ]
    world = replace(snapshot(pools, slots=20), crowd=crowd(asked))
    made = plan(world)
    assert made == plan(world)
    assert made.assignments
    assert made.unplaced
    assert check_plan(world, made) == []
