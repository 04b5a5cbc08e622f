"""Credits are paid once, their serials are retired once, and those of a test count nothing."""

from __future__ import annotations

import boa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.chain import (
    ALICE,
    ATH,
    BUYER,
    DAY_S,
    Contract,
    Reverted,
    deploy,
    give,
    now_s,
    pass_time,
    person,
    refuses,
    word,
)
from tests.contracts.scene import EPOCH_LIMIT_WEI, deployed

REGISTRY = word("registry")
SELLER = person("seller")
ZERO = "0x" + "00" * 20


@pytest.fixture
def vault(token: Contract) -> Contract:
    made = deployed("OffsetVault", token)
    give(token, ALICE, 1000 * ATH, made)
    made.deposit(500 * ATH, sender=ALICE)
    return made


def retire(
    vault: Contract,
    order: str,
    first: int,
    last: int,
    kg: int = 1,
    *,
    registry: bytes = REGISTRY,
    test: bool = False,
    amount: int = ATH,
    to: str = SELLER,
) -> None:
    vault.retire(word(order), registry, first, last, kg, test, amount, to, sender=BUYER)


def test_an_order_pays_and_is_listed(vault: Contract, token: Contract) -> None:
    retire(vault, "order", 10, 14, 5000)
    assert token.balanceOf(SELLER) == ATH
    assert vault.orders(word("order")) == (REGISTRY, 10, 14, 5000, False, ATH, SELLER.lower(), now_s())
    assert (vault.retired_kg(), vault.test_kg(), vault.held()) == (5000, 0, 499 * ATH)
    assert [vault.is_retired(REGISTRY, serial) for serial in (9, 10, 14, 15)] == [False, True, True, False]


def test_credits_of_a_test_count_nothing(vault: Contract, token: Contract) -> None:
    retire(vault, "order", 10, 14, 5000, test=True)
    assert (vault.retired_kg(), vault.test_kg(), token.balanceOf(SELLER)) == (0, 5000, ATH)


def test_the_same_order_again_changes_nothing(vault: Contract, token: Contract) -> None:
    retire(vault, "order", 10, 14)
    pass_time(5)
    retire(vault, "order", 10, 14)
    assert (vault.logs, token.balanceOf(SELLER)) == ([], ATH)
    with refuses("vault: order has other terms"):
        retire(vault, "order", 10, 15)
    with refuses("vault: order has other terms"):
        retire(vault, "order", 10, 14, test=True)


@pytest.mark.parametrize(("first", "last"), [(10, 14), (14, 14), (10, 10), (12, 13), (5, 10), (14, 30), (0, 2**64 - 1)])
@pytest.mark.parametrize("test", [True, False])
def test_a_serial_is_retired_once(vault: Contract, first: int, last: int, test: bool) -> None:  # noqa: FBT001
    retire(vault, "order", 10, 14)
    with refuses("ranges: overlap"):
        retire(vault, "other", first, last, test=test)
    retire(vault, "other", first, last, registry=word("another registry"))


def test_neighbours_do_not_overlap(vault: Contract) -> None:
    for number, (first, last) in enumerate([(10, 14), (15, 15), (9, 9), (256, 511), (255, 255), (512, 512)]):
        retire(vault, str(number), first, last)


@pytest.mark.parametrize(
    ("first", "last", "kg", "reason"),
    [
        (10, 9, 1, "vault: ends before it starts"),
        (0, 2**64, 1, "ranges: number too large"),
        (2**256 - 1, 2**256 - 1, 1, "ranges: number too large"),
        (10, 11, 0, "vault: nothing retired"),
        (10, 11, 2001, "vault: more than the serials stand for"),
        (10, 11, 2**256 - 1, "vault: more than the serials stand for"),
    ],
)
def test_serials_that_are_none(vault: Contract, first: int, last: int, kg: int, reason: str) -> None:
    with refuses(reason):
        retire(vault, "order", first, last, kg)


def test_nobody_is_paid_by_mistake(vault: Contract) -> None:
    for to in (ZERO, vault.address):
        with refuses("vault: nobody to pay"):
            retire(vault, "order", 1, 1, to=to)
    with refuses("vault: not enough"):
        retire(vault, "order", 1, 1, amount=500 * ATH + 1)


def test_a_day_has_a_limit(vault: Contract) -> None:
    retire(vault, "first", 1, 1, amount=EPOCH_LIMIT_WEI)
    with refuses("vault: beyond the limit"):
        retire(vault, "second", 2, 2, amount=1)
    pass_time(DAY_S - now_s() % DAY_S)
    retire(vault, "second", 2, 2, amount=1)


def test_serials_are_no_one_can_ask_about(vault: Contract) -> None:
    with refuses("vault: no such serial"):
        vault.is_retired(REGISTRY, 2**64)


def test_what_a_pause_leaves(vault: Contract) -> None:
    retire(vault, "order", 10, 14)
    vault.pause()
    retire(vault, "order", 10, 14)
    assert vault.is_retired(REGISTRY, 12)


def near(number: int) -> st.SearchStrategy[int]:
    """Numbers about a border of the tree's nodes, where mistakes would be."""
    return st.integers(max(0, number - 3), min(2**64 - 1, number + 3))


SERIALS = st.one_of(
    st.sampled_from([0, 255, 256, 2**16, 2**32, 2**56, 2**63, 2**64 - 1]).flatmap(near), st.integers(0, 2**64 - 1)
)


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(SERIALS, st.one_of(st.integers(0, 600), st.integers(0, 2**60)), st.sampled_from(["a", "b"])),
        max_size=25,
    )
)
def test_ranges_agree_with_a_list(wanted: list[tuple[int, int, str]]) -> None:
    with boa.env.anchor():
        vault = deployed("OffsetVault", deploy("TestATH"))
        known: list[tuple[int, int, str]] = []
        for number, (first, length, registry) in enumerate(wanted):
            last = min(first + length, 2**64 - 1)
            free = all(one[2] != registry or last < one[0] or one[1] < first for one in known)
            assert vault.is_retired(word(registry), first) == any(
                one[2] == registry and one[0] <= first <= one[1] for one in known
            )
            try:
                retire(vault, str(number), first, last, registry=word(registry), amount=0, to=SELLER)
            except Reverted as refusal:
                assert not free, refusal.reason  # noqa: PT017 - most of them pass
            else:
                assert free
                known.append((first, last, registry))
