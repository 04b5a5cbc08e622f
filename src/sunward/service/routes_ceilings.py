"""What a site may draw for a while: limits told by its owner or the operator, and those that feeds told."""

from __future__ import annotations

import math
import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sunward.errors import InputError, NotFoundError
from sunward.model.codec import digest
from sunward.model.events import SiteCurtailed
from sunward.model.identity import mint
from sunward.model.site import Ceiling
from sunward.model.site_views import CeilingRequest
from sunward.service.audit import note
from sunward.service.auth import OPERATOR, Plane
from sunward.service.bodies import Name, answer, once, record_of, takes
from sunward.service.routes_sites import Keeper, own_site
from sunward.service.site_views import ceilings_of
from sunward.units import W_PER_KW

router = APIRouter(tags=["sites"])

SALT_BYTES = 16
KW_MAX = 10**9


def watts(kw: float) -> int:
    """Whole watts, rounded down so that the limit as told is never exceeded.

    Raises: InputError.
    """
    if not (math.isfinite(kw) and 0 <= kw <= KW_MAX):
        raise InputError(f"kw is {kw:g}; a ceiling lies in 0..{KW_MAX} kW", code="SW-700")
    return math.floor(kw * W_PER_KW)


@router.get("/v1/sites/{site}/ceilings", response_model=list[Ceiling])
async def get_ceilings(control: Plane, caller: Keeper, site: Name) -> Response:
    """The limits of a site that are in force or to come."""
    return answer(ceilings_of(own_site(control, caller, site), control.clock.grid_ms()))


@router.post("/v1/sites/{site}/ceilings", response_model=Ceiling, status_code=201, openapi_extra=takes(CeilingRequest))
async def post_ceiling(
    control: Plane,
    caller: Keeper,
    request: Request,
    site: Name,
    wanted: Annotated[CeilingRequest, Depends(record_of(CeilingRequest))],
) -> Response:
    """Limit what a site draws until a moment; running work that no longer fits yields before it begins."""

    async def act(key: str) -> Response:
        found = own_site(control, caller, site)
        name = mint("g", control.seed, caller.subject, site, key or secrets.token_hex(SALT_BYTES), digest(wanted))
        one = Ceiling(
            ceiling=name,
            start_ms=wanted.start_ms or control.clock.grid_ms(),
            end_ms=wanted.until_ms,
            ceiling_w=watts(wanted.kw),
            source="operator" if caller.has(OPERATOR) else "provider",
        )
        control.commit_one(SiteCurtailed(site=found.spec.site, ceiling=one))
        note(control, caller, "curtail", f"{site} {name}")
        return answer(one, 201)

    return await once(control, caller.subject, request, act)


@router.delete("/v1/sites/{site}/ceilings/{ceiling}", status_code=204)
async def delete_ceiling(control: Plane, caller: Keeper, site: Name, ceiling: Name) -> Response:
    """Lift a limit before its end."""
    found = own_site(control, caller, site)
    one = found.ceilings.get(ceiling)
    if one is None:
        raise NotFoundError(f"site {site} has no ceiling {ceiling}", code="SW-701")
    control.commit_one(SiteCurtailed(site=found.spec.site, ceiling=one, cancelled=True))
    note(control, caller, "uncurtail", f"{site} {ceiling}")
    return Response(status_code=204)
