"""Signed batches on their way to the control plane, durable before they are sent.

One SQLite file holds the batches that are not yet acknowledged and the head of the chain: the last number,
its hash, and where the counters stood. Both change in one transaction, so a kill at any moment leaves a chain
without holes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sunward.adapters.write_ahead import write_ahead
from sunward.errors import InvariantError, SourceError
from sunward.metering.wire import batch_hash
from sunward.model.codec import decode, encode
from sunward.model.wire import ReadingsHead

SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (counter INTEGER PRIMARY KEY, raw BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS held (id INTEGER PRIMARY KEY CHECK (id = 1), upto INTEGER NOT NULL);
INSERT OR IGNORE INTO held VALUES (1, 0);
CREATE TABLE IF NOT EXISTS head (id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL);
"""
BUSY_TIMEOUT_S = 30
KEPT_BATCHES = 2_880
"""Acknowledged batches that are kept: two days of grid minutes, should the control plane come back from a backup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where the chain of batches stands."""

    counter: int = 0
    hash: str = ""
    """SHA-256 of the last batch; empty before the first."""
    t1_ms: int = 0
    """Grid time the last batch reaches to."""
    counters_j: dict[str, int] = field(default_factory=dict)
    """Cumulative joules per counter at `t1_ms`."""


class Outbox:
    """The agent's queue of readings; may be used from several threads.

    Every method raises SourceError when the file fails: a full disk, a lock that somebody else keeps.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._path = path
        with self._use():
            self._database = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None
            )
            write_ahead(self._database, BUSY_TIMEOUT_S)
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(SCHEMA)

    def head(self) -> Head:
        """Where the chain stands; survives a kill."""
        with self._use():
            return self._head()

    def append(self, raw: bytes, counter: int, t1_ms: int, counters_j: Mapping[str, int]) -> Head:
        """Keep a signed batch; when this returns it is on disk.

        Raises: InvariantError when the number does not follow the last one.
        """
        with self._use():
            last = self._head()
            if counter != last.counter + 1:
                raise InvariantError(f"batch {counter} cannot follow batch {last.counter}")
            kept = {**last.counters_j, **counters_j}
            head = Head(counter=counter, hash=batch_hash(raw), t1_ms=t1_ms, counters_j=kept)
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.execute("INSERT INTO batches VALUES (?, ?)", (counter, raw))
                self._database.execute("INSERT OR REPLACE INTO head VALUES (1, ?)", (encode(head).decode(),))
        return head

    def unsent(self, limit: int) -> tuple[tuple[int, bytes], ...]:
        """The oldest batches nobody acknowledged yet, as (number, signed bytes), in order."""
        with self._use():
            rows = self._database.execute(
                "SELECT counter, raw FROM batches WHERE counter > (SELECT upto FROM held) ORDER BY counter LIMIT ?",
                (limit,),
            )
            return tuple((counter, raw) for counter, raw in rows)

    def acknowledge(self, upto: int) -> None:
        """Note that the control plane holds all batches durably, up to and with a number; the oldest are dropped."""
        with self._use(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("UPDATE held SET upto = max(upto, ?)", (upto,))
            self._database.execute("DELETE FROM batches WHERE counter <= (SELECT upto FROM held) - ?", (KEPT_BATCHES,))

    def rewind(self, upto: int) -> bool:
        """Take back that more than this is held, where the batch after it is still here to be sent again."""
        with self._use():
            kept = self._database.execute("SELECT 1 FROM batches WHERE counter = ?", (upto + 1,)).fetchone()
            if kept is not None:
                self._database.execute("UPDATE held SET upto = min(upto, ?)", (upto,))
            return kept is not None

    def adopt(self, held: ReadingsHead) -> None:
        """Go on from what the control plane holds: what else was signed here was signed by a key that is lost."""
        with self._use(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            head = Head(counter=held.counter, hash=held.hash, t1_ms=held.t1_ms, counters_j=self._head().counters_j)
            self._database.execute("DELETE FROM batches")
            self._database.execute("INSERT OR REPLACE INTO head VALUES (1, ?)", (encode(head).decode(),))
            self._database.execute("UPDATE held SET upto = ?", (held.counter,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _use(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.OperationalError as reason:
                raise SourceError(f"the outbox {self._path} failed: {reason}", code="SW-590") from reason

    def _head(self) -> Head:
        row = self._database.execute("SELECT state FROM head WHERE id = 1").fetchone()
        return decode(row[0], Head) if row else Head()
