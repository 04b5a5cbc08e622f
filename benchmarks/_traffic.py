"""The traffic of a busy network: what the engine's benchmark commits, made from numbers alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sunward.model.datum import Quality, SeriesKind
from sunward.model.events import (
    AgentSeen,
    Deposited,
    ForecastIssued,
    JobsSubmitted,
    LeasesReported,
    NetworkStarted,
    Payload,
    PlanProposed,
    PowerReported,
    RateObserved,
    ReadingsSealed,
    SiteEnrolled,
    TimerFired,
)
from sunward.model.hardware import Admission, WorkClass
from sunward.model.identity import JobId, PoolId, SiteId, TenantId, ZoneId, pool_id
from sunward.model.job import JobSpec
from sunward.model.plan import Alternative, Assignment, AwakeTarget, Plan, PolicyInputs, ScoreTerms, Segment
from sunward.model.reading import LeaseSeals, SiteSeal
from sunward.model.signal import Forecast
from sunward.model.site import LeaseReport, Phase, PoolPower, PoolSpec, SiteSpec
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS, PPM, SECOND_MS

START_MS = 1_781_136_000_000
"""2026-06-11 00:00 UTC."""
GPU = "A100-SXM-80GB"
ZONES = ("NO-NO1", "ES", "PL", "DE")
TENANTS = tuple(TenantId(f"t-{number:02d}") for number in range(20))
DIGEST = "0123456789abcdef" * 4
SLOTS = PolicyInputs().slots
SLOT_MS = PolicyInputs().slot_ms
STAGES = 4
"""A job of the single events is submitted in one group, runs in the next, and has finished `STAGES` groups on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is done; the defaults are what the published figures mean."""

    sites: int = 20
    running: int = 10_000
    waiting: int = 10_000
    groups: int = 250
    rows: int = 10_000
    """Lease rows of one seal, and jobs of one submitted batch."""
    seals: int = 12
    """One hour of seals."""
    open_jobs: int = 100_000
    """Batches of jobs are submitted until so many are open; then the snapshot is taken."""

    @property
    def containers(self) -> int:
        """Containers of each site: a fifth and some more stay free of the base load."""
        return -(-self.running * 5 // (self.sites * 4)) + 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Single events of one kind in one group."""

    jobs: int = 10
    """Jobs submitted, planned, started and finished in every group; each of these is an event of its own."""
    timers: int = 1
    progress: int = 4
    seals: int = 7
    power: int = 8
    deposits: int = 4

    @property
    def group(self) -> int:
        """Events of one group: every job has four."""
        return 4 * self.jobs + self.timers + self.progress + self.seals + self.power + self.deposits


MIX = Mix()


def site_id(sizes: Sizes, number: int) -> SiteId:
    """The site that serves a job of this number."""
    return SiteId(f"s-{number % sizes.sites:03d}")


def pool_of(sizes: Sizes, number: int) -> PoolId:
    """The pool that serves a job of this number."""
    return pool_id(site_id(sizes, number), GPU)


def job_spec(prefix: str, number: int) -> JobSpec:
    """A job of some tenant; lengths, classes and origins vary."""
    return JobSpec(
        job=JobId(f"j-{prefix}{number:08d}"),
        tenant=TENANTS[number % len(TENANTS)],
        commitment=DIGEST,
        bundle=DIGEST,
        origin_zone=ZoneId(ZONES[number % len(ZONES)]),
        work_class=tuple(WorkClass)[number % len(WorkClass)],
        length_ms=HOUR_MS + number % 7 * SLOT_MS,
        units=1_000,
        interruptible=bool(number % 2),
        deadline_ms=START_MS + 3 * DAY_MS + number % 96 * SLOT_MS,
        escrow_wei=10**19 + number,
    )


def started(sizes: Sizes) -> Iterator[list[Payload]]:
    """A network with its sites, money and forecasts."""
    rules = NetworkStarted(network="bench", policy=PolicyInputs(), epoch_ms=30 * DAY_MS)
    rate = RateObserved(wei_per_usd_micro=2 * 10**12, sources=("fixed",), quality=Quality.MODELLED)
    specs = [site_spec(sizes, number) for number in range(sizes.sites)]
    yield [rules, rate]
    yield [Deposited(tenant=tenant, amount_wei=10**26) for tenant in TENANTS]
    yield [SiteEnrolled(spec=spec) for spec in specs]
    yield [AgentSeen(site=spec.site, boot="b-1") for spec in specs]
    yield [ForecastIssued(forecasts=tuple(forecasts()), digest=DIGEST)]


