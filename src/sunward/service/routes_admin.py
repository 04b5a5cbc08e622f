"""Enrolments and tokens; every act of an operator leaves a line in the audit trail."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from sunward.errors import InputError, NotFoundError
from sunward.model.records import Enrolment, EnrolmentRequest, TokenLine, TokenRequest
from sunward.service.auth import AUDITOR, OPERATOR, PROVIDER, TENANT, Config, Enroller, Operator, Plane
from sunward.service.bodies import Name, answer, record_of, takes
from sunward.units import DAY_MS, HOUR_MS

router = APIRouter(tags=["admin"])

GRANTED = (TENANT, PROVIDER, OPERATOR, AUDITOR)
"""Roles that a token can be made for; an agent's comes from its enrolment alone."""
SUBJECT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
NOTE_CHARS = 200
DAYS_MAX = 3_650


@router.post("/v1/enrolments", response_model=Enrolment, openapi_extra=takes(EnrolmentRequest))
async def post_enrolment(
    control: Plane,
    config: Config,
    caller: Enroller,
    wanted: Annotated[EnrolmentRequest, Depends(record_of(EnrolmentRequest))],
) -> Response:
    """A one-time token with which one site joins; the site belongs to the caller."""
    now_ms = control.clock.machine_ms()
    token = control.store.access.create_enrolment(caller.subject, now_ms + config.enrolment_hours * HOUR_MS)
    control.store.access.record_act(now_ms, caller.subject, "create_enrolment", wanted.note[:NOTE_CHARS])
    return answer(Enrolment(token=token))


@router.get("/v1/tokens", response_model=list[TokenLine])
async def get_tokens(control: Plane, _caller: Operator) -> Response:
    """Every token, without the secret."""
    return answer(
        [
            TokenLine(
                hash=token.hash,
                subject=token.subject,
                scopes=token.scopes,
                expires_machine_ms=token.expires_machine_ms,
                note=token.note,
            )
            for token in control.store.access.tokens()
        ]
    )


@router.post("/v1/tokens", response_model=Enrolment, openapi_extra=takes(TokenRequest))
async def post_token(
    control: Plane,
    config: Config,
    caller: Operator,
    wanted: Annotated[TokenRequest, Depends(record_of(TokenRequest))],
) -> Response:
    """A token for a subject; shown once. A tenant that gets one is known to this network from then on."""
    _check(wanted)
    now_ms = control.clock.machine_ms()
    expires_ms = now_ms + (wanted.days or config.token_days) * DAY_MS
    token = control.store.access.create_token(wanted.subject, wanted.scopes, expires_ms, wanted.note)
    if TENANT in wanted.scopes:
        control.store.contents.name_tenant(wanted.subject, wanted.note or wanted.subject)
    control.store.access.record_act(now_ms, caller.subject, "create_token", wanted.subject)
    return answer(Enrolment(token=token))


def _check(wanted: TokenRequest) -> None:
    if not SUBJECT.fullmatch(wanted.subject):
        raise InputError("a subject is named by at most 63 small letters, digits and -", code="SW-165")
    if not wanted.scopes or not set(wanted.scopes) <= set(GRANTED):
        raise InputError(f"scopes must be some of {', '.join(GRANTED)}", code="SW-165")
    if not 0 <= wanted.days <= DAYS_MAX or len(wanted.note) > NOTE_CHARS:
        raise InputError(f"a token lives at most {DAYS_MAX} days; a note has {NOTE_CHARS} characters", code="SW-165")


@router.delete("/v1/tokens/{hash_}", status_code=204)
async def delete_token(control: Plane, caller: Operator, hash_: Name) -> Response:
    """End a token, named by its hash."""
    if not control.store.access.revoke_token(hash_):
        raise NotFoundError("no such token", code="SW-104")
    control.store.access.record_act(control.clock.machine_ms(), caller.subject, "revoke_token", hash_)
    return Response(status_code=204)
