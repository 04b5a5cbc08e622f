"""The evidence of a final receipt, gathered from the store: all that checking it offline needs."""

from __future__ import annotations

import base64
from dataclasses import replace
from itertools import takewhile

from sunward.adapters.ingest_sql import StoredBatch
from sunward.engine.accounts import fossil_mg_per_kwh
from sunward.errors import InvariantError
from sunward.metering import merkle
from sunward.model.chain import head_bytes
from sunward.model.codec import decode
from sunward.model.receipt import Receipt
from sunward.model.records import SigningKey, SigningKeys
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.ports import Recorded
from sunward.service.control import ControlPlane
from sunward.service.keys import public_of
from sunward.units import HOUR_MS, MG_PER_KG
from sunward.verification.bundle import Bundle, HardwareFigures, MarketFactor, SignedBatch, bound_message, select
from sunward.verification.keys import read_lineage
from sunward.verification.reading import read_message
from sunward.world import catalogue


def gather(control: ControlPlane, job: str, head: JournalHead) -> Bundle:
    """The bundle of a job; reads the store only, so it may run beside the event loop.

    Raises: NotFoundError before the receipt is final.
    """
    signed = control.store.queries.receipt(job)
    receipt = decode(signed.body, Receipt)
    until = takewhile(lambda one: one.sequence <= signed.sequence, control.store.read())
    records = map(recorded_event, until)
    # No later than the head: what is posted while this gathers is of no use to who holds this head.
    posted = control.store.queries.adjustments(job)
    adjustments = tuple(one for one in posted if one.sequence <= head.sequence)
    bundle = Bundle(
        receipt=signed.body.decode(),
        # Under the key in force, as all else in the bundle; of the same key it is the very signature that is stored.
        signature=control.key.sign(signed.body).hex(),
        public_key=public_of(control.key),
        head=head,
        events=tuple(_vouched(control, record) for record in select(receipt, records)),
        batches=tuple(batch for seal in receipt.seals for batch in _batches(control, receipt, seal)),
        hardware=tuple(_hardware(model) for model in sorted({line.gpu_model for line in receipt.lines})),
        market=tuple(
            MarketFactor(zone=zone, mg_per_kwh=fossil_mg_per_kwh(zone))
            for zone in sorted({line.zone for line in receipt.lines})
        ),
        offset_share_bps=_share(control, receipt.epoch),
        adjustments=adjustments,
        revisions=tuple(
            _vouched(control, recorded_event(control.store.record(sequence)))
            for sequence in sorted({one.sequence for one in adjustments})
        ),
        rotations=rotations(control),
    )
    return replace(bundle, bound=control.key.sign(bound_message(bundle)).hex())


def rotations(control: ControlPlane) -> tuple[RecordedEvent, ...]:
    """The records by which one signing key followed another, vouched for by the one in force."""
    found = (control.store.record(sequence) for sequence, _ in control.state.rotations)
    return tuple(_vouched(control, recorded_event(one)) for one in found)


def signing_keys(control: ControlPlane) -> SigningKeys:
    """Every key the service has had, oldest first."""
    records = rotations(control)
    line, _ = read_lineage(records)
    keys = line.keys or [public_of(control.key)]
    firsts = (1, *line.ends)
    lasts = (*(end - 1 for end in line.ends), None)
    return SigningKeys(
        keys=tuple(
            SigningKey(public_key=key, first=first, last=last)
            for key, first, last in zip(keys, firsts, lasts, strict=True)
        ),
        rotations=records,
    )


def recorded_event(one: Recorded) -> RecordedEvent:
    """A journal record as it travels."""
    event = one.event
    return RecordedEvent(
        sequence=one.sequence,
        previous=one.previous,
        hash=one.hash,
        term=one.term,
        kind=event.kind,
        version=event.version,
        at_ms=event.at_ms,
        body=event.body().decode(),
    )


def _vouched(control: ControlPlane, record: RecordedEvent) -> RecordedEvent:
    """The record with the control plane's word that it was once the head."""
    signature = control.key.sign(head_bytes(record.sequence, record.hash, record.term)).hex()
    return RecordedEvent(**{name: getattr(record, name) for name in RecordedEvent.__slots__} | {"signature": signature})


def _batches(control: ControlPlane, receipt: Receipt, seal: int) -> list[SignedBatch]:
    """The batches of a seal that hold a span of one of the job's leases, each with its way to the root."""
    stored = control.store.ingest.batches_of_seal(seal)
    hashes = [batch.hash for batch in stored]
    leases = {f"{receipt.job}.{line.attempt}" for line in receipt.attempts}
    return [
        SignedBatch(seal=seal, message=_text(batch), path=merkle.proof(hashes, index))
        for index, batch in enumerate(stored)
        if any(span.lease in leases for span in read_message(_text(batch))[0].spans)
    ]


def _text(batch: StoredBatch) -> str:
    return base64.b64encode(batch.raw).decode("ascii")


def _hardware(model: str) -> HardwareFigures:
    gpu = catalogue.load().gpu(model)
    return HardwareFigures(
        gpu_model=gpu.model,
        embodied_mg=round(gpu.embodied_kgco2e * MG_PER_KG),
        service_life_ms=gpu.service_life_h * HOUR_MS,
    )


def _share(control: ControlPlane, epoch: int) -> int:
    for statement in control.store.queries.epochs():
        if statement.epoch == epoch:
            return statement.offset_share_bps
    raise InvariantError(f"a receipt is final in epoch {epoch}, which has no statement")
