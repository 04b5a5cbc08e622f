"""Commands of the engine as rows for readers.

A row is named by its command, (sequence, index), so projecting a command again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import Connection, Insert, Table, tuple_

from sunward.adapters import tables
from sunward.adapters.database import insert_on
from sunward.adapters.months import month_row
from sunward.errors import InvariantError
from sunward.model.codec import digest_bytes, encode
from sunward.model.commands import (
    CloseEpoch,
    Command,
    IssueReceipt,
    JobChanged,
    PostAdjustments,
    PostEntries,
    PostRewards,
)
from sunward.model.receipt import Receipt

Row: TypeAlias = dict[str, Any]
Sign: TypeAlias = Callable[[bytes], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What a group of commands writes; made before the transaction opens, so the lock is held briefly."""

    jobs: dict[str, Row] = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    entries: list[Row] = field(default_factory=list)
    receipts: list[Row] = field(default_factory=list)
    months: list[Row] = field(default_factory=list)
    epochs: list[Row] = field(default_factory=list)
    adjustments: list[Row] = field(default_factory=list)
    rewards: list[Row] = field(default_factory=list)


def rows_of(first_sequence: int, commands: Sequence[tuple[Command, ...]], sign: Sign) -> Rows:
    """The rows of the commands of consecutive events, the first with `first_sequence`.

    Raises: InvariantError for an entry that does not sum to zero.
    """
    rows = Rows()
    for sequence, group in enumerate(commands, first_sequence):
        for index, command in enumerate(group):
            _add(rows, {"sequence": sequence, "command": index}, command, sign)
    return rows


def _add(rows: Rows, identity: Row, command: Command, sign: Sign) -> None:
    match command:
        case JobChanged():
            _add_job(rows, identity, command)
        case PostEntries():
            _add_entries(rows, identity, command)
        case IssueReceipt():
            rows.receipts.append(identity | _receipt(command.receipt, sign))
            rows.months.append(identity | month_row(command.receipt, command.paid_usd_micro))
        case PostAdjustments():
            rows.adjustments.extend(
                identity | {"line": line, "job": one.job, "body": encode(one).decode()}
                for line, one in enumerate(command.adjustments)
            )
        case PostRewards():
            rows.rewards.extend(
                identity | {"line": line, "epoch": one.epoch, "owner": one.owner, "body": encode(one).decode()}
                for line, one in enumerate(command.lines)
            )
        case CloseEpoch():
            statement = command.statement
            rows.epochs.append(identity | {"epoch": statement.epoch, "body": encode(statement).decode()})
        case _:
            pass  # The other commands wake somebody; there is nothing to keep of them.


def _add_job(rows: Rows, identity: Row, change: JobChanged) -> None:
    shared = {
        "job": change.job,
        "state": change.state,
        "reason": change.reason,
        "detail": change.detail.replace("\0", "\ufffd"),  # It comes from agents, and PostgreSQL takes no NUL.
        "site": change.site,
        "units": change.units,
        "exit_code": change.exit_code,
    }
    rows.history.append(identity | shared | {"at_ms": change.at_ms})
    # Only the last state of a job in this group is written, under the place where the job first appeared.
    first = rows.jobs.get(change.job)
    place = (first["first_sequence"], first["first_command"]) if first else (identity["sequence"], identity["command"])
    rows.jobs[change.job] = (
        identity
        | shared
        | {
            "tenant": change.tenant,
            "updated_ms": change.at_ms,
            "first_sequence": place[0],
            "first_command": place[1],
        }
    )


def _add_entries(rows: Rows, identity: Row, command: PostEntries) -> None:
    line = 0
    for entry in command.entries:
        if sum(posting.amount_wei for posting in entry.postings) != 0:
            raise InvariantError(f"ledger entry {entry.entry} does not sum to zero")
        for posting in entry.postings:
            rows.entries.append(
                identity
                | {
                    "line": line,
                    "entry": entry.entry,
                    "epoch": entry.epoch,
                    "at_ms": entry.at_ms,
                    "cause": entry.cause,
                    "ref": entry.ref,
                    "account": posting.account,
                    "amount_wei": posting.amount_wei,
                }
            )
            line += 1


def _receipt(receipt: Receipt, sign: Sign) -> Row:
    body = encode(receipt)
    return {
        "job": receipt.job,
        "epoch": receipt.epoch,
        "digest": digest_bytes(body),
        "body": body.decode(),
        "signature": sign(body),
    }


def write_rows(connection: Connection, rows: Rows) -> None:
    """Write rows that are not there yet.

    Raises: InvariantError (from the transaction) for a second receipt of a job or statement of an epoch.
    """
    on_sqlite = connection.dialect.name == "sqlite"
    for table, new in (
        (tables.job_history, rows.history),
        (tables.ledger_entries, rows.entries),
        (tables.receipts, rows.receipts),
        (tables.month_receipts, rows.months),
        (tables.epochs, rows.epochs),
        (tables.adjustments, rows.adjustments),
        (tables.rewards, rows.rewards),
    ):
        if new:
            connection.execute(_insert_new(table, on_sqlite=on_sqlite), new)
    if rows.jobs:
        connection.execute(_upsert_jobs(on_sqlite=on_sqlite), list(rows.jobs.values()))


# Statements are made once: making one costs as much as running it for a small group of events.


@cache
def _insert_new(table: Table, *, on_sqlite: bool) -> Insert:
    # Only a repeated command is passed over; any other clash is a fault and must be heard.
    return insert_on(table, on_sqlite=on_sqlite).on_conflict_do_nothing(index_elements=list(table.primary_key.columns))


@cache
def _upsert_jobs(*, on_sqlite: bool) -> Insert:
    jobs = tables.jobs
    statement = insert_on(jobs, on_sqlite=on_sqlite)
    new = statement.excluded
    changing = ("state", "reason", "detail", "site", "units", "exit_code", "updated_ms", "sequence", "command")
    return statement.on_conflict_do_update(
        index_elements=[jobs.c.job],
        set_={name: new[name] for name in changing},
        where=tuple_(new.sequence, new.command) > tuple_(jobs.c.sequence, jobs.c.command),
    )
