"""One journal through the live store and through memory: the same hashes, receipts, ledger and plans, byte for byte."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from sunward.adapters.sql import open_store
from sunward.engine.inputs import sealed_ranges
from sunward.engine.state import State
from sunward.engine.writer import Writer, replay
from sunward.model.codec import encode
from sunward.model.events import Event, PlanProposed, ReadingsSealed
from sunward.sim.parity import run_again
from tests.support.faults import faulty


@pytest.fixture(scope="module")
def run():
    return faulty(11, jobs=8, hours=36)


def signature(_body: bytes) -> str:
    return "5" * 128


@pytest.fixture(scope="module")
def store(run, tmp_path_factory):
    """The run's events written again through a live writer on SQLite."""
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('parity') / 'journal.db'}", signature)
    writer = Writer(State(), store)
    for record in run.journal.read():
        while store.head().term < record.term:
            writer.head = store.claim_leadership()
        batches = sealed_ranges(record.event.payload) if isinstance(record.event.payload, ReadingsSealed) else []
        for site, first, last in batches:
            store.ingest.accept_batches(site, [(n, f"{site}-{n}", b"signed") for n in range(first, last + 1)])
        (outcome,) = writer.commit(record.event.at_ms, [record.event.payload], batches)
        assert outcome.refused is None
    yield store
    store.close()


def test_the_same_records(run, store):
    assert list(store.read()) == list(run.journal.read())
    assert store.head() == run.journal.head()


def test_the_same_receipts_to_the_byte(run, store):
    assert len(run.journal.receipts) == 8
    for receipt in run.journal.receipts:
        assert store.queries.receipt(receipt.job).body == encode(receipt)


def test_the_same_trial_balance(run, store):
    balances: Counter[str] = Counter()
    for entry in run.journal.entries:
        for posting in entry.postings:
            balances[posting.account] += posting.amount_wei
    state = replay(store.read())
    assert state.ledger.to_record() == {account: wei for account, wei in sorted(balances.items()) if wei}
    assert {account: wei for account, wei in store.queries.trial_balance().items() if wei} == state.ledger.to_record()


def test_solving_again_gives_every_plan(run, store):
    again = run_again(list(store.read()))
    plans = sum(record.event.kind == "plan_proposed" for record in run.journal.read())
    assert (again.plans, again.plans_differing) == (plans, [])
    assert again.head_hash == run.journal.head().hash
    assert again.receipts == {one.job: encode(one) for one in run.journal.receipts}
    assert again.statements == {one.epoch: encode(one) for one in run.journal.epochs}
    assert again.entries == {one.entry: encode(one) for one in run.journal.entries}


def forged(records, change):
    """The first plan with assignments, changed; what followed is left out."""
    at, record = next(
        (index, one)
        for index, one in enumerate(records)
        if isinstance(one.event.payload, PlanProposed) and one.event.payload.plan.assignments
    )
    plan = change(record.event.payload.plan)
    return [*records[:at], replace(record, event=Event(record.event.at_ms, PlanProposed(plan=plan)))], record.sequence


def dearer(plan):
    first, *rest = plan.assignments
    return replace(plan, assignments=(replace(first, terms=replace(first.terms, energy=first.terms.energy + 1)), *rest))


@pytest.mark.parametrize(
    "change",
    [
        dearer,
        lambda plan: replace(plan, assignments=plan.assignments[1:]),
        lambda plan: replace(plan, based_on=plan.based_on - 1),
        lambda plan: replace(plan, based_on=10**9),
        lambda plan: replace(plan, at_ms=plan.at_ms + 1),
    ],
)
def test_a_tampered_plan_is_found(run, change):
    records, sequence = forged(list(run.journal.read()), change)
    assert run_again(records).plans_differing == [sequence]
