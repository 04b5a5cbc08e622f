"""Commands as rows."""

from __future__ import annotations

import pytest

from sunward.adapters.projections import rows_of
from sunward.errors import InvariantError
from sunward.model.codec import digest_bytes, encode
from sunward.model.commands import Command, IssueReceipt, OrdersChanged, PostAdjustments, Rejected, RequestPlan
from sunward.model.identity import JobId, SiteId
from tests.support.records import ADJUSTMENT, RECEIPT, changed, posted


def test_rows_are_named_by_their_command() -> None:
    rows = rows_of(7, [(changed("j-1", "placed"), posted(-1, 1)), (changed("j-1", "running", 9),)], str)
    assert [(row["sequence"], row["command"]) for row in rows.history] == [(7, 0), (8, 0)]
    assert [(row["sequence"], row["command"], row["line"]) for row in rows.entries] == [(7, 1, 0), (7, 1, 1)]


def test_of_a_job_changed_twice_the_last_state_and_the_first_place_are_written() -> None:
    rows = rows_of(7, [(changed("j-1", "placed"),), (changed("j-2", "placed"), changed("j-1", "running", 9))], str)
    job = rows.jobs["j-1"]
    assert (job["state"], job["updated_ms"], job["sequence"], job["command"]) == ("running", 9, 8, 1)
    assert (job["first_sequence"], job["first_command"]) == (7, 0)


def test_the_canonical_bytes_of_a_receipt_are_signed() -> None:
    signed: list[bytes] = []

    def sign(body: bytes) -> str:
        signed.append(body)
        return "signature"

    (row,) = rows_of(1, [(IssueReceipt(receipt=RECEIPT, paid_usd_micro=1),)], sign).receipts
    assert signed == [encode(RECEIPT)]
    assert (row["digest"], row["signature"]) == (digest_bytes(signed[0]), "signature")
    assert row["body"].encode() == signed[0]


def test_adjustments_are_lines_of_their_command() -> None:
    one = ADJUSTMENT
    rows = rows_of(4, [(PostAdjustments(adjustments=(one, one)),)], str).adjustments
    assert [(row["sequence"], row["command"], row["line"], row["job"]) for row in rows] == [
        (4, 0, 0, one.job),
        (4, 0, 1, one.job),
    ]


def test_an_entry_that_does_not_balance_is_refused() -> None:
    with pytest.raises(InvariantError, match="sum to zero"):
        rows_of(1, [(posted(-1, 2),)], str)


@pytest.mark.parametrize(
    "command",
    [OrdersChanged(site=SiteId("s-1")), RequestPlan(reason="new job"), Rejected(job=JobId("j-1"), reason="stale")],
)
def test_commands_for_the_shell_leave_no_row(command: Command) -> None:
    rows = rows_of(1, [(command,)], str)
    assert not any([rows.jobs, rows.history, rows.entries, rows.receipts, rows.epochs])
