"""Sites that sign readings, and jobs whose receipts rest on them, of any size, made by the product's own makers."""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.support.bundles import Journal, public_hex

from sunward.metering import merkle
from sunward.metering.carbon import Intensity, LeaseHour, PoolFacts, hour_lines
from sunward.metering.counterfactual import Capacity, Piece, RunNow, counterfactuals
from sunward.metering.seal import SiteFacts, seal
from sunward.metering.wire import batch_hash, encode_batch
from sunward.model.codec import encode
from sunward.model.datum import Quality, SeriesKind
from sunward.model.events import (
    JobsSubmitted,
    NetworkStarted,
    RateObserved,
    ReadingsSealed,
    SignalObserved,
    SiteEnrolled,
)
from sunward.model.hardware import Admission
from sunward.model.identity import JobId, SiteId, TenantId, ZoneId, pool_id
from sunward.model.job import JobSpec, JobState
from sunward.model.plan import PolicyInputs
from sunward.model.reading import ReadingBatch, Span
from sunward.model.receipt import AttemptLine, Promise, Receipt
from sunward.model.signal import Observation
from sunward.model.site import PoolSpec, SiteSpec
from sunward.model.wire import JournalHead
from sunward.report.receipts import Paid, ReceiptParts, build_receipt
from sunward.settlement.entries import Origin, Terms, settle_job
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from sunward.verification.bundle import Bundle, HardwareFigures, MarketFactor, SignedBatch, bound_message

