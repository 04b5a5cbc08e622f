"""Batch jobs put off for cleaner power: published ways, the planner, and what a job whose length is known could do.

Every figure is a share of what running at arrival emits. *ours* is the live planner's search on the true series: it
knows a job's class (short or long), how long other jobs of the class ran, and how long the job may stand still.
*ours_forecast* is told forecasts instead, and every hour plans all that has not ended anew. What is learnt of lengths
comes from another trace without these jobs, or across parts of this one (`--learn parts`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks._deferral import (
    Carbon,
    Jobs,
    Rule,
    at_arrival,
    carbon_of,
    carbon_time,
    clairvoyant,
    clairvoyant_contiguous,
    ecovisor,
    lowest_slot,
    lowest_window,
    read_jobs,
    total,
    week_of,
    without,
)
from benchmarks._patient import Ahead, Grain, Learnt, learnt_across, learnt_from, planned_once
from benchmarks._revised import planned_hourly
from benchmarks._zone_series import DATA, HOURLY, PUBLISHED, PUBLISHED_YEAR, load_year
from benchmarks.calibration import calibrate, stay_on_one_core
from sunward.errors import InputError
from sunward.signals.forecast.learner import rolling
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS
from sunward.world.snapshot import FloatArray

RULES: dict[str, Rule] = {
    "no_wait": at_arrival,
    "lowest_slot": lowest_slot,
    "carbon_time": carbon_time,
    "lowest_window": lowest_window,
    "ecovisor": ecovisor,
    "clairvoyant_contiguous": clairvoyant_contiguous,
    "clairvoyant": clairvoyant,
}
DAY_H = DAY_MS // HOUR_MS
PARTS = 10
FORECAST_PROMISE_PPM = 950_000
"""Plans that are revised every hour hold room for so many of the lengths seen: what is beyond, later ones see to."""
TRACE = DATA / "bench" / "gaia_pai_1k.csv"
OTHERS = DATA / "data" / "jobs" / "alibaba_pai_100k_gaia.parquet"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Hourly intensities of the zone, from the year before on; trace and plans count hours from where it begins."""

    whole: FloatArray
    first_hour: int
    """Hours since 1970."""
    begins: int
    """Hour of `whole` at which the trace begins."""

    @property
    def known(self) -> FloatArray:
        """From the start hour on."""
        return self.whole[self.begins :]

    def true(self, hour: int, hours: int) -> FloatArray:
        """Hours as they will be; beyond the end, where no job comes to run, the last day again and again."""
        at = np.arange(hour, hour + hours)
        over = np.maximum(at - len(self.known) + 1, 0)
        return self.known[np.where(over, len(self.known) - DAY_H + (over - 1) % DAY_H, at)]

    def forecasts(self, hours: int) -> Ahead:
        """Forecasts of every hour of the trace, each learnt and issued from the hours before it alone.

        The year before is of another release of the data. It only adds to what is learnt: the learner looks at hours
        relative to the days before them, so what its level is does not matter.
        """
        issues = range(self.first_hour + self.begins, self.first_hour + self.begins + hours)
        bands = rolling(self.whole[None], self.first_hour, issues, lowest=0.0)
        issued = np.concatenate([one.p50[0] for one in bands]).astype(np.float64)

        def ahead(hour: int, hours: int) -> FloatArray:
            at = np.arange(hours)
            reach = issued.shape[1]
            told: FloatArray = issued[hour, np.where(at < reach, at, reach - DAY_H + at % DAY_H)]
            return told

        return ahead


