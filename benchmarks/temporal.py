"""Shifting in time: the planner against the cheapest hours of 123 zones, with the true series and with forecasts.

A job of J hours that arrives at hour h with slack S runs within [h, h + J + S). *Deferral* is its cheapest J hours in
one piece, *interruption* its J cheapest hours. Saving = 1 − sum of the cost ÷ sum of running at arrival, over all
zones and arrivals.

*With the true series* the planner's own pricing and choice of starts (`windows`) and of hours (`free_pauses`) must
equal both at every arrival; arrivals drawn at random also go through `plan()` whole. *With forecasts*, at hour t
everything up to t − 1 is known and nothing of t: deferral is planned at arrival, interruption is decided anew every
hour. Recovered = saving ÷ saving with the true series. Nothing but carbon counts (benchmarks/_zone_pools.py).

`recovered_1_24` is planned at arrival, and so is `recovered_1_24_at_arrival`, its full name. `recovered_1_24_revised`
is the same jobs decided anew every hour, as a live planner does and as `recovered_24_168` is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks._zone_pools import USD_PER_T, demand_on, job_of, snapshot_of
from benchmarks._zone_series import Year, add_year_options, load_year
from benchmarks.calibration import calibrate, stay_on_one_core
from sunward.errors import InputError
from sunward.model.hardware import WorkClass
from sunward.placement.demand import CostBook
from sunward.placement.fleet import fleet_of
from sunward.placement.free_pauses import cheapest_slots, runs_now
from sunward.placement.planner import plan
from sunward.placement.score import slot_costs
from sunward.placement.windows import Windows, starts_per_pool, windows_of
from sunward.signals.forecast.learner import rolling
from sunward.units import HOUR_MS, MICRO
from sunward.world.snapshot import FloatArray, IntArray

LENGTHS, SLACKS = (1, 6, 24, 168), (24, 168)
KINDS = [(hours, slack) for hours in LENGTHS for slack in SLACKS]
AHEAD = 192
"""Hours of a forecast: the longest window that is planned with one."""
SAMPLE = 320
PROGRESS_H = 1_000
THREADS = "OPENBLAS_NUM_THREADS"


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """Cost of every arrival of one (J, S), (Z, N): at arrival, in one piece, with pauses; gCO2e at 1 kW."""

    base: FloatArray
    deferral: FloatArray
    interruption: FloatArray

    def savings(self) -> tuple[float, float]:
        """Of deferral and interruption."""
        total = self.base.sum()
        return float(1 - self.deferral.sum() / total), float(1 - self.interruption.sum() / total)


def arrivals(year: Year, hours: int, slack: int) -> int:
    """How many arrivals have their whole window in the year."""
    return year.intensity.shape[1] - hours - slack + 1


def reference(year: Year, hours: int, slack: int) -> Costs:
    """The answers, worked out from the series alone."""
    number = arrivals(year, hours, slack)
    piece = sliding_window_view(year.intensity, hours, axis=1).sum(axis=-1)
    deferral = sliding_window_view(piece, slack + 1, axis=1)[:, :number].min(axis=-1)
    interruption = np.empty_like(deferral)
    for zone, values in enumerate(year.intensity):
        window = sliding_window_view(values, hours + slack)[:number]
        interruption[zone] = np.sort(window, axis=1)[:, :hours].sum(axis=1)
    return Costs(piece[:, :number], deferral, interruption)


def planned(year: Year, hours: int, slack: int) -> Costs:
    """What the planner's search finds with the true series: every start priced once, the best chosen per arrival."""
    number, window = arrivals(year, hours, slack), hours + slack
    fleet = fleet_of(snapshot_of(year.zones, year.intensity, year.start_ms))
    demand = demand_on(fleet, hours, fleet.slots, {})
    windows = windows_of(fleet, demand)
    found = np.empty((3, len(year.zones), number))
    for zone in range(len(year.zones)):
        total, possible = (
            sliding_window_view(of[zone], slack + 1)[:number] for of in (windows.total, windows.possible)
        )
        found[0, zone] = windows.total[zone, :number]
        found[1, zone] = starts_per_pool(total, possible)[1]
        ahead = sliding_window_view(demand.costs.run[zone], window)[:number]
        found[2, zone] = (ahead * cheapest_slots(ahead, hours)).sum(axis=1)
    return Costs(*(found / MICRO))


def max_error(ours: Costs, true: Costs) -> float:
    """Largest difference of any arrival, gCO2e."""
    return max(
        float(np.abs(ours.base - true.base).max()),
        float(np.abs(ours.deferral - true.deferral).max()),
        float(np.abs(ours.interruption - true.interruption).max()),
    )


