"""The players of the reserve: promised containers that are not there, or not when a drill is not expected.

A promise sells containers that must be ready within a notice; an honest owner lends them meanwhile and takes them back
when it is drilled. Drills are drawn as the engine draws them, from a value that nobody knows before; premiums are
divided by `settlement.reserve`. A missed drill costs the epoch's premium and a slash, at least as large as the premium.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks._game_lies import STAKES, Outcome, Owner, expected, rarer, taken
from benchmarks._game_play import ASK_USD_MICRO_PER_H, STAKE_USD, WEI_PER_USD, WEI_PER_USD_MICRO, by_day
from benchmarks._game_world import CONTAINERS, DAY_H
from sunward.model.reserve import ReserveRules
from sunward.settlement.reserve import premium_usd_micro, split_premium
from sunward.units import DAY_MS, MICRO, MILLI_PER_UNIT, PPM
from sunward.world.snapshot import FloatArray

PROMISED = 4
PREMIUM_USD_MICRO_PER_H = 300_000
RESERVE = ReserveRules()
"""What a network has that says no more."""
DRILLS_PER_DAY = RESERVE.drill_milli_per_epoch / MILLI_PER_UNIT
DRILL_H = 1.0
PROVIDER_SHARE = 0.8
CAPITAL_USD_PER_DAY = 16.0
"""Of a container that was never bought: 30,000 USD over five years; assumed."""
ELSEWHERE = (0.05, 0.1, 0.2, 0.5, 1.0)
"""What a container that is idle here earns away by the hour, as a share of the ask."""
HISTORY_DAYS = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One way not to keep a promise: what a day of it brings more than keeping it, and how it is found."""

    lie: str
    size: str
    more_usd: FloatArray
    chance: float


def reserve_outcomes(owner: Owner) -> list[Outcome]:
    """Each way with each stake, beside an owner that keeps its promise."""
    honest = owner.year(owner.brown)
    premium = _premium_usd(owner)
    kept = honest.margin + premium - DRILLS_PER_DAY * _lent_usd_per_h(owner) * DRILL_H
    found = []
    for broken in (*_absent(owner), *_sold_twice(owner), *_away(owner, premium)):
        for share in STAKES:
            earned = honest.earned + np.cumsum(premium)
            owed = np.maximum(taken(STAKE_USD * share, earned), premium * RESERVE.fine_ppm / PPM)
            lost = premium + np.minimum(owed, STAKE_USD * share + earned)
            found.append(
                Outcome(
                    lie=broken.lie,
                    size=f"{broken.size}, stake {share:.0%}",
                    gain_usd=expected(broken.more_usd, np.zeros_like(kept), broken.chance, lost),
                    rarer=rarer(broken.more_usd, np.zeros_like(kept), broken.chance, lost),
                    unseen_usd=float(broken.more_usd.sum()),
                    honest_usd=float(kept.sum()),
                    chance=broken.chance,
                    within_error=False,
                )
            )
    return found


def _premium_usd(owner: Owner) -> FloatArray:
    """What of a day's premium is the provider's, USD; (D,)."""
    wei = premium_usd_micro(PROMISED, DAY_MS, PREMIUM_USD_MICRO_PER_H) * WEI_PER_USD_MICRO
    parts = (
        split_premium(wei, offset_share_bps=epoch.offset_share_bps, reserve_share_bps=RESERVE.reserve_share_bps)
        for epoch in owner.world.epochs
    )
    return np.array([part.provider_wei / WEI_PER_USD for part in parts])


def _lent_usd_per_h(owner: Owner) -> FloatArray:
    """What the promised containers earn by the hour while they are lent: leases fill the others first; (D,)."""
    lent = np.maximum(0.0, owner.leased - (CONTAINERS - PROMISED))
    return by_day(lent) / DAY_H * ASK_USD_MICRO_PER_H / MICRO * PROVIDER_SHARE


def _absent(owner: Owner) -> Iterator[Broken]:
    """The promised containers do not exist: neither bought nor leased; asleep, to all that is told."""
    saved = PROMISED * CAPITAL_USD_PER_DAY - _lent_usd_per_h(owner) * DAY_H
    drilled = DRILLS_PER_DAY * _lent_usd_per_h(owner) * DRILL_H
    yield Broken(
        lie="reserve_defaulter",
        size="containers that are not there",
        more_usd=saved + drilled,
        chance=DRILLS_PER_DAY,
    )
    yield Broken(
        lie="reserve_defaulter",
        size="containers that are not there, nobody would lease them",
        more_usd=np.full_like(saved, PROMISED * CAPITAL_USD_PER_DAY),
        chance=DRILLS_PER_DAY,
    )


def _sold_twice(owner: Owner) -> Iterator[Broken]:
    """Leases on promised containers are not given back when a drill comes."""
    busy = float(np.mean(np.maximum(0.0, owner.leased - (CONTAINERS - PROMISED)) > 0))
    yield Broken(
        lie="reserve_defaulter",
        size="lent and not given back",
        more_usd=DRILLS_PER_DAY * _lent_usd_per_h(owner) * DRILL_H,
        chance=DRILLS_PER_DAY * busy,
    )


def _away(owner: Owner, premium: FloatArray) -> Iterator[Broken]:
    """Promised containers earn elsewhere in the hours in which past drills were rare.

    Who can earn elsewhere is honest by promising nothing and being there all day, where that brings more.
    """
    hours = _drill_hours(owner.seed)
    half = len(hours) // 2
    rare = np.argsort(np.bincount(hours[:half], minlength=DAY_H), kind="stable")
    idle = PROMISED - float(np.mean(np.maximum(0.0, owner.leased - (CONTAINERS - PROMISED))))
    for share in ELSEWHERE:
        by_hour = idle * share * ASK_USD_MICRO_PER_H / MICRO * PROVIDER_SHARE
        instead = np.maximum(0.0, by_hour * DAY_H - premium)
        for away_h in (2, 6, 12, 20, 23):
            met = float(np.mean(np.isin(hours[half:], rare[:away_h])))
            yield Broken(
                lie="drill_predictor",
                size=f"away {away_h} h for {share:.0%} of the ask, met by {met:.0%} of drills",
                more_usd=by_hour * away_h - instead,
                chance=DRILLS_PER_DAY * met,
            )


def _drill_hours(seed: int) -> np.ndarray:
    """Hours of day at which many days' drills of this owner were drawn, from values like a beacon's."""
    share_ppm = round(DRILLS_PER_DAY * PPM / DAY_H)
    found = []
    for hour in range(HISTORY_DAYS * DAY_H):
        value = hashlib.sha256(f"{seed} {hour}".encode()).hexdigest()
        told = "\n".join(["sunward-drill-draw/1", value, str(hour), "player", ""])
        if int(hashlib.sha256(told.encode()).hexdigest(), 16) % PPM < share_ppm:
            found.append(hour % DAY_H)
    return np.array(found)
