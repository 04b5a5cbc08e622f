"""Evidence and verdicts as told so far, and what they amount to at a moment; nothing here decides anything.

Unproven is 0: the level of a dimension rests on its own evidence alone, never on a mean or on another dimension.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sunward.model.site import SiteSpec
from sunward.model.trust import (
    DECIDE_MS,
    FULL_PPM,
    LOWERING,
    Appeal,
    Consequence,
    Decision,
    Dimension,
    Evidence,
    Level,
    Standing,
    VerdictRecord,
    cap_ppm,
)
from sunward.units import PPM


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """Evidence, and when it was told."""

    evidence: Evidence
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A verdict with what was said against it."""

    record: VerdictRecord
    issued_ms: int
    """When it was recorded; the record itself says when its issuer made it."""
    appeal: Appeal | None = None
    decision: Decision | None = None

    def standing(self, at_ms: int) -> Standing:
        """Where it stands at a moment."""
        if self.decision is not None:
            return Standing.UPHELD if self.decision.upheld else Standing.DISMISSED
        if self.appeal is not None:
            return Standing.APPEALED
        return Standing.OPEN if at_ms < self.record.appeal_until_ms else Standing.FINAL

    def irrevocable(self, at_ms: int) -> bool:
        """Whether what cannot be undone may follow from it now."""
        return self.standing(at_ms) in (Standing.UPHELD, Standing.FINAL)

    @property
    def counts(self) -> bool:
        """Whether what can be undone follows from it: until an appeal against it succeeds."""
        return self.decision is None or self.decision.upheld


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """What is believed in one dimension of one site."""

    dimension: Dimension
    level: Level
    """The best one that covers all of it, as far as `FULL_PPM` asks."""
    cap_ppm: int
    """Share of what the dimension could bring that counts: level times cover, of the best single evidence."""
    resting_on: Evidence | None = None
    """The evidence with the greatest cap, of equals the best level."""


@dataclass(slots=True)
class TrustBook:
    """Evidence by site, verdicts by id."""

    evidence: dict[str, dict[str, Filed]] = field(default_factory=dict)
    verdicts: dict[str, Judged] = field(default_factory=dict)
    _about: dict[str, list[str]] = field(default_factory=dict)
    """Verdicts by the site they are about, or by `owner:` and the account where they name no site."""

    def file(self, one: Evidence, at_ms: int) -> None:
        """Take in evidence; one of the same id is replaced."""
        self.evidence.setdefault(one.site, {})[one.evidence] = Filed(evidence=one, at_ms=at_ms)

    def put(self, judged: Judged) -> None:
        """Take in a verdict, or what became of it."""
        record = judged.record
        if record.verdict not in self.verdicts:
            self._about.setdefault(record.site or f"owner:{record.owner}", []).append(record.verdict)
        self.verdicts[record.verdict] = judged

    def verdicts_on(self, spec: SiteSpec) -> Iterator[Judged]:
        """Verdicts about a site, or about its owner as a whole, in order of issue."""
        for name in (*self._about.get(spec.site, ()), *self._about.get(f"owner:{spec.owner}", ())):
            yield self.verdicts[name]

    def lowered_ms(self, spec: SiteSpec, dimension: Dimension) -> int:
        """When a verdict that counts last lowered a dimension; evidence filed until then counts as declared."""
        return max(
            (
                one.issued_ms
                for one in self.verdicts_on(spec)
                if one.counts and one.record.dimension == dimension and one.record.consequence in LOWERING
            ),
            default=-1,
        )

    def believed(self, spec: SiteSpec, dimension: Dimension, at_ms: int) -> Believed:
        """What is believed in one dimension at a moment."""
        since_ms = self.lowered_ms(spec, dimension)
        known = [
            one.evidence
            for one in self.evidence.get(spec.site, {}).values()
            if one.evidence.dimension == dimension and one.evidence.valid_at(at_ms) and one.at_ms > since_ms
        ]
        full = (one.level for one in known if one.coverage_ppm >= FULL_PPM)
        best = max(known, key=_worth, default=None)
        return Believed(
            dimension=dimension,
            level=max(full, key=lambda one: one.rank, default=Level.DECLARED),
            cap_ppm=_cap_ppm(best) if best else 0,
            resting_on=best,
        )

    def all_believed(self, spec: SiteSpec, at_ms: int) -> tuple[Believed, ...]:
        """What is believed of a site, dimension by dimension."""
        return tuple(self.believed(spec, one, at_ms) for one in Dimension)

    def weakest(self, spec: SiteSpec, at_ms: int) -> Level:
        """The level to show where only one can be: the minimum."""
        return min((one.level for one in self.all_believed(spec, at_ms)), key=lambda level: level.rank)

    def holds(self, spec: SiteSpec, job: str, at_ms: int) -> bool:
        """Whether a verdict holds the receipts of a job at a site: one about the job, a lease of it, or all there.

        An appeal that nobody decides holds them no longer than `DECIDE_MS`.
        """
        return any(
            one.record.consequence is Consequence.RECEIPTS_HELD
            and one.standing(at_ms) in (Standing.OPEN, Standing.APPEALED)
            and at_ms < one.record.appeal_until_ms + DECIDE_MS
            and _speaks_of(one.record, job)
            for one in self.verdicts_on(spec)
        )

    def filed(self) -> tuple[Filed, ...]:
        """All evidence, by site and id."""
        return tuple(known[name] for _, known in sorted(self.evidence.items()) for name in sorted(known))

    def ranks(self, spec: SiteSpec, at_ms: int) -> tuple[int, ...]:
        """The level of each dimension as its place in the order, in the order of the dimensions.

        As `believed` has them, in one pass: snapshots ask for those of every site.
        """
        found = dict.fromkeys(Dimension, 0)
        filed = self.evidence.get(spec.site)
        if not filed:
            return tuple(found.values())
        judged = any(True for _ in self.verdicts_on(spec))
        lowered_ms = {one: self.lowered_ms(spec, one) if judged else -1 for one in Dimension}
        for known in filed.values():
            one = known.evidence
            if known.at_ms > lowered_ms[one.dimension] and one.coverage_ppm >= FULL_PPM and one.valid_at(at_ms):
                found[one.dimension] = max(found[one.dimension], one.level.rank)
        return tuple(found.values())

    def slashable(self, spec: SiteSpec, at_ms: int) -> tuple[VerdictRecord, ...]:
        """Verdicts for which stake may be taken now."""
        return tuple(
            one.record
            for one in self.verdicts_on(spec)
            if one.record.consequence is Consequence.SLASHABLE and one.irrevocable(at_ms)
        )


def _worth(one: Evidence) -> tuple[int, int, int, str]:
    return _cap_ppm(one), one.level.rank, one.valid_until_ms, one.evidence


def _cap_ppm(one: Evidence) -> int:
    """Share of what its dimension could bring that evidence makes count."""
    return cap_ppm(one.dimension, one.level) * one.coverage_ppm // PPM


def _speaks_of(record: VerdictRecord, job: str) -> bool:
    named = {record.job, record.lease.rpartition(".")[0]} - {""}
    return not named or job in named