def sampled_error(year: Year, kind: tuple[int, int], true: Costs, number: int, draw: np.random.Generator) -> float:
    """Largest difference over arrivals drawn at random, each a whole `plan()` of one job of either kind."""
    hours, slack = kind
    worst = 0.0
    for _ in range(number):
        zone, hour = int(draw.integers(len(year.zones))), int(draw.integers(arrivals(year, hours, slack)))
        now_ms = year.start_ms + hour * HOUR_MS
        jobs = [job_of(name, now_ms, hours, hours + slack, pauses=name == "pauses") for name in ("pauses", "piece")]
        ahead = year.intensity[zone : zone + 1, hour : hour + hours + slack]
        made = plan(snapshot_of(year.zones[zone : zone + 1], ahead, now_ms, jobs))
        pauses, piece = (one.terms.total / MICRO for one in made.assignments)
        worst = max(worst, abs(piece - true.deferral[zone, hour]), abs(pauses - true.interruption[zone, hour]))
    return worst


@dataclass(slots=True, eq=False)
class Rolling:
    """Jobs of one (J, S) as they are decided with forecasts; costs add up as hours pass."""

    hours: int
    slack: int
    number: int
    left: IntArray
    """(Z, N) hours of work that jobs with pauses still have."""
    deferral: float = 0.0
    interruption: float = 0.0

    @property
    def window(self) -> int:
        """Hours from arrival to deadline."""
        return self.hours + self.slack


def waiting(year: Year, hours: int, slack: int) -> Rolling:
    """All arrivals, none begun."""
    number = arrivals(year, hours, slack)
    return Rolling(hours, slack, number, np.full((len(year.zones), number), hours, dtype=np.int64))


def decide(kinds: Sequence[Rolling], year: Year, hour: int, expected: FloatArray) -> None:
    """What the planner does at the start of an hour with the expected intensities (Z, H) of the hours from it on."""
    fleet = fleet_of(snapshot_of(year.zones, expected, year.start_ms + hour * HOUR_MS))
    windows: dict[int, Windows] = {}
    book: CostBook = {}
    for jobs in kinds:
        if hour < jobs.number:
            if jobs.hours not in windows:
                windows[jobs.hours] = windows_of(fleet, demand_on(fleet, jobs.hours, fleet.slots, book))
            _start(jobs, year, hour, windows[jobs.hours])
    cost = slot_costs(fleet, WorkClass.GENERIC, 1, USD_PER_T).run
    for jobs in kinds:
        _run(jobs, year, hour, cost)


def _start(jobs: Rolling, year: Year, hour: int, windows: Windows) -> None:
    """Plan the arrivals of an hour that run in one piece, and let them run as planned."""
    within = slice(jobs.slack + 1)
    starts = starts_per_pool(windows.total[:, within], windows.possible[:, within])[0]
    taken = hour + starts[:, None] + np.arange(jobs.hours)
    jobs.deferral += float(np.take_along_axis(year.intensity, taken, axis=1).sum())


def _run(jobs: Rolling, year: Year, hour: int, cost: IntArray) -> None:
    """Let those jobs with pauses run through an hour for which it is among the cheapest they still need."""
    first, last = max(0, hour - jobs.window + 1), min(hour + 1, jobs.number)
    if first >= last:
        return
    left = jobs.left[:, first:last]
    runs = runs_now(cost, left, np.arange(first, last) + jobs.window - hour)
    left -= runs
    jobs.interruption += float((runs.sum(axis=1) * year.intensity[:, hour]).sum())


