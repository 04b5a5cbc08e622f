"""A site that tells the truth with noisy meters: what it signs in some minutes, for the lies to start from."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.metering.chain import ACCEPTED, check_next
from sunward.metering.seal import Hashed, SiteFacts, seal
from sunward.metering.wire import HOST, METER, batch_hash, encode_batch
from sunward.model.datum import Quality
from sunward.model.hardware import Admission, PowerState
from sunward.model.identity import PoolId, SiteId, TenantId, ZoneId
from sunward.model.reading import ReadingBatch, Span
from sunward.model.site import PoolSpec, SiteSpec
from sunward.units import DAY_MS, MINUTE_MS, PPM, SECOND_MS
from sunward.verification.bounds import overhead_least, reading_findings
from sunward.world import catalogue

GPU = "H100-SXM"
DEVICES = 8
UNCERTAINTY_PPM = 50_000
METER_PPM = 5_000
OVERHEAD = 1.2
START_MS = 1_700_000_000_000 // MINUTE_MS * MINUTE_MS
LEASE = "j-1.1"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """Mean watts of one minute; the truth."""

    devices_w: tuple[float, ...]
    states: tuple[str, ...]
    leases: tuple[str, ...]
    host_w: float

    @property
    def it_w(self) -> float:
        """All equipment."""
        return sum(self.devices_w) + self.host_w


def a_site(gpu: str = GPU, devices: int = DEVICES, **changes: object) -> SiteSpec:
    """The reference provider's declaration."""
    spec = SiteSpec(
        site=SiteId("s-1"),
        owner=TenantId("owner"),
        zone=ZoneId("PL"),
        country="PL",
        cooling="air",
        overhead_ppm=round(OVERHEAD * 1_000_000),
        overhead_quality=Quality.MEASURED,
        water_ml_per_kwh=0,
        ask_usd_micro_per_gpu_h=2_000_000,
        admission=Admission.ANYONE,
        pools=(
            PoolSpec(
                pool=PoolId(f"s-1/{gpu}"), gpu_model=gpu, count=devices, devices=tuple(f"d{n}" for n in range(devices))
            ),
        ),
        public_key=KEY.public_key().public_bytes_raw().hex(),
        power_ceiling_w=15_000,
    )
    return replace(spec, **changes)  # type: ignore[arg-type]


def true_minutes(draw: random.Random, minutes: int, gpu: str = GPU, devices: int = DEVICES) -> list[Minute]:
    """A course of work: each GPU is busy for a while at its own load, or idle."""
    model = catalogue.load().gpu(gpu)
    made = []
    busy = [draw.random() < 0.7 for _ in range(devices)]
    loads = [draw.uniform(0.5, 1.0) for _ in range(devices)]
    for minute in range(minutes):
        if minute % 20 == 0:
            busy = [draw.random() < 0.7 for _ in range(devices)]
        watts = [
            model.power_w_idle + (model.power_w_max - model.power_w_idle) * load * draw.uniform(0.95, 1.0) * works
            for works, load in zip(busy, loads, strict=True)
        ]
        host = sum(model.host_w_idle * (1.0 + 0.8 * works) for works in busy)
        made.append(
            Minute(
                devices_w=tuple(watts),
                states=tuple(PowerState.BUSY if works else PowerState.IDLE for works in busy),
                leases=tuple(LEASE if works else "" for works in busy),
                host_w=host,
            )
        )
    return made


def signed(
    draw: random.Random,
    course: Sequence[Minute],
    *,
    overhead: float = OVERHEAD,
    scale: Mapping[str, float] | None = None,
    metered: bool = True,
    u_ppm: int = UNCERTAINTY_PPM,
) -> list[ReadingBatch]:
    """One batch a minute from the truth; `scale` multiplies what a counter tells: the lie.

    Each counter has an error of calibration of its own, as large as it states.
    """
    told = scale or {}
    names = [f"d{n}" for n in range(len(course[0].devices_w))]
    errors = {name: 1 + draw.gauss(0, u_ppm / PPM / 2) for name in (*names, HOST)}
    errors[METER] = 1 + draw.gauss(0, METER_PPM / PPM / 2)
    at_j = dict.fromkeys(errors, 0.0)
    batches: list[ReadingBatch] = []
    for number, minute in enumerate(course):
        t0_ms = START_MS + number * MINUTE_MS
        watts = dict(zip(names, minute.devices_w, strict=True)) | {HOST: minute.host_w}
        if metered:
            watts[METER] = minute.it_w * overhead
        spans = []
        for name, true_w in watts.items():
            start_j = at_j[name]
            at_j[name] += true_w * errors[name] * told.get(name, 1.0) * 60
            which = names.index(name) if name in names else -1
            spans.append(
                Span(
                    device=name,
                    lease=minute.leases[which] if which >= 0 else "",
                    state=minute.states[which] if which >= 0 else PowerState.BUSY,
                    t0_ms=t0_ms,
                    t1_ms=t0_ms + MINUTE_MS,
                    start_j=int(start_j),
                    end_j=int(at_j[name]),
                )
            )
        batches.append(_batch(number, spans, u_ppm))
    return chained(batches)


