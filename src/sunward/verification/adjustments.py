"""Adjustments of a receipt, computed anew from the records of the revisions and the receipt's own lines."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from sunward.errors import InputError
from sunward.model.datum import SeriesKind
from sunward.model.events import SignalObserved, read_event
from sunward.model.receipt import SIGNAL_REVISED, Adjustment, Receipt
from sunward.model.wire import RecordedEvent
from sunward.verification.bundle import Bundle, hours_of
from sunward.verification.exact import J_IN_KWH, nearest
from sunward.verification.verdict import Finding, mismatch

FIGURES = ("sequence", "at_ms", "zone", "hour_ms", "old_mg_per_kwh", "new_mg_per_kwh", "old_mg", "new_mg", "source")


def check_adjustments(bundle: Bundle, receipt: Receipt) -> Iterator[Finding]:
    """Every revision of an hour of the receipt is posted, and nothing else is."""
    expected = list(_expected(bundle.revisions, receipt))
    found = [tuple(getattr(one, name) for name in FIGURES) for one in bundle.adjustments]
    for number, (posted, right) in enumerate(zip(found, expected, strict=False), start=1):
        if posted != right:
            yield mismatch("adjustment", ", ".join(FIGURES), f"adjustment {number}", posted, right)
    if len(found) != len(expected):
        yield mismatch("adjustment", "number", "the adjustments", len(found), len(expected))
    for number, one in enumerate(bundle.adjustments, start=1):
        yield from _check_place(one, number, receipt)


def _check_place(one: Adjustment, number: int, receipt: Receipt) -> Iterator[Finding]:
    told = (one.job, one.epoch, one.cause)
    right = (receipt.job, receipt.epoch, SIGNAL_REVISED)
    if told != right:
        yield mismatch("adjustment", "job, epoch, cause", f"adjustment {number}", told, right)
    if one.posted_epoch <= receipt.epoch:
        later = f"more than {receipt.epoch}"
        yield mismatch("adjustment", "posted_epoch", f"adjustment {number}", one.posted_epoch, later)


def _expected(revisions: tuple[RecordedEvent, ...], receipt: Receipt) -> Iterator[tuple[object, ...]]:
    """What each record changes of the lines, one after the other; lines of an hour and zone count alike."""
    standing = {(line.zone, line.hour_ms): line.carbon_mg_per_kwh for line in receipt.lines}
    energy: dict[tuple[str, int], list[int]] = {}
    for line in receipt.lines:
        energy.setdefault((line.zone, line.hour_ms), []).append(line.gpu_j + line.host_j + line.overhead_j)
    for record in revisions:
        for zone, hour_ms, value, source in _values(record):
            old = standing.get((zone, hour_ms))
            if old is None or old == value:
                continue
            standing[zone, hour_ms] = value
            old_mg, new_mg = (
                sum(nearest(Fraction(joules, J_IN_KWH) * factor) for joules in energy[zone, hour_ms])
                for factor in (old, value)
            )
            yield record.sequence, record.at_ms, zone, hour_ms, old, value, old_mg, new_mg, source


def _values(record: RecordedEvent) -> Iterator[tuple[str, int, int, str]]:
    try:
        payload = read_event(record.kind, record.version, record.at_ms, record.body.encode()).payload
    except InputError:
        return  # It is found by the check of the records.
    if isinstance(payload, SignalObserved):
        for observation in payload.observations:
            if observation.kind is SeriesKind.CARBON_AVERAGE_LIFECYCLE:
                for hour_ms, value in zip(hours_of(observation), observation.values, strict=True):
                    yield observation.zone, hour_ms, value, observation.source
