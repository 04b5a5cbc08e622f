"""Back-test of the learnt forecasts: a year of hourly issues, learnt anew every four weeks from the past alone.

Prints MAPE, pinball loss and coverage by hour ahead and by zone beside naive, seasonal and climatological forecasts;
the last line is one JSON object. `mape_24` is the mean over the hours 1 to 24 ahead, `mape_168` over 1 to 168.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

# Small products on few cores: more threads only wait for one another. It counts only before numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks._rivals import NAMES, Array, Tally, climatology, forecasts
from benchmarks._series import FILES, Grid, read
from benchmarks.calibration import calibrate
from sunward.errors import InputError, InvariantError
from sunward.signals.forecast.learner import CHUNK_H, Bands, Learner
from sunward.signals.forecast.rows import DAY_H, REACH_H, WEEK_H, without_holes

HORIZON = WEEK_H
STEP_H = 7
"""Every seventh issue is scored: all hours of the day and of the week take turns."""
SHOWN = (1, 6, 12, 24, 48, 96, 168)
LEAST_FRAC = 0.05
"""Percentages are of hours of at least this part of the zone's mean: near 0 they tell nothing."""


class Scores:
    """Everything counted, by forecaster and zone."""

    def __init__(self, grid: Grid, cut: int) -> None:
        self.grid, self.cut = grid, cut
        self.of = {name: [Tally.empty(HORIZON) for _ in grid.zones] for name in ("ours", *NAMES)}
        known = [without_holes(series) for series in grid.values]
        self.filled = [one.values for one in known]
        self.begins = [one.begin for one in known]
        self.normal = [climatology(series, grid.first_hour, cut) for series in grid.values]
        self.least = [LEAST_FRAC * float(np.nanmean(np.abs(series[:cut]))) for series in grid.values]
        self.misses = [self._misses(zone) for zone in range(len(grid.zones))]

    def _misses(self, zone: int) -> dict[str, tuple[Array, Array]]:
        """How far each rival was off before the cut, as bands of 80 %: shapes (horizon,), (horizon,)."""
        first = max(self.begins[zone] + REACH_H, self.cut - 365 * DAY_H)
        issues = np.arange(first, self.cut - HORIZON, STEP_H)
        if not len(issues):
            return {}
        series = self.filled[zone]
        true = series[issues[:, None] + np.arange(HORIZON)]
        found = forecasts(series, self.normal[zone], issues, HORIZON)
        quantiles = {name: np.quantile(true - point, (0.1, 0.9), axis=0) for name, point in found.items()}
        return {name: (low, high) for name, (low, high) in quantiles.items()}

    def take(self, block: Bands, begin: int) -> None:
        """Score a block of issues; the first scored one is `begin` columns after the grid's first hour."""
        first = block.first_issue - self.grid.first_hour
        offset = (begin - first) % STEP_H
        picked = np.arange(offset, block.p50.shape[1], STEP_H)
        picked = picked[first + picked + HORIZON <= self.grid.values.shape[1]]
        if not len(picked):
            return
        issues = first + picked
        at = issues[:, None] + np.arange(HORIZON)
        for zone, series in enumerate(self.grid.values):
            if not self.misses[zone]:
                continue
            true, least = series[at], self.least[zone]
            bands = tuple(
                np.asarray(band[zone, picked], dtype=np.float64) for band in (block.p10, block.p50, block.p90)
            )
            self.of["ours"][zone].add(true, (bands[0], bands[1], bands[2]), least)
            found = forecasts(self.filled[zone], self.normal[zone], issues, HORIZON)
            for name, point in found.items():
                low, high = self.misses[zone][name]
                self.of[name][zone].add(true, (point + low, point, point + high), least)

    def total(self, name: str) -> Tally:
        """All zones together, each hour of each zone counting alike."""
        whole = Tally.empty(HORIZON)
        for tally in self.of[name]:
            whole.join(tally)
        return whole


def backtest(grid: Grid, cut: int, seed: int, *, carbon: bool) -> dict[str, object]:
    """Learn up to the cut, then issue every hour of what follows. `cut` is a column of the grid."""
    scores = Scores(grid, cut)
    learner = Learner(len(grid.zones), HORIZON, grid.shifts_h, 0.0 if carbon else -np.inf)
    begun = time.process_time()
    learner.learn(grid.values[:, :cut], grid.first_hour)
    model = learner.model()
    train_s = time.process_time() - begun
    refuse_planted(learner, grid, cut)
    begun = time.process_time()
    model.predict(grid.values[:, cut - 2 * REACH_H : cut], grid.first_hour + cut - 2 * REACH_H, grid.first_hour + cut)
    issue_s = time.process_time() - begun
    stop = min(cut + 365 * DAY_H, grid.values.shape[1] - HORIZON + 1)
    begin = cut + int(np.random.default_rng(seed).integers(STEP_H))
    for start in range(cut, stop, CHUNK_H):
        end = min(start + CHUNK_H, stop)
        if start > cut:
            learner.learn(grid.values[:, :start], grid.first_hour)
            model = learner.model()
        issues = range(grid.first_hour + start, grid.first_hour + end)
        scores.take(model.predict_many(grid.values[:, : end - 1], grid.first_hour, issues), begin)
        print(f"  {end - cut} of {stop - cut} h issued", file=sys.stderr, flush=True)
    show(scores)
    return figures(scores) | {
        "zones": len(grid.zones),
        "issues_scored_per_zone": len(range(begin, stop, STEP_H)),
        "history_h": cut,
        "train_s": round(train_s, 3),
        "issue_all_zones_s": round(issue_s, 3),
    }


