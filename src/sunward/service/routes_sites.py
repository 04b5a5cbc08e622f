"""One site: how it stands, and what its owner asks of it. Every act leaves a line in the audit trail."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sunward.engine.membership import check_member
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.events import SiteDrained, SiteEnrolled, SiteLeft
from sunward.model.site import RetiredKey, SiteSpec, key_bytes
from sunward.model.site_views import AskRequest, Declaration, DrainRequest, KeyRequest, KeyTaken, Left, SiteStatus
from sunward.service.audit import note
from sunward.service.auth import AGENT, AGENT_PREFIX, OPERATOR, PROVIDER, AgentSite, Anyone, Caller, Plane, allow
from sunward.service.bodies import Name, answer, once, record_of, takes
from sunward.service.control import ControlPlane
from sunward.service.enrol import check_spec, require_free
from sunward.service.site_views import owed_usd_micro, site_status
from sunward.verification.signature import signed_by
from sunward.world.state import Site

router = APIRouter(tags=["sites"])

KEPT = ("site", "owner", "public_key", "retired_keys", "ask_usd_micro_per_gpu_h", "payout")
"""What an agent cannot declare anew."""
COUNTER_MAX = 2**53 - 1
BAD_SITE_KEY = "SW-444"
Keyholder = Annotated[Caller, Depends(allow(AGENT))]
Keeper = Annotated[Caller, Depends(allow(PROVIDER, OPERATOR, AGENT))]
"""Who may act on a site: its owner, its own agent, the operator."""


def owns(caller: Caller, site: Site) -> bool:
    """Whether a site is the caller's to read and to change."""
    if caller.has(OPERATOR):
        return True
    return caller.site == site.spec.site or (caller.has(PROVIDER) and caller.subject == site.spec.owner)


def any_site(control: ControlPlane, name: str) -> Site:
    """A site, whoever asks. Raises: NotFoundError."""
    site = control.state.world.sites.get(name)
    if site is None:
        raise NotFoundError(f"no site {name}", code="SW-134")
    return site


def own_site(control: ControlPlane, caller: Caller, name: str) -> Site:
    """A site of the caller; another provider's is not there.

    Raises: NotFoundError.
    """
    site = any_site(control, name)
    if not owns(caller, site):
        raise NotFoundError(f"no site {name}", code="SW-134")
    return site


@router.get("/v1/sites/{site}", response_model=SiteStatus)
async def get_site(control: Plane, caller: Anyone, site: Name) -> Response:
    """How a site stands; its leases and what it earned only for its owner and the operator."""
    found = any_site(control, site)
    return answer(site_status(control, found, own=owns(caller, found)))


@router.post("/v1/sites/{site}/drain", response_model=SiteStatus, openapi_extra=takes(DrainRequest))
async def post_drain(
    control: Plane,
    caller: Keeper,
    request: Request,
    site: Name,
    wanted: Annotated[DrainRequest, Depends(record_of(DrainRequest))],
) -> Response:
    """Take no new work, move what can be paused, let the rest end; or take work again."""

    async def act(_key: str) -> Response:
        found = own_site(control, caller, site)
        if found.draining != wanted.draining or found.left_ms:
            control.commit_one(SiteDrained(site=found.spec.site, draining=wanted.draining))
            note(control, caller, "drain" if wanted.draining else "undrain", site)
        return answer(site_status(control, found, own=True))

    return await once(control, caller.subject, request, act)


@router.post("/v1/sites/{site}/leave", response_model=Left)
async def post_leave(control: Plane, caller: Keeper, request: Request, site: Name) -> Response:
    """Leave the network: 409 while a lease runs or a reading is missing. The site's agent is heard no more."""

    async def act(_key: str) -> Response:
        found = own_site(control, caller, site)
        control.seal_now()
        control.commit_one(SiteLeft(site=found.spec.site))
        _end_tokens(control, found)
        note(control, caller, "leave", site)
        owed = owed_usd_micro(control, site)
        head = control.signed_head()
        return answer(Left(site=site, owed_usd_micro=owed, settles_ms=control.state.epoch_end_ms, journal=head))

    return await once(control, caller.subject, request, act)


