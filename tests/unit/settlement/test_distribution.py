import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.errors import InputError
from sunward.settlement.distribution import NO_ROOT, Distribution, distribution
from sunward.verification.onchain import RewardLeaf, leaf_leads_to

CHAIN, CONTRACT, EPOCH, HEAD = 31_337, "0x" + "c0" * 20, 7, "ab" * 32


def wallet(number: int) -> str:
    return f"0x{number:040x}"


def tree(amounts: dict[str, int], **other: object) -> Distribution:
    told: dict = {"chain_id": CHAIN, "contract": CONTRACT, "epoch": EPOCH, "journal_head": HEAD, **other}
    return distribution(cumulative=amounts, **told)


def checked(made: Distribution, index: int, **other: object) -> bool:
    leaf = made.leaves[index]
    told: dict = {"chain_id": CHAIN, "contract": CONTRACT, "epoch": EPOCH}
    told |= {"address": leaf.address, "cumulative_wei": leaf.cumulative_wei, "salt": leaf.salt, **other}
    return leaf_leads_to(made.root.hex(), RewardLeaf(**told), [step.hex() for step in made.proof(index)])


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.integers(1, 10**6).map(wallet), st.integers(1, 2**250), min_size=1, max_size=9))
def test_every_leaf_leads_to_the_root_by_a_second_authors_arithmetic(amounts: dict[str, int]) -> None:
    made = tree(amounts)
    assert made.total_wei == sum(amounts.values())
    index = len(amounts) // 2
    assert checked(made, index)
    assert checked(made, len(amounts) - 1)


@pytest.mark.parametrize(
    "other",
    [
        {"chain_id": 1},
        {"contract": "0x" + "c1" * 20},
        {"epoch": 8},
        {"address": wallet(99)},
        {"cumulative_wei": 101},
        {"salt": "00" * 32},
        {"salt": "not hex"},
        {"cumulative_wei": -1},
    ],
)
def test_a_leaf_counts_for_its_chain_contract_epoch_wallet_and_amount_alone(other: dict) -> None:
    made = tree({wallet(1): 100, wallet(2): 200, wallet(3): 300})
    assert checked(made, 0)
    assert not checked(made, 0, **other)


def test_the_tree_follows_from_what_is_public_and_not_from_any_order() -> None:
    amounts = {wallet(number): number for number in range(1, 8)}
    assert tree(amounts).root == tree(dict(reversed(amounts.items()))).root
    assert tree(amounts).root != tree(amounts, journal_head="cd" * 32).root


def test_who_earned_nothing_has_no_leaf_and_nobody_is_no_root() -> None:
    assert [leaf.address for leaf in tree({wallet(1): 0, wallet(2): 5}).leaves] == [wallet(2)]
    assert tree({}).root == NO_ROOT
    with pytest.raises(IndexError):
        tree({}).proof(0)


def test_what_is_no_address_or_no_amount_is_refused() -> None:
    with pytest.raises(InputError, match="40 hex digits"):
        tree({"0x" + "AB" * 20: 1})
    with pytest.raises(InputError, match="256 bits"):
        tree({wallet(1): -1})
