"""What is linked to work ends at half the fees it brought, so that nobody can buy jobs from himself for the rewards.

And it ends at a share of the stake that answers for it, so that no lie earns more than its author may lose; savings
leave half of it to green supply. docs/settlement.md, ceiling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sunward.errors import InvariantError
from sunward.settlement.bonus import Bonus
from sunward.settlement.entries import Settlement
from sunward.settlement.weights import StakingReward
from sunward.units import PPM

FEES_PER_REWARD = 2
"""A wei of reward needs two of fees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """What an owner gets for an epoch, and what the ceiling took; what was taken stays in its budget."""

    owner: str
    base_wei: int
    green_wei: int
    bonus_wei: int
    fees_wei: int
    green_cut_wei: int
    bonus_cut_wei: int

    @property
    def staking_wei(self) -> int:
        """Out of the budget of staking."""
        return self.base_wei + self.green_wei

    @property
    def reward_wei(self) -> int:
        """Out of both budgets."""
        return self.base_wei + self.green_wei + self.bonus_wei


def fees_by_owner(settlements: Iterable[Settlement]) -> dict[str, int]:
    """The network's part of payments by the owners of the sites that earned them, each rounded down."""
    fees: dict[str, int] = {}
    for one in settlements:
        for owner, wei in one.providers:
            fees[owner] = fees.get(owner, 0) + (one.network_wei * wei // one.provider_wei if wei else 0)
    return fees


def rewards(
    staking: Iterable[StakingReward], bonuses: Iterable[Bonus], fees: Mapping[str, int], *, answer_ppm: int
) -> tuple[Reward, ...]:
    """Rewards under the ceiling, in order of owner: the bonus gives way first, then green; base is not linked to work.

    The bonus has at most half of the ceiling, or whoever saves much would gain nothing by green supply.

    `answer_ppm`: most that is linked to work, as a share of the stake that was bonded through the whole epoch.
    Raises: InvariantError for an owner named twice.
    """
    of_stake, of_savings = list(staking), list(bonuses)
    for owners in ([one.owner for one in of_stake], [one.owner for one in of_savings]):
        if len(set(owners)) < len(owners):
            raise InvariantError("an owner is rewarded twice")
    stakes = {one.owner: one for one in of_stake}
    savings = {one.owner: one for one in of_savings}
    return tuple(
        _under_ceiling(owner, stakes.get(owner), savings.get(owner), fees.get(owner, 0), answer_ppm)
        for owner in sorted(stakes.keys() | savings.keys())
    )


def _under_ceiling(
    owner: str, stake: StakingReward | None, saving: Bonus | None, fees_wei: int, answer_ppm: int
) -> Reward:
    green_wei = stake.green_wei if stake else 0
    bonus_wei = saving.bonus_wei if saving else 0
    answered_wei = stake.stake_wei * answer_ppm // PPM if stake else 0
    ceiling_wei = min(fees_wei // FEES_PER_REWARD, answered_wei)
    green_kept_wei = min(green_wei, ceiling_wei)
    bonus_kept_wei = min(bonus_wei, ceiling_wei // 2, ceiling_wei - green_kept_wei)
    return Reward(
        owner=owner,
        base_wei=stake.base_wei if stake else 0,
        green_wei=green_kept_wei,
        bonus_wei=bonus_kept_wei,
        fees_wei=fees_wei,
        green_cut_wei=green_wei - green_kept_wei,
        bonus_cut_wei=bonus_wei - bonus_kept_wei,
    )
