"""How many containers of a pool take work: hours closed, what the owner withholds, sites that drain or have left."""

from __future__ import annotations

import numpy as np

from sunward.model.site import PoolSpec, SiteSpec
from sunward.units import DAY_MS, HOUR_MS, floor_to
from sunward.world.snapshot import BoolArray, IntArray
from sunward.world.state import Site

HOURS_A_DAY = DAY_MS // HOUR_MS


def closed_at(spec: SiteSpec, at_ms: int) -> bool:
    """Whether a moment lies in the hours in which the site takes no work."""
    return at_ms // HOUR_MS % HOURS_A_DAY in spec.closed_hours_utc


def next_border_ms(spec: SiteSpec, at_ms: int) -> int | None:
    """The next moment at which the site opens or closes; none where it never does."""
    now = closed_at(spec, at_ms)
    hour_ms = floor_to(at_ms, HOUR_MS)
    ahead = (hour_ms + hours * HOUR_MS for hours in range(1, HOURS_A_DAY + 1))
    return next((border_ms for border_ms in ahead if closed_at(spec, border_ms) != now), None)


def takes_work(site: Site, at_ms: int) -> bool:
    """Whether new work may be offered to a site at this moment."""
    stays = site.up and not site.draining and not site.left_ms
    return stays and not site.asleep_until_ms and not closed_at(site.spec, at_ms)


def withheld(site: Site, pool: PoolSpec) -> int:
    """Containers of a pool that the owner keeps for itself now."""
    report = site.power.get(pool.pool)
    return 0 if report is None else min(report.withheld, pool.count)


def capacity(site: Site, pool: PoolSpec, now_ms: int, slot_ms: int, slots: int, ready_ms: int = 0) -> IntArray:
    """(slots,) containers that can hold leases in each slot, from the slot that holds `now_ms`.

    `ready_ms`: when a machine that sleeps can be awake; in a slot that begins before, nothing can begin.

    What is withheld now counts as withheld for as long again as it has been, at least to the end of the hour: who has
    used a machine for long goes on, and a plan that hopes anew every hour would promise and break every hour. In
    closed hours it says nothing of the time after them.
    """
    room = np.full(slots, 0 if site.draining or site.left_ms else pool.count, np.int64)
    kept = withheld(site, pool)
    if not kept and not ready_ms and not site.spec.closed_hours_utc:
        # Most pools by far, and every snapshot counts them all.
        return room
    start_ms = floor_to(now_ms, slot_ms) + np.arange(slots, dtype=np.int64) * slot_ms
    if kept:
        room -= kept * (start_ms < _withheld_until_ms(site, pool, now_ms))
    room[_closed(site.spec, start_ms, slot_ms)] = 0
    room[np.maximum(start_ms, now_ms) < ready_ms] = 0
    return np.maximum(room, 0)


def _withheld_until_ms(site: Site, pool: PoolSpec, now_ms: int) -> int:
    hour_end_ms = floor_to(now_ms, HOUR_MS) + HOUR_MS
    if closed_at(site.spec, now_ms):
        return hour_end_ms
    lasted_ms = now_ms - min(site.withheld_ms.get(pool.pool, now_ms), now_ms)
    return max(hour_end_ms, now_ms + lasted_ms)


def _closed(spec: SiteSpec, start_ms: IntArray, slot_ms: int) -> BoolArray:
    """(slots,) whether any part of a slot lies in a closed hour; no slot is longer than an hour."""
    hours = np.zeros(HOURS_A_DAY, np.bool_)
    hours[list(spec.closed_hours_utc)] = True
    first, last = start_ms // HOUR_MS % HOURS_A_DAY, (start_ms + slot_ms - 1) // HOUR_MS % HOURS_A_DAY
    closed: BoolArray = hours[first] | hours[last]
    return closed
