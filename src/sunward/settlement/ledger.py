"""The ledger: balances in wei, changed only by entries that sum to zero."""

from __future__ import annotations

from collections.abc import Mapping

from sunward.errors import InvariantError
from sunward.model.ledger import Entry

FAUCET = "faucet:test"
"""The one account that may be negative: minus the test ATH ever issued."""
NETWORK = "network"
OFFSET = "offset"
TREASURY = "treasury"
"""What the network may hand out."""
BUDGET_STAKING = "budget:staking"
BUDGET_BONUS = "budget:bonus"
RESERVE = "reserve"
"""What the Strategic Compute Reserve holds."""
SLASHED = "slashed"
"""Taken by verdicts and not yet handed on."""
RETIRED = "retired"
"""What was paid for credits."""


def tenant_account(tenant: str) -> str:
    """What a tenant has deposited and not put into escrow."""
    return f"tenant:{tenant}"


def escrow_account(job: str) -> str:
    """What is set aside for one job."""
    return f"escrow:{job}"


def provider_account(owner: str) -> str:
    """What a provider earned."""
    return f"provider:{owner}"


def stake_account(owner: str) -> str:
    """What a provider has bonded: slashable, and earning."""
    return f"stake:{owner}"


def exit_account(owner: str) -> str:
    """Stake on its way out: it earns nothing and is slashable until it is paid."""
    return f"exit:{owner}"


def rewards_account(owner: str) -> str:
    """What a provider earned by its stake and has not claimed."""
    return f"rewards:{owner}"


class Ledger:
    """Balances by account; accounts at zero are not kept, so closed escrows cost nothing."""

    __slots__ = ("_balances",)

    def __init__(self) -> None:
        self._balances: dict[str, int] = {}

    def post(self, entry: Entry) -> None:
        """Apply an entry, all of it or nothing.

        Raises: InvariantError when it does not sum to zero or would make an account other than the faucet negative.
        """
        balances, total = self._balances, 0
        after: dict[str, int] = {}
        for posting in entry.postings:
            account, amount = posting.account, posting.amount_wei
            held = after[account] if account in after else balances.get(account, 0)
            after[account] = held + amount
            total += amount
        if total != 0:
            raise InvariantError(f"entry {entry.entry} ({entry.cause} {entry.ref}) does not sum to zero")
        for account, balance in after.items():
            if balance < 0 and account != FAUCET:
                raise InvariantError(f"entry {entry.entry} ({entry.cause} {entry.ref}) overdraws {account}: {balance}")
        for account, balance in after.items():
            if balance:
                balances[account] = balance
            else:
                balances.pop(account, None)

    def balance(self, account: str) -> int:
        """What an account holds, wei; 0 for one never used."""
        return self._balances.get(account, 0)

    def total(self) -> int:
        """Sum over all accounts: zero, or the books are wrong."""
        return sum(self._balances.values())

    def to_record(self) -> dict[str, int]:
        """Balances in order of account, for snapshots."""
        return dict(sorted(self._balances.items()))

    @classmethod
    def from_record(cls, record: Mapping[str, int]) -> Ledger:
        """The ledger of a snapshot.

        Raises: InvariantError when the balances do not sum to zero or an account other than the faucet is negative.
        """
        ledger = cls()
        ledger._balances = {account: balance for account, balance in record.items() if balance != 0}
        if ledger.total() != 0:
            raise InvariantError(f"snapshot of the ledger sums to {ledger.total()} wei, not to zero")
        for account, balance in ledger._balances.items():
            if balance < 0 and account != FAUCET:
                raise InvariantError(f"snapshot of the ledger has a negative account: {account} {balance}")
        return ledger
