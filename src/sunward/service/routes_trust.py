"""Evidence and verdicts over the API: filed and checked, read, appealed, decided. Documents stay outside the journal.

Who checks is not the owner, who decides is neither side: the engine refuses what these routes let through.
"""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sunward.engine import trust
from sunward.engine.trust import BAD_EVIDENCE, NO_VERDICT, owner_of
from sunward.errors import InputError, NotFoundError
from sunward.model.codec import encode
from sunward.model.events import AppealDecided, AppealFiled, EvidenceFiled, VerdictIssued
from sunward.model.identity import SiteId, TenantId, mint
from sunward.model.trust import Appeal, Consequence, Decision, Evidence, Level
from sunward.model.trust_views import (
    AppealRequest,
    DecisionRequest,
    EvidenceCheck,
    EvidenceLine,
    EvidenceRequest,
    SiteAudit,
    StolenKey,
    VerdictLine,
    VerdictRequest,
)
from sunward.service.audit import note
from sunward.service.auditing import evidence_line, site_audit, verdict_line
from sunward.service.auth import AGENT, AUDITOR, OPERATOR, PROVIDER, Anyone, Auditor, Caller, Config, Plane, allow
from sunward.service.bodies import Name, answer, once, record_of, takes
from sunward.service.control import ControlPlane
from sunward.service.endorsing import endorsed, stolen
from sunward.service.judging import judge
from sunward.service.routes_sites import any_site, owns
from sunward.verification.endorsement import HEADER
from sunward.verification.verdict import Finding
from sunward.world.state import Site
from sunward.world.trust import Judged

router = APIRouter(tags=["trust"])

BYTES = "application/octet-stream"
TEXT_MAX = 20_000
NO_EVIDENCE, BAD_TEXT = "SW-746", "SW-742"
Witness = Annotated[Caller, Depends(allow(PROVIDER, AGENT, AUDITOR, OPERATOR))]
"""Who may file evidence: the owner of the site and its agent, auditors, the operator."""
Owner = Annotated[Caller, Depends(allow(PROVIDER, AGENT))]


@router.get("/v1/sites/{site}/audit", response_model=SiteAudit)
async def get_audit(control: Plane, caller: Anyone, site: Name) -> Response:
    """What is believed of a site, why, and what would raise it."""
    found = any_site(control, site)
    return answer(site_audit(control, found, inside=_inside(caller, found)))


@router.post(
    "/v1/sites/{site}/evidence", response_model=EvidenceLine, status_code=201, openapi_extra=takes(EvidenceRequest)
)
async def post_evidence(
    control: Plane,
    config: Config,
    caller: Witness,
    request: Request,
    site: Name,
    wanted: Annotated[EvidenceRequest, Depends(record_of(EvidenceRequest))],
) -> Response:
    """File evidence; what the owner files again unchanged stays as it was checked."""

    async def act(_key: str) -> Response:
        found = _site_of(control, caller, site)
        if wanted.level is not Level.DECLARED and not _checks(caller):
            raise InputError(
                "what you file is declared until somebody else checks it; leave level out", code=BAD_EVIDENCE
            )
        if wanted.document.startswith(HEADER):
            one = endorsed(config.endorsers, found.spec, wanted.document, caller.subject)
            await _keep(control, found, wanted.document)
            _file(control, caller, one, "file_endorsement")
            return answer(evidence_line(control, found, one.evidence), 201)
        digest = await _keep(control, found, wanted.document)
        words = (wanted.dimension, wanted.statement, wanted.value, wanted.unit, wanted.valid_from_ms)
        name = mint("e", b"", site, digest, *words, wanted.valid_until_ms, wanted.coverage_ppm)
        known = control.state.world.trust.evidence.get(found.spec.site, {}).get(name)
        if known is None or _checks(caller):
            one = Evidence(
                evidence=name,
                site=found.spec.site,
                dimension=wanted.dimension,
                level=wanted.level,
                statement=wanted.statement,
                digest=digest,
                filed_by=caller.subject,
                checked_by=caller.subject if _checks(caller) else "",
                value=wanted.value,
                unit=wanted.unit,
                valid_from_ms=wanted.valid_from_ms,
                valid_until_ms=wanted.valid_until_ms,
                coverage_ppm=wanted.coverage_ppm,
            )
            _file(control, caller, one, "file_evidence")
        return answer(evidence_line(control, found, name), 201)

    return await once(control, caller.subject, request, act)


