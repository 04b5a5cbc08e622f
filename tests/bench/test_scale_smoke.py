"""The benchmark of scale: what it hands to the planner, and what it counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.scale import Point, changed, cpu_s, picture, slope

from sunward.sim.plan_checker import check_plan
from sunward.world.crowd import NOT_GIVEN
from tests.support.crowds import Asked, crowd
from tests.support.snapshots import Pool, snapshot


def world():
    pools = [Pool(id=f"p{number}", count=40, zone=("NO", "PL")[number % 2]) for number in range(4)]
    made = snapshot(pools)
    return replace(made, crowd=crowd([Asked(id=f"j{number:03}", due_h=3.5) for number in range(300)]))


def test_a_second_tick_places_what_is_new_and_leaves_the_rest():
    first = world()
    _, made = cpu_s(first, 1)
    assert len(made.assignments) == 300
    second = changed(first, made, seed=1)
    assert second.crowd is not None
    new = {second.crowd.ids[at] for at in np.flatnonzero(second.crowd.pool == NOT_GIVEN).tolist()}
    assert len(new) == 3
    _, again = cpu_s(second, 1)
    assert new <= {one.job for one in again.assignments}
    assert check_plan(second, again) == []


def test_slopes_are_of_logarithms(tmp_path):
    points = [Point(jobs=10**power, pools=1, cpu_s=0.1 * 10 ** (power / 2)) for power in (3, 4, 5)]
    assert slope(points, "jobs") == pytest.approx(0.5)
    picture({"jobs": points}, tmp_path / "out" / "scale.svg")
    assert "polyline" in (tmp_path / "out" / "scale.svg").read_text(encoding="utf-8")
