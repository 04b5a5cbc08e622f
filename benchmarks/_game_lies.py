"""The players of the game: each lie in several sizes, beside the same owner being honest.

A lie is as good as its best size. Detection is the product's own where a check can see the lie at once; otherwise it is
a visit of an endorser, or work that is drawn and executed again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks._game_play import (
    HONEST_OVERHEAD,
    PAID_USD_PER_DAY,
    RULES,
    STAKE_USD,
    Days,
    Network,
    Played,
    Player,
    by_day,
    days_of,
    play,
)
from benchmarks._game_world import (
    CONTAINERS,
    DAY_H,
    GPU,
    WORK,
    Zone,
    contracted_wh,
    course,
    leased_hours,
    machines,
)
from benchmarks._honest import a_site, found_in, signed, true_minutes
from sunward.model.trust import Level
from sunward.signals.zones import load as load_zones
from sunward.units import HOUR_MS, PPM
from sunward.verification.bounds import overhead_least
from sunward.verification.solar import solar_findings
from sunward.world import catalogue, power
from sunward.world.snapshot import FloatArray

CERTIFICATE_USD_PER_KWH = 0.005
"""Of an hourly certificate; assumed."""
LIAR_OVERHEAD = 1.45
METER_ERROR = 0.015
"""What two good meters may differ by; a lie below it is not seen by comparing them."""
INSPECTED = 0.1
"""Chance that who visits finds what was done to a meter by looking at its seals and wires."""
PACE_ERROR = 0.02
"""What honest cards of one model differ by."""
PACE_SPREAD, PACE_K = 0.05, 3.9
"""Of one execution against another, and how many of them are called slow: about one false alarm in 20,000 tests."""
LEASE_H = 4.0
"""Mean length of a lease."""
ESCROW_MARGIN = 1.25
STAKES = (1.0, 0.1, 0.0)
"""Of the reference stake; the player bonds what suits the lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One lie in one size."""

    lie: str
    size: str
    honest: Player
    lying: Player
    found: Player
    """The honest player while its evidence is lowered by the verdict."""
    chance: float = 0.0
    """Of being found on a day."""
    within_error: bool = False
    """Too small to be told from what honest meters and cards differ by; reported apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a year of a lie brings over a year of honesty, USD."""

    lie: str
    size: str
    gain_usd: float
    """Expected, over when it is found."""
    unseen_usd: float
    """If it never were."""
    honest_usd: float
    chance: float
    within_error: bool
    rarer: float
    """By how much more rarely the lie could be found before it pays; infinite where it never would."""


class Owner:
    """The reference site in a zone and a year, with the same leases in all its lives."""

    def __init__(self, world: Network, seed: int) -> None:
        self.world = world
        self.zone: Zone = world.zone
        self.seed = seed
        self.leased = leased_hours(self.zone, random.Random(f"{seed} {self.zone.zone} player"))
        self.site = course(self.leased, efficiency=0.97)
        self.mean_wh = float(np.mean(self.site.leased_it_wh + self.site.idle_it_wh) * HONEST_OVERHEAD)

        self.warm = Player(days=days_of(self.zone, self.site, overhead=LIAR_OVERHEAD))
        """Honest, on what the grid gives, with a plant that cools badly."""
        self.brown = Player(days=days_of(self.zone, self.site))
        """Honest, on what the grid gives."""
        self.supply_wh = contracted_wh(self.zone, self.mean_wh, 1.1)
        self.green = Player(
            days=days_of(self.zone, self.site, supply_wh=self.supply_wh, supply_usd_per_kwh=CERTIFICATE_USD_PER_KWH)
        )
        """Honest, with plants under contract."""
        self._years: dict[tuple[object, ...], Played] = {}
        self._kept: list[Days] = []
        """So that no other year gets the identity of one that is known."""

    def year(self, player: Player) -> Played:
        """A player's year."""
        # Lives are records of arrays; the same object is the same life.
        key = (id(player.days), player.stake_usd, player.names, player.energy, player.overhead, player.renewables)
        if player.bought_ms is not None or key not in self._years:
            self._years[key] = play(self.world, player)
            self._kept.append(player.days)
        return self._years[key]


