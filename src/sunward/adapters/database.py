"""One database behind the store: opened, set up, and its faults named by who must act."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, func, insert, inspect, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, InterfaceError, OperationalError

from sunward.adapters import tables
from sunward.adapters.migrations import bring_up
from sunward.adapters.months import fill_months
from sunward.adapters.secret_file import OWNER_ONLY
from sunward.adapters.write_ahead import write_ahead
from sunward.errors import InputError, InvariantError, SourceError
from sunward.model.chain import GENESIS

BUSY_TIMEOUT_S = 10
SCHEMA_LOCK = 0x53554E57
"""Key of the PostgreSQL advisory lock under which the schema is created; any constant of our own."""
PRAGMAS = (
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
    "wal_autocheckpoint=20000",
    "cache_size=-65536",
)
"""FULL: an acknowledged commit survives a power cut. secure_delete: what is erased is overwritten. A service moves
the write-ahead log into the database beside its work (`checkpoint`); at 20,000 pages a commit does it after all. The
cache, 64 MiB, holds the upper pages of indexes over millions of rows."""


@dataclass(frozen=True, slots=True)
class Database:
    """An engine with short transactions, for reading or for writing."""

    engine: Engine

    @property
    def on_sqlite(self) -> bool:
        """Whether it is the embedded backend."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read from; on SQLite each statement sees one state.

        Raises: SourceError when the database fails.
        """
        with _named_faults(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: all of it or nothing.

        SQLite takes its one write lock at the start, since a lock upgraded midway can fail at once
        instead of waiting.
        Raises: SourceError when the database fails, InvariantError when a constraint is broken.
        """
        with _named_faults(), self.engine.begin() as connection:
            if self.on_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def drop_old_pages(self) -> None:
        """Let what was erased leave the files at once; PostgreSQL reuses its space at the next vacuum."""
        if self.on_sqlite:
            # The write-ahead log still holds the pages as they were; emptying it drops them.
            with self.reading() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def checkpoint(self) -> None:
        """Move what was committed into the database file, as far as no reader needs the old pages; holds up nobody."""
        if self.on_sqlite:
            with self.reading() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT of this backend that knows ON CONFLICT."""
        return insert_on(table, on_sqlite=self.on_sqlite)


def insert_on(table: Table, *, on_sqlite: bool) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT; both backends write it alike, SQLAlchemy keeps two classes."""
    return sqlite.insert(table) if on_sqlite else postgresql.insert(table)


@contextmanager
def _named_faults() -> Iterator[None]:
    try:
        yield
    except IntegrityError as reason:
        raise InvariantError(f"the database refused a row: {reason.orig}") from reason
    except (InterfaceError, OperationalError) as reason:
        raise SourceError(f"the database failed: {reason.orig}", code="SW-210") from reason
    except DatabaseError as reason:
        if type(reason) is not DatabaseError:
            raise
        # What has no kind of its own is said of the file: it is damaged, or no database at all.
        raise SourceError(f"the database cannot be used: {reason.orig}", transient=False, code="SW-210") from reason


def open_database(url: str) -> Database:
    """Open a database, create its schema where it is empty and bring an older one to the present one.

    Raises: InputError for a URL of another kind, a missing driver or a newer schema; SourceError when it
        cannot be reached.
    """
    try:
        address = make_url(url)
    except ArgumentError:
        raise InputError("not a database URL; use sqlite:///FILE or postgresql+psycopg://…") from None
    backend = address.get_backend_name()
    if backend == "sqlite":
        database = Database(_open_sqlite(address))
    elif backend == "postgresql":
        database = Database(_open_postgresql(address))
    else:
        raise InputError(f"no support for {backend} databases; use sqlite:///FILE or postgresql+psycopg://…")
    try:
        _create_schema(database)
    except BaseException:
        database.engine.dispose()
        raise
    return database


def _open_sqlite(address: URL) -> Engine:
    file = address.database
    if not file or file == ":memory:" or file.startswith("file:"):
        raise InputError("the store needs a file; use sqlite:///FILE")
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch(mode=OWNER_ONLY)
    except OSError as reason:
        raise InputError(f"cannot write {file} ({reason.strerror}); choose another place for the store") from None
    # isolation_level None: the driver starts no transaction of its own, `writing` says when.
    engine = create_engine(address, connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: Any, _record: object) -> None:  # noqa: ANN401  the event hands over the driver's connection
    write_ahead(connection, BUSY_TIMEOUT_S)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _open_postgresql(address: URL) -> Engine:
    try:
        return create_engine(address.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    except ModuleNotFoundError:
        raise InputError("the PostgreSQL driver is missing; install sunward[postgres]") from None


def _create_schema(database: Database) -> None:
    with database.writing() as connection:
        if not database.on_sqlite:
            connection.execute(select(func.pg_advisory_xact_lock(SCHEMA_LOCK)))
        if inspect(connection).has_table(tables.schema_version.name):
            bring_up(connection)
            fill_months(connection)
            return
        tables.metadata.create_all(connection)
        connection.execute(insert(tables.schema_version).values(version=tables.SCHEMA_VERSION))
        connection.execute(insert(tables.journal_head).values(id=1, sequence=0, hash=GENESIS, term=0))
