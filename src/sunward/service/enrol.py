"""How a site joins: a one-time token, a checked declaration, one key for one site."""

from __future__ import annotations

import hmac
import re
from dataclasses import replace

from sunward.adapters.access_sql import mint_token
from sunward.engine.advance import check
from sunward.errors import ConflictError, InputError
from sunward.model.codec import digest_bytes
from sunward.model.events import Event, SiteEnrolled
from sunward.model.identity import TenantId
from sunward.model.records import EnrollRequest, Membership
from sunward.model.site import RetiredKey, SiteSpec
from sunward.service.auth import AGENT_PREFIX
from sunward.service.config import ServiceConfig
from sunward.service.control import ControlPlane
from sunward.service.problems import RequestError
from sunward.signals import climatology
from sunward.units import DAY_MS, PPM

SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")
LAN = re.compile(r"[A-Za-z0-9_-]{0,64}")
MAC = re.compile(r"([0-9a-f]{2}(:[0-9a-f]{2}){5})?")
DEVICE_CHARS = 128
POOLS_MAX = 64
DEVICES_MAX = 20_000
"""More devices than one batch of readings can name."""
FIGURES = {
    "overhead_ppm": (PPM, 10 * PPM),
    "water_ml_per_kwh": (0, 10**6),
    "ask_usd_micro_per_gpu_h": (0, 10**9),
    "power_ceiling_w": (0, 10**12),
    "wake_s": (0, 3_600),
    "asleep_w": (0, 10**9),
}
BAD_TOKEN, BAD_SITE, TAKEN = "SW-160", "SW-161", "SW-162"


def enrolled(control: ControlPlane, config: ServiceConfig, request: EnrollRequest, address: str = "") -> Membership:
    """Take a site in, or take its new declaration; give its agent a token, and end the one it had.

    The same token and key may come again, after a lost reply or a crash: the site stays the same.
    Raises: RequestError (403) for a token that is unknown, spent or expired, InputError, ConflictError.
    """
    spec = request.spec
    check_spec(spec)
    known = control.state.world.sites.get(spec.site)
    bound = control.store.access.enrolment_site(request.token)
    if bound and bound != spec.site:
        raise RequestError(f"the enrolment token is for site {bound} alone", status=403, code=BAD_TOKEN)
    require_free(control, spec, replacing=bool(bound))
    spec = replace(spec, retired_keys=known.spec.retired_keys if known else ())
    if known is not None and known.spec.public_key != spec.public_key:
        # The old key is lost: it vouches for nothing, and what it signed counts as far as it is held here.
        held = control.intake.reached(spec.site).counter
        lost = RetiredKey(public_key=known.spec.public_key, last_counter=held, signature="")
        spec = replace(spec, retired_keys=(*known.spec.retired_keys, lost))
    declared = SiteEnrolled(spec=spec if known is None else replace(spec, owner=known.spec.owner))
    # Checked before the token is spent, so that a mistake in the declaration does not cost it.
    check(control.state, Event(control.state.world.at_ms, declared))
    now_ms = control.clock.machine_ms()
    access = control.store.access
    owner = access.consume_enrolment(request.token, spec.public_key, now_ms)
    if owner is None:
        raise RequestError(
            "the enrolment token is unknown, spent or expired; ask the operator for a new one",
            status=403,
            code=BAD_TOKEN,
        )
    if known is not None and known.spec.owner != owner:
        raise ConflictError(f"site {spec.site} belongs to another owner; choose another name", code=TAKEN)
    spec = replace(spec, owner=TenantId(owner))
    if known is None or known.spec != spec or known.left_ms:
        control.commit_one(SiteEnrolled(spec=spec))
    scope = f"{AGENT_PREFIX}{spec.site}"
    # The same request gets the same token: one that a network delivers twice must not end the token just given.
    agent = mint_token(hmac.digest(control.seed, f"agent\n{request.token}\n{spec.public_key}".encode(), "sha256"))
    for token in access.tokens(owner):
        if token.scopes == (scope,) and token.hash != digest_bytes(agent.encode()):
            access.revoke_token(token.hash)
    expires_ms = now_ms + config.token_days * DAY_MS
    access.create_token(owner, (scope,), expires_ms, note=f"agent of {spec.site}", token=agent)
    access.record_act(now_ms, owner, "enrol", spec.site, address)
    readings = control.intake.reached(spec.site)
    return Membership(site=spec.site, token=agent, journal=control.signed_head(), readings=readings)


def check_spec(spec: SiteSpec) -> None:
    """Refuse names and figures that the state cannot hold or that contradict each other.

    Raises: InputError.
    """
    if not SITE_NAME.fullmatch(spec.site):
        raise InputError("a site is named by at most 63 letters, digits, - and _", code=BAD_SITE)
    if not PUBLIC_KEY.fullmatch(spec.public_key):
        raise InputError("public_key must be 64 lower-case hex digits of an Ed25519 key", code=BAD_SITE)
    for name, (least, most) in FIGURES.items():
        if not least <= getattr(spec, name) <= most:
            raise InputError(f"{name} must lie between {least} and {most}", code=BAD_SITE)
    check_network(spec.lan, spec.wake_mac)
    zone = climatology.load().zone(spec.zone)
    if zone.country != spec.country:
        raise InputError(
            f"zone {zone.zone} lies in {zone.country}, not in {spec.country[:40]!r}; correct one of them", code=BAD_SITE
        )
    _check_pools(spec)


def check_network(lan: str, mac: str) -> None:
    """Refuse what names no network or no card.

    Raises: InputError.
    """
    if not LAN.fullmatch(lan) or not MAC.fullmatch(mac):
        raise InputError(
            "lan must be at most 64 letters and digits, wake_mac six pairs of lower-case hex digits", code=BAD_SITE
        )


def _check_pools(spec: SiteSpec) -> None:
    devices = [device for pool in spec.pools for device in pool.devices]
    models = {pool.gpu_model for pool in spec.pools}
    if len(spec.pools) > POOLS_MAX or len(devices) > DEVICES_MAX:
        raise InputError(f"a site has at most {POOLS_MAX} pools and {DEVICES_MAX} devices", code=BAD_SITE)
    if len(set(devices)) < len(devices) or len(models) < len(spec.pools):
        raise InputError("name each GPU model and each device once", code=BAD_SITE)
    for device in devices:
        if not device or len(device) > DEVICE_CHARS or not device.isprintable() or device in ("host", "meter"):
            raise InputError(f"a device is named by 1 to {DEVICE_CHARS} characters, not host or meter", code=BAD_SITE)


def require_free(control: ControlPlane, spec: SiteSpec, *, replacing: bool) -> None:
    """One name has one key, and one key one name: the chain of readings is bound to both.

    `replacing`: the name may have another key; one that ever signed anywhere stays taken.
    """
    for name, site in control.state.world.sites.items():
        same = site.spec.public_key == spec.public_key
        retired = any(one.public_key == spec.public_key for one in site.spec.retired_keys)
        if retired or (same and name != spec.site) or (name == spec.site and not same and not replacing):
            raise ConflictError(
                f"site {spec.site} or its key is enrolled already with another key or name; choose a new name and key",
                code=TAKEN,
            )
