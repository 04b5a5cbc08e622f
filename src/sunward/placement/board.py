"""What is free: containers per pool and slot, watts per site and slot."""

from __future__ import annotations

import numpy as np

from sunward.placement.demand import Demand, Option, Run, need_w
from sunward.placement.fleet import NO_CEILING_W, Fleet
from sunward.world.snapshot import WORK_CLASSES, BoolArray, IntArray, JobView


class Board:
    """Changes in place as options are taken and given back; integers, so both are exact."""

    __slots__ = ("_fleet", "free", "headroom_w")

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.free: IntArray = fleet.pools.available.copy()
        self.headroom_w: IntArray = fleet.headroom_w.copy()
        if fleet.taken.any():
            self._stand(fleet.taken)

    def _stand(self, taken: IntArray) -> None:
        """Take what jobs hold that are known by their containers alone: each counts as the hungriest class of work."""
        self.free -= taken
        fleet, rows = self._fleet, np.arange(len(taken))
        if (fleet.headroom_w == NO_CEILING_W).all():
            return
        most_w = np.max([need_w(fleet, rows, work_class, 1) for work_class in WORK_CLASSES], axis=0)
        np.subtract.at(self.headroom_w, fleet.pools.site, taken * most_w[:, None])

    def occupy(self, job: JobView) -> None:
        """Take what a job holds that is not planned here: its segments, and its pool now while it runs on."""
        runs = runs_of(self._fleet, job)
        if job.pool in self._fleet.row and not any(run.first == 0 for run in runs):
            now, row = self._fleet.now_ms, self._fleet.row[job.pool]
            runs = (Run(row, now, now + int(self._fleet.usable_ms[0]), 0, 1, job.held, job.power_cap_w), *runs)
        for run in runs:
            level = np.array([self._fleet.cap_level(run.row, job.spec.work_class, run.cap_w)])
            watts = need_w(self._fleet, np.array([run.row]), job.spec.work_class, run.gpus, level)
            self._add(run, -run.gpus, -int(watts[0]))

    def take(self, demand: Demand, option: Option) -> None:
        """Hold what an option uses."""
        self._apply(demand, option, -1)

    def give(self, demand: Demand, option: Option) -> None:
        """Release what an option uses."""
        self._apply(demand, option, 1)

    def open(self, demand: Demand) -> BoolArray:
        """(A, H) where the whole gang finds room."""
        rows = demand.rows
        watts = self.headroom_w[self._fleet.pools.site[rows], : demand.slots] >= demand.need_w[:, None]
        room: BoolArray = (self.free[rows, : demand.slots] >= demand.counts[:, None]) & watts
        return room & (self._fleet.begin_ms[: demand.slots] >= demand.job.opens_ms)

    def holds(self, demand: Demand, option: Option) -> bool:
        """Whether an option finds room."""
        return all(self._room(demand, run) for run in option.runs)

    def least_free(self, option: Option) -> int:
        """Least free containers over the slots an option uses."""
        return min(int(self.free[run.row, run.first : run.last].min()) for run in option.runs)

    def _room(self, demand: Demand, run: Run) -> bool:
        slots, site = slice(run.first, run.last), self._fleet.pools.site[run.row]
        watts = demand.need_w[demand.at(run)]
        free = self.free[run.row, slots] >= run.gpus
        return bool(free.all() and (self.headroom_w[site, slots] >= watts).all())

    def _apply(self, demand: Demand, option: Option, sign: int) -> None:
        for run in option.runs:
            self._add(run, sign * run.gpus, sign * int(demand.need_w[demand.at(run)]))

    def _add(self, run: Run, containers: int, watts: int) -> None:
        self.free[run.row, run.first : run.last] += containers
        self.headroom_w[self._fleet.pools.site[run.row], run.first : run.last] += watts


def runs_of(fleet: Fleet, job: JobView) -> tuple[Run, ...]:
    """A job's present segments from now on, as runs over the slots they touch; pools that left are left out."""
    runs = []
    for segment in sorted(job.segments, key=lambda one: one.start_ms):
        start, end = max(segment.start_ms, fleet.now_ms), min(segment.end_ms, fleet.end_ms)
        if start < end and segment.pool in fleet.row:
            first = (start - fleet.start_ms) // fleet.slot_ms
            last = -(-(end - fleet.start_ms) // fleet.slot_ms)
            row = fleet.row[segment.pool]
            runs.append(Run(row, start, end, first, last, segment.containers, segment.power_cap_w))
    return tuple(runs)
