"""A tenant's account: who asks, balance, test money, monthly budget, monthly statement."""

from __future__ import annotations

import math
import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from sunward.errors import InputError, NotFoundError
from sunward.model.codec import digest
from sunward.model.events import Deposited
from sunward.model.identity import mint
from sunward.model.records import (
    AccountView,
    BudgetRequest,
    BudgetView,
    DepositMade,
    DepositRequest,
    Whoami,
)
from sunward.model.statement import MonthPage
from sunward.service import budgets, monthly
from sunward.service.auth import AUDITOR, OPERATOR, TENANT, Anyone, Caller, Config, Plane, Reader, Tenant
from sunward.service.bodies import answer, once, record_of, takes
from sunward.service.problems import RequestError
from sunward.settlement.ledger import tenant_account
from sunward.units import MICRO

router = APIRouter(tags=["account"])

PAGE_MAX = 1_000
DEPOSIT_USD_MAX = 1_000_000
KEY_BYTES = 32
NO_TENANT = "SW-183"
Month = Annotated[str, Query(max_length=20)]
TenantName = Annotated[str, Query(pattern=r"^[A-Za-z0-9._-]{0,80}$")]
MonthCursor = Annotated[str, Query(pattern=monthly.CURSOR)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]


@router.get("/v1/whoami", response_model=Whoami)
async def get_whoami(caller: Anyone) -> Response:
    """Whose token this is, and what it allows."""
    return answer(
        Whoami(
            subject=caller.subject,
            roles=tuple(sorted(caller.roles)),
            site=caller.site or "",
            expires_machine_ms=caller.expires_machine_ms,
        )
    )


@router.get("/v1/account", response_model=AccountView)
async def get_account(control: Plane, caller: Tenant) -> Response:
    """What the tenant holds outside escrow."""
    return answer(AccountView(tenant=caller.subject, balance_wei=_balance(control, caller)))


@router.post("/v1/account/deposits", response_model=DepositMade, openapi_extra=takes(DepositRequest))
async def post_deposit(
    control: Plane,
    config: Config,
    caller: Tenant,
    request: Request,
    wanted: Annotated[DepositRequest, Depends(record_of(DepositRequest))],
) -> Response:
    """Credit test ATH: the local faucet. With an Idempotency-Key the same request credits once."""
    if not config.faucet:
        raise RequestError("this service gives no test money", status=403, code="SW-164")
    if not 0 < wanted.amount_usd <= DEPOSIT_USD_MAX:
        raise InputError(f"amount_usd must be more than 0 and at most {DEPOSIT_USD_MAX}", code="SW-124")

    async def act(key: str) -> Response:
        name = mint("d", control.seed, caller.subject, key or secrets.token_hex(KEY_BYTES), digest(wanted))
        # The books know of a deposit whose answer was lost together with the process that made it.
        if not control.store.queries.is_posted(name):
            wei = math.floor(wanted.amount_usd * MICRO) * control.state.world.wei_per_usd_micro
            control.commit_one(Deposited(tenant=caller.subject, amount_wei=wei, deposit=name))
        return answer(DepositMade(balance_wei=_balance(control, caller), journal=control.signed_head()))

    return await once(control, caller.subject, request, act)


def _balance(control: Plane, caller: Caller) -> int:
    return control.state.ledger.balance(tenant_account(caller.subject))


@router.get("/v1/account/budget", response_model=BudgetView)
async def get_budget(control: Plane, caller: Tenant) -> Response:
    """The monthly limit, if any, and what this month has cost so far."""
    return answer(budgets.view(control, caller.subject))


@router.post("/v1/account/budget", response_model=BudgetView, openapi_extra=takes(BudgetRequest))
async def post_budget(
    control: Plane, config: Config, caller: Tenant, wanted: Annotated[BudgetRequest, Depends(record_of(BudgetRequest))]
) -> Response:
    """Set or drop the monthly limit; jobs that could exceed it are refused from now on."""
    budgets.set_budget(control, config, caller.subject, wanted)
    return answer(budgets.view(control, caller.subject))


@router.get("/v1/statement", response_model=MonthPage)
async def get_statement(
    control: Plane, caller: Reader, month: Month, tenant: TenantName = "", after: MonthCursor = "", limit: Limit = 500
) -> Response:
    """The jobs that ended in a month of grid time (UTC), page by page: a tenant's own; of any one for an operator."""
    wanted = _whose(caller, tenant)
    own = caller.has(TENANT) and wanted == caller.subject
    return answer(await monthly.month_page(control, wanted, month, after, limit, named=own))


def _whose(caller: Caller, asked: str) -> str:
    """The tenant whose statement is meant.

    Raises: NotFoundError for a tenant the caller may not see, InputError when none is named.
    """
    if caller.has(OPERATOR, AUDITOR):
        if not asked and not caller.has(TENANT):
            raise InputError("name the tenant whose statement you want: tenant=…", code=NO_TENANT)
        return asked or caller.subject
    if asked not in ("", caller.subject):
        raise NotFoundError(f"no tenant {asked}")
    return caller.subject