def attempts(owner: Owner) -> Iterator[Attempt]:
    """All lies in all sizes."""
    yield from _overheads(owner)
    yield from _renewables(owner)
    yield from _throttles(owner)
    yield from _self_dealing(owner)
    yield from _noon_only(owner)
    yield from _splits(owner)
    yield from _squatters(owner)


def outcome(owner: Owner, attempt: Attempt) -> Outcome:
    """Both lives of a year, and what the lie is expected to bring."""
    honest, lying = owner.year(attempt.honest), owner.year(attempt.lying)
    more = lying.margin - honest.margin
    lowered = owner.year(attempt.found).margin - honest.margin if attempt.chance else np.zeros_like(more)
    lost = taken(attempt.lying.stake_usd, lying.earned)
    return Outcome(
        lie=attempt.lie,
        size=attempt.size,
        gain_usd=expected(more, lowered, attempt.chance, lost),
        rarer=rarer(more, lowered, attempt.chance, lost),
        unseen_usd=float(more.sum()),
        honest_usd=float(honest.margin.sum()),
        chance=attempt.chance,
        within_error=attempt.within_error,
    )


def expected(more: FloatArray, lowered: FloatArray, chance: float, taken_usd: FloatArray) -> float:
    """Mean over the day on which a lie is found.

    Until then each day brings `more`; then the verdict takes what it takes, and for a while the owner is honest with
    `lowered` evidence, and after that as ever. All (D,).
    """
    days = len(more)
    so_far, less = np.cumsum(more), np.cumsum(lowered)
    until = np.minimum(np.arange(days) + RULES.restored_days, days - 1)
    ended = so_far + less[until] - less - taken_usd
    unseen = (1 - chance) ** np.arange(days)
    return float(np.sum(unseen * chance * ended) + (1 - chance) ** days * so_far[-1])


def rarer(more: FloatArray, lowered: FloatArray, chance: float, taken_usd: FloatArray) -> float:
    """By how much the chance to be found may fall before the lie pays, to a twentieth; 1 or less where it does."""
    if more.sum() <= 0 or not chance:
        return math.inf
    factors = 1.05 ** np.arange(200)
    pays = [factor for factor in factors if expected(more, lowered, chance / factor, taken_usd) > 0]
    return float(pays[0]) if pays else math.inf


def taken(stake_usd: float, earned_usd: FloatArray) -> FloatArray:
    """What a verdict takes on each day: a share of what is bonded, at least the floor, at most what there is; (D,)."""
    wanted = max(stake_usd * RULES.slash_ppm / PPM, RULES.slash_floor_days * PAID_USD_PER_DAY)
    return np.minimum(stake_usd + earned_usd, wanted)


def margins(owner: Owner) -> tuple[Played, Played]:
    """An honest green year and an honest brown one, of the same site."""
    return owner.year(owner.green), owner.year(owner.brown)


def visited(seen: float = 1.0) -> float:
    """Chance a day that an endorser comes and sees it."""
    return seen / RULES.visit_days


def either(*chances: float) -> float:
    """Chance that any of several independent ones happens."""
    return 1.0 - float(np.prod([1.0 - one for one in chances]))


def _overheads(owner: Owner) -> Iterator[Attempt]:
    """The site meter misses a part of what the cooling draws, at a good plant and at a bad one."""
    floor = overhead_least("air")
    sizes = [
        (true, true * share) for true in (HONEST_OVERHEAD, LIAR_OVERHEAD) for share in (0.99, 0.97, 0.94, 0.9, 0.85)
    ]
    for true, told in (*sizes, (LIAR_OVERHEAD, floor + 0.02), (LIAR_OVERHEAD, floor - 0.05)):
        draw = random.Random(f"{owner.seed} overhead {told}")
        small = 1 - told / true <= METER_ERROR
        seen = bool(found_in(a_site(), signed(draw, true_minutes(draw, 30), overhead=told)))
        days = days_of(owner.zone, owner.site, overhead=true, told_overhead=told)
        for share in STAKES:
            honest = replace(owner.warm if true == LIAR_OVERHEAD else owner.brown, stake_usd=STAKE_USD * share)
            yield Attempt(
                lie="pue_liar",
                size=f"{told:.2f} for {true}, stake {share:.0%}",
                honest=honest,
                lying=replace(honest, days=days),
                found=replace(honest, overhead=Level.DECLARED),
                chance=1.0 if seen else visited(INSPECTED if small else 1.0),
                within_error=small,
            )


