"""Which key of the control plane counts: each one names the next, and a later one vouches for all before it.

A key counts for everything up to the record that retired it. A head or record beyond that record, signed by the retired
key, is refused; so whoever finds an old key can add nothing to the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sunward.errors import InputError
from sunward.model.events import KeyRotated, read_event
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.verification.signature import signed_by
from sunward.verification.verdict import Finding

KIND = "key_rotated"


@dataclass(slots=True)
class Lineage:
    """The control plane's keys in order, as the records of their rotations name them."""

    keys: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """The record that retired each key but the last."""

    def newest(self, known: str) -> str:
        """The key in force where one of the line is known; a stranger's stays its own."""
        return self.keys[-1] if known in self.keys else known

    def end(self, key: str) -> int | None:
        """The record that retired a key; None while it is in force, or for one that is not of this line."""
        place = self.keys.index(key) if key in self.keys else len(self.ends)
        return self.ends[place] if place < len(self.ends) else None


def read_lineage(records: Iterable[RecordedEvent]) -> tuple[Lineage, list[Finding]]:
    """The keys that rotations name, and what is wrong with these; other records are passed over."""
    line = Lineage()
    findings: list[Finding] = []
    for record in records:
        if record.kind != KIND:
            continue
        try:
            payload = read_event(record.kind, record.version, record.at_ms, record.body.encode()).payload
        except InputError:
            continue  # It is found by the check of the records.
        if isinstance(payload, KeyRotated):
            findings.extend(_check(line, record, payload))
            line.keys = [*(line.keys or [payload.old_public]), payload.new_public]
            line.ends.append(record.sequence)
    return line, findings


def _check(line: Lineage, record: RecordedEvent, payload: KeyRotated) -> Iterator[Finding]:
    message = f"sunward-key/1\n{payload.old_public}\n{payload.new_public}\n".encode()
    for true, why in (
        (signed_by(payload.old_public, payload.signature, message), "the retired key did not sign it"),
        (not line.keys or line.keys[-1] == payload.old_public, "it retires another key than the one in force"),
        (payload.new_public not in {*line.keys, payload.old_public}, "its new key signed before"),
        (not line.ends or line.ends[-1] < record.sequence, "it stands before the rotation it follows"),
    ):
        if not true:
            yield Finding(
                key="key_rotation",
                sentence="the change of keys in record {sequence} is refused: {why}",
                figures={"sequence": record.sequence, "why": why},
            )


def check_signer(
    signer: str, known: str, own: Sequence[RecordedEvent], elsewhere: Sequence[RecordedEvent], head: JournalHead
) -> Iterator[Finding]:
    """Whether a bundle's key is the one known from elsewhere, or of its line, and was in force at the bundle's head.

    `own`: the rotations that the bundle holds, which lead to its key. `elsewhere`: those known beside it, newest
    signature by the newest key. Their records are checked by the caller.
    """
    line, wrong = read_lineage(own)
    yield from wrong
    if line.keys and line.keys[-1] != signer:
        yield _retired(signer)
    later, wrong = read_lineage(elsewhere)
    yield from wrong
    end = later.end(signer)
    if end is not None and head.sequence >= end:
        yield _retired(signer)
    if known and signer != known and not any({known, signer} <= set(each.keys) for each in (line, later)):
        yield Finding(key="control_plane_key", sentence="the bundle names another control plane's key")


def _retired(key: str) -> Finding:
    sentence = "the key {public_key} was retired before what it signed here"
    return Finding(key="retired_key", sentence=sentence, figures={"public_key": key})
