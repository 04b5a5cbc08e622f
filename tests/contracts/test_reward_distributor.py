"""Roots: funded before, vetoed within their window, claimed once and by nobody else's proof."""

from __future__ import annotations

from dataclasses import replace

import boa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.chain import (
    ALICE,
    ATH,
    BOB,
    CAROL,
    OWNER,
    POSTER,
    STRANGER,
    VETOER,
    Contract,
    deploy,
    give,
    now_s,
    pass_time,
    refuses,
    word,
)
from tests.contracts.scene import VETO_WINDOW_S, deployed
from tests.contracts.tree import Leaf, Tree, pair

PEOPLE = (ALICE, BOB, CAROL)


@pytest.fixture
def distributor(token: Contract) -> Contract:
    made = deployed("RewardDistributor", token)
    give(token, OWNER, 10**6 * ATH, made)
    return made


def propose(distributor: Contract, epoch: int, amounts: dict[str, int], total: int | None = None) -> list[Leaf]:
    """Put up a root for these cumulative amounts."""
    leaves = [Leaf(distributor.address, epoch, owner, amount) for owner, amount in amounts.items()]
    root = Tree([one.node() for one in leaves]).root
    distributor.propose(epoch, root, sum(amounts.values()) if total is None else total, sender=POSTER)
    return leaves


def claim(distributor: Contract, leaves: list[Leaf], index: int = 0) -> None:
    proof = Tree([one.node() for one in leaves]).proof(index)
    one = leaves[index]
    distributor.claim(one.epoch, one.owner, one.cumulative_wei, one.salt, proof, sender=STRANGER)


def fund_and_open(distributor: Contract, epoch: int, amounts: dict[str, int], funds: int) -> list[Leaf]:
    distributor.fund(epoch, funds)
    leaves = propose(distributor, epoch, amounts)
    pass_time(VETO_WINDOW_S)
    return leaves


def test_anybody_claims_for_the_owner_of_a_leaf(distributor: Contract, token: Contract) -> None:
    leaves = fund_and_open(distributor, 7, {ALICE: 30, BOB: 12, CAROL: 0}, 50)
    assert distributor.claimable_epoch() == 7
    claim(distributor, leaves, 0)
    assert distributor.logs[0].values == {"owner": ALICE.lower(), "amount": 30}
    claim(distributor, leaves, 1)
    assert [token.balanceOf(one) for one in PEOPLE] == [30, 12, 0]
    assert distributor.claimed(ALICE) == 30
    for index in range(3):
        with refuses("distributor: nothing to claim"):
            claim(distributor, leaves, index)


def test_a_later_root_pays_the_difference_only(distributor: Contract, token: Contract) -> None:
    first = fund_and_open(distributor, 1, {ALICE: 30, BOB: 10}, 40)
    claim(distributor, first)
    second = fund_and_open(distributor, 2, {ALICE: 45, BOB: 25}, 30)
    with refuses("distributor: a newer root stands"):
        claim(distributor, first, 1)
    claim(distributor, second, 0)
    claim(distributor, second, 1)
    assert (token.balanceOf(ALICE), token.balanceOf(BOB)) == (45, 25)
    assert token.balanceOf(distributor.address) == 0


def test_a_root_waits_for_its_window(distributor: Contract) -> None:
    distributor.fund(1, 100)
    leaves = propose(distributor, 1, {ALICE: 100})
    assert distributor.root_of(1)[1:] == (100, now_s() + VETO_WINDOW_S)
    pass_time(VETO_WINDOW_S - 1)
    with refuses("distributor: window is not over"):
        claim(distributor, leaves)
    with refuses("distributor: nothing claimable"):
        distributor.claimable_epoch()
    pass_time(1)
    claim(distributor, leaves)


