"""How many containers of each pool are spoken for, slot by slot."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from sunward.model.plan import Segment
from sunward.units import ceil_to, floor_to
from sunward.world.progress import progress
from sunward.world.snapshot import IntArray
from sunward.world.state import World

Slots = NDArray[np.int64]


def slot_range(segment: Segment, start_ms: int, slot_ms: int, slots: int) -> tuple[int, int]:
    """First and past-the-last slot that a segment touches, cut to the horizon; equal when it touches none."""
    first = (floor_to(segment.start_ms, slot_ms) - start_ms) // slot_ms
    last = (ceil_to(segment.end_ms, slot_ms) - start_ms) // slot_ms
    return min(max(0, first), slots), min(max(0, last), slots)


def add(taken: dict[str, Slots], segments: Iterable[Segment], start_ms: int, slot_ms: int, slots: int) -> None:
    """Count segments into the slots of their pools."""
    for segment in segments:
        first, last = slot_range(segment, start_ms, slot_ms, slots)
        column = taken.get(segment.pool)
        if column is None:
            column = taken[segment.pool] = np.zeros(slots, np.int64)
        column[first:last] += segment.containers


def occupied(
    world: World, now_ms: int, slots: int, without: Collection[str], pools: Collection[str]
) -> dict[str, Slots]:
    """Containers of some pools taken by every open job but those named, from the slot that holds `now_ms`.

    A job that runs counts as the planner counts it, by what is left of its work and not by what was once planned.
    """
    steps = {pool: _Steps(world, pool, now_ms, slots) for pool in pools}
    rows = [world.jobs.row_of[job] for job in without]
    for row in rows:
        for segment in world.booked_segments(row):
            if segment.pool in steps:
                steps[segment.pool].add(segment, -1)
    skipped = {row for row in rows if world.jobs.objects["lease"][row]}
    for pool in pools:
        _add_running(world, steps[pool], skipped)
        _add_visiting(world, steps[pool], skipped)
    return {pool: np.cumsum(column.changes[:slots]) for pool, column in steps.items()}


class _Steps:
    """How the taken containers of one pool change from slot to slot, beginning with what is booked."""

    __slots__ = ("_first", "_slot_ms", "_slots", "changes", "now_ms", "pool")

    def __init__(self, world: World, pool: str, now_ms: int, slots: int) -> None:
        self.pool = pool
        self.now_ms = now_ms
        self._slot_ms = world.network.policy.slot_ms
        self._first = now_ms // self._slot_ms
        self._slots = slots
        booked = world.booked.get(pool)
        self.changes: Slots = np.zeros(slots + 1, np.int64) if booked is None else booked.from_slot(self._first, slots)

    def add(self, segment: Segment, sign: int) -> None:
        """Count one segment."""
        first = min(max(0, segment.start_ms // self._slot_ms - self._first), self._slots)
        last = min(max(0, -(-segment.end_ms // self._slot_ms) - self._first), self._slots)
        self.changes[first] += sign * segment.containers
        self.changes[last] -= sign * segment.containers

    def hold(self, end_ms: IntArray, containers: IntArray) -> None:
        """Count what is held from now on to different ends."""
        self.changes[0] += containers.sum()
        np.subtract.at(self.changes, np.clip(-(-end_ms // self._slot_ms) - self._first, 0, self._slots), containers)


def _add_running(world: World, steps: _Steps, skipped: set[int]) -> None:
    """Count the leases of a pool: they keep to what they were given while a plan may still move them."""
    open_rows = world.open_rows.get(steps.pool)
    if open_rows is None:
        return
    lease_rows, job_rows = open_rows.columns()
    ints = world.jobs.ints
    state = progress(world, lease_rows, job_rows, steps.now_ms)
    counted = np.ones(len(job_rows), np.bool_) if not skipped else ~np.isin(job_rows, list(skipped))
    given = state.moves & (ints["given_last_end_ms"][job_rows] > steps.now_ms)
    holds = counted & ~given
    steps.hold(state.end_ms[holds], ints["gpus"][job_rows[holds]])
    booked = counted & (ints["interruptible"][job_rows] > 0)
    whole = given & (ints["given_first_end_ms"][job_rows] > steps.now_ms)
    for index in np.flatnonzero(booked & ~whole).tolist():
        _rebook(world, steps, int(job_rows[index]), given=bool(given[index]))


def _add_visiting(world: World, steps: _Steps, skipped: set[int]) -> None:
    """Take back what was booked for jobs that run on another pool and will not come, or whose time here is over."""
    for row in world.visiting.get(steps.pool, ()):
        if row not in skipped:
            lease_row = world.leases.row_of[world.jobs.objects["lease"][row]]
            state = progress(world, np.array([lease_row]), np.array([row]), steps.now_ms)
            _rebook(world, steps, row, given=bool(state.moves[0]))


def _rebook(world: World, steps: _Steps, row: int, *, given: bool) -> None:
    """Replace what is booked for one job by what of it still lies ahead, if the job keeps to it."""
    for segment in world.booked_segments(row):
        if segment.pool == steps.pool and not (given and segment.end_ms > steps.now_ms):
            steps.add(segment, -1)