def forecasts(year: Year) -> Iterator[tuple[int, FloatArray]]:
    """Every hour with what is expected from it on, (Z, AHEAD), learnt and told from hours before it alone.

    The year before is of another release of the data, whose level differs in some zones. It is not rescaled: a row of
    the learner is relative to the level and spread of the zone's last weeks, so a release on another level teaches
    the same, and no hour of the scored year is needed to join the two.
    """
    first = year.start_ms // HOUR_MS - year.before.shape[1]
    values = np.concatenate([year.before, year.intensity], axis=1)
    begin, end = year.start_ms // HOUR_MS, year.start_ms // HOUR_MS + year.intensity.shape[1]
    for bands in rolling(values, first, range(begin, end), horizon=AHEAD, lowest=0.0):
        for issue in range(bands.p50.shape[1]):
            yield bands.first_issue + issue - begin, bands.p50[:, issue].astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What one (J, S) came to, shares of 1."""

    hours: int
    slack: int
    deferral: float
    interruption: float
    recovered_deferral: float | None = None
    """Planned at arrival; None where a window is longer than a forecast."""
    recovered_interruption: float | None = None
    """Decided anew every hour."""


def known(year: Year, sample: int, seed: int) -> tuple[dict[tuple[int, int], Costs], float, float]:
    """The answers by (J, S), the planner's largest error at any arrival, and that of whole plans at drawn ones."""
    draw = np.random.default_rng(seed)
    answers: dict[tuple[int, int], Costs] = {}
    worst = worst_sampled = 0.0
    for kind in KINDS:
        answers[kind] = reference(year, *kind)
        worst = max(worst, max_error(planned(year, *kind), answers[kind]))
        sampled = sampled_error(year, kind, answers[kind], -(-sample // len(KINDS)), draw)
        worst_sampled = max(worst_sampled, sampled)
        told = "J={} S={}: deferral {:.2%}, interruption {:.2%}".format(*kind, *answers[kind].savings())
        print(f"{told}; largest error {max(worst, worst_sampled):.1e} g", file=sys.stderr, flush=True)
    return answers, worst, worst_sampled


def with_forecasts(year: Year, answers: dict[tuple[int, int], Costs]) -> tuple[list[Shift], float]:
    """What is recovered of every saving, and the CPU seconds that the forecasts took."""
    kinds = [waiting(year, *kind) for kind in KINDS if sum(kind) <= AHEAD]
    forecast_s = 0.0
    told = time.process_time()
    for hour, expected in forecasts(year):
        forecast_s += time.process_time() - told
        decide(kinds, year, hour, expected)
        if hour % PROGRESS_H == 0:
            print(f"hour {hour} of {year.intensity.shape[1]}", file=sys.stderr, flush=True)
        told = time.process_time()
    return [_shift(kind, answers[kind], kinds) for kind in KINDS], forecast_s


def _shift(kind: tuple[int, int], answer: Costs, kinds: Sequence[Rolling]) -> Shift:
    deferral, interruption = answer.savings()
    bare = Shift(hours=kind[0], slack=kind[1], deferral=deferral, interruption=interruption)
    base = answer.base.sum()
    for jobs in kinds:
        if (jobs.hours, jobs.slack) == kind:
            assert not jobs.left.any()
            return replace(
                bare,
                recovered_deferral=float((base - jobs.deferral) / (base - answer.deferral.sum())),
                recovered_interruption=float((base - jobs.interruption) / (base - answer.interruption.sum())),
            )
    return bare


def run(year: Year, sample: int = SAMPLE, seed: int = 0) -> dict[str, object]:
    """All figures of one year."""
    begun = time.process_time()
    answers, worst, worst_sampled = known(year, sample, seed)
    known_s = time.process_time() - begun
    shifts, forecast_s = with_forecasts(year, answers)
    found = {(one.hours, one.slack): one for one in shifts}
    return {
        "max_abs_error": max(worst, worst_sampled),
        "max_abs_error_whole_plans": worst_sampled,
        "whole_plans": -(-sample // len(KINDS)) * len(KINDS),
        "recovered_1_24": found[1, 24].recovered_deferral,
        "recovered_1_24_at_arrival": found[1, 24].recovered_deferral,
        "recovered_1_24_revised": found[1, 24].recovered_interruption,
        "recovered_24_168": found[24, 168].recovered_interruption,
        "zones": len(year.zones),
        "hours": year.intensity.shape[1],
        "known_cpu_s": round(known_s, 1),
        "forecast_cpu_s": round(forecast_s, 1),
        "cpu_s": round(time.process_time() - begun, 1),
        "table": [asdict(one) for one in shifts],
    }


def _table(shifts: Sequence[dict[str, object]]) -> None:
    """For people: percent of savings, and percent recovered of them."""
    print("   J    S  deferral  interruption  recovered: deferral, at arrival  interruption, hourly")
    for one in shifts:
        parts = [f"{one['hours']:>4} {one['slack']:>4} {one['deferral']:>9.2%} {one['interruption']:>13.2%}"]
        for name, room in (("recovered_deferral", 32), ("recovered_interruption", 21)):
            value = one[name]
            parts.append(" " * room if value is None else f"{value:>{room}.2%}")
        print(" ".join(parts))


def main() -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_year_options(parser)
    parser.add_argument("--sample", type=int, default=SAMPLE, help="arrivals that go through plan() whole")
    parser.add_argument("--seed", type=int, default=0, help="of their draw")
    asked = parser.parse_args()
    if THREADS not in os.environ:
        # On one core the threads of linear algebra only wait for one another; their number is read when it is loaded.
        os.environ[THREADS] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.temporal", *sys.argv[1:]])  # noqa: S606
    one_core = stay_on_one_core()
    try:
        year = load_year(asked.year, asked.published, asked.hourly, asked.zones, asked.hours)
    except InputError as reason:
        parser.error(reason.message)
    result = run(year, asked.sample, asked.seed)
    _table(result["table"])  # type: ignore[arg-type]
    print(json.dumps(result | {"year": asked.year, "one_core": one_core} | calibrate()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
