from sunward.settlement.quote import escrow_for, quote_usd_micro


def test_quotes_round_up():
    assert quote_usd_micro(4, 3_600_000, 2_500_000) == 10_000_000
    assert quote_usd_micro(1, 1, 1) == 1
    assert quote_usd_micro(1, 0, 1) == 0


def test_escrow_is_the_price_with_margin_rounded_up():
    assert escrow_for(1_000_000, 10**12, 2_000) == 1_200_000 * 10**12
    assert escrow_for(3, 1, 1) == 4
