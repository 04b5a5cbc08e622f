"""The cheapest place of one kind of job after the other, each on what those before it left.

Pools are looked at closely in the order of what they cost at their best time, until some of them have room; of these
the cheapest start is taken. Where a stretch of some length has room soonest is known of every pool, so full pools cost
one comparison.

Axes: P pools, C classes of work, H slots, E = H + 1 edges, Z zones, K rates of a class, N lengths told apart.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sunward import units
from sunward.placement.crowd.compiled import compiled, inner
from sunward.placement.crowd.ground import LOOK, RATE
from sunward.world.snapshot import FloatArray, IntArray

Records: TypeAlias = NDArray[Any]
Record: TypeAlias = Any
PPM = units.PPM
HOUR_MS = units.HOUR_MS
NEVER = 1e300
LOOKED_AT = 8
"""Pools with room that are looked at closely."""


class Ground(NamedTuple):
    """What stays as it is while a crowd is placed; money in micro-USD."""

    now_ms: int
    start_ms: int
    slot_ms: int
    delay_share: float
    """Of an ask, for each hour that it is late."""
    tie: float
    """Of an hour, for each hour that it is late."""
    begin_ms: IntArray
    usable_ms: IntArray
    hours: FloatArray
    """(E,) from now."""
    waited: FloatArray
    """(E,) hours, each as often as it is late."""
    power: FloatArray
    """(Z, E) of a kW from now to each edge."""
    carbon: FloatArray
    """(Z, E) of a kW, at one USD a tonne."""
    pools: Records
    uses: Records
    ways: Records
    rates: IntArray
    """(C, K) ppm; 0 = none."""
    rate: NDArray[np.int16]
    """(C, P) which of its class's rates a pool has."""
    first: IntArray
    """(sets + 1,) where each set of pools begins."""
    members: IntArray
    """Pools of sets, one set after the other."""
    lengths: IntArray
    """(N,) slots, rising."""
    level: IntArray
    """(H + 1,) the last of `lengths` that is no longer than so many slots."""
    lures: FloatArray
    """(kinds, P) about what a reference hour costs at the best time within reach."""


class Left(NamedTuple):
    """What is free; changes as jobs are placed."""

    free: IntArray
    headroom_w: IntArray
    idle: IntArray
    gangs: IntArray
    """Numbers of containers that are asked for, rising."""
    soonest: NDArray[np.int16]
    """(gangs, N, P) the first slot from which so long a stretch has room for a gang; H = none."""


class Scratch(NamedTuple):
    """Room to work in."""

    rates: Records
    looks: Records
    line: FloatArray


class Start(NamedTuple):
    """A place; `slot` -1 = none."""

    cost: float
    """Of a container."""
    slot: int
    pool: int
    start_ms: int
    run_ms: int
    at_once: int


NONE = Start(NEVER, -1, -1, 0, 0, 0)


@inner
def soonest(left: Left, lengths: IntArray, gang: int, pool: int) -> None:
    """Write down from when stretches of each length have room on a pool."""
    slots, size = left.free.shape[1], left.gangs[gang]
    known, begin = 0, 0
    for slot in range(slots + 1):
        if slot == slots or left.free[pool, slot] < size:
            while known < len(lengths) and lengths[known] <= slot - begin:
                left.soonest[gang, known, pool] = begin
                known += 1
            begin = slot + 1
    for rest in range(known, len(lengths)):
        left.soonest[gang, rest, pool] = slots


@compiled
def survey(left: Left, lengths: IntArray) -> None:
    """The same for all pools and gangs."""
    for gang in range(len(left.gangs)):
        for pool in range(left.free.shape[0]):
            soonest(left, lengths, gang, pool)