def _renewables(owner: Owner) -> Iterator[Attempt]:
    """A brown site feeds its production meter from the grid, or cancels certificates that were sold elsewhere too."""
    nameplate_w = 3 * owner.mean_wh
    for share, late_h in ((0.3, 0), (0.6, 0), (0.95, 0), (0.95, 8)):
        told = np.roll(owner.zone.clear, late_h) * nameplate_w * share
        chance = 1.0 if _solar_seen(owner, told, nameplate_w) else visited()
        for stake in STAKES:
            honest = replace(owner.brown, stake_usd=STAKE_USD * stake)
            yield Attempt(
                lie="renewables_liar",
                size=f"{share:.0%} of clear sky, {late_h} h late, stake {stake:.0%}",
                honest=honest,
                lying=replace(honest, days=days_of(owner.zone, owner.site, supply_wh=told), renewables=Level.METERED),
                found=replace(honest, renewables=Level.DECLARED),
                chance=chance,
            )
    for level in (Level.DECLARED, Level.DOCUMENTED):
        sold_twice = replace(
            owner.brown, days=days_of(owner.zone, owner.site, supply_wh=owner.supply_wh), renewables=level
        )
        yield Attempt(
            lie="renewables_liar",
            size=f"sold twice, {level}",
            honest=owner.brown,
            lying=sold_twice,
            found=owner.brown,
        )


def _solar_seen(owner: Owner, told_wh: FloatArray, nameplate_w: float) -> bool:
    """Whether the bound on the sky sees a day of it."""
    place = load_zones().zone(owner.zone.zone)
    return any(
        solar_findings(
            "plant",
            lat=place.lat,
            lon=place.lon,
            radius_km=0.0,
            hour_ms=owner.zone.start_ms + hour * HOUR_MS,
            nameplate_w=round(nameplate_w),
            found_wh=int(told_wh[hour]),
            uncertainty_ppm=5_000,
        )
        for hour in range(DAY_H)
    )


def _throttles(owner: Owner) -> Iterator[Attempt]:
    """Full clocks in challenges, less in leases: power saved, and leases last longer, up to what escrow holds."""
    gpu = catalogue.load().gpu(GPU)
    full_w = machines().busy_w
    whole = power.relative_rate(gpu, WORK)
    for cap_w in (640, 610, 560, 500, 400, 300):
        rate = power.relative_rate(gpu, WORK, cap_w) / whole
        busy_w = power.device_power_w(gpu, WORK, 1.0, cap_w) + power.host_power_w(gpu, 1.0)
        leased = np.minimum(np.minimum(owner.leased / rate, owner.leased * ESCROW_MARGIN), CONTAINERS)
        slow = course(leased, efficiency=0.97 * busy_w / full_w)
        drawn = float(owner.leased.mean()) * DAY_H / LEASE_H * RULES.shown_ppm / PPM
        again = 1 - (1 - min(1.0, ((1 - rate) / (PACE_K * PACE_SPREAD)) ** 2)) ** drawn
        days = days_of(owner.zone, slow, rate=rate)
        for stake in STAKES:
            honest = replace(owner.brown, stake_usd=STAKE_USD * stake)
            yield Attempt(
                lie="warm_up_cheat",
                size=f"{1 - rate:.1%} slower, stake {stake:.0%}",
                honest=honest,
                lying=replace(honest, days=days),
                found=replace(honest, energy=Level.DECLARED, overhead=Level.DECLARED),
                chance=either(again, visited()),
                within_error=1 - rate <= PACE_ERROR,
            )