def test_the_older_root_pays_while_newer_ones_wait(distributor: Contract, token: Contract) -> None:
    first = fund_and_open(distributor, 1, {ALICE: 10, BOB: 1}, 11)
    later = []
    for epoch in (2, 3, 4):
        distributor.fund(epoch, 10)
        later.append(propose(distributor, epoch, {ALICE: 10 * epoch, BOB: 1}))
        pass_time(100)
    assert (distributor.claimable_epoch(), distributor.promised()) == (1, 41)
    claim(distributor, first)
    for leaves in later:
        with refuses("distributor: window is not over"):
            claim(distributor, leaves)
    pass_time(VETO_WINDOW_S - 200)
    assert distributor.claimable_epoch() == 3
    claim(distributor, later[1], 1)
    for leaves, reason in ((first, "a newer root stands"), (later[0], "a newer root stands")):
        with refuses(f"distributor: {reason}"):
            claim(distributor, leaves)
    assert token.balanceOf(BOB) == 1


def test_proposing_again_changes_nothing(distributor: Contract) -> None:
    distributor.fund(1, 100)
    propose(distributor, 1, {ALICE: 100})
    opens_at = distributor.root_of(1)[2]
    pass_time(50)
    propose(distributor, 1, {ALICE: 100})
    assert distributor.logs == []
    assert distributor.root_of(1)[2] == opens_at
    with refuses("distributor: another root stands"):
        propose(distributor, 1, {ALICE: 99, BOB: 1})
    with refuses("distributor: another root stands"):
        propose(distributor, 1, {ALICE: 100}, total=99)


def test_epochs_follow_each_other(distributor: Contract) -> None:
    distributor.fund(5, 100)
    propose(distributor, 5, {ALICE: 1})
    for epoch in (4, 7, 0, 2**32 - 2):
        with refuses("distributor: not the next epoch"):
            propose(distributor, epoch, {ALICE: 1})
    for epoch in (2**32 - 1, 2**256 - 1):
        with refuses("distributor: no such epoch"):
            propose(distributor, epoch, {ALICE: 1})
        with refuses("distributor: no such epoch"):
            distributor.fund(epoch, 1)
        with refuses("distributor: no such root"):
            claim(distributor, [Leaf(distributor.address, epoch, ALICE, 1)])
    with refuses("distributor: no root"):
        distributor.propose(6, b"\0" * 32, 1, sender=POSTER)
    assert distributor.next_epoch() == 6


def test_epoch_nought_is_an_epoch(distributor: Contract, token: Contract) -> None:
    claim(distributor, fund_and_open(distributor, 0, {ALICE: 5}, 5))
    assert (token.balanceOf(ALICE), distributor.claimable_epoch()) == (5, 0)


def test_a_root_draws_on_its_budget_and_earlier_ones(distributor: Contract) -> None:
    distributor.fund(1, 100)
    distributor.fund(2, 1000)
    with refuses("distributor: beyond the budget"):
        propose(distributor, 1, {ALICE: 101})
    propose(distributor, 1, {ALICE: 60})
    with refuses("distributor: total falls"):
        propose(distributor, 2, {ALICE: 59})
    with refuses("distributor: beyond the budget"):
        propose(distributor, 2, {ALICE: 1101})
    propose(distributor, 2, {ALICE: 1100})
    distributor.fund(1, 5)
    propose(distributor, 3, {ALICE: 1105})
    assert (distributor.funded(), distributor.promised(), distributor.waiting()) == (1105, 1105, 0)


def test_a_budget_that_was_passed_over_is_carried(distributor: Contract) -> None:
    distributor.fund(1, 100)
    with refuses("distributor: epoch is to come"):
        distributor.carry(1)
    propose(distributor, 2, {ALICE: 0})
    with refuses("distributor: beyond the budget"):
        propose(distributor, 3, {ALICE: 1})
    distributor.carry(1, sender=STRANGER)
    propose(distributor, 3, {ALICE: 100})


