"""What checks outside the engine found, on record: verdicts once each, and evidence that a program gathered."""

from __future__ import annotations

from collections.abc import Sequence

from sunward.model.events import EvidenceFiled, VerdictIssued
from sunward.model.trust import Evidence, VerdictRecord
from sunward.service.control import ControlPlane


def judge(control: ControlPlane, found: Sequence[VerdictRecord]) -> tuple[str, ...]:
    """Issue those verdicts that are not known yet; their ids. Make them with `engine.trust.verdict`.

    Raises: InputError for one that the engine refuses.
    """
    known = control.state.world.trust.verdicts
    new = {one.verdict: one for one in found if one.verdict not in known}
    for one in new.values():
        control.commit_one(VerdictIssued(verdict=one))
    return tuple(new)


def believe(control: ControlPlane, evidence: Evidence) -> None:
    """File evidence that a program checked; the same again changes nothing.

    Raises: InputError for evidence that the engine refuses.
    """
    known = control.state.world.trust.evidence.get(evidence.site, {}).get(evidence.evidence)
    if known is None or known.evidence != evidence:
        control.commit_one(EvidenceFiled(evidence=evidence))
