"""From a job's readings to what stands on a chain, step by step; each is looked at, and none takes another's word."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from sunward.adapters.contracts import contract
from sunward.cli.text import _
from sunward.client import ApiClient
from sunward.model.codec import decode, digest
from sunward.model.onchain import ChainStatus, ClosedView
from sunward.model.receipt import EpochStatement, Receipt
from sunward.ports import Chain
from sunward.service.postings import leaves
from sunward.verification.bundle import read_bundle
from sunward.verification.journal import check_record
from sunward.verification.onchain import RewardLeaf, leaf_leads_to
from sunward.verification.receipt import verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the way."""

    name: str
    passed: bool
    detail: str


def read_view(chain: Chain, name: str, address: str, function: str, *arguments: object) -> tuple[Any, ...]:
    """What a contract answers."""
    one = contract(name)
    return one.answer(function, chain.read(address, one.call(function, *arguments)))


def way_of(client: ApiClient, chain: Chain, status: ChainStatus, job: str) -> list[Step]:
    """Reading → seal → receipt → statement of the epoch → leaf → roots on the chain."""
    raw = client.bundle(job)
    bundle = read_bundle(raw)
    verdict = verify(bundle)
    receipt = decode(bundle.receipt, Receipt)
    seals = ", ".join(str(one) for one in receipt.seals)
    findings = "; ".join(one.text for one in verdict.findings[:3])
    closed = client.closed_epoch(receipt.epoch)
    statement = decode(closed.statement, EpochStatement)
    inside = digest(receipt) in statement.receipts
    return [
        Step(
            name=_("signed readings lead to seals, seals to the receipt"),
            passed=verdict.ok,
            detail=findings or _("{count} batches, seals {seals}").format(count=len(bundle.batches), seals=seals),
        ),
        Step(
            name=_("the receipt stands in the statement of its epoch"),
            passed=inside,
            detail=_("epoch {epoch}, {count} receipts").format(epoch=receipt.epoch, count=len(statement.receipts)),
        ),
        _closing(client, closed),
        *roots_of(chain, status, closed),
    ]


def roots_of(chain: Chain, status: ChainStatus, closed: ClosedView) -> list[Step]:
    """What the contracts hold of an epoch is what its statement and the journal say."""
    evidence, head, posted_s = read_view(chain, "ProviderRegistry", status.registry, "roots", closed.epoch)
    told = hashlib.sha256(closed.statement.encode()).hexdigest()
    on_registry = Step(
        name=_("the registry on the chain holds the hash of that statement, and of that record"),
        passed=bool(posted_s) and (evidence.hex(), head.hex()) == (told, closed.journal_head),
        detail=f"{told[:16]}… {closed.journal_head[:16]}…",
    )
    statement = decode(closed.statement, EpochStatement)
    if statement.chain is None:
        return [on_registry]
    made = leaves(statement, statement.chain, closed.journal_head)
    root, total_wei, _claimable_s = read_view(chain, "RewardDistributor", status.distributor, "root_of", closed.epoch)
    by_second = all(
        leaf_leads_to(
            root.hex(),
            RewardLeaf(
                chain_id=status.chain_id,
                contract=status.distributor,
                epoch=closed.epoch,
                address=one.address,
                cumulative_wei=one.cumulative_wei,
                salt=one.salt,
            ),
            [step.hex() for step in made.proof(index)],
        )
        for index, one in enumerate(made.leaves[:SHOWN])
    )
    on_distributor = Step(
        name=_("the statement's leaves, made again, give the distributor's root on the chain"),
        passed=(root, total_wei) == (made.root, made.total_wei) and by_second,
        detail=_("{count} leaves, root {root}…").format(count=len(made.leaves), root=made.root.hex()[:16]),
    )
    return [on_registry, on_distributor]


SHOWN = 8
"""Leaves that are walked to the root by a second author's arithmetic, which is slow; the root covers all."""


def _closing(client: ApiClient, closed: ClosedView) -> Step:
    """The record that closed the epoch has the hash that is told, by its own bytes."""
    records = client.journal(closed.sequence - 1, 1)
    right = bool(records) and records[0].hash == closed.journal_head and not list(check_record(records[0]))
    return Step(
        name=_("the record of the journal that closed the epoch has that hash"),
        passed=right,
        detail=_("record {sequence}").format(sequence=closed.sequence),
    )
