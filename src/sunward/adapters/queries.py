"""What the API and reports read of the projections.

Pages are cut by key, not by offset: they stay right while rows are added and cost the same at any depth.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, bindparam, func, select, tuple_

from sunward.adapters import tables
from sunward.adapters.database import Database
from sunward.errors import InputError, NotFoundError
from sunward.model.codec import decode
from sunward.model.receipt import Adjustment, EpochStatement
from sunward.model.staking import RewardLine

T = TypeVar("T")

STREAM_ROWS = 4_096
_jobs = tables.jobs.c
_history = tables.job_history.c
_ledger = tables.ledger_entries.c
_JOB = select(tables.jobs).where(_jobs.job == bindparam("of"))
"""Made once, because making a statement costs more than running it."""
_months = tables.month_receipts.c


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursor that continues after them; empty on the last page."""

    rows: tuple[T, ...]
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job as it stands."""

    job: str
    tenant: str
    state: str
    reason: str
    detail: str
    site: str
    units: int
    exit_code: int | None
    updated_ms: int
    first_sequence: int
    """The journal record of its submission, where its public part stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One change of a job, with the event that made it."""

    sequence: int
    state: str
    reason: str
    detail: str
    site: str
    units: int
    exit_code: int | None
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedEpoch:
    """A statement as it was written, and where."""

    epoch: int
    body: str
    """Its canonical text: what its hash is taken of."""
    sequence: int
    """Of the record that closed it."""
    head: str
    """Hash of that record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """One posting of one ledger entry."""

    sequence: int
    entry: str
    epoch: int
    at_ms: int
    cause: str
    ref: str
    account: str
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReceipt:
    """A receipt in the canonical bytes that were signed."""

    job: str
    epoch: int
    digest: str
    body: bytes
    signature: str
    sequence: int
    """The journal record that made it final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthRow:
    """A final receipt of a job that ended in a month, and what the job paid."""

    place: str
    """The cursor that continues after it."""
    digest: str
    body: bytes
    paid_usd_micro: int


@dataclass(frozen=True, slots=True)
class Queries:
    """Reads of one store."""

    database: Database

    def jobs_page(
        self, tenant: str | None = None, after: str = "", limit: int = 100, state: str | None = None
    ) -> Page[JobRow]:
        """Jobs, the newest first; all of them, or one tenant's, or those in one state.

        Raises: InputError for a cursor that no page gave.
        """
        key = (_jobs.first_sequence, _jobs.first_command)
        query = select(tables.jobs).order_by(*(column.desc() for column in key)).limit(limit + 1)
        if tenant is not None:
            query = query.where(_jobs.tenant == tenant)
        if state is not None:
            query = query.where(_jobs.state == state)
        if after:
            query = query.where(tuple_(*key) < tuple_(*_numbers(after, 2)))
        rows = self._all(query)
        cursor = _cursor(rows, limit, "first_sequence", "first_command")
        return Page(tuple(_job_row(row) for row in rows[:limit]), cursor)

    def job_row(self, job: str) -> JobRow:
        """One job as it stands. Raises: NotFoundError."""
        with self.database.reading() as connection:
            rows = connection.execute(_JOB, {"of": job}).all()
        if not rows:
            raise NotFoundError(f"no job {job}")
        return _job_row(rows[0])

    def history(self, job: str) -> tuple[HistoryRow, ...]:
        """Every change of a job, oldest first; empty when there is no such job."""
        query = select(
            _history.sequence,
            _history.state,
            _history.reason,
            _history.detail,
            _history.site,
            _history.units,
            _history.exit_code,
            _history.at_ms,
        ).where(_history.job == job)
        rows = self._all(query.order_by(_history.sequence, _history.command))
        return tuple(HistoryRow(**row._mapping) for row in rows)  # noqa: SLF001  SQLAlchemy's public name

    def receipt(self, job: str) -> SignedReceipt:
        """The final receipt of a job. Raises: NotFoundError before its epoch has closed."""
        rows = self._all(_receipts().where(tables.receipts.c.job == job))
        if not rows:
            raise NotFoundError(f"no final receipt of job {job}; it is issued when the epoch closes")
        return _signed(rows[0])

    def receipts(self, epoch: int) -> tuple[SignedReceipt, ...]:
        """Every receipt of an epoch, by job."""
        query = _receipts().where(tables.receipts.c.epoch == epoch).order_by(tables.receipts.c.job)
        return tuple(_signed(row) for row in self._all(query))

    def month_receipts(self, tenant: str, month: str, after: str = "", limit: int = 100) -> Page[MonthRow]:
        """Receipts of a tenant's jobs that ended in a month, in the order in which they became final.

        New ones always come last, so no page misses or repeats one.
        Raises: InputError for a cursor that no page gave.
        """
        key = (_months.sequence, _months.command)
        query = month_query(tenant, month).order_by(*key).limit(limit + 1)
        if after:
            query = query.where(tuple_(*key) > tuple_(*_numbers(after, 2)))
        rows = self._all(query)
        found = tuple(
            MonthRow(
                place=f"{row.sequence}.{row.command}",
                digest=row.digest,
                body=row.body.encode(),
                paid_usd_micro=row.paid_usd_micro,
            )
            for row in rows[:limit]
        )
        return Page(found, _cursor(rows, limit, "sequence", "command"))

    def month_paid(self, tenant: str, month: str) -> int:
        """What a tenant's jobs that ended in a month paid so far, micro-USD."""
        where = (_months.tenant == tenant, _months.month == month)
        with self.database.reading() as connection:
            return int(connection.scalar(select(func.sum(_months.paid_usd_micro)).where(*where)) or 0)

    def adjustments(self, job: str) -> tuple[Adjustment, ...]:
        """What was posted beside the final receipt of a job, oldest first."""
        columns = tables.adjustments.c
        query = select(columns.body).where(columns.job == job)
        rows = self._all(query.order_by(columns.sequence, columns.command, columns.line))
        return tuple(decode(row.body, Adjustment) for row in rows)

    def epochs(self, after: int = 0, limit: int | None = None) -> tuple[EpochStatement, ...]:
        """The statements of closed epochs, oldest first; of all, or of at most `limit` after one."""
        column = tables.epochs.c.epoch
        rows = self._all(select(tables.epochs.c.body).where(column > after).order_by(column).limit(limit))
        return tuple(decode(row.body, EpochStatement) for row in rows)

    def rewards(self, epoch: int, owner: str = "", after: str = "", limit: int | None = None) -> tuple[RewardLine, ...]:
        """What an epoch gave, in order of owner: to one, or to all after one."""
        columns = tables.rewards.c
        query = select(columns.body).where(columns.epoch == epoch, columns.owner > after).order_by(columns.owner)
        rows = self._all((query.where(columns.owner == owner) if owner else query).limit(limit))
        return tuple(decode(row.body, RewardLine) for row in rows)

    def closed_epochs(self, after: int = 0, limit: int | None = None) -> tuple[ClosedEpoch, ...]:
        """Closed epochs after one, oldest first, each with its statement's own bytes and the record that closed it."""
        epoch, journal = tables.epochs.c, tables.journal.c
        wanted = select(epoch.epoch, epoch.body, journal.sequence, journal.hash.label("head")).where(
            epoch.epoch > after, journal.sequence == epoch.sequence
        )
        rows = self._all(wanted.order_by(epoch.epoch).limit(limit))
        return tuple(ClosedEpoch(epoch=one.epoch, body=one.body, sequence=one.sequence, head=one.head) for one in rows)

    def closed_epoch(self, epoch: int) -> ClosedEpoch:
        """One closed epoch. Raises: NotFoundError."""
        found = self.closed_epochs(epoch - 1, 1)
        if not found or found[0].epoch != epoch:
            raise NotFoundError(f"no epoch {epoch} is closed", code="SW-832")
        return found[0]

    def entries(
        self, *, account: str | None = None, job: str | None = None, after: str = "", limit: int = 100
    ) -> Page[EntryRow]:
        """Postings in the order they were made; of one account, about one job, or all.

        Raises: InputError for a cursor that no page gave.
        """
        key = (_ledger.sequence, _ledger.command, _ledger.line)
        query = select(tables.ledger_entries).order_by(*key).limit(limit + 1)
        if account is not None:
            query = query.where(_ledger.account == account)
        if job is not None:
            query = query.where(_ledger.ref == job)
        if after:
            query = query.where(tuple_(*key) > tuple_(*_numbers(after, 3)))
        rows = self._all(query)
        cursor = _cursor(rows, limit, "sequence", "command", "line")
        return Page(tuple(_entry_row(row) for row in rows[:limit]), cursor)

    def is_posted(self, ref: str) -> bool:
        """Whether any entry is about this deposit, job or epoch."""
        return bool(self._all(select(_ledger.sequence).where(_ledger.ref == ref).limit(1)))

    def trial_balance(self) -> dict[str, int]:
        """Balance of every account in wei; they sum to zero.

        Added up here, row by row: neither backend adds decimal text without loss.
        """
        balances: defaultdict[str, int] = defaultdict(int)
        query = select(_ledger.account, _ledger.amount_wei).execution_options(yield_per=STREAM_ROWS)
        with self.database.reading() as connection:
            for account, amount_wei in connection.execute(query):
                balances[account] += amount_wei
        return dict(sorted(balances.items()))

    def _all(self, query: Select[Any]) -> list[Any]:
        with self.database.reading() as connection:
            return list(connection.execute(query).all())


