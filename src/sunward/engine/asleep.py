"""A machine sleeps: it is asked for nothing before it can be awake, and neighbours wake it when it is needed."""

from __future__ import annotations

from sunward.engine import leases, membership
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InputError
from sunward.execution.power import awake_count, next_start_ms
from sunward.model.events import SiteAsleep
from sunward.model.site import WakeCall
from sunward.units import DAY_MS, SECOND_MS
from sunward.world.called import reachable_by_ms
from sunward.world.sleeping import sleeps
from sunward.world.state import Site, World

SLEEP_MS_MAX = DAY_MS
"""No machine sleeps for longer at a time, so that one that never wakes is missed."""


def check_asleep(state: State, payload: SiteAsleep) -> None:
    """Refuse a sleep that would break what is asked of the site, or that nobody proved.

    Raises: NotFoundError, ConflictError, InputError.
    """
    membership.check_member(state, payload.site)
    if not payload.until_ms:
        return
    world = state.world
    site = world.sites[payload.site]
    if not sleeps(site.spec):
        raise InputError(f"site {payload.site} has declared no sleep; prove it with `sunward doctor`", code="SW-195")
    if not world.at_ms < payload.until_ms <= world.at_ms + SLEEP_MS_MAX:
        raise InputError(f"site {payload.site} may sleep for a day at most, and not into the past", code="SW-196")
    if not site.up or world.open_leases(payload.site) or _needed(world, site) or _wakes_others(world, site):
        raise ConflictError(f"site {payload.site} is needed now; it stays awake", code="SW-197")
    planned_ms = ready_by_ms(world, site)
    if planned_ms and planned_ms < payload.until_ms:
        raise ConflictError(
            f"site {payload.site} is needed from {planned_ms} ms on; let it wake by then", code="SW-198"
        )


def site_asleep(turn: Turn, payload: SiteAsleep) -> None:
    """Note that a machine sleeps, or that it is back; then what waited for it goes on."""
    site = turn.world.sites[payload.site]
    # Before as well as after: those who were to wake it have new orders too.
    turn.orders_changed(payload.site)
    site.asleep_until_ms, site.called_ms = payload.until_ms, 0
    turn.orders_changed(payload.site)
    if not payload.until_ms:
        leases.unblock(turn, payload.site)
        turn.request_plan("site awake")


def note_call(turn: Turn, name: str) -> None:
    """Remember since when a machine that sleeps is needed."""
    site = turn.world.sites.get(name)
    if site is not None and site.asleep_until_ms and not site.called_ms and _needed(turn.world, site):
        site.called_ms = turn.at_ms


def ready_by_ms(world: World, site: Site) -> int:
    """When containers must be ready again by the present plan; 0 = none is planned."""
    starts = (next_start_ms(world.awake.get(pool.pool, ()), world.at_ms) for pool in site.spec.pools)
    first_ms = min((start_ms for start_ms in starts if start_ms is not None), default=None)
    # A plan asks for containers to begin to wake so much before they are to work.
    planned_ms = 0 if first_ms is None else first_ms + site.spec.wake_s * SECOND_MS
    # Whoever promised containers within a notice listens at least so often.
    promised_ms = reachable_by_ms(world, site)
    return min(planned_ms or promised_ms, promised_ms or planned_ms)


def calls(world: World, caller: Site) -> tuple[WakeCall, ...]:
    """Machines that a site should wake now: of its owner, on its network, needed and asleep."""
    return tuple(
        WakeCall(site=site.spec.site, mac=site.spec.wake_mac) for site in _wards(world, caller) if _needed(world, site)
    )


def _wards(world: World, caller: Site) -> list[Site]:
    """Machines asleep that a site can wake."""
    if not caller.spec.lan or not caller.up or caller.asleep_until_ms:
        return []
    where = (caller.spec.owner, caller.spec.lan)
    return [
        site
        for _, site in sorted(world.sites.items())
        if site.asleep_until_ms and site.spec.wake_mac and (site.spec.owner, site.spec.lan) == where
    ]


def _wakes_others(world: World, site: Site) -> bool:
    """Whether a plan counts on this site to wake another before its own alarm does."""
    return any(
        _needed(world, ward)
        or 0 < ready_by_ms(world, ward) < ward.asleep_until_ms
        or world.reserve.notice_ms((pool.pool for pool in ward.spec.pools), world.at_ms)
        for ward in _wards(world, site)
    )


def _needed(world: World, site: Site) -> bool:
    """Whether any of its containers should be awake now."""
    return any(
        awake_count(world.awake.get(pool.pool, ()), world.at_ms, world.busy(pool.pool), pool.count)
        for pool in site.spec.pools
    )
