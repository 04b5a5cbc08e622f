"""From an older schema of the store to the present one: an ordered list, each step inside the opening transaction.

New tables and indexes need no step: those that are missing are made. A new column takes NULL or has a
`server_default`, and stands in `COLUMNS` under the version it came with. Whatever else changes needs a statement of
its own here.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, Table, inspect, select, update
from sqlalchemy.schema import CreateColumn

from sunward.adapters import tables
from sunward.errors import InputError

COLUMNS: tuple[tuple[int, Column[Any]], ...] = (
    (2, tables.jobs.c.exit_code),
    (2, tables.job_history.c.exit_code),
    (2, tables.audit.c.address),
    (2, tables.idempotency.c.kept_machine_ms),
    (3, tables.enrolments.c.site),
)


def bring_up(connection: Connection) -> None:
    """Make the schema of an opened store the present one; one that is up to date stays as it is.

    Raises: InputError for a schema that is newer than this code, and then nothing is changed.
    """
    found = connection.execute(select(tables.schema_version.c.version)).scalar_one()
    if found > tables.SCHEMA_VERSION:
        raise InputError(
            f"the store has schema {found}, this sunward knows {tables.SCHEMA_VERSION}; upgrade sunward", code="SW-103"
        )
    tables.metadata.create_all(connection)
    for version, column in COLUMNS:
        if version > found:
            _add(connection, column)
    for table in tables.metadata.sorted_tables:
        for index in table.indexes:
            index.create(connection, checkfirst=True)
    if found < tables.SCHEMA_VERSION:
        connection.execute(update(tables.schema_version).values(version=tables.SCHEMA_VERSION))


def _add(connection: Connection, column: Column[Any]) -> None:
    table: Table = column.table
    known = {one["name"] for one in inspect(connection).get_columns(table.name)}
    if column.name not in known:
        described = CreateColumn(column).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {described}")
