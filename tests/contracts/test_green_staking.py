"""Stake goes in at once, comes out late, and until it is out a verdict can take it."""

from __future__ import annotations

import pytest

from tests.contracts.chain import (
    ALICE,
    ATH,
    BOB,
    SINK,
    SLASHER,
    STRANGER,
    Contract,
    give,
    now_s,
    pass_time,
    refuses,
    word,
)
from tests.contracts.scene import EXIT_DELAY_S, deployed


@pytest.fixture
def staking(token: Contract) -> Contract:
    made = deployed("GreenStaking", token)
    for owner in (ALICE, BOB):
        give(token, owner, 100 * ATH, made)
    return made


def test_stake_comes_out_after_the_delay(staking: Contract, token: Contract) -> None:
    staking.stake(100, sender=ALICE)
    assert staking.request_exit(60, sender=ALICE) == 0
    assert staking.request_exit(40, sender=ALICE) == 1
    assert staking.logs[0].values == {
        "owner": ALICE.lower(),
        "id": 1,
        "amount": 40,
        "matures_at": now_s() + EXIT_DELAY_S,
    }
    assert (staking.stake_of(ALICE), staking.exiting(ALICE), staking.total()) == (0, 100, 100)
    pass_time(EXIT_DELAY_S - 1)
    with refuses("staking: not matured"):
        staking.withdraw(0, sender=ALICE)
    pass_time(1)
    before = token.balanceOf(ALICE)
    staking.withdraw(1, sender=ALICE)
    staking.withdraw(0, sender=ALICE)
    assert token.balanceOf(ALICE) - before == 100
    assert (staking.total(), staking.open_exit_ids(ALICE)) == (0, ())
    for number in (0, 1, 2):
        with refuses("staking: no such exit"):
            staking.withdraw(number, sender=ALICE)


def test_exits_are_ones_own(staking: Contract) -> None:
    staking.stake(10, sender=ALICE)
    staking.request_exit(10, sender=ALICE)
    pass_time(EXIT_DELAY_S)
    with refuses("staking: no such exit"):
        staking.withdraw(0, sender=BOB)


def test_what_cannot_be_asked_out(staking: Contract) -> None:
    staking.stake(10, sender=ALICE)
    with refuses("staking: nothing to ask out"):
        staking.request_exit(0, sender=ALICE)
    with refuses("staking: beyond the stake"):
        staking.request_exit(11, sender=ALICE)
    with refuses("tokens: nothing to take"):
        staking.stake(0, sender=ALICE)


def test_exits_are_few_at_a_time(staking: Contract) -> None:
    staking.stake(100, sender=ALICE)
    for _ in range(16):
        staking.request_exit(1, sender=ALICE)
    with refuses("staking: too many exits"):
        staking.request_exit(1, sender=ALICE)
    pass_time(EXIT_DELAY_S)
    staking.withdraw(5, sender=ALICE)
    assert staking.request_exit(1, sender=ALICE) == 16
    staking.slash(ALICE, 100, word("verdict"), sender=SLASHER)
    assert (staking.total(), staking.open_exit_ids(ALICE)) == (0, ())


def test_a_verdict_takes_stake_first_then_exits_in_order(staking: Contract, token: Contract) -> None:
    staking.stake(100, sender=ALICE)
    staking.stake(7, sender=BOB)
    for amount in (10, 20, 30):
        staking.request_exit(amount, sender=ALICE)
    staking.slash(ALICE, 75, word("first"), sender=SLASHER)
    assert staking.logs[-1].values == {
        "owner": ALICE.lower(),
        "verdict": word("first"),
        "from_stake": 40,
        "from_exits": 35,
        "to": SINK.lower(),
    }
    assert [staking.exits(ALICE, number)[0] for number in range(3)] == [0, 0, 25]
    assert (staking.exiting(ALICE), staking.open_exit_ids(ALICE), token.balanceOf(SINK)) == (25, (2,), 75)
    staking.slash(ALICE, 1000, word("second"), sender=SLASHER)
    assert (staking.total(), staking.stake_of(BOB), token.balanceOf(SINK)) == (7, 7, 100)


def test_an_exit_that_matured_can_be_taken_until_it_is_paid(staking: Contract, token: Contract) -> None:
    staking.stake(50, sender=ALICE)
    staking.request_exit(50, sender=ALICE)
    pass_time(EXIT_DELAY_S + 1)
    staking.slash(ALICE, 20, word("late"), sender=SLASHER)
    staking.withdraw(0, sender=ALICE)
    assert staking.logs[0].values["amount"] == 30
    assert token.balanceOf(SINK) == 20


def test_a_verdict_takes_once(staking: Contract, token: Contract) -> None:
    staking.stake(50, sender=ALICE)
    staking.slash(ALICE, 20, word("verdict"), sender=SLASHER)
    staking.slash(ALICE, 20, word("verdict"), sender=SLASHER)
    assert (staking.logs, token.balanceOf(SINK)) == ([], 20)
    for owner, amount in ((ALICE, 21), (BOB, 20)):
        with refuses("staking: verdict has other terms"):
            staking.slash(owner, amount, word("verdict"), sender=SLASHER)
    with refuses("staking: nothing to take"):
        staking.slash(ALICE, 0, word("nothing"), sender=SLASHER)


def test_a_verdict_on_nothing_is_kept_all_the_same(staking: Contract) -> None:
    staking.slash(STRANGER, 20, word("verdict"), sender=SLASHER)
    assert staking.logs[0].values["from_stake"] == 0


def test_a_pause_stops_no_matured_exit_and_no_verdict(staking: Contract, token: Contract) -> None:
    staking.stake(50, sender=ALICE)
    staking.request_exit(40, sender=ALICE)
    staking.pause()
    pass_time(EXIT_DELAY_S)
    staking.slash(ALICE, 20, word("verdict"), sender=SLASHER)
    staking.withdraw(0, sender=ALICE)
    assert token.balanceOf(ALICE) == 100 * ATH - 20


def test_a_longer_delay_holds_nobody_back_who_asked_before(staking: Contract) -> None:
    staking.stake(50, sender=ALICE)
    staking.request_exit(40, sender=ALICE)
    staking.announce(word("exit_delay_s"), 180 * 86_400)
    pass_time(EXIT_DELAY_S)
    staking.enact(word("exit_delay_s"))
    staking.withdraw(0, sender=ALICE)
    staking.request_exit(10, sender=ALICE)
    pass_time(EXIT_DELAY_S)
    with refuses("staking: not matured"):
        staking.withdraw(1, sender=ALICE)
