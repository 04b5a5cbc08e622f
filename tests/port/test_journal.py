"""The conformance suite of the Journal port: SQLite, PostgreSQL and the twin in memory."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sunward.adapters.sql import READ_CHUNK, SqlStore, open_store
from sunward.errors import ConflictError, InvariantError
from sunward.model.chain import GENESIS
from sunward.model.commands import CloseEpoch, IssueReceipt, OrdersChanged, PostEntries
from sunward.model.identity import SiteId
from sunward.model.ledger import Entry, Posting
from sunward.model.wire import JournalHead
from sunward.ports import Journal, Recorded
from sunward.sim.memory import MemoryJournal
from tests.support.records import HUGE_WEI, STATEMENT, changed, posted, receipt_of, sealing, seen

ROOT = Path(__file__).parents[2]
ACKNOWLEDGED = 12

BACKENDS = ["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.services)]


@pytest.fixture(params=BACKENDS)
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore | MemoryJournal]:
    if request.param == "memory":
        yield MemoryJournal()
        return
    url = f"sqlite:///{tmp_path}/store.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").new_url()
    store = open_store(url, sign=lambda _: "signature")
    yield store
    store.close()


def balances(journal: SqlStore | MemoryJournal) -> dict[str, int]:
    if isinstance(journal, SqlStore):
        return journal.queries.trial_balance()
    totals: dict[str, int] = {}
    for posting in (posting for entry in journal.entries for posting in entry.postings):
        totals[posting.account] = totals.get(posting.account, 0) + posting.amount_wei
    return totals


def states(journal: SqlStore | MemoryJournal, job: str) -> list[str]:
    if isinstance(journal, SqlStore):
        return [row.state for row in journal.queries.history(job)]
    return [change.state for change in journal.job_changes if change.job == job]


def check_chain(records: Iterable[Recorded]) -> JournalHead:
    """Recompute the chain from the format's description, without the code that wrote it."""
    sequence, previous, term = 0, "0" * 64, 0
    for record in records:
        sequence += 1
        assert (record.sequence, record.previous) == (sequence, previous)
        event = record.event
        fields = ["sunward-journal/1", previous, sequence, record.term, event.kind, event.version, event.at_ms]
        header = "".join(f"{field}\n" for field in fields)
        previous = hashlib.sha256(header.encode() + event.body()).hexdigest()
        assert record.hash == previous
        term = record.term
    return JournalHead(sequence=sequence, hash=previous, term=term)


def test_satisfies_the_port(journal: Journal) -> None:
    assert journal.head() == JournalHead(sequence=0, hash=GENESIS, term=0)
    assert list(journal.read()) == []


def test_records_events_in_order(journal: Journal) -> None:
    events = [seen(at, boot=f"boot {at} é") for at in range(5)]
    head = journal.append(journal.head(), events[:2], [(), ()])
    head = journal.append(head, events[2:], [(), (), ()])
    assert journal.head() == head
    assert [record.event for record in journal.read()] == events
    assert [record.sequence for record in journal.read(after=3)] == [4, 5]
    assert check_chain(journal.read()) == head


def test_reads_more_than_one_chunk(journal: Journal) -> None:
    count = 2 * READ_CHUNK
    head = journal.append(journal.head(), [seen(at) for at in range(count)], [()] * count)
    assert check_chain(journal.read()) == head
    assert head.sequence == count


def test_a_signature_on_the_head_is_not_compared(journal: Journal) -> None:
    signed = replace(journal.head(), signature="operator's")
    assert journal.append(signed, [seen(1)], [()]).sequence == 1


def test_appending_nothing_still_compares(journal: Journal) -> None:
    old = journal.head()
    head = journal.append(old, [seen(1)], [()])
    assert journal.append(head, [], []) == head
    with pytest.raises(ConflictError):
        journal.append(old, [], [])


def test_the_second_of_two_writers_is_refused(journal: SqlStore | MemoryJournal) -> None:
    both_read = journal.head()
    head = journal.append(both_read, [seen(1)], [(changed("j-1", "placed"),)])
    with pytest.raises(ConflictError):
        journal.append(both_read, [seen(2)], [(changed("j-1", "failed"),)])
    assert journal.head() == head
    assert states(journal, "j-1") == ["placed"]


def test_racing_writers_never_both_win(journal: Journal) -> None:
    won: list[int] = []

    def write(name: int) -> None:
        for _ in range(10):
            try:
                journal.append(journal.head(), [seen(name)], [()])
            except ConflictError:
                continue
            won.append(name)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert check_chain(journal.read()) == journal.head()
    assert sorted(record.event.at_ms for record in journal.read()) == sorted(won)


@pytest.mark.parametrize("wrong", [{"sequence": 2}, {"hash": "f" * 64}, {"term": 1}])
def test_every_part_of_the_head_is_compared(journal: Journal, wrong: dict[str, int]) -> None:
    head = journal.append(journal.head(), [seen(1)], [()])
    with pytest.raises(ConflictError):
        journal.append(replace(head, **wrong), [seen(2)], [()])
    assert journal.head() == head


def test_a_new_leader_fences_the_old(journal: Journal) -> None:
    old = journal.claim_leadership()
    old = journal.append(old, [seen(1)], [()])
    new = journal.claim_leadership()
    assert (new.sequence, new.hash, new.term) == (old.sequence, old.hash, old.term + 1)
    with pytest.raises(ConflictError):
        journal.append(old, [seen(2)], [()])
    head = journal.append(new, [seen(3)], [()])
    assert [record.term for record in journal.read()] == [1, 2]
    assert check_chain(journal.read()) == head


