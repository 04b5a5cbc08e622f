"""What the suites of the persistence ports share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sunward.adapters.sql import SqlStore, open_store
from tests.support.postgres import PostgresServer, postgres

__all__ = ["database_url", "postgres", "store"]


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
