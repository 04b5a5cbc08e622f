"""What stands beside the journal in a store, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import json
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from sunward.adapters.access_sql import Reply
from sunward.adapters.contents_sql import StoredContent
from sunward.adapters.sql import SqlStore, open_store
from sunward.errors import ConflictError, InputError, InvariantError, NotFoundError, SourceError
from sunward.model.codec import decode, digest_bytes
from sunward.model.commands import CloseEpoch, IssueReceipt, PostAdjustments
from sunward.model.receipt import Receipt
from sunward.model.wire import JobContent
from tests.support.records import ADJUSTMENT, HUGE_WEI, STATEMENT, changed, posted, receipt_of, sealing, seen

CONTENT = StoredContent(
    tenant="t-1",
    salt=b"\x00salt",
    content=JobContent(name="비밀", command=("python", "train.py"), env={"KEY": "a\x00b"}),
    commitment="c" * 64,
)


def batch(counter: int, tag: str = "h") -> tuple[int, str, bytes]:
    return counter, f"{tag}{counter}", f"raw {counter}".encode()


# Opening.


def test_reopens_with_all_it_held(database_url: str) -> None:
    store = open_store(database_url)
    head = store.append(store.claim_leadership(), [seen(1)], [(changed("j-1", "placed"),)])
    store.close()
    again = open_store(database_url)
    assert again.head() == head
    assert again.queries.job_row("j-1").state == "placed"
    again.close()


def test_opening_at_once_creates_one_schema(database_url: str) -> None:
    stores: list[SqlStore] = []
    threads = [threading.Thread(target=lambda: stores.append(open_store(database_url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.head().sequence for store in stores] == [0] * 4
    for store in stores:
        store.close()


def test_a_table_that_a_later_version_brought_is_added_and_used(database_url: str) -> None:
    store = open_store(database_url)
    head = store.append(store.claim_leadership(), [seen(1)], [(changed("j-1", "placed"),)])
    store.close()
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE adjustments"))
    engine.dispose()
    again = open_store(database_url)
    assert again.queries.adjustments("j-1") == ()
    later = replace(ADJUSTMENT, hour_ms=9)
    commands = [(PostAdjustments(adjustments=(ADJUSTMENT, later, replace(ADJUSTMENT, job="j-2"))),)]
    again.append(head, [seen(2)], commands)
    again.project(2, commands)
    assert again.queries.adjustments("j-1") == (ADJUSTMENT, later)
    assert again.queries.job_row("j-1").state == "placed"
    again.close()


def test_refuses_a_newer_schema(database_url: str) -> None:
    open_store(database_url).close()
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = 99"))
    engine.dispose()
    with pytest.raises(InputError, match=r"schema 99.*upgrade"):
        open_store(database_url)


@pytest.mark.parametrize(
    "url", ["nonsense", "sqlite://", "sqlite:///:memory:", "mysql://host/db", "sqlite:////proc/x/y"]
)
def test_refuses_an_unfit_url(url: str) -> None:
    with pytest.raises(InputError):
        open_store(url)


def test_an_unreachable_server_may_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        open_store(f"postgresql+psycopg://postgres@/x?host={tmp_path}")
    assert caught.value.transient


def test_sqlite_is_durable_and_private(tmp_path: Path) -> None:
    file = tmp_path / "new" / "store.db"
    store = open_store(f"sqlite:///{file}")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with store.contents.database.reading() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert pragmas == ["wal", 2, 1, 10_000]
    store.close()


# Projections.


def test_pages_of_jobs_come_newest_first(store: SqlStore) -> None:
    commands = [(changed(f"j-{n}", "submitted", tenant=f"t-{n % 2}"), changed(f"k-{n}", "submitted")) for n in range(5)]
    head = store.append(store.head(), [seen(n) for n in range(5)], commands)
    store.append(head, [seen(9)], [(changed("j-0", "placed", at_ms=9, tenant="t-0"),)])
    names: list[str] = []
    cursor = ""
    while True:
        page = store.queries.jobs_page(after=cursor, limit=3)
        names += [row.job for row in page.rows]
        cursor = page.next
        if not cursor:
            break
    assert names == [f"{letter}-{n}" for n in (4, 3, 2, 1, 0) for letter in ("k", "j")]
    assert [row.job for row in store.queries.jobs_page("t-0").rows] == ["j-4", "j-2", "j-0"]
    assert (store.queries.job_row("j-0").state, store.queries.job_row("j-0").updated_ms) == ("placed", 9)


@pytest.mark.parametrize("cursor", ["x", "1", "1.2.3", "1.-2", "1.²"])
def test_refuses_a_foreign_cursor(store: SqlStore, cursor: str) -> None:
    with pytest.raises(InputError, match="cursor"):
        store.queries.jobs_page(after=cursor)


def test_keeps_a_jobs_history(store: SqlStore) -> None:
    store.append(store.head(), [seen(1), seen(2)], [(changed("j-1", "placed"),), (changed("j-1", "running", 2),)])
    assert [(row.sequence, row.state, row.at_ms) for row in store.queries.history("j-1")] == [
        (1, "placed", 0),
        (2, "running", 2),
    ]
    assert store.queries.history("j-2") == ()
    with pytest.raises(NotFoundError):
        store.queries.job_row("j-2")


def test_an_agents_detail_cannot_stop_the_journal(store: SqlStore) -> None:
    command = replace(changed("j-1", "failed"), detail="exit\x00 \U0001f600")
    store.append(store.head(), [seen(1)], [(command,)])
    assert store.queries.job_row("j-1").detail == "exit\ufffd \U0001f600"


def test_receipts_keep_the_bytes_that_were_signed(store: SqlStore) -> None:
    group = (
        IssueReceipt(receipt=receipt_of("j-2"), paid_usd_micro=1),
        IssueReceipt(receipt=receipt_of("j-1"), paid_usd_micro=1),
    )
    store.append(store.head(), [seen(1)], [group])
    kept = store.queries.receipt("j-1")
    assert decode(kept.body, Receipt) == receipt_of("j-1")
    assert kept.digest == digest_bytes(kept.body)
    assert kept.signature == f"signed-{len(kept.body)}"
    assert [receipt.job for receipt in store.queries.receipts(1)] == ["j-1", "j-2"]
    assert store.queries.receipts(2) == ()
    with pytest.raises(NotFoundError):
        store.queries.receipt("j-3")


def test_no_receipt_goes_unsigned(database_url: str) -> None:
    store = open_store(database_url)
    with pytest.raises(InvariantError, match="signing key"):
        store.append(store.head(), [seen(1)], [(IssueReceipt(receipt=receipt_of("j-1"), paid_usd_micro=1),)])
    assert store.head().sequence == 0
    store.close()


def test_keeps_epoch_statements(store: SqlStore) -> None:
    store.append(store.head(), [seen(1)], [(CloseEpoch(statement=STATEMENT),)])
    assert store.queries.epochs() == (STATEMENT,)


def test_pages_of_postings(store: SqlStore) -> None:
    groups = [(posted(-n, n, ref=f"j-{n}", entry=f"{n}.0"),) for n in range(1, 4)]
    store.append(store.head(), [seen(1), seen(2), seen(3)], groups)
    first = store.queries.entries(account="a:1", limit=2)
    assert [row.amount_wei for row in first.rows] == [1, 2]
    rest = store.queries.entries(account="a:1", after=first.next, limit=2)
    assert ([row.amount_wei for row in rest.rows], rest.next) == ([3], "")
    assert [(row.account, row.amount_wei) for row in store.queries.entries(job="j-2").rows] == [("a:0", -2), ("a:1", 2)]
    assert len(store.queries.entries().rows) == 6


def test_the_trial_balance_is_exact(store: SqlStore) -> None:
    store.append(store.head(), [seen(1), seen(2)], [(posted(-HUGE_WEI, HUGE_WEI),), (posted(1, -1),)])
    assert store.queries.trial_balance() == {"a:0": 1 - HUGE_WEI, "a:1": HUGE_WEI - 1}


def test_two_snapshots_are_kept(store: SqlStore) -> None:
    for sequence in (1, 5, 9):
        store.save_snapshot(sequence, bytes([sequence]) * 3)
    store.save_snapshot(9, b"again")
    assert list(store.snapshots()) == [(9, b"\x09\x09\x09"), (5, b"\x05\x05\x05")]


# Readings and logs.


def test_delivering_a_batch_twice_stores_it_once(store: SqlStore) -> None:
    assert store.ingest.last_batch("s-1") is None
    store.ingest.accept_batches("s-1", [])
    store.ingest.accept_batches("s-1", [batch(1), batch(2)])
    store.ingest.accept_batches("s-1", [batch(2), batch(3)])
    assert store.ingest.last_batch("s-1") == (3, "h3")
    assert [stored.raw for stored in store.ingest.unsealed(10)] == [b"raw 1", b"raw 2", b"raw 3"]


def test_two_batches_of_one_counter_are_refused(store: SqlStore) -> None:
    store.ingest.accept_batches("s-1", [batch(1)])
    with pytest.raises(ConflictError):
        store.ingest.accept_batches("s-1", [batch(2), batch(1, "other")])
    assert store.ingest.last_batch("s-1") == (1, "h1")


def test_batches_stand_in_byte_order(store: SqlStore) -> None:
    for site in ("s-b", "S-c", "s-a", "sa"):
        store.ingest.accept_batches(site, [batch(10), batch(9)])
    order = [(stored.site, stored.counter) for stored in store.ingest.unsealed(100)]
    assert order == [(site, counter) for site in ("S-c", "s-a", "s-b", "sa") for counter in (9, 10)]
    assert len(store.ingest.unsealed(3)) == 3


def test_seals_mark_batches_with_the_append(store: SqlStore) -> None:
    for site in ("s-1", "s-2"):
        store.ingest.accept_batches(site, [batch(1), batch(2), batch(3)])
    spans = [("s-1", 1, 2), ("s-2", 1, 3)]
    head = store.append(store.head(), [seen(1), sealing(2, *spans)], [(), ()], sealed=spans)
    assert [(stored.site, stored.counter) for stored in store.ingest.unsealed(10)] == [("s-1", 3)]
    held = [(stored.site, stored.counter) for stored in store.ingest.batches_of_seal(head.sequence)]
    assert held == [("s-1", 1), ("s-1", 2), ("s-2", 1), ("s-2", 2), ("s-2", 3)]


@pytest.mark.parametrize("span", [("s-1", 1, 2), ("s-1", 2, 4), ("s-2", 1, 1)])
def test_a_seal_of_sealed_or_missing_batches_is_refused(store: SqlStore, span: tuple[str, int, int]) -> None:
    store.ingest.accept_batches("s-1", [batch(1), batch(2), batch(3)])
    first = ("s-1", 1, 1)
    head = store.append(store.head(), [sealing(1, first)], [()], sealed=[first])
    with pytest.raises(InvariantError, match="to seal"):
        store.append(head, [sealing(2, span)], [()], sealed=[span])
    assert store.head() == head
    assert [stored.counter for stored in store.ingest.unsealed(10)] == [2, 3]


def test_logs_join_however_they_are_cut(store: SqlStore) -> None:
    ingest = store.ingest
    assert ingest.append_log("j-1.1", 0, b"hello ") == 6
    assert ingest.append_log("j-1.1", 0, b"hello wor") == 9
    assert ingest.append_log("j-1.1", 3, b"lo") == 9
    assert ingest.append_log("j-1.1", 20, b"after a hole") == 9
    assert ingest.append_log("j-1.1", 9, b"ld") == 11
    assert ingest.read_log("j-1.1") == b"hello world"
    assert ingest.read_log("j-1.1", after=4, limit=4) == b"o wo"
    assert ingest.read_log("j-1.1", after=11) == b""
    assert ingest.read_log("j-1.2") == b""


# Private content.


def keep(store: SqlStore, content: StoredContent) -> None:
    with store.contents.database.writing() as connection:
        store.contents.put(connection, {"j-1": content})


def test_content_is_kept_until_erased(store: SqlStore) -> None:
    keep(store, CONTENT)
    keep(store, CONTENT)
    store.ingest.append_log("j-1.1", 0, b"private")
    store.ingest.append_log("j-10.1", 0, b"another's")
    assert store.contents.get("j-1") == CONTENT
    jobs = (changed("j-1", "finished", tenant="t-1"), changed("j-10", "finished", tenant="t-2"))
    store.append(store.claim_leadership(), [seen(1)], [jobs])
    assert store.contents.erase_content("t-1") == 1
    assert store.contents.erase_content("t-1") == 0
    with pytest.raises(NotFoundError):
        store.contents.get("j-1")
    assert store.ingest.read_log("j-1.1") == b""
    assert store.ingest.read_log("j-10.1") == b"another's"


def test_content_comes_with_its_job_or_not_at_all(store: SqlStore) -> None:
    keep(store, CONTENT)
    other = StoredContent(tenant="t-2", salt=b"", content=CONTENT.content, commitment="d" * 64)

    def broken_off() -> None:
        with store.contents.database.writing() as connection:
            store.contents.put(connection, {"j-1": other, "j-2": other})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert store.contents.get("j-1") == CONTENT
    with pytest.raises(NotFoundError):
        store.contents.get("j-2")


def test_a_checkpoint_moves_what_was_committed_into_the_database(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    store.contents.name_tenant("t-1", "moved-into-the-file")
    assert b"moved-into-the-file" not in (tmp_path / "store.db").read_bytes()
    store.checkpoint()
    assert b"moved-into-the-file" in (tmp_path / "store.db").read_bytes()
    store.close()


def test_erased_bytes_leave_the_files(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    secret = JobContent(name="n", command=("curl", "find-me-if-you-can"))
    keep(store, StoredContent(tenant="t", salt=b"s", content=secret, commitment="c"))
    assert b"find-me" in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    store.contents.erase_content("t")
    store.contents.drop_old_pages()
    assert b"find-me" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    store.close()


def test_tenants_have_names(store: SqlStore) -> None:
    store.contents.name_tenant("t-1", "first")
    store.contents.name_tenant("t-1", "김")
    store.contents.name_tenant("t-2", "second")
    assert store.contents.tenants() == (("t-1", "김"), ("t-2", "second"))
    store.contents.erase_content("t-2")
    assert store.contents.tenants() == (("t-1", "김"), ("t-2", "t-2")), "it stays, under its id"


# Access.


def test_tokens_end_when_revoked_or_expired(store: SqlStore) -> None:
    token = store.access.create_token("t-1", ("jobs:read", "jobs:write"), 1_000, "laptop")
    found = store.access.lookup_token(token, 999)
    assert found is not None
    assert (found.subject, found.scopes, found.note) == ("t-1", ("jobs:read", "jobs:write"), "laptop")
    assert store.access.lookup_token(token, 1_000) is None
    assert store.access.lookup_token(token + "x", 0) is None
    assert store.access.tokens("t-1") == store.access.tokens() == (found,)
    assert store.access.tokens("t-2") == ()
    assert store.access.revoke_token(found.hash)
    assert not store.access.revoke_token(found.hash)
    assert store.access.lookup_token(token, 0) is None


def test_a_token_is_nowhere_stored(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    token = store.access.create_token("t-1", ("jobs:read",), 1)
    enrolment = store.access.create_enrolment("t-1", 1)
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert digest_bytes(token.encode()).encode() in files
    assert token.encode() not in files
    assert enrolment.encode() not in files
    store.close()


def test_an_enrolment_is_spent_on_one_key(store: SqlStore) -> None:
    token = store.access.create_enrolment("owner", 1_000)
    assert store.access.consume_enrolment(token, "key-1", 1_000) is None
    assert store.access.consume_enrolment("unknown", "key-1", 0) is None
    assert store.access.consume_enrolment(token, "key-1", 0) == "owner"
    assert store.access.consume_enrolment(token, "key-2", 0) is None
    assert store.access.consume_enrolment(token, "key-1", 0) == "owner"


def test_racing_keys_spend_an_enrolment_once(store: SqlStore) -> None:
    token = store.access.create_enrolment("owner", 1)
    won: list[str | None] = []
    threads = [
        threading.Thread(target=lambda key=key: won.append(store.access.consume_enrolment(token, key, 0)))
        for key in ("k-1", "k-2", "k-3", "k-4")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won, key=str) == [None, None, None, "owner"]


def test_a_repeated_request_gets_the_first_reply(store: SqlStore) -> None:
    assert store.access.recall_reply("t-1", "key", "digest") is None
    first = Reply(status=201, response=json.dumps({"job": "j-1"}).encode())
    store.access.keep_reply("t-1", "key", "digest", first, 5)
    store.access.keep_reply("t-1", "key", "digest", Reply(status=500, response=b""), 6)
    assert store.access.recall_reply("t-1", "key", "digest") == first
    assert store.access.recall_reply("t-2", "key", "digest") is None
    with pytest.raises(ConflictError):
        store.access.recall_reply("t-1", "key", "another request")


def test_the_audit_trail_goes_on_where_it_was_left(store: SqlStore) -> None:
    for at in (5, 6, 7):
        store.access.record_act(at, "t-1", "token.create", f"target-{at}")
    first = store.access.audit_trail(limit=2)
    rest = store.access.audit_trail(after=first[-1].id)
    assert [line.target for line in first + rest] == ["target-5", "target-6", "target-7"]
