"""A bundle with adjustments: right ones pass, and every figure of every one is found when it is bent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.model import chain
from sunward.model.datum import Quality
from sunward.model.events import Event, SignalObserved
from sunward.model.receipt import Adjustment
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.units import emissions_mg
from sunward.verification.adjustments import FIGURES
from sunward.verification.journal import head_message
from sunward.verification.receipt import verify
from tests.support.bundles import CONTROL, HOUR, bound, carbon, genuine, receipt_in

AT_MS = HOUR + 9 * 3_600_000


def signed(message: bytes) -> str:
    return CONTROL.sign(message).hex()


def recorded(previous: RecordedEvent | JournalHead, sequence: int, payload) -> RecordedEvent:
    event = Event(AT_MS, payload)
    digest = chain.record_hash(
        previous.hash, sequence, previous.term, event.kind, event.version, event.at_ms, event.body()
    )
    return RecordedEvent(
        sequence=sequence,
        previous=previous.hash,
        hash=digest,
        term=previous.term,
        kind=event.kind,
        version=event.version,
        at_ms=event.at_ms,
        body=event.body().decode(),
        signature=signed(head_message(sequence, digest, previous.term)),
    )


@pytest.fixture
def bundle():
    """Spain's second hour is revised twice; Norway's hour is told again as it was."""
    plain = genuine()
    receipt = receipt_in(plain)
    lines = [line for line in receipt.lines if (line.zone, line.hour_ms) == ("ES", HOUR)]
    energies = [line.gpu_j + line.host_j + line.overhead_j for line in lines]
    head = plain.head
    one = recorded(head, head.sequence + 1, SignalObserved(observations=(carbon("ES", 111_111),)))
    same = carbon("NO", min((line.hour_ms, line.carbon_mg_per_kwh) for line in receipt.lines if line.zone == "NO")[1])
    two = recorded(one, head.sequence + 2, SignalObserved(observations=(carbon("ES", 222_223), same)))
    first = lines[0].carbon_mg_per_kwh
    entries = []
    for record, old, new in ((one, first, 111_111), (two, 111_111, 222_223)):
        entries.append(
            Adjustment(
                job=receipt.job,
                epoch=receipt.epoch,
                posted_epoch=receipt.epoch + 1,
                sequence=record.sequence,
                at_ms=AT_MS,
                cause="signal_revised",
                zone="ES",
                hour_ms=HOUR,
                old_mg_per_kwh=old,
                new_mg_per_kwh=new,
                old_mg=sum(emissions_mg(joules, old) for joules in energies),
                new_mg=sum(emissions_mg(joules, new) for joules in energies),
                source=carbon("ES", 1).source,
                quality=Quality.ESTIMATED,
            )
        )
    last = JournalHead(
        sequence=two.sequence,
        hash=two.hash,
        term=two.term,
        signature=signed(head_message(two.sequence, two.hash, two.term)),
    )
    return replace(plain, head=last, adjustments=tuple(entries), revisions=(one, two))


def keys(bundle):
    return {finding.key for finding in verify(bound(bundle)).findings}


def test_right_adjustments_pass(bundle):
    assert keys(bundle) == set()
    assert "adjustments" in verify(bundle).checked
    assert "no_later_revision" in verify(bundle).not_proved


@pytest.mark.parametrize(
    "name",
    ["job", "epoch", "posted_epoch", "cause", *FIGURES],
)
@pytest.mark.parametrize("number", [0, 1])
def test_every_bent_figure_is_found(bundle, name, number):
    was = getattr(bundle.adjustments[number], name)
    bent = replace(bundle.adjustments[number], **{name: 0 if name == "posted_epoch" else was + type(was)(1)})
    entries = [bent if index == number else one for index, one in enumerate(bundle.adjustments)]
    assert "adjustment" in keys(replace(bundle, adjustments=tuple(entries)))


def test_one_left_out_added_or_moved_is_found(bundle):
    one, two = bundle.adjustments
    for entries in ((), (one,), (two,), (two, one), (one, two, two)):
        assert "adjustment" in keys(replace(bundle, adjustments=entries))
    assert "adjustment" in keys(replace(bundle, revisions=()))


def test_a_forged_revision_is_found(bundle):
    one, two = bundle.revisions
    forged = replace(one, body=one.body.replace("111111", "111112"))
    assert "record_hash" in keys(replace(bundle, revisions=(forged, two)))
    assert "record_signature" in keys(replace(bundle, revisions=(replace(one, signature="00" * 64), two)))
    assert "chain" in keys(replace(bundle, revisions=(two, one)))
    early = bundle.events[0]
    assert "chain" in keys(replace(bundle, revisions=(early, one, two)))
