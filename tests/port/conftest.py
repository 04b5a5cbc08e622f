"""What the suites of the ports share."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sunward.adapters.sql import SqlStore, open_store
from tests.support.postgres import PostgresServer, postgres
from tests.support.s3_server import s3_server

__all__ = ["database_url", "postgres", "s3_server", "store", "stub"]
STUB = Path(__file__).parents[1] / "support" / "nvml_stub" / "nvml_stub.c"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_url()


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    """An open store on each kind of database."""
    opened = open_store(database_url, sign=lambda body: f"signed-{len(body)}")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stub library, compiled; modelled figures only."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the NVML stub (package gcc)")
    folder = tmp_path_factory.mktemp("nvml")
    target = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", target, STUB], check=True)
    return folder
