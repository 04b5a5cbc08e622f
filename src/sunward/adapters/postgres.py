"""A PostgreSQL database dumped and filled with PostgreSQL's own programs, at one moment and in one transaction."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, inspect, make_url, text
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import ArgumentError, DBAPIError

from sunward.adapters import tables
from sunward.errors import InputError, SourceError

T = TypeVar("T")
PROGRAMS: Final = ("pg_dump", "pg_restore")
NO_PROGRAM, NOT_EMPTY = "SW-686", "SW-687"


def require_programs() -> None:
    """Raises: InputError naming the package that is missing."""
    for program in PROGRAMS:
        if shutil.which(program) is None:
            line = f"{program} is not on this machine: install postgresql-client, no older than the server"
            raise InputError(line, code=NO_PROGRAM)


def dump(url: str, target: Path, standing: Callable[[Connection], T]) -> T:
    """Write the database as it stands at one moment; what `standing` reads is of the same moment.

    Raises: InputError for an address that is none, SourceError when it cannot be reached or dumped.
    """
    address = _address(url)
    with _opened(address, "REPEATABLE READ") as engine, engine.connect() as connection:
        snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        found = standing(connection)
        _run(address, ["pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={target}"])
    return found


@contextmanager
def filled(url: str, source: Path) -> Iterator[Engine]:
    """An empty database with the dump in it; emptied again where the block ends badly.

    Raises: InputError when it is not empty, SourceError when it cannot be reached or filled.
    """
    require_programs()
    address = _address(url)
    with _opened(address) as engine:
        if inspect(engine).get_table_names():
            raise InputError("the database is not empty; name a new one with --database", code=NOT_EMPTY)
        _run(address, ["pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--no-acl", str(source)])
        try:
            yield engine
        except BaseException:
            tables.metadata.drop_all(engine)
            raise


@contextmanager
def opened_file(path: Path) -> Iterator[Engine]:
    """A SQLite file as an engine, closed at the end."""
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)
    try:
        yield engine
    finally:
        engine.dispose()


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError:
        address = None
    if address is None or address.get_backend_name() != "postgresql":
        raise InputError("--database takes postgresql+psycopg://… addresses alone", code=NO_PROGRAM)
    return address


@contextmanager
def _opened(address: URL, isolation: IsolationLevel = "READ COMMITTED") -> Iterator[Engine]:
    engine = create_engine(address, poolclass=NullPool, isolation_level=isolation)
    try:
        yield engine
    except DBAPIError as reason:
        raise SourceError(f"the database failed: {str(reason.orig).strip().splitlines()[0]}") from reason
    finally:
        engine.dispose()


def _run(address: URL, command: list[str]) -> None:
    """Run a program on the database; the password goes by the environment, which other users cannot see."""
    bare = address.set(drivername="postgresql", password=None).render_as_string()
    environment = os.environ | ({"PGPASSWORD": str(address.password)} if address.password else {})
    # The address is one argument behind its own option; nothing of it is read as another.
    done = subprocess.run([*command, f"--dbname={bare}"], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise SourceError(f"{command[0]} failed: {said}", transient=False)
