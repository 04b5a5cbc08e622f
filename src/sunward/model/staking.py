"""Stake, and what is earned by it; docs/settlement.md. Amounts are wei."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRewards:
    """What one epoch handed out to stake: sums of its reward lines."""

    owners: int
    """How many were given anything."""
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
    """Merkle root over the SHA-256 of every owner's line, in order of owner."""
