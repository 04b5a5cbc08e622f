"""What happens to granular certificates, as recorded in the journal; docs/certificates.md."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.granular import GenerationDevice
from sunward.model.identity import TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationDeclared:
    """An owner declared a device that generates at its site, or corrected what it had said."""

    device: GenerationDevice


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesIssued:
    """Metered generation of one device became certificates: columns of hours, ids in order from `first`."""

    device: str
    owner: TenantId
    source: str
    market: str
    mg_per_kwh: int
    first: int
    """Id of the first certificate: the next one of the registry."""
    start_ms: tuple[int, ...]
    wh: tuple[int, ...]
    exported_wh: tuple[int, ...]
    """Of these, how many left with a certificate of another registry: the last ids of the hour."""
    evidence: str
    """SHA-256 of what the meter recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesImported:
    """Certificates used up in another registry, taken over for an owner: columns of rows, ids in order from `first`."""

    registry: str
    owner: TenantId
    first: int
    device: tuple[str, ...]
    """Registry, a colon, and its name for the plant."""
    source: tuple[str, ...]
    market: tuple[str, ...]
    mg_per_kwh: tuple[int, ...]
    start_ms: tuple[int, ...]
    end_ms: tuple[int, ...]
    """The period as the other registry has it: an hour only where it says so."""
    wh: tuple[int, ...]
    serials: tuple[str, ...]
    """What its serials have in common; the numbers that tell them apart follow."""
    serial_first: tuple[int, ...]
    serial_last: tuple[int, ...]
    evidence: str
    """SHA-256 of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesMoved:
    """Certificates changed their owner. Of each bundle all ids up to `last` are taken; the rest is a new bundle."""

    owner: TenantId
    to: TenantId
    bundle: tuple[str, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesCancelled:
    """Certificates were set aside for one beneficiary, for good; columns as when they move."""

    owner: TenantId
    beneficiary: str
    bundle: tuple[str, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesWithdrawn:
    """What a device was given for a span of time is taken back, as far as nothing final counts it."""

    device: str
    start_ms: int
    end_ms: int
    verdict: str
