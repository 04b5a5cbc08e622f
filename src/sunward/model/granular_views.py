"""What is asked of the registry of granular certificates over the API, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.granular import CertificateBundle


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRequest:
    """A device that generates at a site of the caller."""

    device: str
    site: str
    source: str
    nameplate_kw: float
    latitude: float
    longitude: float
    year: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueRequest:
    """Metered hours of a device, as CSV: `hour`, `wh` and, where any left with its own certificate, `exported_wh`."""

    device: str
    file: bytes
    cancel: bool = False
    """Cancel all that was not exported for the device's own site at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """An export of another registry, as CSV; all or nothing of it is taken."""

    registry: str
    owner: str
    """Account that gets the certificates."""
    file: bytes
    zone: str = ""
    """Where the plants are, for countries with several markets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRequest:
    """Certificates to give away."""

    to: str
    bundles: tuple[str, ...]
    wh: int = 0
    """How many at most, in the order named; 0 = all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UseRequest:
    """Certificates to cancel for a beneficiary, for good."""

    beneficiary: str
    """`site:NAME`, `tenant:ID` or `job:ID`."""
    bundles: tuple[str, ...]
    wh: int = 0
    """How many at most, in the order named; 0 = all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawRequest:
    """What a verdict takes back of a device."""

    device: str
    start_ms: int
    end_ms: int
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What an act of the registry came to."""

    wh: int
    first: int
    """Least id that it is about."""
    last: int
    sequence: int
    """Journal record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatePage:
    """Some bundles in order of ids."""

    totals: dict[str, int]
    """Wh by state of the whole registry."""
    bundles: tuple[CertificateBundle, ...]
    next: int | None
    """Give it as `after` for the next page."""
