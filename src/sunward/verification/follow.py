"""What one who follows a journal holds of it, and what there is to say of what it is shown next."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from sunward.errors import InputError
from sunward.model.events import KeyRotated, read_event
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.verification.forks import ForkProof, ForkSide, leads_to_head, one_line
from sunward.verification.journal import GENESIS, head_signed, record_hash
from sunward.verification.keys import KIND, Lineage, read_lineage
from sunward.verification.verdict import Finding

HASH_BYTES = 32


@dataclass(slots=True, kw_only=True)
class Followed:
    """A journal as far as it was followed: the hash of each record, its changes of keys, the newest head seen."""

    known: str
    """A key of the control plane, as first known."""
    name: str = ""
    """Of the copy, where it is shown to others."""
    hashes: bytearray = field(default_factory=bytearray)
    term: int = 0
    rotations: list[RecordedEvent] = field(default_factory=list)
    head: JournalHead | None = None
    """The newest signed head whose record is held."""

    @property
    def sequence(self) -> int:
        """The newest record held."""
        return len(self.hashes) // HASH_BYTES

    @property
    def signed(self) -> int:
        """The newest record held that a signed head covers."""
        return self.head.sequence if self.head else 0

    def hash_at(self, sequence: int) -> str:
        """The hash of a record held."""
        if sequence == 0:
            return GENESIS
        return self.hashes[(sequence - 1) * HASH_BYTES : sequence * HASH_BYTES].hex()

    def take(self, records: Iterable[RecordedEvent]) -> Finding | None:
        """Take records that follow, each by its hash and its place; what is wrong with the first that does not fit."""
        for record in records:
            wrong = self._refusal(record)
            if wrong:
                return Finding(
                    key="chain",
                    sentence="record {sequence} after {before}: {why}",
                    figures={"sequence": record.sequence, "before": self.sequence, "why": wrong},
                )
            self.hashes += bytes.fromhex(record.hash)
            self.term = record.term
            if record.kind == KIND:
                self.rotations.append(record)
        _, wrong_keys = read_lineage(self.rotations)
        return wrong_keys[0] if wrong_keys else None

    def cut(self, sequence: int) -> None:
        """Forget all records after one; the term may then seem to fall no more."""
        del self.hashes[sequence * HASH_BYTES :]
        self.rotations = [one for one in self.rotations if one.sequence <= sequence]
        self.term = self.head.term if self.head and self.head.sequence == sequence else 0

    def signer(self, head: JournalHead) -> str:
        """The key that signed a head and was in force there; empty when none of the line did."""
        line, _ = read_lineage(self.rotations)
        keys = line.keys if self.known in line.keys else [self.known]
        return next((key for key in reversed(keys) if _in_force(line, key, head) and head_signed(head, key)), "")

    def contested(self, head: JournalHead) -> int:
        """The record by which a head is compared with what is held: the newest that both cover."""
        return min(self.signed, head.sequence)

    def fork(self, theirs: ForkSide, own: Iterable[RecordedEvent], told: Iterable[RecordedEvent]) -> ForkProof | None:
        """The proof that what another shows and what is held are two journals; None when it was never signed.

        `theirs`: the key is still to be found. `own`: the records held, from the contested one to the newest signed.
        `told`: changes of keys on the other side.
        """
        at = self.contested(theirs.head)
        changes = _changes([*self.rotations, *told])
        line = sorted(one_line(self.known, changes))
        key = next((each for each in line if head_signed(theirs.head, each)), "")
        if self.head is None or not key or not leads_to_head(theirs.records, theirs.head):
            return None
        mine = ForkSide(
            source=self.name,
            head=self.head,
            public_key=self.signer(self.head),
            records=() if self.head.sequence == at else tuple(own),
        )
        needed = () if mine.public_key == key else changes
        return ForkProof(sequence=at, sides=(mine, replace(theirs, public_key=key)), changes=needed)

    def _refusal(self, record: RecordedEvent) -> str:
        """Why a record cannot be the next; empty when it can."""
        if record.sequence != self.sequence + 1:
            return f"{record.sequence - self.sequence - 1} records are missing"
        if record.previous != self.hash_at(self.sequence):
            return "it names another record before it"
        if record.hash != record_hash(record):
            return "its hash is not that of what it says"
        return "it goes back to an earlier term" if record.term < self.term else ""


def _in_force(line: Lineage, key: str, head: JournalHead) -> bool:
    end = line.end(key)
    return end is None or head.sequence < end


def _changes(records: Iterable[RecordedEvent]) -> tuple[KeyRotated, ...]:
    """The changes of keys among records, each once; what cannot be read is none."""
    found: dict[KeyRotated, None] = {}
    for one in records:
        if one.kind == KIND:
            with suppress(InputError):
                payload = read_event(one.kind, one.version, one.at_ms, one.body.encode()).payload
                if isinstance(payload, KeyRotated):
                    found[payload] = None
    return tuple(found)
