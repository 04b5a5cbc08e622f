"""A site drains and leaves: what runs is moved or ends, what was metered is sealed, then nothing binds it any more."""

from __future__ import annotations

from sunward.engine import leases
from sunward.engine.leases import covered
from sunward.engine.staking import note_presence
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError
from sunward.model.events import SiteDrained, SiteLeft
from sunward.model.job import LeaseState
from sunward.world.state import World

NAMED_MAX = 3
"""Most leases that one refusal names."""


def check_member(state: State, site: str) -> None:
    """Refuse a word of a site that is not, or not any more, part of the network.

    Raises: NotFoundError, ConflictError.
    """
    leases.check_site_known(state, site)
    if state.world.sites[site].left_ms:
        raise ConflictError(f"site {site} has left; join again with a new token", code="SW-192")


def check_drained(state: State, payload: SiteDrained) -> None:
    """Refuse to drain what is not there.

    Raises: NotFoundError, ConflictError.
    """
    check_member(state, payload.site)


def site_drained(turn: Turn, payload: SiteDrained) -> None:
    """Offer a site no more work and move what can be moved, or offer it work again."""
    site = turn.world.sites[payload.site]
    if site.draining == payload.draining:
        return
    site.draining = payload.draining
    if payload.draining:
        leases.move_on(turn, payload.site, "draining")
    else:
        leases.unblock(turn, payload.site)
    turn.orders_changed(payload.site)
    turn.request_plan("site drained")


def check_left(state: State, payload: SiteLeft) -> None:
    """Refuse while anything binds the site.

    Raises: NotFoundError; ConflictError naming what still runs or what is not sealed.
    """
    check_member(state, payload.site)
    running = state.world.open_leases(payload.site)
    if running:
        raise ConflictError(
            f"site {payload.site} still holds {_named(running)}; drain it and wait for them", code="SW-191"
        )
    waiting = unsealed(state.world, payload.site)
    if waiting:
        raise ConflictError(
            f"readings of {_named(waiting)} at site {payload.site} are not all sealed; "
            "let its agent deliver them first",
            code="SW-191",
        )


def unsealed(world: World, site: str) -> list[str]:
    """Ended leases of a site whose readings are not all in a seal; what a tenant pays for them hangs on those."""
    table = world.leases
    return [
        lease
        for lease in table
        if table.objects["site"][table.row_of[lease]] == site
        and table.ints["state"][table.row_of[lease]] == LeaseState.CLOSED
        and not covered(world, lease)
    ]


def _named(names: list[str]) -> str:
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def site_left(turn: Turn, payload: SiteLeft) -> None:
    """Take a site out of everything that is to come."""
    world = turn.world
    site = world.sites[payload.site]
    site.left_ms = turn.at_ms
    note_presence(turn, payload.site)
    site.up = site.draining = False
    turn.orders_changed(payload.site)
    site.asleep_until_ms = site.called_ms = 0
    site.power, site.withheld_ms, site.ceilings = {}, {}, {}
    for pool in site.spec.pools:
        world.awake.pop(pool.pool, None)
        # Who waited for a container here waits for a plan now.
        turn.state.blocked.pop(pool.pool, None)
    turn.request_plan("site left")
