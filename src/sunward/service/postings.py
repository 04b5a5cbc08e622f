"""What an epoch puts on the chain, call by call, from its statement; names make each of them happen once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from sunward.adapters.chain_outbox import Wanted
from sunward.adapters.chain_settings import ChainSettings
from sunward.adapters.contracts import Contract, contract
from sunward.errors import InvariantError
from sunward.model.codec import decode
from sunward.model.onchain import ChainStatement
from sunward.model.receipt import EpochStatement
from sunward.settlement.credits import VaultRetirement, vault_retirements
from sunward.settlement.distribution import Distribution, distribution

FUND, DEPOSIT, RETIRE, REGISTRY, REWARDS = "fund", "deposit", "retire", "registry", "rewards"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What went before, by the outbox."""

    funded_wei: int
    deposited_wei: int
    retired_wei: int


def evidence_root(body: bytes) -> bytes:
    """What stands for an epoch in the registry: its statement as it was written, with every receipt's hash in it."""
    return hashlib.sha256(body).digest()


def leaves(statement: EpochStatement, told: ChainStatement, journal_head: str) -> Distribution:
    """The distributor's tree of an epoch; `journal_head` is the hash of the record that closed it."""
    owed = {one.address: one.cumulative_wei for one in told.payouts}
    return distribution(told.chain_id, told.distributor, statement.epoch, journal_head, owed)


def calls(
    settings: ChainSettings,
    poster: str,
    body: bytes,
    journal_head: str,
    planned: Planned,
) -> Iterator[Wanted]:
    """All calls of one epoch, in the order they are made; `body` is its statement as it was written.

    Raises: InvariantError when a contract would have to give back what it was given.
    """
    statement = decode(body, EpochStatement)
    epoch, own = statement.epoch, settings.contracts
    post = contract("ProviderRegistry").call("post", epoch, evidence_root(body), bytes.fromhex(journal_head))
    yield Wanted(item=f"{epoch} {REGISTRY}", epoch=epoch, target=own.registry, data=post)
    told = statement.chain
    if told is None:
        return
    distributor, vault = contract("RewardDistributor"), contract("OffsetVault")
    fund_wei = told.funded_wei - planned.funded_wei
    if fund_wei:
        data = distributor.call("fund", epoch, fund_wei)
        yield from _paid(settings, poster, epoch, FUND, own.distributor, data, fund_wei)
    made = leaves(statement, told, journal_head)
    data = distributor.call("propose", epoch, made.root, made.total_wei)
    yield Wanted(item=f"{epoch} {REWARDS}", epoch=epoch, target=own.distributor, data=data)
    deposit_wei = told.offset_wei - planned.deposited_wei
    if deposit_wei:
        data = vault.call("deposit", deposit_wei)
        yield from _paid(settings, poster, epoch, DEPOSIT, own.vault, data, deposit_wei)
    retired = statement.offset.credits if statement.offset is not None else ()
    for number, one in enumerate(vault_retirements(epoch, retired, told.retired_wei - planned.retired_wei)):
        data, item = _retire(vault, one, poster), f"{epoch} {number} {RETIRE}"
        yield Wanted(item=item, epoch=epoch, target=own.vault, data=data, amount_wei=one.amount_wei)


def _paid(
    settings: ChainSettings, poster: str, epoch: int, kind: str, target: str, data: bytes, amount_wei: int
) -> Iterator[Wanted]:
    """A call that pulls tokens: where they are test tokens they are made, then the pull is allowed, then it is done."""
    if amount_wei < 0:
        raise InvariantError(f"epoch {epoch}: {kind} of {amount_wei} wei; a contract gives nothing back")
    token = contract("TestATH")
    own = settings.contracts
    if settings.test_token:
        mint = token.call("mint", poster, amount_wei)
        yield Wanted(item=f"{epoch} {kind} mint", epoch=epoch, target=own.token, data=mint)
    approve = token.call("approve", target, amount_wei)
    yield Wanted(item=f"{epoch} {kind} approve", epoch=epoch, target=own.token, data=approve)
    yield Wanted(item=f"{epoch} {kind}", epoch=epoch, target=target, data=data, amount_wei=amount_wei)


def _retire(vault: Contract, one: VaultRetirement, to: str) -> bytes:
    what = (one.order, one.registry, one.first_serial, one.last_serial, one.kg, one.test)
    return vault.call("retire", *what, one.amount_wei, to)
