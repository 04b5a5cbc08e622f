"""The store of a network in SQL: the journal with its projections, and what stands beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from sunward.adapters import tables
from sunward.adapters.access_sql import Access
from sunward.adapters.budgets_sql import Budgets
from sunward.adapters.chain_outbox import ChainOutbox
from sunward.adapters.contents_sql import Contents, StoredContent
from sunward.adapters.database import Database, open_database
from sunward.adapters.ingest_sql import Ingest, mark_sealed
from sunward.adapters.private_sql import Privates
from sunward.adapters.projections import Row, Sign, rows_of, write_rows
from sunward.adapters.queries import Queries
from sunward.errors import ConflictError, InvariantError, NotFoundError
from sunward.model.chain import record_hash
from sunward.model.commands import Command
from sunward.model.events import Event, JobsSubmitted, ReadingsSealed, read_event
from sunward.model.job import JobSpec
from sunward.model.wire import JournalHead
from sunward.ports import Recorded

Submission: TypeAlias = tuple[JobSpec, int]
"""The public part of a job and when it was submitted."""
READ_CHUNK = 1_024
SNAPSHOTS_KEPT = 2
"""The newest, and one to fall back on should it prove unreadable."""
_head = tables.journal_head.c
_MOVE_HEAD = (
    update(tables.journal_head)
    .where(
        _head.sequence == bindparam("read_sequence"),
        _head.hash == bindparam("read_hash"),
        _head.term == bindparam("read_term"),
    )
    .values(sequence=bindparam("new_sequence"), hash=bindparam("new_hash"))
)
"""Compare-and-swap; made once, because making it costs more than running it."""


class SqlStore:
    """A `ports.Journal` on SQLite or PostgreSQL; the parts beside the journal are attributes."""

    def __init__(self, database: Database, sign: Sign) -> None:
        self._database = database
        self._sign = sign
        self.access = Access(database)
        self.budgets = Budgets(database)
        self.chain_outbox = ChainOutbox(database)
        self.contents = Contents(database)
        self.coming: dict[str, StoredContent] = {}
        """Private contents of jobs that are about to be recorded: each is stored with its job, or not at all."""
        self.ingest = Ingest(database)
        self.privates = Privates(database)
        self.queries = Queries(database)

    def close(self) -> None:
        """Let go of every connection."""
        self._database.engine.dispose()

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database file; may run beside everything else."""
        self._database.checkpoint()

    def head(self) -> JournalHead:
        """Where the journal stands."""
        with self._database.reading() as connection:
            row = connection.execute(select(_head.sequence, _head.hash, _head.term)).one()
        return JournalHead(sequence=row.sequence, hash=row.hash, term=row.term)

    def claim_leadership(self) -> JournalHead:
        """Begin a new term: from now on every append of an earlier leader fails."""
        statement = update(tables.journal_head).values(term=_head.term + 1)
        with self._database.writing() as connection:
            row = connection.execute(statement.returning(_head.sequence, _head.hash, _head.term)).one()
        return JournalHead(sequence=row.sequence, hash=row.hash, term=row.term)

    def append(
        self,
        expected: JournalHead,
        events: Sequence[Event],
        commands: Sequence[tuple[Command, ...]],
        *,
        sealed: Sequence[tuple[str, int, int]] = (),
    ) -> JournalHead:
        """Record events, project their commands and mark the batches they seal, in one transaction.

        `sealed`: (site, first counter, last counter), each as a `ReadingsSealed` among the events names it.
        Raises: ConflictError when the head is not `expected`; InvariantError when a projection or a seal
            contradicts what is stored, and then nothing is recorded.
        """
        if len(events) != len(commands):
            raise InvariantError(f"{len(events)} events come with the commands of {len(commands)}")
        records = _records(expected, events)
        projected = rows_of(expected.sequence + 1, commands, self._sign)
        marks = _marks(expected.sequence + 1, events, sealed)
        contents = self._contents_of(events)
        asked = [one.asked for one in contents.values() if one.asked is not None]
        last = records[-1]["hash"] if records else expected.hash
        reached = JournalHead(sequence=expected.sequence + len(records), hash=last, term=expected.term)
        with self._database.writing() as connection:
            _move_head(connection, expected, reached)
            if records:
                connection.execute(insert(tables.journal), records)
            write_rows(connection, projected)
            if contents:
                self.contents.put(connection, contents)
            if asked:
                self.access.keep_asked(connection, asked)
            for mark in marks:
                mark_sealed(connection, *mark)
        return reached

    def _contents_of(self, events: Sequence[Event]) -> dict[str, StoredContent]:
        """What has come for the jobs that these events submit."""
        submitted = (
            [event.payload for event in events if isinstance(event.payload, JobsSubmitted)] if self.coming else []
        )
        jobs = [spec.job for payload in submitted for spec in payload.jobs]
        return {job: self.coming[job] for job in jobs if job in self.coming}

    def project(self, first_sequence: int, commands: Sequence[tuple[Command, ...]]) -> None:
        """Project again the commands of recorded events, as a replay returns them; those known change nothing.

        Raises: InvariantError for events beyond the head.
        """
        if first_sequence + len(commands) - 1 > self.head().sequence:
            raise InvariantError("commands of events that the journal does not hold")
        rows = rows_of(first_sequence, commands, self._sign)
        with self._database.writing() as connection:
            write_rows(connection, rows)

    def read(self, after: int = 0) -> Iterator[Recorded]:
        """Recorded events with a sequence greater than `after`, in order.

        Read in chunks, each a short transaction, so a slow reader holds nothing back.
        """
        journal = tables.journal
        while True:
            query = select(journal).where(journal.c.sequence > after).order_by(journal.c.sequence).limit(READ_CHUNK)
            with self._database.reading() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                yield _recorded(row)
            if len(rows) < READ_CHUNK:
                return
            after = rows[-1].sequence

    def record(self, sequence: int) -> Recorded:
        """One recorded event. Raises: NotFoundError."""
        with self._database.reading() as connection:
            row = connection.execute(select(tables.journal).where(tables.journal.c.sequence == sequence)).one_or_none()
        if row is None:
            raise NotFoundError(f"the journal has no record {sequence}")
        return _recorded(row)

    def newest(self, kind: str) -> Recorded | None:
        """The last event of a kind; reads the whole journal where there is none."""
        journal = tables.journal
        query = select(journal).where(journal.c.kind == kind).order_by(journal.c.sequence.desc()).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _recorded(row)

    def submissions(self, sequences: Collection[int]) -> dict[str, Submission]:
        """The public parts of jobs by job, from the records of their submissions, with the moments of these."""
        query = select(tables.journal).where(tables.journal.c.sequence.in_(sequences))
        with self._database.reading() as connection:
            events = [_recorded(row).event for row in connection.execute(query)]
        return {
            spec.job: (spec, event.at_ms)
            for event in events
            if isinstance(event.payload, JobsSubmitted)
            for spec in event.payload.jobs
        }

    def save_snapshot(self, sequence: int, blob: bytes) -> None:
        """Keep the state after event `sequence`, and drop all but the newest snapshots."""
        snapshots = tables.snapshots
        statement = self._database.insert(snapshots).on_conflict_do_nothing()
        newest = select(snapshots.c.sequence).order_by(snapshots.c.sequence.desc()).limit(SNAPSHOTS_KEPT)
        with self._database.writing() as connection:
            connection.execute(statement, {"sequence": sequence, "blob": blob})
            connection.execute(delete(snapshots).where(snapshots.c.sequence.not_in(newest)))

    def snapshots(self) -> Iterator[tuple[int, bytes]]:
        """Sequence and state of each snapshot kept, newest first, read one at a time."""
        snapshots = tables.snapshots.c
        with self._database.reading() as connection:
            sequences = connection.scalars(select(snapshots.sequence).order_by(snapshots.sequence.desc())).all()
        for sequence in sequences:
            with self._database.reading() as connection:
                blob = connection.scalar(select(snapshots.blob).where(snapshots.sequence == sequence))
            if blob is not None:
                yield sequence, blob


