"""The reserve: its vault, what is promised, bought and called, drills, and the stress test."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sunward.adapters.beacon import LocalBeacon
from sunward.engine.stress import stress_test
from sunward.errors import InputError, NotFoundError
from sunward.model.codec import digest, encode
from sunward.model.events import Payload, TimerFired
from sunward.model.identity import TenantId, mint
from sunward.model.reserve import Promise, ReserveRules
from sunward.model.reserve_events import (
    CallReleased,
    DrillsDrawn,
    PromiseCalled,
    PromiseOffered,
    PromiseSold,
    PromiseWithdrawn,
    ReserveRulesSet,
    ReserveUsdTold,
    VaultRequested,
)
from sunward.model.reserve_views import (
    CallRequest,
    DrillRequest,
    OfferRequest,
    PromiseLine,
    ReserveView,
    StressTest,
    UsdRequest,
    VaultDeposit,
    VaultExit,
)
from sunward.service.audit import note
from sunward.service.auth import (
    OPERATOR,
    PROVIDER,
    TENANT,
    Auditor,
    Bookkeeper,
    Caller,
    Operator,
    Plane,
    Tenant,
    allow,
)
from sunward.service.bodies import Name, answer, once, record_of, takes
from sunward.service.control import ControlPlane
from sunward.service.reserve_views import accounts_of, promise_line, promise_lines, reserve_view

router = APIRouter(tags=["reserve"])

KEY_BYTES = 32
BAD_REQUEST, NO_PROMISE, NO_CALL = "SW-816", "SW-812", "SW-817"
Provider = Annotated[Caller, Depends(allow(PROVIDER))]
Holder = Annotated[Caller, Depends(allow(TENANT, PROVIDER))]
Buyer = Annotated[Caller, Depends(allow(TENANT, OPERATOR))]


@router.get("/v1/reserve", response_model=ReserveView)
async def get_reserve(control: Plane, caller: Bookkeeper) -> Response:
    """The vault, what it covers, and the caller's own part of it."""
    return answer(reserve_view(control.state, caller))


@router.post("/v1/reserve/rules", response_model=ReserveRules, openapi_extra=takes(ReserveRules))
async def post_rules(
    control: Plane,
    caller: Operator,
    request: Request,
    wanted: Annotated[ReserveRules, Depends(record_of(ReserveRules))],
) -> Response:
    """Run the reserve by these rules from now on."""

    async def act(_key: str) -> Response:
        if wanted != control.state.world.reserve.rules:
            control.commit_one(ReserveRulesSet(rules=wanted))
            note(control, caller, "set_reserve_rules", encode(wanted).decode())
        return answer(wanted)

    return await once(control, caller.subject, request, act)


@router.post("/v1/reserve/usd", response_model=ReserveView, openapi_extra=takes(UsdRequest))
async def post_usd(
    control: Plane, caller: Operator, request: Request, wanted: Annotated[UsdRequest, Depends(record_of(UsdRequest))]
) -> Response:
    """Tell what the vault holds in USD."""

    async def act(_key: str) -> Response:
        control.commit_one(ReserveUsdTold(usd_held_micro=wanted.usd_held_micro))
        note(control, caller, "tell_reserve_usd", str(wanted.usd_held_micro))
        return answer(reserve_view(control.state, caller))

    return await once(control, caller.subject, request, act)


@router.post("/v1/reserve/deposits", response_model=ReserveView, openapi_extra=takes(VaultDeposit))
async def post_deposit(
    control: Plane, caller: Holder, request: Request, wanted: Annotated[VaultDeposit, Depends(record_of(VaultDeposit))]
) -> Response:
    """Put ATH into the vault at the close of the epoch."""

    async def act(_key: str) -> Response:
        holder, number = _holder(caller, wanted.account), control.state.world.reserve.next_request
        control.commit_one(VaultRequested(number=number, holder=holder, wei=wanted.wei))
        note(control, caller, "reserve_deposit", f"{number} {wanted.wei}")
        return answer(reserve_view(control.state, caller))

    return await once(control, caller.subject, request, act)


@router.post("/v1/reserve/exits", response_model=ReserveView, openapi_extra=takes(VaultExit))
async def post_exit(
    control: Plane, caller: Holder, request: Request, wanted: Annotated[VaultExit, Depends(record_of(VaultExit))]
) -> Response:
    """Take shares out of the vault once the delay is over, while it covers what is owed."""

    async def act(_key: str) -> Response:
        holder, number = _holder(caller, wanted.account), control.state.world.reserve.next_request
        control.commit_one(VaultRequested(number=number, holder=holder, shares=wanted.shares))
        note(control, caller, "reserve_exit", f"{number} {wanted.shares}")
        return answer(reserve_view(control.state, caller))

    return await once(control, caller.subject, request, act)


def _holder(caller: Caller, account: str) -> str:
    """The caller's account of a kind. Raises: InputError."""
    found = {one.partition(":")[0]: one for one in accounts_of(caller)}
    if account not in found:
        line = f"this token speaks for the accounts {', '.join(sorted(found))}; name one of them"
        raise InputError(line, code=BAD_REQUEST)
    return found[account]


@router.get("/v1/reserve/promises", response_model=list[PromiseLine])
async def get_promises(control: Plane, caller: Bookkeeper) -> Response:
    """What is for sale, and the caller's own promises; operator and auditor see all."""
    return answer(promise_lines(control.state, caller))