@inner
def _reach(ground: Ground, one: Record, rates: Records) -> None:
    """What a job is at each rate that pools have."""
    slots = len(ground.begin_ms)
    for at in range(len(rates)):
        rates[at].latest, rates[at].level = -1, 0
        rate = ground.rates[one.work_class, at]
        if rate > 0:
            run = -(-one.length_ms * PPM // rate)
            held = -(-run // ground.slot_ms)
            end = min(one.limit_ms - run, one.start_by_ms)
            rates[at].run_ms = run
            if held <= slots and end >= ground.start_ms:
                rates[at].latest = min((end - ground.start_ms) // ground.slot_ms, slots - held)
                rates[at].level = ground.level[held]


@inner
def _candidates(ground: Ground, left: Left, one: Record, scratch: Scratch, after: float, pool: int) -> int:
    """How many pools are worth a close look: the next after one in the order of lures; they are written down."""
    count, looks, most, kind = 0, scratch.looks, len(scratch.looks), one.work_class
    heavy, limited, opens = one.gigabytes > 0, one.ask_most < np.inf, one.opens
    per_hour = HOUR_MS / one.length_ms
    for at in range(ground.first[one.pools], ground.first[one.pools + 1]):
        this = ground.members[at]
        rate = ground.rate[kind, this]
        latest = scratch.rates[rate].latest
        if latest < opens or left.soonest[one.gang, scratch.rates[rate].level, this] > latest:
            continue
        if limited and ground.pools[this].ask * (PPM / ground.rates[kind, rate]) > one.ask_most:
            continue
        lure = ground.lures[one.lure, this]
        if heavy:
            lure += _bringing(ground, one, this) * per_hour
        if lure < after or (lure == after and this <= pool) or (count == most and lure >= looks[count - 1].lure):
            continue
        spot = min(count, most - 1)
        while spot > 0 and looks[spot - 1].lure > lure:
            looks[spot].lure, looks[spot].pool = looks[spot - 1].lure, looks[spot - 1].pool
            spot -= 1
        looks[spot].lure, looks[spot].pool = lure, this
        count = min(count + 1, most)
    return count


@inner
def _waking(ground: Ground, one: Record, pool: int) -> float:
    """What it costs to wake a container."""
    cost: float = ground.pools[pool].waking + ground.pools[pool].waking_carbon * one.carbon_price
    return cost


@inner
def _bringing(ground: Ground, one: Record, pool: int) -> float:
    """A container's share of what it costs to bring the data."""
    if one.gigabytes == 0:
        return 0.0
    zone = ground.pools[pool].zone
    each = ground.ways[one.origin, zone].tariff + ground.ways[one.origin, zone].carbon * one.carbon_price
    cost: float = one.gigabytes * each / one.gpus
    return cost


@inner
def _need_w(ground: Ground, one: Record, pool: int) -> int:
    """Watts that a gang needs under a ceiling; 0 where there is none."""
    return int(np.ceil(one.gpus * ground.uses[pool, one.work_class].above_w)) if ground.pools[pool].bound else 0


@inner
def _room(ground: Ground, left: Left, one: Record, pool: int, begin: int, end: int) -> int:
    """How many gangs have room through some slots."""
    most = left.free[pool, begin]
    for slot in range(begin + 1, end):
        most = min(most, left.free[pool, slot])
    gangs: int = max(most, 0) // one.gpus
    need_w = _need_w(ground, one, pool)
    if need_w > 0:
        for slot in range(begin, end):
            gangs = min(gangs, max(left.headroom_w[ground.pools[pool].site, slot], 0) // need_w)
    return gangs


@inner
def _edge(ground: Ground, one: Record, pool: int, edge: int) -> float:
    """What a container costs from now to an edge."""
    zone, ask = ground.pools[pool].zone, ground.pools[pool].ask
    power = ground.power[zone, edge] + one.carbon_price * ground.carbon[zone, edge]
    paid = (ask + ground.uses[pool, one.work_class].water) * ground.hours[edge]
    late = (ask * ground.delay_share + ground.tie) * ground.waited[edge]
    cost: float = ground.uses[pool, one.work_class].kw * power + (paid + late)
    return cost


@inner
def _moment(ground: Ground, left: Left, one: Record, pool: int, start_ms: int, run_ms: int, below: float) -> float:
    """What a container costs that begins at a moment within a slot; NEVER where that cannot be, or is no less."""
    end_ms = start_ms + run_ms
    begin = (start_ms - ground.start_ms) // ground.slot_ms
    end = -(-(end_ms - ground.start_ms) // ground.slot_ms)
    late = end_ms > one.limit_ms or (start_ms > one.start_by_ms and start_ms > ground.now_ms)
    if late or end > len(ground.begin_ms):
        return NEVER
    cost, at, at_ms = 0.0, end - 1, end_ms
    for sign in (1.0, -1.0):
        part = (at_ms - ground.begin_ms[at]) / ground.usable_ms[at]
        low, high = _edge(ground, one, pool, at), _edge(ground, one, pool, at + 1)
        cost += sign * (low + (high - low) * part)
        at, at_ms = begin, start_ms
    return cost if cost < below and _room(ground, left, one, pool, begin, end) > 0 else NEVER


@inner
def _look(
    ground: Ground, left: Left, one: Record, scratch: Scratch, pool: int, now_below: float, below: float
) -> tuple[Start, float]:
    """The cheapest start on a pool, the earliest of equals, and what one in the present slot costs.

    The one in the present slot is looked for if it costs less than something, the others if they may.
    """
    mine = scratch.rates[ground.rate[one.work_class, pool]]
    woken_ms = ground.now_ms + ground.pools[pool].wake_ms
    wakes = (woken_ms - ground.start_ms) // ground.slot_ms
    awake = left.idle[pool] >= one.gpus
    best, now = NONE, NEVER
    for at_once in (1, 0):
        slot, start_ms = (0, ground.now_ms) if at_once else (wakes, woken_ms)
        limit = now_below if slot == 0 else below
        if at_once != awake and (at_once or slot == 0):
            # Nothing is woken in the present slot where enough are awake.
            continue
        if one.opens <= slot <= mine.latest and limit > 0:
            more = _bringing(ground, one, pool) + (0.0 if at_once else _waking(ground, one, pool))
            cost = _moment(ground, left, one, pool, start_ms, mine.run_ms, limit - more) + more
            if cost < best.cost:
                best = Start(cost, slot, pool, start_ms, mine.run_ms, at_once)
            if slot == 0:
                now = min(now, cost)
    if below > 0:
        slot, cost = _regular(ground, left, one, scratch, pool, max(wakes + 1, one.opens))
        cost += _bringing(ground, one, pool) + _waking(ground, one, pool)
        if slot >= 0 and cost < best.cost:
            best = Start(cost, slot, pool, ground.begin_ms[slot], mine.run_ms, 0)
    return best, now


@inner
def _regular(ground: Ground, left: Left, one: Record, scratch: Scratch, pool: int, opens: int) -> tuple[int, float]:
    """The cheapest start at the beginning of a slot, from some slot on; -1 = none."""
    mine = scratch.rates[ground.rate[one.work_class, pool]]
    run, latest, line = mine.run_ms, mine.latest, scratch.line
    begin = max(opens, left.soonest[one.gang, mine.level, pool])
    if begin > latest:
        return -1, NEVER
    held = -(-run // ground.slot_ms)
    part = (run - (held - 1) * ground.slot_ms) / ground.slot_ms
    for edge in range(begin, latest + held + 1):
        line[edge] = _edge(ground, one, pool, edge)
    need_w, site = _need_w(ground, one, pool), ground.pools[pool].site
    least, best, full = NEVER, -1, begin - 1
    for slot in range(begin, latest + held):
        if left.free[pool, slot] < one.gpus or (need_w > 0 and left.headroom_w[site, slot] < need_w):
            full = slot
        first = slot - held + 1
        if first > full and first >= begin:
            cost = line[slot] + (line[slot + 1] - line[slot]) * part - line[first]
            if cost < least:
                least, best = cost, first
    return best, least


@inner
def _before(one: Start, other: Start) -> bool:
    """Whether a start is the cheaper one, the earlier of equals, the pool deciding between these."""
    if one.cost != other.cost:
        return one.cost < other.cost
    return one.slot < other.slot or (one.slot == other.slot and one.pool < other.pool)


@inner
def _find(ground: Ground, left: Left, one: Record, scratch: Scratch) -> tuple[Start, int]:
    """The cheapest start on the pools that are looked at, and on which of them one could begin at once."""
    _reach(ground, one, scratch.rates)
    found, now, now_cost, after, pool = NONE, -1, NEVER, -np.inf, -1
    hours = one.length_ms / HOUR_MS
    while found.slot < 0:
        count = _candidates(ground, left, one, scratch, after, pool)
        for at in range(count):
            after, pool = scratch.looks[at].lure, scratch.looks[at].pool
            # Who costs more at its best than what was found is only looked at for a start now.
            below = found.cost if after * hours < found.cost else 0.0
            start, cost = _look(ground, left, one, scratch, pool, now_cost, below)
            if cost < now_cost:
                now, now_cost = pool, cost
            if start.slot >= 0 and _before(start, found):
                found = start
        if count < len(scratch.looks):
            break
    return found, now


@inner
def _take(ground: Ground, left: Left, one: Record, jobs: Records, start: Start, now: int, first: int, most: int) -> int:
    """Give a start to as many jobs of a group, from one on, as have room there; how many."""
    pool, slot_ms = start.pool, ground.slot_ms
    end = -(-(start.start_ms + start.run_ms - ground.start_ms) // slot_ms)
    count = min(most, _room(ground, left, one, pool, start.slot, end))
    if start.at_once:
        count = min(count, left.idle[pool] // one.gpus)
        left.idle[pool] -= count * one.gpus
    high = 0
    for slot in range(start.slot, end):
        high = max(high, left.free[pool, slot])
    rate, until = ground.rates[one.work_class, ground.rate[one.work_class, pool]], start.slot
    need_w, site = _need_w(ground, one, pool), ground.pools[pool].site
    for at in range(first, first + count):
        job = jobs[at]
        job.pool, job.start_ms, job.at_once, job.now_pool = pool, start.start_ms, start.at_once, now
        job.end_ms = start.start_ms + -(-job.length_ms * PPM // rate)
        last = -(-(job.end_ms - ground.start_ms) // slot_ms)
        until = max(until, last)
        for slot in range(start.slot, last):
            left.free[pool, slot] -= one.gpus
            if need_w > 0:
                left.headroom_w[site, slot] -= need_w
    low = high
    for slot in range(start.slot, until):
        low = min(low, left.free[pool, slot])
    for gang in range(len(left.gangs)):
        if low < left.gangs[gang] <= high:
            soonest(left, ground.lengths, gang, pool)
    return count


@compiled
def fill(ground: Ground, left: Left, groups: Records, jobs: Records, order: IntArray, most: int, rest: int) -> None:
    """Place at most so many jobs of each group, one group after the other.

    In the end, if there is to be a `rest`, what is left of groups is searched job by job: one that is shorter or has
    more time than all of its group together may find room.
    """
    scratch = Scratch(np.zeros(ground.rates.shape[1], RATE), np.zeros(LOOKED_AT, LOOK), np.zeros(len(ground.hours)))
    for turn in range(len(order) * (1 + rest)):
        one, alone = groups[order[turn % len(order)]], turn >= len(order)
        at, until = one.next, one.end if alone else min(one.end, one.next + most)
        length_ms, limit_ms, start_by_ms, ask_most = one.length_ms, one.limit_ms, one.start_by_ms, one.ask_most
        while at < until:
            if alone:
                job = jobs[at]
                if _asks_no_less(job, length_ms, limit_ms, start_by_ms, ask_most):
                    at += 1
                    continue
                one.length_ms, one.limit_ms = job.length_ms, job.limit_ms
                one.start_by_ms, one.ask_most = job.start_by_ms, job.ask_most
            start, now = _find(ground, left, one, scratch)
            if start.slot >= 0:
                at += _take(ground, left, one, jobs, start, now, at, 1 if alone else until - at)
            elif alone:
                length_ms, limit_ms, start_by_ms, ask_most = one.length_ms, one.limit_ms, one.start_by_ms, one.ask_most
                at += 1
            else:
                break
        if not alone:
            one.next = at


@inner
def _asks_no_less(job: Record, length_ms: int, limit_ms: int, start_by_ms: int, ask_most: float) -> bool:
    """Whether a job finds no place where another one of its group, which asked so much, found none."""
    longer: bool = job.length_ms >= length_ms and job.ask_most <= ask_most
    return longer and bool(job.limit_ms <= limit_ms and job.start_by_ms <= start_by_ms)
