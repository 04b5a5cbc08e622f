import pytest

from sunward.errors import InvariantError
from sunward.settlement.entries import Origin, Terms, deposit, escrow, movement, refund_all, settle_job, split_wei

ORIGIN = Origin(sequence=12, first=3, epoch=2, at_ms=99)


def terms(rate: int) -> Terms:
    return Terms(wei_per_usd_micro=rate, offset_share_bps=100, provider_share_bps=8_000)


def sides(entry):
    return {posting.account: posting.amount_wei for posting in entry.postings}


def test_deposit_and_escrow_name_their_event():
    given = deposit(ORIGIN, "t-1", 500)
    assert (given.entry, given.epoch, given.at_ms, given.cause, given.ref) == ("12.3", 2, 99, "deposit", "t-1")
    assert sides(given) == {"faucet:test": -500, "tenant:t-1": 500}
    kept = escrow(ORIGIN, "t-1", "j-1", 200)
    assert (kept.cause, kept.ref) == ("escrow", "j-1")
    assert sides(kept) == {"tenant:t-1": -200, "escrow:j-1": 200}


@pytest.mark.parametrize("amount", [0, -1])
def test_amounts_that_are_not_positive_are_refused(amount):
    with pytest.raises(InvariantError, match="wei"):
        deposit(ORIGIN, "t-1", amount)
    with pytest.raises(InvariantError, match="wei"):
        escrow(ORIGIN, "t-1", "j-1", amount)


def test_payment_by_hand_with_every_rounding():
    # P = 333 · 3 = 999; offset ⌊9.99⌋ = 9; provider ⌊990 · 0.8⌋ = 792; network 198; refund 2,000 − 999 = 1,001.
    done = settle_job(ORIGIN, terms(3), job="j-1", tenant="t-1", escrow_wei=2_000, prices_usd_micro={"p-1": 333})
    assert (done.price_usd_micro, done.price_wei, done.offset_wei) == (333, 999, 9)
    assert (done.provider_wei, done.network_wei, done.refund_wei) == (792, 198, 1_001)
    payment, refund = done.entries
    assert sides(payment) == {"escrow:j-1": -999, "offset": 9, "network": 198, "provider:p-1": 792}
    assert sides(refund) == {"escrow:j-1": -1_001, "tenant:t-1": 1_001}
    assert (payment.entry, payment.cause, refund.entry, refund.cause) == ("12.3", "payment", "12.4", "refund")


def test_network_takes_what_the_provider_share_rounds_off():
    # P = 101: offset ⌊1.01⌋ = 1; provider ⌊100 · 0.8⌋ = 80. P = 99: offset 0; provider ⌊79.2⌋ = 79; network 20.
    odd = settle_job(ORIGIN, terms(1), job="j-1", tenant="t-1", escrow_wei=99, prices_usd_micro={"p-1": 99})
    assert (odd.offset_wei, odd.provider_wei, odd.network_wei, odd.refund_wei) == (0, 79, 20, 0)
    assert len(odd.entries) == 1


def test_what_was_paid_is_also_said_in_usd():
    given = {"job": "j-1", "tenant": "t-1", "prices_usd_micro": {"p-1": 333}}
    assert settle_job(ORIGIN, terms(3), escrow_wei=999, **given).paid_usd_micro == 333
    assert settle_job(ORIGIN, terms(3), escrow_wei=998, **given).paid_usd_micro == 332, "the escrow is short"
    assert settle_job(ORIGIN, terms(3), escrow_wei=999, budget_usd_micro=100, **given).paid_usd_micro == 100
    assert refund_all(ORIGIN, job="j-1", tenant="t-1", escrow_wei=5).paid_usd_micro == 0


def test_several_providers_share_by_their_prices_largest_remainder_first():
    # P = 1,000: offset 10, provider 792. 792 · (1, 1, 5)/7 = 113 r 1, 113 r 1, 565 r 5: one wei left, to the largest.
    done = settle_job(
        ORIGIN,
        terms(1_000),
        job="j-1",
        tenant="t-1",
        escrow_wei=1_000,
        prices_usd_micro={"p-c": 5, "p-b": 1, "p-a": 1},
    )
    assert done.providers == (("p-a", 113), ("p-b", 113), ("p-c", 566))


def test_equal_remainders_go_in_order_of_name_and_zero_weights_get_nothing():
    assert split_wei(5, {"b": 1, "a": 1, "c": 0}) == (("a", 3), ("b", 2))
    assert split_wei(0, {}) == ()
    with pytest.raises(InvariantError, match="nobody to pay"):
        split_wei(1, {"a": 0})


def test_the_escrow_bounds_the_payment():
    done = settle_job(ORIGIN, terms(10), job="j-1", tenant="t-1", escrow_wei=50, prices_usd_micro={"p-1": 333})
    assert (done.price_usd_micro, done.price_wei, done.refund_wei) == (333, 50, 0)


def test_the_budget_bounds_the_payment():
    done = settle_job(
        ORIGIN,
        terms(10),
        job="j-1",
        tenant="t-1",
        escrow_wei=5_000,
        prices_usd_micro={"p-1": 333},
        budget_usd_micro=200,
    )
    assert (done.price_wei, done.refund_wei) == (2_000, 3_000)


def test_a_job_that_never_ran_gets_its_whole_escrow_back():
    done = refund_all(ORIGIN, job="j-1", tenant="t-1", escrow_wei=50)
    (refund,) = done.entries
    assert (refund.entry, refund.cause, sides(refund)) == ("12.3", "refund", {"escrow:j-1": -50, "tenant:t-1": 50})
    assert (done.price_wei, done.refund_wei, done.providers) == (0, 50, ())


def test_negative_figures_are_refused():
    with pytest.raises(InvariantError, match="negative"):
        settle_job(ORIGIN, terms(1), job="j-1", tenant="t-1", escrow_wei=1, prices_usd_micro={"p-1": -1})
    with pytest.raises(InvariantError, match="negative"):
        refund_all(ORIGIN, job="j-1", tenant="t-1", escrow_wei=-1)


def test_a_movement_names_its_cause_and_leaves_out_what_is_zero():
    told = movement(ORIGIN, 2, "stake", "p-1 1", (("provider:p-1", -5), ("stake:p-1", 5), ("offset", 0)))
    assert (told.entry, told.epoch, told.at_ms, told.cause, told.ref) == ("12.5", 2, 99, "stake", "p-1 1")
    assert sides(told) == {"provider:p-1": -5, "stake:p-1": 5}


def test_a_movement_of_nothing_is_refused():
    with pytest.raises(InvariantError, match="claim p-1 1 moves nothing"):
        movement(ORIGIN, 0, "claim", "p-1 1", (("rewards:p-1", 0), ("provider:p-1", 0)))
