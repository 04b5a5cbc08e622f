"""Puts the contracts onto a chain, one after the other."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sunward.adapters.chain_key import ChainKey
from sunward.adapters.chain_settings import Contracts
from sunward.adapters.contracts import contract
from sunward.errors import SourceError
from sunward.ports import Chain, Mined, Transaction
from sunward.units import HOUR_S

PATIENCE_S = 600.0
LOOK_S = 0.5
ATH_WEI = 10**18


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Who may do what; the key that deploys owns the contracts until it hands them on."""

    poster: str
    vetoer: str
    buyer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is fixed at deployment, within bounds of the contracts."""

    veto_window_s: int = 24 * HOUR_S
    offset_limit_wei: int = 100_000 * ATH_WEI
    """Most that may be spent on credits in a day of the chain."""


def deploy(chain: Chain, key: ChainKey, roles: Roles, terms: Terms, token: str = "") -> Contracts:
    """The addresses of new contracts; without a token a test token is made first.

    Raises: SourceError, ChainRefusedError; what was made by then stays, and is used by nobody.
    """
    token = token or make(chain, key, contract("TestATH").creation())
    registry = make(chain, key, contract("ProviderRegistry").creation(roles.poster))
    told = (token, roles.poster, roles.vetoer, terms.veto_window_s)
    distributor = make(chain, key, contract("RewardDistributor").creation(*told))
    vault = make(chain, key, contract("OffsetVault").creation(token, roles.buyer, terms.offset_limit_wei))
    return Contracts(token=token, registry=registry, distributor=distributor, vault=vault)


def make(chain: Chain, key: ChainKey, creation: bytes) -> str:
    """The address of a new contract. Raises: SourceError."""
    return transact(chain, key, "", creation).contract


def transact(chain: Chain, key: ChainKey, to: str, data: bytes) -> Mined:
    """Have something done and wait until a block holds it; for a person's own steps, not for posting.

    Raises: ChainRefusedError when it would fail, SourceError when it failed or took too long.
    """
    fees = chain.fees()
    signed = key.sign(
        Transaction(
            chain_id=chain.chain_id,
            nonce=chain.next_nonce(key.address),
            to=to,
            data=data,
            gas=chain.gas(key.address, to, data),
            max_fee_wei=fees.most_wei,
            tip_wei=fees.tip_wei,
        )
    )
    chain.send(signed.raw)
    deadline = time.monotonic() + PATIENCE_S
    while (found := chain.mined(signed.hash)) is None:
        if time.monotonic() > deadline:
            line = f"no block took {signed.hash} within {PATIENCE_S:.0f} s; look for it before you try again"
            raise SourceError(line, code="SW-821")
        time.sleep(LOOK_S)
    if not found.succeeded:
        raise SourceError(f"{signed.hash} failed in block {found.block}", transient=False, code="SW-823")
    return found
