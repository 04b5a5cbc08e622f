"""In which month of its tenant a receipt stands, also one that was stored before months were kept."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from sqlalchemy import Connection, insert, select

from sunward.adapters import tables
from sunward.model.calendar import month_of
from sunward.model.codec import decode
from sunward.model.events import RateObserved
from sunward.model.receipt import Receipt

ROWS = 1_000
"""Receipts read and written at a time."""


def month_row(receipt: Receipt, paid_usd_micro: int) -> dict[str, Any]:
    """Where a receipt stands in its tenant's months, but for its identity."""
    return {"tenant": receipt.tenant, "month": month_of(receipt.finished_ms), "paid_usd_micro": paid_usd_micro}


def fill_months(connection: Connection) -> None:
    """Note the month of every stored receipt, once: from then on each is noted as it is written."""
    receipts, months = tables.receipts, tables.month_receipts
    if connection.execute(select(months.c.sequence).limit(1)).first() is not None:
        return
    rates = _rates(connection)
    after: tuple[int, int] = (0, -1)
    while True:
        key = (receipts.c.sequence, receipts.c.command)
        later = (key[0] > after[0]) | ((key[0] == after[0]) & (key[1] > after[1]))
        found = connection.execute(select(*key, receipts.c.body).where(later).order_by(*key).limit(ROWS)).all()
        if not found:
            return
        rows = []
        for row in found:
            receipt = decode(row.body, Receipt)
            paid_usd_micro = receipt.price_wei // _rate_at(rates, row.sequence)
            rows.append({"sequence": row.sequence, "command": row.command} | month_row(receipt, paid_usd_micro))
        connection.execute(insert(months), rows)
        after = (found[-1].sequence, found[-1].command)


def _rates(connection: Connection) -> list[tuple[int, int]]:
    """Every exchange rate with the journal record that set it, in order."""
    journal = tables.journal.c
    query = select(journal.sequence, journal.body).where(journal.kind == "rate_observed").order_by(journal.sequence)
    return [(row.sequence, decode(row.body, RateObserved).wei_per_usd_micro) for row in connection.execute(query)]


def _rate_at(rates: list[tuple[int, int]], sequence: int) -> int:
    """The rate at which a receipt was settled; 1 where none was ever recorded, and then nothing was priced."""
    place = bisect_right(rates, sequence, key=lambda rate: rate[0])
    return rates[place - 1][1] if place else 1
