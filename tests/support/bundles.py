"""A genuine bundle: two attempts of a job at two owners' sites, metered, sealed, settled, signed with real keys."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.metering import merkle
from sunward.metering.carbon import Claimed, ClaimFor, Intensity, LeaseHour, PoolFacts, hour_lines, unclaimed
from sunward.metering.counterfactual import Capacity, Piece, RunNow, counterfactuals
from sunward.metering.seal import SiteFacts, seal
from sunward.metering.wire import batch_hash, encode_batch
from sunward.model import chain
from sunward.model.codec import decode, encode
from sunward.model.datum import Quality, SeriesKind
from sunward.model.events import (
    Event,
    JobsSubmitted,
    NetworkStarted,
    Payload,
    RateObserved,
    ReadingsSealed,
    SignalObserved,
    SiteEnrolled,
    read_event,
)
from sunward.model.granular import Claim
from sunward.model.granular_events import (
    CertificatesCancelled,
    CertificatesIssued,
)
from sunward.model.hardware import Admission
from sunward.model.identity import JobId, SiteId, TenantId, ZoneId, pool_id
from sunward.model.job import JobSpec, JobState
from sunward.model.plan import PolicyInputs
from sunward.model.reading import ReadingBatch, Span
from sunward.model.receipt import AttemptLine, Promise, Receipt
from sunward.model.signal import Observation
from sunward.model.site import PoolSpec, SiteSpec
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.report.receipts import Paid, ReceiptParts, build_receipt
from sunward.settlement.entries import Origin, Settlement, Terms, settle_job
from sunward.verification.bundle import Bundle, HardwareFigures, MarketFactor, SignedBatch, bound_message
from sunward.verification.journal import head_message
from sunward.verification.reading import read_message

HOUR = 1_686_528_000_000
"""2023-06-12T00:00Z."""
MINUTE = 60_000
START = HOUR + 59 * MINUTE + 30_000
"""Half a minute before the next hour, so that one batch spans two."""
CONTROL = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SITE_KEYS = {
    "es-a": Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))),
    "no-b": Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34))),
}
RATE = 400_000_000_007
SHARE_BPS = 137
HARDWARE = {"A100": (149_999_999, 189_216_000_001), "H100": (210_000_001, 189_216_000_001)}
FOSSIL = {"ES": 480_123, "NO": 470_321}
CARBON = {"ES": (170_003, 171_007), "NO": (30_011, 29_989)}
FEW_JOULES = 37
"""Small, awkward figures make every rounding bite."""


def public_hex(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def site(name: str, zone: str, owner: str, model: str, devices: tuple[str, ...]) -> SiteSpec:
    pool = PoolSpec(pool=pool_id(SiteId(name), model), gpu_model=model, count=len(devices), devices=devices)
    return SiteSpec(
        site=SiteId(name),
        owner=TenantId(owner),
        zone=ZoneId(zone),
        country=zone,
        cooling="air",
        overhead_ppm=1_153_847,
        overhead_quality=Quality.ESTIMATED,
        water_ml_per_kwh=1_801,
        ask_usd_micro_per_gpu_h=1_234_567,
        admission=Admission.ANYONE,
        pools=(pool,),
        public_key=public_hex(SITE_KEYS[name]),
    )


SITES = {
    "es-a": site("es-a", "ES", "t-owner-a", "A100", ("a0", "a1", "a2")),
    "no-b": site("no-b", "NO", "t-owner-b", "H100", ("b0", "b1")),
}
SPEC = JobSpec(
    job=JobId("j-1"),
    tenant=TenantId("t-1"),
    commitment="c" * 64,
    origin_zone=ZoneId("ES"),
    length_ms=5 * MINUTE,
    units=7,
    interruptible=True,
    deadline_ms=HOUR + 6 * 60 * MINUTE,
    functional_unit="page",
    escrow_wei=90_000_000_000_000_001,
)


class Counters:
    """Cumulative joules of one site, growing by awkward amounts, and its chain of signed batches."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.joules: dict[str, int] = {}
        self.signed: list[tuple[bytes, ReadingBatch]] = []

    def span(self, device: str, lease: str, state: str, start_ms: int, end_ms: int) -> Span:
        before = self.joules.get(device, 1_000_003)
        after = before + FEW_JOULES * (end_ms - start_ms) // 1_000 + len(device) + len(lease)
        self.joules[device] = after
        return Span(device=device, lease=lease, state=state, t0_ms=start_ms, t1_ms=end_ms, start_j=before, end_j=after)

    def sign(self, start_ms: int, leases: dict[str, str], *, metered: bool) -> None:
        """One minute: each device works for its lease, an empty one is idle, a missing one asleep."""
        end_ms = start_ms + MINUTE
        devices = SITES[self.name].pools[0].devices
        spans = [
            self.span(
                device,
                leases.get(device, ""),
                "busy" if leases.get(device) else "idle" if device in leases else "asleep",
                start_ms,
                end_ms,
            )
            for device in devices
        ]
        spans.append(self.span("host", "", "busy", start_ms, end_ms))
        if metered:
            spans.append(self._meter(start_ms, end_ms, spans))
        raw = self.signed[-1][0] if self.signed else b""
        batch = ReadingBatch(
            site=self.name,
            boot="boot-1",
            counter=len(self.signed) + 1,
            t0_ms=start_ms,
            t1_ms=end_ms,
            previous=batch_hash(raw) if raw else "",
            uncertainty_ppm=50_000,
            quality=Quality.MODELLED,
            spans=tuple(spans),
        )
        self.signed.append((encode_batch(batch, SITE_KEYS[self.name]), batch))

    def _meter(self, start_ms: int, end_ms: int, spans: Sequence[Span]) -> Span:
        used = sum(span.end_j - span.start_j for span in spans)
        before = self.joules.get("meter", 5)
        self.joules["meter"] = before + used + used // 7 + 1
        return Span(
            device="meter",
            lease="",
            state="busy",
            t0_ms=start_ms,
            t1_ms=end_ms,
            start_j=before,
            end_j=self.joules["meter"],
        )


