"""Stake, what is earned by it, and what may be taken of it; docs/settlement.md. Amounts are wei."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.units import PPM

MOVEMENT_BPS_MAX = 5
"""Most of a movement of stake, or of a claim, that may go to carbon credits."""
ANSWER_PPM = 2_500
"""For half of the stake lost, and one day in 180 on which a lie is found; epochs of a day (ADR 48)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlashTerm:
    """What a verdict takes."""

    fault: str
    """Key of the fault; empty: every fault that is not named."""
    ppm: int
    """Share of what was bonded when the verdict was issued."""
    floor_wei: int
    """At least so much, where there is as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkReference:
    """What a unit of work of one class takes, against which savings are counted."""

    work_class: str
    energy_mj: int
    """IT energy of a unit of reference work, in millijoules: e_ref."""
    overhead_ppm: int
    """PUE_ref; 1,000,000 = 1.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StakingRules:
    """How this network pays for stake and takes it, whole."""

    green_ppm: int
    """g: share of the budget that only stake earns which renewable work backs."""
    staking_budget_wei: int
    """F, an epoch."""
    bonus_budget_wei: int
    """B, an epoch; what is not paid is there in the next one."""
    stake_wei_per_wh: int
    """κ: stake that one Wh of leased, renewable energy backs."""
    load_min_ppm: int
    """Share of its container time that a site must have been leased for, or its supply counts nothing."""
    saved_min_j: int
    """S_min: below so much saved by all together, the bonus budget is not paid in full."""
    answer_ppm: int = ANSWER_PPM
    """Most that is linked to work, an epoch, as a share of the stake that answers for it: no more than what a verdict
    takes, times the chance to be found in an epoch."""
    movement_bps: int = MOVEMENT_BPS_MAX
    """Of stake that moves and of claims, to carbon credits."""
    detection_ms: int
    """Longest time after which a check may still find a fault."""
    appeal_ms: int
    """Longest time from a verdict to its end."""
    exit_delay_ms: int
    """Between asking for stake back and its payment; never shorter than the two together."""
    slash: tuple[SlashTerm, ...] = ()
    references: tuple[WorkReference, ...] = ()
    """Count two epochs later: a whole one lies between their word and their use."""

    def slash_term(self, fault: str) -> SlashTerm:
        """What a fault takes; nothing where the schedule does not name it and has no line for all others."""
        known = {one.fault: one for one in self.slash}
        return known.get(fault) or known.get("") or SlashTerm(fault=fault, ppm=0, floor_wei=0)

    def slash_wei(self, fault: str, bonded_then_wei: int, held_wei: int) -> int:
        """What a verdict takes now, of stake, exits and pay; `bonded_then_wei`: stake and exits when it was issued."""
        term = self.slash_term(fault)
        return min(held_wei, max(bonded_then_wei * term.ppm // PPM, term.floor_wei))


@dataclass(frozen=True, slots=True, kw_only=True)
class StakeExit:
    """Stake that its owner asked back."""

    owner: str
    request: str
    amount_wei: int
    """Less what verdicts took since."""
    due_ms: int
    """Grid time at which it is paid."""
    on_chain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteShare:
    """What one site brought into the reward of its owner: of the last thirty days, in final receipts."""

    site: str
    leased_wh: int
    facility_wh: int
    """Leased and idle, asleep included."""
    renewable_wh: int
    """Matched in the hour."""
    leased_ms: int
    """Container time under lease."""
    present_ms: int
    """Container time there was."""
    epochs_unmatched: int
    """Epochs since the last matched hour."""
    energy_cap_ppm: int
    """Of the evidence that the joules are those drawn."""
    renewables_cap_ppm: int
    """Of the evidence that the supply was renewable."""
    energy_wh: int
    """E: leased energy that counts."""
    q_ppm: int
    """q: share of its supply that counts as renewable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardLine:
    """What one owner was given for one epoch, with every figure it follows from."""

    epoch: int
    owner: str
    stake_wei: int
    """Least balance of the epoch."""
    backed_wei: int
    """Of it, what renewable work backs."""
    base_wei: int
    green_wei: int
    bonus_wei: int
    pue_part_j: int
    """Joules that shown work saved by its site's overhead, against the reference; may be below zero."""
    it_part_j: int
    """And by its computers."""
    counted_j: int
    """Of both, what counts under the evidence there is."""
    fees_wei: int
    """What the network took of the payments of jobs at its sites."""
    cut_wei: int
    """What the ceiling took off bonus, then green."""
    sites: tuple[SiteShare, ...] = ()

    @property
    def reward_wei(self) -> int:
        """All it was given."""
        return self.base_wei + self.green_wei + self.bonus_wei


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRewards:
    """What one epoch handed out to stake: sums of its reward lines."""

    owners: int
    """How many lines there are."""
    base_wei: int
    """For stake, whatever its energy."""
    green_wei: int
    """For stake that backs renewable work."""
    bonus_wei: int
    """For work done with less energy than its reference."""
    cut_wei: int
    """What the ceiling took off green and bonus; it stays in the budgets."""
    budget_staking_wei: int
    """What the budgets hold after it."""
    budget_bonus_wei: int
    lines_root: str
    """Merkle root over the SHA-256 of every line, in order of owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StakeView:
    """What one owner has bonded, on its way out, and not claimed."""

    owner: str
    stake_wei: int
    earning_wei: int
    """What counts in this epoch: its least balance so far."""
    exit_wei: int
    exits: tuple[StakeExit, ...]
    rewards_wei: int
    """Not claimed."""
    earned_wei: int
    """Ever."""
    slashed_wei: int
    """Ever taken by verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StakeRequest:
    """A provider bonds, or asks back."""

    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """A provider takes what it earned."""

    amount_wei: int = 0
    """0 = all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardPage:
    """A part of what one epoch gave."""

    epoch: int
    lines: tuple[RewardLine, ...]
    next: str | None
    """Owner after whom the next page starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmRequest:
    """What the fault of a verdict cost somebody."""

    tenant: str
    ref: str
    """The job or promise."""
    amount_wei: int
    """0 = nothing after all."""
