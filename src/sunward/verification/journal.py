"""The journal's chain, recomputed from the text of docs/journal.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from sunward.errors import InputError
from sunward.model.codec import encode
from sunward.model.events import read_event
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.verification.keys import KIND, read_lineage
from sunward.verification.signature import signed_by
from sunward.verification.verdict import Finding, Verdict, mismatch

NOT_PROVED = ("truth_of_events", "no_other_journal_shown")
"""That what was recorded is true; that nobody was shown another journal."""
GENESIS = "0" * 64


def record_hash(record: RecordedEvent) -> str:
    """The hash a record must have."""
    lines = (
        "sunward-journal/1",
        record.previous,
        record.sequence,
        record.term,
        record.kind,
        record.version,
        record.at_ms,
        record.body,
    )
    return hashlib.sha256("\n".join(str(line) for line in lines).encode()).hexdigest()


def head_message(sequence: int, record_hash: str, term: int) -> bytes:
    """The bytes that the signature of a head covers."""
    return f"sunward-head/1\n{sequence}\n{record_hash}\n{term}\n".encode()


def head_signed(head: JournalHead, public_key: str) -> bool:
    """Whether the control plane signed this head."""
    return signed_by(public_key, head.signature, head_message(head.sequence, head.hash, head.term))


def verify_chain(records: Iterable[RecordedEvent], head: JournalHead | None = None, public_key: str = "") -> Verdict:
    """Check a whole journal, from its first record, and where a head is given that it ends there, signed.

    `public_key`: any key that the control plane has had; the head must be signed by the one in force at its end.
    """
    findings: list[Finding] = []
    before: RecordedEvent | None = None
    rotations: list[RecordedEvent] = []
    for record in records:
        findings.extend(check_record(record))
        findings.extend(_check_link(before, record))
        before = record
        if record.kind == KIND:
            rotations.append(record)
    line, wrong = read_lineage(rotations)
    findings.extend(wrong)
    checked = ["record_hash", "event_body", "chain"]
    if head is not None:
        findings.extend(_check_head(before, head, line.newest(public_key)))
        checked.append("head")
    return Verdict(findings=tuple(findings), checked=tuple(checked), not_proved=NOT_PROVED)


def check_record(record: RecordedEvent) -> Iterator[Finding]:
    """Hash and body of one record, taken alone."""
    expected = record_hash(record)
    if record.hash != expected:
        yield mismatch("record_hash", "hash", f"record {record.sequence}", record.hash, expected)
    try:
        event = read_event(record.kind, record.version, record.at_ms, record.body.encode())
    except InputError as reason:
        yield Finding(
            key="event_body",
            sentence="the body of record {sequence} cannot be read: {reason}",
            figures={"sequence": record.sequence, "reason": reason.message},
        )
        return
    if not is_canonical(record.body, encode(event.payload)):
        yield Finding(
            key="event_body",
            sentence="the body of record {sequence} is not in canonical form",
            figures={"sequence": record.sequence},
        )


def is_canonical(body: str, canonical: bytes) -> bool:
    """Whether a text is what its record encodes to, but for fields that its kind has gained since."""
    if body.encode() == canonical:
        return True
    told = json.loads(body)
    compact = json.dumps(told, ensure_ascii=False, separators=(",", ":")) == body
    return compact and _is_part(told, json.loads(canonical))


def _is_part(told: Any, whole: Any) -> bool:  # noqa: ANN401  any JSON
    """Whether two values are equal, but for members that the first lacks; the order of members is one and the same."""
    if isinstance(told, dict) and isinstance(whole, dict):
        return list(told) == [name for name in whole if name in told] and all(
            _is_part(value, whole[name]) for name, value in told.items()
        )
    if isinstance(told, list) and isinstance(whole, list):
        return len(told) == len(whole) and all(map(_is_part, told, whole))
    return bool(told == whole) and type(told) is type(whole)


def _check_link(before: RecordedEvent | None, record: RecordedEvent) -> Iterator[Finding]:
    sequence, previous, term = (before.sequence, before.hash, before.term) if before else (0, GENESIS, 0)
    if record.sequence != sequence + 1:
        yield mismatch("chain", "sequence", f"the record after {sequence}", record.sequence, sequence + 1)
    if record.previous != previous:
        yield mismatch("chain", "previous hash", f"record {record.sequence}", record.previous, previous)
    if record.term < term:
        yield Finding(
            key="chain",
            sentence="record {sequence} goes back to term {term} after {before}",
            figures={"sequence": record.sequence, "term": record.term, "before": term},
        )


def _check_head(last: RecordedEvent | None, head: JournalHead, public_key: str) -> Iterator[Finding]:
    standing = (last.sequence, last.hash, last.term) if last else (0, GENESIS, head.term)
    if (head.sequence, head.hash, head.term) != standing:
        yield mismatch("head", "sequence, hash and term", "the head", (head.sequence, head.hash, head.term), standing)
    if not head_signed(head, public_key):
        yield Finding(key="head", sentence="the head is not signed by the control plane's key")
