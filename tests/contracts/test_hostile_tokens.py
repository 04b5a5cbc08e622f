"""Tokens that keep a fee, say `false`, say nothing, or call back: nothing is credited that did not arrive."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts.chain import ALICE, BOB, BUYER, POSTER, SLASHER, Contract, deploy_token, pass_time, refuses, word
from tests.contracts.scene import EXIT_DELAY_S, KINDS, VETO_WINDOW_S, WITHDRAWAL_DELAY_S, deployed
from tests.contracts.tree import Leaf

HOLDING = sorted(set(KINDS) - {"ProviderRegistry"})
PAY_IN: dict[str, tuple[str, tuple[int, ...]]] = {
    "Escrow": ("deposit", ()),
    "GreenStaking": ("stake", ()),
    "OffsetVault": ("deposit", ()),
    "RewardDistributor": ("fund", (1,)),
    "StrategicReserve": ("request_deposit", ()),
}
CREDITED: dict[str, Callable[[Contract], int]] = {
    "Escrow": lambda contract: int(contract.deposits(ALICE)),
    "GreenStaking": lambda contract: int(contract.stake_of(ALICE)),
    "OffsetVault": lambda contract: int(contract.held()),
    "RewardDistributor": lambda contract: int(contract.funded()),
    "StrategicReserve": lambda contract: int(contract.pending()),
}


def pay_in(name: str, contract: Contract, amount: int, sender: str = ALICE) -> None:
    function, before = PAY_IN[name]
    contract.call(function, *before, amount, sender=sender)


def bring_out(name: str, contract: Contract, amount: int) -> Callable[[], None]:
    """Everything up to the call that pays `amount` to Alice, or to Bob where others decide; and that call."""
    if name == "Escrow":
        contract.request_withdraw(amount, sender=ALICE)
        pass_time(WITHDRAWAL_DELAY_S)
        return lambda: contract.withdraw(sender=ALICE)
    if name == "GreenStaking":
        contract.request_exit(amount, sender=ALICE)
        pass_time(EXIT_DELAY_S)
        return lambda: contract.withdraw(0, sender=ALICE)
    if name == "OffsetVault":
        return lambda: contract.retire(word("order"), word("r"), 1, 1, 1, False, amount, BOB, sender=BUYER)
    if name == "StrategicReserve":
        contract.settle(1, 10**6, 1, sender=POSTER)
        contract.request_exit(amount, sender=ALICE)
        contract.settle(2, contract.value_per_share_ppm(), 2, sender=POSTER)
        return lambda: contract.withdraw(2, sender=ALICE)
    leaf = Leaf(contract.address, 1, BOB, amount)
    contract.propose(1, leaf.node(), amount, sender=POSTER)
    pass_time(VETO_WINDOW_S)
    return lambda: contract.claim(1, BOB, amount, leaf.salt, [])


@pytest.fixture(params=HOLDING)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def liar() -> Contract:
    made = deploy_token("LyingToken")
    made.mint(ALICE, 10**6)
    return made


@pytest.fixture
def contract(name: str, liar: Contract) -> Contract:
    made = deployed(name, liar)
    liar.approve(made.address, 10**6, sender=ALICE)
    return made


def test_a_fee_on_transfer_credits_what_arrived(name: str, contract: Contract, liar: Contract) -> None:
    liar.set_fee_bps(250)
    pay_in(name, contract, 10_000)
    assert CREDITED[name](contract) == liar.balanceOf(contract.address) == 9750
    assert contract.logs[-1].values["amount"] == 9750


def test_a_fee_of_all_is_refused(name: str, contract: Contract, liar: Contract) -> None:
    liar.set_fee_bps(10_000)
    with refuses("tokens: nothing arrived"):
        pay_in(name, contract, 10_000)


def test_a_fee_on_the_way_out_is_the_receivers(name: str, contract: Contract, liar: Contract) -> None:
    pay_in(name, contract, 10_000)
    pay = bring_out(name, contract, 1000)
    held = liar.balanceOf(contract.address)
    liar.set_fee_bps(250)
    pay()
    assert held - liar.balanceOf(contract.address) == contract.logs[-1].values["amount"]


def test_false_is_a_refusal(name: str, contract: Contract, liar: Contract) -> None:
    liar.set_lies(True)
    with refuses("tokens: transfer refused"):
        pay_in(name, contract, 10_000)
    liar.set_lies(False)
    pay_in(name, contract, 10_000)
    pay = bring_out(name, contract, 1000)
    liar.set_lies(True)
    with refuses("tokens: transfer refused"):
        pay()
    liar.set_lies(False)
    pay()


def test_a_verdict_that_cannot_pay_is_not_spent(liar: Contract) -> None:
    staking = deployed("GreenStaking", liar)
    liar.approve(staking.address, 100, sender=ALICE)
    staking.stake(100, sender=ALICE)
    liar.set_lies(True)
    with refuses("tokens: transfer refused"):
        staking.slash(ALICE, 10, word("verdict"), sender=SLASHER)
    liar.set_lies(False)
    staking.slash(ALICE, 10, word("verdict"), sender=SLASHER)
    assert staking.stake_of(ALICE) == 90


def test_a_token_that_answers_nothing_is_taken_at_its_balances(name: str) -> None:
    silent = deploy_token("SilentToken")
    silent.mint(ALICE, 10**6)
    contract = deployed(name, silent)
    silent.approve(contract.address, 10**6, sender=ALICE)
    pay_in(name, contract, 10_000)
    assert CREDITED[name](contract) == 10_000
    held = silent.balanceOf(contract.address)
    bring_out(name, contract, 1000)()
    assert held - silent.balanceOf(contract.address) == contract.logs[-1].values["amount"] > 0


def test_calling_back_while_paying_in_gets_nowhere(name: str, contract: Contract, liar: Contract) -> None:
    function, before = PAY_IN[name]
    liar.mint(liar.address, 10**6)
    liar.act_approve(contract.address, 10**6)
    liar.set_call_back(contract.address, contract.data(function, *before, 500))
    pay_in(name, contract, 10_000)
    assert (liar.called_back(), liar.call_back_passed()) == (True, False)
    assert CREDITED[name](contract) == liar.balanceOf(contract.address) == 10_000


def test_calling_back_while_paid_gets_nothing_twice(name: str, contract: Contract, liar: Contract) -> None:
    """The token is itself the member that is paid, and asks for the same again before its balance is written."""
    liar.mint(liar.address, 10**6)
    liar.act_approve(contract.address, 10**6)
    function, before = PAY_IN[name]
    liar.act(contract.address, contract.data(function, *before, 10_000))
    again = ask_out_as_member(name, contract, liar)
    liar.set_call_back(contract.address, again)
    held = liar.balanceOf(contract.address)
    liar.act(contract.address, again)
    assert (liar.called_back(), liar.call_back_passed()) == (True, False)
    assert held - liar.balanceOf(contract.address) in {1000, 1000 * 10_000 // 11_000}


def ask_out_as_member(name: str, contract: Contract, liar: Contract) -> bytes:
    """Everything up to the call that pays the token itself; and the bytes of that call."""
    if name == "Escrow":
        liar.act(contract.address, contract.data("request_withdraw", 1000))
        pass_time(WITHDRAWAL_DELAY_S)
        return contract.data("withdraw")
    if name == "GreenStaking":
        liar.act(contract.address, contract.data("request_exit", 1000))
        pass_time(EXIT_DELAY_S)
        return contract.data("withdraw", 0)
    if name == "OffsetVault":
        contract.name_role(word("buyer"), liar.address)
        liar.act(contract.address, contract.data("accept_role", word("buyer")))
        order = (word("order"), word("registry"), 1, 1, 1, False, 1000, liar.address)
        return contract.data("retire", *order)
    if name == "StrategicReserve":
        contract.settle(1, 10**6, 1, sender=POSTER)
        liar.act(contract.address, contract.data("request_exit", 1000))
        contract.settle(2, contract.value_per_share_ppm(), 2, sender=POSTER)
        return contract.data("withdraw", 2)
    leaf = Leaf(contract.address, 1, liar.address, 1000)
    contract.propose(1, leaf.node(), 1000, sender=POSTER)
    pass_time(VETO_WINDOW_S)
    return contract.data("claim", 1, liar.address, 1000, leaf.salt, [])


def test_what_a_call_back_brings_in_by_itself_is_nobodys(name: str, contract: Contract, liar: Contract) -> None:
    liar.mint(liar.address, 10**6)
    liar.set_call_back(liar.address, liar.data("act", liar.address, liar.data("transfer", contract.address, 777)))
    pay_in(name, contract, 10_000)
    assert liar.call_back_passed()
    assert (CREDITED[name](contract), liar.balanceOf(contract.address)) == (10_000, 10_777)
    assert contract.logs[-1].values["amount"] == 10_000


def test_a_donation_is_nobodys(name: str, contract: Contract, liar: Contract) -> None:
    liar.mint(contract.address, 5000)
    assert CREDITED[name](contract) == 0
    pay_in(name, contract, 10_000)
    assert CREDITED[name](contract) == 10_000
    for _ in range(2):
        liar.mint(contract.address, 1)
    assert CREDITED[name](contract) == 10_000
