"""How many containers of each pool are spoken for, slot by slot."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from sunward.model.plan import Segment
from sunward.units import ceil_to, floor_to
from sunward.world.state import World
from sunward.world.view import segments_held

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


def occupied(world: World, now_ms: int, slot_ms: int, slots: int, without: Collection[str]) -> dict[str, Slots]:
    """Containers taken by every open job but those named, from the slot that holds `now_ms`.

    A job that runs counts as the planner counts it, by what is left of its work and not by what was once planned.
    """
    taken: dict[str, Slots] = {}
    start_ms = floor_to(now_ms, slot_ms)
    ids, leases = world.jobs.ids, world.jobs.objects["lease"]
    for row, planned in enumerate(world.jobs.objects["segments"]):
        segments = segments_held(world, row, now_ms) if leases[row] else planned
        if segments and ids[row] not in without:
            add(taken, segments, start_ms, slot_ms, slots)
    return taken
