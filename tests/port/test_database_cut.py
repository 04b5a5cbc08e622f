"""A database server that drops its connections, between transactions and within one."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from sunward.adapters.sql import SqlStore, open_store
from sunward.engine.state import State
from sunward.engine.writer import Writer, replay
from sunward.errors import SourceError
from tests.support.postgres import PostgresServer
from tests.support.scenarios import START_MS, scenario


@pytest.mark.services
def test_dropped_connections_are_replaced_and_what_was_under_way_is_not_recorded(postgres: PostgresServer) -> None:
    store = open_store(postgres.new_url(), sign=lambda body: f"signed-{len(body)}")
    store.claim_leadership()
    writer = Writer(State(), store)
    plan = scenario((), hours=1)
    writer.commit(START_MS, [plan.rules, plan.rate])
    postgres.drop_connections()
    writer.commit(START_MS, [plan.rate])
    head = store.head()
    with pytest.raises(SourceError, match="the database failed") as caught:
        erase_with_a_cut(store, postgres)
    assert (caught.value.code, caught.value.transient) == ("SW-210", True)
    assert store.head() == head == writer.head
    assert replay(store.read()).world.sequence == head.sequence
    writer.commit(START_MS, [plan.rate])
    assert store.head().sequence == head.sequence + 1
    store.close()


def erase_with_a_cut(store: SqlStore, postgres: PostgresServer) -> None:
    """A transaction whose connection is dropped in its middle."""
    with store._database.writing() as connection:
        connection.execute(text("DELETE FROM journal"))
        postgres.drop_connections()
        connection.execute(text("DELETE FROM journal_head"))
