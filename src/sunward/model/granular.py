"""Granular certificates: one Wh of generation each, with its hour, source and market; docs/certificates.md."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from sunward.model.identity import SiteId, TenantId
from sunward.units import HOUR_MS


class CertificateState(StrEnum):
    """Where a certificate stands; it is in one state at a time."""

    ACTIVE = "active"
    CANCELLED = "cancelled"
    CLAIMED = "claimed"
    """Cancelled, and counted in a final account."""
    EXPORTED = "exported"
    """Left with a certificate of another registry."""
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationDevice:
    """What an owner declares of a device that generates at a site."""

    device: str
    site: SiteId
    owner: TenantId
    source: str
    """A key of the table of sources (`sunward.signals.markets`)."""
    nameplate_w: int
    latitude_micro: int
    """Millionths of a degree, north positive."""
    longitude_micro: int
    """East positive."""
    year: int = 0
    """Of first operation; 0 = not stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateBundle:
    """Neighbouring certificates of one issue, with one owner and one state."""

    bundle: str
    """Its hash, which is its name."""
    parent: str
    """Hash of the bundle it was split off, or of its issue."""
    device: str
    source: str
    market: str
    mg_per_kwh: int
    """Life-cycle factor of the source."""
    start_ms: int
    end_ms: int
    first: int
    last: int
    owner: TenantId
    state: CertificateState
    beneficiary: str = ""
    """`site:S`, `tenant:T` or `job:J` once cancelled."""
    claimed_wh: int = 0
    """How many, from the front, final accounts count."""

    @property
    def wh(self) -> int:
        """How many certificates it holds."""
        return self.last - self.first + 1

    @property
    def hourly(self) -> bool:
        """Whether its period is exactly one hour; only then can it be matched by the hour."""
        return is_hour(self.start_ms, self.end_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Certificates that one account counts, and no other ever may."""

    first: int
    last: int
    source: str
    mg_per_kwh: int

    @property
    def wh(self) -> int:
        """How many."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSupply:
    """One site's hours in one epoch: what it used, and what of that was matched; columns of equal length."""

    site: SiteId
    market: str
    hour_ms: tuple[int, ...]
    facility_j: tuple[int, ...]
    """Of receipts that became final and of idle energy."""
    matched_wh: tuple[int, ...]
    renewable_wh: tuple[int, ...]
    carbon_free_wh: tuple[int, ...]
    idle_claims: tuple[Claim, ...]
    """Of idle energy; those of receipts stand on their lines."""
    renewable_ppm: int
    """q: renewable over all facility energy, asleep and idle included, rounded down."""
    carbon_free_ppm: int
    """CFE, by certificates alone."""


def is_hour(start_ms: int, end_ms: int) -> bool:
    """Whether a period is exactly one hour of UTC."""
    return start_ms % HOUR_MS == 0 and end_ms - start_ms == HOUR_MS


def site_beneficiary(site: str) -> str:
    """A site, as the one for whom certificates are cancelled."""
    return f"site:{site}"


def tenant_beneficiary(tenant: str) -> str:
    """A tenant, likewise."""
    return f"tenant:{tenant}"


def job_beneficiary(job: str) -> str:
    """A job, likewise."""
    return f"job:{job}"


def issue_hash(
    *, device: str, source: str, market: str, mg_per_kwh: int, start_ms: int, end_ms: int, first: int, last: int
) -> str:
    """Name of an issue: it commits to everything its certificates say."""
    parts = ("sunward-certificate-issue/1", device, source, market, mg_per_kwh, start_ms, end_ms, first, last)
    return _hash(parts)


def bundle_hash(parent: str, first: int, last: int) -> str:
    """Name of a bundle: it commits to its parent and its range."""
    return _hash(("sunward-certificate/1", parent, first, last))


def _hash(parts: tuple[object, ...]) -> str:
    return hashlib.sha256("".join(f"{part}\n" for part in parts).encode()).hexdigest()
