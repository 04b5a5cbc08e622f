"""A home on a real PostgreSQL server: backed up while written to, put back into an empty database or not at all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from sunward.adapters.backup import DUMP, back_up, restore
from sunward.errors import InputError, SourceError
from sunward.model.events import Deposited
from sunward.model.identity import TenantId
from sunward.service.bootstrap import build_control
from sunward.service.control import ControlPlane
from tests.api.harness import FEEDS

pytestmark = pytest.mark.services
PASSPHRASE = "correct horse"
_numbers = itertools.count(1)


@pytest.fixture
def new_database(postgres):
    """Makes empty databases; a dump takes in all of one."""
    server = make_url(postgres.new_url()).query["host"]

    def make() -> str:
        name = f"backup_{next(_numbers)}"
        with psycopg.connect(f"host={server} user=postgres dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql+psycopg://postgres@/{name}?host={server}"

    return make


def execute(url: str, statement: str) -> list[tuple]:
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string()) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def running(tmp_path: Path, new_database) -> Iterator[tuple[ControlPlane, Path, str]]:
    home, url = tmp_path / "home", new_database()
    control = build_control(home, database_url=url, feeds=FEEDS)
    control.commit_one(Deposited(tenant=TenantId("t-1"), amount_wei=7))
    yield control, home, url
    control.store.close()


def test_a_home_on_postgresql_moves(running, tmp_path: Path, new_database) -> None:
    control, home, url = running
    made = back_up(home, tmp_path / "b.tar", PASSPHRASE, 0, url)
    assert (made.head.sequence, DUMP in made.files) == (control.state.world.sequence, True)
    control.commit_one(Deposited(tenant=TenantId("t-1"), amount_wei=5))
    target = new_database()
    restore(tmp_path / "b.tar", tmp_path / "new", PASSPHRASE, target)
    again = build_control(tmp_path / "new", database_url=target, feeds=FEEDS)
    assert again.store.head().sequence == made.head.sequence < control.state.world.sequence
    assert again.state.ledger.balance("tenant:t-1") == 7
    assert again.secrets == control.secrets
    assert again.store.head().term > made.head.term
    assert not (tmp_path / "new" / DUMP).exists()
    again.commit_one(Deposited(tenant=TenantId("t-1"), amount_wei=5))
    assert again.state.ledger.to_record() == control.state.ledger.to_record()
    again.store.close()


def test_only_an_empty_database_is_filled_and_a_false_journal_leaves_it_empty(
    running, tmp_path: Path, new_database
) -> None:
    control, home, url = running
    back_up(home, tmp_path / "b.tar", PASSPHRASE, 0, url)
    with pytest.raises(InputError) as refused:
        restore(tmp_path / "b.tar", tmp_path / "new", PASSPHRASE, url)
    assert refused.value.code == "SW-687"
    assert control.store.head().sequence == control.state.world.sequence
    execute(url, "UPDATE journal SET at_ms = at_ms + 1 WHERE sequence = 2")
    back_up(home, tmp_path / "false.tar", PASSPHRASE, 0, url)
    target = new_database()
    with pytest.raises(InputError) as refused:
        restore(tmp_path / "false.tar", tmp_path / "new", PASSPHRASE, target)
    assert refused.value.code == "SW-688"
    assert execute(target, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []
    assert not (tmp_path / "new").exists()


def test_what_is_missing_is_named(running, tmp_path: Path, new_database, monkeypatch: pytest.MonkeyPatch) -> None:
    _, home, url = running
    back_up(home, tmp_path / "b.tar", PASSPHRASE, 0, url)
    for wrong in ("", "sqlite:///x.db", "nonsense"):
        with pytest.raises(InputError) as refused:
            restore(tmp_path / "b.tar", tmp_path / "new", PASSPHRASE, wrong)
        assert refused.value.code == "SW-686"
    with pytest.raises(SourceError, match="database"):
        back_up(home, tmp_path / "d.tar", PASSPHRASE, 0, url.replace("/backup_", "/absent_"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="install postgresql-client") as refused:
        back_up(home, tmp_path / "c.tar", PASSPHRASE, 0, url)
    assert refused.value.code == "SW-686"
    assert not (tmp_path / "c.tar").exists()
    assert not (tmp_path / "d.tar").exists()
