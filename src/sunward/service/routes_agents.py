"""Agents: enrolment, the long poll, readings, and the files of their leases."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

import sunward
from sunward.errors import ConflictError, InputError
from sunward.model.identity import SiteId
from sunward.model.records import BatchesHeld, EnrollRequest, Membership, Stored
from sunward.model.version import FIRST, compatible
from sunward.model.wire import ClockMapping, JobContent, Neighbours, SyncReply, SyncRequest, WakeTrial
from sunward.service.auth import AgentSite, Config, Plane
from sunward.service.bodies import Name, answer, record_of, takes, takes_bytes
from sunward.service.control import ControlPlane
from sunward.service.enrol import check_network, enrolled
from sunward.service.hearing import require_current, settled, upload_ref
from sunward.service.limits import address_of, limits_of
from sunward.service.problems import RequestError, problem
from sunward.service.routes_jobs import BYTES, keep
from sunward.service.secrecy import unseal
from sunward.units import SECOND_MS

router = APIRouter(tags=["agents"])

LOG_BYTES_MAX = 256 << 20
"""Longest log of one attempt."""
BATCHES_MAX = 100_000
BYTE_STRING, ARRAY = 2, 4
"""Major types of CBOR (RFC 8949), in the three high bits of an item's first byte."""
MAJOR_SHIFT, DIRECT_MAX, EIGHT_BYTES = 5, 23, 4
"""The low five bits count up to 23 themselves; 24 to 27 say that 1, 2, 4 or 8 bytes follow that do."""
Units = Annotated[int, Query(ge=0, le=2**53)]
Offset = Annotated[int, Query(ge=0, le=LOG_BYTES_MAX)]


@router.post("/v1/agents/enroll", response_model=Membership, openapi_extra=takes(EnrollRequest))
async def post_enroll(
    control: Plane,
    config: Config,
    request: Request,
    wanted: Annotated[EnrollRequest, Depends(record_of(EnrollRequest))],
) -> Response:
    """Join with a one-time token; the same token and key may come again."""
    limits, address = limits_of(request), address_of(request)
    limits.guard(address)
    try:
        return answer(enrolled(control, config, wanted, address))
    except RequestError:
        limits.fail(address)
        raise


@router.post("/v1/agents/sync", response_model=SyncReply, openapi_extra=takes(SyncRequest))
async def post_sync(
    control: Plane, config: Config, site: AgentSite, request: Annotated[SyncRequest, Depends(record_of(SyncRequest))]
) -> Response:
    """Say everything, and take orders: at once when there are newer ones, else when they come or the wait is over."""
    if not compatible(sunward.__version__, request.version):
        raise ConflictError(
            f"this control plane is sunward {sunward.__version__} and understands agents one minor version away; "
            f"yours is {request.version[:40] or FIRST}: upgrade the older of the two",
            code="SW-434",
        )
    await control.hear(site, request)
    wait_s = min(max(request.wait_ms / SECOND_MS, 0.0), config.poll_s_max)
    if wait_s:
        await control.wait_for_orders(site, request.orders_version, wait_s)
    mapping: ClockMapping = control.clock.mapping
    reply = SyncReply(
        clock=mapping,
        orders=control.orders_for(site),
        settled=settled(control.state, site, request),
        version=sunward.__version__,
        asleep_until_ms=control.state.world.sites[site].asleep_until_ms,
    )
    return answer(reply)


@router.post("/v1/agents/wake", response_model=Neighbours, openapi_extra=takes(WakeTrial))
async def post_wake(
    control: Plane, site: AgentSite, wanted: Annotated[WakeTrial, Depends(record_of(WakeTrial))]
) -> Response:
    """Have the owner's other machines on the same network wake this one for a while, as a trial."""
    check_network(wanted.lan, wanted.mac)
    spec = control.state.world.sites[site].spec
    return answer(Neighbours(awake=control.trials.begin(control.state.world, spec, wanted, control.clock.machine_ms())))


@router.post("/v1/agents/readings", response_model=BatchesHeld, openapi_extra=takes_bytes("application/cbor"))
async def post_readings(control: Plane, site: AgentSite, request: Request) -> Response:
    """Deliver signed batches in order; acknowledged ones are stored durably."""
    raws = _batches(await request.body())
    try:
        return answer(BatchesHeld(accepted=control.intake.accept(site, raws)))
    except ConflictError as reason:
        return problem(409, reason.message, reason.code, expected=control.intake.expected(site))


