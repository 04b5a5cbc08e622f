"""Certificates that a receipt claims: each is found in the journal, and none that is not there passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.model.codec import decode, encode
from sunward.model.granular import Claim
from sunward.model.granular_events import (
    CertificatesWithdrawn,
)
from sunward.model.receipt import PARTLY_MATCHED, Receipt
from sunward.units import HOUR_MS
from sunward.verification.bundle import Bundle, select
from sunward.verification.certificates import market_of_line
from sunward.verification.receipt import CERTIFICATES_ELSEWHERE, verify
from tests.support.bundles import HOUR, bound, genuine_journal, payload_of, receipt_in, rerecorded, resigned


def bundle() -> Bundle:
    return genuine_journal(certificates=True)[1]


def findings(one: Bundle) -> set[str]:
    return {finding.key for finding in verify(bound(one)).findings}


def honest(receipt: Receipt, number: int, *claims: Claim) -> Receipt:
    """The receipt with other claims on a line, and every figure that follows from them."""
    lines = list(receipt.lines)
    lines[number] = replace(lines[number], certificates=claims)
    lines[number] = replace(lines[number], market_mg=market_of_line(lines[number]))
    total = sum(line.market_mg for line in lines)
    return replace(receipt, lines=tuple(lines), market_mg=total)


def claim(first: int, last: int, **changes) -> Claim:
    return replace(Claim(first=first, last=last, source="solar", mg_per_kwh=48_000), **changes)


def test_a_receipt_with_certificates_verifies_and_says_what_stays_open() -> None:
    receipt = receipt_in(bundle())
    assert [line.matched_wh for line in receipt.lines] == [0, 1, 0]
    assert receipt.market_basis == PARTLY_MATCHED
    found = verify(bundle())
    assert found.findings == ()
    assert CERTIFICATES_ELSEWHERE in found.not_proved
    assert CERTIFICATES_ELSEWHERE not in verify(genuine_journal()[1]).not_proved


def test_only_records_of_claimed_certificates_enter_the_bundle() -> None:
    records, whole = genuine_journal(certificates=True)
    kinds = [one.kind for one in select(receipt_in(whole), records) if one.kind.startswith("certificates")]
    assert kinds == ["certificates_issued", "certificates_cancelled"]
    none = genuine_journal()[1]
    assert not [one for one in select(receipt_in(none), records) if one.kind.startswith("certificates")]


def test_another_certificate_of_the_same_hour_and_use_is_as_good() -> None:
    assert findings(resigned(bundle(), honest(receipt_in(bundle()), 1, claim(15, 15)))) == set()


@pytest.mark.parametrize(
    ("number", "claims", "why"),
    [
        (1, (claim(1, 1),), "is not issued"),
        (1, (claim(11, 11),), "period of certificate 11"),
        (1, (claim(14, 14), claim(14, 14)), "is counted twice"),
        (1, (claim(81, 81),), "is not issued"),
        (1, (claim(80, 82),), "is not issued"),
        (1, (claim(14, 15),), "is not cancelled for this job, its tenant or its site"),
        (1, (claim(15, 14),), "is not issued"),
        (1, (claim(14, 14, source="wind"),), "market, source and factor"),
        (1, (claim(14, 14, mg_per_kwh=0),), "market, source and factor"),
        (2, (claim(14, 14),), "market, source and factor"),
        (0, (claim(11, 11),), "claimed Wh"),
        (1, (claim(14, 14), claim(15, 80)), "claimed Wh"),
    ],
    ids=[
        "never issued",
        "of another hour",
        "twice",
        "exported",
        "partly exported",
        "one range over two cancellations",
        "less than none",
        "another source",
        "another factor",
        "another market",
        "more than was used",
        "far more than was used",
    ],
)
def test_certificates_that_cannot_count_are_found_although_the_operator_signed(number, claims, why) -> None:
    told = verify(bound(resigned(bundle(), honest(receipt_in(bundle()), number, *claims)))).findings
    assert any(why in one.text for one in told if one.key == "certificate"), [one.text for one in told]


def test_a_line_that_takes_the_ids_of_another_is_found() -> None:
    receipt = receipt_in(bundle())
    lines = (replace(receipt.lines[0], certificates=receipt.lines[1].certificates), *receipt.lines[1:])
    told = verify(bound(resigned(bundle(), replace(receipt, lines=lines)))).findings
    assert any("counted twice" in one.text for one in told)


@pytest.mark.parametrize("beneficiary", ["site:no-b", "tenant:t-2", "job:j-2", ""])
def test_what_was_cancelled_for_somebody_else_is_found(beneficiary) -> None:
    sequence, payload = payload_of(bundle(), "certificates_cancelled", 1)
    assert "certificate" in findings(rerecorded(bundle(), sequence, replace(payload, beneficiary=beneficiary)))


@pytest.mark.parametrize(
    "changes",
    [{"market": "PT"}, {"source": "wind"}, {"mg_per_kwh": 47_999}, {"first": 12}, {"start_ms": (HOUR + 1, HOUR)}],
)
def test_what_was_issued_otherwise_is_found(changes) -> None:
    sequence, payload = payload_of(bundle(), "certificates_issued")
    assert "certificate" in findings(rerecorded(bundle(), sequence, replace(payload, **changes)))


def test_what_a_verdict_took_back_is_found() -> None:
    sequence, _ = payload_of(bundle(), "certificates_cancelled", 2)
    taken = CertificatesWithdrawn(device="roof", start_ms=HOUR, end_ms=HOUR + 2 * HOUR_MS, verdict="v-1")
    assert "certificate" in findings(rerecorded(bundle(), sequence, taken))


@pytest.mark.parametrize("basis", ["certificates", "residual missing"])
def test_a_market_basis_that_flatters_or_hides_is_found(basis) -> None:
    receipt = replace(receipt_in(bundle()), market_basis=basis)
    assert "market_basis" in findings(resigned(bundle(), receipt))


def test_what_is_not_covered_must_be_named() -> None:
    receipt = receipt_in(bundle())
    told = tuple(key for key in receipt.not_proved if key != "part_without_certificates")
    assert "not_proved" in findings(resigned(bundle(), replace(receipt, not_proved=told)))


def test_records_left_out_are_missed() -> None:
    whole = bundle()
    for kind in ("certificates_issued", "certificates_cancelled"):
        kept = tuple(one for one in whole.events if one.kind != kind)
        assert "certificate" in findings(replace(whole, events=kept))


def test_a_receipt_of_before_certificates_reads_as_it_always_did() -> None:
    receipt = receipt_in(genuine_journal()[1])
    text = encode(receipt).decode().replace(',"market":"","certificates":[]', "")
    assert text != encode(receipt).decode()
    assert decode(text, Receipt) == receipt