START = 1_686_528_000_000
"""2023-06-12T00:00Z."""
ZONE, MODEL, JOB, SITE = ZoneId("ES"), "H100-SXM", JobId("j-1"), SiteId("site")
SEAL_MINUTES = 5
RATE, SHARE_BPS, PROVIDER_BPS, FOSSIL = 400_000_000_007, 137, 8_000, 480_123
EMBODIED_MG, LIFE_MS = 149_999_999, 189_216_000_001
CARBON = (170_003, 171_007, 150_011, 90_023)
HOST_W, IDLE_W, BUSY_W = 900, 60, 640
UNCERTAINTY_PPM = 50_000
ODD_MS = 10 * SECOND_MS
"""The first batch begins this long after a whole minute, so that one in an hour lies in two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A job on the first GPUs of a site; the others work for somebody else or idle."""

    devices: int
    minutes: int
    gpus: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Who signs."""

    control: Ed25519PrivateKey
    site: Ed25519PrivateKey


KEYS = Keys(
    control=Ed25519PrivateKey.from_private_bytes(bytes(range(32))),
    site=Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))),
)


def site_of(work: Work) -> SiteSpec:
    """The site as it declared itself."""
    devices = tuple(f"gpu{number}" for number in range(work.devices))
    return SiteSpec(
        site=SITE,
        owner=TenantId("t-owner"),
        zone=ZONE,
        country="ES",
        cooling="air",
        overhead_ppm=1_153_847,
        overhead_quality=Quality.ESTIMATED,
        water_ml_per_kwh=1_801,
        ask_usd_micro_per_gpu_h=1_234_567,
        admission=Admission.ANYONE,
        pools=(PoolSpec(pool=pool_id(SITE, MODEL), gpu_model=MODEL, count=work.devices, devices=devices),),
        public_key=public_hex(KEYS.site),
    )


def signed_batches(work: Work, seed: int = 0) -> list[tuple[bytes, ReadingBatch]]:
    """One batch a minute with every GPU, the host and a site meter; counters grow by amounts drawn at random."""
    draw = random.Random(seed)
    joules = dict.fromkeys([*(f"gpu{number}" for number in range(work.devices)), "host", "meter"], 1_000_003)
    found: list[tuple[bytes, ReadingBatch]] = []
    for minute in range(work.minutes):
        t0 = START + ODD_MS + minute * MINUTE_MS
        spans = []
        for number, device in enumerate(joules):
            lease = f"{JOB}.1" if number < work.gpus else f"j-{number}.1" if number % 3 else ""
            watts = BUSY_W if lease else IDLE_W
            if device in {"host", "meter"}:
                lease, watts = "", HOST_W if device == "host" else (BUSY_W + HOST_W) * (work.devices + 1)
            before = joules[device]
            joules[device] = before + draw.randrange(watts * 50, watts * 70)
            state = "idle" if device[0] == "g" and not lease else "busy"
            spans.append(
                Span(
                    device=device,
                    lease=lease,
                    state=state,
                    t0_ms=t0,
                    t1_ms=t0 + MINUTE_MS,
                    start_j=before,
                    end_j=joules[device],
                )
            )
        batch = ReadingBatch(
            site=SITE,
            boot="boot-1",
            counter=minute + 1,
            t0_ms=t0,
            t1_ms=t0 + MINUTE_MS,
            previous=batch_hash(found[-1][0]) if found else "",
            uncertainty_ppm=UNCERTAINTY_PPM,
            quality=Quality.ESTIMATED,
            spans=tuple(spans),
        )
        found.append((encode_batch(batch, KEYS.site), batch))
    return found


def sealed(work: Work, signed: Sequence[tuple[bytes, ReadingBatch]]) -> list[tuple[ReadingsSealed, list[bytes]]]:
    """A seal every five minutes."""
    facts = {str(SITE): SiteFacts(overhead_ppm=site_of(work).overhead_ppm)}
    found: list[tuple[ReadingsSealed, list[bytes]]] = []
    last: dict[str, ReadingBatch] = {}
    for start in range(0, len(signed), SEAL_MINUTES):
        part = signed[start : start + SEAL_MINUTES]
        found.append(
            (seal("0", [(batch_hash(raw), batch) for raw, batch in part], facts, last), [raw for raw, _ in part])
        )
        last = {str(SITE): part[-1][1]}
    return found


def signed_batch(seal_at: int, messages: Sequence[bytes], index: int) -> SignedBatch:
    """A batch as a bundle holds it."""
    path = merkle.proof([batch_hash(raw) for raw in messages], index)
    return SignedBatch(seal=seal_at, message=base64.b64encode(messages[index]).decode(), path=path)


def intensity(_zone: str, hour_ms: int) -> Intensity:
    """What the zone's grid emitted."""
    return Intensity(CARBON[(hour_ms - START) // HOUR_MS % len(CARBON)], "typical year", Quality.MODELLED)


def bundle_of(work: Work, seed: int = 0) -> Bundle:
    """The bundle of the job's final receipt; another seed, other counters."""
    journal, spec = Journal(KEYS.control), spec_of(work)
    journal.append(START, NetworkStarted(network="bench", policy=PolicyInputs(), epoch_ms=DAY_MS))
    journal.append(START, RateObserved(wei_per_usd_micro=RATE, sources=("fixed",), quality=Quality.MODELLED))
    journal.append(START, SiteEnrolled(spec=site_of(work)))
    hours = work.minutes * MINUTE_MS // HOUR_MS + 2
    values = tuple(intensity(ZONE, START + hour * HOUR_MS).mg_per_kwh for hour in range(hours))
    told = Observation(
        zone=ZONE,
        kind=SeriesKind.CARBON_AVERAGE_LIFECYCLE,
        start_ms=START,
        values=values,
        source="typical year",
        quality=Quality.MODELLED,
    )
    journal.append(START, SignalObserved(observations=(told,)))
    journal.append(START, JobsSubmitted(jobs=(spec,)))
    seals = {journal.append(one.end_ms, one): (one, raws) for one, raws in sealed(work, signed_batches(work, seed))}
    receipt = encode(receipt_of(work, spec, {number: one for number, (one, _) in seals.items()}))
    last = journal.records[-1]
    bundle = Bundle(
        receipt=receipt.decode(),
        signature=KEYS.control.sign(receipt).hex(),
        public_key=public_hex(KEYS.control),
        head=JournalHead(sequence=last.sequence, hash=last.hash, term=last.term, signature=last.signature),
        events=tuple(journal.records),
        batches=tuple(
            signed_batch(number, raws, index) for number, (_, raws) in seals.items() for index in range(len(raws))
        ),
        hardware=(HardwareFigures(gpu_model=MODEL, embodied_mg=EMBODIED_MG, service_life_ms=LIFE_MS),),
        market=(MarketFactor(zone=ZONE, mg_per_kwh=FOSSIL),),
        offset_share_bps=SHARE_BPS,
    )
    return replace(bundle, bound=KEYS.control.sign(bound_message(bundle)).hex())


def spec_of(work: Work) -> JobSpec:
    """What was asked."""
    return JobSpec(
        job=JOB,
        tenant=TenantId("t-1"),
        commitment="c" * 64,
        origin_zone=ZONE,
        gpus=work.gpus,
        length_ms=work.minutes * MINUTE_MS,
        units=7,
        interruptible=True,
        deadline_ms=START + 2 * DAY_MS,
        functional_unit="page",
        escrow_wei=10**21,
    )


def receipt_of(work: Work, spec: JobSpec, seals: dict[int, ReadingsSealed]) -> Receipt:
    """The receipt that rests on the seals."""
    pool = PoolFacts(
        site=SITE,
        zone=ZONE,
        gpu_model=MODEL,
        embodied_mg=EMBODIED_MG,
        service_life_ms=LIFE_MS,
        water_ml_per_kwh=site_of(work).water_ml_per_kwh,
    )
    names = ("lease", "hour_ms", "gpu_ms", "gpu_j", "host_j", "overhead_j")
    rows = [row for one in seals.values() for row in zip(*(getattr(one.leases, name) for name in names), strict=True)]
    used = [
        LeaseHour(pool=pool, hour_ms=hour, **dict(zip(names[2:], figures, strict=True)))
        for lease, hour, *figures in rows
        if lease == f"{JOB}.1"
    ]
    lines = hour_lines(used, intensity, lambda _zone: FOSSIL)
    run = RunNow(
        submitted_ms=START,
        origin_zone=ZONE,
        network=(Capacity(zone=ZONE, containers=work.devices),),
        pieces=(Piece(containers=work.gpus, run_ms=spec.length_ms, idle_w=IDLE_W, busy_w=BUSY_W),),
    )
    price = sum(line.gpu_ms for line in lines) * site_of(work).ask_usd_micro_per_gpu_h // HOUR_MS
    money = settle_job(
        Origin(sequence=9, first=0, epoch=1, at_ms=START),
        Terms(wei_per_usd_micro=RATE, offset_share_bps=SHARE_BPS, provider_share_bps=PROVIDER_BPS),
        job=JOB,
        tenant=spec.tenant,
        escrow_wei=spec.escrow_wei,
        prices_usd_micro={"t-owner": price},
    )
    begun, ended = START + ODD_MS, START + ODD_MS + spec.length_ms
    paid = {name: getattr(money, name) for name in Paid.__slots__}
    return build_receipt(
        ReceiptParts(
            spec=spec,
            state=JobState.FINISHED,
            epoch=1,
            submitted_ms=START,
            finished_ms=ended,
            units_done=spec.units,
            leased_ms=spec.length_ms * work.gpus,
            lines=lines,
            counterfactuals=counterfactuals(run, intensity, sum(line.location_mg for line in lines)),
            paid=Paid(**paid),
            attempts=(
                AttemptLine(attempt=1, site=SITE, start_ms=begun, end_ms=ended, ended="finished", gpus=work.gpus),
            ),
            promises=(Promise(kind="finish_by", at_ms=spec.deadline_ms, kept=True),),
            seals=tuple(seals),
            energy_qualities=(Quality.ESTIMATED,),
            overhead_qualities=(Quality.ESTIMATED,),
            energy_uncertainty_ppm=UNCERTAINTY_PPM,
        )
    )
