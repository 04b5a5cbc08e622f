"""What of the network stands on a chain: contracts, wallets, and what each epoch pays; docs/chain.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """An address of an owner: rewards of the epoch it was bound in, and later ones, are paid there."""

    owner: str
    address: str
    """`0x` and 40 lower-case hex digits."""
    epoch: int
    """In which it was bound."""
    before_wei: int = 0
    """What was due to the owner's earlier addresses; those have it for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """What one address may have claimed in all."""

    owner: str
    address: str
    cumulative_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainStatement:
    """What of an epoch goes to the chain; anybody can make the distributor's root again from it."""

    chain_id: int
    distributor: str
    payouts: tuple[Payout, ...]
    """In order of address: every leaf but its salt, which follows from the journal (docs/chain.md)."""
    funded_wei: int
    """All that the distributor must have received by now: treasury, budgets, and rewards claimed there or not."""
    offset_wei: int
    """All that the vault for credits must have received by now."""
    unbound_wei: int
    """Rewards of owners without a wallet: they lie in the distributor, and no leaf has them yet."""


def wallet_words(network: str, owner: str, address: str) -> str:
    """What a wallet signs (EIP-191) to be bound to an owner."""
    return f"sunward-wallet/1\n{network}\n{owner}\n{address}\n"
