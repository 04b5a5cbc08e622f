"""A year of epochs, a day each, through the product's own settlement: what one player's margin is, day by day.

A player is what its readings, certificates and stake say, which a lie changes, and what it truly draws and pays for,
which it does not. All others of the network are honest, of many colours and qualities, and the same in every play.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks._game_world import (
    CONTAINERS,
    DAY_H,
    WORK,
    Course,
    Zone,
    contracted_wh,
    course,
    leased_hours,
    machines,
    matched_wh,
)
from sunward.model.events import NetworkStarted
from sunward.model.plan import PolicyInputs
from sunward.model.trust import Dimension, Level, cap_ppm
from sunward.settlement.bonus import BonusTerms, Reference, ShownWork, SiteSaving, SiteWork, bonuses, site_saving
from sunward.settlement.ceiling import fees_by_owner, rewards
from sunward.settlement.entries import Origin, Settlement, Terms, settle_job
from sunward.settlement.offset import next_share_bps
from sunward.settlement.weights import SiteGreen, SiteRecord, Staker, StakingTerms, site_green, staking_rewards
from sunward.units import DAY_MS, HOUR_MS, HOUR_S, J_PER_WH, MICRO, MILLIJOULE_PER_J, PPM, WH_PER_KWH, price_usd_micro
from sunward.world.snapshot import FloatArray

WEI_PER_USD_MICRO = 10**14
"""One ATH is one cent."""
WEI_PER_USD = WEI_PER_USD_MICRO * MICRO
ASK_USD_MICRO_PER_H = 2_000_000
OTHERS = 20
TRAILING_DAYS = 30
ORIGIN = Origin(sequence=0, first=0, epoch=0, at_ms=0)
PUE_REFERENCE_PPM = 1_300_000
HONEST_OVERHEAD = 1.2
ME = "player"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the network's rules say of stake, in figures that fit the reference site."""

    green_ppm: int = 500_000
    staking_fee_share: float = 0.4
    """F, as a share of the fees that the network took on its first day."""
    bonus_fee_share: float = 0.04
    """B, likewise."""
    stake_days: float = 30.0
    """Stake of an honest provider, in days of what its jobs pay."""
    stake_usd_per_kwh: float = 10.0
    """κ."""
    load_min_ppm: int = 100_000
    slash_ppm: int = 500_000
    """Of what is bonded, by a verdict."""
    slash_floor_days: float = 10.0
    """And at least so many days of pay; who bonds nothing answers with what it earned."""
    answer_ppm: int = 2_500
    """Most that is linked to work, an epoch, as a share of the stake that answers for it."""
    shown_ppm: int = 20_000
    """Share of leases drawn to be executed again: the work that the bonus counts."""
    visit_days: float = 180.0
    """An endorser is at a site once in so many days, unannounced."""
    restored_days: int = 30
    """After a verdict, until new evidence of the dimension counts."""


RULES = Rules()
PAID_USD_PER_DAY = CONTAINERS * DAY_H * 0.6 * ASK_USD_MICRO_PER_H / MICRO
STAKE_USD = RULES.stake_days * PAID_USD_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Days:
    """What the network reads of one site, and what it costs its owner: (D,) each."""

    leased_wh: FloatArray
    """As told."""
    facility_wh: FloatArray
    matched_wh: FloatArray
    leased_ms: FloatArray
    shown_units: FloatArray
    shown_it_j: FloatArray
    shown_facility_j: FloatArray
    cost_usd: FloatArray
    """Electricity as truly drawn, and what certificates cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """One owner."""

    days: Days
    stake_usd: float = STAKE_USD
    energy: Level = Level.METERED
    overhead: Level = Level.METERED
    renewables: Level = Level.ATTESTED
    names: int = 1
    """Under so many owners the stake and the site appear."""
    ask_usd_micro_per_h: int = ASK_USD_MICRO_PER_H
    bought_ms: FloatArray | None = None
    """Of the leased time, what the player itself bought."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Played:
    """What a year brought, USD by day: (D,) each."""

    pay: FloatArray
    base: FloatArray
    green: FloatArray
    bonus: FloatArray
    cost: FloatArray

    @property
    def earned(self) -> FloatArray:
        """What the network owes the owner so far, at the end of each day."""
        return np.cumsum(np.maximum(self.pay, 0.0))

    @property
    def margin(self) -> FloatArray:
        """All of it."""
        return self.pay + self.base + self.green + self.bonus - self.cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """All others, in one epoch."""

    stakers: tuple[Staker, ...]
    savings: tuple[SiteSaving, ...]
    fees: Mapping[str, int]
    offset_share_bps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """All others over the year, and the epoch's budgets."""

    zone: Zone
    epochs: tuple[Epoch, ...]
    staking: StakingTerms
    bonus_budget_wei: int
    saved_min_j: int
    reference: Reference