def site_spec(sizes: Sizes, number: int) -> SiteSpec:
    """One site with one pool."""
    site = site_id(sizes, number)
    devices = tuple(f"g{device}" for device in range(sizes.containers))
    return SiteSpec(
        site=site,
        owner=TenantId(f"p-{site}"),
        zone=ZoneId(ZONES[number % len(ZONES)]),
        country=ZONES[number % len(ZONES)][:2],
        cooling="air",
        overhead_ppm=PPM + PPM // 5,
        overhead_quality=Quality.MODELLED,
        water_ml_per_kwh=500,
        ask_usd_micro_per_gpu_h=1_400_000,
        admission=Admission.ANYONE,
        pools=(PoolSpec(pool=pool_id(site, GPU), gpu_model=GPU, count=sizes.containers, devices=devices),),
        public_key=DIGEST,
    )


def forecasts() -> Iterator[Forecast]:
    """One week for every zone, intensity and price."""
    for zone in ZONES:
        for kind, level in ((SeriesKind.CARBON_AVERAGE_LIFECYCLE, 300_000), (SeriesKind.PRICE, 90_000)):
            values = tuple(level + hour % 24 * 1_000 for hour in range(168))
            yield Forecast(
                zone=ZoneId(zone),
                kind=kind,
                issued_ms=START_MS,
                start_ms=START_MS,
                p10=values,
                p50=values,
                p90=values,
                source="bench",
                quality=Quality.MODELLED,
            )


def assigned(spec: JobSpec, pool: PoolId, start_ms: int, end_ms: int) -> Assignment:
    """A placed job with as much to explain as the planner's own."""
    return Assignment(
        job=spec.job,
        revision=0,
        segments=(Segment(pool=pool, start_ms=start_ms, end_ms=end_ms, containers=1),),
        free_read=3,
        terms=ScoreTerms(
            energy=60_000, carbon=21_000, water=900, ask=1_400_000, transfer=0, wake=5, risk=400, shadow=0
        ),
        energy_j=2_160_000,
        carbon_mg=210_000,
        reason="waiting",
        saves_ppm=312_000,
        alternatives=tuple(
            Alternative(label=label, start_ms=start_ms, total_usd_micro=1_600_000, carbon_mg=305_000)
            for label in ("now", pool, f"{pool}-2")
        ),
    )


def proposed(sizes: Sizes, at_ms: int, assignments: Sequence[Assignment]) -> PlanProposed:
    """A plan; it says of every pool how many containers are to be awake."""
    awake = tuple(
        AwakeTarget(pool=pool_of(sizes, number), start_ms=START_MS, end_ms=START_MS + 2 * DAY_MS, count=8)
        for number in range(sizes.sites)
    )
    return PlanProposed(
        plan=Plan(
            based_on=0,
            at_ms=at_ms,
            slot_ms=SLOT_MS,
            slots=SLOTS,
            planner="bench",
            assignments=tuple(assignments),
            unplaced=(),
            awake=awake,
        )
    )


def base_load(sizes: Sizes) -> Iterator[list[Payload]]:
    """Jobs that run all the time, and jobs placed for later: the open work among which single events happen."""
    jobs = [job_spec("base", number) for number in range(sizes.running + sizes.waiting)]
    yield [JobsSubmitted(jobs=tuple(jobs))]
    day_ms = START_MS + DAY_MS
    placed = [
        assigned(spec, pool_of(sizes, number), START_MS, day_ms)
        if number < sizes.running
        else assigned(spec, pool_of(sizes, number), day_ms + number % 4 * SLOT_MS, day_ms + 2 * HOUR_MS)
        for number, spec in enumerate(jobs)
    ]
    yield [proposed(sizes, START_MS, placed)]
    for first in range(sizes.sites):
        numbers = range(first, sizes.running, sizes.sites)
        reports = tuple(reported(f"{jobs[number].job}.1", Phase.RUNNING, START_MS) for number in numbers)
        yield [LeasesReported(site=site_id(sizes, first), boot="b-1", reports=reports)]


def reported(lease: str, phase: str, at_ms: int, units: int = 0) -> LeaseReport:
    """What an agent says of one lease; progress comes with a checkpoint."""
    return LeaseReport(
        lease=lease,
        attempt=1,
        phase=phase,
        at_ms=at_ms,
        units=units,
        checkpoint_units=units,
        checkpoint=DIGEST if units else "",
        devices=("g1",),
        exit_code=0 if phase == Phase.FINISHED else None,
        output=DIGEST if phase == Phase.FINISHED else "",
    )