class Journal:
    """A journal in memory, each record signed."""

    def __init__(self, key: Ed25519PrivateKey = CONTROL) -> None:
        self.key = key
        self.records: list[RecordedEvent] = []

    def append(self, at_ms: int, payload: Payload) -> int:
        """Add one; its sequence."""
        event = Event(at_ms, payload)
        previous = self.records[-1].hash if self.records else chain.GENESIS
        sequence = len(self.records) + 1
        body = event.body()
        digest = chain.record_hash(previous, sequence, 1, event.kind, event.version, at_ms, body)
        self.records.append(
            RecordedEvent(
                sequence=sequence,
                previous=previous,
                hash=digest,
                term=1,
                kind=event.kind,
                version=event.version,
                at_ms=at_ms,
                body=body.decode(),
                signature=self.key.sign(head_message(sequence, digest, 1)).hex(),
            )
        )
        return sequence

    def head(self) -> JournalHead:
        last = self.records[-1]
        return JournalHead(sequence=last.sequence, hash=last.hash, term=last.term, signature=last.signature)


def opening(journal: Journal) -> None:
    """Rules, rate, sites, intensities (one hour revised), the job."""
    journal.append(HOUR, NetworkStarted(network="test", policy=PolicyInputs(), epoch_ms=3 * 60 * MINUTE))
    journal.append(HOUR, RateObserved(wei_per_usd_micro=RATE, sources=("fixed",), quality=Quality.MODELLED))
    for spec in SITES.values():
        journal.append(HOUR, SiteEnrolled(spec=spec))
    journal.append(HOUR, SignalObserved(observations=(carbon("ES", 999_999), *(carbon(zone) for zone in CARBON))))
    journal.append(HOUR + MINUTE, JobsSubmitted(jobs=(replace(SPEC, job=JobId("j-0")), SPEC)))


def carbon(zone: str, *values: int) -> Observation:
    return Observation(
        zone=ZoneId(zone),
        kind=SeriesKind.CARBON_AVERAGE_LIFECYCLE,
        start_ms=HOUR,
        values=values or CARBON[zone],
        source="typical year",
        quality=Quality.MODELLED,
    )


def metered() -> dict[str, Counters]:
    """Three batches at one site, the first over the turn of the hour and shared, then three at the other."""
    first, second = Counters("es-a"), Counters("no-b")
    first.sign(START, {"a0": "j-1.1", "a1": "j-9.1", "a2": ""}, metered=False)
    first.sign(START + MINUTE, {"a0": "j-1.1", "a1": ""}, metered=False)
    first.sign(START + 2 * MINUTE, {"a1": "j-9.1"}, metered=False)
    second.sign(START + 2 * MINUTE, {"b1": "j-8.1"}, metered=True)
    second.sign(START + 3 * MINUTE, {"b0": "j-1.2", "b1": "j-8.1"}, metered=True)
    second.sign(START + 4 * MINUTE, {"b0": "j-1.2", "b1": ""}, metered=True)
    return {"es-a": first, "no-b": second}


