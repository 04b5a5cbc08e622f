"""The offset account: everybody reads what became of it, the operator sets how credits are bought."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sunward.engine import offset
from sunward.model.codec import encode
from sunward.model.credit_events import CreditRulesSet
from sunward.model.credits import CreditRules, OffsetView
from sunward.service.audit import note
from sunward.service.auth import Anyone, Operator, Plane
from sunward.service.bodies import answer, once, record_of, takes

router = APIRouter(tags=["offset"])


@router.get("/v1/offset", response_model=OffsetView)
async def get_offset(control: Plane, _caller: Anyone) -> Response:
    """Account, open orders, serials and coverage."""
    return answer(offset.view(control.state))


@router.post("/v1/offset/rules", response_model=CreditRules, openapi_extra=takes(CreditRules))
async def post_rules(
    control: Plane,
    caller: Operator,
    request: Request,
    wanted: Annotated[CreditRules, Depends(record_of(CreditRules))],
) -> Response:
    """Buy by these rules from the next close of an epoch on."""

    async def act(_key: str) -> Response:
        if wanted != control.state.credits.rules:
            control.commit_one(CreditRulesSet(rules=wanted))
            note(control, caller, "set_credit_rules", encode(wanted).decode())
        return answer(wanted)

    return await once(control, caller.subject, request, act)
