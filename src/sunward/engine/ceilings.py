"""Grid events: what a site may draw is limited for a while, and work that no longer fits gives way with notice.

The planner lays all work it may move around the limit. What then still draws too much is stopped here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from sunward.engine import leases
from sunward.engine.membership import check_member
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import InputError, NotFoundError
from sunward.model.events import SiteCurtailed
from sunward.model.identity import SiteId
from sunward.model.job import LeaseState
from sunward.model.site import Ceiling
from sunward.world import draw
from sunward.world.ceilings import MOST, overlapping
from sunward.world.progress import progress

WATTS_MAX = 10**12
TIME_MAX_MS = 2**53
NAME = re.compile(r"[A-Za-z0-9._-]{1,80}")


def check_curtailed(state: State, payload: SiteCurtailed) -> None:
    """Refuse limits that mean nothing.

    Raises: InputError; NotFoundError for one that is not there to be lifted; ConflictError for a site that left.
    """
    check_member(state, payload.site)
    one, known = payload.ceiling, state.world.sites[payload.site].ceilings
    if payload.cancelled:
        if one.ceiling not in known:
            raise NotFoundError(f"site {payload.site} has no ceiling {one.ceiling}", code="SW-701")
        return
    if not NAME.fullmatch(one.ceiling):
        raise InputError("a ceiling is named by at most 80 letters, digits and . _ -", code="SW-700")
    if not 0 <= one.ceiling_w <= WATTS_MAX:
        raise InputError(f"a ceiling lies in 0..{WATTS_MAX} W; name another", code="SW-700")
    if not 0 <= one.start_ms < one.end_ms <= TIME_MAX_MS:
        raise InputError("a ceiling ends after it begins; name a later end", code="SW-700")
    if one.end_ms <= state.world.at_ms:
        raise InputError("the ceiling would be over already; name a later end", code="SW-700")
    if one.ceiling not in known and len(known) >= MOST:
        raise InputError(f"site {payload.site} has {MOST} ceilings already; lift some first", code="SW-702")


def site_curtailed(turn: Turn, payload: SiteCurtailed) -> None:
    """Take in a limit, or lift one; work that has to yield at once is told so now."""
    site, one = turn.world.sites[payload.site], payload.ceiling
    if payload.cancelled:
        del site.ceilings[one.ceiling]
    else:
        site.ceilings[one.ceiling] = one
        for at_ms in (one.start_ms - _notice_ms(turn), one.start_ms, one.end_ms):
            if at_ms > turn.at_ms:
                turn.state.add_due(at_ms, "ceiling", payload.site)
    look(turn, payload.site)


def look(turn: Turn, name: SiteId) -> None:
    """A limit begins, ends or has changed: have work give way to it, and have the rest planned anew."""
    site = turn.world.sites[name]
    site.ceilings = {key: one for key, one in site.ceilings.items() if one.end_ms > turn.at_ms}
    if site.left_ms:
        return
    for one in overlapping(site, turn.at_ms, turn.at_ms + _notice_ms(turn) + 1):
        _relieve(turn, name, one)
    leases.unblock(turn, name)
    turn.request_plan(leases.CURTAILED)


def _notice_ms(turn: Turn) -> int:
    """How long before a limit begins work is told to stop: what a stop and a start are planned to take."""
    return turn.world.network.policy.switch_ms


def _relieve(turn: Turn, name: SiteId, limit: Ceiling) -> None:
    """Suspend as few of the leases as it takes to get under a limit: those whose stop costs least."""
    world = turn.world
    from_ms = max(turn.at_ms, limit.start_ms)
    standing = [lease for lease in world.open_leases(name) if not _stopping(turn, lease)]
    standing = _still_there(turn, standing, from_ms)
    watts = {lease: draw.lease_w(world, lease) for lease in standing}
    excess_w = sum(watts.values()) - draw.room_w(world.sites[name].spec, limit.ceiling_w)
    for lease in yielding(turn, standing, watts, excess_w, from_ms, limit.end_ms):
        leases.give_way(turn, lease)


def yielding(
    turn: Turn, standing: Iterable[str], held: Mapping[str, float], excess: float, from_ms: int, until_ms: int
) -> list[str]:
    """As few of some leases as free so much of what they hold: those whose stop, until then, does least harm."""
    chosen: list[str] = []
    for lease in sorted(standing, key=lambda one: _loss(turn, one, from_ms, until_ms)):
        if excess <= 0:
            break
        chosen.append(lease)
        excess -= held[lease]
    for lease in reversed(tuple(chosen)):
        if excess + held[lease] <= 0:
            # One that came later frees so much that this one may stay.
            chosen.remove(lease)
            excess += held[lease]
    return chosen


def _stopping(turn: Turn, lease: str) -> bool:
    table = turn.world.leases
    return bool(table.ints["state"][table.row_of[lease]] == LeaseState.SUSPENDING)


def _still_there(turn: Turn, standing: Iterable[str], at_ms: int) -> list[str]:
    """Leases that will not have ended by themselves at a moment to come."""
    return [lease for lease in standing if _ends_ms(turn, lease) > at_ms]


def _ends_ms(turn: Turn, lease: str) -> int:
    """When an attempt should be done if nobody disturbs it."""
    world = turn.world
    row = world.leases.row_of[lease]
    job_row = world.jobs.row_of[world.leases.objects["job"][row]]
    return int(progress(world, np.array([row]), np.array([job_row]), turn.at_ms).end_ms[0])


def _loss(
    turn: Turn, lease: str, from_ms: int, until_ms: int
) -> tuple[bool, bool, bool, bool, int, int, int, int, str]:
    """What orders leases by the harm of stopping them: the first ones yield first.

    Offers nobody has accepted; what the plan takes away by then anyhow; what can pause before what cannot; what would
    end in time if it waited here until the limit is over; the least work not saved yet; the cheapest stop; the fewest
    bytes; the newest.
    """
    world = turn.world
    row = world.leases.row_of[lease]
    ints, jobs = world.leases.ints, world.jobs.ints
    job_row = world.jobs.row_of[world.leases.objects["job"][row]]
    pausable = bool(jobs["interruptible"][job_row])
    pool = world.leases.objects["pool"][row]
    given = world.jobs.objects["segments"][job_row]
    leaves = pausable and any(one.end_ms > turn.at_ms for one in given)
    leaves = leaves and not any(one.pool == pool and one.start_ms <= from_ms < one.end_ms for one in given)
    return (
        ints["state"][row] != LeaseState.OFFERED,
        not leaves,
        not pausable,
        _ends_ms(turn, lease) + until_ms - from_ms > jobs["deadline_ms"][job_row],
        _unsaved_ms(turn, row, job_row) * int(ints["gpus"][row]),
        int(jobs["stop_ms"][job_row]),
        int(jobs["data_bytes"][job_row]),
        -int(ints["offered_sequence"][row]),
        lease,
    )


def _unsaved_ms(turn: Turn, row: int, job_row: int) -> int:
    """Run time of an attempt that no stored checkpoint holds."""
    ints, jobs = turn.world.leases.ints, turn.world.jobs.ints
    units = int(jobs["units"][job_row])
    if units > 1:
        return int(ints["run_ms"][row]) * int(jobs["live_units"][job_row] - jobs["units_done"][job_row]) // units
    started_ms = int(ints["started_ms"][row])
    return turn.at_ms - started_ms if started_ms else 0