def open_store(url: str, sign: Sign | None = None) -> SqlStore:
    """Open a store, `sqlite:///FILE` or `postgresql+psycopg://…`, creating its schema where it is empty.

    `sign` signs the canonical bytes of a receipt; only a writer needs it.
    Raises: InputError for a URL or schema that cannot be used, SourceError when it cannot be reached.
    """
    return SqlStore(open_database(url), sign or _no_key)


def _no_key(_body: bytes) -> str:
    raise InvariantError("a receipt is due, but the store was opened without a signing key")


def _records(expected: JournalHead, events: Sequence[Event]) -> list[Row]:
    previous, term = expected.hash, expected.term
    rows: list[Row] = []
    for sequence, event in enumerate(events, expected.sequence + 1):
        kind, version, body = event.kind, event.version, event.body()
        current = record_hash(previous, sequence, term, kind, version, event.at_ms, body)
        rows.append(
            {
                "sequence": sequence,
                "previous": previous,
                "hash": current,
                "term": term,
                "kind": kind,
                "version": version,
                "at_ms": event.at_ms,
                "body": body,
            }
        )
        previous = current
    return rows


def _marks(
    first_sequence: int, events: Sequence[Event], sealed: Sequence[tuple[str, int, int]]
) -> list[tuple[int, str, int, int]]:
    """(sequence of the seal, site, first counter, last counter) for each range that is to be marked."""
    if not sealed:
        return []
    named = {
        (part.site, part.first_counter, part.last_counter): sequence
        for sequence, event in enumerate(events, first_sequence)
        if isinstance(event.payload, ReadingsSealed)
        for part in event.payload.sites
    }
    unnamed = [span for span in sealed if span not in named]
    if unnamed:
        raise InvariantError(f"no seal among the events names the batches {unnamed[0]}")
    return [(named[span], *span) for span in sealed]


def _move_head(connection: Connection, expected: JournalHead, reached: JournalHead) -> None:
    values = {
        "read_sequence": expected.sequence,
        "read_hash": expected.hash,
        "read_term": expected.term,
        "new_sequence": reached.sequence,
        "new_hash": reached.hash,
    }
    if connection.execute(_MOVE_HEAD, values).rowcount != 1:
        raise ConflictError("another writer moved the journal; read its head again", code="SW-110")


def _recorded(row: Any) -> Recorded:  # noqa: ANN401  a row's columns are known to the database only
    event = read_event(row.kind, row.version, row.at_ms, row.body)
    return Recorded(sequence=row.sequence, previous=row.previous, hash=row.hash, term=row.term, event=event)
