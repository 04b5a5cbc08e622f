"""Routing in space: the cheapest sites of 123 zones hour by hour, committed 24 hours ahead with own forecasts.

123 equal sites, one a zone, all loaded alike; all work may move every hour and fills the sites expected to be cheapest.
*Static* expects each site's mean of the year, *hourly* knows the true values, *yesterday* expects the hour of the day
before; these three are worked out from the series alone and, on the published series, must equal the published
answers. *Committed* is the planner with the live service's forecaster: what runs in hour t is fixed at the start of
hour t − 24, when nothing of that hour or later is known. `ratio_N` is its saving over the hourly one at N % idle.

Then the same with a price on moving (benchmarks/_moving.py): hours drawn from the year, jobs that run already.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks._committed import DAY_H, ROOM, containers_of, planned
from benchmarks._moving import AHEAD_H, compare
from benchmarks._routing import committed, filled, saving, still, work_of, yesterday
from benchmarks._zone_series import PUBLISHED_YEAR, Year, add_year_options, load_year
from benchmarks.calibration import calibrate, stay_on_one_core
from sunward.errors import InputError

IDLE = (10, 30, 50, 70, 90, 99)
PLANNED = IDLE[:-1]
"""Levels whose work is a whole number of containers."""
ANSWERS = {
    "static": (11.95, 31.11, 51.06, 73.46, 92.89, 95.66),
    "hourly": (12.69, 33.00, 54.14, 76.91, 93.62, 95.90),
}
"""Percent saved, as published for 2022."""
YESTERDAY = (96.9, 96.7, 97.1, 97.8, 99.3, 99.1)
"""Percent of the hourly saving."""
TRUE_DAYS = 4
MOVING_IDLE = 70
MOVING_H = 48
PRICES = (100, 5_000)
THREADS = "OPENBLAS_NUM_THREADS"


def known(year: Year) -> dict[str, list[float]]:
    """Shares saved at every level by what needs no forecast."""
    routes = {"static": still(year), "hourly": year.intensity, "yesterday": yesterday(year)}
    return {name: [_saved(year, expected, idle) for idle in IDLE] for name, expected in routes.items()}


def _saved(year: Year, expected: np.ndarray, idle: int) -> float:
    work = work_of(len(year.zones), idle)
    return saving(filled(expected, work), year.intensity, work)


def check_answers(found: dict[str, list[float]]) -> None:
    """Raises: AssertionError where a published answer is not reproduced to its last digit."""
    ratios = [100 * one / best for one, best in zip(found["yesterday"], found["hourly"], strict=True)]
    for name, answers in ANSWERS.items():
        percent = [100 * one for one in found[name]]
        assert np.abs(np.array(percent) - answers).max() <= 0.0051, f"{name}: {percent}, published {answers}"
    assert np.abs(np.array(ratios) - YESTERDAY).max() <= 0.051, f"yesterday: {ratios}, published {YESTERDAY}"


def true_error(year: Year, seed: int) -> float:
    """Largest difference, in shares saved, between the planner and the answer on days drawn, both knowing all."""
    draw, worst = np.random.default_rng(seed), 0.0
    for first in draw.integers(0, year.intensity.shape[1] - DAY_H, TRUE_DAYS).tolist():
        day = year.intensity[:, first : first + DAY_H]
        for idle in PLANNED:
            work = work_of(len(year.zones), idle)
            ours = planned(year.start_ms, day, containers_of(len(year.zones), idle))
            worst = max(worst, abs(saving(ours, day, work) - saving(filled(day, work), day, work)))
    return worst


def with_forecasts(year: Year, hourly: Sequence[float]) -> tuple[dict[str, float], dict[str, float]]:
    """By level: the planner's saving over the hourly one, and that of simply filling the cheapest sites."""
    expected = committed(year)
    ratios, simple = {}, {}
    for idle, best in zip(PLANNED, hourly, strict=False):
        work = work_of(len(year.zones), idle)
        share = planned(year.start_ms, expected, containers_of(len(year.zones), idle))
        ratios[f"ratio_{idle}"] = saving(share, year.intensity, work) / best
        simple[f"filled_{idle}"] = _saved(year, expected, idle) / best
        print(f"{idle} % idle: {ratios[f'ratio_{idle}']:.2%} of the hourly saving", file=sys.stderr, flush=True)
    return ratios, simple


def moving(year: Year, hours: int, seed: int) -> list[dict[str, object]]:
    """Always moving against moving where it pays, over hours in a row that begin at a drawn one."""
    last = year.intensity.shape[1] - hours - AHEAD_H
    start = int(np.random.default_rng(seed).integers(0, max(1, last)))
    jobs = round(work_of(len(year.zones), MOVING_IDLE))
    return compare(year, range(start, start + hours), jobs, PRICES, seed)


def run(year: Year, *, published: bool, moving_hours: int = MOVING_H, seed: int = 0) -> dict[str, object]:
    """All figures of one year."""
    begun = time.process_time()
    found = known(year)
    if published:
        check_answers(found)
    ratios, simple = with_forecasts(year, found["hourly"])
    committed_s = time.process_time() - begun
    moves = moving(year, moving_hours, seed) if moving_hours else []
    return {
        **ratios,
        **simple,
        "planner_error_true_series": true_error(year, seed),
        "answers_checked": published,
        "idle": IDLE,
        "saved": found,
        "sites": len(year.zones),
        "hours": year.intensity.shape[1],
        "containers_working": [containers_of(len(year.zones), idle) for idle in PLANNED],
        "containers_per_site": ROOM,
        "moving": moves,
        "committed_cpu_s": round(committed_s, 1),
        "cpu_s": round(time.process_time() - begun, 1),
    }


def _show(result: dict[str, object]) -> None:
    """For people."""
    saved = result["saved"]
    print("idle      " + "".join(f"{idle:>9} %" for idle in IDLE))
    for name, values in saved.items():  # type: ignore[attr-defined]
        print(f"{name:<10}" + "".join(f"{value:>11.2%}" for value in values))
    print("committed " + "".join(f"{result[f'ratio_{idle}']:>11.2%}" for idle in PLANNED) + "  of hourly")
    for one in result["moving"]:  # type: ignore[attr-defined]
        print(
            f"{one['rule']:<7} {one['usd_per_t']:>5} USD/t: {one['moves']:>6} moves, {one['saving']:>8.2%} saved, "
            f"{one['saved_g_per_move']:>9.0f} g a move, worth {one['worth_usd']:>9.2f} USD"
        )


def main() -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_year_options(parser)
    parser.add_argument("--moving-hours", type=int, default=MOVING_H, help="hours in a row with a price on moving")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn days, hours and sites")
    asked = parser.parse_args()
    if THREADS not in os.environ:
        # On one core the threads of linear algebra only wait for one another; their number is read when it is loaded.
        os.environ[THREADS] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.spatial", *sys.argv[1:]])  # noqa: S606
    one_core = stay_on_one_core()
    try:
        year = load_year(asked.year, asked.published, asked.hourly, asked.zones, asked.hours)
    except InputError as reason:
        parser.error(reason.message)
    published = asked.year == PUBLISHED_YEAR and not asked.zones and not asked.hours
    result = run(year, published=published, moving_hours=asked.moving_hours, seed=asked.seed)
    _show(result)
    print(json.dumps(result | {"year": asked.year, "one_core": one_core} | calibrate()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
