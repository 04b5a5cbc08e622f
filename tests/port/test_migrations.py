"""An older store becomes the present one, whatever it is on."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, inspect, text

from sunward.adapters import migrations, tables
from sunward.adapters.database import open_database
from sunward.adapters.sql import open_store
from sunward.errors import InputError


def columns_of(url: str) -> dict[str, list[tuple[str, str, bool]]]:
    engine = create_engine(url)
    found = inspect(engine)
    shape = {
        table: sorted((one["name"], str(one["type"]), one["nullable"]) for one in found.get_columns(table))
        for table in found.get_table_names()
    }
    engine.dispose()
    return shape


def age(url: str) -> None:
    """Take a store back to the first schema."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for _, column in migrations.COLUMNS:
            connection.execute(text(f"ALTER TABLE {column.table.name} DROP COLUMN {column.name}"))
        connection.execute(text("UPDATE schema_version SET version = 1"))
        connection.execute(text("INSERT INTO idempotency VALUES ('t', 'k', 'r', 200, '')"))
        connection.execute(text("INSERT INTO audit VALUES (1, 5, 't', 'did', 'that')"))
    engine.dispose()


def test_an_old_store_gets_the_present_schema_and_keeps_its_rows(database_url: str) -> None:
    open_store(database_url).close()
    fresh = columns_of(database_url)
    age(database_url)
    store = open_store(database_url)
    assert columns_of(database_url) == fresh
    assert store.access.recall_reply("t", "k", "r") is not None
    assert [(line.action, line.address) for line in store.access.audit_trail()] == [("did", "")]
    assert store.access.clean_up(10**15, 1_000) == 0, "a reply of unknown age is young"
    assert store.access.clean_up(10**15 + 1_000, 1_000) == 1
    store.close()
    open_store(database_url).close()


def test_a_missing_table_is_made(database_url: str) -> None:
    open_store(database_url).close()
    engine = create_engine(database_url)
    tables.audit.drop(engine)
    engine.dispose()
    store = open_store(database_url)
    store.access.record_act(1, "t", "did", "that", "::1")
    assert store.access.audit_trail()[0].address == "::1"
    store.close()


def test_a_newer_store_is_refused_and_left_alone(database_url: str) -> None:
    open_store(database_url).close()
    age(database_url)
    before = columns_of(database_url)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = 99"))
    engine.dispose()
    with pytest.raises(InputError, match="schema 99") as refused:
        open_database(database_url)
    assert refused.value.code == "SW-103"
    assert columns_of(database_url) == before