@router.post("/v1/sites/{site}/stolen-key", response_model=VerdictLine, openapi_extra=takes(StolenKey))
async def post_stolen_key(
    control: Plane,
    caller: Annotated[Caller, Depends(allow(PROVIDER))],
    site: Name,
    wanted: Annotated[StolenKey, Depends(record_of(StolenKey))],
) -> Response:
    """Report that others held the site's key from a batch on: no more of its batches are taken, receipts wait."""
    found = _site_of(control, caller, site)
    records = stolen(found.spec, wanted.from_counter, control.clock.grid_ms())
    judge(control, records)
    note(control, caller, "report_stolen_key", f"{site} {wanted.from_counter}")
    return answer(_shown(control, records[0].verdict))


@router.get("/v1/sites/{site}/evidence/{evidence}", response_class=Response)
async def get_evidence(control: Plane, caller: Witness, site: Name, evidence: Name) -> Response:
    """The document behind evidence, for its owner and for those who check it."""
    found = _site_of(control, caller, site)
    digest = _evidence(control, found, evidence).digest
    if not digest or not control.objects.has(digest):
        raise NotFoundError(f"evidence {evidence} has no document, or no longer", code=NO_EVIDENCE)
    return Response(await asyncio.to_thread(_read, control, digest), media_type=BYTES)


@router.post(
    "/v1/sites/{site}/evidence/{evidence}/check", response_model=EvidenceLine, openapi_extra=takes(EvidenceCheck)
)
async def post_check(
    control: Plane,
    caller: Auditor,
    site: Name,
    evidence: Name,
    wanted: Annotated[EvidenceCheck, Depends(record_of(EvidenceCheck))],
) -> Response:
    """Say what evidence shows, after having looked at it."""
    found = any_site(control, site)
    one = _evidence(control, found, evidence)
    covers = one.coverage_ppm if wanted.coverage_ppm is None else wanted.coverage_ppm
    until_ms = one.valid_until_ms if wanted.valid_until_ms is None else wanted.valid_until_ms
    checked = replace(one, level=wanted.level, checked_by=caller.subject, coverage_ppm=covers, valid_until_ms=until_ms)
    _file(control, caller, checked, "check_evidence")
    return answer(evidence_line(control, found, evidence))


@router.post(
    "/v1/sites/{site}/verdicts", response_model=VerdictLine, status_code=201, openapi_extra=takes(VerdictRequest)
)
async def post_verdict(
    control: Plane,
    caller: Auditor,
    request: Request,
    site: Name,
    wanted: Annotated[VerdictRequest, Depends(record_of(VerdictRequest))],
) -> Response:
    """Issue a verdict; the same fault about the same thing is one verdict."""

    async def act(_key: str) -> Response:
        found = any_site(control, site)
        digest = await _keep(control, found, wanted.document)
        # What people write has no figures to fill in, so braces in it mean nothing.
        plain = wanted.sentence.replace("{", "(").replace("}", ")")
        record = trust.verdict(
            Finding(key=wanted.fault, sentence=plain),
            dimension=wanted.dimension,
            consequence=Consequence.SLASHABLE if wanted.slashable else Consequence.LEVEL_LOWERED,
            at_ms=control.clock.grid_ms(),
            site=site,
            about=wanted.about,
            evidence=(digest,) if digest else (),
            issued_by=caller.subject,
        )
        control.commit_one(VerdictIssued(verdict=record))
        note(control, caller, "issue_verdict", f"{site} {record.verdict}")
        return answer(_shown(control, record.verdict), 201)

    return await once(control, caller.subject, request, act)


