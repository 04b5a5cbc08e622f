"""What an agent and a control plane of an older version said and understood still is said and understood."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sunward.agent.identity import Membership as AgentsMembership
from sunward.model.codec import decode, encode
from sunward.model.records import BatchesHeld, EnrollRequest, Membership, Stored
from sunward.model.request import JobView, Problem, Submitted
from sunward.model.version import compatible
from sunward.model.wire import JobContent, SyncReply, SyncRequest

RECORDED = sorted(Path(__file__).parent.glob("wire_v*.json"))
KINDS = {
    "batches_held": BatchesHeld,
    "enroll_request": EnrollRequest,
    "job_content": JobContent,
    "job_view": JobView,
    "membership": Membership,
    "problem": Problem,
    "stored": Stored,
    "submitted": Submitted,
    "sync_reply": SyncReply,
    "sync_request": SyncRequest,
}


def recorded() -> list[tuple[str, str, str]]:
    return [
        (file.stem, name, text)
        for file in RECORDED
        for name, text in json.loads(file.read_text(encoding="utf-8")).items()
        if name in KINDS
    ]


def covers(new: object, old: object) -> bool:
    """Whether all that an older reader looks for is there, with the same value."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(name in new and covers(new[name], value) for name, value in old.items())
    if isinstance(old, list):
        return (
            isinstance(new, list)
            and len(new) == len(old)
            and all(covers(one, other) for one, other in zip(new, old, strict=True))
        )
    return new == old


@pytest.mark.parametrize(("version", "name", "text"), recorded(), ids=lambda part: part if len(part) < 30 else "")
def test_an_older_peer_is_understood_and_understands(version: str, name: str, text: str) -> None:
    record = decode(text, KINDS[name])
    assert covers(json.loads(encode(record)), json.loads(text)), version


@pytest.mark.parametrize("name", KINDS)
def test_what_a_newer_peer_adds_is_passed_over(name: str) -> None:
    (_, _, text) = next(one for one in recorded() if one[1] == name)
    newer = json.loads(text) | {"from_the_future": {"deep": [1, {"er": None}]}}
    assert decode(json.dumps(newer), KINDS[name]) == decode(text, KINDS[name])


def test_the_agent_reads_an_older_enrolment() -> None:
    (_, _, text) = next(one for one in recorded() if one[1] == "membership")
    assert decode(text, AgentsMembership).site == "no-hydro"


@pytest.mark.parametrize(
    ("ours", "theirs", "fits"),
    [
        ("0.1.0", "", True),
        ("0.1.0", "0.1.7", True),
        ("0.2.0", "", True),
        ("0.3.0", "", False),
        ("0.3.0", "0.2.9", True),
        ("0.3.0", "0.4.0rc1", True),
        ("0.3.0", "0.5.0", False),
        ("1.0.0", "0.9.0", False),
        ("1.2.0", "1.3.0.dev4+g12ab", True),
        ("0.1.0", "new", False),
        ("0.1.0", "0.1" + "x" * 500, False),
        ("0.1.0", "0.²", False),
    ],
)
def test_one_minor_version_apart_is_understood(ours: str, theirs: str, *, fits: bool) -> None:
    assert compatible(ours, theirs) is fits
