"""Receipts by month, on SQLite and PostgreSQL alike: the right ones, in pages, never by reading all that is stored."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects import sqlite

from sunward.adapters import months, tables
from sunward.adapters.budgets_sql import Budget
from sunward.adapters.queries import month_query
from sunward.adapters.sql import SqlStore, open_store
from sunward.errors import InputError
from sunward.model.calendar import month_of, month_span
from sunward.model.codec import decode
from sunward.model.commands import IssueReceipt
from sunward.model.datum import Quality
from sunward.model.events import Event, RateObserved
from sunward.model.receipt import Receipt
from tests.support.records import receipt_of, seen

MONTH = "2026-11"
START_MS, END_MS = month_span(MONTH)


def issued(job: str, finished_ms: int, tenant: str = "t-1", paid_usd_micro: int = 1) -> IssueReceipt:
    receipt = replace(receipt_of(job), tenant=tenant, finished_ms=finished_ms)
    return IssueReceipt(receipt=receipt, paid_usd_micro=paid_usd_micro)


def jobs(store: SqlStore, tenant: str = "t-1", month: str = MONTH, **more) -> list[str]:
    return [decode(row.body, Receipt).job for row in store.queries.month_receipts(tenant, month, **more).rows]


def test_a_month_is_half_open_and_of_one_tenant(store: SqlStore) -> None:
    group = (
        issued("j-before", START_MS - 1),
        issued("j-first", START_MS),
        issued("j-last", END_MS - 1, paid_usd_micro=2**40),
        issued("j-after", END_MS),
        issued("j-other", START_MS, tenant="t-2", paid_usd_micro=5),
    )
    store.append(store.head(), [seen(1)], [group])
    assert jobs(store) == ["j-first", "j-last"]
    assert (jobs(store, month="2026-10"), jobs(store, month="2026-12")) == (["j-before"], ["j-after"])
    assert jobs(store, tenant="t-2") == ["j-other"]
    assert (store.queries.month_paid("t-1", MONTH), store.queries.month_paid("t-2", MONTH)) == (2**40 + 1, 5)
    assert store.queries.month_paid("t-3", MONTH) == 0


def test_new_receipts_come_last_so_no_page_misses_one(store: SqlStore) -> None:
    store.append(store.head(), [seen(1)], [(issued("j-2", START_MS + 9), issued("j-1", START_MS + 5))])
    first = store.queries.month_receipts("t-1", MONTH, limit=1)
    assert first.next == first.rows[0].place
    store.append(store.head(), [seen(2)], [(issued("j-0", START_MS),)])
    assert jobs(store, after=first.next) == ["j-1", "j-0"]
    store.project(1, [(issued("j-2", START_MS + 9), issued("j-1", START_MS + 5))])
    assert jobs(store) == ["j-2", "j-1", "j-0"]
    with pytest.raises(InputError, match="cursor"):
        store.queries.month_receipts("t-1", MONTH, after="1.2.3")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_month_costs_what_it_holds(store: SqlStore) -> None:
    paid = "SELECT sum(paid_usd_micro) FROM month_receipts WHERE tenant = 't-1' AND month = '2026-11'"
    page = month_query("t-1", MONTH).where(tables.month_receipts.c.sequence > 7).order_by(text("1, 2")).limit(9)
    compiled = str(page.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    with store.queries.database.reading() as connection:
        for query in (compiled, paid):
            plan = [str(row[-1]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}")]
            assert plan
            assert all(step.startswith("SEARCH") for step in plan), plan
            assert "month_receipts USING PRIMARY KEY (tenant=? AND month=?" in plan[0]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_among_many_stored_only_the_month_is_read(store: SqlStore) -> None:
    store.append(store.head(), [seen(1)], [(issued("j-1", START_MS),)])
    others = [
        {"tenant": f"t-{index % 7}", "month": month_of(START_MS - index * 10**6), "paid_usd_micro": 1}
        | {"sequence": index, "command": 0}
        for index in range(2, 10_000)
    ]
    with store.queries.database.writing() as connection:
        connection.execute(insert(tables.month_receipts), [row for row in others if row["month"] != MONTH])
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    paid = select(func.sum(tables.month_receipts.c.paid_usd_micro))
    mine = paid.where(tables.month_receipts.c.tenant == "t-1", tables.month_receipts.c.month == MONTH)
    with store.queries.database.reading() as connection:
        connection.connection.driver_connection.set_progress_handler(count, 1)
        try:
            assert len(connection.execute(month_query("t-1", MONTH)).all()) == 1
            assert connection.scalar(mine) == 1
            assert 0 < steps < 1_000, "instructions of the machine; one for each row stored would be ten times that"
        finally:
            connection.connection.driver_connection.set_progress_handler(None, 0)


def test_a_store_made_before_months_were_kept_gets_them_when_it_is_opened(
    store: SqlStore, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(months, "ROWS", 2)
    rates = [
        Event(0, RateObserved(wei_per_usd_micro=rate, sources=("x",), quality=Quality.MODELLED)) for rate in (10, 7)
    ]
    receipts = [replace(receipt_of(f"j-{index}"), finished_ms=START_MS + index, price_wei=140) for index in range(5)]
    first, *rest = (IssueReceipt(receipt=one, paid_usd_micro=14 if one.job == "j-0" else 20) for one in receipts)
    store.append(store.head(), [rates[0], seen(1), rates[1], seen(2)], [(), (first,), (), tuple(rest)])
    before = store.queries.month_receipts(receipts[0].tenant, MONTH)
    with store.queries.database.writing() as connection:
        for table in (tables.month_receipts, tables.budgets):
            table.drop(connection)
    again = open_store(database_url)
    assert again.queries.month_receipts(receipts[0].tenant, MONTH) == before
    assert [row.paid_usd_micro for row in before.rows] == [14, 20, 20, 20, 20]
    assert again.budgets.get("t-1") is None
    again.close()
    open_store(database_url).close()
    assert store.queries.month_paid(receipts[0].tenant, MONTH) == 94


def test_budgets_are_kept_and_dropped(store: SqlStore) -> None:
    budget = Budget(tenant="t-1", limit_usd_micro=2**40, alert_percent=80, webhook="https://x")
    assert store.budgets.get("t-1") is None
    store.budgets.put(budget)
    store.budgets.mark_alerted("t-1", MONTH)
    assert store.budgets.get("t-1") == replace(budget, alerted_month=MONTH)
    store.budgets.put(replace(budget, alert_percent=50))
    assert store.budgets.get("t-1") == replace(budget, alert_percent=50)
    store.budgets.drop("t-1")
    store.budgets.drop("t-1")
    assert store.budgets.get("t-1") is None