@router.post("/v1/verdicts/{verdict}/appeal", response_model=VerdictLine, openapi_extra=takes(AppealRequest))
async def post_appeal(
    control: Plane,
    caller: Owner,
    request: Request,
    verdict: Name,
    wanted: Annotated[AppealRequest, Depends(record_of(AppealRequest))],
) -> Response:
    """Contradict a verdict about one's own site: nothing that cannot be undone follows until it is decided."""

    async def act(_key: str) -> Response:
        owner = owner_of(control.state, _judged(control, caller, verdict).record)
        if not 0 < len(wanted.text) <= TEXT_MAX:
            raise InputError(f"an appeal says why in 1 to {TEXT_MAX} characters", code=BAD_TEXT)
        digest = await asyncio.to_thread(control.objects.put, io.BytesIO(encode(wanted)))
        control.commit_one(AppealFiled(appeal=Appeal(verdict=verdict, by=owner, digest=digest)))
        control.store.contents.hold(owner, f"appeal:{verdict}", digest)
        note(control, caller, "appeal", verdict)
        return answer(_shown(control, verdict))

    return await once(control, caller.subject, request, act)


@router.get("/v1/verdicts/{verdict}/appeal", response_model=AppealRequest)
async def get_appeal(control: Plane, caller: Witness, verdict: Name) -> Response:
    """What was said against a verdict, for its owner and for those who decide."""
    appeal = _judged(control, caller, verdict).appeal
    if appeal is None or not control.objects.has(appeal.digest):
        raise NotFoundError(f"verdict {verdict} has no appeal, or its text is erased", code=NO_VERDICT)
    return Response(await asyncio.to_thread(_read, control, appeal.digest), media_type="application/json")


@router.post("/v1/verdicts/{verdict}/decision", response_model=VerdictLine, openapi_extra=takes(DecisionRequest))
async def post_decision(
    control: Plane,
    caller: Auditor,
    verdict: Name,
    wanted: Annotated[DecisionRequest, Depends(record_of(DecisionRequest))],
) -> Response:
    """Decide an appeal; neither the owner nor who issued the verdict may."""
    decision = Decision(verdict=verdict, by=caller.subject, upheld=wanted.upheld, reason=wanted.reason)
    control.commit_one(AppealDecided(decision=decision))
    note(control, caller, "decide", f"{verdict} {'upheld' if wanted.upheld else 'dismissed'}")
    return answer(_shown(control, verdict))


def _checks(caller: Caller) -> bool:
    """Whether what the caller files is a check, not the owner's word."""
    return caller.has(AUDITOR, OPERATOR)


def _inside(caller: Caller, site: Site) -> bool:
    return _checks(caller) or owns(caller, site)


def _site_of(control: ControlPlane, caller: Caller, name: str) -> Site:
    """A site that the caller may speak of; another provider's is not there. Raises: NotFoundError."""
    found = any_site(control, name)
    if not _inside(caller, found):
        raise NotFoundError(f"no site {name}", code="SW-134")
    return found


def _judged(control: ControlPlane, caller: Caller, name: str) -> Judged:
    """A verdict that concerns the caller. Raises: NotFoundError."""
    known = control.state.world.trust.verdicts.get(name)
    if known is None or not (_checks(caller) or _subject(control, caller) == owner_of(control.state, known.record)):
        raise NotFoundError(f"no verdict {name}", code=NO_VERDICT)
    return known


def _subject(control: ControlPlane, caller: Caller) -> TenantId:
    """The account behind a caller; an agent speaks for its site's owner."""
    site = control.state.world.sites.get(SiteId(caller.site)) if caller.site else None
    return site.spec.owner if site else caller.subject


def _evidence(control: ControlPlane, site: Site, name: str) -> Evidence:
    known = control.state.world.trust.evidence.get(site.spec.site, {}).get(name)
    if known is None:
        raise NotFoundError(f"no evidence {name} of {site.spec.site}", code=NO_EVIDENCE)
    return known.evidence


def _file(control: ControlPlane, caller: Caller, one: Evidence, action: str) -> None:
    control.commit_one(EvidenceFiled(evidence=one))
    note(control, caller, action, f"{one.site} {one.evidence}")


def _shown(control: ControlPlane, name: str) -> VerdictLine:
    return verdict_line(control.state.world.trust.verdicts[name], control.clock.grid_ms())


async def _keep(control: ControlPlane, site: Site, document: bytes) -> str:
    """Store a document under its site's owner, so that it is erased with the rest; its digest, or nothing."""
    if not document:
        return ""
    digest = await asyncio.to_thread(control.objects.put, io.BytesIO(document))
    control.store.contents.hold(site.spec.owner, f"evidence:{digest}", digest)
    return digest


def _read(control: ControlPlane, digest: str) -> bytes:
    with control.objects.open(digest) as source:
        return source.read()
