"""What a request reads does not grow with what is stored: every statement finds its rows by an index."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import event

from tests.api.harness import JOB, Agent, Service, finish, start, submit

SMALL = {"epochs", "snapshots", "schema_version", "journal_head", "tenants", "budgets"}
"""Tables that hold a row a day, or a row a tenant, and are read whole or by key."""


@pytest.fixture
def statements(service: Service) -> Iterator[list[tuple[str, object]]]:
    """Every SELECT that runs while the test lasts."""
    seen: list[tuple[str, object]] = []
    engine = service.control.store._database.engine

    def note(_connection, _cursor, statement, parameters, _context, _many):  # type: ignore[no-untyped-def]
        if statement.lstrip().upper().startswith("SELECT"):
            seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def plans(service: Service, seen: list[tuple[str, object]]) -> list[str]:
    """How SQLite finds the rows of each statement; whole tables and sorts are faults."""
    faults = []
    with service.control.store._database.engine.connect() as connection:
        for statement, parameters in dict(seen).items():
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters):
                step = row[3]
                # A page of everything is read in the order of the table or of an index, and ends with the page.
                page = " LIMIT " in statement and " WHERE " not in statement.replace("\n", " ")
                whole = step.startswith("SCAN") and not page and step.split()[1] not in SMALL
                if whole or "TEMP B-TREE" in step:
                    faults.append(f"{step} <- {statement}")
    return faults


def closed(service: Service, agent: Agent) -> str:
    job, lease = start(service, agent)
    finish(service, agent, lease)
    service.control.seal_now()
    service.ok("POST", "/v1/epochs/close", "operator")
    return job


@pytest.mark.parametrize("role", ["tenant", "operator"])
def test_reads_of_jobs_use_indexes(service: Service, agent: Agent, statements, role: str) -> None:
    ended = closed(service, agent)
    opened = submit(service)
    statements.clear()
    for job in (ended, opened):
        for part in ("", "/history", "/receipt"):
            assert service.ask("GET", f"/v1/jobs/{job}{part}", role).status_code in (200, 409)
    for query in ("", "?state=running", "?state=finished&limit=1", "?after=5.0"):
        service.ok("GET", f"/v1/jobs{query}", role)
    service.ok("GET", "/v1/ledger/entries?limit=5", "operator")
    assert statements
    assert plans(service, statements) == []


def test_a_submission_reads_by_index_too(service: Service, agent: Agent, statements) -> None:
    agent.sync()
    submit(service)
    service.ok("POST", "/v1/jobs", json=JOB, headers={"idempotency-key": "one"})
    service.ok("POST", "/v1/quotes", json=JOB)
    service.ok("GET", "/v1/ledger/balances")
    service.plan()
    agent.sync()
    assert statements
    assert plans(service, statements) == []


def test_a_page_takes_as_many_reads_as_one_job(service: Service, agent: Agent, statements) -> None:
    closed(service, agent)
    jobs = [submit(service) for _ in range(6)]
    statements.clear()
    service.ok("GET", f"/v1/jobs/{jobs[0]}")
    one = len(statements)
    statements.clear()
    page = service.ok("GET", "/v1/jobs")
    assert len(page["jobs"]) == 7
    assert {shown["name"] for shown in page["jobs"]} == {"train"}
    assert len(statements) <= one + 1, "the page holds a closed job as well, whose record is one read more"
