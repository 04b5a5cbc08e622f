"""Shares of what is held: changed at the close of an epoch only, at one value, to nobody's gain."""

from __future__ import annotations

import boa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.chain import (
    ALICE,
    ATH,
    BOB,
    CAROL,
    POSTER,
    STRANGER,
    Contract,
    deploy,
    give,
    pass_time,
    person,
    refuses,
    word,
)
from tests.contracts.scene import PATIENCE_S, deployed

HARMED = person("harmed")
ZERO = "0x" + "00" * 20
PAR = 10**6


@pytest.fixture
def reserve(token: Contract) -> Contract:
    made = deployed("StrategicReserve", token)
    for owner in (ALICE, BOB, CAROL):
        give(token, owner, 10**6 * ATH, made)
    return made


def settle(reserve: Contract, epoch: int, value: int | None = None, to: int | None = None) -> None:
    value = reserve.value_per_share_ppm() if value is None else value
    reserve.settle(epoch, value, reserve.last_id() if to is None else to, sender=POSTER)


def earn(reserve: Contract, token: Contract, amount: int, ref: str = "premium") -> None:
    token.mint(reserve.address, amount)
    reserve.recognise(word(ref), amount, sender=POSTER)


def paid(reserve: Contract, number: int) -> int:
    return int(reserve.requests(number)[4])


def test_deposits_become_shares_at_the_close(reserve: Contract) -> None:
    assert reserve.request_deposit(5000, sender=ALICE) == 1
    assert (reserve.shares(ALICE), reserve.held(), reserve.pending()) == (0, 0, 5000)
    settle(reserve, 1)
    assert [one.name for one in reserve.logs] == ["DepositSettled", "Settled"]
    assert (reserve.shares(ALICE), reserve.held(), reserve.pending()) == (5000, 5000, 0)
    assert reserve.total_shares() == 6000


def test_exits_are_paid_once_settled(reserve: Contract, token: Contract) -> None:
    reserve.request_deposit(9000, sender=ALICE)
    settle(reserve, 1)
    with refuses("reserve: beyond the shares"):
        reserve.request_exit(9001, sender=ALICE)
    with refuses("reserve: nothing to ask out"):
        reserve.request_exit(0, sender=ALICE)
    number = reserve.request_exit(4000, sender=ALICE)
    with refuses("reserve: not settled"):
        reserve.withdraw(number, sender=ALICE)
    settle(reserve, 2)
    with refuses("reserve: not your request"):
        reserve.withdraw(number, sender=BOB)
    before = token.balanceOf(ALICE)
    reserve.withdraw(number, sender=ALICE)
    assert token.balanceOf(ALICE) - before == 9000 * 4000 // 10000 == 3600
    with refuses("reserve: nothing to pay"):
        reserve.withdraw(number, sender=ALICE)
    assert (reserve.held(), reserve.owed(), reserve.total_shares()) == (5400, 0, 6000)


def test_all_requests_of_an_epoch_have_one_value(reserve: Contract, token: Contract) -> None:
    reserve.request_deposit(10**6, sender=ALICE)
    settle(reserve, 1)
    earn(reserve, token, 777)
    reserve.request_exit(400_000, sender=ALICE)
    reserve.request_deposit(10**6, sender=BOB)
    reserve.request_exit(400_000, sender=ALICE)
    settle(reserve, 2, to=3)
    settle(reserve, 2, value=reserve.epochs(2)[0])
    assert paid(reserve, 2) == paid(reserve, 4) == (10**6 + 777) * 400_000 // (10**6 + 1000)


def test_settling_again_changes_nothing(reserve: Contract) -> None:
    reserve.request_deposit(5000, sender=ALICE)
    reserve.request_deposit(5000, sender=BOB)
    settle(reserve, 3, to=1)
    for to in (0, 1):
        settle(reserve, 3, value=PAR, to=to)
        assert reserve.logs == []
    with refuses("reserve: epoch has another value"):
        settle(reserve, 3, value=PAR - 1)
    with refuses("reserve: epoch is past"):
        settle(reserve, 2, to=2)
    with refuses("reserve: no such request"):
        settle(reserve, 4, to=3)
    settle(reserve, 4, to=1)
    with refuses("reserve: epoch is past"):
        settle(reserve, 3, value=PAR, to=2)
    with refuses("reserve: no such request"):
        settle(reserve, 5, to=0)


def test_batches_are_bounded(reserve: Contract) -> None:
    for _ in range(33):
        reserve.request_deposit(1, sender=ALICE)
    with refuses("reserve: too many at once"):
        settle(reserve, 1)
    settle(reserve, 1, to=32)
    settle(reserve, 1, value=PAR)
    assert reserve.shares(ALICE) == 33


