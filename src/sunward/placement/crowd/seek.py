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
from sunward.placement.crowd.compiled import compiled
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
    rate: IntArray
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
    soonest: IntArray
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


@compiled
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


@compiled
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


@compiled
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


@compiled
def _waking(ground: Ground, one: Record, pool: int) -> float:
    """What it costs to wake a container."""
    return ground.pools[pool].waking + ground.pools[pool].waking_carbon * one.carbon_price


@compiled
def _bringing(ground: Ground, one: Record, pool: int) -> float:
    """A container's share of what it costs to bring the data."""
    if one.gigabytes == 0:
        return 0.0
    zone = ground.pools[pool].zone
    each = ground.ways[one.origin, zone].tariff + ground.ways[one.origin, zone].carbon * one.carbon_price
    return one.gigabytes * each / one.gpus


@compiled
def _need_w(ground: Ground, one: Record, pool: int) -> int:
    """Watts that a gang needs under a ceiling; 0 where there is none."""
    return int(np.ceil(one.gpus * ground.uses[pool, one.work_class].above_w)) if ground.pools[pool].bound else 0


@compiled
def _room(ground: Ground, left: Left, one: Record, pool: int, begin: int, end: int) -> int:
    """How many gangs have room through some slots."""
    most = left.free[pool, begin]
    for slot in range(begin + 1, end):
        most = min(most, left.free[pool, slot])
    gangs = max(most, 0) // one.gpus
    need_w = _need_w(ground, one, pool)
    if need_w > 0:
        for slot in range(begin, end):
            gangs = min(gangs, max(left.headroom_w[ground.pools[pool].site, slot], 0) // need_w)
    return gangs


@compiled
def _line(ground: Ground, one: Record, pool: int, line: FloatArray, begin: int, end: int) -> None:
    """What a container costs from now to some edges."""
    zone, kw, price = ground.pools[pool].zone, ground.uses[pool, one.work_class].kw, one.carbon_price
    hourly = ground.pools[pool].ask + ground.uses[pool, one.work_class].water
    late = ground.pools[pool].ask * ground.delay_share + ground.tie
    for edge in range(begin, end + 1):
        paid = hourly * ground.hours[edge] + late * ground.waited[edge]
        line[edge] = kw * (ground.power[zone, edge] + price * ground.carbon[zone, edge]) + paid


@compiled
def _until(ground: Ground, line: FloatArray, at_ms: int) -> float:
    """A running sum at a moment."""
    slot = min((at_ms - ground.start_ms) // ground.slot_ms, len(ground.begin_ms) - 1)
    part = (at_ms - ground.begin_ms[slot]) / ground.usable_ms[slot]
    return line[slot] + (line[slot + 1] - line[slot]) * part


@compiled
def _moment(
    ground: Ground, left: Left, one: Record, scratch: Scratch, pool: int, start_ms: int, below: float
) -> float:
    """What a container costs that begins at a moment within a slot; NEVER where that cannot be, or is no less."""
    end_ms = start_ms + scratch.rates[ground.rate[one.work_class, pool]].run_ms
    begin = (start_ms - ground.start_ms) // ground.slot_ms
    end = -(-(end_ms - ground.start_ms) // ground.slot_ms)
    late = end_ms > one.limit_ms or (start_ms > one.start_by_ms and start_ms > ground.now_ms)
    if late or end > len(ground.begin_ms):
        return NEVER
    _line(ground, one, pool, scratch.line, begin, begin + 1)
    _line(ground, one, pool, scratch.line, end - 1, end)
    cost = _until(ground, scratch.line, end_ms) - _until(ground, scratch.line, start_ms)
    return cost if cost < below and _room(ground, left, one, pool, begin, end) > 0 else NEVER


@compiled
def _now(ground: Ground, left: Left, one: Record, scratch: Scratch, pool: int, wakes: int, below: float) -> Start:
    """A start in the present slot that costs less than something, on containers that are awake if there are enough."""
    awake = left.idle[pool] >= one.gpus
    if one.opens > 0 or (wakes > 0 and not awake):
        return NONE
    start_ms = ground.now_ms if awake else ground.now_ms + ground.pools[pool].wake_ms
    more = _bringing(ground, one, pool) + (0.0 if awake else _waking(ground, one, pool))
    cost = _moment(ground, left, one, scratch, pool, start_ms, below - more) + more
    run = scratch.rates[ground.rate[one.work_class, pool]].run_ms
    return Start(cost, 0, pool, start_ms, run, int(awake)) if cost < below else NONE


@compiled
def _later(ground: Ground, left: Left, one: Record, scratch: Scratch, pool: int, wakes: int) -> Start:
    """The cheapest start in a later slot, the earliest of equals."""
    rate = ground.rate[one.work_class, pool]
    latest = scratch.rates[rate].latest
    slot, cost = _regular(ground, left, one, scratch, pool, max(wakes + 1, one.opens))
    start_ms = ground.begin_ms[max(slot, 0)]
    if wakes > 0 and one.opens <= wakes <= latest:
        woken = ground.now_ms + ground.pools[pool].wake_ms
        first = _moment(ground, left, one, scratch, pool, woken, NEVER)
        if first <= cost and first < NEVER:
            slot, cost, start_ms = wakes, first, woken
    more = _bringing(ground, one, pool) + _waking(ground, one, pool)
    return Start(cost + more, slot, pool, start_ms, scratch.rates[rate].run_ms, 0)


@compiled
def _regular(
    ground: Ground, left: Left, one: Record, scratch: Scratch, pool: int, opens: int
) -> tuple[int, float]:
    """The cheapest start at the beginning of a slot, from some slot on; -1 = none."""
    mine = scratch.rates[ground.rate[one.work_class, pool]]
    run, latest, line = mine.run_ms, mine.latest, scratch.line
    begin = max(opens, left.soonest[one.gang, mine.level, pool])
    if begin > latest:
        return -1, NEVER
    held = -(-run // ground.slot_ms)
    part = (run - (held - 1) * ground.slot_ms) / ground.slot_ms
    _line(ground, one, pool, line, begin, latest + held)
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


@compiled
def _before(one: Start, other: Start) -> bool:
    """Whether a start is the cheaper one, the earlier of equals, the pool deciding between these."""
    if one.cost != other.cost:
        return one.cost < other.cost
    return one.slot < other.slot or (one.slot == other.slot and one.pool < other.pool)


@compiled
def _find(ground: Ground, left: Left, one: Record, scratch: Scratch) -> tuple[Start, int]:
    """The cheapest start on the pools that are looked at, and on which of them one could begin at once."""
    _reach(ground, one, scratch.rates)
    found, now, now_cost, after, pool = NONE, -1, NEVER, -np.inf, -1
    hours = one.length_ms / HOUR_MS
    while found.slot < 0:
        count = _candidates(ground, left, one, scratch, after, pool)
        for at in range(count):
            after, pool = scratch.looks[at].lure, scratch.looks[at].pool
            wakes = (ground.now_ms + ground.pools[pool].wake_ms - ground.start_ms) // ground.slot_ms
            start = _now(ground, left, one, scratch, pool, wakes, now_cost)
            if start.slot >= 0:
                now, now_cost = pool, start.cost
                if _before(start, found):
                    found = start
            # Who costs more at its best than what was found is only looked at for a start now.
            if after * hours < found.cost:
                start = _later(ground, left, one, scratch, pool, wakes)
                if start.slot >= 0 and _before(start, found):
                    found = start
        if count < len(scratch.looks):
            break
    return found, now


@compiled
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
def _scratch(ground: Ground) -> Scratch:
    return Scratch(np.zeros(ground.rates.shape[1], RATE), np.zeros(LOOKED_AT, LOOK), np.zeros(len(ground.hours)))


@compiled
def fill(ground: Ground, left: Left, groups: Records, jobs: Records, order: IntArray, most: int) -> None:
    """Place at most so many jobs of each group, one group after the other."""
    scratch = _scratch(ground)
    for group in order:
        one = groups[group]
        quota = min(most, one.end - one.next)
        while quota > 0:
            start, now = _find(ground, left, one, scratch)
            if start.slot < 0:
                break
            count = _take(ground, left, one, jobs, start, now, one.next, quota)
            one.next += count
            quota -= count


@compiled
def fill_each(ground: Ground, left: Left, groups: Records, jobs: Records, order: IntArray) -> None:
    """Place what is left of groups job by job: one that is shorter or has more time than all of them may find room."""
    scratch = _scratch(ground)
    for group in order:
        one = groups[group]
        length_ms, limit_ms, start_by_ms, ask_most = one.length_ms, one.limit_ms, one.start_by_ms, one.ask_most
        for at in range(one.next, one.end):
            job = jobs[at]
            shorter = job.length_ms < length_ms or job.ask_most > ask_most
            if not shorter and job.limit_ms <= limit_ms and job.start_by_ms <= start_by_ms:
                # It asks no less than one that found no room.
                continue
            one.length_ms, one.limit_ms = job.length_ms, job.limit_ms
            one.start_by_ms, one.ask_most = job.start_by_ms, job.ask_most
            start, now = _find(ground, left, one, scratch)
            if start.slot >= 0:
                _take(ground, left, one, jobs, start, now, at, 1)
            else:
                length_ms, limit_ms, start_by_ms, ask_most = one.length_ms, one.limit_ms, one.start_by_ms, one.ask_most
