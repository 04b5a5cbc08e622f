"""Granular certificates: owners issue, move and cancel their own; the operator takes over other registries' exports."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from sunward.adapters.registry_files import MeteredHour, read_export, read_hours
from sunward.errors import InputError, NotFoundError
from sunward.model.codec import digest_bytes
from sunward.model.events import (
    TimerFired,
)
from sunward.model.granular import (
    CertificateBundle,
    CertificateState,
    GenerationDevice,
    site_beneficiary,
)
from sunward.model.granular_events import (
    CertificatesCancelled,
    CertificatesImported,
    CertificatesIssued,
    CertificatesMoved,
    CertificatesWithdrawn,
    GenerationDeclared,
)
from sunward.model.granular_views import (
    CertificatePage,
    DeviceRequest,
    ImportRequest,
    IssueRequest,
    MoveRequest,
    Registered,
    UseRequest,
    WithdrawRequest,
)
from sunward.model.identity import SiteId, TenantId
from sunward.service.audit import note
from sunward.service.auth import (
    AUDITOR,
    OPERATOR,
    PROVIDER,
    TENANT,
    Auditor,
    Bookkeeper,
    Caller,
    Operator,
    Plane,
    allow,
)
from sunward.service.bodies import answer, once, record_of, takes
from sunward.service.control import ControlPlane
from sunward.service.routes_sites import own_site
from sunward.signals import markets
from sunward.units import MICRO, W_PER_KW
from sunward.verification.solar import solar_findings

router = APIRouter(tags=["certificates"])

PAGE_MAX = 1_000
FIGURE_MAX = 10**9
SOLAR = "solar"
PLACE_KM = 50.0
"""How far from the place declared a plant may stand: people name the nearest town."""
METER_PPM = 20_000
"""Of an electricity meter of accuracy class 2 (IEC 62053-21)."""
Provider = Annotated[Caller, Depends(allow(PROVIDER))]
Owner = Annotated[Caller, Depends(allow(TENANT, PROVIDER))]


@router.get("/v1/certificates", response_model=CertificatePage)
async def get_certificates(
    control: Plane,
    caller: Bookkeeper,
    state: Annotated[str, Query(pattern=r"^[a-z]{0,20}$")] = "",
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> Response:
    """The caller's own bundles, in order of ids; operator and auditor read all."""
    if state not in ("", *CertificateState):
        raise InputError(f"unknown state {state}; one of {', '.join(CertificateState)}", code="SW-761")
    everything = caller.has(AUDITOR, OPERATOR)
    registry = control.state.certificates
    found = sorted(
        (
            one
            for one in registry.bundles.values()
            if one.first > after and (everything or one.owner == caller.subject) and _is_in(one, state)
        ),
        key=lambda one: one.first,
    )
    page = tuple(found[:limit])
    following = page[-1].first if len(found) > limit else None
    return answer(CertificatePage(totals=registry.totals(), bundles=page, next=following))


@router.post("/v1/certificates/devices", response_model=GenerationDevice, openapi_extra=takes(DeviceRequest))
async def post_device(
    control: Plane,
    caller: Provider,
    request: Request,
    wanted: Annotated[DeviceRequest, Depends(record_of(DeviceRequest))],
) -> Response:
    """Declare a device that generates at a site of the caller."""

    async def act(_key: str) -> Response:
        site = own_site(control, caller, wanted.site).spec
        device = GenerationDevice(
            device=wanted.device,
            site=site.site,
            owner=site.owner,
            source=wanted.source,
            nameplate_w=_scaled(wanted.nameplate_kw, W_PER_KW),
            latitude_micro=_scaled(wanted.latitude, MICRO),
            longitude_micro=_scaled(wanted.longitude, MICRO),
            year=wanted.year,
        )
        control.commit_one(GenerationDeclared(device=device))
        note(control, caller, "declare_generation", wanted.device)
        return answer(device)

    return await once(control, caller.subject, request, act)


