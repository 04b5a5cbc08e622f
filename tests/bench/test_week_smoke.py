"""Simulated hours on a small planet: no job is lost, no pool holds more than it has, and nothing begins too late."""

from __future__ import annotations

import numpy as np
from benchmarks._years import START_MS, Columns, Run, arrivals, planet

from sunward.units import HOUR_MS

MODELS = ("A100-SXM-80GB", "L40S")
HOURS, EACH = 12, 25


def new(draw: np.random.Generator, hour: int) -> Columns:
    return arrivals(
        START_MS + hour * HOUR_MS,
        draw.integers(HOUR_MS // 4, 4 * HOUR_MS, EACH),
        draw.choice([1, 2, 4], EACH),
        draw.choice([0, 6], EACH) * HOUR_MS,
        np.ones(EACH, np.int64),
    )


def test_jobs_of_cohorts_begin_in_time_or_are_counted() -> None:
    draw = np.random.default_rng(1)
    run = Run(planet=planet(5, 200, MODELS, HOURS + 24), slots=24)
    jobs = 0
    for hour in range(HOURS):
        some = new(draw, hour) | {"jobs": draw.integers(1, 9, EACH)}
        jobs += int(some["jobs"].sum())
        run.hour(hour, some)
        held = np.bincount(run.running["pool"], run.running["gpus"] * run.running["jobs"], 5)
        assert (held <= run.planet.pools.count).all()
        assert (run.running["end_ms"] <= run.running["deadline_ms"]).all()
    assert run.begun + run.missed + run.waiting["jobs"].sum() == jobs
    assert run.begun > HOURS
    assert run.carbon_mg > 0


def test_every_job_begins_in_time_or_is_counted() -> None:
    draw = np.random.default_rng(0)
    run = Run(planet=planet(5, 200, MODELS, HOURS + 24), slots=24)
    for hour in range(HOURS):
        run.hour(hour, new(draw, hour))
        held = np.bincount(run.running["pool"], run.running["gpus"], 5)
        assert (held <= run.planet.pools.count).all()
        assert (run.running["end_ms"] <= run.running["deadline_ms"]).all()
    assert run.begun + run.missed + len(run.waiting["gpus"]) == HOURS * EACH
    assert run.begun > HOURS
    assert run.assigned >= run.begun
    assert run.carbon_mg > 0