def main() -> int:
    """Run everything, print each figure as it comes, and all of them at the end."""
    options = _options().parse_args()
    jobs = week_of(read_jobs(options.trace), options.jobs, options.seed)
    print(f"{len(jobs.cpus)} jobs of {options.trace.name}, {int(jobs.short.sum())} of them short", flush=True)
    series = _series(options, jobs.reach_h)
    carbon = carbon_of(series.known)
    result: dict[str, object] = {}
    base = total(jobs, at_arrival(jobs, carbon))
    for name, rule in RULES.items():
        result[name] = _told(name, total(jobs, rule(jobs, carbon)) / base)
    learnt = _learnt(options, jobs)
    grain = Grain(slot_ms=options.slot_min * MINUTE_MS)
    result |= _ours(jobs, carbon, learnt, grain, series, base)
    if not options.quick:
        revised = Grain(
            slot_ms=options.forecast_slot_min * MINUTE_MS,
            promise_ppm=FORECAST_PROMISE_PPM,
            hysteresis_ppm=options.hysteresis_ppm,
        )
        result |= _ours_forecast(jobs, carbon, learnt, revised, series, base)
    # The figures above ran in this one thread; the matrix product would take every core that it may.
    result["calibration_on_one_core"] = stay_on_one_core()
    print(json.dumps(result | calibrate()))
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trace", type=Path, default=TRACE, help="CSV or Parquet; of a longer one a week is drawn")
    parser.add_argument("--others", type=Path, default=OTHERS, help="another trace, to learn lengths from")
    parser.add_argument("--learn", choices=("others", "parts"), default="others", help="where lengths are learnt")
    parser.add_argument("--jobs", type=int, default=1_000, help="most jobs of a longer trace")
    parser.add_argument("--seed", type=int, default=0, help="draws the week and the jobs of a longer trace")
    parser.add_argument("--zone", default="AU-SA")
    parser.add_argument("--year", type=int, default=PUBLISHED_YEAR)
    parser.add_argument("--hour", type=int, default=7_000, help="hour of the year at which the trace begins")
    parser.add_argument("--slot-min", type=int, default=15, help="minutes of a slot of the plans")
    parser.add_argument("--forecast-slot-min", type=int, default=30, help="the same, where they are revised hourly")
    parser.add_argument(
        "--hysteresis-ppm", type=int, default=0, help="gain for which an hourly plan changes: pauses are free"
    )
    parser.add_argument("--quick", action="store_true", help="without forecasts")
    return parser


def _series(options: argparse.Namespace, reach_h: int) -> Series:
    year = load_year(options.year, PUBLISHED, HOURLY)
    if options.zone not in year.zones:
        raise InputError(f"no zone {options.zone} in {options.year}; there are {', '.join(year.zones)}")
    row, hours = year.zones.index(options.zone), year.intensity.shape[1]
    if hours - options.hour < reach_h:
        raise InputError(
            f"the trace runs {reach_h} h, {options.year} ends {hours - options.hour} h after hour {options.hour};"
            f" let it begin at hour {hours - reach_h} or before"
        )
    print(f"{options.zone} from hour {options.hour} of {options.year}", flush=True)
    whole = np.concatenate([year.before[row], year.intensity[row]])
    first_hour = year.start_ms // HOUR_MS - len(year.before[row])
    return Series(whole=whole, first_hour=first_hour, begins=len(year.before[row]) + options.hour)


def _learnt(options: argparse.Namespace, jobs: Jobs) -> Learnt:
    if options.learn == "parts" or not options.others.is_file():
        print(f"lengths learnt across {PARTS} parts of the trace")
        return learnt_across(jobs, PARTS)
    others = without(read_jobs(options.others), jobs)
    print(f"lengths learnt from {len(others.cpus)} other jobs of {options.others.name}")
    return learnt_from(others)


def _ours(jobs: Jobs, carbon: Carbon, learnt: Learnt, grain: Grain, series: Series, base: float) -> dict[str, object]:
    begun = time.process_time()
    ours = total(jobs, planned_once(jobs, carbon, learnt, series.true, grain))
    return {"ours": _told("ours", ours / base), "ours_cpu_s": round(time.process_time() - begun, 1)}


def _ours_forecast(
    jobs: Jobs, carbon: Carbon, learnt: Learnt, grain: Grain, series: Series, base: float
) -> dict[str, object]:
    begun = time.process_time()
    ahead = series.forecasts(jobs.reach_h)
    outcome = planned_hourly(jobs, carbon, learnt, ahead, grain)
    each = (outcome.emitted[row] for row in range(len(jobs.cpus)))
    return {
        "ours_forecast": _told("ours_forecast", total(jobs, each) / base),
        "changes_per_job": round(outcome.changes / len(jobs.cpus), 3),
        "ours_forecast_cpu_s": round(time.process_time() - begun, 1),
    }


def _told(name: str, share: float) -> float:
    print(f"{name:>24} {share:.6f}", flush=True)
    return round(share, 6)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as reason:
        sys.exit(str(reason))