def _batches(body: bytes) -> list[bytes]:
    """The messages in a CBOR array of byte strings, read by hand: nothing else in a body is looked at or built."""
    count, at = _head(body, 0, ARRAY)
    if count > BATCHES_MAX:
        raise _no_array()
    raws = []
    for _ in range(count):
        size, at = _head(body, at, BYTE_STRING)
        raws.append(body[at : at + size])
        at += size
    if at != len(body):
        raise _no_array()
    return raws


def _head(body: bytes, at: int, major: int) -> tuple[int, int]:
    """What the head of a CBOR item counts, and where the item begins; its length is definite."""
    kind, told = divmod(body[at], 1 << MAJOR_SHIFT) if at < len(body) else (-1, 0)
    more = told - DIRECT_MAX
    if kind != major or more > EIGHT_BYTES:
        raise _no_array()
    if more <= 0:
        return told, at + 1
    start, end = at + 1, at + 1 + (1 << (more - 1))
    if end > len(body):
        raise _no_array()
    return int.from_bytes(body[start:end]), end


def _no_array() -> InputError:
    return InputError("readings come as one CBOR array of byte strings; see docs/readings.md", code="SW-301")


@router.get("/v1/leases/{lease}/content", response_model=JobContent)
async def get_content(control: Plane, site: AgentSite, lease: Name) -> Response:
    """Command and environment of a lease held by the calling agent."""
    return answer(control.store.contents.get(_job(control, site, lease)).content)


@router.get("/v1/leases/{lease}/secrets", response_model=dict[str, str])
async def get_secrets(control: Plane, site: AgentSite, lease: Name) -> Response:
    """Secrets of a lease held by the calling agent, to be given to the job and kept nowhere."""
    job = _job(control, site, lease)
    private = control.store.privates.get(job)
    values = unseal(control.secrets, job, private.secrets) if private is not None and private.secrets else {}
    response = answer(values)
    response.headers["cache-control"] = "no-store"
    return response


@router.put("/v1/leases/{lease}/checkpoint", response_model=Stored, openapi_extra=takes_bytes(BYTES))
async def put_checkpoint(control: Plane, site: AgentSite, request: Request, lease: Name, units: Units) -> Response:
    """Store a checkpoint that stands for so many units; the next report names it."""
    job = _job(control, site, lease)
    if units > control.state.world.jobs.ints["units"][control.state.world.jobs.row_of[job]]:
        raise InputError(f"job {job} has fewer than {units} units; correct the checkpoint's UNITS", code="SW-147")
    return await _store(control, site, request, lease)


@router.put("/v1/leases/{lease}/output", response_model=Stored, openapi_extra=takes_bytes(BYTES))
async def put_output(control: Plane, site: AgentSite, request: Request, lease: Name) -> Response:
    """Store the results of an attempt; the report of its end names them."""
    return await _store(control, site, request, lease)


@router.post("/v1/leases/{lease}/log", response_model=dict[str, int], openapi_extra=takes_bytes(BYTES))
async def post_log(control: Plane, site: AgentSite, request: Request, lease: Name, offset: Offset) -> Response:
    """Add to the log of an attempt; bytes that are held already are passed over."""
    body = await request.body()
    _job(control, site, lease)
    if offset + len(body) > LOG_BYTES_MAX:
        raise InputError(f"a log has at most {LOG_BYTES_MAX} bytes; write results to the output folder", code="SW-147")
    end = control.store.ingest.append_log(lease, offset, body)
    if end < offset:
        raise ConflictError(f"the log of {lease} ends at {end}; go on from there", code="SW-159")
    return answer({"end": end})


def _job(control: ControlPlane, site: SiteId, lease: str) -> str:
    """The job of a lease that this site holds now. Raises: ConflictError (fenced)."""
    row = require_current(control.state, site, lease)
    return str(control.state.world.leases.objects["job"][row])


async def _store(control: ControlPlane, site: SiteId, request: Request, lease: str) -> Response:
    """Store what an attempt sends; fenced before, and again after, since the upload took time."""
    _job(control, site, lease)
    digest = await keep(control, request)
    job = _job(control, site, lease)
    tenant = control.state.world.jobs.tenant(control.state.world.jobs.row_of[job])
    control.store.contents.hold(tenant, upload_ref(job, digest), digest)
    return answer(Stored(digest=digest))
