"""The benchmark of shifting in time on made series: its answers, and that nothing of the future is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from benchmarks._zone_series import Year
from benchmarks.temporal import AHEAD, KINDS, SAMPLE, decide, forecasts, known, planned, run, waiting

START_MS = 1_640_995_200_000
HOURS = 400


def made(zones: int = 2) -> Year:
    """Days that repeat with noise; the last zone has no year before."""
    draw = np.random.default_rng(3)
    hours = np.arange(-1_200, HOURS)
    days = 300 + 100 * np.sin(2 * np.pi * hours / 24) + draw.normal(0, 20, (zones, len(hours)))
    series = np.round(days, 2)
    before = series[:, :-HOURS].copy()
    before[-1] = np.nan
    names = tuple(f"Z{number}" for number in range(zones))
    return Year(zones=names, start_ms=START_MS, intensity=series[:, -HOURS:], before=before)


@pytest.mark.parametrize("kind", [(1, 24), (24, 24), (6, 168)])
def test_the_planner_equals_brute_force_at_every_arrival(kind):
    hours, slack = kind
    year = made(1)
    ours = planned(year, hours, slack)
    series = year.intensity[0]
    for arrival in range(0, HOURS - hours - slack + 1, 7):
        window = series[arrival : arrival + hours + slack]
        assert ours.base[0, arrival] == pytest.approx(window[:hours].sum(), abs=1e-6)
        pieces = [window[start : start + hours].sum() for start in range(slack + 1)]
        assert ours.deferral[0, arrival] == pytest.approx(min(pieces), abs=1e-6)
        assert ours.interruption[0, arrival] == pytest.approx(sorted(window)[:hours] @ np.ones(hours), abs=1e-6)


def test_with_the_true_series_as_forecast_everything_is_recovered():
    year = made(1)
    answers, worst, worst_sampled = known(year, 8, 0)
    assert max(worst, worst_sampled) <= 1e-6
    kinds = [waiting(year, *kind) for kind in KINDS if sum(kind) <= AHEAD]
    padded = np.pad(year.intensity, ((0, 0), (0, AHEAD)), constant_values=1e6)
    for hour in range(HOURS):
        decide(kinds, year, hour, padded[:, hour : hour + AHEAD])
    for jobs in kinds:
        answer = answers[jobs.hours, jobs.slack]
        assert jobs.deferral == pytest.approx(answer.deferral.sum(), abs=1e-6)
        assert jobs.interruption == pytest.approx(answer.interruption.sum(), abs=1e-6)
        assert not jobs.left.any()


def test_what_is_expected_does_not_change_when_the_future_does():
    year, hour = made(), 250
    changed = year.intensity.copy()
    changed[:, hour:] = 1_000.0
    for (at, before), (_, after) in zip(forecasts(year), forecasts(replace(year, intensity=changed)), strict=True):
        if at <= hour:
            np.testing.assert_array_equal(before, after)
        else:
            assert (before != after).any()
            break


def test_every_figure_is_there():
    result = run(made(), sample=8)
    assert result["max_abs_error"] <= 1e-6
    assert result["whole_plans"] == 8 <= SAMPLE
    assert 0.5 < result["recovered_1_24"] == result["recovered_1_24_at_arrival"] <= 1
    assert 0.5 < result["recovered_1_24_revised"] <= 1
    assert 0.3 < result["recovered_24_168"] <= 1
    assert len(result["table"]) == len(KINDS)