def test_a_value_lies_within_bounds(reserve: Contract, token: Contract) -> None:
    with refuses("reserve: value beyond what is held"):
        settle(reserve, 1, value=PAR + 1)
    with refuses("reserve: value too low"):
        settle(reserve, 1, value=PAR // 2 - 1)
    reserve.request_deposit(10**6, sender=ALICE)
    settle(reserve, 1, value=PAR // 2)
    most = reserve.value_per_share_ppm()
    assert most == 10**12 // (10**6 + 1000)
    with refuses("reserve: value beyond what is held"):
        settle(reserve, 2, value=most + 1)
    reserve.request_exit(10**5, sender=ALICE)
    settle(reserve, 2, value=most // 2 + 1)
    assert paid(reserve, 2) == 10**5 * (most // 2 + 1) // PAR


def test_a_value_that_has_changed_is_posted_anew(reserve: Contract, token: Contract) -> None:
    for owner in (ALICE, BOB):
        reserve.request_deposit(10**6, sender=owner)
    settle(reserve, 1, to=1)
    earn(reserve, token, 5)
    with refuses("reserve: value has changed"):
        settle(reserve, 1, value=PAR)
    settle(reserve, 2)


def test_a_payment_changes_the_value_too(reserve: Contract) -> None:
    for owner in (ALICE, BOB):
        reserve.request_deposit(10**6, sender=owner)
    settle(reserve, 1, to=1)
    reserve.compensate(word("call"), HARMED, 10, sender=POSTER)
    with refuses("reserve: value has changed"):
        settle(reserve, 1, value=PAR)


def test_who_asks_after_the_value_was_posted_waits(reserve: Contract) -> None:
    reserve.request_deposit(10**6, sender=ALICE)
    settle(reserve, 1)
    reserve.request_exit(10**6, sender=ALICE)
    with refuses("reserve: asked after the value was posted"):
        settle(reserve, 1, value=PAR)
    settle(reserve, 2)


def test_a_donation_changes_nothing(reserve: Contract, token: Contract) -> None:
    reserve.request_deposit(10**6, sender=ALICE)
    settle(reserve, 1)
    before = (reserve.held(), reserve.value_per_share_ppm(), reserve.total_shares())
    token.mint(reserve.address, 10**9)
    assert (reserve.held(), reserve.value_per_share_ppm(), reserve.total_shares()) == before
    number = reserve.request_exit(10**6, sender=ALICE)
    settle(reserve, 2)
    assert paid(reserve, number) == 10**6 * 10**6 // (10**6 + 1000)


@pytest.mark.parametrize("deposit", [1, ATH, 998 * ATH, 1000 * ATH, 12_345 * ATH])
def test_who_comes_first_gains_nothing_from_who_comes_next(reserve: Contract, token: Contract, deposit: int) -> None:
    reserve.request_deposit(1, sender=ALICE)
    settle(reserve, 1)
    earn(reserve, token, 10**6 * ATH)
    reserve.request_deposit(deposit, sender=BOB)
    settle(reserve, 2)
    mine = reserve.request_exit(1, sender=ALICE)
    if shares := reserve.shares(BOB):
        reserve.request_exit(shares, sender=BOB)
    settle(reserve, 3)
    # A deposit too small for a share comes back whole, and of another one what no share stands for.
    assert paid(reserve, 2) + (paid(reserve, 4) if shares else 0) >= deposit - 1
    assert paid(reserve, mine) <= (10**6 * ATH + 1) // 1001


def test_what_came_is_counted_once_and_only_if_it_came(reserve: Contract, token: Contract) -> None:
    reserve.request_deposit(100, sender=ALICE)
    with refuses("reserve: nothing of that came"):
        reserve.recognise(word("ref"), 1, sender=POSTER)
    token.mint(reserve.address, 50)
    for amount in (51, 2**256 - 1):
        with refuses("reserve: nothing of that came"):
            reserve.recognise(word("ref"), amount, sender=POSTER)
    with refuses("reserve: nothing to count"):
        reserve.recognise(word("ref"), 0, sender=POSTER)
    for _ in range(2):
        reserve.recognise(word("ref"), 30, sender=POSTER)
    assert (reserve.held(), reserve.logs) == (30, [])
    with refuses("reserve: reference has other terms"):
        reserve.recognise(word("ref"), 20, sender=POSTER)


def test_who_was_harmed_is_paid_once_within_a_limit(reserve: Contract, token: Contract) -> None:
    earn(reserve, token, 1000)
    for _ in range(2):
        reserve.compensate(word("call"), HARMED, 150, sender=POSTER)
    assert (token.balanceOf(HARMED), reserve.held(), reserve.logs) == (150, 850, [])
    with refuses("reserve: reference has other terms"):
        reserve.compensate(word("call"), STRANGER, 150, sender=POSTER)
    with refuses("reserve: beyond the limit"):
        reserve.compensate(word("more"), HARMED, 51, sender=POSTER)
    for part in ("more", "still more"):
        reserve.compensate(word(part), HARMED, 25, sender=POSTER)
    with refuses("reserve: beyond the limit"):
        reserve.compensate(word("too much"), HARMED, 1, sender=POSTER)
    pass_time(86_400)
    reserve.compensate(word("next day"), HARMED, 160, sender=POSTER)
    for to, amount, reason in ((ZERO, 1, "nobody to pay"), (HARMED, 0, "nothing to pay"), (HARMED, 641, "not enough")):
        with refuses(f"reserve: {reason}"):
            reserve.compensate(word("none"), to, amount, sender=POSTER)


def test_next_to_nothing_is_still_shared(reserve: Contract, token: Contract) -> None:
    token.mint(BOB, 10**11 * ATH)
    reserve.request_deposit(ATH, sender=ALICE)
    settle(reserve, 1)
    reserve.announce(word("payout_limit_ppm"), 500_000)
    pass_time(2 * 86_400)
    reserve.enact(word("payout_limit_ppm"))
    day = 0
    while (held := reserve.held()) > 1:
        pass_time(86_400)
        day += 1
        reserve.compensate(word(f"day {day}"), HARMED, held // 2, sender=POSTER)
    with refuses("reserve: beyond the limit"):
        reserve.compensate(word("last"), HARMED, 1, sender=POSTER)
    assert reserve.value_per_share_ppm() == 1
    exit_number = reserve.request_exit(ATH, sender=ALICE)
    small, large = (reserve.request_deposit(amount, sender=BOB) for amount in (ATH, 10**10 * ATH))
    settle(reserve, 2)
    # As many shares as that would fill any word: the deposit comes back instead of holding up the others.
    assert (paid(reserve, exit_number), paid(reserve, small)) == (0, 0)
    assert paid(reserve, large) == 10**10 * ATH
    assert reserve.shares(BOB) == ATH * (ATH + 1000)


def test_a_request_nobody_settles_is_taken_back(reserve: Contract, token: Contract) -> None:
    reserve.request_deposit(500, sender=ALICE)
    reserve.request_deposit(700, sender=BOB)
    settle(reserve, 1, to=1)
    reserve.request_exit(200, sender=ALICE)
    reserve.pause()
    pass_time(PATIENCE_S - 1)
    with refuses("reserve: too early"):
        reserve.cancel(2, sender=BOB)
    pass_time(1)
    with refuses("reserve: not your request"):
        reserve.cancel(2, sender=ALICE)
    with refuses("reserve: not waiting"):
        reserve.cancel(1, sender=ALICE)
    reserve.cancel(2, sender=BOB)
    reserve.withdraw(2, sender=BOB)
    reserve.cancel(3, sender=ALICE)
    assert (token.balanceOf(BOB), reserve.shares(ALICE), reserve.pending()) == (10**6 * ATH, 500, 0)
    reserve.unpause()
    settle(reserve, 2)
    assert (reserve.held(), reserve.shares(BOB)) == (500, 0)


def test_a_pause_stops_no_payment_of_what_was_settled(reserve: Contract, token: Contract) -> None:
    reserve.request_deposit(500, sender=ALICE)
    settle(reserve, 1)
    reserve.request_exit(500, sender=ALICE)
    settle(reserve, 2)
    reserve.pause()
    reserve.withdraw(2, sender=ALICE)
    assert token.balanceOf(reserve.address) == reserve.held()


@settings(max_examples=12)
@given(
    amounts=st.lists(st.integers(1, 10**21), min_size=2, max_size=6),
    exits=st.lists(st.integers(0, 10**6), min_size=2, max_size=6),
    earned=st.integers(0, 10**21),
    value_ppm=st.integers(500_000, 10**6),
    order=st.randoms(use_true_random=False),
)
def test_no_order_of_requests_lets_one_gain(
    amounts: list[int], exits: list[int], earned: int, value_ppm: int, order: st.randoms
) -> None:
    owners = [f"0x{i + 100:040x}" for i in range(len(amounts))]
    asked = list(zip(owners, exits, strict=False))
    order.shuffle(asked)
    with boa.env.anchor():
        token = deploy("TestATH")
        reserve = deployed("StrategicReserve", token)
        give(token, ALICE, 10**30, reserve)
        for owner, amount in zip(owners, amounts, strict=True):
            give(token, owner, amount, reserve)
            reserve.request_deposit(amount, sender=owner)
        settle(reserve, 1)
        if earned:
            earn(reserve, token, earned)
        held, total = reserve.held(), reserve.total_shares()
        shares = {owner: reserve.shares(owner) for owner in owners}
        newcomer = reserve.request_deposit(10**18, sender=ALICE)
        numbers = {
            owner: reserve.request_exit(part, sender=owner)
            for owner, share_ppm in asked
            if (part := shares[owner] * share_ppm // PAR)
        }
        value = max(1, reserve.value_per_share_ppm() * value_ppm // PAR)
        settle(reserve, 2, value=max(value, (reserve.value_per_share_ppm() + 1) // 2))
        left, left_total = reserve.held(), reserve.total_shares()
        # A share holds no less than before for who stays, and no more than before was paid for one that left.
        assert left * total >= held * left_total
        for number in numbers.values():
            assert paid(reserve, number) * total <= held * reserve.requests(number)[2]
        # Who came paid at least what its shares were worth.
        assert (10**18 - paid(reserve, newcomer)) * total >= reserve.shares(ALICE) * held
        assert token.balanceOf(reserve.address) == reserve.held() + reserve.pending() + reserve.owed()
