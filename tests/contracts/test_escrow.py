"""Deposits pay for jobs in batches, and come back after a delay as far as they are still there."""

from __future__ import annotations

import pytest

from tests.contracts.chain import ALICE, BOB, CAROL, POSTER, Contract, give, now_s, pass_time, person, refuses, word
from tests.contracts.scene import WITHDRAWAL_DELAY_S, deployed

NETWORK = person("network")
ZERO = "0x" + "00" * 20


@pytest.fixture
def escrow(token: Contract) -> Contract:
    made = deployed("Escrow", token)
    for owner in (ALICE, BOB):
        give(token, owner, 1000, made)
    made.deposit(100, sender=ALICE)
    made.deposit(50, sender=BOB)
    return made


def test_a_batch_moves_what_jobs_cost(escrow: Contract, token: Contract) -> None:
    escrow.settle(word("batch"), [ALICE, BOB, ALICE], [30, 50, 5], NETWORK, sender=POSTER)
    assert [one.name for one in escrow.logs] == ["Paid", "Paid", "Paid", "Settled"]
    assert escrow.logs[-1].values == {"batch": word("batch"), "to": NETWORK.lower(), "amount": 85}
    assert (escrow.deposits(ALICE), escrow.deposits(BOB), escrow.held()) == (65, 0, 65)
    assert token.balanceOf(NETWORK) == 85


def test_a_batch_is_settled_once(escrow: Contract, token: Contract) -> None:
    for _ in range(2):
        escrow.settle(word("batch"), [ALICE], [30], NETWORK, sender=POSTER)
    assert (escrow.logs, token.balanceOf(NETWORK)) == ([], 30)
    for payers, amounts, to in (([BOB], [30], NETWORK), ([ALICE], [31], NETWORK), ([ALICE], [30], CAROL)):
        with refuses("escrow: batch has other terms"):
            escrow.settle(word("batch"), payers, amounts, to, sender=POSTER)


def test_nothing_is_taken_beyond_a_deposit(escrow: Contract) -> None:
    for payers, amounts in (
        ([ALICE], [101]),
        ([BOB, ALICE, BOB], [40, 1, 11]),
        ([CAROL], [1]),
        ([ALICE], [2**256 - 1]),
    ):
        with refuses("escrow: beyond the deposit"):
            escrow.settle(word("batch"), payers, amounts, NETWORK, sender=POSTER)
    assert escrow.held() == 150


@pytest.mark.parametrize(
    ("payers", "amounts", "to", "reason"),
    [
        ([ALICE], [1], ZERO, "nobody to pay"),
        ([ALICE], [1, 2], NETWORK, "payers and amounts differ in number"),
        ([], [], NETWORK, "nothing to settle"),
        ([ALICE], [0], NETWORK, "nothing to settle"),
    ],
)
def test_batches_that_are_none(escrow: Contract, payers: list[str], amounts: list[int], to: str, reason: str) -> None:
    with refuses(f"escrow: {reason}"):
        escrow.settle(word("batch"), payers, amounts, to, sender=POSTER)


def test_it_does_not_pay_itself(escrow: Contract) -> None:
    with refuses("escrow: nobody to pay"):
        escrow.settle(word("batch"), [ALICE], [1], escrow.address, sender=POSTER)


def test_the_largest_batch(escrow: Contract, token: Contract) -> None:
    escrow.settle(word("batch"), [ALICE] * 64, [1] * 64, NETWORK, sender=POSTER)
    assert token.balanceOf(NETWORK) == 64


def test_a_deposit_comes_back_after_the_delay(escrow: Contract, token: Contract) -> None:
    with refuses("escrow: nothing asked for"):
        escrow.withdraw(sender=ALICE)
    with refuses("escrow: beyond the deposit"):
        escrow.request_withdraw(101, sender=ALICE)
    escrow.request_withdraw(100, sender=ALICE)
    assert escrow.logs[0].values["matures_at"] == now_s() + WITHDRAWAL_DELAY_S
    pass_time(WITHDRAWAL_DELAY_S - 1)
    with refuses("escrow: not matured"):
        escrow.withdraw(sender=ALICE)
    pass_time(1)
    escrow.withdraw(sender=ALICE)
    assert (token.balanceOf(ALICE), escrow.held()) == (1000, 50)
    with refuses("escrow: nothing asked for"):
        escrow.withdraw(sender=ALICE)


def test_what_was_asked_for_still_pays_for_jobs(escrow: Contract, token: Contract) -> None:
    escrow.request_withdraw(90, sender=ALICE)
    escrow.settle(word("batch"), [ALICE], [70], NETWORK, sender=POSTER)
    pass_time(WITHDRAWAL_DELAY_S)
    escrow.withdraw(sender=ALICE)
    assert (token.balanceOf(ALICE), escrow.deposits(ALICE)) == (930, 0)


def test_nothing_left_is_said(escrow: Contract) -> None:
    escrow.request_withdraw(50, sender=BOB)
    escrow.settle(word("batch"), [BOB], [50], NETWORK, sender=POSTER)
    pass_time(WITHDRAWAL_DELAY_S)
    with refuses("escrow: nothing left"):
        escrow.withdraw(sender=BOB)


def test_a_later_request_waits_anew(escrow: Contract) -> None:
    escrow.request_withdraw(90, sender=ALICE)
    pass_time(WITHDRAWAL_DELAY_S)
    escrow.request_withdraw(10, sender=ALICE)
    with refuses("escrow: not matured"):
        escrow.withdraw(sender=ALICE)
    escrow.request_withdraw(0, sender=ALICE)
    pass_time(WITHDRAWAL_DELAY_S)
    with refuses("escrow: nothing asked for"):
        escrow.withdraw(sender=ALICE)


def test_a_pause_keeps_no_deposit(escrow: Contract, token: Contract) -> None:
    escrow.settle(word("batch"), [BOB], [1], NETWORK, sender=POSTER)
    escrow.pause()
    escrow.settle(word("batch"), [BOB], [1], NETWORK, sender=POSTER)
    escrow.request_withdraw(100, sender=ALICE)
    pass_time(WITHDRAWAL_DELAY_S)
    escrow.withdraw(sender=ALICE)
    assert token.balanceOf(ALICE) == 1000
