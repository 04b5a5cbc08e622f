from dataclasses import replace

import pytest

from sunward.errors import InvariantError
from sunward.model.reserve import VaultRequest
from sunward.settlement.reserve import (
    DEAD_SHARES,
    Obligation,
    Prices,
    Vault,
    coverage_ppm,
    is_covered,
    liability_usd_micro,
    premium_usd_micro,
    settle_requests,
    spare_wei,
    split_premium,
    value_usd_micro,
)
from sunward.units import HOUR_MS

ATH = 10**18
PRICES = Prices(
    usd_held_micro=10_000_000, wei_per_usd_micro=2 * 10**12, wei_per_usd_micro_max=4 * 10**12, haircut_ppm=500_000
)
"""0.50 USD now, 0.25 USD at its lowest."""


def put(number, holder, wei):
    return VaultRequest(number=number, holder=holder, wei=wei)


def leave(number, holder, shares, matures_ms=0):
    return VaultRequest(number=number, holder=holder, shares=shares, matures_ms=matures_ms)


def settle(vault, *requests, spare=10**30, at_ms=10, fell_ms=0):
    return settle_requests(vault, requests, at_ms=at_ms, spare=spare, fell_ms=fell_ms)


def test_value_counts_ath_at_its_low_less_the_haircut():
    # 10 USD + 100 ATH · 0.25 USD · 0.5 = 22.50 USD.
    assert value_usd_micro(100 * ATH, PRICES) == 22_500_000
    dear = replace(PRICES, wei_per_usd_micro=5 * 10**12)
    assert value_usd_micro(100 * ATH, dear) == 20_000_000


def test_liability_is_what_is_missing_when_the_premium_still_comes_in():
    one = Obligation(
        promise="p",
        containers=3,
        left_ms=2 * HOUR_MS,
        replacement_usd_micro_per_h=4_000_000,
        premium_usd_micro_per_h=500_000,
    )
    assert one.liability_usd_micro == 3 * 2 * 3_500_000
    assert one.replacement_usd_micro == 3 * 2 * 4_000_000
    dear = replace(one, premium_usd_micro_per_h=5_000_000)
    assert dear.liability_usd_micro == 0
    assert liability_usd_micro(7, [one, dear]) == 21_000_007


def test_coverage_is_none_where_nothing_is_owed():
    assert coverage_ppm(5, 0) is None
    assert coverage_ppm(3, 2) == 1_500_000
    assert is_covered(3, 2, 1_500_000)
    assert not is_covered(3, 2, 1_500_001)


@pytest.mark.parametrize("liability", [0, 1, 8_000_000, 14_999_999, 15_000_000, 15_000_001, 40_000_000])
def test_what_is_spare_keeps_the_floor_to_the_wei(liability):
    held = 100 * ATH
    spare = spare_wei(held, PRICES, liability, 1_500_000)
    if spare:
        assert is_covered(value_usd_micro(held - spare, PRICES), liability, 1_500_000)
    if spare < held:
        assert not is_covered(value_usd_micro(held - spare - 10**9, PRICES), liability, 1_500_000)


def test_the_first_shares_belong_to_nobody():
    done = settle(Vault(), put(1, "a", 5 * ATH))
    assert done.vault.shares == {"a": 5 * ATH}
    assert done.vault.dead_shares == DEAD_SHARES
    assert 5 * ATH - DEAD_SHARES <= done.vault.worth_wei(5 * ATH) < 5 * ATH


def test_what_came_before_the_first_holder_is_nobodys():
    done = settle(Vault(held_wei=7 * ATH), put(1, "a", ATH))
    assert done.vault.held_wei == 8 * ATH
    assert done.vault.worth_wei(done.vault.shares["a"]) < ATH


def test_a_deposit_pays_no_more_than_its_shares_are_worth():
    vault = Vault(held_wei=1_000_000, shares={"a": 10}, dead_shares=0)
    done = settle(vault, put(1, "b", 250_001))
    assert (done.done[0].wei, done.done[0].shares) == (200_000, 2)
    assert done.vault.worth_wei(2) == 200_000
    assert settle(vault, put(1, "b", 99_999)).lapsed == (put(1, "b", 99_999),)


def test_exits_wait_for_their_moment_and_for_the_floor_in_order():
    vault = Vault(held_wei=100, shares={"a": 50, "b": 50})
    late, first, second = leave(1, "a", 5, 11), leave(2, "a", 30, 5), leave(3, "b", 10, 5)
    done = settle(vault, late, first, second, spare=20)
    # The second would fit, and waits behind the first all the same; who has not matured holds nobody up.
    assert done.waiting == (late, first, second)
    done = settle(vault, late, first, second, spare=35)
    assert [(one.request.number, one.wei) for one in done.done] == [(2, 30)]


def test_an_exit_that_had_matured_before_the_fall_is_paid():
    vault = Vault(held_wei=100, shares={"a": 50, "b": 50})
    early, late = leave(1, "a", 50, 5), leave(2, "b", 50, 7)
    done = settle(vault, late, early, spare=0, fell_ms=6)
    assert [one.request for one in done.done] == [early]
    assert done.waiting == (late,)


def test_what_comes_in_lets_others_leave():
    vault = Vault(held_wei=100, shares={"a": 100})
    done = settle(vault, put(1, "b", 60), leave(2, "a", 60), spare=0)
    assert done.vault.shares == {"a": 40, "b": 60}
    assert done.vault.held_wei == 100


def test_a_vault_that_was_paid_away_begins_anew():
    done = settle(Vault(held_wei=0, shares={"a": 100}, dead_shares=3), put(1, "b", ATH), leave(2, "a", 100))
    assert done.vault.shares == {"b": ATH}
    assert done.lapsed == (leave(2, "a", 100),)


def test_nobody_leaves_with_more_than_he_has():
    with pytest.raises(InvariantError, match="more than it has"):
        settle(Vault(held_wei=100, shares={"a": 1, "b": 99}), leave(1, "a", 2))


def test_a_premium_is_divided_to_the_wei():
    assert premium_usd_micro(2, 90 * 60_000, 333_333) == 999_999
    parts = split_premium(1_000_003, offset_share_bps=100, reserve_share_bps=2_000)
    assert (parts.offset_wei, parts.reserve_wei, parts.provider_wei) == (10_000, 198_000, 792_003)
