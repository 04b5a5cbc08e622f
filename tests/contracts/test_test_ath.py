"""The test token: who mints, and where it refuses to be."""

from __future__ import annotations

import boa
import pytest

from tests.contracts.chain import ALICE, ATH, BOB, CHAIN_ID, OWNER, STRANGER, Contract, deploy, refuses


def test_the_owner_alone_mints(token: Contract) -> None:
    token.mint(ALICE, 5 * ATH)
    assert token.balanceOf(ALICE) == token.totalSupply() == 5 * ATH
    with refuses("ownable: caller is not the owner"):
        token.mint(STRANGER, 1, sender=STRANGER)


def test_it_moves_like_any_token(token: Contract) -> None:
    token.mint(ALICE, 10)
    assert token.transfer(BOB, 4, sender=ALICE)
    token.approve(OWNER, 3, sender=BOB)
    token.transferFrom(BOB, ALICE, 3)
    assert (token.balanceOf(ALICE), token.balanceOf(BOB)) == (9, 1)
    with refuses("erc20: insufficient allowance"):
        token.transferFrom(BOB, ALICE, 1)


def test_the_new_owner_has_to_accept(token: Contract) -> None:
    token.transfer_ownership(ALICE)
    assert token.owner() == OWNER.lower()
    with refuses("ownable_2step: caller is not the new owner"):
        token.accept_ownership(sender=BOB)
    token.accept_ownership(sender=ALICE)
    token.mint(BOB, 1, sender=ALICE)
    with refuses("ownable: caller is not the owner"):
        token.mint(BOB, 1)


@pytest.mark.parametrize("chain_id", [1, 10, 56, 8453, 42161, 42170])
def test_no_main_network_takes_it(chain_id: int) -> None:
    boa.env.evm.patch.chain_id = chain_id
    with refuses("test_ath: a main network"):
        deploy("TestATH")


@pytest.mark.parametrize("chain_id", [CHAIN_ID, 1337, 11155111, 421614])
def test_test_networks_do(chain_id: int) -> None:
    boa.env.evm.patch.chain_id = chain_id
    assert deploy("TestATH").symbol() == "tATH"
