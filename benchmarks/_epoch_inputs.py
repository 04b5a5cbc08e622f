"""An epoch about to be settled: sites, stakes, jobs in escrow, and the receipts that metering would have made."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from benchmarks._honest import a_site
from sunward.engine.advance import advance
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.model.datum import Quality
from sunward.model.events import Event, NetworkStarted, RateObserved, SiteEnrolled
from sunward.model.granular import SiteSupply
from sunward.model.hardware import WorkClass
from sunward.model.identity import PoolId, SiteId, TenantId
from sunward.model.ledger import Entry
from sunward.model.plan import PolicyInputs
from sunward.model.receipt import HourLine, Receipt
from sunward.model.site import PoolSpec, SiteSpec
from sunward.model.staking import StakingRules, WorkReference
from sunward.model.staking_events import StakeRequested, StakingRulesSet
from sunward.model.trust import APPEAL_MS, Dimension, Evidence, Level
from sunward.settlement.bonus import ShownWork, SiteWork
from sunward.settlement.entries import Origin, deposit, escrow
from sunward.units import DAY_MS, HOUR_MS, J_PER_KWH, PPM, WEI_PER_ATH

RATE = 10**13
START_MS = 1_781_136_000_000 // DAY_MS * DAY_MS
ASK = 2_000_000
TENANTS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large the epoch is."""

    providers: int
    receipts: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What metering knows of a job."""

    job: str
    tenant: str
    escrow_wei: int
    prices_usd_micro: Mapping[str, int]
    gpu_ms: int
    facility_j: int


def network(sizes: Sizes) -> tuple[Turn, list[Job]]:
    """Sites enrolled, stakes bonded a whole epoch ago, money in escrow; and the jobs."""
    draw = random.Random(f"{sizes.seed} epoch")
    state = State()
    rules = NetworkStarted(network="bench", policy=PolicyInputs(), epoch_ms=DAY_MS)
    rate = RateObserved(wei_per_usd_micro=RATE, sources=("fixed",), quality=Quality.MODELLED)
    for payload in (rules, rate, StakingRulesSet(rules=staking_rules(sizes))):
        advance(state, Event(START_MS, payload))
    for number in range(sizes.providers):
        advance(state, Event(START_MS, SiteEnrolled(spec=_site(number))))
        if draw.random() < 0.9:
            amount = draw.randrange(1, 10**6) * WEI_PER_ATH
            asked = StakeRequested(owner=owner(number), request="1", amount_wei=amount, on_chain=True)
            advance(state, Event(START_MS, asked))
        for dimension in (Dimension.ENERGY, Dimension.RENEWABLES):
            state.world.trust.file(_evidence(number, dimension), START_MS)
        state.idle_hours[f"s-{number:05}"] = {START_MS + hour * HOUR_MS: J_PER_KWH for hour in range(24)}
    state.stakes.begin_epoch(state.ledger)
    jobs = [_job(draw, sizes, number) for number in range(sizes.receipts)]
    _fund(state, jobs)
    return Turn(state, START_MS + DAY_MS), jobs


def staking_rules(sizes: Sizes) -> StakingRules:
    """Rules that pay for everything."""
    return StakingRules(
        green_ppm=500_000,
        staking_budget_wei=sizes.providers * 100 * WEI_PER_ATH + 7,
        bonus_budget_wei=sizes.providers * 10 * WEI_PER_ATH + 3,
        stake_wei_per_wh=WEI_PER_ATH,
        load_min_ppm=0,
        saved_min_j=J_PER_KWH,
        detection_ms=DAY_MS,
        appeal_ms=APPEAL_MS,
        exit_delay_ms=DAY_MS + APPEAL_MS,
        references=(WorkReference(work_class=WorkClass.TRAINING, energy_mj=700_000, overhead_ppm=1_300_000),),
    )


def owner(number: int) -> TenantId:
    """Some owner."""
    return TenantId(f"p-{number:05}")


def _evidence(number: int, dimension: Dimension) -> Evidence:
    return Evidence(
        evidence=f"e-{number}-{dimension}",
        site=SiteId(f"s-{number:05}"),
        dimension=dimension,
        level=Level.METERED,
        statement="metered",
        filed_by=owner(number),
        checked_by="network",
        valid_until_ms=START_MS + 365 * DAY_MS,
    )


def _site(number: int) -> SiteSpec:
    site = SiteId(f"s-{number:05}")
    pool = PoolSpec(
        pool=PoolId(f"{site}/H100-SXM"), gpu_model="H100-SXM", count=8, devices=tuple(f"d{n}" for n in range(8))
    )
    return a_site(site=site, owner=owner(number), pools=(pool,))


def _job(draw: random.Random, sizes: Sizes, number: int) -> Job:
    owners = 1 if draw.random() < 0.9 else draw.randint(2, 3)
    prices: dict[str, int] = {}
    for _ in range(owners):
        who = owner(draw.randrange(sizes.providers))
        prices[who] = prices.get(who, 0) + draw.randrange(1_000, 20_000_000)
    price_wei = sum(prices.values()) * RATE
    share = draw.uniform(0.7, 1.0) if draw.random() < 0.1 else draw.uniform(1.0, 1.5)
    gpu_ms = sum(prices.values()) * HOUR_MS // ASK
    return Job(
        job=f"j-{number:07}",
        tenant=f"t-{draw.randrange(TENANTS):04}",
        escrow_wei=round(price_wei * share),
        prices_usd_micro=prices,
        gpu_ms=gpu_ms,
        facility_j=gpu_ms * draw.randrange(700, 1_100) // 1_000,
    )


def _fund(state: State, jobs: list[Job]) -> None:
    """Deposits and escrows, by the entries that make them."""
    origin = Origin(sequence=1, first=0, epoch=0, at_ms=START_MS)

    def post(entry: Entry) -> None:
        state.ledger.post(entry)

    for job in jobs:
        post(deposit(origin, job.tenant, job.escrow_wei))
        post(escrow(origin, job.tenant, job.job, job.escrow_wei))


def receipt_of(job: Job) -> Receipt:
    """The receipt that metering would have made: a line for each owner's site."""
    whole = sum(job.prices_usd_micro.values())
    lines = tuple(
        replace(
            LINE,
            site=f"s-{name.removeprefix('p-')}",
            gpu_ms=job.gpu_ms * price // whole,
            gpu_j=job.facility_j * price // whole,
        )
        for name, price in job.prices_usd_micro.items()
    )
    return replace(RECEIPT, job=job.job, tenant=job.tenant, facility_j=job.facility_j, gpu_ms=job.gpu_ms, lines=lines)