def sealed(journal: Journal, counters: dict[str, Counters]) -> dict[int, tuple[ReadingsSealed, list[bytes]]]:
    """Two seals over both sites; by sequence, with their messages in order."""
    groups = [(("es-a", 0, 2), ("no-b", 0, 1)), (("es-a", 2, 3), ("no-b", 1, 3))]
    facts = {name: SiteFacts(overhead_ppm=spec.overhead_ppm) for name, spec in SITES.items()}
    seals = {}
    last: dict[str, ReadingBatch] = {}
    for group in groups:
        signed = [item for name, start, end in group for item in counters[name].signed[start:end]]
        payload = seal("0", [(batch_hash(raw), batch) for raw, batch in signed], facts, last)
        last = {batch.site: batch for _, batch in signed}
        sequence = journal.append(payload.end_ms, payload)
        seals[sequence] = (payload, [raw for raw, _ in signed])
    return seals


def with_proofs(seals: dict[int, tuple[ReadingsSealed, list[bytes]]]) -> tuple[SignedBatch, ...]:
    """The batches in which the job's leases stand."""
    found = []
    for sequence, (_, messages) in seals.items():
        hashes = [batch_hash(raw) for raw in messages]
        for index, raw in enumerate(messages):
            if b"j-1." in raw:
                path = merkle.proof(hashes, index)
                found.append(SignedBatch(seal=sequence, message=base64.b64encode(raw).decode(), path=path))
    return tuple(found)


def lease_hours(seals: dict[int, tuple[ReadingsSealed, list[bytes]]]) -> list[LeaseHour]:
    hours = []
    sites = {"j-1.1": SITES["es-a"], "j-1.2": SITES["no-b"]}
    for payload, _ in seals.values():
        rows = payload.leases
        columns = (rows.lease, rows.hour_ms, rows.gpu_ms, rows.gpu_j, rows.host_j, rows.overhead_j)
        for lease, hour, *figures in zip(*columns, strict=True):
            if lease in sites:
                named = dict(zip(("gpu_ms", "gpu_j", "host_j", "overhead_j"), figures, strict=True))
                hours.append(LeaseHour(pool=pool_facts(sites[lease]), hour_ms=hour, **named))
    return hours


def pool_facts(spec: SiteSpec) -> PoolFacts:
    model = spec.pools[0].gpu_model
    embodied_mg, service_life_ms = HARDWARE[model]
    return PoolFacts(
        site=spec.site,
        zone=spec.zone,
        gpu_model=model,
        embodied_mg=embodied_mg,
        service_life_ms=service_life_ms,
        water_ml_per_kwh=spec.water_ml_per_kwh,
    )


