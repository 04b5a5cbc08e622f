"""What is believed of a site, put together for whoever asks; functions that change nothing."""

from __future__ import annotations

from sunward.model.trust import Level
from sunward.model.trust_views import DimensionLine, EvidenceLine, SiteAudit, Use, VerdictLine
from sunward.service.control import ControlPlane
from sunward.verification.raising import next_step
from sunward.world.places import counted_zone, possible
from sunward.world.state import Site
from sunward.world.trust import Believed, Filed, Judged, TrustBook


def site_audit(control: ControlPlane, site: Site, *, inside: bool) -> SiteAudit:
    """What is believed of a site now; `inside`: for its owner, an auditor or the operator, with every verdict."""
    world, at_ms = control.state.world, control.clock.grid_ms()
    book, placed = world.trust, world.places.measured(site.spec, at_ms)
    judged = [one for one in book.verdicts_on(site.spec) if inside or not (one.record.lease or one.record.job)]
    judged.sort(key=lambda one: (-one.issued_ms, one.record.verdict))
    return SiteAudit(
        site=site.spec.site,
        owner=site.spec.owner,
        zone=site.spec.zone,
        at_ms=at_ms,
        weakest=book.weakest(site.spec, at_ms),
        dimensions=tuple(_line(book, site, one, at_ms) for one in book.all_believed(site.spec, at_ms)),
        verdicts=tuple(verdict_line(one, at_ms) for one in judged),
        place_asked=world.places.rules.level,
        counted_zone=counted_zone(world, site.spec, at_ms),
        zones_left=len(possible(placed.countries if placed else ())),
    )


def evidence_line(control: ControlPlane, site: Site, name: str) -> EvidenceLine:
    """One piece of evidence as it stands."""
    book = control.state.world.trust
    one = book.evidence[site.spec.site][name]
    use = _use(one, control.clock.grid_ms(), book.lowered_ms(site.spec, one.evidence.dimension))
    return EvidenceLine(evidence=one.evidence, filed_ms=one.at_ms, use=use)


def verdict_line(judged: Judged, at_ms: int) -> VerdictLine:
    """One verdict as it stands."""
    return VerdictLine(
        record=judged.record, standing=judged.standing(at_ms), appeal=judged.appeal, decision=judged.decision
    )


def _line(book: TrustBook, site: Site, believed: Believed, at_ms: int) -> DimensionLine:
    dimension = believed.dimension
    since_ms = book.lowered_ms(site.spec, dimension)
    known = [one for one in book.evidence.get(site.spec.site, {}).values() if one.evidence.dimension == dimension]
    lines = [EvidenceLine(evidence=one.evidence, filed_ms=one.at_ms, use=_use(one, at_ms, since_ms)) for one in known]
    lines.sort(key=lambda one: (one.evidence != believed.resting_on, -one.filed_ms, one.evidence.evidence))
    return DimensionLine(
        dimension=dimension,
        level=believed.level,
        cap_ppm=believed.cap_ppm,
        evidence=tuple(lines),
        step=next_step(dimension, believed.level),
    )


def _use(one: Filed, at_ms: int, since_ms: int) -> Use:
    if one.evidence.valid_until_ms <= at_ms:
        return Use.ENDED
    if one.at_ms <= since_ms:
        return Use.LOWERED
    if not one.evidence.valid_at(at_ms):
        return Use.LATER
    return Use.UNCHECKED if one.evidence.level is Level.DECLARED else Use.COUNTS
