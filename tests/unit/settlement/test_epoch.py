from dataclasses import replace

import pytest

from sunward.errors import InvariantError
from sunward.model.events import NetworkStarted
from sunward.model.plan import PolicyInputs
from sunward.settlement import epoch
from sunward.settlement.entries import Origin, Terms, deposit, escrow, refund_all, settle_job
from sunward.settlement.ledger import Ledger

RULES = NetworkStarted(network="n", policy=PolicyInputs(), epoch_ms=1)
TERMS = Terms(wei_per_usd_micro=10, offset_share_bps=100, provider_share_bps=8_000)


def origin(sequence):
    return Origin(sequence=sequence, first=0, epoch=0, at_ms=sequence)


def settled():
    ledger = Ledger()
    ledger.post(deposit(origin(1), "t-1", 30_000))
    ledger.post(escrow(origin(2), "t-1", "j-1", 12_000))
    ledger.post(escrow(origin(3), "t-1", "j-2", 5_000))
    one = settle_job(origin(4), TERMS, job="j-1", tenant="t-1", escrow_wei=12_000, prices_usd_micro={"p-1": 1_000})
    two = refund_all(origin(5), job="j-2", tenant="t-1", escrow_wei=5_000)
    for entry in one.entries + two.entries:
        ledger.post(entry)
    return ledger, (one, two)


def close(ledger, settlements):
    return epoch.close(ledger, RULES, settlements, offset_share_bps=100, liability_mg=1_000_000, wei_per_usd_micro=10)


def test_totals_by_hand():
    ledger, settlements = settled()
    totals = close(ledger, settlements)
    assert (totals.paid_usd_micro, totals.paid_wei, totals.offset_wei) == (1_000, 10_000, 100)
    assert (totals.provider_wei, totals.network_wei, totals.refunded_wei) == (7_920, 1_980, 7_000)
    # Need: 1 kg at 110 USD/t = 110,000 µUSD = 1,100,000 wei against a flow of 10,000: the ceiling, one step away.
    assert (totals.offset_share_bps, totals.next_offset_share_bps, totals.balance_wei) == (100, 150, 0)
    assert ledger.to_record() == {
        "faucet:test": -30_000,
        "network": 1_980,
        "offset": 100,
        "provider:p-1": 7_920,
        "tenant:t-1": 20_000,
    }


def test_an_empty_epoch_closes():
    assert close(Ledger(), ()).paid_wei == 0


def test_an_escrow_that_is_not_disbursed_is_found():
    ledger, settlements = settled()
    ledger.post(escrow(origin(6), "t-1", "j-1", 1))
    with pytest.raises(InvariantError, match="still holds 1 wei"):
        close(ledger, settlements)


def test_a_job_settled_twice_is_found():
    ledger, (one, two) = settled()
    with pytest.raises(InvariantError, match="settled twice"):
        close(ledger, (one, two, one))


def test_parts_that_do_not_add_up_are_found():
    ledger, (one, two) = settled()
    with pytest.raises(InvariantError, match="do not add up to its escrow"):
        close(ledger, (replace(one, network_wei=one.network_wei + 1), two))
    with pytest.raises(InvariantError, match="providers' parts"):
        close(ledger, (replace(one, providers=(("p-1", 1),)), two))


def test_books_that_do_not_balance_are_found():
    ledger, settlements = settled()
    ledger._balances["network"] += 1
    with pytest.raises(InvariantError, match="sum to 1 wei"):
        close(ledger, settlements)
