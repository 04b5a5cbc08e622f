"""What the API says of evidence and verdicts, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from sunward.model.codec import Meta
from sunward.model.trust import Appeal, Decision, Dimension, Evidence, Level, Standing, VerdictRecord
from sunward.units import PPM


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRequest:
    """A reason to believe something of a site; what its owner files is declared until somebody else checks it."""

    dimension: Dimension
    statement: str
    """One line that everybody may read."""
    valid_until_ms: int
    """Grid time."""
    document: bytes = b""
    """What shows it, base64; kept apart from the journal, which holds its digest."""
    level: Level = Level.DECLARED
    """As an auditor or operator saw it."""
    value: int | None = None
    unit: str = ""
    valid_from_ms: int = 0
    coverage_ppm: int = PPM


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceCheck:
    """What somebody found who looked at evidence that was filed."""

    level: Level
    """`declared`: it shows nothing."""
    coverage_ppm: int | None = None
    valid_until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRequest:
    """What an auditor or operator found wrong at a site; its level falls at once, and it may be appealed."""

    dimension: Dimension
    fault: str
    """Short key of small letters, digits and _."""
    sentence: str
    """What is wrong and how that was found, in words that the provider understands."""
    slashable: bool = False
    about: str = ""
    """What tells it from another of its kind, such as a day."""
    document: bytes = b""
    """What shows it, base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StolenKey:
    """An owner's word that others held the key that signs its site's readings."""

    from_counter: Annotated[int, Meta(ge=1)]
    """Number of the first batch that may be theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealRequest:
    """What the owner of a site says against a verdict; read by auditors, kept where it can be erased."""

    text: str
    document: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRequest:
    """What became of an appeal."""

    upheld: bool
    reason: str
    """In words that everybody may read."""


class Use(StrEnum):
    """Whether evidence counts now."""

    COUNTS = "counts"
    UNCHECKED = "unchecked"
    """Nobody but its owner has looked at it."""
    LATER = "later"
    """It begins later."""
    ENDED = "ended"
    LOWERED = "lowered"
    """A verdict came after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceLine:
    """One piece of evidence as it stands."""

    evidence: Evidence
    filed_ms: int
    use: Use


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictLine:
    """One verdict as it stands."""

    record: VerdictRecord
    standing: Standing
    appeal: Appeal | None = None
    decision: Decision | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What would raise a dimension to a level."""

    level: Level
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionLine:
    """What is believed in one dimension, and why."""

    dimension: Dimension
    level: Level
    cap_ppm: int
    """Share of what the dimension could bring that counts."""
    evidence: tuple[EvidenceLine, ...]
    """The one it rests on first."""
    step: Step | None = None
    """The next one up; none at the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteAudit:
    """What is believed of a site at a moment, why, and what would raise it."""

    site: str
    owner: str
    zone: str
    at_ms: int
    weakest: Level
    """The minimum over the dimensions."""
    dimensions: tuple[DimensionLine, ...]
    verdicts: tuple[VerdictLine, ...]
    """Newest first; those about single jobs only for the owner, auditors and the operator."""
    place_asked: Level = Level.DECLARED
    """How well the network wants the place shown."""
    counted_zone: str = ""
    """Whose carbon counts for the site; empty from services that did not say."""
    zones_left: int = 0
    """So many its measurements do not exclude."""
