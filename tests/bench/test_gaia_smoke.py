"""The benchmark of jobs put off: its published answers, its account of what was emitted, and that it sees no future."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from benchmarks._deferral import (
    HOUR_STEPS,
    Jobs,
    Rule,
    at_arrival,
    carbon_of,
    carbon_time,
    clairvoyant,
    ecovisor,
    lowest_slot,
    lowest_window,
    read_jobs,
    total,
    week_of,
    without,
)
from benchmarks._patient import Grain, emitted, learnt_across, learnt_from, lengths_of, planned_once, view_of
from benchmarks._revised import Patient, planned_hourly
from benchmarks._zone_series import PUBLISHED
from benchmarks.gaia import Series

from sunward.errors import InputError
from sunward.model.identity import PoolId
from sunward.model.plan import Segment
from sunward.units import HOUR_MS, HOUR_S, MINUTE_MS, PPM, SECOND_MS

TRACE = Path(os.environ.get("SUNWARD_DATA", "../shared")) / "bench" / "gaia_pai_1k.csv"
GRAIN = Grain(slot_ms=30 * MINUTE_MS)
PUBLISHED_SHARES: dict[Rule, float] = {
    at_arrival: 1.0,
    lowest_slot: 0.780037,
    carbon_time: 0.724888,
    lowest_window: 0.683704,
    ecovisor: 0.639105,
}


@pytest.fixture
def jobs() -> Jobs:
    """Ten jobs of one day, half of them short."""
    draw = np.random.default_rng(5)
    hours = np.concatenate([draw.uniform(0.1, 1.9, 5), draw.uniform(2.5, 9.0, 5)])
    return Jobs(
        arrival_s=np.sort(draw.uniform(0, 24, 10)) * HOUR_S,
        length_s=draw.permutation(hours) * HOUR_S,
        cpus=draw.integers(1, 5, 10),
    )


def days(number: int) -> np.ndarray:
    """Hourly intensities with clean middays."""
    hours = np.arange(24 * number)
    return 300 - 250 * np.clip(np.sin((hours % 24 - 6) / 12 * np.pi), 0, None)


@pytest.mark.skipif(not (TRACE.is_file() and PUBLISHED.is_file()), reason=f"no {TRACE}; set SUNWARD_DATA")
def test_published_answers_come_out() -> None:
    table = pq.read_table(PUBLISHED, filters=[("zone", "=", "AU-SA")]).sort_by("hour")
    trace, carbon = read_jobs(TRACE), carbon_of(table["gco2_per_kwh"].to_numpy()[7_000:7_720])
    base = total(trace, at_arrival(trace, carbon))
    for rule, share in PUBLISHED_SHARES.items():
        assert total(trace, rule(trace, carbon)) / base == pytest.approx(share, abs=1e-6)


def test_ours_lies_between_waiting_for_nothing_and_knowing_everything(jobs: Jobs) -> None:
    series = Series(whole=days(8), first_hour=0, begins=0)
    carbon = carbon_of(series.known)
    known = learnt_across(jobs, 5)
    ours = total(jobs, planned_once(jobs, carbon, known, series.true, GRAIN))
    assert total(jobs, clairvoyant(jobs, carbon)) <= ours < 0.9 * total(jobs, at_arrival(jobs, carbon))
    revised = planned_hourly(jobs, carbon, known, series.true, GRAIN)
    again = total(jobs, (revised.emitted[row] for row in range(len(jobs.cpus))))
    assert total(jobs, clairvoyant(jobs, carbon)) <= again < 0.9 * total(jobs, at_arrival(jobs, carbon))


def test_where_nothing_is_to_be_gained_all_are_equal(jobs: Jobs) -> None:
    series = Series(whole=np.full(24 * 8, 200.0), first_hour=0, begins=0)
    carbon = carbon_of(series.known)
    ours = total(jobs, planned_once(jobs, carbon, learnt_from(jobs), series.true, GRAIN))
    assert ours == pytest.approx(total(jobs, at_arrival(jobs, carbon)))


def test_emissions_follow_the_segments_and_go_on_after_them() -> None:
    carbon = carbon_of(np.array([1.0, 10.0, 100.0, 1000.0]))
    hour = (HOUR_MS, 2 * HOUR_MS)
    segments = tuple(
        Segment(pool=PoolId("zone"), start_ms=start, end_ms=start + HOUR_MS // 2, containers=1)
        for start in (0, hour[1])
    )
    # Half an hour at 1, half at 100, half more at 100, half at 1000.
    assert emitted(carbon, segments, 2 * HOUR_STEPS) == pytest.approx(0.5 + 50 + 50 + 500)
    assert emitted(carbon, segments, HOUR_STEPS // 4) == pytest.approx(0.25)


def test_a_job_waits_runs_and_ends_as_time_passes(jobs: Jobs) -> None:
    carbon = carbon_of(days(2))
    lengths = lengths_of(np.sort(jobs.length_s) * SECOND_MS, 0, PPM)
    one = Patient(row=0, steps=HOUR_STEPS, view=view_of("job", 0, 6 * HOUR_MS, lengths, GRAIN), at=0)
    one.segments = (
        Segment(pool=PoolId("zone"), start_ms=HOUR_MS // 2, end_ms=HOUR_MS, containers=1),
        Segment(pool=PoolId("zone"), start_ms=2 * HOUR_MS, end_ms=3 * HOUR_MS, containers=1),
    )
    one.advance(HOUR_STEPS, carbon)
    assert (one.done, one.view.waited_ms, one.since) == (HOUR_STEPS // 2, HOUR_MS // 2, HOUR_STEPS // 2)
    one.advance(2 * HOUR_STEPS, carbon)
    assert (one.done, one.view.waited_ms, one.since) == (HOUR_STEPS // 2, 3 * HOUR_MS // 2, -1)
    one.advance(3 * HOUR_STEPS, carbon)
    assert one.ended
    assert one.emitted == pytest.approx(300.0)


def test_lengths_are_those_of_others_that_ran_longer() -> None:
    seen = np.array([1.0, 2.0, 3.0, 4.0]) * HOUR_MS
    left = lengths_of(seen, 2 * HOUR_MS, PPM)
    assert left.remaining_ms == (HOUR_MS, 2 * HOUR_MS)
    assert sum(left.weight_ppm) == PPM
    assert lengths_of(seen, 9 * HOUR_MS, PPM).remaining_ms == (HOUR_MS,)


def test_a_trace_is_taken_out_of_another(jobs: Jobs) -> None:
    rows = np.arange(10)
    jobs = Jobs(arrival_s=jobs.arrival_s, length_s=np.floor(jobs.length_s), cpus=jobs.cpus)
    twice = jobs.pick(np.concatenate([rows, rows]))
    assert len(without(twice, jobs).cpus) == 10
    assert not len(without(jobs, jobs).cpus)


def test_a_week_is_drawn_of_a_longer_trace() -> None:
    draw = np.random.default_rng(0)
    year = Jobs(
        arrival_s=np.sort(draw.uniform(0, 364 * 24, 5_000)) * HOUR_S,
        length_s=np.full(5_000, 60.0),
        cpus=np.ones(5_000, dtype=np.int64),
    )
    chosen = week_of(year, 50, seed=3)
    assert len(chosen.cpus) == 50
    assert 0 <= chosen.arrival_s.min() <= chosen.arrival_s.max() < 168 * HOUR_S
    assert not np.array_equal(chosen.arrival_s, week_of(year, 50, seed=4).arrival_s)


def test_forecasts_do_not_move_with_what_comes_later() -> None:
    noise = np.random.default_rng(1).normal(0, 20, 24 * 70)
    whole, begins, hour = days(70) + noise, 24 * 60, 30
    planted = whole.copy()
    planted[begins + hour :] += 1_000
    told = [Series(whole=one, first_hour=0, begins=begins).forecasts(48)(hour, 96) for one in (whole, planted)]
    assert np.array_equal(told[0], told[1])
    assert np.abs(told[0] - days(70)[begins + hour : begins + hour + 96]).mean() < 60


def test_a_trace_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="SUNWARD_DATA"):
        read_jobs(tmp_path / "none.csv")
