"""Stake: who asked for what, what is on its way out, and what verdicts took. Integers only.

Balances stand in the ledger; here stands what they alone do not tell. Entries are made here and posted by the engine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sunward import units
from sunward.model.ledger import Entry
from sunward.model.staking import StakeExit, StakingRules
from sunward.settlement.entries import Origin, movement
from sunward.settlement.ledger import (
    FAUCET,
    OFFSET,
    RESERVE,
    SLASHED,
    Ledger,
    exit_account,
    provider_account,
    rewards_account,
    stake_account,
    tenant_account,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What a verdict's fault cost somebody."""

    tenant: str
    ref: str
    amount_wei: int


@dataclass(slots=True, kw_only=True)
class Charge:
    """A verdict that may take stake, until it has."""

    bonded_wei: int
    """Stake and exits of its owner when it was issued."""
    harms: list[Harm] = field(default_factory=list)
    owed_wei: int = 0
    """What its owner owes by what it is about: it takes no less, as far as there is stake."""


@dataclass(slots=True)
class StakeBook:
    """Changed in place by one writer."""

    rules: StakingRules | None = None
    told: list[tuple[int, StakingRules]] = field(default_factory=list)
    """Rules by the epoch in which they were told, oldest first, as far as their references may count."""
    requests: dict[str, str] = field(default_factory=dict)
    """What was asked, by owner and request."""
    exits: dict[str, StakeExit] = field(default_factory=dict)
    """By owner and request."""
    least_wei: dict[str, int] = field(default_factory=dict)
    """Least balance of the epoch, of every owner with stake."""
    earned_wei: dict[str, int] = field(default_factory=dict)
    """Rewards ever, by owner."""
    claimed_wei: dict[str, int] = field(default_factory=dict)
    """Of these, what was claimed without the chain, by owner: the chain's leaves leave it out."""
    charges: dict[str, Charge] = field(default_factory=dict)
    """By verdict."""
    slashed_wei: dict[str, int] = field(default_factory=dict)
    """What each verdict took; one that is here takes nothing again."""
    lost_wei: dict[str, int] = field(default_factory=dict)
    """What verdicts took, by owner."""

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever told."""
        return self.rules is None

    def bonded_wei(self, ledger: Ledger, owner: str) -> int:
        """Stake, and what is on its way out."""
        return ledger.balance(stake_account(owner)) + ledger.balance(exit_account(owner))

    def answers_wei(self, ledger: Ledger, owner: str) -> int:
        """What verdicts can take: what is bonded, and pay that has not left; who bonds nothing answers with that."""
        return self.bonded_wei(ledger, owner) + ledger.balance(provider_account(owner))

    def shrunk(self, ledger: Ledger, owner: str) -> None:
        """Stake went: what counts in this epoch is at most what is left."""
        self.least_wei[owner] = min(self.least_wei.get(owner, 0), ledger.balance(stake_account(owner)))

    def begin_epoch(self, ledger: Ledger) -> None:
        """From now on the least balance is that of the new epoch; owners without stake are forgotten."""
        held = {owner: ledger.balance(stake_account(owner)) for owner in self.least_wei}
        self.least_wei = {owner: wei for owner, wei in held.items() if wei}

    def exits_of(self, owner: str) -> list[StakeExit]:
        """What an owner has on its way out, what comes first first."""
        return sorted(
            (one for one in self.exits.values() if one.owner == owner),
            key=lambda one: (one.due_ms, name(one.owner, one.request)),
        )

    def cumulative_wei(self, owner: str) -> int:
        """What a leaf of the chain says: rewards ever, less what was claimed without the chain."""
        return self.earned_wei.get(owner, 0) - self.claimed_wei.get(owner, 0)

    def earn(self, owner: str, amount_wei: int) -> None:
        """Add to what an owner ever earned."""
        self.earned_wei[owner] = self.earned_wei.get(owner, 0) + amount_wei

    def shorten(self, owner: str, amount_wei: int) -> None:
        """Take from exits, those first that would leave first."""
        for one in self.exits_of(owner):
            taken = min(amount_wei, one.amount_wei)
            amount_wei -= taken
            key = name(owner, one.request)
            if taken == one.amount_wei:
                del self.exits[key]
            else:
                self.exits[key] = replace(one, amount_wei=one.amount_wei - taken)


def name(owner: str, request: str) -> str:
    """How a request is known, and what its entries refer to."""
    return f"{owner} {request}"


def fee_wei(amount_wei: int, movement_bps: int) -> int:
    """What of a movement goes to carbon credits, rounded down."""
    return amount_wei * movement_bps // units.BPS


def stake(origin: Origin, owner: str, request: str, amount_wei: int, bps: int, *, on_chain: bool) -> Entry:
    """Bond: out of what was earned, less the fee; or what was seen to come in on the chain, whole."""
    fee = 0 if on_chain else fee_wei(amount_wei, bps)
    source = FAUCET if on_chain else provider_account(owner)
    sides = ((source, -amount_wei), (stake_account(owner), amount_wei - fee), (OFFSET, fee))
    return movement(origin, 0, "stake", name(owner, request), sides)


def unstake(origin: Origin, owner: str, request: str, amount_wei: int) -> Entry:
    """Ask back."""
    sides = ((stake_account(owner), -amount_wei), (exit_account(owner), amount_wei))
    return movement(origin, 0, "unstake", name(owner, request), sides)


def pay_exit(origin: Origin, one: StakeExit, bps: int) -> Entry:
    """Pay what was asked back."""
    return _pay(
        origin, "exit", exit_account(one.owner), one.owner, one.request, one.amount_wei, bps, on_chain=one.on_chain
    )


def claim(origin: Origin, owner: str, request: str, amount_wei: int, bps: int, *, on_chain: bool) -> Entry:
    """Take rewards."""
    return _pay(origin, "claim", rewards_account(owner), owner, request, amount_wei, bps, on_chain=on_chain)


def _pay(
    origin: Origin, cause: str, source: str, owner: str, request: str, amount_wei: int, bps: int, *, on_chain: bool
) -> Entry:
    fee = 0 if on_chain else fee_wei(amount_wei, bps)
    target = FAUCET if on_chain else provider_account(owner)
    return movement(
        origin, 0, cause, name(owner, request), ((source, -amount_wei), (target, amount_wei - fee), (OFFSET, fee))
    )


def slash(origin: Origin, ledger: Ledger, owner: str, amount_wei: int, verdict: str) -> tuple[Entry, int]:
    """Take: stake first, then exits, then pay; and how much of it came out of exits."""
    accounts = (stake_account(owner), exit_account(owner), provider_account(owner))
    parts, left = [], amount_wei
    for account in accounts:
        parts.append(min(left, ledger.balance(account)))
        left -= parts[-1]
    of_exit = parts[1]
    sides = (*((account, -part) for account, part in zip(accounts, parts, strict=True)), (SLASHED, amount_wei - left))
    return movement(origin, 0, "slash", verdict, sides), of_exit


def hand_on(origin: Origin, amount_wei: int, harms: Iterable[Harm], verdict: str) -> tuple[Entry, ...]:
    """Pay those who were harmed, in the order told, as far as it goes; the rest is the reserve's."""
    entries: list[Entry] = []
    for one in harms:
        paid = min(amount_wei, one.amount_wei)
        if paid:
            sides = ((SLASHED, -paid), (tenant_account(one.tenant), paid))
            entries.append(movement(origin, len(entries), "compensate", one.ref, sides))
            amount_wei -= paid
    if amount_wei:
        sides = ((SLASHED, -amount_wei), (RESERVE, amount_wei))
        entries.append(movement(origin, len(entries), "compensate", verdict, sides))
    return tuple(entries)
