import json
from dataclasses import replace

import pytest

from sunward.model import chain
from sunward.model.wire import JournalHead
from sunward.verification.journal import NOT_PROVED, record_hash, verify_chain
from tests.support.bundles import CONTROL, genuine_journal, public_hex

RECORDS, BUNDLE = genuine_journal()


def keys(records, head=None):
    return {finding.key for finding in verify_chain(records, head, public_hex(CONTROL) if head else "").findings}


def test_a_genuine_journal_passes():
    verdict = verify_chain(RECORDS, BUNDLE.head, public_hex(CONTROL))
    assert verdict.ok
    assert verdict.checked == ("record_hash", "event_body", "chain", "head")
    assert verdict.not_proved == NOT_PROVED
    assert verify_chain(()).ok


def test_both_authors_hash_alike():
    one = RECORDS[3]
    body = one.body.encode()
    assert record_hash(one) == one.hash
    assert one.hash == chain.record_hash(one.previous, one.sequence, one.term, one.kind, one.version, one.at_ms, body)


@pytest.mark.parametrize(
    "change",
    [{"at_ms": 5}, {"term": 2}, {"hash": "f" * 64}, {"body": "{}"}, {"previous": "f" * 64}, {"kind": "deposited"}],
)
def test_a_changed_record_breaks_the_chain(change):
    records = [*RECORDS[:2], replace(RECORDS[2], **change), *RECORDS[3:]]
    assert "record_hash" in keys(records)


def test_a_rehashed_record_breaks_the_next_one():
    forged = replace(RECORDS[2], at_ms=5)
    forged = replace(forged, hash=record_hash(forged))
    assert keys([*RECORDS[:2], forged, *RECORDS[3:]]) == {"chain"}


def test_dropped_moved_and_repeated_records_are_found():
    assert keys(RECORDS[1:]) == {"chain"}
    assert keys((RECORDS[0], *RECORDS[2:])) == {"chain"}
    assert keys((*RECORDS[:2], RECORDS[1], *RECORDS[2:])) == {"chain"}


def with_body(body):
    changed = replace(RECORDS[0], body=body)
    return (replace(changed, hash=record_hash(changed)),)


def test_a_body_that_is_not_canonical_is_found():
    body = RECORDS[0].body
    fields = json.loads(body)
    turned = dict(reversed(fields.items()))
    for wrong in (body.replace(":", ": ", 1), compact(turned), compact(fields | {"unknown": 1})):
        assert keys(with_body(wrong)) == {"event_body"}


def test_a_body_from_before_a_field_was_added_is_canonical():
    fields = json.loads(RECORDS[0].body)
    del fields["offset_margin_bps"]
    assert keys(with_body(compact(fields))) == set()


def compact(fields):
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def test_a_term_that_goes_back_is_found():
    first = replace(RECORDS[0], term=7)
    first = replace(first, hash=record_hash(first))
    second = replace(RECORDS[1], previous=first.hash)
    verdict = verify_chain((first, replace(second, hash=record_hash(second))))
    assert [finding.text for finding in verdict.findings] == ["record 2 goes back to term 1 after 7"]


def test_a_cut_journal_does_not_reach_its_head():
    assert keys(RECORDS[:-1], BUNDLE.head) == {"head"}
    assert keys((), BUNDLE.head) == {"head"}


def test_a_head_that_nobody_signed_is_found():
    head = BUNDLE.head
    unsigned = JournalHead(sequence=head.sequence, hash=head.hash, term=head.term, signature="00")
    assert keys(RECORDS, unsigned) == {"head"}


def test_findings_read_as_sentences():
    (finding,) = verify_chain(RECORDS[:1], BUNDLE.head, public_hex(CONTROL)).findings
    assert finding.text.startswith("sequence, hash and term of the head is (8, ")
    assert f"the evidence gives (1, '{RECORDS[0].hash}', 1)" in finding.text