def days_of(
    zone: Zone,
    site: Course,
    *,
    overhead: float = HONEST_OVERHEAD,
    told_overhead: float | None = None,
    told_energy: float = 1.0,
    supply_wh: FloatArray | None = None,
    supply_usd_per_kwh: float = 0.0,
    rate: FloatArray | float = 1.0,
) -> Days:
    """Sum a year by days. `told_*` is what the readings say instead of the truth; `rate` is work done by the hour."""
    told = (told_overhead or overhead) * told_energy
    facility_wh = (site.leased_it_wh + site.idle_it_wh) * told
    matched = matched_wh(zone, facility_wh, supply_wh) if supply_wh is not None else np.zeros_like(facility_wh)
    true_kwh = (site.leased_it_wh + site.idle_it_wh) * overhead / WH_PER_KWH
    bought_kwh = (supply_wh if supply_wh is not None else np.zeros_like(true_kwh)) / WH_PER_KWH
    shown = RULES.shown_ppm / PPM
    return Days(
        leased_wh=by_day(site.leased_it_wh * told),
        facility_wh=by_day(facility_wh),
        matched_wh=by_day(matched),
        leased_ms=by_day(site.leased) * HOUR_MS,
        shown_units=by_day(site.leased * rate) * shown * HOUR_S,
        shown_it_j=by_day(site.leased_it_wh * told_energy) * shown * J_PER_WH,
        shown_facility_j=by_day(site.leased_it_wh * told) * shown * J_PER_WH,
        cost_usd=by_day(true_kwh * zone.price_usd_per_kwh) + by_day(bought_kwh) * supply_usd_per_kwh,
    )


def by_day(hourly: FloatArray) -> FloatArray:
    """Sums of days."""
    return hourly.reshape(-1, DAY_H).sum(axis=1)


def network(zone: Zone, seed: int) -> Network:
    """Honest others: a third brown, a third of some green, a third green; overheads and chips of all kinds."""
    others = {
        f"other-{number:02}": _other(zone, random.Random(f"{seed} {zone.zone} other {number}"), number)
        for number in range(OTHERS)
    }
    reference = Reference(energy_mj=round(machines().busy_w * MILLIJOULE_PER_J), pue_ppm=PUE_REFERENCE_PPM)
    share_bps = STARTED.offset_start_bps
    first_fees = sum(_fees(others, 0, share_bps).values())
    epochs, liability_mg, held_wei = [], 0, 0
    for day in range(zone.days):
        paid = [_settled(owner, other, day, share_bps) for owner, other in others.items()]
        held_wei += sum(one.offset_wei for one in paid)
        liability_mg += _emitted_mg(zone, others, day)
        epochs.append(
            Epoch(
                stakers=tuple(_staker(owner, other, day) for owner, other in others.items()),
                savings=tuple(_saving(owner, other, day, reference) for owner, other in others.items()),
                fees=fees_by_owner(paid),
                offset_share_bps=share_bps,
            )
        )
        share_bps = next_share_bps(
            STARTED,
            share_bps,
            liability_mg=liability_mg,
            held_wei=held_wei,
            forecast_flow_wei=sum(one.price_wei for one in paid),
            wei_per_usd_micro=WEI_PER_USD_MICRO,
        )
    reference_j = machines().busy_w * CONTAINERS * DAY_H * HOUR_S * RULES.shown_ppm / PPM
    return Network(
        zone=zone,
        epochs=tuple(epochs),
        staking=StakingTerms(
            budget_wei=round(first_fees * RULES.staking_fee_share),
            green_ppm=RULES.green_ppm,
            stake_wei_per_wh=round(RULES.stake_usd_per_kwh * WEI_PER_USD / WH_PER_KWH),
        ),
        bonus_budget_wei=round(first_fees * RULES.bonus_fee_share),
        saved_min_j=max(1, round(reference_j * OTHERS * 0.02)),
        reference=reference,
    )


STARTED = NetworkStarted(network="game", policy=PolicyInputs(), epoch_ms=DAY_MS)


def _other(zone: Zone, draw: random.Random, number: int) -> Player:
    site = course(leased_hours(zone, draw, draw.uniform(0.4, 0.8)), efficiency=draw.gauss(1.0, 0.08))
    overhead = draw.uniform(1.08, 1.5)
    cover = (0.0, draw.uniform(0.2, 0.8), draw.uniform(0.9, 1.3))[number % 3]
    mean_wh = float(np.mean((site.leased_it_wh + site.idle_it_wh) * overhead))
    supply = contracted_wh(zone, mean_wh, cover) if cover else None
    days = days_of(zone, site, overhead=overhead, supply_wh=supply)
    return Player(days=days, stake_usd=STAKE_USD * draw.uniform(0.3, 2.0))


def _emitted_mg(zone: Zone, others: Mapping[str, Player], day: int) -> int:
    mean_mg_per_wh = float(zone.carbon_g_per_kwh[day * DAY_H : (day + 1) * DAY_H].mean())
    return round(sum(float(other.days.facility_wh[day]) for other in others.values()) * mean_mg_per_wh)