LINE = HourLine(
    site="",
    zone="PL",
    hour_ms=START_MS,
    gpu_model="H100-SXM",
    gpu_ms=0,
    gpu_j=0,
    host_j=0,
    overhead_j=0,
    carbon_mg_per_kwh=500_000,
    carbon_source="bench",
    carbon_quality=Quality.MODELLED,
    location_mg=0,
    market_mg_per_kwh=500_000,
    market_mg=0,
    embodied_mg=0,
    water_ml=0,
)
RECEIPT = Receipt(
    version=1,
    job="",
    tenant="",
    commitment="",
    epoch=0,
    state="done",
    submitted_ms=START_MS,
    finished_ms=START_MS + HOUR_MS,
    gpu_j=0,
    host_j=0,
    overhead_j=0,
    facility_j=0,
    location_mg=500_000,
    market_mg=600_000,
    market_basis="residual missing",
    embodied_mg=100_000,
    water_ml=0,
    gpu_ms=0,
    price_usd_micro=0,
    price_wei=0,
    offset_wei=0,
    provider_wei=0,
    network_wei=0,
    refund_wei=0,
    sci_mg_per_unit=None,
    functional_unit="",
    units=1,
    metered_ppm=PPM,
    energy_quality=Quality.MODELLED,
    promises=(),
    counterfactuals=(),
    attempts=(),
    lines=(),
    seals=(),
    not_proved=(),
)


def shown_work(sizes: Sizes) -> list[SiteWork]:
    """Work of two sites in three that was executed again."""
    draw = random.Random(f"{sizes.seed} shown")
    found = []
    for number in (number for number in range(sizes.providers) if number % 3):
        it_j = draw.randrange(10**5, 10**7)
        shown = ShownWork(
            work_class=WorkClass.TRAINING,
            units=it_j * draw.randrange(900, 1_200) // 700_000,
            it_j=it_j,
            facility_j=it_j * draw.randrange(1_050, 1_500) // 1_000,
        )
        site = f"s-{number:05}"
        found.append(
            SiteWork(owner=owner(number), site=site, work=(shown,), energy_cap_ppm=500_000, overhead_cap_ppm=500_000)
        )
    return found


def supply_of(sizes: Sizes) -> list[SiteSupply]:
    """Hours that certificates matched, at every other site."""
    hours = tuple(START_MS + hour * HOUR_MS for hour in range(24))
    none = (0,) * len(hours)
    return [
        SiteSupply(
            site=SiteId(f"s-{number:05}"),
            market="PL",
            hour_ms=hours,
            facility_j=(10 * J_PER_KWH,) * len(hours),
            matched_wh=none,
            renewable_wh=(number % 50,) * len(hours),
            carbon_free_wh=none,
            idle_claims=(),
            renewable_ppm=0,
            carbon_free_ppm=0,
        )
        for number in range(0, sizes.providers, 2)
    ]
