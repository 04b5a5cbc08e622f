"""Groups take their cheapest starts, one after the other: who has least choice comes first."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields

import numpy as np

from sunward.placement.crowd.eligible import PoolSets
from sunward.placement.crowd.groups import Groups
from sunward.placement.crowd.layout import asked_of, ground_of, left_of
from sunward.placement.crowd.lures import lures_of
from sunward.placement.crowd.room import Room, Stretches
from sunward.placement.crowd.seek import Ground, Left, Records, fill
from sunward.placement.crowd.tables import Tables
from sunward.placement.shares import Shares
from sunward.world.crowd import NOT_GIVEN, Crowd
from sunward.world.snapshot import BoolArray, IntArray

TURNS = 1_024
"""Tenants with shares take places in about so many turns."""
SCARCE_POOLS = 64
"""Groups with more pools than this have plenty."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """What each job of a crowd has, one row a job; changes in place."""

    pool: IntArray
    """Row of the fleet; `NOT_GIVEN` = nothing."""
    start_ms: IntArray
    end_ms: IntArray
    at_once: BoolArray
    """Begins on containers that are awake."""
    now_pool: IntArray
    """Where it could have begun at once; `NOT_GIVEN` = nowhere."""

    def held(self, crowd: Crowd, jobs: IntArray) -> Stretches:
        """What some jobs have."""
        return Stretches(
            pool=self.pool[jobs],
            work_class=crowd.work_class[jobs],
            gpus=crowd.gpus[jobs] if crowd.cohort is None else crowd.gpus[jobs] * crowd.cohort[jobs],
            start_ms=self.start_ms[jobs],
            end_ms=self.end_ms[jobs],
        )

    def copy(self) -> Placed:
        """The same as it is now."""
        return Placed(**{each.name: getattr(self, each.name).copy() for each in fields(Placed)})

    def of(self, rows: IntArray) -> Placed:
        """What some rows have, in the order given."""
        return Placed(**{each.name: getattr(self, each.name)[rows] for each in fields(Placed)})

    def differs(self, other: Placed) -> BoolArray:
        """(J,) jobs that have another place, or other times there."""
        pairs = ((self.pool, other.pool), (self.start_ms, other.start_ms), (self.end_ms, other.end_ms))
        moved: BoolArray = np.logical_or.reduce([one != two for one, two in pairs])
        return moved

    def count(self, crowd: Crowd, jobs: IntArray, shares: Shares, sign: int) -> None:
        """Add what some jobs have to what their tenants hold, or take it off."""
        if not shares.set:
            return
        spent = crowd.gpus[jobs] * crowd.counts[jobs] * (self.end_ms[jobs] - self.start_ms[jobs])
        for tenant, each in zip(crowd.tenant[jobs].tolist(), spent.tolist(), strict=True):
            shares.add(crowd.tenants[tenant], sign * each)

    def lay_out(self, crowd: Crowd, room: Room) -> None:
        """What all of it leaves, each job at its own length."""
        jobs = np.flatnonzero(self.pool >= 0)
        room.lay_out(self.held(crowd, jobs), self.at_once[jobs])


def nothing_placed(jobs: int) -> Placed:
    """Before anything is placed."""
    return Placed(
        pool=np.full(jobs, NOT_GIVEN, dtype=np.int64),
        start_ms=np.zeros(jobs, np.int64),
        end_ms=np.zeros(jobs, np.int64),
        at_once=np.zeros(jobs, np.bool_),
        now_pool=np.full(jobs, NOT_GIVEN, dtype=np.int64),
    )


def place(
    tables: Tables, room: Room, crowd: Crowd, groups: Groups, pools: PoolSets, placed: Placed, shares: Shares
) -> None:
    """Place all that find a place, then what only the rest of its group kept out.

    It is written to `placed`, which may hold other jobs, counted in `shares` and taken off the room.
    """
    if not len(groups.jobs) or not len(tables.zone):
        return
    gangs = np.unique(groups.gpus)
    lures, lure = lures_of(tables, groups)
    ground = ground_of(tables, room, pools.passes, lures)
    asked, jobs = asked_of(tables, crowd, groups, pools.row[groups.family], gangs)
    asked["lure"] = lure
    left, order = left_of(ground, room, gangs), _order(groups, pools)
    if shares.set:
        tenants = [crowd.tenants[tenant] for tenant in groups.tenant.tolist()]
        _turns(ground, left, asked, jobs, order, tenants, shares)
        fill(ground, left, asked, jobs, order, 0, 1)
    else:
        fill(ground, left, asked, jobs, order, len(jobs), 1)
    some = np.flatnonzero(jobs["pool"] >= 0)
    rows = groups.jobs[some]
    for name in ("pool", "start_ms", "end_ms", "now_pool"):
        getattr(placed, name)[rows] = jobs[name][some]
    placed.at_once[rows] = jobs["at_once"][some] > 0


def _turns(
    ground: Ground, left: Left, asked: Records, jobs: Records, order: IntArray, tenants: list[str], shares: Shares
) -> None:
    """As the turns of tenants come, a few jobs at a time: one as long as there are few of them."""
    few = max(1, len(jobs) // TURNS)
    queues: dict[str, deque[int]] = {}
    for group in order.tolist():
        queues.setdefault(tenants[group], deque()).append(group)
    while queues:
        tenant = min(queues, key=lambda one: (shares.served(one), one))
        group = queues[tenant][0]
        begin = int(asked["next"][group])
        fill(ground, left, asked, jobs, np.array([group]), few, 0)
        given = jobs[begin : int(asked["next"][group])]
        shares.add(tenant, int(asked["gpus"][group] * (given["end_ms"] - given["start_ms"]).sum()))
        if len(given) < few:
            queues[tenant].popleft()
        if not queues[tenant]:
            del queues[tenant]


def _order(groups: Groups, pools: PoolSets) -> IntArray:
    """Groups as they are searched: large gangs first, then those with few pools, then those with little time."""
    few = np.minimum(pools.passes.sum(axis=1), SCARCE_POOLS)[pools.row[groups.family]]
    spare = groups.limit_ms - groups.length_ms
    return np.lexsort((spare, few, -groups.gpus))
