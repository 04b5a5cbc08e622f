"""How many containers of each pool are spoken for, slot by slot."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from sunward.model.plan import Segment
from sunward.units import ceil_to, floor_to
from sunward.world.progress import progress
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
    table: Slots = np.zeros((len(pools), slots + 1), np.int64)
    steps = {pool: _Steps(world, pool, now_ms, changes) for pool, changes in zip(pools, table, strict=True)}
    rows = [world.jobs.row_of[job] for job in without]
    for row in rows:
        for segment in world.booked_segments(row):
            if segment.pool in steps:
                steps[segment.pool].add(segment, -1)
    skipped = {row for row in rows if world.jobs.objects["lease"][row]}
    _add_running(world, steps, table, skipped)
    for pool in pools:
        _add_visiting(world, steps[pool], skipped)
    return dict(zip(pools, np.cumsum(table[:, :slots], axis=1), strict=True))


class _Steps:
    """How the taken containers of one pool change from slot to slot, beginning with what is booked."""

    __slots__ = ("_first", "_slot_ms", "_slots", "changes", "now_ms", "pool")

    def __init__(self, world: World, pool: str, now_ms: int, changes: Slots) -> None:
        self.pool = pool
        self.now_ms = now_ms
        self._slot_ms = world.network.policy.slot_ms
        self._first = now_ms // self._slot_ms
        self._slots = len(changes) - 1
        self.changes = changes
        booked = world.booked.get(pool)
        if booked is not None:
            booked.add_to(changes, self._first)

    def add(self, segment: Segment, sign: int) -> None:
        """Count one segment."""
        first = min(max(0, segment.start_ms // self._slot_ms - self._first), self._slots)
        last = min(max(0, -(-segment.end_ms // self._slot_ms) - self._first), self._slots)
        self.changes[first] += sign * segment.containers
        self.changes[last] -= sign * segment.containers


def _add_running(world: World, steps: Mapping[str, _Steps], table: Slots, skipped: set[int]) -> None:
    """Count the leases of all pools: they keep to what they were given while a plan may still move them."""
    leased = [(at, *world.open_rows[pool].columns()) for at, pool in enumerate(steps) if pool in world.open_rows]
    if not leased:
        return
    lease_rows, job_rows = (np.concatenate([one[which] for one in leased]) for which in (1, 2))
    at = np.repeat([one[0] for one in leased], [len(one[1]) for one in leased])
    ints, by_pool = world.jobs.ints, list(steps.values())
    now_ms, slot_ms, slots = by_pool[0].now_ms, world.network.policy.slot_ms, table.shape[1] - 1
    state = progress(world, lease_rows, job_rows, now_ms)
    counted = np.ones(len(job_rows), np.bool_) if not skipped else ~np.isin(job_rows, list(skipped))
    given = state.moves & (ints["given_last_end_ms"][job_rows] > now_ms)
    holds = counted & ~given
    gpus = world.leases.ints["gpus"][lease_rows[holds]]
    np.add.at(table, (at[holds], 0), gpus)
    np.subtract.at(table, (at[holds], np.clip(-(-state.end_ms[holds] // slot_ms) - now_ms // slot_ms, 0, slots)), gpus)
    booked = counted & (ints["interruptible"][job_rows] > 0)
    whole = given & (ints["given_first_end_ms"][job_rows] > now_ms)
    for index in np.flatnonzero(booked & ~whole).tolist():
        _rebook(world, by_pool[at[index]], int(job_rows[index]), given=bool(given[index]))


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
