"""What promises and calls keep from other work: containers, slot by slot, and when they are to be awake."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sunward.model.identity import PoolId
from sunward.model.plan import AwakeTarget
from sunward.model.reserve import Call
from sunward.model.site import PoolSpec
from sunward.units import SECOND_MS, floor_to
from sunward.world.snapshot import IntArray
from sunward.world.state import Site, World


def used(world: World, pool: str, call: str = "") -> int:
    """Containers of a pool that work of open calls, or of one, holds."""
    table, serving = world.leases, world.reserve.serving
    rows = [table.row_of[lease] for lease in world.on_pool.get(pool, ())] if serving else []
    return sum(
        int(table.ints["gpus"][row])
        for row in rows
        if (by := serving.get(table.objects["job"][row])) and (not call or by == call)
    )


def kept_now(world: World, pool: str) -> int:
    """Containers of a pool that calls keep from other work at this moment, in use by their own work or not.

    They are kept from so long before they are to be ready that work on them can still stop in time.
    """
    if not world.reserve.calls:
        return 0
    at_ms, switch_ms = world.at_ms, world.network.policy.switch_ms
    calls = world.reserve.calls_on(pool)
    return sum(count for call, count in calls if call.ready_ms - switch_ms <= at_ms < call.until_ms)


def begins_soon(world: World, pool: str, from_ms: int, until_ms: int) -> bool:
    """Whether a call begins to keep containers of a pool within a stretch: plans have kept them clear from then on."""
    switch_ms = world.network.policy.switch_ms
    calls = world.reserve.calls_on(pool) if world.reserve.calls else ()
    return any(from_ms <= call.ready_ms - switch_ms < until_ms for call, _ in calls)


def kept_slots(world: World, pool: str, now_ms: int) -> IntArray | int:
    """(H,) containers that calls keep from other work, less those that their own work holds; 0 where none is open."""
    calls = list(world.reserve.calls_on(pool)) if world.reserve.calls else []
    if not calls:
        return 0
    policy = world.network.policy
    kept = np.zeros(policy.slots, np.int64)
    first_ms = floor_to(now_ms, policy.slot_ms)
    for call, containers in calls:
        begin = (max(call.ready_ms - policy.switch_ms, now_ms) - first_ms) // policy.slot_ms
        end = -(-(call.until_ms - first_ms) // policy.slot_ms)
        kept[max(0, begin) : max(0, end)] += containers
    left: IntArray = np.maximum(kept - used(world, pool), 0)
    return left


def may_hold(world: World, pool: PoolSpec, gpus: int) -> bool:
    """Whether work that cannot pause may take so many more containers: what is promised must be free in time."""
    promised = world.reserve.sold(pool.pool, world.at_ms) if world.reserve.promises else 0
    if not promised:
        return True
    table, jobs = world.leases, world.jobs
    rows = [table.row_of[lease] for lease in world.on_pool.get(pool.pool, ())]
    held = sum(
        int(table.ints["gpus"][row])
        for row in rows
        if not jobs.ints["interruptible"][jobs.row_of[table.objects["job"][row]]]
    )
    return held + gpus <= pool.count - promised


def not_promised(world: World, pools: list[PoolSpec], now_ms: int) -> IntArray | None:
    """(P,) containers of each pool that back no sold promise; none where nothing is sold."""
    if not any(one.tenant for one in world.reserve.promises.values()):
        return None
    return np.array([pool.count - world.reserve.sold(pool.pool, now_ms) for pool in pools], np.int64)


def call_targets(world: World, calls: Iterable[Call]) -> tuple[AwakeTarget, ...]:
    """What is to be awake for calls: begun so early that it is ready in time."""
    return tuple(
        AwakeTarget(
            pool=PoolId(one.pool),
            start_ms=max(call.asked_ms, call.ready_ms - _wake_ms(world, one.pool)),
            end_ms=call.until_ms,
            count=one.containers,
        )
        for call in sorted(calls, key=lambda one: (one.asked_ms, one.call))
        for one in call.backing
    )


def _wake_ms(world: World, pool: str) -> int:
    return world.sites[pool.partition("/")[0]].spec.wake_s * SECOND_MS


def reachable_by_ms(world: World, site: Site) -> int:
    """Until when a machine that backs a sold promise may sleep without a word; 0 = nothing binds it.

    One that a neighbour can wake may sleep on.
    """
    if not world.reserve.promises:
        return 0
    notice_ms = world.reserve.notice_ms((pool.pool for pool in site.spec.pools), world.at_ms)
    return world.at_ms + notice_ms if notice_ms and not _has_waker(world, site) else 0


def _has_waker(world: World, site: Site) -> bool:
    where = (site.spec.owner, site.spec.lan)
    return bool(site.spec.lan and site.spec.wake_mac) and any(
        other.up and not other.asleep_until_ms and other is not site and (other.spec.owner, other.spec.lan) == where
        for other in world.sites.values()
    )
