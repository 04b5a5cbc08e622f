"""Closing an epoch: receipts become final, escrow is paid out, the books balance."""

from __future__ import annotations

from dataclasses import replace

from sunward.engine import challenges, offset, onchain, reserve, supply
from sunward.engine import rewards as staking_rewards
from sunward.engine.accounts import JobAccount, job_account, missing_signals, receipt_of
from sunward.engine.leases import covered
from sunward.engine.sites import begin_epoch
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.metering import merkle
from sunward.model.commands import CloseEpoch, IssueReceipt
from sunward.model.granular import SiteSupply
from sunward.model.identity import SiteId
from sunward.model.receipt import EpochStatement, Receipt
from sunward.placement.crowd.many import uncollected
from sunward.report.statement import StatementParts, build_statement, liability_mg
from sunward.settlement.entries import Origin, Settlement, Terms, settle_job
from sunward.settlement.epoch import close as close_books
from sunward.units import DAY_MS

PATIENCE_MS = DAY_MS
"""How long a receipt waits for readings of a site that fell silent; then it says what share was metered."""


@uncollected()
def close_epoch(turn: Turn) -> None:
    """Close the present epoch and begin the next; jobs whose readings are not all in wait for the next close."""
    state = turn.state
    receipts, settlements, carried = _settle_jobs(turn)
    challenges.settle(turn)
    supplied = supply.close(state, receipts)
    # What stake earns, what is spent on credits and what the reserve owes are posted here, in this order: each may
    # move what the one before has left, and the books that follow see all of it.
    rewards = staking_rewards.close(turn, receipts, settlements, supplied)
    bought = offset.close(turn, receipts, supplied)
    stands = reserve.close(turn)
    statement = _statement(turn, receipts, settlements, supplied)
    # The chain comes last: it is told what all of these left in the accounts.
    statement = replace(statement, rewards=rewards, offset=bought, reserve=stands, chain=onchain.close(state))
    for receipt, settlement in zip(receipts, settlements, strict=True):
        turn.emit(IssueReceipt(receipt=receipt, paid_usd_micro=settlement.paid_usd_micro))
        turn.world.forget_job(receipt.job)
        turn.world.closed.keep(receipt, turn.at_ms)
    turn.emit(CloseEpoch(statement=statement))
    turn.world.closed.close(state.epoch, turn.at_ms, statement.location_mg, statement.market_mg)
    state.adjustments = state.adjusted_location_mg = state.adjusted_liability_mg = 0
    state.closing = carried
    state.liability_mg += statement.liability_mg
    state.offset_share_bps = statement.next_offset_share_bps
    for site in turn.world.sites.values():
        site.idle_j = 0
    state.idle_hours.clear()
    begin_epoch(turn, turn.at_ms)


def _settle_jobs(turn: Turn) -> tuple[list[Receipt], list[Settlement], list[str]]:
    """Pay what is ready, and name the jobs that are not."""
    state = turn.state
    receipts: list[Receipt] = []
    settlements: list[Settlement] = []
    carried: list[str] = []
    for job in sorted(state.closing):
        account = job_account(state, job)
        if not ready(state, job, account):
            carried.append(job)
            continue
        settlement = _settle(turn, account)
        settlements.append(settlement)
        receipts.append(receipt_of(state, account, settlement, supply.claim_for(state, account.spec)))
    return receipts, settlements, carried


def _statement(
    turn: Turn, receipts: list[Receipt], settlements: list[Settlement], supplied: tuple[SiteSupply, ...]
) -> EpochStatement:
    """The statement of the epoch, whose entries are all posted.

    Raises: InvariantError when the books do not balance.
    """
    state = turn.state
    books = close_books(
        state.ledger,
        offset.priced(state),
        settlements,
        offset_share_bps=state.offset_share_bps,
        liability_mg=state.liability_mg
        + liability_mg(
            sum(receipt.location_mg for receipt in receipts),
            sum(receipt.market_mg for receipt in receipts),
            sum(receipt.embodied_mg for receipt in receipts),
        ),
        wei_per_usd_micro=turn.world.wei_per_usd_micro,
    )
    return build_statement(
        StatementParts(
            epoch=state.epoch,
            start_ms=state.epoch_start_ms,
            end_ms=turn.at_ms,
            receipts=tuple(receipts),
            idle_j=sum(site.idle_j for site in turn.world.sites.values()),
            offset_share_bps=state.offset_share_bps,
            next_offset_share_bps=books.next_offset_share_bps,
            paid_usd_micro=books.paid_usd_micro,
            balance_wei=books.balance_wei,
            adjustments=state.adjustments,
            adjusted_location_mg=state.adjusted_location_mg,
            adjusted_liability_mg=state.adjusted_liability_mg,
            supply=supplied,
        ),
        merkle.root,
    )


def ready(state: State, job: str, account: JobAccount) -> bool:
    """Whether all readings of a job are sealed (or its site was silent too long), its hours known, nothing holds it."""
    world = state.world
    row = world.jobs.row_of[job]
    waited_ms = world.at_ms - int(world.jobs.ints["finished_ms"][row])
    complete = all(covered(world, f"{job}.{n}") for n in range(1, int(world.jobs.ints["attempts"][row]) + 1))
    held = any(world.trust.holds(world.sites[SiteId(site)].spec, job, world.at_ms) for site in account.sites)
    return (complete or waited_ms > PATIENCE_MS) and not held and not missing_signals(world, account)


def terms(state: State) -> Terms:
    """Rate and shares that a job settles at now."""
    return Terms(
        wei_per_usd_micro=state.world.wei_per_usd_micro,
        offset_share_bps=state.offset_share_bps,
        provider_share_bps=state.world.network.provider_share_bps,
    )


def settlement_of(state: State, account: JobAccount, origin: Origin) -> Settlement:
    """How the escrow of a job divides at the terms of now; a job that never ran got its escrow back already."""
    spec = account.spec
    row = state.world.jobs.row_of[spec.job]
    served = bool(state.world.jobs.ints["attempts"][row])
    settlement = settle_job(
        origin,
        terms(state),
        job=spec.job,
        tenant=spec.tenant,
        escrow_wei=spec.escrow_wei,
        prices_usd_micro=account.prices_usd_micro,
        budget_usd_micro=spec.budget_usd_micro,
    )
    return settlement if served else replace(settlement, entries=())


def _settle(turn: Turn, account: JobAccount) -> Settlement:
    settlement = settlement_of(turn.state, account, turn.origin())
    turn.post(settlement.entries)
    return settlement
