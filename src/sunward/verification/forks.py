"""The proof of a fork: two heads that the control plane signed, and that no one journal can both hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from sunward.errors import InputError
from sunward.model.codec import decode, encode
from sunward.model.events import KeyRotated
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.verification.journal import head_signed, record_hash
from sunward.verification.signature import signed_by
from sunward.verification.verdict import Finding, Verdict

FORK_VERSION = 1
MARK = b'{"fork":'
"""How the file of a fork begins."""
CHECKED = ("fork_heads", "fork_ways", "fork_keys")
NOT_PROVED = ("fork_which", "fork_key_kept")
"""Which of the two is what happened; that it was not a thief of the key who signed."""
KEY_NOT_PROVED = "control_plane_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkSide:
    """One of two journals, as it was shown."""

    source: str
    """Where it was seen."""
    head: JournalHead
    public_key: str
    """That signed the head, hex."""
    records: tuple[RecordedEvent, ...] = ()
    """From the contested record up to the head; none where the head is of that record."""

    def hash_at(self, sequence: int) -> str:
        """The hash that this side gives the contested record; empty when it shows none."""
        first = self.records[0] if self.records else self.head
        return first.hash if first.sequence == sequence else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkProof:
    """Two signed statements of one record."""

    fork: int = FORK_VERSION
    sequence: int
    """The contested record."""
    sides: tuple[ForkSide, ForkSide]
    changes: tuple[KeyRotated, ...] = ()
    """How one key followed the other, where the sides were signed by two of one line."""


def read_fork(raw: bytes) -> ForkProof:
    """A proof in its one valid form.

    Raises: InputError with what does not fit.
    """
    proof = decode(raw, ForkProof)
    if encode(proof) != raw or proof.fork != FORK_VERSION:
        raise InputError("it is not the proof of a fork in its one valid form", code="SW-781")
    return proof


def verify_fork(proof: ForkProof, public_key: str = "") -> Verdict:
    """Whether two different records of one number were signed; accepted = the fork is proved.

    `public_key`: any key of the control plane, as known from elsewhere.
    """
    findings = [*_check_sides(proof), *_check_keys(proof, public_key)]
    open_points = NOT_PROVED if public_key else (*NOT_PROVED, KEY_NOT_PROVED)
    return Verdict(findings=tuple(findings), checked=CHECKED, not_proved=open_points)


def _check_sides(proof: ForkProof) -> Iterator[Finding]:
    for side in proof.sides:
        if not head_signed(side.head, side.public_key):
            yield _refused("fork_heads", side.source, "its head is not signed by the key it names")
        if not side.hash_at(proof.sequence) or not leads_to_head(side.records, side.head):
            yield _refused("fork_ways", side.source, "its records do not lead from the contested one to its head")
    one, two = (side.hash_at(proof.sequence) for side in proof.sides)
    if one == two:
        yield Finding(
            key="fork_ways",
            sentence="both sides show the same record {sequence}",
            figures={"sequence": proof.sequence},
        )


def leads_to_head(records: tuple[RecordedEvent, ...], head: JournalHead) -> bool:
    """Whether records are chained, one after the other, and end with the head; none lead to any."""
    chained = all(
        after.sequence == before.sequence + 1 and after.previous == before.hash for before, after in pairwise(records)
    )
    hashed = all(record_hash(one) == one.hash for one in records)
    ends = not records or (records[-1].sequence, records[-1].hash, records[-1].term) == (
        head.sequence,
        head.hash,
        head.term,
    )
    return chained and hashed and ends


def _check_keys(proof: ForkProof, public_key: str) -> Iterator[Finding]:
    keys = {side.public_key for side in proof.sides}
    line = one_line(proof.sides[0].public_key, proof.changes)
    if not keys <= line:
        yield Finding(key="fork_keys", sentence="the keys of the two sides are not of one line")
    if public_key and public_key not in line:
        yield Finding(key="control_plane_key", sentence="the proof names another control plane's key")


def one_line(key: str, changes: Iterable[KeyRotated]) -> set[str]:
    """All keys that signed changes connect with one."""
    line = {key}
    signed = [
        {one.old_public, one.new_public}
        for one in changes
        if signed_by(one.old_public, one.signature, f"sunward-key/1\n{one.old_public}\n{one.new_public}\n".encode())
    ]
    while any(pair & line and pair - line for pair in signed):
        line.update(*(pair for pair in signed if pair & line))
    return line


def _refused(key: str, source: str, why: str) -> Finding:
    return Finding(key=key, sentence="{where}: {why}", figures={"where": source, "why": why})