def test_a_vetoed_root_is_gone_and_the_last_one_stands(distributor: Contract, token: Contract) -> None:
    first = fund_and_open(distributor, 1, {ALICE: 10}, 10)
    distributor.fund(2, 10)
    distributor.fund(3, 10)
    second = propose(distributor, 2, {ALICE: 10, BOB: 10})
    third = propose(distributor, 3, {ALICE: 10, BOB: 20})
    distributor.veto(2, sender=VETOER)
    assert (distributor.next_epoch(), distributor.promised()) == (2, 10)
    assert distributor.root_of(2) == distributor.root_of(3) == (b"\0" * 32, 0, 0)
    pass_time(VETO_WINDOW_S)
    assert distributor.claimable_epoch() == 1
    for leaves in (second, third):
        with refuses("distributor: no such root"):
            claim(distributor, leaves, 1)
    claim(distributor, first)
    with refuses("distributor: root was vetoed"):
        propose(distributor, 2, {ALICE: 10, BOB: 10})
    better = propose(distributor, 2, {ALICE: 15, BOB: 5})
    with refuses("distributor: no such root"):
        claim(distributor, third, 1)
    pass_time(VETO_WINDOW_S)
    claim(distributor, better, 1)
    assert token.balanceOf(BOB) == 5


def test_the_first_root_can_be_vetoed(distributor: Contract) -> None:
    distributor.fund(4, 10)
    leaves = propose(distributor, 4, {ALICE: 10})
    distributor.veto(4, sender=VETOER)
    assert (distributor.promised(), distributor.next_epoch()) == (0, 4)
    pass_time(VETO_WINDOW_S)
    with refuses("distributor: nothing claimable"):
        distributor.claimable_epoch()
    with refuses("distributor: no such root"):
        claim(distributor, leaves)
    with refuses("distributor: proof does not fit"):
        claim(distributor, [leaves[0].at(3, 10)])
    propose(distributor, 4, {BOB: 10})


def test_a_veto_comes_in_time_or_not_at_all(distributor: Contract) -> None:
    with refuses("distributor: no such root"):
        distributor.veto(1, sender=VETOER)
    fund_and_open(distributor, 1, {ALICE: 10}, 10)
    with refuses("distributor: window is over"):
        distributor.veto(1, sender=VETOER)


def test_a_shorter_window_lets_no_root_overtake(distributor: Contract) -> None:
    distributor.announce(word("veto_window_s"), 3600)
    pass_time(2 * 86_400 - 10)
    distributor.fund(1, 10)
    propose(distributor, 1, {ALICE: 1})
    pass_time(10)
    distributor.enact(word("veto_window_s"))
    propose(distributor, 2, {ALICE: 2})
    assert distributor.root_of(2)[2] == distributor.root_of(1)[2]


def test_a_pause_stops_no_claim_and_no_veto(distributor: Contract, token: Contract) -> None:
    first = fund_and_open(distributor, 1, {ALICE: 10}, 20)
    propose(distributor, 2, {ALICE: 20})
    distributor.pause()
    claim(distributor, first)
    propose(distributor, 2, {ALICE: 20})
    distributor.veto(2, sender=VETOER)
    assert token.balanceOf(ALICE) == 10


def test_leaves_beyond_the_total_take_nothing_of_later_roots(distributor: Contract, token: Contract) -> None:
    distributor.fund(1, 10)
    distributor.fund(2, 90)
    leaves = propose(distributor, 1, {ALICE: 10, BOB: 80}, total=10)
    pass_time(VETO_WINDOW_S)
    with refuses("distributor: beyond the total"):
        claim(distributor, leaves, 1)
    claim(distributor, leaves, 0)
    assert token.balanceOf(distributor.address) == 90