def _batch(number: int, spans: Sequence[Span], u_ppm: int) -> ReadingBatch:
    """A batch as long as its first span."""
    return ReadingBatch(
        site="s-1",
        boot="boot-1",
        counter=number + 1,
        t0_ms=spans[0].t0_ms,
        t1_ms=spans[0].t1_ms,
        previous="",
        uncertainty_ppm=u_ppm,
        quality=Quality.MEASURED,
        spans=tuple(spans),
    )


def chained(batches: Sequence[ReadingBatch]) -> list[ReadingBatch]:
    """Each names the hash of the one before, as an agent signs them."""
    made: list[ReadingBatch] = []
    before = ""
    for batch in batches:
        made.append(replace(batch, previous=before))
        before = batch_hash(encode_batch(made[-1], KEY))
    return made


def found_in(spec: SiteSpec, batches: Sequence[ReadingBatch], late_ms: int = 0) -> tuple[str, ...]:
    """What ingest, seal and bounds say of batches that arrive in this order.

    `late_ms`: how far the ingest's clock is ahead of each batch's end.
    """
    faults: set[str] = set()
    last: ReadingBatch | None = None
    last_hash = ""
    accepted: list[Hashed] = []
    for batch in batches:
        raw_hash = batch_hash(encode_batch(batch, KEY))
        seen = any(raw_hash == known for known, _ in accepted)
        told = check_next(last, last_hash, batch, seen=seen, received_ms=batch.t1_ms + late_ms)
        faults.update(told)
        if not set(told) <= ACCEPTED:
            continue
        accepted.append((raw_hash, batch))
        last, last_hash = batch, raw_hash
    if accepted:
        sealed = seal("0", accepted, {spec.site: SiteFacts(overhead_ppm=spec.overhead_ppm)}, {})
        faults.update(sealed.sites[0].faults)
        faults.update({"gap"} if sealed.sites[0].gap_ms else ())
    faults.update(one.key for one in reading_findings(spec, [batch for _, batch in accepted]))
    return tuple(sorted(map(str, faults)))


def honest_year(draw: random.Random, days: int = 365) -> tuple[str, ...]:
    """What the bounds say of a year of some honest site: any GPU, number, cooling and use; meters err as stated.

    A day is one batch, the longest that a site may sign: errors of calibration last the whole year, so shorter windows
    repeat the same test, and the fewer spans a window has, the less is let pass for the border between two of them.
    """
    gpu = draw.choice(catalogue.load().gpus)
    devices, cooling = draw.randint(1, DEVICES), draw.choice(catalogue.load().coolings)
    overhead = max(overhead_least(cooling.cooling), 1 + cooling.base_frac) * draw.uniform(1.0, 1.3)
    spec = a_site(gpu.model, devices, cooling=cooling.cooling, power_ceiling_w=0)
    u_ppm = draw.choice((10_000, UNCERTAINTY_PPM, 100_000))
    names = [*(f"d{n}" for n in range(devices)), HOST, METER]
    errors = [1 + draw.gauss(0, u_ppm / PPM) for _ in names[:-1]] + [1 + draw.gauss(0, METER_PPM / PPM)]
    found: set[str] = set()
    for day in range(days):
        loads = [draw.choice((0.0, 1.0, draw.random())) for _ in range(devices)]
        devices_w = [gpu.power_w_idle + (gpu.power_w_max - gpu.power_w_idle) * load for load in loads]
        host_w = gpu.host_w_idle * devices * draw.uniform(1.0, 1.8)
        true_w = [*devices_w, host_w, (sum(devices_w) + host_w) * overhead]
        told_w = [watts * error for watts, error in zip(true_w, errors, strict=True)]
        busy = [load > 0 for load in loads] + [True, True]
        found.update(one.key for one in reading_findings(spec, [_day(day, names, told_w, busy, u_ppm)]))
    return tuple(sorted(found))


def _day(day: int, names: Sequence[str], watts: Sequence[float], busy: Sequence[bool], u_ppm: int) -> ReadingBatch:
    """A day at the same power."""
    t0_ms = START_MS + day * DAY_MS
    spans = [
        Span(
            device=name,
            lease="",
            state=PowerState.BUSY if works else PowerState.IDLE,
            t0_ms=t0_ms,
            t1_ms=t0_ms + DAY_MS,
            start_j=0,
            end_j=int(DAY_MS * power_w / SECOND_MS),
        )
        for name, power_w, works in zip(names, watts, busy, strict=True)
    ]
    return _batch(day, spans, u_ppm)