def intensity(zone: str, hour_ms: int) -> Intensity:
    return Intensity(CARBON[zone][(hour_ms - HOUR) // (60 * MINUTE)], "typical year", Quality.MODELLED)


def settled(hours: list[LeaseHour]) -> Settlement:
    prices: dict[str, int] = {}
    for spec in SITES.values():
        used_ms = sum(hour.gpu_ms for hour in hours if hour.pool.site == spec.site)
        prices[spec.owner] = used_ms * spec.ask_usd_micro_per_gpu_h // (60 * MINUTE)
    return settle_job(
        Origin(sequence=9, first=0, epoch=1, at_ms=HOUR),
        Terms(wei_per_usd_micro=RATE, offset_share_bps=SHARE_BPS, provider_share_bps=8_000),
        job=SPEC.job,
        tenant=SPEC.tenant,
        escrow_wei=SPEC.escrow_wei,
        prices_usd_micro=prices,
    )


def receipt_of(seals: dict[int, tuple[ReadingsSealed, list[bytes]]], claim: ClaimFor = unclaimed) -> Receipt:
    hours = lease_hours(seals)
    lines = hour_lines(hours, intensity, FOSSIL.__getitem__, claim)
    pieces = (Piece(containers=1, run_ms=4 * MINUTE, idle_w=50.0, busy_w=400.0),)
    network = (Capacity(zone="ES", containers=3), Capacity(zone="NO", containers=2))
    run = RunNow(submitted_ms=HOUR + MINUTE, origin_zone="ES", network=network, pieces=pieces)
    money = settled(hours)
    ends = (START + 2 * MINUTE + 1, START + 5 * MINUTE)
    return build_receipt(
        ReceiptParts(
            spec=SPEC,
            state=JobState.FINISHED,
            epoch=1,
            submitted_ms=HOUR + MINUTE,
            finished_ms=ends[1],
            units_done=SPEC.units,
            leased_ms=4 * MINUTE + 1,
            lines=lines,
            counterfactuals=counterfactuals(run, intensity, sum(line.location_mg for line in lines)),
            paid=Paid(
                price_usd_micro=money.price_usd_micro,
                price_wei=money.price_wei,
                offset_wei=money.offset_wei,
                provider_wei=money.provider_wei,
                network_wei=money.network_wei,
                refund_wei=money.refund_wei,
            ),
            attempts=(
                AttemptLine(attempt=1, site="es-a", start_ms=START, end_ms=ends[0], ended="moving", gpus=1),
                AttemptLine(
                    attempt=2, site="no-b", start_ms=START + 3 * MINUTE, end_ms=ends[1], ended="finished", gpus=1
                ),
            ),
            promises=(Promise(kind="finish_by", at_ms=SPEC.deadline_ms, kept=True),),
            seals=tuple(seals),
            energy_qualities=(Quality.MODELLED,),
            energy_uncertainty_ppm=50_000,
            overhead_qualities=(Quality.ESTIMATED,),
        )
    )


SUN_WH = (3, 100)
"""Of the two hours that the job ran in Spain; of the second one a third is exported."""


def certified(journal: Journal) -> None:
    """The sun of both hours, cancelled for the site and in part for the tenant; and wind of a month, for the job."""
    journal.append(
        HOUR + 120 * MINUTE,
        CertificatesIssued(
            device="roof",
            owner=TenantId("t-owner-a"),
            source="solar",
            market="ES",
            mg_per_kwh=48_000,
            first=11,
            start_ms=(HOUR, HOUR + 60 * MINUTE),
            wh=SUN_WH,
            exported_wh=(0, 33),
            evidence="e" * 64,
        ),
    )
    for beneficiary, first, last in (("site:es-a", 11, 13), ("tenant:t-1", 14, 14), ("site:es-a", 15, 80)):
        journal.append(
            HOUR + 121 * MINUTE,
            CertificatesCancelled(
                owner=TenantId("t-owner-a"), beneficiary=beneficiary, bundle=("b" * 64,), first=(first,), last=(last,)
            ),
        )


def sunny(site: str, zone: str, hour_ms: int, wh: int) -> Claimed:
    """What the lines claim: the second one in Spain used a whole Wh, the one in Norway is in no market."""
    del site, wh
    if (zone, hour_ms) != ("ES", HOUR + 60 * MINUTE):
        return Claimed()
    return Claimed("ES", (Claim(first=14, last=14, source="solar", mg_per_kwh=48_000),))


@cache
def genuine_journal(*, certificates: bool = False) -> tuple[tuple[RecordedEvent, ...], Bundle]:
    """The whole journal and the bundle made from it."""
    journal = Journal()
    opening(journal)
    seals = sealed(journal, metered())
    if certificates:
        certified(journal)
    receipt = encode(receipt_of(seals, sunny if certificates else unclaimed))
    bundle = Bundle(
        receipt=receipt.decode(),
        signature=CONTROL.sign(receipt).hex(),
        public_key=public_hex(CONTROL),
        head=journal.head(),
        events=tuple(journal.records),
        batches=with_proofs(seals),
        hardware=tuple(
            HardwareFigures(gpu_model=model, embodied_mg=mass, service_life_ms=life)
            for model, (mass, life) in HARDWARE.items()
        ),
        market=tuple(MarketFactor(zone=zone, mg_per_kwh=factor) for zone, factor in FOSSIL.items()),
        offset_share_bps=SHARE_BPS,
    )
    return tuple(journal.records), bound(bundle)


def bound(bundle: Bundle, key: Ed25519PrivateKey = CONTROL) -> Bundle:
    """The bundle as a lying operator would sign it as a whole."""
    return replace(bundle, bound=key.sign(bound_message(bundle)).hex())


def as_signed(message: str) -> ReadingBatch:
    """A message as the verifier reads it, in the record that is signed."""
    batch = read_message(message).batch
    return ReadingBatch(**{**asdict(batch), "spans": tuple(Span(**one._asdict()) for one in batch.spans)})


def genuine() -> Bundle:
    """A bundle with nothing wrong."""
    return genuine_journal()[1]


def receipt_in(bundle: Bundle) -> Receipt:
    return decode(bundle.receipt, Receipt)


def resigned(bundle: Bundle, receipt: Receipt) -> Bundle:
    """The bundle with another receipt, signed by the control plane: a lying operator."""
    raw = encode(receipt)
    return replace(bundle, receipt=raw.decode(), signature=CONTROL.sign(raw).hex())


def rerecorded(bundle: Bundle, sequence: int, payload: Payload) -> Bundle:
    """The bundle with another payload in one record, all later hashes and signatures made anew: a lying operator."""
    journal = Journal()
    for record in bundle.events:
        event = read_event(record.kind, record.version, record.at_ms, record.body.encode())
        journal.append(record.at_ms, payload if record.sequence == sequence else event.payload)
    return replace(bundle, events=tuple(journal.records), head=journal.head())


def payload_of(bundle: Bundle, kind: str, number: int = 0) -> tuple[int, Payload]:
    """Sequence and payload of a record, by kind and place among its kind."""
    record = [one for one in bundle.events if one.kind == kind][number]
    return record.sequence, read_event(record.kind, record.version, record.at_ms, record.body.encode()).payload
