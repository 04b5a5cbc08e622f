"""All compiled loops of crowds, compiled before they are needed, or read from disk."""

from __future__ import annotations

import numpy as np

from sunward.placement.crowd.ground import ASKED, JOB, POOL, USE, WAY
from sunward.placement.crowd.lures import best_hours, least_costs
from sunward.placement.crowd.room import take_off
from sunward.placement.crowd.seek import Ground, Left, fill, survey


def warm_up() -> None:
    """Call each loop once, on next to nothing, with the kinds of arrays that plans call it with."""
    one, none, real = np.ones(1, np.int64), np.zeros(0, np.int64), np.ones(1)
    few = np.zeros((1, 1), np.int16)
    least = least_costs(none[:, None], real[None, None, None, None], one, 1, 1, one, one[None], real[None, None])
    best_hours(real[None, None, None], real, real, none, none)
    ground = Ground(
        now_ms=0,
        start_ms=0,
        slot_ms=1,
        delay_share=0.0,
        tie=0.0,
        begin_ms=one,
        usable_ms=one,
        hours=real,
        waited=real,
        power=real[None],
        carbon=real[None],
        pools=np.zeros(1, POOL),
        uses=np.zeros((1, 1), USE),
        ways=np.zeros((1, 1), WAY),
        rates=one[None],
        rate=few,
        first=one,
        members=one,
        lengths=one,
        level=one,
        lures=least,
    )
    left = Left(free=one[None], headroom_w=one[None], idle=one, gangs=one, soonest=few[None])
    survey(left, one)
    take_off(left.free, none, none, none, none)
    fill(ground, left, np.zeros(0, ASKED), np.zeros(0, JOB), none, 1, 1)