class TestForgedClaims:
    """Each of them fails on the proof, and moves nothing."""

    @pytest.fixture
    def leaves(self, distributor: Contract) -> list[Leaf]:
        return fund_and_open(distributor, 1, {ALICE: 10, BOB: 20, CAROL: 30}, 60)

    @pytest.mark.parametrize(
        "change",
        [
            {"owner": STRANGER},
            {"cumulative_wei": 11},
            {"salt": b"\x08" * 32},
        ],
    )
    def test_a_leaf_with_another_field(self, distributor: Contract, leaves: list[Leaf], change: dict[str, int]) -> None:
        forged, proof = replace(leaves[0], **change), Tree([one.node() for one in leaves]).proof(0)
        with refuses("distributor: proof does not fit"):
            distributor.claim(1, forged.owner, forged.cumulative_wei, forged.salt, proof)

    def test_a_leaf_of_another_epoch(self, distributor: Contract, leaves: list[Leaf]) -> None:
        old = Tree([one.node() for one in leaves])
        distributor.fund(2, 60)
        distributor.propose(2, old.root, 120, sender=POSTER)
        pass_time(VETO_WINDOW_S)
        with refuses("distributor: proof does not fit"):
            distributor.claim(2, ALICE, 10, leaves[0].salt, old.proof(0))

    @pytest.mark.parametrize("change", [{"chain_id": 1}, {"contract": STRANGER}])
    def test_a_leaf_of_another_chain_or_contract(self, token: Contract, change: dict[str, int]) -> None:
        distributor = deployed("RewardDistributor", token)
        give(token, OWNER, 100, distributor)
        distributor.fund(1, 100)
        foreign = replace(Leaf(distributor.address, 1, ALICE, 10), **change)
        distributor.propose(1, foreign.node(), 10, sender=POSTER)
        pass_time(VETO_WINDOW_S)
        with refuses("distributor: proof does not fit"):
            claim(distributor, [foreign])

    def test_an_inner_node_for_a_leaf(self, distributor: Contract, leaves: list[Leaf]) -> None:
        # Were leaves hashed once, the two children of a node could be told as fields of a leaf; 64 bytes are not 192,
        # and twice hashed no leaf is the hash of a pair. A proof that starts higher up fits nothing.
        nodes = [one.node() for one in leaves]
        for start in (pair(nodes[0], nodes[1]), nodes[0], leaves[0].inner()):
            for proof in ([nodes[2]], [start, nodes[2]], [nodes[1], nodes[2]]):
                with refuses("distributor: proof does not fit"):
                    distributor.claim(1, STRANGER, 60, start, proof)

    def test_the_root_itself(self, distributor: Contract, leaves: list[Leaf]) -> None:
        root = Tree([one.node() for one in leaves]).root
        with refuses("distributor: proof does not fit"):
            distributor.claim(1, ALICE, 10, root, [])

    def test_the_same_leaf_after_the_chain_split(self, distributor: Contract, leaves: list[Leaf]) -> None:
        boa.env.evm.patch.chain_id = 99
        with refuses("distributor: proof does not fit"):
            claim(distributor, leaves)


@settings(max_examples=25)
@given(amounts=st.lists(st.integers(0, 10**24), min_size=1, max_size=40), data=st.data())
def test_every_leaf_of_any_tree_pays_its_owner(amounts: list[int], data: st.DataObject) -> None:
    with boa.env.anchor():
        token = deploy("TestATH")
        distributor = deployed("RewardDistributor", token)
        give(token, OWNER, sum(amounts) + 1, distributor)
        distributor.fund(1, sum(amounts) + 1)
        owners = [f"0x{i + 1:040x}" for i in range(len(amounts))]
        leaves = propose(distributor, 1, dict(zip(owners, amounts, strict=True)))
        pass_time(VETO_WINDOW_S)
        index = data.draw(st.integers(0, len(amounts) - 1))
        if amounts[index]:
            claim(distributor, leaves, index)
            assert token.balanceOf(owners[index]) == amounts[index]
        with refuses("distributor: nothing to claim"):
            claim(distributor, leaves, index)
