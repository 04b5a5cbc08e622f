from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.errors import InvariantError
from sunward.model.codec import digest
from sunward.report.receipts import build_receipt
from sunward.report.statement import StatementParts, build_statement, liability_mg
from tests.unit.report.samples import DAY, HOUR_MS, SPEC, line, parts

ONE = build_receipt(parts())
TWO = build_receipt(parts(spec=replace(SPEC, job="j-zzzzzzzzzz"), lines=(line(location_mg=900_000),)))


def statement(*receipts, **changes):
    values = {
        "epoch": 1,
        "start_ms": DAY,
        "end_ms": DAY + 24 * HOUR_MS,
        "receipts": receipts,
        "idle_j": 77,
        "offset_share_bps": 100,
        "next_offset_share_bps": 150,
        "paid_usd_micro": 3_999_999,
        "balance_wei": 0,
    }
    return build_statement(StatementParts(**{**values, **changes}), "+".join)


def test_totals_and_hashes_in_order_of_job() -> None:
    found = statement(TWO, ONE)
    assert found == statement(ONE, TWO)
    assert found.receipts == (digest(ONE), digest(TWO))
    assert found.receipts_root == f"{digest(ONE)}+{digest(TWO)}"
    assert (found.facility_j, found.idle_j) == (6_480_000, 77)
    assert (found.location_mg, found.market_mg, found.embodied_mg) == (1_062_500, 1_080_000, 30_000)
    assert (found.paid_usd_micro, found.paid_wei, found.refunded_wei) == (3_999_999, 4_000, 200)
    assert (found.provider_wei, found.network_wei, found.offset_wei) == (3_168, 792, 40)
    assert (found.offset_share_bps, found.next_offset_share_bps, found.balance_wei) == (100, 150, 0)


def test_liability_takes_one_basis_for_the_whole_epoch() -> None:
    # Job one is larger market-based, job two location-based; only the totals are compared.
    assert statement(ONE, TWO).liability_mg == 1_080_000 + 30_000
    assert liability_mg(5, 3, 2) == 7


def test_an_epoch_without_jobs() -> None:
    found = statement()
    assert (found.receipts, found.facility_j, found.liability_mg) == ((), 0, 0)


@pytest.mark.parametrize(
    ("receipts", "changes", "named"),
    [
        ((ONE,), {"balance_wei": 1}, "off by 1 wei"),
        ((ONE, ONE), {}, "two receipts"),
        ((ONE,), {"epoch": 2}, "another epoch"),
    ],
)
def test_what_must_never_be_closed(receipts, changes, named) -> None:
    with pytest.raises(InvariantError, match=named):
        statement(*receipts, **changes)
