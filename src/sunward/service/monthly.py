"""Pages of a month's statement: final receipts from the store first, then those that may still change."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Self

from sunward.adapters.queries import MonthRow
from sunward.errors import ConflictError
from sunward.model.calendar import month_of, month_span
from sunward.model.codec import decode
from sunward.model.receipt import Receipt
from sunward.model.statement import MonthPage, StatementLine
from sunward.report.monthly import statement_line, totals_of
from sunward.service import views
from sunward.service.control import ControlPlane

PROVISIONAL_MAX = 100
"""Most provisional receipts worked out for one page: they are made between two turns of the event loop."""
CURSOR = r"^([0-9]{1,18}[.][0-9]{1,18})?(~[A-Za-z0-9._-]{1,80})?$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Ended jobs without a final receipt."""

    lines: tuple[StatementLine, ...] = ()
    pending: tuple[str, ...] = ()
    """Those that cannot have any receipt yet."""
    last: str = ""
    """The last job looked at, where more are left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page starts: after a final receipt of the store, and after a job without one, in order of their ids."""

    final: str
    job: str

    @classmethod
    def read(cls, cursor: str) -> Self:
        """The place that a page named."""
        final, _, job = cursor.partition("~")
        return cls(final=final, job=job)


async def month_page(
    control: ControlPlane, tenant: str, month: str, after: str, limit: int, *, named: bool
) -> MonthPage:
    """One page; `named` shows the private names of the jobs.

    Raises: InputError for a month or cursor that is none.
    """
    start_ms, end_ms = month_span(month)
    place = Place.read(after)
    found = control.store.queries.month_receipts(tenant, month, place.final, limit)
    # Nothing may come between the two reads: a job whose receipt became final there would be in neither.
    rest = Rest() if found.next else _open_lines(control, tenant, month, place.job, named=named)
    lines = (*await asyncio.to_thread(_final_lines, control, found.rows, named=named), *rest.lines)
    final = found.rows[-1].place if found.rows else place.final
    following = found.next or (f"{final}~{rest.last}" if rest.last else "")
    return MonthPage(
        tenant=tenant,
        month=month,
        start_ms=start_ms,
        end_ms=end_ms,
        at_ms=control.clock.grid_ms(),
        lines=lines,
        totals=totals_of(lines),
        pending=rest.pending,
        next=following or None,
    )


def _final_lines(control: ControlPlane, rows: tuple[MonthRow, ...], *, named: bool) -> list[StatementLine]:
    """Lines of stored receipts; reads the store only, so it may run beside the event loop."""
    receipts = [(decode(row.body, Receipt), row) for row in rows]
    return [
        statement_line(
            receipt,
            row.paid_usd_micro,
            digest=row.digest,
            name=views.job_name(control, receipt.job) if named else "",
        )
        for receipt, row in receipts
    ]


def _open_lines(control: ControlPlane, tenant: str, month: str, after: str, *, named: bool) -> Rest:
    """Ended jobs of a month after one of them, as their receipts would be if the epoch closed now."""
    jobs = control.state.world.jobs
    rows = ((job, jobs.row_of[job]) for job in control.state.closing if job > after)
    mine = sorted(
        job for job, row in rows if jobs.tenant(row) == tenant and month_of(int(jobs.ints["finished_ms"][row])) == month
    )
    lines: list[StatementLine] = []
    pending: list[str] = []
    for job in mine[:PROVISIONAL_MAX]:
        try:
            receipt, paid_usd_micro = views.provisional(control, job)
        except ConflictError:
            pending.append(job)
            continue
        name = views.job_name(control, job) if named else ""
        lines.append(statement_line(receipt, paid_usd_micro, name=name))
    last = mine[PROVISIONAL_MAX - 1] if len(mine) > PROVISIONAL_MAX else ""
    return Rest(lines=tuple(lines), pending=tuple(pending), last=last)
