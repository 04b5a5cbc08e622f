"""What is believed of a site, by dimension: evidence with a level, a cover and an end; verdicts and appeals."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from string import Formatter

from sunward.errors import InputError
from sunward.model.identity import SiteId, TenantId
from sunward.units import DAY_MS, PPM

APPEAL_MS = 7 * DAY_MS
"""Grid time in which a verdict may be appealed; nothing that cannot be undone happens before it is over."""
DECIDE_MS = 30 * DAY_MS
"""How long after the time to appeal receipts wait at most for a decision on one."""
NETWORK = "network"
"""Who checked, or judged, where a program of the control plane did and no person."""
FULL_PPM = 950_000
"""A level holds for a whole dimension when evidence of it covers this share: no meter runs without a gap, no fleet
is without a spare card. What is not covered still counts 0 wherever amounts are counted."""


class Dimension(StrEnum):
    """What evidence is about; no dimension speaks for another one."""

    IDENTITY = "identity"
    """That the devices are the models declared."""
    ENERGY = "energy"
    """That the joules signed are those drawn."""
    OVERHEAD = "overhead"
    """What the site draws on top of its computers."""
    RENEWABLES = "renewables"
    """That supply was renewable, in the hour and once only."""
    PLACE = "place"
    """That the site stands in its zone."""
    AGE = "age"
    """When the devices were first used."""


class Level(StrEnum):
    """How well something is shown, weakest first."""

    DECLARED = "declared"
    """Someone said so."""
    DOCUMENTED = "documented"
    """A document says so, and someone who is not the owner has read it."""
    METERED = "metered"
    """A meter or a measurement says so."""
    ENDORSED = "endorsed"
    """An independent party has been there, or signs for it."""
    ATTESTED = "attested"
    """Hardware, or an issuing body, signs for it, and the signature was checked."""

    @property
    def rank(self) -> int:
        """Place in the order, weakest 0."""
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Level)}
_CAPS = {Level.METERED: 500_000, Level.ENDORSED: 800_000, Level.ATTESTED: PPM}
"""The steps are policy. That nothing below counts is a principle: a word or a paper can be false and nobody sees it."""
_PERSONS = frozenset({Dimension.PLACE, Dimension.AGE})
"""Where no measurement suffices: a relay with a copied key can stand anywhere, and no meter knows a birthday."""


def cap_ppm(dimension: Dimension, level: Level) -> int:
    """Share of what a dimension could bring to its provider that counts at a level."""
    return 0 if level is Level.METERED and dimension in _PERSONS else _CAPS.get(level, 0)


def level_asked(word: str) -> tuple[Dimension, Level]:
    """What a job asks of a site's evidence, from `dimension=level`.

    Raises: InputError naming what is known.
    """
    dimension, _, level = word.partition("=")
    if dimension not in set(Dimension) or level not in set(Level):
        known = f"one of {', '.join(Dimension)} and one of {', '.join(Level)}"
        raise InputError(f"evidence {word[:40]!r} is not DIMENSION=LEVEL with {known}", code="SW-747")
    return Dimension(dimension), Level(level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One reason to believe something of a site. Told again under its id, it replaces what was told before."""

    evidence: str
    site: SiteId
    dimension: Dimension
    level: Level
    """As checked; what nobody but the owner has looked at is `declared`."""
    statement: str
    """What it says, in words that everybody may read."""
    digest: str = ""
    """SHA-256 of the stored document; empty where there is none, as for a measurement."""
    filed_by: TenantId
    checked_by: str = ""
    """Who looked at it: an account, or `network`; empty = nobody has."""
    value: int | None = None
    """The figure it gives, where there is one."""
    unit: str = ""
    valid_from_ms: int = 0
    valid_until_ms: int
    """Grid time; evidence without an end does not exist."""
    coverage_ppm: int = PPM
    """Share of the dimension that it speaks of: of devices, of energy, of hours."""

    def valid_at(self, at_ms: int) -> bool:
        """Whether it counts at a moment."""
        return self.valid_from_ms <= at_ms < self.valid_until_ms


class Consequence(StrEnum):
    """What follows from a verdict. Only slashing cannot be undone, and only it waits for the end of the appeal."""

    NONE = "none"
    """It is on record, and no more."""
    LEVEL_LOWERED = "level_lowered"
    """At once: evidence of the dimension filed until now counts as declared."""
    PLACE_UNPROVEN = "place_unproven"
    """At once: the same for the place; the site counts as in the dirtiest zone that is not excluded."""
    RECEIPTS_HELD = "receipts_held"
    """At once: receipts of what it is about wait for its end."""
    SLASHABLE = "slashable"
    """At once: the level is lowered. Once it can no longer be appealed, or an appeal failed: stake may be taken."""


LOWERING = frozenset({Consequence.LEVEL_LOWERED, Consequence.PLACE_UNPROVEN, Consequence.SLASHABLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRecord:
    """A claim that was checked and failed, in words that its provider understands."""

    verdict: str
    """Made from what it is about (`verdict_id`), so the same fault found again is the same verdict."""
    dimension: Dimension
    fault: str
    """Stable key of what is wrong."""
    sentence: str
    """What is wrong and how that was found, in English, with the figures' names in braces."""
    figures: dict[str, str | int] = field(default_factory=dict)
    consequence: Consequence
    at_ms: int
    """Grid time."""
    appeal_until_ms: int
    issued_by: str
    """An account, or `network`."""
    site: str = ""
    """The site it is about; empty: all sites of the owner."""
    owner: str = ""
    lease: str = ""
    job: str = ""
    evidence: tuple[str, ...] = ()
    """Digests of what it rests on: signed batches, documents, transcripts."""

    @property
    def text(self) -> str:
        """The sentence with its figures."""
        return self.sentence.format(**self.figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appeal:
    """The owner contradicts, before the time for it is over."""

    verdict: str
    by: TenantId
    digest: str
    """SHA-256 of what the owner says, stored where it can be erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of an appeal."""

    verdict: str
    by: TenantId
    """Neither the owner nor who issued the verdict."""
    upheld: bool
    """True: the verdict stands and is final. False: it counts as never issued."""
    reason: str
    """In words that everybody may read."""


class Standing(StrEnum):
    """Where a verdict stands."""

    OPEN = "open"
    """It may still be appealed."""
    APPEALED = "appealed"
    UPHELD = "upheld"
    DISMISSED = "dismissed"
    FINAL = "final"
    """Nobody appealed in time."""


def slots_of(sentence: str) -> frozenset[str]:
    """The names that a sentence has in braces.

    Raises: InputError for braces that hold anything but a name.
    """
    try:
        parts = [(name, form, conversion) for _, name, form, conversion in Formatter().parse(sentence)]
    except ValueError:
        raise InputError("the sentence's braces do not match", code="SW-742") from None
    names = {name for name, _, _ in parts if name is not None}
    if not all(name.isidentifier() for name in names) or any(form or conversion for _, form, conversion in parts):
        raise InputError("braces in a sentence hold the plain name of a figure", code="SW-742")
    return frozenset(names)
