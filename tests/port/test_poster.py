"""Posting on both chains: once, in order, through crashes, outages and re-organisations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sunward.adapters.chain_embedded import EmbeddedChain
from sunward.adapters.chain_outbox import Wanted
from sunward.adapters.chain_rpc import Web3Chain, open_rpc
from sunward.adapters.chain_settings import ChainSettings
from sunward.adapters.contracts import contract
from sunward.errors import ChainRefusedError, SourceError
from sunward.ports import Transaction
from sunward.service.deploying import transact
from sunward.service.poster import Poster
from sunward.service.postings import leaves
from tests.support import anvil, posting
from tests.support.posting import HEAD, KEY, OWNERS, deployed, plan, poster, read, standing, statement


@dataclass
class Stage:
    """A chain with the contracts on it, as each test finds it."""

    chain: Web3Chain
    settings: ChainSettings
    travel: Callable[[int], None]
    keep: Callable[[], Any]
    back: Callable[[Any], Any]


def on(chain: Web3Chain, travel: Callable[[int], None], keep: Callable[[], Any], back: Callable[[Any], Any]) -> Stage:
    return Stage(chain, deployed(chain), travel, keep, back)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    made = EmbeddedChain(KEY.address, tmp_path_factory.mktemp("chain") / "chain.log")
    return on(made, made.travel, made._tester.take_snapshot, made._tester.revert_to_snapshot)


@pytest.fixture(scope="module")
def started() -> Iterator[anvil.Anvil]:
    with anvil.running() as one:
        one.grant(KEY.address)
        yield one


@pytest.fixture(scope="module")
def real(started: anvil.Anvil) -> Stage:
    keep, back = partial(started.ask, "evm_snapshot"), partial(started.ask, "evm_revert")
    return on(open_rpc(started.url), started.travel, keep, back)


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.services)])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    one: Stage = request.getfixturevalue(request.param)
    kept = one.keep()
    yield one
    one.back(kept)


@pytest.fixture
def node(started: anvil.Anvil, real: Stage) -> Iterator[anvil.Anvil]:
    kept = real.keep()
    yield started
    real.back(kept)


def run(one: Poster, rounds: int = 40) -> None:
    for _ in range(rounds):
        if not one.look():
            return
    raise AssertionError("posting does not end")


def test_an_epoch_is_posted_funded_proposed_claimed_and_its_credits_retired(stage: Stage, tmp_path: Path) -> None:
    chain, settings = stage.chain, stage.settings
    one = poster(tmp_path / "db", chain)
    for epoch in (3, 4):
        plan(one.outbox, settings, statement(settings, epoch, with_credits=True))
        run(one)
    told = standing(chain, settings)
    last = statement(settings, 4, with_credits=True).chain
    assert last is not None
    assert told["epoch"] == 4
    assert told["distributor"] == told["funded"] == last.funded_wei
    assert told["promised"] == sum(paid.cumulative_wei for paid in last.payouts)
    assert told["vault"] == last.offset_wei - last.retired_wei
    assert (told["test kg"], told["kg"]) == (2_000, 0)

    stage.travel(3_600)
    tree, own = leaves(statement(settings, 4), last, HEAD), settings.contracts
    for index, leaf in enumerate(tree.leaves):
        words = (4, leaf.address, leaf.cumulative_wei, bytes.fromhex(leaf.salt), tree.proof(index))
        transact(chain, KEY, own.distributor, contract("RewardDistributor").call("claim", *words))
        assert read(chain, "TestATH", own.token, "balanceOf", leaf.address) == leaf.cumulative_wei
    after = standing(chain, settings)
    assert after["distributor"] == last.funded_wei - sum(paid.cumulative_wei for paid in last.payouts)


def test_planning_and_looking_again_changes_nothing(stage: Stage, tmp_path: Path) -> None:
    chain, settings = stage.chain, stage.settings
    one = poster(tmp_path / "db", chain)
    plan(one.outbox, settings, statement(settings, with_credits=True))
    run(one)
    before = standing(chain, settings)
    plan(one.outbox, settings, statement(settings, with_credits=True))
    run(poster(tmp_path / "db", chain))
    assert standing(chain, settings) == before
    assert all(line.final for line in one.outbox.lines())


def test_a_contract_that_refuses_holds_up_the_rest_and_costs_no_number(stage: Stage, tmp_path: Path) -> None:
    chain, settings = stage.chain, stage.settings
    one = poster(tmp_path / "db", chain)
    plan(one.outbox, settings, statement(settings, 5))
    run(one)
    nonce = chain.next_nonce(KEY.address)
    plan(one.outbox, settings, statement(settings, 7))
    with pytest.raises(ChainRefusedError, match="not the next epoch"):
        run(one)
    assert chain.next_nonce(KEY.address) == nonce
    assert read(chain, "ProviderRegistry", settings.contracts.registry, "last_epoch") == 5


def test_gas_above_the_limit_waits_and_loses_nothing(stage: Stage, tmp_path: Path) -> None:
    chain, settings = stage.chain, stage.settings
    dear = poster(tmp_path / "db", chain)
    plan(dear.outbox, settings, statement(settings))
    with pytest.raises(SourceError, match="posting waits") as caught:
        Poster(dear.outbox, chain, KEY, 1, 1).look()
    assert caught.value.code == "SW-828"
    assert caught.value.transient
    run(dear)
    assert standing(chain, settings)["epoch"] == 0


@pytest.mark.services
def test_a_block_is_not_final_before_its_confirmations(node: anvil.Anvil, real: Stage, tmp_path: Path) -> None:
    chain, settings = real.chain, real.settings
    one = poster(tmp_path / "db", chain, confirmations=5)
    plan(one.outbox, settings, statement(settings))
    for _ in range(12):
        one.look()
    lines = one.outbox.lines()
    assert all(line.block is not None for line in lines)
    assert not lines[-1].final
    for _ in range(5):
        node.ask("evm_mine")
    assert not one.look()
    assert all(line.final for line in one.outbox.lines())


@pytest.mark.services
def test_what_a_reorganisation_takes_out_is_sent_again_as_the_same_bytes(
    node: anvil.Anvil, real: Stage, tmp_path: Path
) -> None:
    chain, settings = real.chain, real.settings
    one = poster(tmp_path / "db", chain, confirmations=8)
    plan(one.outbox, settings, statement(settings, with_credits=True))
    before = node.ask("evm_snapshot")
    for _ in range(5):
        one.look()
    sent = {line.item: line.raw for line in one.outbox.lines() if line.raw is not None}
    assert len(sent) >= 4
    node.ask("evm_revert", before)
    assert standing(chain, settings)["minted"] == 0
    for _ in range(60):
        node.ask("evm_mine")
        if not one.look():
            break
    assert {line.item: line.raw for line in one.outbox.lines() if line.item in sent} == sent
    last = statement(settings).chain
    assert last is not None
    assert standing(chain, settings)["distributor"] == last.funded_wei
    assert standing(chain, settings)["minted"] == last.funded_wei + last.offset_wei


@pytest.mark.services
def test_an_outage_is_outlived(node: anvil.Anvil, real: Stage, tmp_path: Path) -> None:
    chain, settings = real.chain, real.settings
    one = poster(tmp_path / "db", chain)
    plan(one.outbox, settings, statement(settings))
    one.look()
    good = chain._web3.provider
    chain._web3.provider = type(good)("http://127.0.0.1:9", exception_retry_configuration=None)
    for _ in range(3):
        with pytest.raises(SourceError) as caught:
            one.look()
        assert caught.value.transient
    chain._web3.provider = good
    run(one)
    assert standing(chain, settings)["epoch"] == 0
    assert standing(chain, settings)["number of the account"] == 4 + len(one.outbox.lines())


@pytest.mark.services
def test_a_transaction_that_no_block_takes_is_offered_for_more_under_its_number(
    node: anvil.Anvil, real: Stage, tmp_path: Path
) -> None:
    chain, settings = real.chain, real.settings
    one = poster(tmp_path / "db", chain)
    plan(one.outbox, settings, statement(settings))
    node.ask("evm_setAutomine", False)
    one.look()
    first = one.outbox.lines()[0]
    node.ask("anvil_dropTransaction", first.hashes[0])
    for _ in range(20):
        node.ask("evm_mine")
    one.look()
    second = one.outbox.lines()[0]
    assert second.nonce == first.nonce
    assert second.hashes[:1] == first.hashes
    assert len(second.hashes) == 2
    assert second.max_fee_wei > first.max_fee_wei
    node.ask("evm_setAutomine", True)
    node.ask("evm_mine")
    run(one)
    assert standing(chain, settings)["number of the account"] == 4 + len(one.outbox.lines())


@pytest.mark.services
def test_another_program_with_the_same_key_is_noticed(node: anvil.Anvil, real: Stage, tmp_path: Path) -> None:
    chain, settings = real.chain, real.settings
    one = poster(tmp_path / "db", chain)
    plan(one.outbox, settings, statement(settings))
    node.ask("evm_setAutomine", False)
    one.look()
    line = one.outbox.lines()[0]
    node.ask("anvil_dropTransaction", line.hashes[0])
    node.ask("evm_setAutomine", True)
    transact(chain, KEY, OWNERS[0], b"")
    with pytest.raises(SourceError, match="only one service") as caught:
        one.look()
    assert caught.value.code == "SW-829"


@pytest.mark.services
def test_a_call_that_fails_in_its_block_is_made_again_under_another_number(
    node: anvil.Anvil, real: Stage, tmp_path: Path
) -> None:
    chain, settings = real.chain, real.settings
    one = poster(tmp_path / "db", chain)
    own = settings.contracts
    mint = contract("TestATH").call("mint", OWNERS[0], 5)
    one.outbox.plan([Wanted(item="mint", epoch=0, target=own.token, data=mint)])
    fees = chain.fees()
    starved = Transaction(
        chain_id=chain.chain_id,
        nonce=chain.next_nonce(KEY.address),
        to=own.token,
        data=mint,
        gas=30_000,
        max_fee_wei=fees.most_wei,
        tip_wei=fees.tip_wei,
    )
    signed = KEY.sign(starved)
    one.outbox.sign(one.outbox.lines()[0], starved, signed, chain.height())
    chain.send(signed.raw)
    run(one)
    assert read(chain, "TestATH", own.token, "balanceOf", OWNERS[0]) == 5
    assert posting.read(chain, "TestATH", own.token, "totalSupply") == 5