def test_projects_commands(journal: SqlStore | MemoryJournal) -> None:
    first = (changed("j-1", "submitted"), OrdersChanged(site=SiteId("s-1")), posted(-7, 7))
    second = (changed("j-1", "placed"), changed("j-2", "submitted"))
    journal.append(journal.head(), [seen(1), seen(2)], [first, second])
    assert states(journal, "j-1") == ["submitted", "placed"]
    assert states(journal, "j-2") == ["submitted"]
    assert balances(journal) == {"a:0": -7, "a:1": 7}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param((posted(-7, 8),), id="entry does not balance"),
        pytest.param((IssueReceipt(receipt=receipt_of("j-1"), paid_usd_micro=1),), id="second receipt"),
        pytest.param((CloseEpoch(statement=STATEMENT),), id="second statement"),
    ],
)
def test_a_failing_projection_leaves_nothing(journal: SqlStore | MemoryJournal, wrong: tuple[PostEntries, ...]) -> None:
    kept = (IssueReceipt(receipt=receipt_of("j-1"), paid_usd_micro=1), CloseEpoch(statement=STATEMENT))
    head = journal.append(journal.head(), [seen(1)], [kept])
    with pytest.raises(InvariantError):
        journal.append(head, [seen(2), seen(3)], [(changed("j-2", "placed"), posted(-1, 1)), wrong])
    assert journal.head() == head
    assert [record.sequence for record in journal.read()] == [1]
    assert states(journal, "j-2") == []
    assert balances(journal) == {}
    assert journal.append(head, [seen(2)], [()]).sequence == 2


def test_events_need_their_commands(journal: Journal) -> None:
    with pytest.raises(InvariantError):
        journal.append(journal.head(), [seen(1)], [])
    assert journal.head().sequence == 0


def test_projecting_again_changes_nothing(journal: SqlStore | MemoryJournal) -> None:
    commands = [
        (changed("j-1", "submitted"), posted(-HUGE_WEI, HUGE_WEI)),
        (
            changed("j-1", "finished"),
            IssueReceipt(receipt=receipt_of("j-1"), paid_usd_micro=1),
            CloseEpoch(statement=STATEMENT),
        ),
    ]
    journal.append(journal.head(), [seen(1), seen(2)], commands)
    before = states(journal, "j-1"), balances(journal)
    journal.project(1, commands)
    journal.project(1, commands[:1])
    assert (states(journal, "j-1"), balances(journal)) == before
    if isinstance(journal, SqlStore):
        assert journal.queries.job_row("j-1").state == "finished"


def test_only_recorded_events_project(journal: SqlStore | MemoryJournal) -> None:
    with pytest.raises(InvariantError):
        journal.project(1, [(changed("j-1", "placed"),)])
    assert states(journal, "j-1") == []


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amounts=st.lists(st.integers(-(2**255), 2**255), min_size=1, max_size=5))
def test_wei_are_exact(journal: SqlStore | MemoryJournal, amounts: list[int]) -> None:
    before = balances(journal)
    postings = [*amounts, -sum(amounts)]
    journal.append(journal.head(), [seen(1)], [(posted(*postings),)])
    after = balances(journal)
    assert sum(after.values()) == 0
    for index, amount in enumerate(postings):
        assert after[f"a:{index}"] - before.get(f"a:{index}", 0) == amount


def test_one_account_may_stand_twice_in_an_entry(journal: SqlStore | MemoryJournal) -> None:
    postings = (Posting(account="a", amount_wei=5), Posting(account="a", amount_wei=-5))
    entry = Entry(entry="1.0", epoch=1, at_ms=0, cause="adjust", ref="j-1", postings=postings)
    journal.append(journal.head(), [seen(1)], [(PostEntries(entries=(entry, entry)),)])
    assert balances(journal) == {"a": 0}


def test_a_seal_must_be_among_the_events(journal: SqlStore | MemoryJournal) -> None:
    with pytest.raises(InvariantError):
        journal.append(journal.head(), [sealing(1, ("s-1", 1, 2))], [()], sealed=[("s-1", 1, 3)])
    assert journal.head().sequence == 0


def test_the_twin_keeps_what_was_projected() -> None:
    journal = MemoryJournal()
    receipt = IssueReceipt(receipt=receipt_of("j-1"), paid_usd_micro=1)
    group = (changed("j-1", "finished"), posted(-1, 1), receipt, CloseEpoch(statement=STATEMENT))
    journal.append(journal.head(), [sealing(1, ("s-1", 1, 2))], [group], sealed=[("s-1", 1, 2)])
    assert list(journal.projected.values()) == list(group)
    assert journal.receipts == [receipt.receipt]
    assert journal.epochs == [STATEMENT]
    assert journal.sealed == {("s-1", 1, 2): 1}


def test_twin_and_store_give_the_same_bytes(store: SqlStore) -> None:
    twin = MemoryJournal()
    events = [seen(at) for at in range(10)]
    for journal in (twin, store):
        journal.append(journal.claim_leadership(), events, [()] * len(events))
    assert list(twin.read()) == list(store.read())


def test_kill_loses_no_acknowledged_append(database_url: str) -> None:
    command = [sys.executable, "-m", "tests.port.journal_writer", database_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(ACKNOWLEDGED)][-1]
        writer.kill()
        acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    store = open_store(database_url)
    head = store.head()
    assert head.sequence >= acknowledged
    assert check_chain(store.read()) == head
    rows = [store.queries.job_row(f"j-{record.event.at_ms}") for record in store.read()]
    assert len(rows) == head.sequence
    assert store.append(store.claim_leadership(), [seen(0)], [()]).sequence == head.sequence + 1
    store.close()
