"""Private content: what a job runs, and who a tenant is. The journal holds only commitments, so it can be erased."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, select, update

from sunward.adapters import tables
from sunward.adapters.access_sql import Asked
from sunward.adapters.database import Database
from sunward.errors import NotFoundError
from sunward.model.codec import decode, encode
from sunward.model.wire import JobContent

_contents = tables.job_contents
_tenants = tables.tenants
_logs = tables.logs
_held = tables.objects_held
_TENANT = select(_tenants.c.tenant).where(_tenants.c.tenant == bindparam("of"))
"""Made once, because making a statement costs more than running it, and every submission asks it."""
_jobs = tables.jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContent:
    """The private content of a job, and what binds the journal to it."""

    tenant: str
    salt: bytes
    content: JobContent
    commitment: str
    asked: Asked | None = None
    """The request that brought it, when it may be repeated; kept in the same transaction, but not with the content."""


def _row(job: str, stored: StoredContent) -> dict[str, object]:
    return {
        "job": job,
        "tenant": stored.tenant,
        "salt": stored.salt,
        "content": encode(stored.content).decode(),
        "commitment": stored.commitment,
    }


@dataclass(frozen=True, slots=True)
class Contents:
    """Private rows of one store."""

    database: Database

    def put(self, connection: Connection, contents: Mapping[str, StoredContent]) -> None:
        """Keep the contents of some jobs in a transaction that is open; what a job had before is replaced."""
        rows = [_row(job, stored) for job, stored in contents.items()]
        statement = self.database.insert(_contents)
        changing = {name: statement.excluded[name] for name in ("tenant", "salt", "content", "commitment")}
        connection.execute(statement.on_conflict_do_update(index_elements=["job"], set_=changing), rows)

    def names(self, jobs: Sequence[str]) -> dict[str, str]:
        """What tenants call their jobs; those whose content is erased are left out."""
        if not jobs:
            return {}
        query = select(_contents.c.job, _contents.c.content).where(_contents.c.job.in_(jobs))
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return {row.job: decode(row.content, JobContent).name for row in rows}

    def get(self, job: str) -> StoredContent:
        """The content of a job. Raises: NotFoundError when there is none, or no longer."""
        with self.database.reading() as connection:
            row = connection.execute(select(_contents).where(_contents.c.job == job)).one_or_none()
        if row is None:
            raise NotFoundError(f"no content of job {job}")
        content = decode(row.content, JobContent)
        return StoredContent(tenant=row.tenant, salt=row.salt, content=content, commitment=row.commitment)

    def needs(self, job: str, digest: str) -> bool:
        """Whether a job has an object as an input."""
        try:
            content = self.get(job).content
        except NotFoundError:
            return False
        return any(one.sha256 == digest and not one.url for one in content.inputs)

    def hold(self, tenant: str, ref: str, digest: str) -> None:
        """Note that a stored object belongs to a tenant; a later object under the same reference replaces it."""
        statement = self.database.insert(_held)
        upsert = statement.on_conflict_do_update(
            index_elements=["tenant", "ref"], set_={"digest": statement.excluded.digest}
        )
        with self.database.writing() as connection:
            connection.execute(upsert, {"tenant": tenant, "ref": ref, "digest": digest})

    def held(self, tenant: str, ref: str) -> str | None:
        """The object a tenant holds under a reference."""
        query = select(_held.c.digest).where(_held.c.tenant == tenant, _held.c.ref == ref)
        with self.database.reading() as connection:
            return connection.scalar(query)

    def name_tenant(self, tenant: str, name: str) -> None:
        """Give a tenant a name, or another one."""
        statement = self.database.insert(_tenants)
        upsert = statement.on_conflict_do_update(index_elements=["tenant"], set_={"name": statement.excluded.name})
        with self.database.writing() as connection:
            connection.execute(upsert, {"tenant": tenant, "name": name})

    def register_tenant(self, tenant: str, name: str) -> None:
        """Make a tenant known; one that is known keeps its name."""
        with self.database.writing() as connection:
            statement = self.database.insert(_tenants).on_conflict_do_nothing()
            connection.execute(statement, {"tenant": tenant, "name": name})

    def is_tenant(self, tenant: str) -> bool:
        """Whether a tenant is registered here."""
        with self.database.reading() as connection:
            return connection.execute(_TENANT, {"of": tenant}).first() is not None

    def find_tenant(self, name: str) -> str | None:
        """The tenant of a name."""
        query = select(_tenants.c.tenant).where(_tenants.c.name == name).order_by(_tenants.c.tenant).limit(1)
        with self.database.reading() as connection:
            return connection.scalar(query)

    def tenants(self, after: str = "", limit: int | None = None) -> tuple[tuple[str, str], ...]:
        """Tenants with their names, by id; every one, or at most `limit` after an id."""
        query = select(_tenants).where(_tenants.c.tenant > after).order_by(_tenants.c.tenant).limit(limit)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return tuple((row.tenant, row.name) for row in rows)

    def erase_content(self, tenant: str) -> int:
        """Erase a tenant's name and the content and logs of all its jobs; how many had content.

        The tenant stays registered, under its id.
        """
        named = update(_tenants).where(_tenants.c.tenant == tenant).values(name=_tenants.c.tenant)
        with self.database.writing() as connection:
            connection.execute(named)
            jobs = connection.scalars(select(_jobs.c.job).where(_jobs.c.tenant == tenant)).all()
            for job in jobs:
                connection.execute(delete(_logs).where(_of_job(job)))
            return connection.execute(delete(_contents).where(_contents.c.tenant == tenant)).rowcount

    def release(self, tenant: str) -> tuple[str, ...]:
        """Forget what a tenant holds; the objects that nobody holds any more."""
        others = select(_held.c.digest).where(_held.c.tenant != tenant)
        query = select(_held.c.digest).where(_held.c.tenant == tenant, _held.c.digest.not_in(others)).distinct()
        with self.database.writing() as connection:
            alone = tuple(connection.scalars(query.order_by(_held.c.digest)))
            connection.execute(delete(_held).where(_held.c.tenant == tenant))
        return alone

    def drop_old_pages(self) -> None:
        """Let what was erased leave the files at once."""
        self.database.drop_old_pages()


def _of_job(job: str) -> ColumnElement[bool]:
    """Logs of a job: lease ids are `job.attempt`, and "/" is the sign after "." in byte order."""
    return and_(_logs.c.lease >= f"{job}.", _logs.c.lease < f"{job}/")
