"""What should be true at a site now: orders are a function of the state, never a queue."""

from __future__ import annotations

from sunward.engine import asleep
from sunward.engine.leases import run_ms_left
from sunward.engine.state import State
from sunward.errors import InvariantError
from sunward.execution.power import awake_count
from sunward.model.identity import SiteId
from sunward.model.job import LeaseState, LengthKind
from sunward.model.place import AnchorCall
from sunward.model.site import AwakeOrder, LeaseOrder, PoolSpec, SiteOrders
from sunward.units import PPM
from sunward.world.capacity import withheld
from sunward.world.power import lease_rate
from sunward.world.sleeping import sleeps
from sunward.world.state import World


def orders(state: State, site: SiteId) -> SiteOrders:
    """All leases a site should hold and how many containers of each pool should be awake.

    A lease that is not named has no right to run: its agent stops and forgets it.
    """
    world = state.world
    spec = world.sites[site].spec
    return SiteOrders(
        site=site,
        version=world.sequence,
        leases=tuple(_lease_order(state, lease) for lease in world.open_leases(site)),
        awake=tuple(
            AwakeOrder(
                pool=pool.pool,
                count=max(
                    awake_count(
                        world.awake.get(pool.pool, ()), world.at_ms, world.busy(pool.pool), _usable(world, pool)
                    ),
                    _challenged(world, pool),
                ),
            )
            for pool in spec.pools
        ),
        asleep_until_ms=asleep.ready_by_ms(world, world.sites[site]) if sleeps(spec) else 0,
        wake=asleep.calls(world, world.sites[site]),
        challenges=tuple(one.order for one in world.challenges.at(site)),
        anchors=tuple(
            AnchorCall(key=one.key, address=one.address)
            for one in world.places.rules.anchors
            if world.places.due(spec, one.key, world.at_ms)
        ),
    )


def _usable(world: World, pool: PoolSpec) -> int:
    """Containers that may be awake for the network: never fewer than leases still hold."""
    site = world.sites[pool.pool.partition("/")[0]]
    return max(world.busy(pool.pool), pool.count - withheld(site, pool))


def _challenged(world: World, pool: PoolSpec) -> int:
    """Containers that leases hold or a challenge asks to be awake, as far as they may be."""
    one = world.challenges.of_pool(pool.pool)
    return 0 if one is None else min(world.busy(pool.pool) + one.order.containers, _usable(world, pool))


def _lease_order(state: State, lease: str) -> LeaseOrder:
    world = state.world
    row = world.leases.row_of[lease]
    job = world.leases.objects["job"][row]
    job_row = world.jobs.row_of[job]
    spec = world.jobs.spec(job_row)
    pool = world.pool(world.leases.objects["pool"][row])
    if pool is None:
        raise InvariantError(f"lease {lease} names a pool that is not enrolled")
    gpus = int(world.leases.ints["gpus"][row])
    cap_w = int(world.leases.ints["power_cap_w"][row])
    rate = lease_rate(pool.gpu_model, spec.work_class, cap_w) * (spec.speed_ppm(gpus) / PPM)
    suspending = world.leases.ints["state"][row] == LeaseState.SUSPENDING
    unknown = spec.length_kind is LengthKind.UNKNOWN
    stop = suspending and world.leases.objects["reason"][row] == "cancelled"
    return LeaseOrder(
        lease=lease,
        job=job,
        attempt=int(world.leases.ints["attempt"][row]),
        pool=pool.pool,
        gpus=gpus,
        action="stop" if stop else "suspend" if suspending else "run",
        bundle=spec.bundle,
        checkpoint=world.jobs.objects["checkpoint"][job_row],
        checkpoint_units=int(world.jobs.ints["units_done"][job_row]),
        units=spec.units,
        unit_ms_grid=0 if unknown else max(1, round(spec.length_ms / rate / spec.units)),
        power_cap_w=cap_w,
        work_class=spec.work_class,
        timeout_ms=max(0, run_ms_left(state, job_row) or 0),
    )
