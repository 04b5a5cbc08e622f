"""Evidence is filed, verdicts are issued, appealed and decided; what may be said by whom, and when.

Others issue a verdict through `verdict` and `VerdictIssued`, or from within another event through `issue`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace

from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.events import AppealDecided, AppealFiled, EvidenceFiled, VerdictIssued
from sunward.model.identity import SiteId, TenantId
from sunward.model.trust import (
    APPEAL_MS,
    NETWORK,
    Consequence,
    Dimension,
    Level,
    Standing,
    VerdictRecord,
    slots_of,
)
from sunward.settlement.stakes import Charge
from sunward.units import HOUR_MS, PPM
from sunward.verification.verdict import Finding
from sunward.world.state import Site
from sunward.world.trust import Filed, Judged

NAME = re.compile(r"[A-Za-z0-9._:-]{1,80}")
FAULT = re.compile(r"[a-z0-9_]{1,60}")
DIGEST = re.compile(r"[0-9a-f]{64}")
WORDS_MAX = 500
FIGURES_MAX = 20
UNIT_MAX = 40
EVIDENCE_MAX = 200
"""Most pieces of evidence that stand for one site; what is over makes room."""
DIGESTS_MAX = 100
TIME_MAX_MS = NUMBER_MAX = 2**53
LATE_MS = HOUR_MS
"""How long a verdict may be on its way into the journal; an older one would cut the time for an appeal."""
CHARGE = "charge"
"""What is due is a look at what a verdict takes of stake. It sorts before `exit`, which is due in the same moment."""
BAD_EVIDENCE, TOO_MUCH, BAD_VERDICT = "SW-740", "SW-741", "SW-742"
NO_VERDICT, TOO_LATE, NOT_YOURS = "SW-743", "SW-744", "SW-745"


def verdict_id(fault: str, *about: object) -> str:
    """The name of a verdict, which follows from what it is about."""
    material = "\n".join([fault, *map(str, about)]).encode()
    return f"v-{hashlib.sha256(material).hexdigest()[:16]}"


def verdict(
    finding: Finding,
    *,
    dimension: Dimension,
    consequence: Consequence,
    at_ms: int,
    site: str = "",
    owner: str = "",
    lease: str = "",
    about: object = "",
    evidence: tuple[str, ...] = (),
    issued_by: str = NETWORK,
) -> VerdictRecord:
    """A verdict ready to be issued, from what a check found.

    `about` tells apart faults of one kind at one site, such as the epoch, hour or batch: the same fault about the
    same thing is the same verdict, however often it is found.
    """
    return VerdictRecord(
        verdict=verdict_id(finding.key, site, owner, lease, about),
        dimension=dimension,
        fault=finding.key,
        sentence=finding.sentence,
        figures=finding.figures,
        consequence=consequence,
        at_ms=at_ms,
        appeal_until_ms=at_ms + APPEAL_MS,
        issued_by=issued_by,
        site=site,
        owner=owner,
        lease=lease,
        job=lease.rpartition(".")[0],
        evidence=evidence,
    )


def issue(turn: Turn, record: VerdictRecord) -> None:
    """Take in a verdict from within any event; one that is known changes nothing.

    Raises: InputError for one that could not be told either; then our own code is wrong.
    """
    check_record(turn.state, record)
    book = turn.world.trust
    if record.verdict not in book.verdicts:
        book.put(Judged(record=record, issued_ms=turn.at_ms))
        _charge(turn, record)
        turn.request_plan("verdict")


def _charge(turn: Turn, record: VerdictRecord) -> None:
    """Where stake answers for faults, remember what is bonded now, and look again when the time to appeal is over."""
    stakes = turn.state.stakes
    if stakes.rules is not None and record.consequence is Consequence.SLASHABLE:
        bonded_wei = stakes.bonded_wei(turn.state.ledger, owner_of(turn.state, record))
        stakes.charges[record.verdict] = Charge(bonded_wei=bonded_wei)
        turn.state.add_due(record.appeal_until_ms, CHARGE, record.verdict)


def evidence_filed(turn: Turn, payload: EvidenceFiled) -> None:
    """Take in evidence; the oldest that no longer counts makes room."""
    one = payload.evidence
    known = turn.world.trust.evidence.get(one.site, {})
    if one.evidence not in known and len(known) >= EVIDENCE_MAX:
        del known[_over(known, turn.at_ms)]
    turn.world.trust.file(one, turn.at_ms)
    turn.request_plan("evidence")


def check_filed(state: State, payload: EvidenceFiled) -> None:
    """Refuse evidence that says nothing, or more than its checker can vouch for.

    Raises: InputError, NotFoundError.
    """
    one = payload.evidence
    site = _site_known(state, one.site)
    wrong = {
        "an id is at most 80 letters, digits and . _ : -": not NAME.fullmatch(one.evidence),
        f"a statement has 1 to {WORDS_MAX} printable characters": not _words(one.statement),
        "a digest is 64 lower-case hex digits": bool(one.digest) and not DIGEST.fullmatch(one.digest),
        f"a unit has at most {UNIT_MAX} printable characters": len(one.unit) > UNIT_MAX or not one.unit.isprintable(),
        "its value has at most 53 bits": abs(one.value or 0) > NUMBER_MAX,
        "coverage_ppm lies in 1..1000000": not 0 < one.coverage_ppm <= PPM,
        "it ends after it begins": not 0 <= one.valid_from_ms < one.valid_until_ms <= TIME_MAX_MS,
        "it is over already": one.valid_until_ms <= state.world.at_ms,
    }
    for wanted, is_wrong in wrong.items():
        if is_wrong:
            raise InputError(f"evidence for {one.site}: {wanted}", code=BAD_EVIDENCE)
    if one.level is not Level.DECLARED and one.checked_by in ("", site.spec.owner):
        line = f"evidence for {one.site} counts as declared until someone other than its owner has checked it"
        raise InputError(line, code=BAD_EVIDENCE)
    known = state.world.trust.evidence.get(one.site, {})
    if one.evidence not in known and len(known) >= EVIDENCE_MAX and not _over(known, state.world.at_ms):
        raise InputError(
            f"site {one.site} has {EVIDENCE_MAX} pieces of evidence in force; put several into one", code=TOO_MUCH
        )


def _over(known: Mapping[str, Filed], at_ms: int) -> str:
    """The evidence that ended first; nothing where all of it still counts."""
    ended = [one.evidence for one in known.values() if one.evidence.valid_until_ms <= at_ms]
    return min(ended, key=lambda one: (one.valid_until_ms, one.evidence)).evidence if ended else ""


def verdict_issued(turn: Turn, payload: VerdictIssued) -> None:
    """Take in a verdict; what can be undone follows at once."""
    issue(turn, payload.verdict)


def check_issued(state: State, payload: VerdictIssued) -> None:
    """Refuse a verdict that cannot be understood or appealed.

    Raises: InputError, NotFoundError.
    """
    check_record(state, payload.verdict)


def check_record(state: State, one: VerdictRecord) -> None:
    """Refuse a verdict that cannot be understood or appealed.

    Raises: InputError, NotFoundError.
    """
    if one.site:
        _site_known(state, one.site)
    now_ms = state.world.at_ms
    texts = [one.verdict, *(value for value in one.figures.values() if isinstance(value, str))]
    wrong = {
        "it names a site or an owner": not (one.site or one.owner),
        "its id is at most 80 letters, digits and . _ : -": not NAME.fullmatch(one.verdict),
        "its fault is a key of small letters, digits and _": not FAULT.fullmatch(one.fault),
        f"its sentence has 1 to {WORDS_MAX} printable characters": not _words(one.sentence),
        "its figures are those in the sentence's braces": slots_of(one.sentence) != one.figures.keys(),
        "its figures have at most 53 bits": any(
            abs(value) > NUMBER_MAX for value in one.figures.values() if isinstance(value, int)
        ),
        f"its figures have at most {WORDS_MAX} printable characters": len(one.figures) > FIGURES_MAX
        or not all(len(text) <= WORDS_MAX and text.isprintable() for text in texts),
        "its evidence is digests": len(one.evidence) > DIGESTS_MAX or not all(map(DIGEST.fullmatch, one.evidence)),
        "it may be appealed for seven days": one.appeal_until_ms < max(one.at_ms, now_ms - LATE_MS) + APPEAL_MS,
        "it lies between the start and the end of time": not 0 <= one.at_ms <= one.appeal_until_ms <= TIME_MAX_MS,
        "only verdicts on the place leave it unproven": one.consequence is Consequence.PLACE_UNPROVEN
        and one.dimension is not Dimension.PLACE,
    }
    for wanted, is_wrong in wrong.items():
        if is_wrong:
            raise InputError(f"verdict {one.verdict[:80]}: {wanted}", code=BAD_VERDICT)


def appeal_filed(turn: Turn, payload: AppealFiled) -> None:
    """Take in an appeal: nothing that cannot be undone follows until it is decided."""
    book = turn.world.trust
    known = book.verdicts[payload.appeal.verdict]
    book.put(replace(known, appeal=payload.appeal))


def check_appealed(state: State, payload: AppealFiled) -> None:
    """Refuse an appeal by someone it does not concern, twice, or too late.

    Raises: NotFoundError, ConflictError, InputError.
    """
    one = payload.appeal
    known = _verdict_known(state, one.verdict)
    if one.by != owner_of(state, known.record):
        raise NotFoundError(f"no verdict {one.verdict}", code=NO_VERDICT)
    if not DIGEST.fullmatch(one.digest):
        raise InputError("an appeal names what is said by its digest, 64 hex digits", code=BAD_VERDICT)
    standing = known.standing(state.world.at_ms)
    if standing is not Standing.OPEN:
        line = f"verdict {one.verdict} is {standing} and cannot be appealed; ask an auditor for a new check instead"
        raise ConflictError(line, code=TOO_LATE)


def appeal_decided(turn: Turn, payload: AppealDecided) -> None:
    """End an appeal: the verdict is final, or counts as never issued."""
    book = turn.world.trust
    known = book.verdicts[payload.decision.verdict]
    book.put(replace(known, decision=payload.decision))
    if payload.decision.verdict in turn.state.stakes.charges:
        turn.state.add_due(turn.at_ms, CHARGE, payload.decision.verdict)
    turn.request_plan("verdict")


def check_decided(state: State, payload: AppealDecided) -> None:
    """Refuse a decision where nothing is to decide, or by one of the two sides.

    Raises: NotFoundError, ConflictError, InputError.
    """
    one = payload.decision
    known = _verdict_known(state, one.verdict)
    if known.standing(state.world.at_ms) is not Standing.APPEALED:
        raise ConflictError(f"verdict {one.verdict} is not appealed; there is nothing to decide", code=TOO_LATE)
    if one.by in (known.record.issued_by, owner_of(state, known.record)):
        line = "who issued a verdict, or is its subject, cannot decide on it; ask another auditor"
        raise ConflictError(line, code=NOT_YOURS)
    if not _words(one.reason):
        raise InputError(f"a decision gives its reason in 1 to {WORDS_MAX} printable characters", code=BAD_VERDICT)


def owner_of(state: State, record: VerdictRecord) -> TenantId:
    """The account that a verdict is about."""
    return state.world.sites[SiteId(record.site)].spec.owner if record.site else TenantId(record.owner)


def _site_known(state: State, name: str) -> Site:
    site = state.world.sites.get(SiteId(name))
    if site is None:
        raise NotFoundError(f"no site {name}", code="SW-134")
    return site


def _verdict_known(state: State, name: str) -> Judged:
    known = state.world.trust.verdicts.get(name)
    if known is None:
        raise NotFoundError(f"no verdict {name}", code=NO_VERDICT)
    return known


def _words(text: str) -> bool:
    return 0 < len(text) <= WORDS_MAX and text.isprintable()
