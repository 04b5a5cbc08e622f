"""Closing an epoch: its sums, the next offset share, and the trial balance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sunward.errors import InvariantError
from sunward.model.events import NetworkStarted
from sunward.settlement.entries import Settlement
from sunward.settlement.ledger import OFFSET, Ledger, escrow_account
from sunward.settlement.offset import next_share_bps


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochTotals:
    """The money of one epoch, as the statement reports it."""

    paid_usd_micro: int
    """Sum of what each job paid, in micro-USD; never more than `paid_wei` at the rate of settlement."""
    paid_wei: int
    provider_wei: int
    network_wei: int
    offset_wei: int
    refunded_wei: int
    offset_share_bps: int
    next_offset_share_bps: int
    balance_wei: int
    """Sum over all accounts: zero."""


def close(
    ledger: Ledger,
    rules: NetworkStarted,
    settlements: Sequence[Settlement],
    *,
    offset_share_bps: int,
    liability_mg: int,
    wei_per_usd_micro: int,
) -> EpochTotals:
    """Sums of an epoch whose entries are all posted; the payments are the forecast of the next epoch's flow.

    `liability_mg` is cumulative: of this and all earlier epochs, less what retired credits cover.
    Raises: InvariantError when the books do not balance (docs/settlement.md, closing an epoch).
    """
    _check_disbursed(ledger, settlements)
    balance = ledger.total()
    if balance != 0:
        raise InvariantError(f"all accounts sum to {balance} wei, not to zero")
    paid = sum(one.price_wei for one in settlements)
    return EpochTotals(
        paid_usd_micro=sum(one.paid_usd_micro for one in settlements),
        paid_wei=paid,
        provider_wei=sum(one.provider_wei for one in settlements),
        network_wei=sum(one.network_wei for one in settlements),
        offset_wei=sum(one.offset_wei for one in settlements),
        refunded_wei=sum(one.refund_wei for one in settlements),
        offset_share_bps=offset_share_bps,
        next_offset_share_bps=next_share_bps(
            rules,
            offset_share_bps,
            liability_mg=liability_mg,
            held_wei=ledger.balance(OFFSET),
            forecast_flow_wei=paid,
            wei_per_usd_micro=wei_per_usd_micro,
        ),
        balance_wei=balance,
    )


def _check_disbursed(ledger: Ledger, settlements: Sequence[Settlement]) -> None:
    seen: set[str] = set()
    for one in settlements:
        if one.job in seen:
            raise InvariantError(f"job {one.job} is settled twice in one epoch")
        seen.add(one.job)
        if one.offset_wei + one.provider_wei + one.network_wei + one.refund_wei != one.escrow_wei:
            raise InvariantError(f"the parts of job {one.job} do not add up to its escrow")
        if sum([wei for _, wei in one.providers]) != one.provider_wei:
            raise InvariantError(f"the providers' parts of job {one.job} do not add up")
        left = ledger.balance(escrow_account(one.job))
        if left != 0:
            raise InvariantError(f"escrow of job {one.job} still holds {left} wei")
