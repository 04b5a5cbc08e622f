"""What happens to stake and rewards, as recorded in the journal; docs/settlement.md.

A request is named by whoever asks, and the same one recorded again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.identity import TenantId
from sunward.model.staking import StakingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class StakingRulesSet:
    """How stake is paid and taken from now on, whole."""

    rules: StakingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class StakeRequested:
    """An owner bonds what it has earned, or, seen on the chain, what it had in its wallet."""

    owner: TenantId
    request: str
    amount_wei: int
    on_chain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstakeRequested:
    """An owner asks stake back; it is paid when the delay is over."""

    owner: TenantId
    request: str
    amount_wei: int
    on_chain: bool = False
    """Then it is paid when its withdrawal is seen there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitWithdrawn:
    """A matured exit of the chain was withdrawn there."""

    owner: TenantId
    request: str
    """Of the exit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardsClaimed:
    """An owner takes what it earned."""

    owner: TenantId
    request: str
    amount_wei: int = 0
    """0 = all there is."""
    on_chain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmTold:
    """Somebody was harmed by what a verdict is about: what is taken for it pays them first."""

    verdict: str
    tenant: TenantId
    ref: str
    """The job or promise."""
    amount_wei: int
    by: TenantId
