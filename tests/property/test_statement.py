"""A statement is the sum of its lines however it is paged, and all months together are what the ledger paid."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sunward.model.calendar import month_of, month_span
from sunward.model.datum import Quality
from sunward.model.receipt import Counterfactual, Promise
from sunward.model.statement import MonthPage, StatementLine, StatementTotals
from sunward.report.monthly import statement_line, totals_of, whole_month
from sunward.report.receipts import Paid, build_receipt
from sunward.settlement.entries import Origin, Terms, deposit, escrow, settle_job
from sunward.settlement.ledger import Ledger
from sunward.units import DAY_MS
from tests.unit.report.samples import DAY, SPEC, line, parts

SUMS = (
    "gpu_ms",
    "device_j",
    "facility_j",
    "location_mg",
    "market_mg",
    "embodied_mg",
    "water_ml",
    "price_usd_micro",
    "paid_usd_micro",
    "paid_wei",
    "offset_wei",
)
JOBS = st.lists(
    st.tuples(
        st.integers(0, 200 * DAY_MS),  # End, from the first day on.
        st.integers(0, 10**9),  # Metered price, micro-USD.
        st.integers(1, 10**21),  # Escrow, wei.
        st.integers(0, 3),  # Hour lines.
        st.booleans(),  # Whether the promise was kept.
    ),
    max_size=12,
)
TERMS = Terms(wei_per_usd_micro=2 * 10**12, offset_share_bps=137, provider_share_bps=8_000)


def paid_jobs(asked) -> tuple[Ledger, list[StatementLine]]:
    """Jobs paid out of a ledger, and their lines."""
    ledger, lines = Ledger(), []
    for number, (ended, price, held, hours, kept) in enumerate(asked):
        job = f"j-{number:010d}"
        origin = Origin(sequence=number, first=0, epoch=1, at_ms=DAY)
        ledger.post(deposit(origin, "t-1", held))
        ledger.post(escrow(origin, "t-1", job, held))
        done = settle_job(origin, TERMS, job=job, tenant="t-1", escrow_wei=held, prices_usd_micro={"p-1": price})
        for entry in done.entries:
            ledger.post(entry)
        receipt = build_receipt(
            parts(
                spec=replace(SPEC, job=job),
                finished_ms=DAY + ended,
                lines=tuple(line(hour, zone="ES" if kept else "PT") for hour in range(hours)),
                counterfactuals=(Counterfactual(name="run-now-origin/1", facility_j=1, carbon_mg=price, change_ppm=0),),
                promises=(Promise(kind="finish_by", at_ms=DAY, kept=kept),),
                energy_qualities=(Quality.MODELLED,),
                paid=Paid(
                    price_usd_micro=done.price_usd_micro,
                    price_wei=done.price_wei,
                    offset_wei=done.offset_wei,
                    provider_wei=done.provider_wei,
                    network_wei=done.network_wei,
                    refund_wei=done.refund_wei,
                ),
            )
        )
        lines.append(statement_line(receipt, done.paid_usd_micro, digest="" if kept else "ab" * 32))
    return ledger, lines


def check_sums(totals: StatementTotals, lines) -> None:
    for name in SUMS:
        assert getattr(totals, name) == sum(getattr(one, name) for one in lines), name
    assert totals.jobs == len(lines)
    assert sum(note.facility_j for note in totals.series) == totals.facility_j
    assert sum(one.carbon_mg for one in totals.counterfactuals) == sum(
        other.carbon_mg for one in lines for other in one.counterfactuals
    )
    assert totals.promises_kept <= totals.promises == len(lines)


@given(JOBS, st.integers(1, 5))
def test_totals_are_the_sums_of_the_lines_whatever_the_pages(asked, size) -> None:
    _, lines = paid_jobs(asked)
    check_sums(totals_of(lines), lines)
    start_ms, end_ms = month_span("2023-06")
    parts_ = [tuple(lines[first : first + size]) for first in range(0, max(len(lines), 1), size)]
    pages = [
        MonthPage(
            tenant="t-1",
            month="2023-06",
            start_ms=start_ms,
            end_ms=end_ms,
            at_ms=end_ms,
            lines=some,
            totals=totals_of(some),
            pending=(),
            next=None,
        )
        for some in parts_
    ]
    whole = whole_month(pages)
    assert whole.totals == totals_of(lines)
    assert sorted(one.job for one in whole.lines) == sorted(one.job for one in lines)
    for name in SUMS:
        assert getattr(whole.totals, name) == sum(getattr(page.totals, name) for page in pages), name


@given(JOBS)
def test_all_months_together_are_what_the_ledger_paid_to_the_wei(asked) -> None:
    ledger, lines = paid_jobs(asked)
    months = {month_of(one.finished_ms) for one in lines}
    totals = [totals_of([one for one in lines if month_of(one.finished_ms) == month]) for month in sorted(months)]
    paid = sum(ledger.balance(account) for account in ("provider:p-1", "network", "offset"))
    assert sum(one.paid_wei for one in totals) == paid
    assert sum(one.offset_wei for one in totals) == ledger.balance("offset")
    assert ledger.balance("tenant:t-1") == sum(held for _, _, held, _, _ in asked) - paid
    for one in lines:
        start_ms, end_ms = month_span(month_of(one.finished_ms))
        assert start_ms <= one.finished_ms < end_ms
