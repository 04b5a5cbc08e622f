"""Stake and rewards: providers bond, ask back and claim their own; operator and auditor read all."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from sunward.errors import NotFoundError
from sunward.model.codec import digest, encode
from sunward.model.events import Payload
from sunward.model.identity import TenantId, mint
from sunward.model.staking import ClaimRequest, HarmRequest, RewardPage, StakeRequest, StakeView, StakingRules
from sunward.model.staking_events import (
    HarmTold,
    RewardsClaimed,
    StakeRequested,
    StakingRulesSet,
    UnstakeRequested,
)
from sunward.service.audit import note
from sunward.service.auth import AUDITOR, OPERATOR, PROVIDER, Anyone, Auditor, Caller, Operator, Plane, allow
from sunward.service.bodies import Name, answer, once, record_of, takes
from sunward.service.control import ControlPlane
from sunward.settlement.ledger import exit_account, rewards_account, stake_account

router = APIRouter(tags=["stakes"])

PAGE_MAX = 1_000
KEY_BYTES = 32
NO_RULES = "SW-794"
OwnerName = Annotated[str, Query(pattern=r"^[A-Za-z0-9._:-]{0,80}$")]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
Provider = Annotated[Caller, Depends(allow(PROVIDER))]
Staker = Annotated[Caller, Depends(allow(PROVIDER, OPERATOR, AUDITOR))]


@router.get("/v1/stakes", response_model=list[StakeView])
async def get_stakes(control: Plane, caller: Staker) -> Response:
    """What the caller has bonded, on its way out, and earned; operator and auditor read everybody's."""
    if caller.has(OPERATOR, AUDITOR):
        book = control.state.stakes
        owners = {*book.least_wei, *book.earned_wei, *book.lost_wei, *(one.owner for one in book.exits.values())}
    else:
        owners = {str(caller.subject)}
    return answer([stake_view(control, owner) for owner in sorted(owners)])


@router.post("/v1/stakes", response_model=StakeView, openapi_extra=takes(StakeRequest))
async def post_stake(
    control: Plane,
    caller: Provider,
    request: Request,
    wanted: Annotated[StakeRequest, Depends(record_of(StakeRequest))],
) -> Response:
    """Bond what the caller earned; it counts from the next epoch on."""

    def payload(name: str) -> Payload:
        return StakeRequested(owner=caller.subject, request=name, amount_wei=wanted.amount_wei)

    return await _move(control, caller, request, wanted, payload)


@router.post("/v1/stakes/exits", response_model=StakeView, openapi_extra=takes(StakeRequest))
async def post_exit(
    control: Plane,
    caller: Provider,
    request: Request,
    wanted: Annotated[StakeRequest, Depends(record_of(StakeRequest))],
) -> Response:
    """Ask stake back; it is paid when the delay is over."""

    def payload(name: str) -> Payload:
        return UnstakeRequested(owner=caller.subject, request=name, amount_wei=wanted.amount_wei)

    return await _move(control, caller, request, wanted, payload)


@router.post("/v1/rewards/claims", response_model=StakeView, openapi_extra=takes(ClaimRequest))
async def post_claim(
    control: Plane,
    caller: Provider,
    request: Request,
    wanted: Annotated[ClaimRequest, Depends(record_of(ClaimRequest))],
) -> Response:
    """Take what the caller's stake earned."""

    def payload(name: str) -> Payload:
        return RewardsClaimed(owner=caller.subject, request=name, amount_wei=wanted.amount_wei)

    return await _move(control, caller, request, wanted, payload)


async def _move(
    control: ControlPlane, caller: Caller, request: Request, wanted: object, payload: Callable[[str], Payload]
) -> Response:
    """Move the caller's own; with an Idempotency-Key the same request moves once, whatever becomes of the answer."""

    async def act(key: str) -> Response:
        name = mint(
            "q", control.seed, caller.subject, request.url.path, key or secrets.token_hex(KEY_BYTES), digest(wanted)
        )
        control.commit_one(payload(name))
        return answer(stake_view(control, caller.subject))

    return await once(control, caller.subject, request, act)


@router.get("/v1/stakes/rules", response_model=StakingRules)
async def get_rules(control: Plane, _caller: Anyone) -> Response:
    """How this network pays for stake, and what it takes of it."""
    rules = control.state.stakes.rules
    if rules is None:
        raise NotFoundError("this network has no rules of staking; its operator may set them", code=NO_RULES)
    return answer(rules)


@router.post("/v1/stakes/rules", response_model=StakingRules, openapi_extra=takes(StakingRules))
async def post_rules(
    control: Plane,
    caller: Operator,
    request: Request,
    wanted: Annotated[StakingRules, Depends(record_of(StakingRules))],
) -> Response:
    """Pay for stake and take it by these rules from now on; references count two epochs later."""

    async def act(_key: str) -> Response:
        if wanted != control.state.stakes.rules:
            control.commit_one(StakingRulesSet(rules=wanted))
            note(control, caller, "set_staking_rules", encode(wanted).decode())
        return answer(wanted)

    return await once(control, caller.subject, request, act)


@router.get("/v1/rewards", response_model=RewardPage)
async def get_rewards(
    control: Plane,
    caller: Staker,
    epoch: Annotated[int, Query(ge=0, le=2**53)] = 0,
    after: OwnerName = "",
    limit: Limit = PAGE_MAX,
) -> Response:
    """What an epoch gave, line by line with its figures; 0 = the last closed one. Owners read theirs."""
    number = epoch or control.state.epoch - 1
    owner = "" if caller.has(OPERATOR, AUDITOR) else caller.subject
    found = await asyncio.to_thread(control.store.queries.rewards, number, owner, after, limit + 1)
    following = found[limit - 1].owner if len(found) > limit else None
    return answer(RewardPage(epoch=number, lines=found[:limit], next=following))


@router.post("/v1/verdicts/{verdict}/harm", response_model=HarmRequest, openapi_extra=takes(HarmRequest))
async def post_harm(
    control: Plane,
    caller: Auditor,
    request: Request,
    verdict: Name,
    wanted: Annotated[HarmRequest, Depends(record_of(HarmRequest))],
) -> Response:
    """Say whom a verdict's fault cost what: they are paid first of what it takes. Told again it is replaced."""

    async def act(_key: str) -> Response:
        payload = HarmTold(
            verdict=verdict,
            tenant=TenantId(wanted.tenant),
            ref=wanted.ref,
            amount_wei=wanted.amount_wei,
            by=caller.subject,
        )
        control.commit_one(payload)
        note(control, caller, "tell_harm", f"{verdict} {wanted.tenant} {wanted.ref} {wanted.amount_wei}")
        return answer(wanted)

    return await once(control, caller.subject, request, act)


def stake_view(control: ControlPlane, owner: str) -> StakeView:
    """Where an owner stands."""
    book, ledger = control.state.stakes, control.state.ledger
    return StakeView(
        owner=owner,
        stake_wei=ledger.balance(stake_account(owner)),
        earning_wei=book.least_wei.get(owner, 0),
        exit_wei=ledger.balance(exit_account(owner)),
        exits=tuple(book.exits_of(owner)),
        rewards_wei=ledger.balance(rewards_account(owner)),
        earned_wei=book.earned_wei.get(owner, 0),
        slashed_wei=book.lost_wei.get(owner, 0),
    )
