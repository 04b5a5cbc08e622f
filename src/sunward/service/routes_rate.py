"""The exchange rate: everybody reads it, the operator confirms it after a large move."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sunward.engine import rate
from sunward.model.rate import ConfirmRequest, RateConfirmed, RateView
from sunward.service.audit import note
from sunward.service.auth import Anyone, Operator, Plane
from sunward.service.bodies import answer, once, record_of, takes

router = APIRouter(tags=["rate"])


@router.get("/v1/rate", response_model=RateView)
async def get_rate(control: Plane, _caller: Anyone) -> Response:
    """What an ATH costs, who says so, and whether that is too old or moved too far."""
    return answer(rate.view(control.state, control.clock.grid_ms()))


@router.post("/v1/rate/confirm", response_model=RateView, openapi_extra=takes(ConfirmRequest))
async def post_confirm(
    control: Plane,
    caller: Operator,
    request: Request,
    wanted: Annotated[ConfirmRequest, Depends(record_of(ConfirmRequest))],
) -> Response:
    """Take the price there is for right: new promises go on, and for a day moves are measured from it."""

    async def act(_key: str) -> Response:
        control.commit_one(RateConfirmed(usd_micro_per_ath=wanted.usd_micro_per_ath))
        note(control, caller, "confirm_rate", str(wanted.usd_micro_per_ath))
        return answer(rate.view(control.state, control.clock.grid_ms()))

    return await once(control, caller.subject, request, act)
