"""Batches of groups take their cheapest starts; within a batch those come first who would lose most.

A batch is searched on what the ones before it left. Groups take places by number, so all of this costs with groups, not
with jobs, and with pools and slots.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields

import numpy as np

from sunward.placement.crowd.groups import Groups, ranges
from sunward.placement.crowd.room import Room, Stretches, slots_of
from sunward.placement.crowd.search import POSSIBLE, Lines, Search
from sunward.placement.crowd.shortlist import Shortlist
from sunward.placement.crowd.tables import Tables
from sunward.placement.shares import Shares
from sunward.world.crowd import NOT_GIVEN, Crowd
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

ROUNDS_MAX = 64
TURNS = 1_024
"""Tenants with shares take a round's places in about so many turns."""
BATCHES = 8
BATCH_MIN = 64
"""Groups; fewer are not worth a search of their own."""
WAVES_MAX = 24
"""Times that a batch tries again on one search before it searches anew."""
LOOKED_AT = 8
"""Pools that a group looks at first, at least."""
LOOKED_AT_MOST = 32
PAIRS = 1 << 14
"""Pairs of groups and pools that a batch looks at, if that is more."""
LOOK_FURTHER = 8
"""So many times as many whenever it found nothing."""
NO_SECOND = 1e15
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

    __slots__ = ("_allowed", "_crowd", "_given", "_groups", "_lines", "_next", "_placed", "_room", "_shares", "_tables")

    def __init__(
        self,
        tables: Tables,
        lines: Lines,
        room: Room,
        crowd: Crowd,
        groups: Groups,
        allowed: BoolArray,
        placed: Placed,
        shares: Shares,
    ) -> None:
        """`allowed` is (F, P); what finds a place is written to `placed`, which may hold other jobs, and `shares`."""
        self._tables, self._lines, self._room, self._crowd, self._groups = tables, lines, room, crowd, groups
        self._allowed, self._placed, self._shares = allowed, placed, shares
        self._next = groups.first[:-1].copy()
        self._given: list[tuple[IntArray, IntArray]] = []

    @property
    def left(self) -> IntArray:
        """(G,) jobs without a place."""
        left: IntArray = self._groups.first[1:] - self._next
        return left

    def run(self, shadow: FloatArray | None) -> None:
        """Place all that find a place."""
        pools = self._allowed.shape[1]
        order = self._order()
        served: BoolArray = np.any(self._allowed, axis=1)
        order = order[served[self._groups.family[order]]]
        size = max(1, len(order)) if self._shares.set else max(BATCH_MIN, -(-len(order) // BATCHES))
        look = np.full(len(self._groups.family), max(LOOKED_AT, min(LOOKED_AT_MOST, PAIRS // size)), dtype=np.int64)
        orders = Shortlist(self._tables, self._groups, self._allowed, shadow) if pools and len(order) else None
        waiting, begin = order[:0], 0
        for _ in range(ROUNDS_MAX):
            batch = np.concatenate([waiting, order[begin : begin + size]])
            begin += size
            if not len(batch) or orders is None:
                return
            options = self._options(batch, orders, look, shadow)
            (self._take_turns if self._shares.set else self._take)(batch, options)
            self._release()
            found = np.diff(options.first)[batch] > 0
            done = ~found & (look[batch] >= pools)
            look[batch[~found]] *= LOOK_FURTHER
            waiting = batch[~done & (self.left[batch] > 0)]

    def _order(self) -> IntArray:
        """Groups as they are searched: large gangs first, then those with few pools, then those with little time."""
        groups = self._groups
        pools = self._allowed.sum(axis=1)[groups.family]
        spare = groups.limit_ms - groups.length_ms
        return np.lexsort((np.arange(len(pools)), spare, np.minimum(pools, SCARCE_POOLS), -groups.gpus))

    def _options(self, group: IntArray, orders: Shortlist, look: IntArray, shadow: FloatArray | None) -> Options:
        groups, room = self._groups, self._room
        listed = []
        for most in np.unique(look[group]).tolist():
            some = np.flatnonzero(look[group] == most)
            at, pool = orders.pairs(groups, group[some], room, most)
            listed.append((some[at], pool))
        at, pool = (np.concatenate(one) for one in zip(*listed, strict=True))
        search = Search(self._tables, self._lines, room, shadow, groups.gpus[group], groups.work_class[group], pool)
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
        """Remember where jobs could begin at once, as it is when they are last looked at."""
        there = np.flatnonzero(now_cost < POSSIBLE)
        order = there[np.lexsort((pool[there], now_cost[there], at[there]))]
        looked, first = np.unique(at[order], return_index=True)
        some, where = group[looked], pool[order[first]]
        begin = self._next[some]
        count = self._groups.first[some + 1] - begin
        self._placed.now_pool[self._groups.jobs[ranges(begin, count)]] = np.repeat(where, count)

    def _precedence(self, options: Options, some: IntArray) -> IntArray:
        """(N,) rank in which groups of a batch take what is scarce: large gangs, then those who lose most without."""
        groups, first = self._groups, options.first[some]
        second = np.minimum(first + 1, len(options.cost) - 1)
        alone = options.first[some + 1] - first < 2  # noqa: PLR2004
        regret = np.where(alone, NO_SECOND, options.cost[second] - options.cost[first]) * groups.gpus[some]
        rank = np.empty(len(some), dtype=np.int64)
        rank[np.lexsort((some, groups.limit_ms[some], -regret, -groups.gpus[some]))] = np.arange(len(some))
        return rank

    def _take(self, batch: IntArray, options: Options) -> None:
        """Waves: each group asks for its best start that is left, and is given as many as there is room for."""
        groups = np.sort(batch[np.diff(options.first)[batch] > 0])
        rank = self._precedence(options, groups)
        at, end = options.first[groups], options.first[groups + 1]
        for _ in range(WAVES_MAX):
            open_ones = np.flatnonzero((self.left[groups] > 0) & (at < end))
            if not len(open_ones):
                return
            order = open_ones[np.argsort(rank[open_ones])]
            asked = self._asked(groups[order], options.pool[at[order]], options.slot[at[order]])
            room = asked.room(self._room)
            taken = asked.share(self._room, room, self.left[groups[order]])
            asked.take(self._room, taken)
            some = taken > 0
            self._give(groups[order[some]], taken[some], asked, some)
            at[order[room <= 0]] += 1

    def _take_turns(self, batch: IntArray, options: Options) -> None:
        """As the turns of tenants come, a few jobs at a time: one as long as there are few of them."""
        groups = np.sort(batch[np.diff(options.first)[batch] > 0])
        few = max(1, int(self.left[groups].sum()) // TURNS)
        queues: dict[str, deque[int]] = {}
        for group in groups[np.argsort(self._precedence(options, groups))].tolist():
            queues.setdefault(self._crowd.tenants[self._groups.tenant[group]], deque()).append(group)
        at = options.first[:-1].copy()
        while queues:
            tenant = min(queues, key=lambda one: (self._shares.served(one), one))
            group = queues[tenant][0]
            if not self._take_few(group, few, options, at):
                queues[tenant].popleft()
            if not queues[tenant]:
                del queues[tenant]

    def _take_few(self, group: int, few: int, options: Options, at: IntArray) -> bool:
        """At most so many of a group at its best start that has room; `at` is how far each group has come."""
        few = min(few, int(self.left[group]))
        rest = np.arange(at[group], options.first[group + 1] if few else at[group])
        for some in (rest[:1], rest[1:]):
            asked = self._asked(np.full(len(some), group), options.pool[some], options.slot[some])
            there = np.flatnonzero(asked.room(self._room) > 0)[:1] if len(some) else some
            if len(there):
                at[group] = some[there[0]]
                one = self._asked(np.array([group]), options.pool[at[[group]]], options.slot[at[[group]]])
                taken = np.minimum(one.room(self._room), few)
                one.take(self._room, taken)
                self._give(np.array([group]), taken, one, taken > 0)
                return True
        return False

    def _asked(self, group: IntArray, pool: IntArray, slot: IntArray) -> Asked:
        groups, fleet, room = self._groups, self._tables.fleet, self._room
        gpus, kind = groups.gpus[group], groups.work_class[group]
        first, awake = room.first_start(pool, gpus)
        at_once = (slot == 0) & awake
        woken = np.maximum(fleet.begin_ms[slot], fleet.now_ms + fleet.pools.wake_ms[pool])
        start = np.where(slot == 0, first, woken)
        end = start + self._tables.run_ms(pool, kind, groups.length_ms[group])
        late = (end > groups.limit_ms[group]) | ((start > groups.start_by_ms[group]) & (start > fleet.now_ms))
        begin, last = slots_of(fleet, start, end)
        return Asked(
            pool=pool,
            gpus=gpus,
            start_ms=start,
            last=last,
            at_once=at_once,
            # It was to begin on containers that others have taken since.
            late=late,
            cells=ranges(pool * fleet.slots + begin, last - begin),
            first=np.concatenate([[0], np.cumsum(last - begin)]),
            need_w=np.where(room.bound[pool], room.need_w(pool, kind, gpus), 0),
        )

    def _give(self, group: IntArray, count: IntArray, asked: Asked, some: BoolArray) -> None:
        """Name the next jobs of each group."""
        at = ranges(self._next[group], count)
        job = self._groups.jobs[at]
        self._name(at, np.repeat(asked.pool[some], count), np.repeat(asked.start_ms[some], count))
        self._placed.at_once[job] = np.repeat(asked.at_once[some], count)
        self._given.append((job, np.repeat(asked.last[some], count)))
        self._next[group] += count

    def _name(self, at: IntArray, pool: IntArray, start_ms: IntArray) -> None:
        """Write down where the jobs at some positions of `Groups.jobs` go."""
        job, placed, crowd = self._groups.jobs[at], self._placed, self._crowd
        placed.pool[job] = pool
        placed.start_ms[job] = start_ms
        run = self._tables.run_ms(pool, crowd.work_class[job], crowd.length_ms[job])
        placed.end_ms[job] = start_ms + run
        placed.count(crowd, job, self._shares, 1)

    def _release(self) -> None:
        """Give back what jobs shorter than the longest of their group do not hold."""
        room, placed, slots = self._room, self._placed, self._tables.fleet.slots
        if room.bound.any():
            placed.lay_out(self._crowd, room)
        elif self._given:
            job, held = (np.concatenate(one) for one in zip(*self._given, strict=True))
            _, last = slots_of(self._tables.fleet, placed.start_ms[job], placed.end_ms[job])
            cells = ranges(placed.pool[job] * slots + last, held - last)
            np.add.at(room.free.reshape(-1), cells, np.repeat(self._crowd.gpus[job], held - last))
        self._given.clear()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """(N,) what groups ask for at one moment, in the order in which they are served."""

    pool: IntArray
    gpus: IntArray
    start_ms: IntArray
    last: IntArray
    """Past the last slot that is held."""
    at_once: BoolArray
    late: BoolArray
    cells: IntArray
    """Positions in `Room.free`, those of each run together."""
    first: IntArray
    """(N + 1,) where those of each begin."""
    need_w: IntArray
    """Watts of one gang where its site has a ceiling, else 0."""

    def room(self, room: Room) -> IntArray:
        """(N,) how many gangs find room if each asked alone."""
        free = np.minimum.reduceat(room.free.reshape(-1)[self.cells], self.first[:-1])
        most = np.where(self.late, 0, np.maximum(free, 0) // self.gpus)
        most = np.where(self.at_once, np.minimum(most, room.idle[self.pool] // self.gpus), most)
        some = np.flatnonzero(self.need_w > 0)
        if len(some):
            watts = np.minimum.reduceat(self._headroom(room)[self.cells], self.first[:-1])[some]
            most[some] = np.minimum(most[some], np.maximum(watts, 0) // self.need_w[some])
        return most

    def _headroom(self, room: Room) -> IntArray:
        return room.headroom_w[room.fleet.pools.site].reshape(-1)

    def share(self, room: Room, most: IntArray, left: IntArray) -> IntArray:
        """(N,) how many each is given; who comes later on a pool counts all before it as being in its way."""
        wanted = np.minimum(most, left)
        order = np.argsort(self.pool, kind="stable")
        pool = self.pool[order]
        used = np.cumsum(wanted[order] * self.gpus[order])
        starts = np.concatenate([[True], pool[1:] != pool[:-1]])
        begin = np.flatnonzero(starts)[np.cumsum(starts) - 1]
        before = np.empty_like(used)
        before[order] = used - (wanted * self.gpus)[order] - (used[begin] - (wanted * self.gpus)[order][begin])
        given = np.clip(most - -(-before // self.gpus), 0, left)
        # Under a ceiling, and where containers are awake, one asks at a time.
        alone = (self.need_w > 0) | self.at_once
        key = np.where(self.need_w > 0, room.fleet.pools.site[self.pool] + len(room.idle), self.pool)
        _, one = np.unique(np.where(alone, key, -1 - np.arange(len(key))), return_index=True)
        served = np.zeros(len(key), dtype=np.bool_)
        served[one] = True
        return np.where(alone & ~served, 0, given)

    def take(self, room: Room, taken: IntArray) -> None:
        """Hold what was given."""
        amount = taken * self.gpus
        lengths = np.diff(self.first)
        flat = room.free.reshape(-1)
        np.subtract.at(flat, self.cells, np.repeat(amount, lengths))
        np.subtract.at(room.idle, self.pool[self.at_once], amount[self.at_once])
        some = np.flatnonzero((self.need_w > 0) & (taken > 0))
        slots = room.free.shape[1]
        for at in some.tolist():
            cells = self.cells[self.first[at] : self.first[at + 1]]
            site = room.fleet.pools.site[self.pool[at]]
            room.headroom_w[site, cells % slots] -= taken[at] * self.need_w[at]
