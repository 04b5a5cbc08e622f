"""What the tests of posting share: contracts on a chain, an epoch's statement, and what stands there afterwards."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

from eth_account import Account

from sunward.adapters.chain_key import ChainKey
from sunward.adapters.chain_outbox import ChainOutbox
from sunward.adapters.chain_settings import ChainSettings
from sunward.adapters.contracts import contract
from sunward.adapters.database import open_database
from sunward.model.codec import encode
from sunward.model.credits import EpochOffset, RetiredCredits
from sunward.model.onchain import ChainStatement, Payout
from sunward.model.receipt import EpochStatement
from sunward.ports import Chain
from sunward.service.deploying import Roles, Terms, deploy
from sunward.service.poster import Poster
from sunward.service.postings import Planned, calls

KEY = ChainKey(Account.from_key(b"\x07" * 32))
HEAD = "ab" * 32
OWNERS = tuple(f"0x{number:040x}" for number in (0xA1, 0xA2, 0xA3))
GWEI = 10**9
MAX_FEE_WEI = 500 * GWEI
TERMS = Terms(veto_window_s=3_600)


def deployed(chain: Chain) -> ChainSettings:
    roles = Roles(poster=KEY.address, vetoer=KEY.address, buyer=KEY.address)
    own = deploy(chain, KEY, roles, TERMS)
    return ChainSettings(rpc="embedded", chain_id=chain.chain_id, contracts=own, test_token=True)


def statement(settings: ChainSettings, epoch: int = 0, *, with_credits: bool = False) -> EpochStatement:
    """An epoch in which three wallets earned, and one owner without a wallet; it grows with its number."""
    number = epoch + 1
    payouts = tuple(Payout(address=address, cumulative_wei=number * wei) for wei, address in enumerate(OWNERS, 100))
    paid = sum(one.cumulative_wei for one in payouts)
    told = ChainStatement(
        chain_id=settings.chain_id,
        distributor=settings.contracts.distributor,
        payouts=payouts,
        funded_wei=paid + 50 * number,
        offset_wei=77 * number,
        unbound_wei=7 * number,
        retired_wei=7 * number if with_credits else 0,
    )
    plain = [one.name for one in fields(EpochStatement) if one.type == "int" and one.default is MISSING]
    zeros: dict[str, Any] = dict.fromkeys(plain, 0) | {"epoch": epoch}
    offset = retired(number) if with_credits else None
    return EpochStatement(receipts=(), receipts_root="00" * 32, chain=told, offset=offset, **zeros)


def plan(outbox: ChainOutbox, settings: ChainSettings, one: EpochStatement) -> None:
    planned = Planned(
        funded_wei=outbox.planned_wei("fund"),
        deposited_wei=outbox.planned_wei("deposit"),
        retired_wei=outbox.planned_wei("retire"),
    )
    outbox.plan(calls(settings, KEY.address, encode(one), HEAD, planned))


def retired(number: int) -> EpochOffset:
    """A tonne of test credits that an epoch retired."""
    one = RetiredCredits(
        registry="test",
        first=number,
        last=number,
        kg=1_000,
        vintage=2026,
        method="m",
        country="",
        project="p",
        test=True,
    )
    ints = dict.fromkeys([one.name for one in fields(EpochOffset) if one.name != "credits"], 0)
    return EpochOffset(credits=(one,), **ints)


def poster(file: Path, chain: Chain, confirmations: int = 1) -> Poster:
    outbox = ChainOutbox(open_database(f"sqlite:///{file}"))
    return Poster(outbox, chain, KEY, confirmations, MAX_FEE_WEI)


def read(chain: Chain, name: str, address: str, function: str, *arguments: object) -> Any:
    one = contract(name)
    told = one.answer(function, chain.read(address, one.call(function, *arguments)))
    return told[0] if len(told) == 1 else told


def standing(chain: Chain, settings: ChainSettings) -> dict[str, Any]:
    """What the contracts hold and say: the same after one posting and after many tries of it."""
    own = settings.contracts
    return {
        "number of the account": chain.next_nonce(KEY.address),
        "epoch": read(chain, "ProviderRegistry", own.registry, "last_epoch"),
        "distributor": read(chain, "TestATH", own.token, "balanceOf", own.distributor),
        "vault": read(chain, "TestATH", own.token, "balanceOf", own.vault),
        "minted": read(chain, "TestATH", own.token, "totalSupply"),
        "funded": read(chain, "RewardDistributor", own.distributor, "funded"),
        "promised": read(chain, "RewardDistributor", own.distributor, "promised"),
        "test kg": read(chain, "OffsetVault", own.vault, "test_kg"),
        "kg": read(chain, "OffsetVault", own.vault, "retired_kg"),
    }


def with_rpc(settings: ChainSettings, url: str) -> ChainSettings:
    return replace(settings, rpc=url)
