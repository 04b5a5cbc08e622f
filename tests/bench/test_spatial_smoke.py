"""The benchmark of routing in space on made series: its answers, and that nothing of the future is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from benchmarks._committed import containers_of, planned
from benchmarks._moving import always, counted, paying
from benchmarks._routing import LEAD_H, committed, filled, saving, yesterday
from benchmarks._zone_series import Year
from benchmarks.spatial import PLANNED, check_answers, known, run

START_MS = 1_640_995_200_000
HOURS = 72


def made(zones: int = 10) -> Year:
    """Days that repeat with noise about levels of their own; the last zone has no year before."""
    draw = np.random.default_rng(3)
    hours = np.arange(-1_200, HOURS)
    levels = np.linspace(100, 500, zones)[:, None]
    series = np.round(levels * (1 + 0.4 * np.sin(2 * np.pi * hours / 24)) + draw.normal(0, 10, (zones, len(hours))), 2)
    before = series[:, :-HOURS].copy()
    before[-1] = np.nan
    names = tuple(f"Z{number}" for number in range(zones))
    return Year(zones=names, start_ms=START_MS, intensity=series[:, -HOURS:].clip(1), before=before)


@pytest.mark.parametrize("idle", PLANNED)
def test_the_planner_fills_the_cheapest_sites(idle):
    year = made(9)
    containers = containers_of(9, idle)
    ours = planned(START_MS, year.intensity, containers)
    assert ours.sum(axis=0) == pytest.approx(np.full(HOURS, containers / 10))
    np.testing.assert_allclose(ours, filled(year.intensity, containers / 10), atol=1e-9)


def test_the_cheapest_sites_by_brute_force():
    expected = np.array([[3.0, 1.0], [1.0, 1.0], [2.0, 5.0]])
    np.testing.assert_allclose(filled(expected, 1.5), [[0, 1], [1, 0.5], [0.5, 0]])
    assert saving(filled(expected, 1.5), expected, 1.5) == pytest.approx(1 - 3.5 / 6.5)


def test_what_is_committed_does_not_change_when_the_day_before_does():
    year, hour = made(), 50
    changed = year.intensity.copy()
    changed[:, hour - LEAD_H :] = 1_000.0
    before, after = committed(year), committed(replace(year, intensity=changed))
    np.testing.assert_array_equal(before[:, : hour + 1], after[:, : hour + 1])
    assert (before[:, hour + 1] != after[:, hour + 1]).any()


def test_a_zone_that_nothing_is_known_of_comes_last():
    expected = committed(made())
    assert (expected[-1, : LEAD_H + 1] > expected[:-1, : LEAD_H + 1].max(axis=0)).all()
    assert (expected[-1, LEAD_H + 1 :] != expected[:-1, LEAD_H + 1 :].max(axis=0) + 1).all()
    repeated = yesterday(made())[:, :LEAD_H]
    assert (repeated[-1] > repeated[:-1].max(axis=0)).all()


def test_answers_that_are_not_the_published_ones_are_refused():
    with pytest.raises(AssertionError, match="static"):
        check_answers(known(made()))


def test_always_moves_as_little_as_it_must_and_paying_moves_only_where_it_pays():
    """Two jobs; the clean site changes every hour, but never by as much as a move costs."""
    level = np.array([[100.0] * 40, [110.0] * 40, [400.0] * 40])
    flips = level + np.array([[0, 20] * 20, [0] * 40, [0] * 40])
    year = Year(zones=("a", "b", "c"), start_ms=START_MS, intensity=flips, before=flips)
    ahead = [flips[:, hour : hour + 25] for hour in range(6)]
    homes = np.array([2])
    everywhere = always(ahead, homes)
    assert everywhere[:, 0].tolist() == [0, 1, 0, 1, 0, 1]
    stays = paying(year, range(6), ahead, homes, 5_000)
    assert stays[:, 0].tolist() == [0] * 6
    dear = paying(year, range(6), ahead, homes, 1)
    assert dear[:, 0].tolist() == [2] * 6
    one, two = (counted("", places, homes, flips[:, :6], 5_000) for places in (everywhere, stays))
    assert (one.moves, two.moves) == (6, 1)
    assert two.saved_kg == pytest.approx((6 * 400 - 3 * 100 - 3 * 120 - 20 * 0.06 * 250 - 100 / 12) / 1_000)
    assert two.worth_usd > one.worth_usd


def test_every_figure_is_there():
    result = run(made(), published=False, moving_hours=2)
    assert result["planner_error_true_series"] == pytest.approx(0, abs=1e-9)
    for idle in PLANNED:
        assert 0.5 < result[f"ratio_{idle}"] <= 1
        assert result[f"ratio_{idle}"] == pytest.approx(result[f"filled_{idle}"])
    assert [one["rule"] for one in result["moving"]] == ["always", "paying"] * 2