@router.post("/v1/reserve/promises", response_model=PromiseLine, status_code=201, openapi_extra=takes(OfferRequest))
async def post_promise(
    control: Plane,
    caller: Provider,
    request: Request,
    wanted: Annotated[OfferRequest, Depends(record_of(OfferRequest))],
) -> Response:
    """Promise containers of the caller's own sites."""

    async def act(key: str) -> Response:
        control.commit_one(TimerFired())
        name = _minted(control, "r", caller, key, digest(wanted))
        payload = PromiseOffered(
            promise=name,
            owner=caller.subject,
            backing=wanted.backing,
            start_ms=wanted.start_ms or control.state.world.at_ms,
            end_ms=wanted.end_ms,
            notice_ms=wanted.notice_ms,
            premium_usd_micro_per_h=wanted.premium_usd_micro_per_h,
        )
        return _promise(control, caller, name, payload, 201)

    return await once(control, caller.subject, request, act)


@router.delete("/v1/reserve/promises/{promise}", response_model=list[PromiseLine])
async def delete_promise(control: Plane, caller: Provider, request: Request, promise: Name) -> Response:
    """Take back a promise of the caller's that nobody bought."""

    async def act(_key: str) -> Response:
        one = control.state.world.reserve.promises.get(promise)
        if one is None or one.owner != caller.subject:
            raise NotFoundError(f"no promise {promise} of yours", code=NO_PROMISE)
        control.commit_one(PromiseWithdrawn(promise=promise))
        note(control, caller, "withdraw_promise", promise)
        return answer(promise_lines(control.state, caller))

    return await once(control, caller.subject, request, act)


@router.post("/v1/reserve/promises/{promise}/buy", response_model=PromiseLine)
async def post_buy(control: Plane, caller: Tenant, request: Request, promise: Name) -> Response:
    """Buy a promise, whole; its premium is due for what it serves, epoch by epoch."""

    async def act(_key: str) -> Response:
        one = control.state.world.reserve.promises.get(promise)
        if one is None or (one.tenant and one.tenant != caller.subject):
            raise NotFoundError(f"no promise {promise} is for sale", code=NO_PROMISE)
        control.commit_one(TimerFired())
        return _promise(control, caller, promise, PromiseSold(promise=promise, tenant=caller.subject))

    return await once(control, caller.subject, request, act)


@router.post("/v1/reserve/promises/{promise}/call", response_model=PromiseLine, openapi_extra=takes(CallRequest))
async def post_call(
    control: Plane,
    caller: Buyer,
    request: Request,
    promise: Name,
    wanted: Annotated[CallRequest, Depends(record_of(CallRequest))],
) -> Response:
    """Have containers of a promise made ready within its notice; the waiting jobs of who bought it run there."""

    async def act(key: str) -> Response:
        one = control.state.world.reserve.promises.get(promise)
        if one is None or not _may_call(caller, one):
            raise NotFoundError(f"no promise {promise} of yours", code=NO_PROMISE)
        control.commit_one(TimerFired())
        name = _minted(control, "rc", caller, key, promise, digest(wanted))
        payload = PromiseCalled(call=name, promise=promise, containers=wanted.containers, until_ms=wanted.until_ms)
        return _promise(control, caller, promise, payload)

    return await once(control, caller.subject, request, act)


@router.delete("/v1/reserve/calls/{call}", response_model=PromiseLine)
async def delete_call(control: Plane, caller: Buyer, request: Request, call: Name) -> Response:
    """Say that called containers are no longer needed."""

    async def act(_key: str) -> Response:
        book = control.state.world.reserve
        open_ = book.calls.get(call)
        if open_ is None or not _may_call(caller, book.promises[open_.promise]):
            raise NotFoundError(f"no call {call} of yours is open", code=NO_CALL)
        return _promise(control, caller, open_.promise, CallReleased(call=call))

    return await once(control, caller.subject, request, act)


@router.post("/v1/reserve/drills", response_model=list[PromiseLine], openapi_extra=takes(DrillRequest))
async def post_drill(
    control: Plane, caller: Auditor, request: Request, wanted: Annotated[DrillRequest, Depends(record_of(DrillRequest))]
) -> Response:
    """Drill every promise of an owner now, all in the same minute."""

    async def act(_key: str) -> Response:
        control.commit_one(TimerFired())
        control.commit_one(DrillsDrawn(draw=0, beacon=LocalBeacon().after(0), owners=(TenantId(wanted.owner),)))
        note(control, caller, "reserve_drill", wanted.owner)
        return answer([one for one in promise_lines(control.state, caller) if one.owner == wanted.owner])

    return await once(control, caller.subject, request, act)


@router.get("/v1/reserve/stress", response_model=StressTest)
async def get_stress(control: Plane, _caller: Bookkeeper) -> Response:
    """What the reserve would still hold after each shock, and after all of them."""
    return answer(stress_test(control.state))


def _may_call(caller: Caller, one: Promise) -> bool:
    return caller.has(OPERATOR) or (caller.has(TENANT) and one.tenant == caller.subject)


def _minted(control: ControlPlane, prefix: str, caller: Caller, key: str, *about: str) -> str:
    return mint(prefix, control.seed, caller.subject, key or secrets.token_hex(KEY_BYTES), *about)


def _promise(control: ControlPlane, caller: Caller, name: str, payload: Payload, status: int = 200) -> Response:
    """Record an act on a promise, and say how that stands now."""
    control.commit_one(payload)
    note(control, caller, type(payload).__name__, name)
    one = control.state.world.reserve.promises[name]
    return answer(promise_line(control.state, one, caller), status)