@router.post("/v1/certificates/issue", response_model=Registered, openapi_extra=takes(IssueRequest))
async def post_issue(
    control: Plane,
    caller: Provider,
    request: Request,
    wanted: Annotated[IssueRequest, Depends(record_of(IssueRequest))],
) -> Response:
    """Issue certificates for metered hours; nothing of a file with a wrong row."""

    async def act(_key: str) -> Response:
        device = control.state.generation.get(wanted.device)
        if device is None or device.owner != caller.subject:
            raise NotFoundError(f"no device {wanted.device[:80]} of yours; declare it first", code="SW-760")
        hours = read_hours(wanted.file)
        await asyncio.to_thread(_check_sky, device, hours)
        source = markets.energy_source(device.source)
        _let_time_pass(control)
        first = control.state.certificates.next_id
        done = _registered(
            control,
            CertificatesIssued(
                device=device.device,
                owner=device.owner,
                source=device.source,
                market=markets.market_of(control.state.world.sites[device.site].spec.zone),
                mg_per_kwh=source.mg_per_kwh,
                first=first,
                start_ms=tuple(one.start_ms for one in hours),
                wh=tuple(one.wh for one in hours),
                exported_wh=tuple(one.exported_wh for one in hours),
                evidence=digest_bytes(wanted.file),
            ),
            [(first, first + sum(one.wh for one in hours) - 1)],
        )
        if wanted.cancel:
            _cancel_new(control, device, first)
        note(control, caller, "issue_certificates", f"{device.device} {done.wh} Wh")
        return answer(done)

    return await once(control, caller.subject, request, act)


@router.post("/v1/certificates/import", response_model=Registered, openapi_extra=takes(ImportRequest))
async def post_import(
    control: Plane,
    caller: Operator,
    request: Request,
    wanted: Annotated[ImportRequest, Depends(record_of(ImportRequest))],
) -> Response:
    """Take over what was retired in another registry for an account of this network."""

    async def act(_key: str) -> Response:
        rows = read_export(wanted.file, wanted.registry, wanted.zone)
        _let_time_pass(control)
        first = control.state.certificates.next_id
        event = CertificatesImported(
            registry=wanted.registry,
            owner=TenantId(wanted.owner),
            first=first,
            device=tuple(one.device for one in rows),
            source=tuple(one.source for one in rows),
            market=tuple(one.market for one in rows),
            mg_per_kwh=tuple(markets.energy_source(one.source).mg_per_kwh for one in rows),
            start_ms=tuple(one.start_ms for one in rows),
            end_ms=tuple(one.end_ms for one in rows),
            wh=tuple(one.wh for one in rows),
            serials=tuple(one.serials for one in rows),
            serial_first=tuple(one.first for one in rows),
            serial_last=tuple(one.last for one in rows),
            evidence=digest_bytes(wanted.file),
        )
        done = _registered(control, event, [(first, first + sum(event.wh) - 1)])
        note(control, caller, "import_certificates", f"{wanted.registry} {wanted.owner} {done.wh} Wh")
        return answer(done)

    return await once(control, caller.subject, request, act)


@router.post("/v1/certificates/move", response_model=Registered, openapi_extra=takes(MoveRequest))
async def post_move(
    control: Plane, caller: Owner, request: Request, wanted: Annotated[MoveRequest, Depends(record_of(MoveRequest))]
) -> Response:
    """Give certificates to another account."""

    async def act(_key: str) -> Response:
        taken = _chosen(control, caller.subject, wanted.bundles, wanted.wh)
        bundle, first, last = _columns(taken)
        event = CertificatesMoved(owner=caller.subject, to=TenantId(wanted.to), bundle=bundle, first=first, last=last)
        done = _registered(control, event, list(zip(first, last, strict=True)))
        note(control, caller, "move_certificates", f"{wanted.to} {done.wh} Wh")
        return answer(done)

    return await once(control, caller.subject, request, act)


@router.post("/v1/certificates/cancel", response_model=Registered, openapi_extra=takes(UseRequest))
async def post_cancel(
    control: Plane, caller: Owner, request: Request, wanted: Annotated[UseRequest, Depends(record_of(UseRequest))]
) -> Response:
    """Cancel certificates for a site, a tenant or a job, for good."""

    async def act(_key: str) -> Response:
        taken = _chosen(control, caller.subject, wanted.bundles, wanted.wh)
        bundle, first, last = _columns(taken)
        event = CertificatesCancelled(
            owner=caller.subject, beneficiary=wanted.beneficiary, bundle=bundle, first=first, last=last
        )
        done = _registered(control, event, list(zip(first, last, strict=True)))
        note(control, caller, "cancel_certificates", f"{wanted.beneficiary} {done.wh} Wh")
        return answer(done)

    return await once(control, caller.subject, request, act)


