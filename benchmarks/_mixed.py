"""Jobs of all kinds on pools of few containers (BENCH B4, `mixed`), drawn from a seed.

Half of the work runs in one piece, a tenth in gangs, the rest on one container with pauses. A gang holds several
containers of one zone at once and may pause too; neither it nor any other job does more in an hour than an hour's work
of its own size: that is the limit of its rate. All is in whole hours and containers. Zones and weeks are drawn from
real series; a container draws 1 kW, so costs are grams of CO2e.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks._series import Grid
from sunward.errors import InputError
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

MEAN_USE = 0.5
PIECE, GANG, PAUSING = range(3)
SHARES = (0.5, 0.1, 0.4)
"""Of the work: in one piece, gangs, and what may pause."""
HOURS_MOST = (16, 8, 12)
"""Longest job of each kind."""
GANG_LEAST, GANG_MOST = 2, 4
SLACKS_H = (4, 8, 16, 32)
"""By how much a window is longer than the job."""
ANYWHERE = 0.25
"""Share of jobs that may run in every zone."""
PLACES_LEAST, PLACES_MOST = 3, 8
HISTORY_H = 26 * 168
"""What forecasts may learn from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of an instance."""

    zones: int = 12
    hours: int = 72
    containers: int = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mixed:
    """Axes: Z zones, H hours, J jobs in order of arrival."""

    zones: tuple[str, ...]
    shifts_h: tuple[int, ...]
    first_hour: int
    """Of the intensities, since 1970 UTC."""
    intensity: FloatArray
    """(Z, H) gCO2e/kWh."""
    history: FloatArray
    """(Z, B) of the hours before."""
    containers: int
    """Of each zone."""
    kind: IntArray
    gpus: IntArray
    length_h: IntArray
    arrival_h: IntArray
    deadline_h: IntArray
    allowed: tuple[IntArray, ...]

    @property
    def hours(self) -> int:
        """H."""
        return int(self.intensity.shape[1])

    @property
    def pausable(self) -> BoolArray:
        """(J,)."""
        able: BoolArray = self.kind != PIECE
        return able

    @property
    def work_h(self) -> IntArray:
        """(J,) container-hours."""
        return self.gpus * self.length_h


def draw_mixed(grid: Grid, year: int, size: Size, seed: int) -> Mixed:
    """One instance. Raises: InputError where the series do not hold enough."""
    draw = np.random.default_rng([seed, year])
    rows, first = _where(grid, year, size, draw)
    at = first - grid.first_hour
    kinds = _kinds(size, draw)
    jobs = [_job(work, rows, size, draw) for _, work in kinds]
    gpus, length, arrival, deadline = (np.array(column) for column in list(zip(*jobs, strict=True))[:4])
    order = np.argsort(arrival, kind="stable")
    return Mixed(
        zones=tuple(grid.zones[row] for row in rows),
        shifts_h=tuple(grid.shifts_h[row] for row in rows),
        first_hour=first,
        intensity=grid.values[rows, at : at + size.hours],
        history=grid.values[rows, at - HISTORY_H : at],
        containers=size.containers,
        kind=np.array([kind for kind, _ in kinds])[order],
        gpus=gpus[order],
        length_h=length[order],
        arrival_h=arrival[order],
        deadline_h=deadline[order],
        allowed=tuple(jobs[one][4] for one in order.tolist()),
    )


def _where(grid: Grid, year: int, size: Size, draw: np.random.Generator) -> tuple[list[int], int]:
    """Zones whose series have no hole in the weeks drawn, and the first hour."""
    start = grid.hour_of(year) - grid.first_hour
    end = min(grid.hour_of(year + 1) - grid.first_hour, grid.values.shape[1])
    if start < HISTORY_H or end - start <= size.hours:
        raise InputError(f"the series do not hold {year} and half a year before it; choose another --year")
    first = int(draw.integers(start, end - size.hours))
    whole = np.isfinite(grid.values[:, first - HISTORY_H : first + size.hours]).all(axis=1)
    known = np.flatnonzero(whole)
    if len(known) < size.zones:
        raise InputError(f"{len(known)} zones have whole series in the weeks drawn, {size.zones} are wanted")
    return sorted(draw.choice(known, size.zones, replace=False).tolist()), first + grid.first_hour


def _kinds(size: Size, draw: np.random.Generator) -> list[tuple[int, tuple[int, int]]]:
    """Kind and (containers, hours) of jobs until each kind has its share of the work."""
    jobs = []
    for kind, share in enumerate(SHARES):
        left = round(share * MEAN_USE * size.zones * size.containers * size.hours)
        while left > 0:
            gpus = int(draw.integers(GANG_LEAST, GANG_MOST + 1)) if kind == GANG else 1
            hours = int(draw.integers(1, HOURS_MOST[kind] + 1))
            jobs.append((kind, (gpus, hours)))
            left -= gpus * hours
    return jobs


def _job(
    work: tuple[int, int], rows: list[int], size: Size, draw: np.random.Generator
) -> tuple[int, int, int, int, IntArray]:
    gpus, length = work
    window = min(length + SLACKS_H[int(draw.integers(len(SLACKS_H)))], size.hours)
    arrival = int(draw.integers(0, size.hours - window + 1))
    number = len(rows) if draw.random() < ANYWHERE else int(draw.integers(PLACES_LEAST, PLACES_MOST + 1))
    places = np.sort(draw.choice(len(rows), min(number, len(rows)), replace=False))
    return gpus, length, arrival, arrival + window, places


def name_of(one: int) -> str:
    """Of a job, in order of arrival."""
    return f"{one:05d}"
