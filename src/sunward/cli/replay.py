"""Run a journal again through the simulator's wiring, solving every plan anew."""

from __future__ import annotations

from collections.abc import Sequence

from sunward.model.events import read_event
from sunward.model.wire import RecordedEvent
from sunward.ports import Recorded
from sunward.sim.parity import Parity, run_again
from sunward.verification.verdict import Finding, Verdict

PLAN_DIFFERS = "solving the plan of record {sequence} again gives another plan"
HEAD_DIFFERS = "running the journal again ends at {found}; the journal ends at {expected}"


def recorded(records: Sequence[RecordedEvent]) -> list[Recorded]:
    """Records of the API as the engine takes them.

    Raises: InputError for a kind or version this release does not know.
    """
    return [
        Recorded(
            one.sequence,
            one.previous,
            one.hash,
            one.term,
            read_event(one.kind, one.version, one.at_ms, one.body.encode()),
        )
        for one in records
    ]


def replan(records: Sequence[RecordedEvent]) -> Verdict:
    """Whether the same events give the same journal, and the same snapshots the same plans."""
    return verdict_of(run_again(recorded(records)), records)


def verdict_of(parity: Parity, records: Sequence[RecordedEvent]) -> Verdict:
    """What a second run showed."""
    findings = [
        Finding(key="replan", sentence=PLAN_DIFFERS, figures={"sequence": sequence})
        for sequence in parity.plans_differing
    ]
    expected = records[-1].hash if records else ""
    if records and parity.head_hash != expected:
        figures: dict[str, str | int] = {"found": parity.head_hash, "expected": expected}
        findings.append(Finding(key="replay", sentence=HEAD_DIFFERS, figures=figures))
    return Verdict(findings=tuple(findings), checked=("replay", "replan"), not_proved=())
