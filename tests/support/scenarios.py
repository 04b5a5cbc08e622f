"""Small networks for simulated runs: three sites of different cleanliness and jobs drawn from a seed."""

from __future__ import annotations

import numpy as np

from sunward.model.datum import Quality
from sunward.model.events import Deposited, NetworkStarted, RateObserved
from sunward.model.hardware import Admission, WorkClass
from sunward.model.identity import JobId, SiteId, TenantId, ZoneId, pool_id
from sunward.model.job import JobSpec
from sunward.model.plan import PolicyInputs
from sunward.model.site import PoolSpec, SiteSpec
from sunward.sim.runner import Faults, Scenario
from sunward.units import DAY_MS, HOUR_MS, PPM

START_MS = 1_781_157_600_000
"""2026-06-11 06:00 UTC."""
TENANT = TenantId("t-alpha")
WEI_PER_USD_MICRO = 2 * 10**12


def site(name: str, zone: str, country: str, gpu: str, count: int, overhead: float, ask_usd: float) -> SiteSpec:
    pool = pool_id(SiteId(name), gpu)
    return SiteSpec(
        site=SiteId(name),
        owner=TenantId(f"p-{name}"),
        zone=ZoneId(zone),
        country=country,
        cooling="air",
        overhead_ppm=int(overhead * PPM),
        overhead_quality=Quality.MODELLED,
        water_ml_per_kwh=500,
        ask_usd_micro_per_gpu_h=int(ask_usd * 1_000_000),
        admission=Admission.ANYONE,
        pools=(PoolSpec(pool=pool, gpu_model=gpu, count=count, devices=tuple(f"{name}-g{i}" for i in range(count))),),
        public_key="00" * 32,
    )


SITES = (
    site("no-hydro", "NO-NO1", "NO", "H100-SXM", 4, 1.08, 2.4),
    site("es-solar", "ES", "ES", "A100-SXM-80GB", 4, 1.15, 1.4),
    site("pl-coal", "PL", "PL", "L40S", 2, 1.40, 0.9),
)


def job(name: str, **changes: object) -> JobSpec:
    plain: dict[str, object] = {
        "job": JobId(name),
        "tenant": TENANT,
        "commitment": "c" * 64,
        "origin_zone": ZoneId("DE"),
        "work_class": WorkClass.TRAINING,
        "gpus": 1,
        "length_ms": 2 * HOUR_MS,
        "units": 1_000,
        "interruptible": False,
        "deadline_ms": START_MS + 12 * HOUR_MS,
        "escrow_wei": 10**20,
    }
    return JobSpec(**(plain | changes))  # type: ignore[arg-type]


def random_jobs(seed: int, count: int, hours: int) -> tuple[tuple[int, JobSpec], ...]:
    draw = np.random.default_rng(seed)
    jobs = []
    for number in range(count):
        at_ms = START_MS + int(draw.uniform(0, hours * 0.5) * HOUR_MS)
        length_ms = int(draw.uniform(0.2, 4) * HOUR_MS)
        pausable = bool(draw.random() < 0.5)
        jobs.append(
            (
                at_ms,
                job(
                    f"j-{number:04d}",
                    gpus=int(draw.choice([1, 1, 1, 2, 4])),
                    length_ms=length_ms,
                    interruptible=pausable,
                    deadline_ms=at_ms + length_ms * 2 + int(draw.uniform(0, 10) * HOUR_MS),
                    allowed_countries=("PL",) if draw.random() < 0.1 else (),
                    carbon_price_usd_per_t=int(draw.choice([0, 100, 5000])),
                    functional_unit="step" if pausable else "",
                ),
            )
        )
    return tuple(sorted(jobs, key=lambda item: item[0]))


def scenario(
    jobs: tuple[tuple[int, JobSpec], ...],
    *,
    hours: int = 24,
    faults: Faults | None = None,
    seed: int = 0,
    slots: int = 96,
) -> Scenario:
    return Scenario(
        start_ms=START_MS,
        hours=hours,
        sites=SITES,
        jobs=jobs,
        rules=NetworkStarted(network="test", policy=PolicyInputs(slots=slots), epoch_ms=7 * DAY_MS),
        rate=RateObserved(wei_per_usd_micro=WEI_PER_USD_MICRO, sources=("fixed",), quality=Quality.MODELLED),
        deposits=(Deposited(tenant=TENANT, amount_wei=10**24),),
        faults=faults or Faults(),
        seed=seed,
    )
