"""A simulated week with a million jobs, and a year by hourly cohorts, through the live planner.

Every hour new work comes, all that waits is planned, and what was placed begins (`benchmarks/_years.py` says what that
covers). In the week each job is a row of its own; in the year the like jobs of an hour are a cohort, of which some may
run here and others there. Lengths are drawn from the 100,000 jobs of the PAI trace, arrivals from a daily swing.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks._deferral import read_jobs
from benchmarks._years import START_MS, Columns, Run, arrivals, planet
from benchmarks._zone_series import DATA
from benchmarks.calibration import calibrate, stay_on_one_core
from sunward import units
from sunward.world.crowd import IntArray

TRACE = DATA / "data" / "jobs" / "alibaba_pai_100k_gaia.parquet"
MODELS = ("A100-SXM-80GB", "H100-SXM", "L40S", "V100-SXM2-32GB", "A10", "L4", "H200-SXM")
DAY_H = units.DAY_MS // units.HOUR_MS
WEEK_H, YEAR_H = 7 * DAY_H, 365 * DAY_H
GPUS, GPU_SHARE = (1, 2, 4, 8), (0.7, 0.15, 0.1, 0.05)
SLACK_H = (0, 4, 12, 24)
LENGTH_STEPS = 6
"""Cohorts tell so many lengths apart."""
KIB = 1_024


def main() -> int:
    """Simulate both, and print how long that took."""
    options = _options().parse_args()
    lengths = np.maximum(read_jobs(options.trace).length_s * units.SECOND_MS, units.MINUTE_MS).astype(np.int64)
    result: dict[str, object] = {"calibration_on_one_core": stay_on_one_core()}
    result |= _week(options, lengths)
    if not options.quick:
        result |= _year(options, lengths)
    result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KIB
    print(json.dumps(result | calibrate()))
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trace", type=Path, default=TRACE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1_000_000, help="in the week; the year has as many each week")
    parser.add_argument("--containers", type=int, default=435_000)
    parser.add_argument("--pools", type=int, default=2_000, help="in the week")
    parser.add_argument("--year-pools", type=int, default=93)
    parser.add_argument("--hours", type=int, default=WEEK_H)
    parser.add_argument("--year-hours", type=int, default=YEAR_H)
    parser.add_argument("--slots", type=int, default=48, help="hours that a plan looks ahead")
    parser.add_argument("--quick", action="store_true", help="without the year")
    return parser


def _week(options: argparse.Namespace, lengths: IntArray) -> dict[str, object]:
    draw = np.random.default_rng(options.seed)
    run = Run(
        planet=planet(options.pools, options.containers, MODELS, options.hours + options.slots), slots=options.slots
    )
    begun_s, number = (time.perf_counter(), time.process_time()), 0
    for hour in range(options.hours):
        count = int(draw.poisson(_per_h(options.jobs, hour)))
        run.hour(hour, _jobs(draw, hour, count, lengths))
        number += count
        _tell("week", hour, run)
    return _told("week", run, number, begun_s)


def _year(options: argparse.Namespace, lengths: IntArray) -> dict[str, object]:
    draw = np.random.default_rng(options.seed)
    world = planet(options.year_pools, options.containers, MODELS[:1], options.year_hours + options.slots)
    run = Run(planet=world, slots=options.slots)
    begun_s, cohorts, jobs = (time.perf_counter(), time.process_time()), 0, 0
    steps = np.quantile(lengths, (np.arange(LENGTH_STEPS) + 1) / LENGTH_STEPS * 0.98).astype(np.int64)
    for hour in range(options.year_hours):
        new = _cohorts(draw, hour, _per_h(options.jobs, hour), steps)
        run.hour(hour, new)
        cohorts, jobs = cohorts + len(new["gpus"]), jobs + int(new["jobs"].sum())
        if hour % DAY_H == 0:
            _tell("year", hour, run)
    return _told("year", run, jobs, begun_s) | {"year_cohorts": cohorts}


def _per_h(jobs: int, hour: int) -> float:
    """Twice as many in the busiest hour of the day as in the quietest."""
    return jobs / WEEK_H * (1.0 + math.sin(hour / DAY_H * math.tau) / 3)


def _jobs(draw: np.random.Generator, hour: int, count: int, lengths: IntArray) -> Columns:
    return arrivals(
        START_MS + hour * units.HOUR_MS,
        draw.choice(lengths, count),
        draw.choice(GPUS, count, p=GPU_SHARE),
        draw.choice(SLACK_H, count) * units.HOUR_MS,
        np.ones(count, np.int64),
    )


def _cohorts(draw: np.random.Generator, hour: int, per_h: float, steps: IntArray) -> Columns:
    """Jobs of an hour by length, slack and GPUs."""
    slack_ms = np.array(SLACK_H) * units.HOUR_MS
    length, slack, gpus = (grid.ravel() for grid in np.meshgrid(steps, slack_ms, np.array(GPUS)))
    share = np.array(GPU_SHARE)[np.searchsorted(GPUS, gpus)] / (len(steps) * len(slack_ms))
    jobs = draw.poisson(per_h * share).astype(np.int64)
    some = jobs > 0
    return arrivals(START_MS + hour * units.HOUR_MS, length[some], gpus[some], slack[some], jobs[some])


def _tell(name: str, hour: int, run: Run) -> None:
    if hour % DAY_H == 0:
        print(f"{name} hour {hour}: {run.begun} begun, {len(run.waiting['gpus'])} waiting", file=sys.stderr, flush=True)


def _told(name: str, run: Run, jobs: int, begun_s: tuple[float, float]) -> dict[str, object]:
    return {
        f"{name}_s": round(time.perf_counter() - begun_s[0], 1),
        f"{name}_cpu_s": round(time.process_time() - begun_s[1], 1),
        f"{name}_jobs": jobs,
        f"{name}_begun": run.begun,
        f"{name}_missed": run.missed,
        f"{name}_plans": run.plans,
        f"{name}_assignments": run.assigned,
        f"{name}_most_open": run.most_open,
        f"{name}_pools": len(run.planet.pools.ids),
        f"{name}_saves": round(1 - run.carbon_mg / max(1, run.base_mg), 4),
    }


if __name__ == "__main__":
    sys.exit(main())
