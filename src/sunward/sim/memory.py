"""Twins of the live journal, object store and clock that live in memory and pass the same suites."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO

from sunward.errors import ConflictError, InputError, InvariantError, NotFoundError
from sunward.model.chain import GENESIS, record_hash
from sunward.model.codec import digest_bytes
from sunward.model.commands import CloseEpoch, Command, IssueReceipt, JobChanged, PostEntries
from sunward.model.events import Event, ReadingsSealed
from sunward.model.ledger import Entry
from sunward.model.receipt import EpochStatement, Receipt
from sunward.model.wire import ClockMapping, JournalHead
from sunward.ports import Recorded


class MemoryJournal:
    """A `ports.Journal` in memory; `projected` holds every command by (sequence, index), in order."""

    def __init__(self) -> None:
        self._head = JournalHead(sequence=0, hash=GENESIS, term=0)
        self._records: list[Recorded] = []
        self._lock = threading.Lock()
        self._once: set[tuple[str, str]] = set()
        self.projected: dict[tuple[int, int], Command] = {}
        self.sealed: dict[tuple[str, int, int], int] = {}
        """Sequence of the seal by (site, first counter, last counter)."""

    @property
    def job_changes(self) -> list[JobChanged]:
        """Every change of a job, in order."""
        return [command for command in self.projected.values() if isinstance(command, JobChanged)]

    @property
    def entries(self) -> list[Entry]:
        """Every ledger entry, in order."""
        posted = [command for command in self.projected.values() if isinstance(command, PostEntries)]
        return [entry for command in posted for entry in command.entries]

    @property
    def receipts(self) -> list[Receipt]:
        """Every final receipt, in order."""
        return [command.receipt for command in self.projected.values() if isinstance(command, IssueReceipt)]

    @property
    def epochs(self) -> list[EpochStatement]:
        """The statement of every closed epoch, in order."""
        return [command.statement for command in self.projected.values() if isinstance(command, CloseEpoch)]

    def head(self) -> JournalHead:
        """Where the journal stands."""
        return self._head

    def claim_leadership(self) -> JournalHead:
        """Begin a new term: from now on every append of an earlier leader fails."""
        with self._lock:
            self._head = replace(self._head, term=self._head.term + 1)
            return self._head

    def append(
        self,
        expected: JournalHead,
        events: Sequence[Event],
        commands: Sequence[tuple[Command, ...]],
        *,
        sealed: Sequence[tuple[str, int, int]] = (),
    ) -> JournalHead:
        """Record events, project their commands and note what they seal, all or nothing.

        Raises: ConflictError when the head is not `expected`; InvariantError as the live journal does.
        """
        if len(events) != len(commands):
            raise InvariantError(f"{len(events)} events come with the commands of {len(commands)}")
        with self._lock:
            if _place(expected) != _place(self._head):
                raise ConflictError("another writer moved the journal; read its head again", code="SW-110")
            records = _records(self._head, events)
            fresh = self._fresh(self._head.sequence + 1, commands)
            marks = {span: _sealing(records, span) for span in sealed}
            self._records += records
            self._project(fresh)
            self.sealed |= marks
            if records:
                self._head = replace(self._head, sequence=records[-1].sequence, hash=records[-1].hash)
            return self._head

    def project(self, first_sequence: int, commands: Sequence[tuple[Command, ...]]) -> None:
        """Project again the commands of recorded events; those known change nothing.

        Raises: InvariantError for events beyond the head.
        """
        with self._lock:
            if first_sequence + len(commands) - 1 > self._head.sequence:
                raise InvariantError("commands of events that the journal does not hold")
            self._project(self._fresh(first_sequence, commands))

    def read(self, after: int = 0) -> Iterator[Recorded]:
        """Recorded events with a sequence greater than `after`, in order."""
        yield from self._records[after:]

    def _fresh(self, first_sequence: int, commands: Sequence[tuple[Command, ...]]) -> dict[tuple[int, int], Command]:
        """Commands not projected yet, checked against those that are."""
        fresh = {
            (sequence, index): command
            for sequence, group in enumerate(commands, first_sequence)
            for index, command in enumerate(group)
            if (sequence, index) not in self.projected
        }
        for command in fresh.values():
            _check_balance(command)
        names = [_once(command) for command in fresh.values() if isinstance(command, IssueReceipt | CloseEpoch)]
        if len(set(names)) < len(names) or not self._once.isdisjoint(names):
            raise InvariantError("a second receipt of a job or statement of an epoch")
        return fresh

    def _project(self, fresh: dict[tuple[int, int], Command]) -> None:
        self.projected |= fresh
        self._once |= {_once(command) for command in fresh.values() if isinstance(command, IssueReceipt | CloseEpoch)}


def _place(head: JournalHead) -> tuple[int, str, int]:
    return head.sequence, head.hash, head.term


def _records(head: JournalHead, events: Sequence[Event]) -> list[Recorded]:
    previous = head.hash
    records = []
    for sequence, event in enumerate(events, head.sequence + 1):
        current = record_hash(previous, sequence, head.term, event.kind, event.version, event.at_ms, event.body())
        records.append(Recorded(sequence=sequence, previous=previous, hash=current, term=head.term, event=event))
        previous = current
    return records


def _sealing(records: list[Recorded], span: tuple[str, int, int]) -> int:
    for record in records:
        if isinstance(record.event.payload, ReadingsSealed):
            parts = record.event.payload.sites
            if any((part.site, part.first_counter, part.last_counter) == span for part in parts):
                return record.sequence
    raise InvariantError(f"no seal among the events names the batches {span}")


def _check_balance(command: Command) -> None:
    if isinstance(command, PostEntries):
        for entry in command.entries:
            if sum(posting.amount_wei for posting in entry.postings) != 0:
                raise InvariantError(f"ledger entry {entry.entry} does not sum to zero")


def _once(command: IssueReceipt | CloseEpoch) -> tuple[str, str]:
    """What may be named by one command only."""
    if isinstance(command, IssueReceipt):
        return "receipt", command.receipt.job
    return "epoch", str(command.statement.epoch)


class MemoryObjectStore:
    """A `ports.ObjectStore` in memory."""

    def __init__(self, max_bytes: int = 1 << 30) -> None:
        self._max_bytes = max_bytes
        self._objects: dict[str, bytes] = {}

    def put(self, source: BinaryIO) -> str:
        """Store and return the SHA-256, hex. Raises: InputError when it is larger than the store takes."""
        raw = source.read(self._max_bytes + 1)
        if len(raw) > self._max_bytes:
            raise InputError(f"an object may have at most {self._max_bytes} bytes; send less", code="SW-113")
        digest = digest_bytes(raw)
        self._objects[digest] = raw
        return digest

    def open(self, digest: str) -> BinaryIO:
        """Read what was stored. Raises: NotFoundError."""
        raw = self._objects.get(digest)
        if raw is None:
            raise NotFoundError(f"no object {digest}")
        return io.BytesIO(raw)

    def has(self, digest: str) -> bool:
        """Whether it is stored."""
        return digest in self._objects

    def remove(self, digests: Iterable[str]) -> None:
        """Erase; what is not there is passed over."""
        for digest in digests:
            self._objects.pop(digest, None)


class VirtualClock:
    """A `ports.Clock` that stands still until it is moved."""

    def __init__(self, mapping: ClockMapping) -> None:
        self.mapping = mapping
        self._machine_ms = mapping.machine_ms

    def set_mapping(self, mapping: ClockMapping) -> None:
        """Take another mapping from now on."""
        self.mapping = mapping

    def machine_ms(self) -> int:
        """Machine time now."""
        return self._machine_ms

    def grid_ms(self) -> int:
        """Grid time now."""
        return self.mapping.grid(self._machine_ms)

    def move(self, machine_ms: int) -> None:
        """Let machine time pass.

        Raises: InvariantError for a step back.
        """
        if machine_ms < 0:
            raise InvariantError("time does not pass backwards")
        self._machine_ms += machine_ms

    def move_to(self, grid_ms: int) -> None:
        """Let time pass until grid time has reached `grid_ms`; nothing passes when it already has."""
        self._machine_ms = max(self._machine_ms, self.mapping.machine(grid_ms))
