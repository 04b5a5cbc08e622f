"""What happens on the chain, or because of it, as recorded in the journal; docs/chain.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sunward.model.identity import TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainNamed:
    """From now on rewards are paid on this chain, by these contracts, and nowhere else."""

    chain_id: int
    token: str
    registry: str
    distributor: str
    vault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletBound:
    """An owner is paid at an address; the wallet signed that it is."""

    owner: TenantId
    address: str
    signature: str
    """Of the wallet over `wallet_words` (EIP-191), hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochPosted:
    """All that an epoch puts on the chain is final there."""

    epoch: int
    evidence_root: str
    """SHA-256 of the epoch's statement."""
    rewards_root: str
    """Of the leaves; the hash of nothing where nobody has any."""
    block: int
    """The last one of its transactions."""


OnChain: TypeAlias = ChainNamed | WalletBound | EpochPosted
KINDS: dict[str, tuple[type[OnChain], int]] = {
    "chain_named": (ChainNamed, 1),
    "wallet_bound": (WalletBound, 1),
    "epoch_posted": (EpochPosted, 1),
}
"""Kinds and versions, as `events.KINDS` takes them over."""