def _fees(others: Mapping[str, Player], day: int, share_bps: int) -> dict[str, int]:
    return fees_by_owner([_settled(owner, other, day, share_bps) for owner, other in others.items()])


def _settled(owner: str, player: Player, day: int, share_bps: int, part: int = 1) -> Settlement:
    """All of a day's jobs as one."""
    price = price_usd_micro(int(player.days.leased_ms[day]) // part, player.ask_usd_micro_per_h)
    terms = Terms(wei_per_usd_micro=WEI_PER_USD_MICRO, offset_share_bps=share_bps, provider_share_bps=8_000)
    return settle_job(
        ORIGIN,
        terms,
        job=owner,
        tenant="t",
        escrow_wei=price * WEI_PER_USD_MICRO,
        prices_usd_micro={owner: price},
    )


def _record(player: Player, day: int) -> SiteRecord:
    """The trailing days, as final receipts and certificates have them."""
    days = slice(max(0, day + 1 - TRAILING_DAYS), day + 1)
    one = player.days
    facility_wh = int(one.facility_wh[days].sum())
    recent = np.flatnonzero(one.matched_wh[: day + 1])
    return SiteRecord(
        leased_wh=min(facility_wh, int(one.leased_wh[days].sum())),
        facility_wh=facility_wh,
        matched_wh=min(facility_wh, int(one.matched_wh[days].sum())),
        leased_ms=int(one.leased_ms[days].sum()),
        present_ms=CONTAINERS * DAY_MS * (days.stop - days.start),
        epochs_unmatched=int(day - recent[-1]) if len(recent) else day + 1,
        energy_cap_ppm=cap_ppm(Dimension.ENERGY, player.energy),
        renewables_cap_ppm=cap_ppm(Dimension.RENEWABLES, player.renewables),
    )


def _staker(owner: str, player: Player, day: int, part: int = 1) -> Staker:
    green = site_green(owner, _record(player, day), load_min_ppm=RULES.load_min_ppm)
    site = SiteGreen(site=owner, energy_wh=green.energy_wh // part, q_ppm=green.q_ppm)
    return Staker(owner=owner, stake_wei=round(player.stake_usd * WEI_PER_USD) // part, sites=(site,))


def _saving(owner: str, player: Player, day: int, reference: Reference, part: int = 1) -> SiteSaving:
    one = player.days
    it_j = int(one.shown_it_j[day]) // part
    shown = ShownWork(
        work_class=WORK,
        units=int(one.shown_units[day]) // part,
        it_j=it_j,
        facility_j=max(it_j, int(one.shown_facility_j[day]) // part),
    )
    work = SiteWork(
        owner=owner,
        site=owner,
        work=(shown,),
        energy_cap_ppm=cap_ppm(Dimension.ENERGY, player.energy),
        overhead_cap_ppm=cap_ppm(Dimension.OVERHEAD, player.overhead),
    )
    return site_saving(work, {WORK: reference})


def play(world: Network, player: Player) -> Played:
    """A year of one player among the others."""
    columns: dict[str, list[float]] = {"pay": [], "base": [], "green": [], "bonus": []}
    names = [f"{ME}-{number}" for number in range(player.names)]
    budget_wei = 0
    for day, epoch in enumerate(world.epochs):
        budget_wei += world.bonus_budget_wei
        mine = [_settled(name, player, day, epoch.offset_share_bps, player.names) for name in names]
        stakers = [*epoch.stakers, *(_staker(name, player, day, player.names) for name in names)]
        savings = [*epoch.savings, *(_saving(name, player, day, world.reference, player.names) for name in names)]
        found = rewards(
            staking_rewards(world.staking, stakers),
            bonuses(BonusTerms(budget_wei=budget_wei, saved_min_j=world.saved_min_j), savings),
            {**epoch.fees, **fees_by_owner(mine)},
            answer_ppm=RULES.answer_ppm,
        )
        budget_wei -= sum(one.bonus_wei for one in found)
        ours = [one for one in found if one.owner.startswith(ME)]
        columns["pay"].append(_usd(sum(one.provider_wei for one in mine)) - _spent_usd(player, day))
        for name in ("base", "green", "bonus"):
            columns[name].append(_usd(sum(getattr(one, f"{name}_wei") for one in ours)))
    arrays = {name: np.array(values) for name, values in columns.items()}
    return Played(**arrays, cost=player.days.cost_usd)


def _usd(wei: int) -> float:
    return wei / WEI_PER_USD


def _spent_usd(player: Player, day: int) -> float:
    """What the player paid for jobs of its own."""
    return (
        0.0 if player.bought_ms is None else float(player.bought_ms[day]) / HOUR_MS * player.ask_usd_micro_per_h / MICRO
    )
