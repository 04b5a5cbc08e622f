import pytest

from sunward.errors import InvariantError
from sunward.model.ledger import Entry, Posting
from sunward.settlement.ledger import FAUCET, Ledger


def entry(*sides: tuple[str, int]) -> Entry:
    postings = tuple(Posting(account=account, amount_wei=wei) for account, wei in sides)
    return Entry(entry="1.0", epoch=0, at_ms=0, cause="deposit", ref="t-1", postings=postings)


def test_a_posted_entry_moves_the_balances_and_keeps_the_sum_at_zero():
    ledger = Ledger()
    ledger.post(entry((FAUCET, -7), ("tenant:t-1", 7)))
    ledger.post(entry(("tenant:t-1", -3), ("escrow:j-1", 3)))
    assert [ledger.balance(name) for name in (FAUCET, "tenant:t-1", "escrow:j-1", "never")] == [-7, 4, 3, 0]
    assert ledger.total() == 0


def test_an_entry_that_does_not_sum_to_zero_is_refused():
    ledger = Ledger()
    with pytest.raises(InvariantError, match="does not sum to zero"):
        ledger.post(entry((FAUCET, -7), ("tenant:t-1", 8)))
    assert ledger.to_record() == {}


def test_an_overdraft_is_refused_and_changes_nothing():
    ledger = Ledger()
    ledger.post(entry((FAUCET, -7), ("tenant:t-1", 7)))
    with pytest.raises(InvariantError, match="overdraws tenant:t-1: -1"):
        ledger.post(entry(("escrow:j-1", 8), ("tenant:t-1", -8)))
    assert ledger.to_record() == {FAUCET: -7, "tenant:t-1": 7}


def test_several_postings_to_one_account_count_together():
    ledger = Ledger()
    ledger.post(entry(("tenant:t-1", -5), (FAUCET, -2), ("tenant:t-1", 7)))
    assert ledger.balance("tenant:t-1") == 2


def test_accounts_at_zero_are_not_kept_and_records_are_sorted():
    ledger = Ledger()
    ledger.post(entry(("tenant:t-2", 5), (FAUCET, -5)))
    ledger.post(entry(("tenant:t-2", -5), ("network", 5)))
    assert list(ledger.to_record().items()) == [(FAUCET, -5), ("network", 5)]
    assert Ledger.from_record(ledger.to_record()).to_record() == ledger.to_record()


@pytest.mark.parametrize("record", [{"network": 1}, {"network": -1, "offset": 1}])
def test_a_snapshot_that_cannot_be_is_refused(record):
    with pytest.raises(InvariantError, match="snapshot of the ledger"):
        Ledger.from_record(record)
