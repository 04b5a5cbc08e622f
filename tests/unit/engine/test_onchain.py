"""The chain in the books: what an epoch puts there is what the accounts hold, wei by wei."""

from __future__ import annotations

import pytest

from sunward.engine import snapshots
from sunward.engine.writer import replay
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.commands import CloseEpoch
from sunward.model.events import EpochRequested
from sunward.model.identity import TenantId
from sunward.model.onchain import ChainStatement
from sunward.model.onchain_events import ChainNamed, EpochPosted, WalletBound
from sunward.model.staking_events import RewardsClaimed
from tests.support.network import Network, of_kind
from tests.support.staking import ATH, NORTH, SOUTH, bond, staking

NAMED = ChainNamed(chain_id=31_337, token="0x01", registry="0x02", distributor="0x03", vault="0x04")
FIRST, SECOND, THIRD = ("0x" + digit * 40 for digit in "123")
BUDGETS = ("treasury", "budget:staking", "budget:bonus")


def close(network: Network) -> ChainStatement | None:
    (one,) = of_kind(network.tell(EpochRequested()), CloseEpoch)
    return one.statement.chain


def on_chain() -> Network:
    """Two owners with stake for a whole epoch, on a network with a chain."""
    network = staking()
    network.tell(NAMED)
    bond(network, NORTH, 300 * ATH)
    bond(network, SOUTH, 100 * ATH)
    close(network)
    return network


def bind(network: Network, owner: TenantId, address: str) -> None:
    network.tell(WalletBound(owner=owner, address=address, signature="0x"))


def held(network: Network) -> int:
    """What the distributor must hold: the groups of accounts that stand for it."""
    balance = network.state.ledger.balance
    return sum(balance(one) for one in BUDGETS) + sum(balance(f"rewards:{owner}") for owner in (NORTH, SOUTH))


def claimed(network: Network, owner: TenantId, amount_wei: int, name: str = "0xaa") -> None:
    network.tell(RewardsClaimed(owner=owner, request=name, amount_wei=amount_wei, on_chain=True))


def owed(told: ChainStatement | None) -> dict[str, int]:
    assert told is not None
    return {one.address: one.cumulative_wei for one in told.payouts}


def test_a_network_without_a_chain_says_nothing_of_one() -> None:
    network = staking()
    assert close(network) is None
    with pytest.raises(ConflictError, match="on no chain"):
        bind(network, NORTH, FIRST)
    with pytest.raises(ConflictError):
        network.tell(EpochPosted(epoch=0, evidence_root="", rewards_root="", block=1))


def test_what_an_epoch_puts_there_is_what_the_accounts_hold() -> None:
    network = on_chain()
    bind(network, NORTH, FIRST)
    told = close(network)
    assert told is not None
    north = network.state.ledger.balance(f"rewards:{NORTH}")
    south = network.state.ledger.balance(f"rewards:{SOUTH}")
    assert owed(told) == {FIRST: north}
    assert told.unbound_wei == south > 0
    assert told.funded_wei == held(network)
    claimed(network, NORTH, north)
    later = close(network)
    assert later is not None
    assert later.funded_wei == held(network) + north
    assert owed(later)[FIRST] == north + network.state.ledger.balance(f"rewards:{NORTH}")


def test_who_binds_late_gets_all_that_was_earned_before() -> None:
    network = on_chain()
    close(network)
    bind(network, SOUTH, SECOND)
    told = close(network)
    assert owed(told) == {SECOND: network.state.ledger.balance(f"rewards:{SOUTH}")}


def test_another_wallet_gets_what_is_earned_from_then_on_and_the_old_one_keeps_its_own() -> None:
    network = on_chain()
    bind(network, NORTH, FIRST)
    first = owed(close(network))[FIRST]
    bind(network, NORTH, SECOND)
    bind(network, NORTH, THIRD)
    told = owed(close(network))
    assert told[FIRST] == first
    assert SECOND not in told
    assert told[FIRST] + told[THIRD] == network.state.ledger.balance(f"rewards:{NORTH}")
    claimed(network, NORTH, first)
    claimed(network, NORTH, told[THIRD], "0xbb")
    assert network.state.ledger.balance(f"rewards:{NORTH}") == 0


def test_rewards_are_paid_on_the_chain_alone_once_it_is_named() -> None:
    network = on_chain()
    close(network)
    with pytest.raises(ConflictError, match="paid on the chain"):
        network.tell(RewardsClaimed(owner=NORTH, request="books"))


def test_what_was_claimed_in_the_books_before_is_in_no_leaf() -> None:
    network = staking()
    bond(network, NORTH, 300 * ATH)
    close(network)
    close(network)
    earned = network.state.ledger.balance(f"rewards:{NORTH}")
    network.tell(RewardsClaimed(owner=NORTH, request="books", amount_wei=earned // 2))
    network.tell(NAMED)
    bind(network, NORTH, FIRST)
    told = close(network)
    assert owed(told) == {FIRST: network.state.ledger.balance(f"rewards:{NORTH}")}
    assert told is not None
    assert told.funded_wei == held(network)


@pytest.mark.parametrize("address", ["", "0x", "0x" + "0" * 40, "0x" + "AB" * 20, "1" * 42, "0x" + "1" * 41])
def test_what_is_no_address_is_bound_to_nobody(address: str) -> None:
    network = on_chain()
    with pytest.raises(InputError) as caught:
        bind(network, NORTH, address)
    assert caught.value.code == "SW-820"


def test_an_address_speaks_for_one_owner_once() -> None:
    network = on_chain()
    bind(network, NORTH, FIRST)
    bind(network, NORTH, FIRST)
    with pytest.raises(ConflictError, match="bound before"):
        bind(network, SOUTH, FIRST)
    bind(network, NORTH, SECOND)
    with pytest.raises(ConflictError, match="bound before"):
        bind(network, NORTH, FIRST)


def test_the_chain_is_named_once_and_epochs_are_posted_in_order() -> None:
    network = on_chain()
    network.tell(NAMED)
    with pytest.raises(ConflictError, match="cannot move"):
        network.tell(ChainNamed(chain_id=1, token="0x01", registry="0x02", distributor="0x03", vault="0x04"))
    epoch = network.state.epoch - 1
    told = EpochPosted(epoch=epoch, evidence_root="ab", rewards_root="", block=7)
    network.tell(told)
    assert network.state.chain.posted == epoch
    for wrong in (told, EpochPosted(epoch=epoch + 1, evidence_root="ab", rewards_root="", block=7)):
        with pytest.raises((ConflictError, NotFoundError)):
            network.tell(wrong)


def test_a_snapshot_and_a_replay_know_the_same_wallets() -> None:
    network = on_chain()
    bind(network, NORTH, FIRST)
    close(network)
    bind(network, NORTH, SECOND)
    bind(network, NORTH, THIRD)
    again = snapshots.load(snapshots.dump(network.state))
    assert snapshots.state_digest(again) == snapshots.state_digest(network.state)
    assert again.chain == network.state.chain
    assert snapshots.state_digest(replay(network.journal.read())) == snapshots.state_digest(network.state)
