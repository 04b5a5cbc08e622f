"""Jobs that may wait, on one hourly intensity: their trace, what they emit, and the published ways to put them off.

Time goes in steps of 5 s from the start hour; arrivals and lengths are floor-divided by it. A step of one cpu emits
CI/720. Ties go to the earliest. A job shorter than two hours is short: it waits 6 hours at most, a long one 24.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq

from sunward.errors import InputError
from sunward.units import HOUR_S
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

STEP_S = 5
HOUR_STEPS = HOUR_S // STEP_S
SHORT_S = 2 * HOUR_S
WAITS_H = {True: 6, False: 24}
"""Longest wait of a short job, and of a long one."""
WEEK_S = 168 * HOUR_S
LOW_QUANTILE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Jobs:
    """A trace, one row a job, in order of arrival."""

    arrival_s: FloatArray
    length_s: FloatArray
    cpus: IntArray

    @property
    def short(self) -> BoolArray:
        """Whose class is known beforehand: short, or long."""
        short: BoolArray = self.length_s < SHORT_S
        return short

    @property
    def arrives(self) -> IntArray:
        """First step in which each could run."""
        return self.arrival_s.astype(np.int64) // STEP_S

    @property
    def steps(self) -> IntArray:
        """True length of each."""
        return self.length_s.astype(np.int64) // STEP_S

    @property
    def wait_steps(self) -> IntArray:
        """How long each may stand still."""
        waits: IntArray = np.where(self.short, WAITS_H[True], WAITS_H[False]) * HOUR_STEPS
        return waits

    @property
    def reach_h(self) -> int:
        """Hours of the series that any way to run them may touch."""
        return int(-(-(self.arrives + self.steps + self.wait_steps).max() // HOUR_STEPS)) + WAITS_H[False]

    def pick(self, rows: IntArray | BoolArray) -> Jobs:
        """Some of them."""
        return Jobs(arrival_s=self.arrival_s[rows], length_s=self.length_s[rows], cpus=self.cpus[rows])


def read_jobs(path: Path) -> Jobs:
    """A trace: CSV of arrival_time, length, cpus, or a table of submit_s, duration_s, cpu_cores.

    Raises: InputError where the file is absent.
    """
    if not path.is_file():
        raise InputError(
            f"no file {path}; set SUNWARD_DATA to the folder that holds `bench` and `data`, or name a --trace"
        )
    parquet = path.suffix == ".parquet"
    table = pq.read_table(path) if parquet else pyarrow.csv.read_csv(path)
    names = ("submit_s", "duration_s", "cpu_cores") if parquet else ("arrival_time", "length", "cpus")
    arrival, length, cpus = (table[name].to_numpy().astype(np.float64) for name in names)
    found = Jobs(arrival_s=arrival, length_s=length, cpus=np.maximum(cpus.astype(np.int64), 1))
    return found.pick(np.argsort(arrival, kind="stable"))


def week_of(jobs: Jobs, number: int, seed: int) -> Jobs:
    """So many jobs of one week of a longer trace, both drawn; all of a trace that is no longer."""
    weeks = int(jobs.arrival_s.max() // WEEK_S)
    if len(jobs.steps) <= number and not weeks:
        return jobs
    draw = np.random.default_rng(seed)
    start_s = int(draw.integers(max(weeks, 1))) * WEEK_S
    within = np.flatnonzero((jobs.arrival_s >= start_s) & (jobs.arrival_s < start_s + WEEK_S))
    chosen = jobs.pick(np.sort(draw.choice(within, min(number, len(within)), replace=False)))
    return Jobs(arrival_s=chosen.arrival_s - start_s, length_s=chosen.length_s, cpus=chosen.cpus)


def without(others: Jobs, jobs: Jobs) -> Jobs:
    """A trace less one equal job for each of another trace, where there is one."""
    taken = Counter(zip(jobs.length_s.astype(np.int64).tolist(), jobs.cpus.tolist(), strict=True))
    keep = np.ones(len(others.length_s), dtype=np.bool_)
    keys = zip(others.length_s.round().astype(np.int64).tolist(), others.cpus.tolist(), strict=True)
    for row, key in enumerate(keys):
        if taken[key]:
            taken[key] -= 1
            keep[row] = False
    return others.pick(keep)


@dataclass(frozen=True, slots=True, eq=False)
class Carbon:
    """Emissions of one cpu by step."""

    step: FloatArray
    before: FloatArray
    """(T + 1,) sums of the steps before."""

    def between(self, first: IntArray | int, last: IntArray | int) -> FloatArray:
        """Emissions of the steps [first, last)."""
        emitted: FloatArray = self.before[last] - self.before[first]
        return emitted


def carbon_of(intensity: FloatArray) -> Carbon:
    """From hourly intensities, the first one that of the start hour."""
    step = np.repeat(intensity / HOUR_STEPS, HOUR_STEPS)
    return Carbon(step, np.concatenate(([0.0], np.cumsum(step))))


Rule = Callable[[Jobs, Carbon], Iterator[float]]
"""Emissions of one cpu of each job."""


def total(jobs: Jobs, each: Iterator[float]) -> float:
    """Emissions of all jobs with all their cpus."""
    return float(np.fromiter(each, np.float64, len(jobs.cpus)) @ jobs.cpus)


def at_arrival(jobs: Jobs, carbon: Carbon) -> Iterator[float]:
    """Everybody runs at once."""
    yield from carbon.between(jobs.arrives, jobs.arrives + jobs.steps).tolist()


def lowest_slot(jobs: Jobs, carbon: Carbon) -> Iterator[float]:
    """Start at the cheapest step."""
    for arrives, steps, wait in _rows(jobs):
        start = arrives + int(carbon.step[arrives : arrives + wait + 1].argmin())
        yield float(carbon.between(start, start + steps))


def lowest_window(jobs: Jobs, carbon: Carbon) -> Iterator[float]:
    """Start after whole hours, where a window of the class's mean length is cheapest."""
    for (arrives, steps, wait), mean in zip(_rows(jobs), _class_mean(jobs).tolist(), strict=True):
        starts = arrives + np.arange(0, wait + 1, HOUR_STEPS)
        start = int(starts[carbon.between(starts, starts + mean).argmin()])
        yield float(carbon.between(start, start + steps))