def month_query(tenant: str, month: str) -> Select[Any]:
    """Receipts of one month, by the months' own key and then each by its own."""
    receipts = tables.receipts.c
    return (
        select(_months.sequence, _months.command, receipts.digest, receipts.body, _months.paid_usd_micro)
        .join_from(
            tables.month_receipts,
            tables.receipts,
            (receipts.sequence == _months.sequence) & (receipts.command == _months.command),
        )
        .where(_months.tenant == tenant, _months.month == month)
    )


def _numbers(cursor: str, count: int) -> tuple[int, ...]:
    parts = cursor.split(".")
    if len(parts) != count or not all(part.isascii() and part.isdigit() for part in parts):
        raise InputError("not a cursor of this list; use the one the previous page gave")
    return tuple(int(part) for part in parts)


def _cursor(rows: list[Any], limit: int, *key: str) -> str:
    if len(rows) <= limit:
        return ""
    return ".".join(str(getattr(rows[limit - 1], name)) for name in key)


def _receipts() -> Select[Any]:
    columns = tables.receipts.c
    return select(columns.job, columns.epoch, columns.digest, columns.body, columns.signature, columns.sequence)


def _signed(row: Any) -> SignedReceipt:  # noqa: ANN401  a row's columns are known to the database only
    body = row.body.encode()
    return SignedReceipt(
        job=row.job,
        epoch=row.epoch,
        digest=row.digest,
        body=body,
        signature=row.signature,
        sequence=row.sequence,
    )


def _job_row(row: Any) -> JobRow:  # noqa: ANN401  as above
    return JobRow(
        job=row.job,
        tenant=row.tenant,
        state=row.state,
        reason=row.reason,
        detail=row.detail,
        site=row.site,
        units=row.units,
        exit_code=row.exit_code,
        updated_ms=row.updated_ms,
        first_sequence=row.first_sequence,
    )


def _entry_row(row: Any) -> EntryRow:  # noqa: ANN401  as above
    return EntryRow(
        sequence=row.sequence,
        entry=row.entry,
        epoch=row.epoch,
        at_ms=row.at_ms,
        cause=row.cause,
        ref=row.ref,
        account=row.account,
        amount_wei=row.amount_wei,
    )