def refuse_planted(learner: Learner, grid: Grid, cut: int) -> None:
    """A forecast that is handed its own future must be refused. Raises: InvariantError when it is not."""
    try:
        learner.model().predict(grid.values[:, : cut + 1], grid.first_hour, grid.first_hour + cut)
    except InputError:
        return
    raise InvariantError("a planted future value was taken in")


def figures(scores: Scores) -> dict[str, object]:
    """What the last line tells."""
    totals = {name: scores.total(name) for name in scores.of}
    ours = totals["ours"]
    found: dict[str, object] = {}
    for hours in (DAY_H, HORIZON):
        for name, total in totals.items():
            prefix = "" if name == "ours" else f"{name}_"
            for key, value in total.figures(hours).items():
                label = f"{prefix}{key}" if key == "coverage_80" and hours == HORIZON else f"{prefix}{key}_{hours}"
                found[label] = round(value, 5)
    found["by_hour_ahead"] = {ahead: {key: round(value, 5) for key, value in ours.at(ahead).items()} for ahead in SHOWN}
    covered = [tally.figures(HORIZON)["coverage_80"] for tally in scores.of["ours"] if tally.count.any()]
    found["coverage_80_zone_p5"], found["coverage_80_zone_p95"] = (
        round(float(value), 4) for value in np.quantile(covered, (0.05, 0.95))
    )
    return found


def show(scores: Scores) -> None:
    """Tables by hour ahead and by zone."""
    totals = {name: scores.total(name) for name in scores.of}
    for key in ("mape", "wape", "pinball_of_size", "coverage_80"):
        print(f"\n{key:<22}" + "".join(f"{f'{ahead} h':>9}" for ahead in SHOWN))
        for name, total in totals.items():
            print(f"  {name:<20}" + "".join(f"{total.at(ahead)[key]:>9.4f}" for ahead in SHOWN))
    print(
        f"\n{'zone':<16}{'mape 24':>9}{'naive':>9}{'best rival':>12}{'mape 168':>10}{'best rival':>12}{'coverage':>10}"
    )
    for zone, name in enumerate(scores.grid.zones):
        of = {who: tallies[zone] for who, tallies in scores.of.items()}
        if not of["ours"].count.any():
            print(f"{name:<16} not scored: less than {REACH_H} h before the cut")
            continue
        best = [min(of[rival].figures(hours)["mape"] for rival in NAMES) for hours in (DAY_H, HORIZON)]
        day, week = of["ours"].figures(DAY_H), of["ours"].figures(HORIZON)
        naive = of["naive"].figures(DAY_H)["mape"]
        print(
            f"{name:<16}{day['mape']:>9.4f}{naive:>9.4f}{best[0]:>12.4f}{week['mape']:>10.4f}{best[1]:>12.4f}"
            f"{week['coverage_80']:>10.3f}"
        )


def chosen(grid: Grid, wanted: str, seed: int) -> Grid:
    """All zones, a number of them drawn by the seed, or those named. Raises: InputError."""
    if not wanted:
        return grid
    if wanted.isdecimal():
        drawn = np.random.default_rng(seed).permutation(len(grid.zones))[: int(wanted)]
        return grid.only(sorted(drawn.tolist()))
    missing = [zone for zone in wanted.split(",") if zone not in grid.zones]
    if missing:
        raise InputError(f"the file has no zone {missing[0]}")
    return grid.only([grid.zones.index(zone) for zone in wanted.split(",")])


def cut_of(grid: Grid, year: int) -> int:
    """The column at which a year begins. Raises: InputError where there is nothing to learn from, or to score."""
    cut = grid.hour_of(year) - grid.first_hour
    if not REACH_H + HORIZON < cut < grid.values.shape[1] - HORIZON:
        raise InputError(f"the file does not hold both {year} and a history before it")
    return cut


def main() -> int:
    """Run the whole benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=sorted(FILES), default="carbon")
    parser.add_argument("--file", type=Path, help="Parquet with zone, ts_utc and a value; default the packaged name")
    parser.add_argument("--column", default="", help="column of the value, where it has another name")
    parser.add_argument("--zones", default="", help="a number of zones, or names with commas between; else all")
    parser.add_argument("--year", type=int, help="year to forecast, learnt from what lies before; default the last one")
    parser.add_argument("--seed", type=int, default=0, help="which zones are drawn and which issues are scored")
    options = parser.parse_args()
    carbon = options.kind == "carbon"
    try:
        grid = chosen(read(options.file or FILES[options.kind], options.column), options.zones, options.seed)
        year = options.year or grid.last_year
        cut = cut_of(grid, year)
    except InputError as reason:
        print(reason.message, file=sys.stderr)
        return 2
    result: dict[str, object] = {"kind": options.kind, "year": year, "seed": options.seed}
    result |= backtest(grid, cut, options.seed, carbon=carbon)
    print(json.dumps(result | calibrate()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