def _self_dealing(owner: Owner) -> Iterator[Attempt]:
    """Idle containers are leased to a tenant of the owner's own, at work or at rest."""
    for share in (0.1, 0.5, 1.0):
        extra = (CONTAINERS - owner.leased) * share
        busy = course(owner.leased + extra, efficiency=0.97)
        rests = replace(busy, leased_it_wh=owner.site.leased_it_wh + extra * machines().idle_w)
        for green in (False, True):
            honest = owner.green if green else owner.brown
            for name, site in (("working", busy), ("resting", rests)):
                done = site.leased if name == "working" else owner.leased
                days = days_of(
                    owner.zone,
                    site,
                    supply_wh=owner.supply_wh if green else None,
                    supply_usd_per_kwh=CERTIFICATE_USD_PER_KWH,
                    rate=done / np.maximum(site.leased, 1e-9),
                )
                yield Attempt(
                    lie="self_dealing_tenant",
                    size=f"{share:.0%} of what is idle, {name}, {'green' if green else 'brown'}",
                    honest=honest,
                    lying=replace(honest, days=days, bought_ms=by_day(extra) * HOUR_MS),
                    found=honest,
                )


def _noon_only(owner: Owner) -> Iterator[Attempt]:
    """Containers are offered while the sun is high, all of whose energy is matched; the rest of the day is dark."""
    local = (np.arange(len(owner.leased)) + owner.zone.sun_ahead_h) % DAY_H
    for hours in (4, 8):
        at_noon = np.abs(local - 12) <= hours / 2
        for sleeps in (True, False):
            site = course(np.where(at_noon, owner.leased, 0.0), efficiency=0.97, sleeps=sleeps)
            use = (site.leased_it_wh + site.idle_it_wh) * HONEST_OVERHEAD
            supply = np.where(at_noon, use + 1, 0.0)
            days = days_of(owner.zone, site, supply_wh=supply, supply_usd_per_kwh=CERTIFICATE_USD_PER_KWH)
            yield Attempt(
                lie="noon_only",
                size=f"{hours} h, {'asleep' if sleeps else 'awake'} else",
                honest=owner.green,
                lying=replace(owner.green, days=days),
                found=owner.green,
            )


def _splits(owner: Owner) -> Iterator[Attempt]:
    """One owner appears as many; or its stake is there only when the epoch closes, so its least balance is nothing."""
    for names in (2, 10, 40):
        for honest in (owner.green, owner.brown):
            yield Attempt(
                lie="stake_parking_sybil",
                size=f"{names} names",
                honest=honest,
                lying=replace(honest, names=names),
                found=honest,
            )
    yield Attempt(
        lie="stake_parking_sybil",
        size="parked at the close",
        honest=owner.green,
        lying=replace(owner.green, stake_usd=0.0),
        found=owner.green,
    )


def _squatters(owner: Owner) -> Iterator[Attempt]:
    """An ask that next to nobody pays: stake earns, certificates cover what idles, containers do not work."""
    for mean, sleeps in ((0.02, True), (0.02, False), (0.12, True)):
        leased = leased_hours(owner.zone, random.Random(f"{owner.seed} squatter {mean}"), mean)
        leased = leased * min(1.0, mean * CONTAINERS / max(float(leased.mean()), 1e-9))
        site = course(leased, sleeps=sleeps)
        use = (site.leased_it_wh + site.idle_it_wh) * HONEST_OVERHEAD
        days = days_of(owner.zone, site, supply_wh=use + 1, supply_usd_per_kwh=CERTIFICATE_USD_PER_KWH)
        yield Attempt(
            lie="idle_squatter",
            size=f"leased {mean:.0%}, {'asleep' if sleeps else 'awake'}",
            honest=owner.green,
            lying=replace(owner.green, days=days),
            found=owner.green,
        )
