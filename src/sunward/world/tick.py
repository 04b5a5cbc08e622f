"""What a planner is given of a large world: some jobs to plan, and what all the others hold, counted by pool.

A full plan looks at a bounded number of jobs one by one, so that its time is bounded too; the clock hands the turn
round. Waiting jobs that need no look of their own are counted together, however many they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from sunward.units import MINUTE_MS, floor_to
from sunward.world.capacity import takes_work, withheld
from sunward.world.crowd import Crowd
from sunward.world.crowd_view import crowd_of, held_by, simple
from sunward.world.occupancy import occupied
from sunward.world.snapshot import IntArray, Snapshot, Standing
from sunward.world.state import World
from sunward.world.view import attempts, frame, open_jobs, views

NEW_JOBS_MAX = 64
"""Most new jobs that one immediate plan places; the next one follows at once."""
TICK_JOBS_MAX = 256
"""Most jobs that one full plan looks at one by one; the others are counted together, or stand as they are."""
FLOOD = 1_024
"""More new jobs than this are not placed one by one: the next full plan counts them with all others."""


def take_openings(world: World, now_ms: int) -> Snapshot:
    """No job to plan: what everybody's present segments leave, for a quote."""
    return frame(world, now_ms, (), _standing(world, now_ms, ()))


def take_new(world: World, now_ms: int) -> Snapshot:
    """The jobs that no planner has answered for, the first come first, beside what all others hold."""
    submitted = world.jobs.ints["submitted_ms"]
    rows = sorted((int(submitted[world.jobs.row_of[job]]), job) for job in world.fresh)
    first = [world.jobs.row_of[job] for _, job in rows[:NEW_JOBS_MAX]]
    return frame(world, now_ms, views(world, now_ms, first), _standing(world, now_ms, ()))


def take_some(world: World, now_ms: int, jobs: Sequence[str]) -> Snapshot:
    """Some open jobs, to look at beside what all others hold."""
    rows = [world.jobs.row_of[job] for job in sorted(jobs)]
    return frame(world, now_ms, views(world, now_ms, rows), _standing(world, now_ms, jobs))


def is_flooded(world: World) -> bool:
    """Whether so many new jobs wait for a place that they are counted together."""
    return len(world.fresh) > FLOOD and int(simple(world, _fresh(world)).sum()) > FLOOD


def _fresh(world: World) -> IntArray:
    return np.array(sorted(world.jobs.row_of[job] for job in world.fresh), np.int64)


def take_tick(world: World, now_ms: int) -> Snapshot:
    """What a full plan is made from: open jobs, and what new work is to be expected."""
    policy = world.network.policy
    begins_ms = floor_to(now_ms, policy.slot_ms) + np.arange(policy.slots) * policy.slot_ms
    return replace(_open(world, now_ms), expected=world.arrivals.expected(now_ms, begins_ms))


def _open(world: World, now_ms: int) -> Snapshot:
    """The open jobs that are not new, or too many to be placed one by one.

    Of many, those that wait for one place are counted together, all of them; of the others so many are looked at one by
    one, beside what the rest hold.
    """
    late = set[int]()
    if is_flooded(world):
        fresh = _fresh(world)
        late = set(fresh[simple(world, fresh)].tolist())
    rows = [row for row in open_jobs(world) if world.jobs.ids[row] not in world.fresh or row in late]
    if len(rows) <= TICK_JOBS_MAX:
        return frame(world, now_ms, views(world, now_ms, rows))
    columns = np.array(rows, np.int64)
    counted = simple(world, columns)
    single = columns[~counted].tolist()
    considered = set(_considered(world, now_ms, single))
    chosen = [row for row in single if row in considered]
    names = [job for row in chosen if (job := world.jobs.ids[row]) is not None]
    crowd = crowd_of(world, now_ms, columns[counted], [pool.pool for _, pool in world.pools()])
    standing = _standing(world, now_ms, names, crowd)
    if world.network.policy.tenant_shares:
        rest = [row for row in single if row not in considered]
        standing = replace(standing, tenants=_by_tenant(world, now_ms, rest))
    return frame(world, now_ms, views(world, now_ms, chosen), standing, crowd)


def _by_tenant(world: World, now_ms: int, rows: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """What tenants hold from now on in some jobs."""
    sums: dict[str, int] = {}
    running = attempts(world, now_ms)
    for row in rows:
        given = tuple(segment for segment in world.jobs.objects["segments"][row] if segment.end_ms > now_ms)
        held = running[row].held(now_ms, given) if row in running else given
        tenant = world.jobs.tenant(row)
        spent = sum(one.containers * (one.end_ms - max(one.start_ms, now_ms)) for one in held)
        sums[tenant] = sums.get(tenant, 0) + spent
    return tuple(sorted(sums.items()))


def _considered(world: World, now_ms: int, rows: Sequence[int]) -> Iterator[int]:
    """Jobs without a place ahead take up to half, the others the rest; in both the turn goes round by minutes."""
    ints = world.jobs.ints
    needy: list[int] = []
    settled: list[int] = []
    away = _away(world)
    for row in rows:
        held = world.jobs.objects["lease"][row]
        if held and not ints["interruptible"][row]:
            continue
        lost = any(segment.pool in away for segment in world.jobs.objects["segments"][row]) if away else False
        placed = held or ints["given_last_end_ms"][row] > now_ms
        (settled if placed and not lost else needy).append(row)
    half = TICK_JOBS_MAX // 2
    turn = now_ms // MINUTE_MS
    taken = _round(needy, max(half, TICK_JOBS_MAX - len(settled)), turn)
    yield from taken
    yield from _round(settled, TICK_JOBS_MAX - len(taken), turn)


def _round(rows: Sequence[int], count: int, turn: int) -> list[int]:
    """So many rows from where the turn stands, the first after the last."""
    if len(rows) <= count:
        return list(rows)
    first = turn * count % len(rows)
    return [*rows[first : first + count], *rows[: max(0, first + count - len(rows))]]


def _away(world: World) -> set[str]:
    """Pools that offer less than they have, now or for a while: what was planned there may have to go elsewhere."""
    return {
        pool.pool
        for spec, pool in world.pools()
        if not takes_work(site := world.sites[spec.site], world.at_ms) or withheld(site, pool) or site.ceilings
    }


def _standing(world: World, now_ms: int, without: Sequence[str], crowd: Crowd | None = None) -> Standing:
    """What every open job holds but those named and a crowd."""
    pools = [pool.pool for _, pool in world.pools()]
    slots = world.network.policy.slots
    taken = occupied(world, now_ms, slots, without, pools)
    leased = {world.jobs.row_of[job] for job in without if world.jobs.objects["lease"][world.jobs.row_of[job]]}
    busy = np.array([world.busy(pool) - _held_by(world, pool, leased) for pool in pools], np.int64)
    column = np.array([taken[pool] for pool in pools], np.int64).reshape(len(pools), slots)
    if crowd is not None:
        column -= held_by(crowd, now_ms, world.network.policy.slot_ms, column.shape)
    # What runs holds its container now, also when it was given a later one.
    column[:, 0] = np.maximum(column[:, 0], busy)
    return Standing(taken=column, busy=busy)


def _held_by(world: World, pool: str, rows: set[int]) -> int:
    """Containers of a pool that some jobs hold now."""
    if not rows or pool not in world.open_rows:
        return 0
    lease_rows, job_rows = world.open_rows[pool].columns()
    return int(world.leases.ints["gpus"][lease_rows[np.isin(job_rows, list(rows))]].sum())
