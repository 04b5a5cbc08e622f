"""What a job needs to be kept only until it has ended: its sealed secrets and whom to tell; and notices on their way.

A notice is put in line in the same transaction that drops the private row of its job, so a job is told of once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update

from sunward.adapters import tables
from sunward.adapters.database import Database

_privates = tables.job_privates
_notices = tables.notices


@dataclass(frozen=True, slots=True, kw_only=True)
class Private:
    """The row of one open job."""

    job: str
    tenant: str
    secrets: bytes
    """Encrypted; empty where there are none."""
    webhook: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell a tenant's address; machine times."""

    notice: str
    tenant: str
    url: str
    body: bytes
    made_machine_ms: int
    tries: int = 0
    due_machine_ms: int = 0


@dataclass(frozen=True, slots=True)
class Privates:
    """Private rows of one store."""

    database: Database

    def put(self, private: Private) -> None:
        """Keep the row of a job; the newest counts, since a submission that broke off may come again."""
        statement = self.database.insert(_privates)
        changing = {name: statement.excluded[name] for name in ("tenant", "secrets", "webhook")}
        upsert = statement.on_conflict_do_update(index_elements=["job"], set_=changing)
        row = {name: getattr(private, name) for name in Private.__slots__}
        with self.database.writing() as connection:
            connection.execute(upsert, row)

    def get(self, job: str) -> Private | None:
        """The row of an open job, if it has one."""
        with self.database.reading() as connection:
            row = connection.execute(select(_privates).where(_privates.c.job == job)).one_or_none()
        return None if row is None else Private(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name

    def jobs(self) -> tuple[str, ...]:
        """Every job that has a row."""
        with self.database.reading() as connection:
            return tuple(connection.scalars(select(_privates.c.job).order_by(_privates.c.job)))

    def end(self, job: str, notice: Notice | None) -> None:
        """Drop the row of a job, and put in line what is to be told of it.

        Old pages may lie in the write-ahead log for a while; of the secrets they hold nothing in clear.
        """
        with self.database.writing() as connection:
            connection.execute(delete(_privates).where(_privates.c.job == job))
            if notice is not None:
                self._add(connection, notice)

    def enqueue(self, notice: Notice) -> None:
        """Put a notice in line; the same one again changes nothing."""
        with self.database.writing() as connection:
            self._add(connection, notice)

    def due(self, now_machine_ms: int, limit: int) -> tuple[Notice, ...]:
        """Notices that are to be sent now, the oldest first."""
        query = select(_notices).where(_notices.c.due_machine_ms <= now_machine_ms)
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(_notices.c.due_machine_ms, _notices.c.notice).limit(limit))
            return tuple(Notice(**row._mapping) for row in rows)  # noqa: SLF001  as above

    def next_due(self) -> int | None:
        """When the next notice is to be sent, machine time."""
        with self.database.reading() as connection:
            next_ms: int | None = connection.scalar(select(func.min(_notices.c.due_machine_ms)))
            return next_ms

    def try_later(self, notice: str, tries: int, due_machine_ms: int) -> None:
        """Note that sending failed so many times, and when it is tried again."""
        statement = update(_notices).where(_notices.c.notice == notice)
        with self.database.writing() as connection:
            connection.execute(statement.values(tries=tries, due_machine_ms=due_machine_ms))

    def drop(self, notices: Iterable[str]) -> None:
        """Drop notices that were taken, or that nobody will take."""
        with self.database.writing() as connection:
            connection.execute(delete(_notices).where(_notices.c.notice.in_(list(notices))))

    def erase_tenant(self, tenant: str) -> None:
        """Drop all that is kept or in line for a tenant."""
        with self.database.writing() as connection:
            connection.execute(delete(_privates).where(_privates.c.tenant == tenant))
            connection.execute(delete(_notices).where(_notices.c.tenant == tenant))
        self.database.drop_old_pages()

    def _add(self, connection: Connection, notice: Notice) -> None:
        row = {name: getattr(notice, name) for name in Notice.__slots__}
        connection.execute(self.database.insert(_notices).on_conflict_do_nothing(), row)
