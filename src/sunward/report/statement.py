"""The statement of an epoch: totals of its receipts, and a ledger that balances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sunward.errors import InvariantError
from sunward.model.codec import digest
from sunward.model.granular import SiteSupply
from sunward.model.receipt import EpochStatement, Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementParts:
    """All that an epoch statement is made of."""

    epoch: int
    start_ms: int
    end_ms: int
    receipts: tuple[Receipt, ...]
    idle_j: int
    """Idle energy of all sites in the epoch: the providers' account."""
    offset_share_bps: int
    next_offset_share_bps: int
    paid_usd_micro: int
    """What the jobs paid, in micro-USD: receipts have it in wei and the metered price, not the rate."""
    balance_wei: int
    """Sum over all ledger accounts."""
    adjustments: int = 0
    adjusted_location_mg: int = 0
    adjusted_liability_mg: int = 0
    supply: tuple[SiteSupply, ...] = ()


def build_statement(parts: StatementParts, merkle_root: Callable[[Sequence[str]], str]) -> EpochStatement:
    """The statement over the epoch's final receipts, whatever order they come in.

    Raises: InvariantError when the ledger does not balance, a job has two receipts, or a receipt is another epoch's.
    """
    receipts = sorted(parts.receipts, key=lambda receipt: receipt.job)
    _check(parts, receipts)
    hashes = tuple(digest(receipt) for receipt in receipts)
    location_mg = sum(receipt.location_mg for receipt in receipts)
    market_mg = sum(receipt.market_mg for receipt in receipts)
    embodied_mg = sum(receipt.embodied_mg for receipt in receipts)
    return EpochStatement(
        epoch=parts.epoch,
        start_ms=parts.start_ms,
        end_ms=parts.end_ms,
        receipts=hashes,
        receipts_root=merkle_root(hashes),
        facility_j=sum(receipt.facility_j for receipt in receipts),
        idle_j=parts.idle_j,
        location_mg=location_mg,
        market_mg=market_mg,
        embodied_mg=embodied_mg,
        paid_usd_micro=parts.paid_usd_micro,
        paid_wei=sum(receipt.price_wei for receipt in receipts),
        provider_wei=sum(receipt.provider_wei for receipt in receipts),
        network_wei=sum(receipt.network_wei for receipt in receipts),
        offset_wei=sum(receipt.offset_wei for receipt in receipts),
        refunded_wei=sum(receipt.refund_wei for receipt in receipts),
        liability_mg=liability_mg(location_mg, market_mg, embodied_mg),
        offset_share_bps=parts.offset_share_bps,
        next_offset_share_bps=parts.next_offset_share_bps,
        balance_wei=parts.balance_wei,
        adjustments=parts.adjustments,
        adjusted_location_mg=parts.adjusted_location_mg,
        adjusted_liability_mg=parts.adjusted_liability_mg,
        supply=parts.supply,
    )


def liability_mg(location_mg: int, market_mg: int, embodied_mg: int) -> int:
    """What is left to answer for: the larger basis over the whole epoch, never one basis here and the other there."""
    return larger_mg(location_mg, market_mg) + embodied_mg


def larger_mg(location_mg: int, market_mg: int) -> int:
    """The basis of an epoch's operational liability."""
    return max(location_mg, market_mg)


def _check(parts: StatementParts, receipts: Sequence[Receipt]) -> None:
    if parts.balance_wei != 0:
        raise InvariantError(f"the ledger is off by {parts.balance_wei} wei at the close of epoch {parts.epoch}")
    if len({receipt.job for receipt in receipts}) != len(receipts):
        raise InvariantError(f"a job has two receipts in epoch {parts.epoch}")
    if any(receipt.epoch != parts.epoch for receipt in receipts):
        raise InvariantError(f"a receipt of another epoch was counted in epoch {parts.epoch}")
