"""Jobs of tenants: quote, submit, watch, cancel, fetch, and their receipts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from sunward.adapters.access_sql import Asked
from sunward.errors import ConflictError, NotFoundError
from sunward.model.events import CancelRequested
from sunward.model.explanation import Explanation
from sunward.model.identity import JobId
from sunward.model.job import JobState
from sunward.model.records import HistoryLine, JobPage, ReceiptView, Stored
from sunward.model.request import JobRequest, JobView, Quote, Submitted
from sunward.model.whatif import WhatIf, WhatIfRequest
from sunward.service import submit, views
from sunward.service.auth import AGENT, TENANT, Caller, Config, Plane, Reader, Tenant, allow
from sunward.service.bodies import Cursor, Name, answer, once, once_alike, record_of, spooled, takes, takes_bytes
from sunward.service.bundle import gather
from sunward.service.control import ControlPlane
from sunward.service.explaining import explained
from sunward.service.hearing import output_ref, upload_ref
from sunward.service.limits import Solving
from sunward.service.notices import check_webhook
from sunward.service.secrecy import webhook_key
from sunward.service.trying import tried
from sunward.verification.bundle import Bundle

router = APIRouter(tags=["jobs"])

BYTES = "application/octet-stream"
CHUNK_BYTES = 1 << 20
LOG_BYTES = 1 << 20
"""Most log bytes in one answer."""
PAGE_MAX = 1_000
Wanted = Annotated[JobRequest, Depends(record_of(JobRequest))]
Tried = Annotated[WhatIfRequest, Depends(record_of(WhatIfRequest))]
FetcherOrAgent = Annotated[Caller, Depends(allow(TENANT, AGENT))]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]


def _only(caller: Caller) -> str | None:
    """The tenant whose jobs the caller may read; None for all."""
    return caller.subject if not caller.has("operator", "auditor") else None


def _named(caller: Caller, tenant: str) -> bool:
    """Whether the caller may read private content of a tenant."""
    return caller.has(TENANT) and caller.subject == tenant


@router.post("/v1/quotes", response_model=Quote, openapi_extra=takes(JobRequest))
async def post_quote(control: Plane, config: Config, caller: Tenant, wanted: Wanted, _place: Solving) -> Response:
    """What a job would cost and cause if submitted now."""
    check_webhook(config, wanted.webhook)
    return answer(await submit.quoted(control, caller.subject, wanted))


@router.post("/v1/plan/what-if", response_model=WhatIf, openapi_extra=takes(WhatIfRequest))
async def post_what_if(control: Plane, config: Config, caller: Tenant, wanted: Tried, _place: Solving) -> Response:
    """What open jobs, or one not submitted, would cost and cause at other carbon prices; nothing is changed by it."""
    if wanted.request is not None:
        check_webhook(config, wanted.request.webhook)
    return answer(await tried(control, caller.subject, wanted))


@router.post("/v1/jobs", response_model=Submitted, status_code=201, openapi_extra=takes(JobRequest))
async def post_job(
    control: Plane, config: Config, caller: Tenant, request: Request, wanted: Wanted, _place: Solving
) -> Response:
    """Submit a job; with an Idempotency-Key the same request gives the same job."""
    check_webhook(config, wanted.webhook)

    async def act(asked: Asked | None) -> Response:
        return answer(await submit.submitted(control, caller.subject, wanted, asked), 201)

    return await once_alike(control, caller.subject, request, act)


@router.get("/v1/jobs", response_model=JobPage)
async def get_jobs(control: Plane, caller: Reader, after: Cursor = "", limit: Limit = 100, state: str = "") -> Response:
    """The caller's jobs, the newest first."""
    page = control.store.queries.jobs_page(_only(caller), after, limit, views.state_word(state))
    shown = views.job_views(control, page.rows, lambda tenant: _named(caller, tenant))
    return answer(JobPage(jobs=shown, next=page.next or None))


@router.get("/v1/jobs/{job}", response_model=JobView)
async def get_job(control: Plane, caller: Reader, job: Name) -> Response:
    """One job."""
    return answer(_shown(control, caller, job))


def _shown(control: ControlPlane, caller: Caller, job: str) -> JobView:
    row = views.job_row(control, job, _only(caller))
    return views.job_view(control, row, named=_named(caller, row.tenant))


@router.get("/v1/jobs/{job}/history", response_model=list[HistoryLine])
async def get_history(control: Plane, caller: Reader, job: Name) -> Response:
    """Every change of a job's state, oldest first."""
    views.job_row(control, job, _only(caller))
    return answer(views.history(control, job))


@router.get("/v1/jobs/{job}/explanation", response_model=Explanation)
async def get_explanation(control: Plane, caller: Reader, job: Name, _place: Solving) -> Response:
    """Why a job is placed as it is: filters, terms, alternatives, its promise, and what waiting saves."""
    return answer(await explained(control, views.job_row(control, job, _only(caller))))


