"""Green staking: how one epoch's budget divides by stake and by the green energy that backs it.

Integers only, rounded down once at the end. Formulas, and why they cannot be gamed by splitting: docs/settlement.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sunward.errors import InvariantError
from sunward.units import PPM

EPOCHS_FRESH = 2
"""Matched supply counts for so many epochs after its last hour, then no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRecord:
    """What final receipts, seals and certificates say of one site over the trailing days."""

    leased_wh: int
    """Facility energy of leases."""
    facility_wh: int
    """All facility energy, asleep and idle included."""
    matched_wh: int
    """Of these, renewable in the same hour and market."""
    leased_ms: int
    """Container time under lease."""
    present_ms: int
    """Container time there was."""
    epochs_unmatched: int
    """Epochs closed since the one of the last matched hour."""
    energy_cap_ppm: int
    """Cap of the evidence that the joules are those drawn."""
    renewables_cap_ppm: int
    """Cap of the evidence that the supply was renewable, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteGreen:
    """What one site brings into the weight of its owner."""

    site: str
    energy_wh: int
    """Leased energy that counts: E."""
    q_ppm: int
    """Share of its supply that counts as renewable: q."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staker:
    """One owner: what was bonded through the whole epoch, and its sites."""

    owner: str
    stake_wei: int
    """The least balance of the epoch."""
    sites: tuple[SiteGreen, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StakingTerms:
    """What an epoch pays for stake."""

    budget_wei: int
    """F, all of which is paid where every stake is backed by green energy."""
    green_ppm: int
    """g: the share of the budget that only backed stake earns."""
    stake_wei_per_wh: int
    """κ: stake that one green Wh backs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StakingReward:
    """What one owner's stake earned, before the ceiling of what is linked to work."""

    owner: str
    stake_wei: int
    backed_wei: int
    """Stake that green energy backs, rounded down for showing; the reward is worked out of the exact figure."""
    base_wei: int
    green_wei: int

    @property
    def reward_wei(self) -> int:
        """Both parts."""
        return self.base_wei + self.green_wei


def site_green(site: str, record: SiteRecord, *, load_min_ppm: int) -> SiteGreen:
    """What a site brings: its leased energy, and q over all its energy, each times the cap of its evidence.

    q is 0 below the least load, and once the last matched hour is too old. Raises: InvariantError on impossible sums.
    """
    _check(record)
    energy_wh = record.leased_wh * record.energy_cap_ppm // PPM
    loaded = record.leased_ms * PPM >= load_min_ppm * record.present_ms and record.present_ms > 0
    if not loaded or record.epochs_unmatched > EPOCHS_FRESH or record.facility_wh == 0:
        return SiteGreen(site=site, energy_wh=energy_wh, q_ppm=0)
    return SiteGreen(
        site=site, energy_wh=energy_wh, q_ppm=record.matched_wh * record.renewables_cap_ppm // record.facility_wh
    )


def staking_rewards(terms: StakingTerms, stakers: Iterable[Staker]) -> tuple[StakingReward, ...]:
    """Divide an epoch's budget; in order of owner. Together at most the budget, and nothing where nobody staked.

    Raises: InvariantError for an owner named twice and for figures out of range.
    """
    found = sorted(stakers, key=lambda one: one.owner)
    if len({one.owner for one in found}) < len(found):
        raise InvariantError("an owner's stake is counted twice")
    staked_wei = sum(one.stake_wei for one in found)
    return tuple(_reward(terms, one, staked_wei) for one in found)


def backed_ppm_wei(terms: StakingTerms, staker: Staker) -> int:
    """Stake that the owner's green energy backs, in millionths of a wei: exact, at most all of it."""
    green_ppm_wh = sum(one.q_ppm * one.energy_wh for one in staker.sites)
    return min(staker.stake_wei * PPM, terms.stake_wei_per_wh * green_ppm_wh)


def _reward(terms: StakingTerms, staker: Staker, staked_wei: int) -> StakingReward:
    if staker.stake_wei < 0 or any(one.energy_wh < 0 or not 0 <= one.q_ppm <= PPM for one in staker.sites):
        raise InvariantError(f"stake or energy of {staker.owner} is out of range")
    backed = backed_ppm_wei(terms, staker)
    base_weight = (PPM - terms.green_ppm) * PPM * staker.stake_wei
    weight = base_weight + terms.green_ppm * backed
    whole = PPM * PPM * staked_wei or 1
    base_wei = terms.budget_wei * base_weight // whole
    return StakingReward(
        owner=staker.owner,
        stake_wei=staker.stake_wei,
        backed_wei=backed // PPM,
        base_wei=base_wei,
        green_wei=terms.budget_wei * weight // whole - base_wei,
    )


def _check(record: SiteRecord) -> None:
    counts = (record.leased_wh, record.matched_wh, record.leased_ms, record.epochs_unmatched)
    caps = (record.energy_cap_ppm, record.renewables_cap_ppm)
    if min(counts) < 0 or not all(0 <= cap <= PPM for cap in caps):
        raise InvariantError("a site's figures are out of range")
    if max(record.leased_wh, record.matched_wh) > record.facility_wh or record.leased_ms > record.present_ms:
        raise InvariantError("a site leased or matched more than there was")