@router.post("/v1/certificates/withdraw", response_model=Registered, openapi_extra=takes(WithdrawRequest))
async def post_withdraw(
    control: Plane,
    caller: Auditor,
    request: Request,
    wanted: Annotated[WithdrawRequest, Depends(record_of(WithdrawRequest))],
) -> Response:
    """Take back, on a verdict, what a device was given and nothing final counts yet."""

    async def act(_key: str) -> Response:
        before = control.state.certificates.totals()[CertificateState.WITHDRAWN]
        event = CertificatesWithdrawn(
            device=wanted.device, start_ms=wanted.start_ms, end_ms=wanted.end_ms, verdict=wanted.verdict
        )
        sequence = control.commit_one(event).sequence
        wh = control.state.certificates.totals()[CertificateState.WITHDRAWN] - before
        note(control, caller, "withdraw_certificates", f"{wanted.device} {wanted.verdict} {wh} Wh")
        return answer(Registered(wh=wh, first=0, last=0, sequence=sequence))

    return await once(control, caller.subject, request, act)


def _check_sky(device: GenerationDevice, hours: Sequence[MeteredHour]) -> None:
    """Refuse more sun than there can have been at the device's place in an hour.

    Raises: InputError; SourceError where the service cannot tell, since what is not checked is not issued.
    """
    for one in hours if device.source == SOLAR else ():
        found = solar_findings(
            device.device,
            lat=device.latitude_micro / MICRO,
            lon=device.longitude_micro / MICRO,
            radius_km=PLACE_KM,
            hour_ms=one.start_ms,
            nameplate_w=device.nameplate_w,
            found_wh=one.wh,
            uncertainty_ppm=METER_PPM,
        )
        if found:
            raise InputError(found[0].text, code="SW-769")


def _is_in(one: CertificateBundle, state: str) -> bool:
    """Whether a bundle, or a part of it, is in a state."""
    if state == CertificateState.CLAIMED:
        return one.claimed_wh > 0
    return not state or (one.state == state and one.claimed_wh < one.wh)


def _let_time_pass(control: ControlPlane) -> None:
    """Have the state know what time it is: in a quiet network it may not have looked since an hour ended."""
    control.commit_one(TimerFired())


def _registered(
    control: ControlPlane,
    event: CertificatesIssued | CertificatesImported | CertificatesMoved | CertificatesCancelled,
    ids: Sequence[tuple[int, int]],
) -> Registered:
    """Record an act, and say what it was about."""
    sequence = control.commit_one(event).sequence
    return Registered(
        wh=sum(last - first + 1 for first, last in ids),
        first=min(first for first, _ in ids),
        last=max(last for _, last in ids),
        sequence=sequence,
    )


def _chosen(control: ControlPlane, owner: str, names: Sequence[str], wh: int) -> list[tuple[CertificateBundle, int]]:
    """Bundles with the last id taken of each, in the order named, until so many Wh are taken.

    Raises: NotFoundError for a bundle that is not the owner's; InputError where fewer are there.
    """
    if wh < 0 or not names:
        raise InputError("name bundles, and 0 Wh for all or how many", code="SW-761")
    taken, left = [], wh
    for name in dict.fromkeys(names):
        one = control.state.certificates.bundles.get(name)
        if one is None or one.owner != owner:
            raise NotFoundError(f"no bundle {name[:80]} of yours; list them again", code="SW-763")
        if wh and not left:
            break
        part = min(one.wh, left) if wh else one.wh
        left -= part if wh else 0
        taken.append((one, one.first + part - 1))
    if wh and left:
        raise InputError(f"the bundles named hold {wh - left} Wh, not {wh}", code="SW-761")
    return taken


def _columns(
    taken: Sequence[tuple[CertificateBundle, int]],
) -> tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]:
    return (
        tuple(one.bundle for one, _ in taken),
        tuple(one.first for one, _ in taken),
        tuple(last for _, last in taken),
    )


def _cancel_new(control: ControlPlane, device: GenerationDevice, first: int) -> None:
    """Cancel what was just issued, but for what was exported, for the site it was generated at."""
    bundles = control.state.certificates.bundles.values()
    fresh = [one for one in bundles if one.first >= first and one.state is CertificateState.ACTIVE]
    if fresh:
        bundle, firsts, lasts = _columns([(one, one.last) for one in sorted(fresh, key=lambda one: one.first)])
        control.commit_one(
            CertificatesCancelled(
                owner=device.owner,
                beneficiary=site_beneficiary(SiteId(device.site)),
                bundle=bundle,
                first=firsts,
                last=lasts,
            )
        )


def _scaled(value: float, scale: int) -> int:
    """A figure in smaller units, rounded to the nearest.

    Raises: InputError for one that is not a number.
    """
    if not math.isfinite(value) or abs(value) > FIGURE_MAX:
        raise InputError(f"{value} is no figure of a device", code="SW-760")
    return round(value * scale)
