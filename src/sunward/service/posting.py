"""The service's side of the chain: what closed epochs put there, what is final, and claims that are seen there.

`chain_watch` loads it once a chain is named, since it brings the libraries of the extra `chain` with it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from sunward.adapters.chain_key import open_key, passphrase_of, signer_of
from sunward.adapters.chain_settings import KEY_FILE, ChainSettings, open_chain, read_settings
from sunward.adapters.contracts import contract
from sunward.errors import NotFoundError
from sunward.model.codec import decode
from sunward.model.events import Payload
from sunward.model.identity import TenantId
from sunward.model.onchain import LeafView
from sunward.model.onchain_events import ChainNamed, EpochPosted
from sunward.model.receipt import EpochStatement
from sunward.model.staking_events import RewardsClaimed
from sunward.service.control import ControlPlane
from sunward.service.poster import Poster
from sunward.service.postings import DEPOSIT, FUND, RETIRE, Planned, calls, evidence_root, leaves
from sunward.settlement.stakes import name

__all__ = ["Posting", "begin", "leaf_of", "signer_of"]
log = logging.getLogger("sunward.chain")

BLOCKS_AT_ONCE = 10_000
"""Nodes give the events of so many blocks in one answer."""


@dataclass(slots=True)
class Posting:
    """One service that posts to one chain."""

    control: ControlPlane
    settings: ChainSettings
    poster: Poster
    scanned: int = field(init=False)
    """The newest block whose claims are recorded; after a start all are looked at again, and known ones passed over."""

    def __post_init__(self) -> None:
        self.scanned = self.settings.first_block - 1

    async def round(self) -> bool:
        """Post, look, and record what is final; whether something is open.

        Raises: SourceError when the chain cannot be asked, or a contract refuses.
        """
        self._name()
        more = await asyncio.to_thread(self._post)
        for payload in self._final_epochs():
            self.control.commit_one(payload)
        newest, claims = await asyncio.to_thread(self._claims)
        for claim in claims:
            if name(claim.owner, claim.request) not in self.control.state.stakes.requests:
                self.control.commit_one(claim)
        self.scanned = newest
        return more

    def _name(self) -> None:
        own = self.settings.contracts
        wanted = ChainNamed(
            chain_id=self.settings.chain_id,
            token=own.token,
            registry=own.registry,
            distributor=own.distributor,
            vault=own.vault,
        )
        if self.control.state.chain.named != wanted:
            self.control.commit_one(wanted)

    def _post(self) -> bool:
        outbox = self.poster.outbox
        for one in self.control.store.queries.closed_epochs(outbox.last_epoch()):
            statement = decode(one.body, EpochStatement)
            if statement.chain is not None:
                planned = Planned(
                    funded_wei=outbox.planned_wei(FUND),
                    deposited_wei=outbox.planned_wei(DEPOSIT),
                    retired_wei=outbox.planned_wei(RETIRE),
                )
                outbox.plan(calls(self.settings, self.poster.key.address, one.body.encode(), one.head, planned))
        return self.poster.look()

    def _final_epochs(self) -> Iterator[Payload]:
        """Epochs all of whose calls are final, the oldest first, until one that is not."""
        posted = self.control.state.chain.posted
        for epoch, lines in groupby(self.poster.outbox.lines(after=posted), key=lambda line: line.epoch):
            every = list(lines)
            if not all(line.final for line in every):
                return
            one = self.control.store.queries.closed_epoch(epoch)
            statement = decode(one.body, EpochStatement)
            made = leaves(statement, statement.chain, one.head) if statement.chain is not None else None
            yield EpochPosted(
                epoch=epoch,
                evidence_root=evidence_root(one.body.encode()).hex(),
                rewards_root=made.root.hex() if made is not None else "",
                block=max(line.block or 0 for line in every),
            )

    def _claims(self) -> tuple[int, list[RewardsClaimed]]:
        """Claims in final blocks that were not looked at yet, and the newest block of these."""
        chain, distributor = self.poster.chain, contract("RewardDistributor")
        newest = chain.height() - self.poster.confirmations + 1
        found: list[RewardsClaimed] = []
        for first in range(self.scanned + 1, newest + 1, BLOCKS_AT_ONCE):
            last = min(newest, first + BLOCKS_AT_ONCE - 1)
            for one in chain.logs(self.settings.contracts.distributor, distributor.topic("Claimed"), first, last):
                told = distributor.event("Claimed", one)
                wallet = self.control.state.chain.wallets[told["owner"].lower()]
                owner = TenantId(wallet.owner)
                found.append(
                    RewardsClaimed(owner=owner, request=one.transaction, amount_wei=told["amount"], on_chain=True)
                )
        return max(newest, self.scanned), found


def leaf_of(control: ControlPlane, address: str, epoch: int) -> LeafView:
    """The leaf of an address in an epoch's root. Raises: NotFoundError."""
    one = control.store.queries.closed_epoch(epoch)
    statement = decode(one.body, EpochStatement)
    told = statement.chain
    made = leaves(statement, told, one.head) if told is not None else None
    for index, leaf in enumerate(made.leaves if made is not None else ()):
        if told is not None and made is not None and leaf.address == address:
            return LeafView(
                chain_id=told.chain_id,
                distributor=told.distributor,
                epoch=epoch,
                address=address,
                cumulative_wei=leaf.cumulative_wei,
                salt=leaf.salt,
                root=made.root.hex(),
                proof=tuple(step.hex() for step in made.proof(index)),
            )
    raise NotFoundError(f"{address} has no leaf in epoch {epoch}", code="SW-832")


def begin(control: ControlPlane, home: Path) -> Posting | None:
    """The posting of a home, if it names a chain.

    Raises: InputError for settings or a key that cannot be used, SourceError when the chain cannot be asked.
    """
    settings = read_settings(home)
    if settings is None:
        return None
    key = open_key(home / KEY_FILE, passphrase_of(os.environ))
    chain = open_chain(home, settings.rpc, settings.chain_id)
    poster = Poster(control.store.chain_outbox, chain, key, settings.confirmations, settings.max_fee_wei)
    log.info("chain: %d, posting as %s", chain.chain_id, key.address)
    return Posting(control, settings, poster)
