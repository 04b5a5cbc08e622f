"""Enrolments, tokens and the audit trail; every act leaves a line in the trail."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from sunward.adapters.access_sql import Token
from sunward.errors import InputError, NotFoundError
from sunward.model.records import AuditEntry, AuditPage, Enrolment, EnrolmentRequest, TokenLine, TokenRequest
from sunward.model.trust import NETWORK
from sunward.service.audit import note
from sunward.service.auth import ANCHOR, AUDITOR, OPERATOR, PROVIDER, TENANT, Auditor, Config, Enroller, Operator, Plane
from sunward.service.bodies import Name, answer, page_of, record_of, secret_once, takes
from sunward.units import DAY_MS, HOUR_MS

router = APIRouter(tags=["admin"])

GRANTED = (TENANT, PROVIDER, OPERATOR, AUDITOR, ANCHOR)
"""Roles that a token can be made for; an agent's comes from its enrolment alone."""
SUBJECT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
NOTE_CHARS = 200
DAYS_MAX = 3_650
PAGE_MAX = 1_000
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
Hash = Annotated[str, Query(pattern=r"^([0-9a-f]{64})?$")]
Line = Annotated[int, Query(ge=0, le=2**62)]


@router.post("/v1/enrolments", response_model=Enrolment, openapi_extra=takes(EnrolmentRequest))
async def post_enrolment(
    control: Plane,
    config: Config,
    caller: Enroller,
    request: Request,
    wanted: Annotated[EnrolmentRequest, Depends(record_of(EnrolmentRequest))],
) -> Response:
    """A one-time token with which one site joins; the site belongs to the caller, or to whom it belonged before."""
    owner = caller.subject
    if wanted.site:
        site = control.state.world.sites.get(wanted.site)
        if site is None or not (caller.has(OPERATOR) or site.spec.owner == owner):
            raise NotFoundError(f"no site {wanted.site[:NOTE_CHARS]}", code="SW-134")
        owner = site.spec.owner

    def keep(token: str) -> None:
        expires_ms = control.clock.machine_ms() + config.enrolment_hours * HOUR_MS
        control.store.access.create_enrolment(owner, expires_ms, token, wanted.site)
        note(control, caller, "create_enrolment", wanted.site or wanted.note)

    return answer(Enrolment(token=await secret_once(control, caller.subject, request, keep)))


@router.get("/v1/tokens", response_model=list[TokenLine])
async def get_tokens(control: Plane, _caller: Operator, after: Hash = "", limit: Limit = PAGE_MAX) -> Response:
    """Tokens by hash, without the secret; the header Sunward-Next names the last one where more follow."""
    found = control.store.access.tokens(after=after, limit=limit + 1)
    return page_of([_line(token) for token in found], limit, lambda line: line.hash)


def _line(token: Token) -> TokenLine:
    return TokenLine(
        hash=token.hash,
        subject=token.subject,
        scopes=token.scopes,
        expires_machine_ms=token.expires_machine_ms,
        note=token.note,
    )


@router.post("/v1/tokens", response_model=Enrolment, openapi_extra=takes(TokenRequest))
async def post_token(
    control: Plane,
    config: Config,
    caller: Operator,
    request: Request,
    wanted: Annotated[TokenRequest, Depends(record_of(TokenRequest))],
) -> Response:
    """A token for a subject; shown once. A tenant that gets one is known to this network from then on."""
    _check(wanted)

    def keep(token: str) -> None:
        expires_ms = control.clock.machine_ms() + (wanted.days or config.token_days) * DAY_MS
        control.store.access.create_token(wanted.subject, wanted.scopes, expires_ms, wanted.note, token)
        if TENANT in wanted.scopes:
            control.store.contents.register_tenant(wanted.subject, wanted.subject)
        note(control, caller, "create_token", f"{wanted.subject} {' '.join(wanted.scopes)}")

    return answer(Enrolment(token=await secret_once(control, caller.subject, request, keep)))


def _check(wanted: TokenRequest) -> None:
    if wanted.subject == NETWORK:
        raise InputError(f"{NETWORK} is what signs for programs of the service; name another subject", code="SW-165")
    if not SUBJECT.fullmatch(wanted.subject):
        raise InputError("a subject is named by at most 63 small letters, digits and -", code="SW-165")
    if not wanted.scopes or not set(wanted.scopes) <= set(GRANTED):
        raise InputError(f"scopes must be some of {', '.join(GRANTED)}", code="SW-165")
    check_days(wanted.days)
    if len(wanted.note) > NOTE_CHARS:
        raise InputError(f"a note has at most {NOTE_CHARS} characters", code="SW-165")


def check_days(days: int) -> None:
    """Refuse a lifetime that no token has. Raises: InputError."""
    if not 0 <= days <= DAYS_MAX:
        raise InputError(f"a token lives at most {DAYS_MAX} days", code="SW-165")


@router.delete("/v1/tokens/{hash_}", status_code=204)
async def delete_token(control: Plane, caller: Operator, hash_: Name) -> Response:
    """End a token, named by its hash."""
    if not control.store.access.revoke_token(hash_):
        raise NotFoundError("no such token", code="SW-104")
    note(control, caller, "revoke_token", hash_)
    return Response(status_code=204)


@router.get("/v1/audit", response_model=AuditPage)
async def get_audit(control: Plane, _caller: Auditor, after: Line = 0, limit: Limit = 100) -> Response:
    """Who did what to whom, oldest first."""
    found = control.store.access.audit_trail(after, limit + 1)
    acts = tuple(
        AuditEntry(
            id=line.id,
            at_machine_ms=line.at_machine_ms,
            subject=line.subject,
            action=line.action,
            target=line.target,
            address=line.address,
        )
        for line in found[:limit]
    )
    return answer(AuditPage(acts=acts, next=str(acts[-1].id) if len(found) > limit else None))
