"""The planner's view of one pool in each of many zones, where nothing counts but carbon.

A container draws 1 kW, so an hour's cost is the hour's intensity; power, containers, water, data, sleep and pauses are
free, and neither waiting nor an unsure forecast is charged. At 10⁶ USD/t a micro-USD is 10⁻⁶ g, the resolution of all
results. The policies of the service differ from this in figures only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sunward.model.hardware import Admission, WorkClass
from sunward.model.identity import JobId, TenantId, ZoneId
from sunward.model.job import JobSpec
from sunward.model.plan import PolicyInputs
from sunward.placement.demand import CostBook, Demand, demand_of
from sunward.placement.fleet import Fleet
from sunward.units import HOUR_MS, MICRO, W_PER_KW
from sunward.world.snapshot import WORK_CLASSES, FloatArray, JobView, PoolColumns, Snapshot

CARBON_ONLY = PolicyInputs(
    water_price_usd_micro_per_l=0,
    transfer_usd_micro_per_gb=0,
    transfer_wh_per_gb=0,
    switch_ms=0,
    finish_margin_ms=0,
    hysteresis_ppm=0,
    delay_ppm_per_h=0,
    slot_ms=HOUR_MS,
)
USD_PER_T = MICRO
"""A gram costs a USD."""


def snapshot_of(
    zones: Sequence[str], intensity: FloatArray, now_ms: int, jobs: Sequence[JobView] = (), containers: int = 0
) -> Snapshot:
    """One idle pool a zone, of so many containers, 0 for one a job, on hourly intensities (Z, H) from now on."""
    count, hours = intensity.shape
    return Snapshot(
        based_on=0,
        now_ms=now_ms,
        start_ms=now_ms,
        slot_ms=HOUR_MS,
        slots=hours,
        policy=CARBON_ONLY,
        zones=tuple(zones),
        carbon_g_per_kwh=intensity,
        carbon_spread_g_per_kwh=np.zeros_like(intensity),
        price_usd_per_kwh=np.zeros_like(intensity),
        sites=tuple(zones),
        site_ceiling_w=np.full(intensity.shape, np.inf),
        pools=_pools(zones, count, hours, containers or max(1, len(jobs))),
        jobs=tuple(jobs),
    )


def _pools(zones: Sequence[str], count: int, hours: int, containers: int) -> PoolColumns:
    none, ones = np.zeros(count, dtype=np.int64), np.ones(count, dtype=np.int64)
    return PoolColumns(
        ids=tuple(zones),
        site=np.arange(count),
        zone=np.arange(count),
        country=tuple(zones),
        gpu_model=("any",) * count,
        count=ones * containers,
        available=np.full((count, hours), containers, dtype=np.int64),
        memory_gib=ones,
        overhead=np.ones(count),
        water_l_per_kwh=np.zeros(count),
        ask_usd_per_h=np.zeros(count),
        busy_w=np.full((count, len(WORK_CLASSES)), float(W_PER_KW)),
        idle_w=np.zeros(count),
        asleep_w=np.zeros(count),
        rate=np.ones((count, len(WORK_CLASSES))),
        wake_j=np.zeros(count),
        wake_ms=none,
        awake=none,
        admission=(Admission.ANYONE.value,) * count,
    )


def job_of(name: str, now_ms: int, hours: int, window: int, *, pauses: bool) -> JobView:
    """A new job of so many hours that is to end `window` hours from now."""
    spec = JobSpec(
        job=JobId(name),
        tenant=TenantId("tenant"),
        commitment="",
        origin_zone=ZoneId("none"),
        work_class=WorkClass.GENERIC,
        length_ms=hours * HOUR_MS,
        units=hours + 1,
        interruptible=pauses,
        deadline_ms=now_ms + window * HOUR_MS,
        carbon_price_usd_per_t=USD_PER_T,
    )
    return JobView(spec=spec, revision=0, units_done=0, elapsed_ms=0, pool="", fixed=False, segments=())


def demand_on(fleet: Fleet, hours: int, window: int, book: CostBook) -> Demand:
    """A job that runs in one piece, ready for the search on every pool."""
    demand = demand_of(fleet, job_of("job", fleet.now_ms, hours, window, pauses=False), book)
    assert isinstance(demand, Demand)
    return demand
