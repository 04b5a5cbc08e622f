"""What is free for many jobs at a time, and who gets it.

Axes: P pools, H slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward.placement.board import Board
from sunward.placement.crowd.compiled import compiled
from sunward.placement.fleet import NO_CEILING_W, Fleet
from sunward.world.snapshot import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stretches:
    """Runs of jobs, one a row."""

    pool: IntArray
    work_class: IntArray
    gpus: IntArray
    start_ms: IntArray
    end_ms: IntArray

    def of(self, rows: IntArray | BoolArray) -> Stretches:
        """Some of them."""
        return Stretches(
            pool=self.pool[rows],
            work_class=self.work_class[rows],
            gpus=self.gpus[rows],
            start_ms=self.start_ms[rows],
            end_ms=self.end_ms[rows],
        )


def slots_of(fleet: Fleet, start_ms: IntArray, end_ms: IntArray) -> tuple[IntArray, IntArray]:
    """First and past-the-last slot that stretches touch, within the horizon."""
    first = np.clip((start_ms - fleet.start_ms) // fleet.slot_ms, 0, fleet.slots)
    last = np.clip(-(-(end_ms - fleet.start_ms) // fleet.slot_ms), 0, fleet.slots)
    return first, last


@compiled
def take_off(free: IntArray, row: IntArray, first: IntArray, last: IntArray, amount: IntArray) -> None:
    """Take amounts off the slots `[first, last)` of their rows."""
    for at in range(len(row)):
        for slot in range(first[at], last[at]):
            free[row[at], slot] -= amount[at]


class Room:
    """Containers and watts that a crowd may use; what it has taken is laid out anew from what it holds."""

    __slots__ = ("_base", "_base_idle", "_base_w", "above_w", "bound", "fleet", "free", "headroom_w", "idle")

    def __init__(self, fleet: Fleet, board: Board) -> None:
        pools = fleet.pools
        self.fleet = fleet
        self._base, self._base_w, self._base_idle = board.free, board.headroom_w, fleet.idle_awake
        above = (pools.busy_w - pools.asleep_w[:, None]) * pools.overhead[:, None]
        self.above_w: FloatArray = np.maximum(above, 0.0)
        """(P, C) facility watts of a busy container above a sleeping one."""
        limited: BoolArray = np.any(board.headroom_w < NO_CEILING_W, axis=1)
        self.bound: BoolArray = limited[pools.site]
        """(P,) whether its site has a ceiling."""
        self.free = self._base.copy()
        self.headroom_w = self._base_w.copy()
        self.idle = self._base_idle.copy()

    def need_w(self, pool: IntArray, work_class: IntArray, gpus: IntArray) -> IntArray:
        """(N,) whole watts that gangs need, rounded up."""
        watts: IntArray = np.ceil(gpus * self.above_w[pool, work_class]).astype(np.int64)
        return watts

    def lay_out(self, held: Stretches, at_once: BoolArray) -> None:
        """Room beside some stretches; those `at_once` begin on containers that were awake."""
        fleet = self.fleet
        first, last = slots_of(fleet, held.start_ms, held.end_ms)
        self.free = self._base.copy()
        take_off(self.free, held.pool, first, last, held.gpus)
        idle = np.bincount(held.pool[at_once], weights=held.gpus[at_once], minlength=len(self.idle))
        self.idle = np.maximum(0, self._base_idle - np.rint(idle).astype(np.int64))
        here = self.bound[held.pool]
        if here.any():
            some = held.of(here)
            watts = self.need_w(some.pool, some.work_class, some.gpus)
            site = fleet.pools.site[some.pool]
            self.headroom_w = self._base_w.copy()
            take_off(self.headroom_w, site, first[here], last[here], watts)