def carbon_time(jobs: Jobs, carbon: Carbon) -> Iterator[float]:
    """Start after whole hours, where a window of the class's mean length saves most for each step until its end."""
    for (arrives, steps, wait), mean in zip(_rows(jobs), _class_mean(jobs).tolist(), strict=True):
        starts = arrives + np.arange(0, wait + 1, HOUR_STEPS)
        windows = carbon.between(starts, starts + mean)
        start = int(starts[((windows[0] - windows) / (starts - arrives + mean)).argmax()])
        yield float(carbon.between(start, start + steps))


def ecovisor(jobs: Jobs, carbon: Carbon) -> Iterator[float]:
    """Run in steps below a quantile of the day ahead; wait in others while waiting is left, then run on."""
    for arrives, steps, wait in _rows(jobs):
        low = np.quantile(carbon.step[arrives : arrives + WAITS_H[False] * HOUR_STEPS], LOW_QUANTILE)
        ahead = carbon.step[arrives : arrives + steps + wait]
        clean = ahead < low
        runs = np.flatnonzero(clean | (np.cumsum(~clean) > wait))[:steps]
        yield float(ahead[runs].sum())


def clairvoyant_contiguous(jobs: Jobs, carbon: Carbon) -> Iterator[float]:
    """The cheapest start of a job whose length is known."""
    for arrives, steps, wait in _rows(jobs):
        starts = np.arange(arrives, arrives + wait + 1)
        yield float(carbon.between(starts, starts + steps).min())


def clairvoyant(jobs: Jobs, carbon: Carbon) -> Iterator[float]:
    """The cheapest steps of a job whose length is known: nothing can emit less."""
    for arrives, steps, wait in _rows(jobs):
        yield float(np.partition(carbon.step[arrives : arrives + steps + wait], steps - 1)[:steps].sum())


def _rows(jobs: Jobs) -> Iterator[tuple[int, int, int]]:
    return zip(jobs.arrives.tolist(), jobs.steps.tolist(), jobs.wait_steps.tolist(), strict=True)


def _class_mean(jobs: Jobs) -> IntArray:
    """Mean steps of all jobs of each one's class."""
    mean = np.zeros(len(jobs.cpus), dtype=np.int64)
    for kind in (jobs.short, ~jobs.short):
        if kind.any():
            mean[kind] = int(jobs.length_s[kind].mean()) // STEP_S
    return mean