@router.post("/v1/jobs/{job}/cancel", response_model=JobView)
async def post_cancel(control: Plane, caller: Tenant, request: Request, job: Name) -> Response:
    """Stop a job; what it has used is paid. Asking again changes nothing."""

    async def act(_key: str) -> Response:
        row = views.job_row(control, job, caller.subject)
        if row.state in views.FINAL_STATES - {JobState.CANCELLED.word}:
            raise ConflictError(f"job {job} has ended already: {row.state}", code="SW-126")
        if row.state != JobState.CANCELLED.word and not _is_stopping(control, job):
            control.commit_one(CancelRequested(job=JobId(job)))
        return answer(_shown(control, caller, job))

    return await once(control, caller.subject, request, act)


def _is_stopping(control: ControlPlane, job: str) -> bool:
    """Whether a job that still runs was cancelled before: it ends when its agent has stopped it."""
    jobs = control.state.world.jobs
    return bool(jobs.ints["cancelled"][jobs.row_of[job]])


@router.get("/v1/jobs/{job}/logs", response_class=Response)
async def get_logs(
    control: Plane, caller: Tenant, job: Name, offset: Annotated[int, Query(ge=0, le=2**62)] = 0
) -> Response:
    """Log bytes from an offset; the headers say where to go on, and whether anything can follow."""
    row = views.job_row(control, job, caller.subject)
    text, final = views.log_part(control, row, offset, LOG_BYTES)
    headers = {"Sunward-Next-Offset": str(offset + len(text)), "Sunward-Final": str(int(final))}
    return Response(text, media_type="text/plain", headers=headers)


@router.get("/v1/jobs/{job}/output", response_class=StreamingResponse)
async def get_output(control: Plane, caller: Tenant, job: Name) -> Response:
    """The results of a finished job, as the tar archive its agent stored."""
    views.job_row(control, job, caller.subject)
    digest = control.store.contents.held(caller.subject, output_ref(job))
    if digest is None:
        raise NotFoundError(f"job {job} has left no results so far", code="SW-158")
    return await _object(control, digest, "application/x-tar")


@router.get("/v1/jobs/{job}/receipt", response_model=ReceiptView)
async def get_receipt(control: Plane, caller: Reader, job: Name) -> Response:
    """The receipt of a job; provisional and unsigned until its epoch closes."""
    return answer(views.receipt_view(control, views.job_row(control, job, _only(caller))))


@router.get("/v1/jobs/{job}/bundle", response_model=Bundle)
async def get_bundle(control: Plane, caller: Reader, job: Name) -> Response:
    """All that checking the final receipt offline needs."""
    views.job_row(control, job, _only(caller))
    return answer(await asyncio.to_thread(gather, control, job, control.signed_head()))


@router.get("/v1/account/webhook-key", response_model=dict[str, str])
async def get_webhook_key(control: Plane, caller: Tenant) -> Response:
    """The key, hex, that notices to the caller are signed with."""
    response = answer({"key": webhook_key(control.secrets, caller.subject).hex()})
    response.headers["cache-control"] = "no-store"
    return response


@router.put("/v1/objects", response_model=Stored, openapi_extra=takes_bytes(BYTES))
async def put_object(control: Plane, caller: Tenant, request: Request) -> Response:
    """Store a bundle; it belongs to the tenant."""
    digest = await keep(control, request)
    control.store.contents.hold(caller.subject, digest, digest)
    return answer(Stored(digest=digest))


@router.get("/v1/objects/{digest}", response_class=StreamingResponse)
async def get_object(control: Plane, caller: FetcherOrAgent, digest: Name) -> Response:
    """Stored bytes: to the tenant that put them, and to the agent whose lease needs them now."""
    own = caller.has(TENANT) and control.store.contents.held(caller.subject, digest) == digest
    if not own and not _needed(control, caller, digest):
        raise NotFoundError(f"no object {digest[:64]}")
    return await _object(control, digest, BYTES)


@router.head("/v1/objects/{digest}", response_class=Response)
async def has_object(control: Plane, caller: Tenant, digest: Name) -> Response:
    """Whether the tenant has put this object before, so that it need not again."""
    if control.store.contents.held(caller.subject, digest) != digest:
        raise NotFoundError(f"no object {digest[:64]}")
    return Response(media_type=BYTES)


def _needed(control: ControlPlane, caller: Caller, digest: str) -> bool:
    """Whether an open lease of the calling agent starts from this object."""
    world = control.state.world
    if caller.site is None or caller.site not in world.sites or not digest:
        return False
    for lease in world.open_leases(caller.site):
        job = world.leases.objects["job"][world.leases.row_of[lease]]
        row = world.jobs.row_of[job]
        if digest == world.jobs.objects["checkpoint"][row] or digest == world.jobs.spec(row).bundle:
            return True
        if control.store.contents.held(world.jobs.tenant(row), upload_ref(job, digest)) is not None:
            # Orders name the newest checkpoint of their moment; a newer one may have come since.
            return True
        if control.store.contents.needs(job, digest):
            return True
    return False


async def keep(control: ControlPlane, request: Request) -> str:
    """Store a request's body; its digest."""
    source = await spooled(request)
    try:
        return await asyncio.to_thread(control.objects.put, source)
    finally:
        source.close()


async def _object(control: ControlPlane, digest: str, media_type: str) -> Response:
    return StreamingResponse(_chunks(await asyncio.to_thread(control.objects.open, digest)), media_type=media_type)


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    with source:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk
