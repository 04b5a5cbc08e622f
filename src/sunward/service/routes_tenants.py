"""Tenants: made by an operator, with a name that can be erased."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.identity import mint
from sunward.model.records import Erased, TenantLine, TenantMade, TenantPage, TenantRequest
from sunward.service.audit import note
from sunward.service.auth import TENANT, Auditor, Caller, Config, Operator, Plane, Tenant
from sunward.service.bodies import Name, answer, key_of, record_of, secret_once, takes
from sunward.service.control import ControlPlane
from sunward.service.erasure import erased
from sunward.service.routes_admin import PAGE_MAX, SUBJECT, check_days
from sunward.units import DAY_MS

router = APIRouter(tags=["tenants"])

NAME_CHARS = 80
SALT_BYTES = 16
BAD_NAME, TAKEN = "SW-167", "SW-168"
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
Cancel = Annotated[bool, Query()]
After = Annotated[str, Query(pattern=rf"^({SUBJECT.pattern})?$")]


@router.get("/v1/tenants", response_model=TenantPage)
async def get_tenants(control: Plane, _caller: Auditor, after: After = "", limit: Limit = 100) -> Response:
    """Tenants by id."""
    found = control.store.contents.tenants(after, limit + 1)
    lines = tuple(TenantLine(tenant=tenant, name=name) for tenant, name in found[:limit])
    return answer(TenantPage(tenants=lines, next=lines[-1].tenant if len(found) > limit else None))


@router.post("/v1/tenants", response_model=TenantMade, status_code=201, openapi_extra=takes(TenantRequest))
async def post_tenant(
    control: Plane,
    config: Config,
    caller: Operator,
    request: Request,
    wanted: Annotated[TenantRequest, Depends(record_of(TenantRequest))],
) -> Response:
    """A new tenant with its first token, which is shown once."""
    name = _name(wanted)
    key = key_of(request)
    # The id tells nothing of the name, so that it may stay when the name is erased.
    tenant = mint("t", control.seed, caller.subject, key or secrets.token_hex(SALT_BYTES), "tenant")
    _require_free(control, name, tenant)

    def keep(token: str) -> None:
        expires_ms = control.clock.machine_ms() + (wanted.days or config.token_days) * DAY_MS
        control.store.contents.register_tenant(tenant, name)
        control.store.access.create_token(tenant, (TENANT,), expires_ms, "", token)
        note(control, caller, "create_tenant", tenant)

    token = await secret_once(control, caller.subject, request, keep)
    return answer(TenantMade(tenant=tenant, token=token), 201)


@router.delete("/v1/tenants/{tenant}/content", response_model=Erased)
async def delete_content(control: Plane, caller: Operator, tenant: Name, cancel: Cancel = False) -> Response:  # noqa: FBT002 - a query parameter
    """Erase a tenant's name and the private content of its jobs, which must have ended; the books stay."""
    if not control.store.contents.is_tenant(tenant):
        raise NotFoundError("no such tenant", code="SW-104")
    return await _erase(control, caller, tenant, cancel=cancel)


@router.delete("/v1/account/content", response_model=Erased)
async def delete_own_content(control: Plane, caller: Tenant, cancel: Cancel = False) -> Response:  # noqa: FBT002 - as above
    """Erase the private content of one's own jobs, which must have ended; the books stay."""
    return await _erase(control, caller, caller.subject, cancel=cancel)


async def _erase(control: ControlPlane, caller: Caller, tenant: str, *, cancel: bool) -> Response:
    done = await erased(control, tenant, cancel=cancel)
    note(control, caller, "erase_content", tenant)
    return answer(done)


def _name(wanted: TenantRequest) -> str:
    name = wanted.name.strip()
    if not 0 < len(name) <= NAME_CHARS or not name.isprintable():
        raise InputError(f"a tenant's name has 1 to {NAME_CHARS} printable characters", code=BAD_NAME)
    check_days(wanted.days)
    return name


def _require_free(control: ControlPlane, name: str, tenant: str) -> None:
    """A name means one tenant, or erasing by name would be a gamble."""
    holder = control.store.contents.find_tenant(name)
    if holder not in (None, tenant):
        raise ConflictError("another tenant has this name already; choose another", code=TAKEN)
