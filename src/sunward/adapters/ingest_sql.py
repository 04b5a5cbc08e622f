"""What agents deliver: signed batches of readings and the logs of leases. Delivering twice changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, func, insert, select, update

from sunward.adapters import tables
from sunward.adapters.database import Database
from sunward.errors import ConflictError, InvariantError

_batches = tables.reading_batches
_logs = tables.logs


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """One signed batch as it arrived."""

    site: str
    counter: int
    hash: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Ingest:
    """Batches and logs of one store."""

    database: Database

    def accept_batches(self, site: str, batches: Sequence[tuple[int, str, bytes]]) -> None:
        """Store batches (counter, hash, raw); on return they are durable and may be acknowledged.

        Raises: ConflictError when a counter is already taken by another batch; then none is stored.
        """
        if not batches:
            return
        rows = [{"site": site, "counter": counter, "hash": hash_, "raw": raw} for counter, hash_, raw in batches]
        counters = [counter for counter, _, _ in batches]
        span = _batches.c.counter.between(min(counters), max(counters))
        with self.database.writing() as connection:
            connection.execute(self.database.insert(_batches).on_conflict_do_nothing(), rows)
            query = select(_batches.c.counter, _batches.c.hash).where(_batches.c.site == site, span)
            held = {row.counter: row.hash for row in connection.execute(query)}
            for counter, hash_, _ in batches:
                if held[counter] != hash_:
                    raise ConflictError(f"site {site} signed two different batches {counter}", code="SW-111")

    def last_batch(self, site: str) -> tuple[int, str] | None:
        """Counter and hash of the newest batch of a site; None before the first."""
        query = select(_batches.c.counter, _batches.c.hash).where(_batches.c.site == site)
        with self.database.reading() as connection:
            row = connection.execute(query.order_by(_batches.c.counter.desc()).limit(1)).one_or_none()
        return None if row is None else (row.counter, row.hash)

    def batch(self, site: str, counter: int) -> StoredBatch | None:
        """One batch of a site, if it was ever accepted."""
        found = self._select(_in_order((_batches.c.site == site) & (_batches.c.counter == counter)))
        return found[0] if found else None

    def unsealed(self, limit: int) -> tuple[StoredBatch, ...]:
        """Batches that no seal holds yet, by site and counter."""
        return self._select(_in_order(_batches.c.seal_sequence.is_(None)).limit(limit))

    def batches_of_seal(self, sequence: int) -> tuple[StoredBatch, ...]:
        """The batches under one seal, in the order of its Merkle leaves: by site and counter."""
        return self._select(_in_order(_batches.c.seal_sequence == sequence))

    def append_log(self, lease: str, offset: int, data: bytes) -> int:
        """Store log bytes from `offset`, and return how far the log now reaches.

        What is already held is skipped; after a hole nothing is stored, and the sender goes on from the
        offset returned.
        """
        with self.database.writing() as connection:
            end = _log_end(connection, lease)
            fresh = data[end - offset :] if offset <= end else b""
            if fresh:
                connection.execute(insert(_logs), {"lease": lease, "offset": end, "data": fresh})
        return end + len(fresh)

    def log_end(self, lease: str) -> int:
        """How far the log of a lease reaches."""
        with self.database.reading() as connection:
            return _log_end(connection, lease)

    def read_log(self, lease: str, after: int = 0, limit: int = 1 << 20) -> bytes:
        """At most `limit` bytes of a log from offset `after`; empty at its end."""
        chunk_end = _logs.c.offset + func.length(_logs.c.data)
        query = select(_logs.c.offset, _logs.c.data).where(
            _logs.c.lease == lease, chunk_end > after, _logs.c.offset < after + limit
        )
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(_logs.c.offset)).all()
        if not rows:
            return b""
        skip = after - rows[0].offset
        return b"".join(row.data for row in rows)[skip : skip + limit]

    def _select(self, query: Select[tuple[str, int, str, bytes]]) -> tuple[StoredBatch, ...]:
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return tuple(StoredBatch(site=row.site, counter=row.counter, hash=row.hash, raw=row.raw) for row in rows)


def _in_order(condition: ColumnElement[bool]) -> Select[tuple[str, int, str, bytes]]:
    columns = _batches.c
    query = select(columns.site, columns.counter, columns.hash, columns.raw).where(condition)
    return query.order_by(columns.site, columns.counter)


def _log_end(connection: Connection, lease: str) -> int:
    end = _logs.c.offset + func.length(_logs.c.data)
    query = select(end).where(_logs.c.lease == lease).order_by(_logs.c.offset.desc()).limit(1)
    return connection.execute(query).scalar() or 0


def mark_sealed(connection: Connection, sequence: int, site: str, first_counter: int, last_counter: int) -> None:
    """Mark a range of batches as held by the seal at `sequence`, inside the transaction that appends it.

    Raises: InvariantError when a batch of the range is missing or already sealed.
    """
    statement = (
        update(_batches)
        .where(
            _batches.c.site == site,
            _batches.c.counter.between(first_counter, last_counter),
            _batches.c.seal_sequence.is_(None),
        )
        .values(seal_sequence=sequence)
    )
    if connection.execute(statement).rowcount != last_counter - first_counter + 1:
        raise InvariantError(f"batches {first_counter} to {last_counter} of site {site} are not all there to seal")