def group(sizes: Sizes, number: int) -> list[Payload]:
    """The single events of one moment: `MIX.group` of them, fewer reports while the first jobs are on their way."""
    at_ms = moment(number)
    first = number * MIX.jobs
    jobs = range(first, first + MIX.jobs)
    specs = [job_spec("one", one) for one in jobs]
    payloads: list[Payload] = [TimerFired() for _ in range(MIX.timers)]
    payloads += [JobsSubmitted(jobs=(spec,)) for spec in specs]
    payloads += [
        # Half of the jobs start at once, the others when the timer of the next group finds them due.
        proposed(sizes, at_ms, [assigned(spec, pool_of(sizes, one), moment(number + one % 2), at_ms + HOUR_MS)])
        for one, spec in zip(jobs, specs, strict=True)
    ]
    for age, phase, units in ((2, Phase.RUNNING, 0), (STAGES, Phase.FINISHED, 1_000)):
        earlier = range(max(0, first - age * MIX.jobs), max(0, first - (age - 1) * MIX.jobs))
        payloads += [
            report(sizes, one, reported(f"{job_spec('one', one).job}.1", phase, at_ms, units)) for one in earlier
        ]
    known = [(number * MIX.progress + one) % sizes.running for one in range(MIX.progress)]
    progress = 1 + number * MIX.progress // sizes.running
    payloads += [report(sizes, one, reported(f"j-base{one:08d}.1", Phase.RUNNING, at_ms, progress)) for one in known]
    payloads += [one_seal(sizes, number * MIX.seals + one, at_ms) for one in range(MIX.seals)]
    payloads += [powered(sizes, number * MIX.power + one) for one in range(MIX.power)]
    payloads += [Deposited(tenant=TENANTS[one], amount_wei=10**18) for one in range(MIX.deposits)]
    return payloads


def moment(number: int) -> int:
    """Grid time of a group: one a second, after the base load."""
    return START_MS + (number + 1) * SECOND_MS


def report(sizes: Sizes, number: int, one: LeaseReport) -> LeasesReported:
    """One report as an event."""
    return LeasesReported(site=site_id(sizes, number), boot="b-1", reports=(one,))


def powered(sizes: Sizes, number: int) -> PowerReported:
    """What one site says of its containers."""
    power = PoolPower(pool=pool_of(sizes, number), asleep=number % 9, waking=0, idle=8, busy=sizes.containers - 20)
    return PowerReported(site=site_id(sizes, number), pools=(power,))


def one_seal(sizes: Sizes, number: int, at_ms: int) -> ReadingsSealed:
    """A seal of one site with four leases."""
    site = number % sizes.sites
    numbers = [(site + sizes.sites * (number + offset)) % sizes.running for offset in range(4)]
    return sealed(sizes, numbers, at_ms, sites=(site,))


def sealed(sizes: Sizes, numbers: Sequence[int], at_ms: int, sites: Sequence[int]) -> ReadingsSealed:
    """A seal of some jobs of the base load over the five minutes to `at_ms`."""
    start_ms = at_ms - 5 * MINUTE_MS
    count = len(numbers)
    return ReadingsSealed(
        shard="0",
        start_ms=start_ms,
        end_ms=at_ms,
        root=DIGEST,
        batches=5 * len(sites),
        sites=tuple(
            SiteSeal(
                site=site_id(sizes, site),
                first_counter=1,
                last_counter=5,
                covered_to_ms=at_ms,
                idle_gpu_j=1_000,
                idle_host_j=500,
                idle_overhead_j=300,
                gap_ms=0,
                quality=Quality.MODELLED,
            )
            for site in sites
        ),
        leases=LeaseSeals(
            lease=tuple(f"j-base{number:08d}.1" for number in numbers),
            hour_ms=(start_ms - start_ms % HOUR_MS,) * count,
            gpu_j=tuple(90_000 + number for number in numbers),
            host_j=tuple(30_000 + number for number in numbers),
            overhead_j=tuple(24_000 + number for number in numbers),
            gpu_ms=(5 * MINUTE_MS,) * count,
        ),
    )


def seals(sizes: Sizes) -> list[ReadingsSealed]:
    """The seals of one whole hour, each with all rows; the first of them begins new hours."""
    numbers = [number % sizes.running for number in range(sizes.rows)]
    first_ms = START_MS + 2 * HOUR_MS + 5 * MINUTE_MS
    return [
        sealed(sizes, numbers, first_ms + number * 5 * MINUTE_MS, range(sizes.sites)) for number in range(sizes.seals)
    ]


def batches(sizes: Sizes, present: int) -> list[JobsSubmitted]:
    """Batches of jobs up to the number that is to be open."""
    firsts = range(present, sizes.open_jobs, sizes.rows)
    return [
        JobsSubmitted(
            jobs=tuple(job_spec("many", number) for number in range(first, min(first + sizes.rows, sizes.open_jobs)))
        )
        for first in firsts
    ]
