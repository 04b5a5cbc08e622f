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
    table = world.jobs
    rows = {table.row_of[job] for job in without}
    steps = {pool: _waiting(world, pool, now_ms, slots) for pool in pools}
    for row in rows:
        if not table.objects["lease"][row]:
            for segment in table.objects["segments"][row]:
                if segment.pool in steps:
                    _step(world, steps[segment.pool], now_ms, [segment], -1)
    for pool in pools:
        _add_running(world, pool, steps[pool], now_ms, rows)
        _add_visiting(world, pool, steps[pool], now_ms, rows)
    return {pool: np.cumsum(column[:slots]) for pool, column in steps.items()}


def _waiting(world: World, pool: str, now_ms: int, slots: int) -> Slots:
    """(slots + 1,) how the booked containers change with each slot; what began earlier stands in the first."""
    steps = np.zeros(slots + 1, np.int64)
    booked = world.booked.get(pool)
    if booked:
        first = now_ms // world.network.policy.slot_ms
        at = np.fromiter(booked.keys(), np.int64, len(booked)) - first
        np.add.at(steps, np.clip(at, 0, slots), np.fromiter(booked.values(), np.int64, len(booked)))
    return steps


def _add_running(world: World, pool: str, steps: Slots, now_ms: int, without: Collection[int]) -> None:
    """Add what the leases of a pool hold: planned segments while they may still be moved, else all to their end."""
    state = progress(world, pool, world.on_pool.get(pool, ()), now_ms)
    cells = world.jobs.objects["segments"]
    holding = np.ones(len(state.job_rows), np.bool_)
    planned: list[Segment] = []
    for index, (row, moves) in enumerate(zip(state.job_rows.tolist(), state.moves.tolist(), strict=True)):
        if row in without:
            holding[index] = False
        elif moves:
            ahead = [segment for segment in cells[row] if segment.end_ms > now_ms]
            if ahead:
                holding[index] = False
                planned += [segment for segment in ahead if segment.pool == pool]
    gpus = world.jobs.ints["gpus"][state.job_rows[holding]]
    _step_all(world, steps, now_ms, np.full(len(gpus), now_ms), state.end_ms[holding], gpus)
    _step(world, steps, now_ms, planned, 1)


def _add_visiting(world: World, pool: str, steps: Slots, now_ms: int, without: Collection[int]) -> None:
    """Add what jobs that now run on another pool are to hold on this one."""
    for job in world.visiting.get(pool, ()):
        row = world.jobs.row_of[job]
        lease = world.jobs.objects["lease"][row]
        here = world.leases.objects["pool"][world.leases.row_of[lease]]
        if row not in without and progress(world, here, [lease], now_ms).moves[0]:
            segments = [one for one in world.jobs.objects["segments"][row] if one.pool == pool and one.end_ms > now_ms]
            _step(world, steps, now_ms, segments, 1)


def _step(world: World, steps: Slots, now_ms: int, segments: list[Segment], sign: int) -> None:
    if segments:
        columns = np.array([(one.start_ms, one.end_ms, sign * one.containers) for one in segments], np.int64)
        _step_all(world, steps, now_ms, columns[:, 0], columns[:, 1], columns[:, 2])


def _step_all(
    world: World, steps: Slots, now_ms: int, start_ms: IntArray, end_ms: IntArray, containers: IntArray
) -> None:
    slot_ms = world.network.policy.slot_ms
    origin, most = now_ms // slot_ms, len(steps) - 1
    np.add.at(steps, np.clip(start_ms // slot_ms - origin, 0, most), containers)
    np.subtract.at(steps, np.clip(-(-end_ms // slot_ms) - origin, 0, most), containers)
