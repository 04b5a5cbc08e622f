"""Rounds: every group takes its cheapest start; where too many want the same, those who would lose most come first.

What a round could not place looks again at what is left. Groups take places by number, so a round costs with groups,
not with jobs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward.placement.crowd.groups import Groups
from sunward.placement.crowd.room import Room, Stretches, slots_of, spread
from sunward.placement.crowd.search import POSSIBLE, Search
from sunward.placement.crowd.shortlist import shortlist
from sunward.placement.crowd.tables import Tables
from sunward.world.crowd import NOT_GIVEN, Crowd
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

ROUNDS_MAX = 64
LOOKED_AT = 8
"""Pools that a group looks at in the first round; twice as many whenever it found nothing."""
NO_SECOND = 1e15


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
            gpus=crowd.gpus[jobs],
            start_ms=self.start_ms[jobs],
            end_ms=self.end_ms[jobs],
        )

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Options:
    """The best start of each group on each pool it looked at; cheapest first within a group."""

    group: IntArray
    pool: IntArray
    slot: IntArray
    cost: FloatArray
    first: IntArray
    """(G + 1,) where each group's begin; empty where it found none."""


class Placing:
    """Groups on the way to their places."""

    __slots__ = ("_allowed", "_crowd", "_groups", "_next", "_placed", "_room", "_tables")

    def __init__(
        self, tables: Tables, room: Room, crowd: Crowd, groups: Groups, allowed: BoolArray, placed: Placed
    ) -> None:
        """`allowed` is (F, P); what finds a place is written to `placed`, which may hold other jobs."""
        self._tables, self._room, self._crowd, self._groups = tables, room, crowd, groups
        self._allowed, self._placed = allowed, placed
        self._next = groups.first[:-1].copy()

    @property
    def left(self) -> IntArray:
        """(G,) jobs without a place."""
        left: IntArray = self._groups.first[1:] - self._next
        return left

    def run(self, shadow: FloatArray | None) -> None:
        """Place all that find a place."""
        look = np.full(len(self._groups.family), LOOKED_AT, dtype=np.int64)
        pools = self._allowed.shape[1]
        if len(self._groups.family) == 0 or pools == 0:
            return
        open_groups = np.flatnonzero(self.left > 0)
        for _ in range(ROUNDS_MAX):
            if not len(open_groups):
                return
            options = self._options(open_groups, int(look[open_groups].max()), shadow)
            self._take(options)
            self._placed.lay_out(self._crowd, self._room)
            found = np.diff(options.first)[open_groups] > 0
            # One that took all it saw and still wants more has to look further, as one that found nothing.
            short = ~found | (self._one_start(open_groups) & (self.left[open_groups] > 0))
            done = ~found & (look[open_groups] >= pools)
            look[open_groups[short]] *= 4
            open_groups = open_groups[~done]
            open_groups = open_groups[self.left[open_groups] > 0]

    def _options(self, group: IntArray, most: int, shadow: FloatArray | None) -> Options:
        groups, room = self._groups, self._room
        kinds = groups.gpus[group], groups.work_class[group]
        search = Search(self._tables, room, shadow, kinds)
        at, pool = shortlist(self._tables, room, groups, shadow).pairs(groups, group, self._allowed, most)
        found = search.best(groups, group[at], pool)
        self._compare(group, at, pool, found.now_cost)
        good = np.flatnonzero(found.cost < POSSIBLE)
        owner = group[at[good]]
        order = good[np.lexsort((pool[good], found.slot[good], found.cost[good], owner))]
        return Options(
            group=group[at[order]],
            pool=pool[order],
            slot=found.slot[order],
            cost=found.cost[order],
            first=np.searchsorted(group[at[order]], np.arange(len(groups.family) + 1)),
        )

    def _compare(self, group: IntArray, at: IntArray, pool: IntArray, now_cost: FloatArray) -> None:
        """Remember where jobs could begin at once, as it is when they are first looked at."""
        order = np.lexsort((pool, now_cost, at))
        looked, first = np.unique(at[order], return_index=True)
        best = order[first]
        where = np.where(now_cost[best] < POSSIBLE, pool[best], NOT_GIVEN)
        group = group[looked]
        groups, begin = self._groups, self._next[group]
        count = groups.first[group + 1] - begin
        within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        self._placed.now_pool[groups.jobs[np.repeat(begin, count) + within]] = np.repeat(where, count)

    def _precedence(self, options: Options, some: IntArray) -> IntArray:
        """Groups in the order in which they take what is scarce: large gangs, then those who lose most without it.

        Shares of tenants belong here: who had less than its share goes first.
        """
        groups, first = self._groups, options.first[some]
        second = np.minimum(first + 1, len(options.cost) - 1)
        alone = options.first[some + 1] - first < 2  # noqa: PLR2004
        regret = np.where(alone, NO_SECOND, options.cost[second] - options.cost[first]) * groups.gpus[some]
        return some[np.lexsort((some, groups.limit_ms[some], -regret, -groups.gpus[some]))]

    def _take(self, options: Options) -> None:
        groups = self._groups
        some = np.flatnonzero(np.diff(options.first) > 0)
        pick = options.first[some]
        pool, slot = options.pool[pick], options.slot[pick]
        start, at_once = self._start(some, pool, slot)
        end = start + self._tables.run_ms(pool, groups.work_class[some], groups.length_ms[some])
        crowded = self._crowded(some, pool, start, end, at_once)
        free = some[~crowded]
        self._give(free, self.left[free], pool[~crowded], start[~crowded], at_once[~crowded])
        self._placed.lay_out(self._crowd, self._room)
        order = self._precedence(options, some[crowded])
        for group in order.tolist():
            at = int(options.first[group])
            self._take_one(group, int(options.pool[at]), int(options.slot[at]))
        for group in order[self._one_start(order)].tolist():
            # Its next pool is the next best, for no pool has another start for it: it need not look again first.
            for at in range(int(options.first[group]) + 1, int(options.first[group + 1])):
                row, first = int(options.pool[at]), int(options.slot[at])
                if self.left[group] and self._room.free[row, first] >= groups.gpus[group]:
                    self._take_one(group, row, first)

    def _one_start(self, group: IntArray) -> BoolArray:
        """Groups that may begin in one slot alone, on the reference GPU at least."""
        groups, fleet = self._groups, self._tables.fleet
        latest = np.minimum(groups.limit_ms[group] - groups.length_ms[group], groups.start_by_ms[group])
        one: BoolArray = latest < fleet.start_ms + (groups.opens[group] + 1) * fleet.slot_ms
        return one

    def _start(self, group: IntArray, pool: IntArray, slot: IntArray) -> tuple[IntArray, BoolArray]:
        """When starts in given slots begin, and whether at once on containers that are awake."""
        fleet = self._tables.fleet
        awake = (slot == 0) & (self._room.idle[pool] >= self._groups.gpus[group])
        woken = fleet.now_ms + fleet.pools.wake_ms[pool]
        return np.where(awake, fleet.now_ms, np.maximum(fleet.begin_ms[slot], woken)), awake

    def _crowded(
        self, group: IntArray, pool: IntArray, start: IntArray, end: IntArray, at_once: BoolArray
    ) -> BoolArray:
        """Which picks meet a slot that cannot hold all who picked it."""
        room, fleet = self._room, self._tables.fleet
        wanted = self._groups.gpus[group] * self.left[group]
        first, last = slots_of(fleet, start, end)
        shape = room.free.shape
        over = np.zeros((shape[0], shape[1] + 1), dtype=np.int32)
        np.cumsum(spread((shape[0], shape[1]), pool, first, last, wanted) > room.free, axis=1, out=over[:, 1:])
        crowded = over[pool, last] > over[pool, first]
        waking = np.bincount(pool[at_once], weights=wanted[at_once], minlength=shape[0])
        crowded |= at_once & (waking[pool] > room.idle[pool])
        return crowded | room.bound[pool]

    def _take_one(self, group: int, pool: int, slot: int) -> None:
        """As many of a group as find room at one place."""
        groups, room, fleet = self._groups, self._room, self._tables.fleet
        gpus, kind = int(groups.gpus[group]), int(groups.work_class[group])
        where = np.array([pool])
        start, awake = self._start(np.array([group]), where, np.array([slot]))
        run = self._tables.run_ms(where, np.array([kind]), groups.length_ms[group : group + 1])
        if start[0] + run[0] > groups.limit_ms[group] or fleet.now_ms < start[0] > groups.start_by_ms[group]:
            # It was to begin on containers that others of this round have taken.
            return
        first, last = (int(one[0]) for one in slots_of(fleet, start, start + run))
        most = min(int(self.left[group]), int(room.free[pool, first:last].min()) // gpus)
        if awake[0]:
            most = min(most, int(room.idle[pool]) // gpus)
        watts = 0
        if room.bound[pool]:
            watts = int(room.need_w(where, np.array([kind]), np.array([gpus]))[0])
            site = int(fleet.pools.site[pool])
            most = min(most, int(room.headroom_w[site, first:last].min()) // max(1, watts)) if watts else most
        if most <= 0:
            return
        room.free[pool, first:last] -= most * gpus
        if awake[0]:
            room.idle[pool] -= most * gpus
        if watts:
            room.headroom_w[int(fleet.pools.site[pool]), first:last] -= most * watts
        self._give(np.array([group]), np.array([most]), where, start, awake)

    def _give(self, group: IntArray, count: IntArray, pool: IntArray, start: IntArray, at_once: BoolArray) -> None:
        """Name the next jobs of each group."""
        total = int(count.sum())
        within = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
        job = self._groups.jobs[np.repeat(self._next[group], count) + within]
        placed, crowd, where = self._placed, self._crowd, np.repeat(pool, count)
        placed.pool[job] = where
        placed.start_ms[job] = np.repeat(start, count)
        placed.at_once[job] = np.repeat(at_once, count)
        run = self._tables.run_ms(where, crowd.work_class[job], crowd.length_ms[job])
        placed.end_ms[job] = placed.start_ms[job] + run
        self._next[group] += count