def _end_tokens(control: ControlPlane, site: Site) -> None:
    scope = f"{AGENT_PREFIX}{site.spec.site}"
    for token in control.store.access.tokens(site.spec.owner):
        if token.scopes == (scope,):
            control.store.access.revoke_token(token.hash)


@router.post("/v1/sites/{site}/ask", response_model=SiteStatus, openapi_extra=takes(AskRequest))
async def post_ask(
    control: Plane,
    caller: Keeper,
    request: Request,
    site: Name,
    wanted: Annotated[AskRequest, Depends(record_of(AskRequest))],
) -> Response:
    """Change ask or payout; leases offered before keep the ask they were offered at."""

    async def act(_key: str) -> Response:
        found = own_site(control, caller, site)
        terms = {"ask_usd_micro_per_gpu_h": wanted.ask_usd_micro_per_gpu_h, "payout": wanted.payout}
        named = {name: value for name, value in terms.items() if value is not None}
        if not named:
            raise InputError("name the ask or the payout to change", code="SW-193")
        _declare(control, found, replace(found.spec, **named))  # type: ignore[arg-type]
        note(control, caller, "ask", site)
        return answer(site_status(control, found, own=True))

    return await once(control, caller.subject, request, act)


@router.post("/v1/agents/declare", response_model=SiteStatus, openapi_extra=takes(Declaration))
async def post_declare(
    control: Plane, site: AgentSite, wanted: Annotated[Declaration, Depends(record_of(Declaration))]
) -> Response:
    """Declare the agent's own site anew: what the machine is and does. Ask and payout stay what the owner last said."""
    found = any_site(control, site)
    was = found.spec
    kept = {name: getattr(was, name) for name in KEPT}
    _declare(control, found, replace(wanted.spec, **kept))
    return answer(site_status(control, found, own=True))


@router.post("/v1/agents/key", response_model=KeyTaken, openapi_extra=takes(KeyRequest))
async def post_key(
    control: Plane, site: AgentSite, caller: Keyholder, wanted: Annotated[KeyRequest, Depends(record_of(KeyRequest))]
) -> Response:
    """Sign the readings of the agent's own site with a new key from a batch on; the old key must say so."""
    found = any_site(control, site)
    was = found.spec
    if was.public_key != wanted.public_key:
        _check_key(control, was, wanted)
        retired = RetiredKey(
            public_key=was.public_key, last_counter=wanted.from_counter - 1, signature=wanted.signature
        )
        _declare(control, found, replace(was, public_key=wanted.public_key, retired_keys=(*was.retired_keys, retired)))
        note(control, caller, "rotate_key", was.site)
    now = found.spec
    first = now.retired_keys[-1].last_counter + 1 if now.retired_keys else 1
    return answer(KeyTaken(public_key=now.public_key, from_counter=first))


def _check_key(control: ControlPlane, was: SiteSpec, wanted: KeyRequest) -> None:
    """Raises: InputError, ConflictError."""
    check_spec(replace(was, public_key=wanted.public_key))
    require_free(control, replace(was, public_key=wanted.public_key), replacing=True)
    held = control.intake.reached(was.site).counter
    if not held < wanted.from_counter <= COUNTER_MAX:
        line = f"batch {wanted.from_counter} cannot be the first of the new key: {held} are held; sign later ones"
        raise ConflictError(line, code=BAD_SITE_KEY)
    told = key_bytes(was.site, was.public_key, wanted.public_key, wanted.from_counter)
    if not signed_by(was.public_key, wanted.signature, told):
        line = "the new key is not signed by the one in force; if that is lost, join with `sunward site token --for`"
        raise InputError(line, code=BAD_SITE_KEY)


def _declare(control: ControlPlane, site: Site, spec: SiteSpec) -> None:
    """Record a declaration that differs. A site that left joins again with a token, not so."""
    check_member(control.state, site.spec.site)
    if spec != site.spec:
        check_spec(spec)
        control.commit_one(SiteEnrolled(spec=spec))
