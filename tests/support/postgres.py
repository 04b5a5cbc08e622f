"""A PostgreSQL server of the tests' own: made in a temporary folder, reached by a Unix socket, gone at the end."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

START_S = 30
HOW_TO_GET_IT = "PostgreSQL is not installed: apt-get install postgresql"
_names = itertools.count(1)


class PostgresServer:
    """A running server; every call of `new_url` makes another empty schema, which is quicker than a database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new_url(self) -> str:
        name = f"test_{next(_names)}"
        with psycopg.connect(f"host={self._folder} user=postgres dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"postgresql+psycopg://postgres@/postgres?host={self._folder}&options=-csearch_path%3D{name}"

    def drop_connections(self) -> None:
        """End every other connection, as a server that fails over does."""
        query = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        with psycopg.connect(f"host={self._folder} user=postgres dbname=postgres", autocommit=True) as connection:
            connection.execute(query)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    programs = _programs()
    if programs is None:
        pytest.skip(HOW_TO_GET_IT)
    user = "postgres" if os.geteuid() == 0 else None  # The server refuses to run as root.
    if user is not None and user not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip(HOW_TO_GET_IT)
    folder = Path(tempfile.mkdtemp(prefix="sunward-pg-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        with _running(programs, folder, user):
            yield PostgresServer(folder)
    finally:
        shutil.rmtree(folder)


def _programs() -> Path | None:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if installed:
        return installed[-1].parent
    found = shutil.which("initdb")
    return Path(found).parent if found else None


@contextmanager
def _running(programs: Path, folder: Path, user: str | None) -> Iterator[None]:
    data = folder / "data"
    # A locale that does not sort by byte, so that a test sees where the order would come from it.
    locale = ["--locale-provider=icu", "--icu-locale=en-US"]
    start = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", *locale]
    subprocess.run(start, user=user, cwd=folder, check=True, capture_output=True)
    command = [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
    try:
        _wait(programs, folder, server)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # Fast shutdown.
        server.wait(START_S)


def _wait(programs: Path, folder: Path, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while subprocess.run([programs / "pg_isready", "-h", folder, "-q"], check=False).returncode:
        if server.poll() is not None or time.monotonic() > until:
            pytest.fail((folder / "log").read_text())
        time.sleep(0.05)
