"""The optimum benchmark on instances that take no time, and the rules it holds schedules to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks._fluid import certified, fluid_snapshot, greedy_saving, jobs_of, load_fluid, saving_of
from benchmarks._mixed import GANG, HISTORY_H, PIECE, SHARES, Mixed, Size, draw_mixed
from benchmarks._mixed_lp import Asked, relax
from benchmarks._mixed_online import Course, followed, forecasts_of, resolved, rounded
from benchmarks._mixed_views import all_asked, cost_of, true_plan
from benchmarks._series import Grid
from benchmarks.optimum import mixed, summary

from sunward.errors import InputError, InvariantError
from sunward.placement.planner import plan

YEAR_H = 365 * 24


@pytest.fixture(scope="module")
def grid() -> Grid:
    """Two years of days, each zone with its own noon."""
    draw = np.random.default_rng(0)
    hours = np.arange(2 * YEAR_H)
    values = [300 + 200 * np.cos((hours + 5 * zone) * np.pi / 12) + draw.normal(0, 20, len(hours)) for zone in range(6)]
    first = int(np.datetime64("2022-01-01T00", "h").astype(np.int64))
    return Grid(zones=tuple(f"Z{at}" for at in range(6)), first_hour=first, values=np.array(values), shifts_h=(0,) * 6)


@pytest.fixture(scope="module")
def small(grid: Grid) -> Mixed:
    return draw_mixed(grid, 2023, Size(zones=3, hours=18, containers=4), seed=3)


def test_an_instance_has_its_shares_and_the_same_seed_gives_the_same(grid: Grid, small: Mixed) -> None:
    again = draw_mixed(grid, 2023, Size(zones=3, hours=18, containers=4), seed=3)
    assert (again.intensity == small.intensity).all()
    assert again.arrival_h.tolist() == small.arrival_h.tolist()
    assert small.history.shape == (3, HISTORY_H)
    whole = small.work_h.sum()
    for kind, share in enumerate(SHARES):
        assert abs(small.work_h[small.kind == kind].sum() / whole - share) < 0.15
    assert abs(whole / (3 * 18 * 4) - 0.5) < 0.15
    assert (small.gpus[small.kind == GANG] > 1).all()
    assert (small.arrival_h + small.length_h <= small.deadline_h).all()


def test_a_year_that_the_series_do_not_hold_is_refused(grid: Grid) -> None:
    with pytest.raises(InputError, match="choose another --year"):
        draw_mixed(grid, 2021, Size(), seed=0)


def test_the_bound_is_the_best_of_two_jobs_for_one_place() -> None:
    """Of three hours at 1, 5 and 9 g in one zone: a piece of two hours, and an hour with pauses."""
    asked = Asked(
        gpus=np.array([1, 1]),
        hours=np.array([2, 1]),
        opens=np.zeros(2, np.int64),
        deadline=np.array([3, 3]),
        pausable=np.array([False, True]),
        allowed=(np.array([0]), np.array([0])),
        cost=np.array([[1.0, 5.0, 9.0]]),
        free=np.ones((1, 3), np.int64),
    )
    assert relax(asked).bound == pytest.approx(15.0)
    assert rounded(asked) in ({0: 0}, {1: 0})
    assert relax(replace(asked, free=np.full((1, 3), 2))).bound == pytest.approx(7.0)


def test_plans_lie_above_the_bound_and_not_far(small: Mixed) -> None:
    outcome = mixed(small, 3)
    assert 1.0 - 1e-9 <= outcome.truth_gap < 1.1
    assert outcome.online_gap >= outcome.truth_gap - 0.1
    assert (outcome.undone_h, outcome.resolve_undone_h) == (0, 0)
    found = summary([outcome])
    assert found["truth_gap"] == found["truth_gap_worst"] == outcome.truth_gap


def test_solving_anew_with_the_true_series_does_all_work_above_the_bound(small: Mixed) -> None:
    course = followed(small, [small.intensity[:, hour:] for hour in range(small.hours)], resolved)
    assert (course.done == small.length_h).all()
    assert course.total_g() >= relax(all_asked(small)).bound - 1e-6


def test_forecasts_are_told_from_hours_before_them(small: Mixed) -> None:
    changed = small.intensity.copy()
    changed[:, 6:] += 500.0
    before, after = forecasts_of(small), forecasts_of(replace(small, intensity=changed))
    for hour in range(7):
        assert (before[hour] == after[hour]).all()
    assert (before[8] != after[8]).any()


def test_schedules_that_break_a_rule_are_refused(small: Mixed) -> None:
    made = true_plan(small)
    assert cost_of(small, made) >= relax(all_asked(small)).bound - 1e-6
    with pytest.raises(InvariantError, match="more than its containers"):
        cost_of(replace(small, containers=1), made)
    with pytest.raises(InvariantError, match="outside its window"):
        cost_of(replace(small, deadline_h=small.arrival_h), made)
    piece = int(np.flatnonzero(small.kind == PIECE)[0])
    zone, hour = int(small.allowed[piece][0]), int(small.arrival_h[piece])
    course = Course(small, np.zeros_like(small.gpus), np.full_like(small.gpus, -1))
    course.zone[piece] = zone
    with pytest.raises(InvariantError, match="was stopped"):
        course.pass_hour(hour, {})


def test_work_that_flows_is_all_done_within_its_limits(tmp_path: Path) -> None:
    """Two classes want the clean hour of the one zone both may use."""
    path = tmp_path / "fluid.npz"
    np.savez(
        path,
        zones=np.array(["A", "B"]),
        intensity_gco2e_per_kwh=np.array([[500.0, 100.0, 300.0], [400.0, 400.0, 50.0]]),
        origin_zone=np.array([0, 0]),
        arrival_h=np.array([0, 0]),
        window_h=np.array([3, 2]),
        work_kwh=np.array([7.3, 9.0]),
        allowed_zones=np.array([[0, 1], [0, -1]]),
        capacity_kwh_per_zone_hour=np.float64(10.0),
    )
    instance = load_fluid(path)
    # In order of arrival the first class fills 7.3 kWh of the zone and hour at 50 g, the second 9 kWh of that at 100 g.
    best = 1 - (7.3 * 50 + 9.0 * 100) / ((7.3 + 9.0) * 500)
    assert greedy_saving(instance) == pytest.approx(best)
    made = plan(fluid_snapshot(instance, 20))
    assert saving_of(instance, 20, made) == pytest.approx(best, abs=1e-6)
    proof = certified(fluid_snapshot(instance, 20), made)
    assert proof.holds
    assert proof.jobs == jobs_of(made) == 15 + 18
    assert proof.gap_ppm < 20_000, "a rest holds its container for the hour"
    with pytest.raises(InvariantError, match="all work done"):
        saving_of(instance, 20, replace(made, assignments=made.assignments[:-2]))
