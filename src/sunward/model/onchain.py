"""What of the network stands on a chain: contracts, wallets, and what each epoch pays; docs/chain.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """An address of an owner: rewards of the epoch it was bound in, and later ones, are paid there."""

    owner: str
    address: str
    """`0x` and 40 lower-case hex digits."""
    number: int
    """How many the owner had before it."""
    epoch: int
    """In which it was bound."""
    before_wei: int = 0
    """What was due to the owner's earlier addresses; those have it for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """What one address may have claimed in all."""

    address: str
    """Whose it is stands in the journal alone."""
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
    retired_wei: int = 0
    """All that the vault must have paid for retired credits by now; the statement's `offset` lists what they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletRequest:
    """A provider names where it is paid."""

    address: str
    signature: str
    """Of the wallet over `wallet_words` (EIP-191): 0x and 130 hex digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletView:
    """Where an owner is paid; what a wallet signs to be bound names network and owner."""

    network: str
    owner: str
    address: str
    """Empty while it is paid in the books."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemView:
    """One call that is not final yet."""

    item: str
    transaction: str
    """Empty while it is not signed."""
    block: int
    """-1 while no block holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainStatus:
    """How posting stands."""

    chain_id: int
    token: str
    registry: str
    distributor: str
    vault: str
    posted: int
    """The newest epoch that is final; -1 before the first."""
    waiting: tuple[ItemView, ...] = ()
    trouble: str = ""
    """What keeps it from posting now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedView:
    """An epoch as it goes to the chain."""

    epoch: int
    statement: str
    """Its text, byte for byte: its SHA-256 is what the registry holds."""
    sequence: int
    """The record of the journal that closed it."""
    journal_head: str
    """Hash of that record: the registry holds it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafView:
    """What a claim needs."""

    chain_id: int
    distributor: str
    epoch: int
    address: str
    cumulative_wei: int
    salt: str
    root: str
    proof: tuple[str, ...]


def wallet_words(network: str, owner: str, address: str) -> str:
    """What a wallet signs (EIP-191) to be bound to an owner."""
    return f"sunward-wallet/1\n{network}\n{owner}\n{address}\n"
