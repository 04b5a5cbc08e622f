"""What plans are made by: operator and auditor read it, the operator changes it; journal and trail keep each change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from sunward.errors import InputError, NotFoundError
from sunward.model.events import PolicySet
from sunward.model.plan import PolicyInputs
from sunward.model.records import PolicyRequest
from sunward.service.audit import note
from sunward.service.auth import Auditor, Operator, Plane
from sunward.service.bodies import answer, once, record_of, takes
from sunward.service.control import ControlPlane

router = APIRouter(tags=["policy"])

TENANTS_MAX = 1_000
FIGURES = ("water_price_usd_micro_per_l", "transfer_usd_micro_per_gb", "transfer_wh_per_gb", "transfer_by_region")
NO_CHANGE = "SW-711"


@router.get("/v1/policy", response_model=PolicyInputs)
async def get_policy(control: Plane, _caller: Auditor) -> Response:
    """What plans are made by now."""
    return answer(control.state.world.network.policy)


@router.post("/v1/policy", response_model=PolicyInputs, openapi_extra=takes(PolicyRequest))
async def post_policy(
    control: Plane,
    caller: Operator,
    request: Request,
    wanted: Annotated[PolicyRequest, Depends(record_of(PolicyRequest))],
) -> Response:
    """Change what is named; the rest stays."""

    async def act(_key: str) -> Response:
        old = control.state.world.network.policy
        new = _changed(control, old, wanted)
        if new != old:
            control.commit_one(PolicySet(policy=new))
            note(control, caller, "set_policy", " ".join(_told(wanted)))
        return answer(control.state.world.network.policy)

    return await once(control, caller.subject, request, act)


def _changed(control: ControlPlane, old: PolicyInputs, wanted: PolicyRequest) -> PolicyInputs:
    if not list(_told(wanted)):
        raise InputError("name what is to change, such as shares", code=NO_CHANGE)
    shares = dict(old.tenant_shares) | wanted.shares
    unknown = [tenant for tenant in wanted.shares if not control.store.contents.is_tenant(tenant)]
    if unknown:
        raise NotFoundError(f"no tenant {min(unknown)[:80]}", code="SW-104")
    if len(shares) > TENANTS_MAX:
        raise InputError(f"at most {TENANTS_MAX} tenants have a weight of their own", code=NO_CHANGE)
    weights = tuple(sorted((tenant, weight) for tenant, weight in shares.items() if weight))
    return replace(old, tenant_shares=weights, **_figures(wanted))


def _figures(wanted: PolicyRequest) -> dict[str, Any]:
    """What is named, the weights apart."""
    return {name: value for name in FIGURES if (value := getattr(wanted, name)) is not None}


def _told(wanted: PolicyRequest) -> Iterator[str]:
    yield from (f"{tenant}={weight}" for tenant, weight in sorted(wanted.shares.items()))
    yield from (f"{name}={value}" for name, value in _figures(wanted).items())
