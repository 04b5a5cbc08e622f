"""Small records for tests of what stores them."""

from __future__ import annotations

from dataclasses import replace

from sunward.model.commands import JobChanged, PostEntries
from sunward.model.datum import Quality
from sunward.model.events import AgentSeen, Event, ReadingsSealed
from sunward.model.identity import JobId, SiteId
from sunward.model.ledger import Entry, Posting
from sunward.model.reading import LeaseSeals, SiteSeal
from sunward.model.receipt import Adjustment, EpochStatement, Receipt

HUGE_WEI = 2**200 + 1

ADJUSTMENT = Adjustment(
    job="j-1",
    epoch=1,
    posted_epoch=2,
    sequence=2,
    at_ms=7,
    cause="signal_revised",
    zone="DE",
    hour_ms=0,
    old_mg_per_kwh=100_000,
    new_mg_per_kwh=90_000,
    old_mg=100,
    new_mg=90,
    source="a source",
    quality=Quality.MEASURED,
)

RECEIPT = Receipt(
    version=1,
    job="j-1",
    tenant="t-1",
    commitment="c" * 64,
    epoch=1,
    state="finished",
    submitted_ms=0,
    finished_ms=10,
    gpu_j=5,
    host_j=3,
    overhead_j=2,
    facility_j=10,
    location_mg=1,
    market_mg=1,
    market_basis="residual missing",
    embodied_mg=0,
    water_ml=0,
    gpu_ms=10,
    price_usd_micro=1,
    price_wei=HUGE_WEI,
    offset_wei=0,
    provider_wei=0,
    network_wei=0,
    refund_wei=0,
    sci_mg_per_unit=None,
    functional_unit="Größe 단위",
    units=1,
    metered_ppm=1_000_000,
    energy_quality=Quality.MODELLED,
    promises=(),
    counterfactuals=(),
    attempts=(),
    lines=(),
    seals=(),
    not_proved=(),
)

STATEMENT = EpochStatement(
    epoch=1,
    start_ms=0,
    end_ms=100,
    receipts=(),
    receipts_root="",
    facility_j=10,
    idle_j=0,
    location_mg=1,
    market_mg=1,
    embodied_mg=0,
    paid_usd_micro=1,
    paid_wei=HUGE_WEI,
    provider_wei=0,
    network_wei=0,
    offset_wei=0,
    refunded_wei=0,
    liability_mg=1,
    offset_share_bps=100,
    next_offset_share_bps=100,
    balance_wei=0,
)


def seen(at_ms: int, boot: str = "boot") -> Event:
    return Event(at_ms, AgentSeen(site=SiteId("s-1"), boot=boot))


def sealing(at_ms: int, *spans: tuple[str, int, int]) -> Event:
    parts = tuple(
        SiteSeal(
            site=site,
            first_counter=first,
            last_counter=last,
            covered_to_ms=at_ms,
            idle_gpu_j=0,
            idle_host_j=0,
            idle_overhead_j=0,
            gap_ms=0,
        )
        for site, first, last in spans
    )
    batches = sum(last - first + 1 for _, first, last in spans)
    sealed = ReadingsSealed(
        shard="0", start_ms=0, end_ms=at_ms, root="r" * 64, batches=batches, sites=parts, leases=LeaseSeals()
    )
    return Event(at_ms, sealed)


def changed(job: str, state: str, at_ms: int = 0, tenant: str = "t-1") -> JobChanged:
    return JobChanged(job=JobId(job), tenant=tenant, state=state, reason="because", at_ms=at_ms, site="s-1", units=3)


def posted(*amounts_wei: int, ref: str = "j-1", entry: str = "1.0") -> PostEntries:
    """One entry; the postings go to accounts a:0, a:1 and so on."""
    postings = tuple(Posting(account=f"a:{index}", amount_wei=amount) for index, amount in enumerate(amounts_wei))
    return PostEntries(entries=(Entry(entry=entry, epoch=1, at_ms=5, cause="payment", ref=ref, postings=postings),))


def receipt_of(job: str) -> Receipt:
    return replace(RECEIPT, job=job)
