"""The books: epochs, ledger, journal."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from sunward.adapters.queries import EntryRow
from sunward.errors import InputError
from sunward.model.events import EpochRequested
from sunward.model.receipt import EpochStatement
from sunward.model.records import (
    EntryLine,
    EntryPage,
    EpochClosed,
    JournalPage,
    SigningKeys,
)
from sunward.model.wire import JournalHead
from sunward.service.audit import note
from sunward.service.auth import AUDITOR, OPERATOR, Anyone, Auditor, Bookkeeper, Caller, Operator, Plane
from sunward.service.bodies import Cursor, answer, once, page_of
from sunward.service.bundle import recorded_event, signing_keys
from sunward.settlement.ledger import provider_account, tenant_account

router = APIRouter(tags=["books"])

PAGE_MAX = 1_000
TOTAL = "total"
Account = Annotated[str, Query(pattern=r"^[A-Za-z0-9:._-]{0,100}$")]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]


@router.get("/v1/epochs", response_model=list[EpochStatement])
async def get_epochs(
    control: Plane, _caller: Anyone, after: Annotated[int, Query(ge=0, le=2**62)] = 0, limit: Limit = PAGE_MAX
) -> Response:
    """Statements of closed epochs, oldest first; the header Sunward-Next names the last one where more follow."""
    found = control.store.queries.epochs(after, limit + 1)
    return page_of(found, limit, lambda statement: str(statement.epoch))


@router.post("/v1/epochs/close", response_model=EpochClosed)
async def post_close(control: Plane, caller: Operator, request: Request) -> Response:
    """Close the present epoch now, on all readings that have arrived."""

    async def act(_key: str) -> Response:
        control.seal_now()
        epoch = control.state.epoch
        control.commit_one(EpochRequested())
        note(control, caller, "close_epoch", str(epoch))
        return answer(EpochClosed(epoch=epoch, journal=control.signed_head()))

    return await once(control, caller.subject, request, act)


def own_accounts(caller: Caller) -> frozenset[str] | None:
    """The accounts a caller may see; None for all."""
    if caller.has(AUDITOR, OPERATOR):
        return None
    return frozenset({tenant_account(caller.subject), provider_account(caller.subject)})


@router.get("/v1/ledger/balances", response_model=dict[str, str])
async def get_balances(control: Plane, caller: Bookkeeper) -> Response:
    """Balances in wei by account; `total` is their sum.

    For operator and auditor they are added up anew from every recorded entry, which takes longer the more there are.
    """
    own = own_accounts(caller)
    if own is None:
        balances = await asyncio.to_thread(control.store.queries.trial_balance)
    else:
        balances = {account: control.state.ledger.balance(account) for account in sorted(own)}
    shown = {account: wei for account, wei in balances.items() if wei}
    return answer({account: str(wei) for account, wei in shown.items()} | {TOTAL: str(sum(shown.values()))})


@router.get("/v1/ledger/entries", response_model=EntryPage)
async def get_entries(
    control: Plane, caller: Bookkeeper, account: Account = "", after: Cursor = "", limit: Limit = 100
) -> Response:
    """Postings in the order they were made; others than operator and auditor name an account of theirs."""
    own = own_accounts(caller)
    if own is not None and account not in own:
        names = ", ".join(sorted(own))
        raise InputError(f"name an account of yours: {names}", code="SW-163")
    page = control.store.queries.entries(account=account or None, after=after, limit=limit)
    return answer(EntryPage(entries=tuple(map(_line, page.rows)), next=page.next or None))


def _line(row: EntryRow) -> EntryLine:
    return EntryLine(
        entry=row.entry,
        epoch=row.epoch,
        at_ms=row.at_ms,
        cause=row.cause,
        ref=row.ref,
        account=row.account,
        amount_wei=str(row.amount_wei),
    )


@router.get("/v1/journal", response_model=JournalPage)
async def get_journal(
    control: Plane, _caller: Auditor, after: Annotated[int, Query(ge=0, le=2**62)] = 0, limit: Limit = 500
) -> Response:
    """Journal records with a sequence greater than `after`, in order."""
    found = await asyncio.to_thread(lambda: tuple(islice(control.store.read(after), limit)))
    return answer(JournalPage(records=tuple(map(recorded_event, found))))


@router.get("/v1/journal/head", response_model=JournalHead)
async def get_head(control: Plane, _caller: Anyone) -> Response:
    """Where the journal stands, signed."""
    return answer(control.signed_head())


@router.get("/v1/keys", response_model=SigningKeys)
async def get_keys(control: Plane, _caller: Anyone) -> Response:
    """The service's signing keys, oldest first, and the proof of how each followed the last."""
    return answer(signing_keys(control))
