"""Days of arrivals with and without the forecast of work that starts at once: what it costs and what it saves.

The same seeded days are simulated twice by the live engine: once as it is, once with plans that expect nothing. Counted
from the second day on, in the planner's own money: energy that served no job at its price with carbon, and the time
by which starts waited for their containers, at the price of a delay.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

import numpy as np

from benchmarks.calibration import calibrate
from sunward import units
from sunward.engine.inputs import plan_event
from sunward.model.datum import Quality
from sunward.model.events import Deposited, EpochRequested, NetworkStarted, Payload, PlanProposed, RateObserved
from sunward.model.hardware import Admission, WorkClass
from sunward.model.identity import JobId, SiteId, TenantId, ZoneId, pool_id
from sunward.model.job import JobSpec
from sunward.model.plan import PolicyInputs
from sunward.model.site import PoolSpec, SiteSpec
from sunward.sim.runner import Scenario, Simulation
from sunward.world.snapshot import Snapshot
from sunward.world.tick import take_openings

START_MS = 1_781_136_000_000
"""2026-06-11 00:00 UTC."""
TENANT = TenantId("tenant")
MODEL = "A100-SXM-80GB"
ZONES = (("NO-NO1", "NO"), ("ES", "ES"), ("DE", "DE"))
OFFICE_H = (8, 18)
CARBON_USD_PER_T = 100
ASK_USD_MICRO = 1_800_000
OVERHEAD_PPM = 1_200_000
WEI = 10**24
LOOSE = 1.2
"""Deadline over run time: too near to wait for a cleaner hour of any worth."""
CASES = ((600, 12.0, 12.0), (90, 12.0, 12.0), (600, 2.0, 4.0))
"""Seconds to wake, starts an hour at office hours, hours of a job."""


class Measured(Simulation):
    """A simulation that counts idle energy and waits from the second day on."""

    def __init__(self, scenario: Scenario, *, foresees: bool) -> None:
        self._foresees = foresees
        self.idle_usd = self.idle_kwh = self.delay_usd = 0.0
        self.waits_s: list[float] = []
        self._idle_j: dict[str, int] = {}
        super().__init__(scenario)

    def _propose(self, snapshot: Snapshot, proposed: PlanProposed) -> None:
        if not self._foresees and not proposed.plan.adds:
            blind = replace(snapshot, expected=None)
            snapshot, proposed = blind, plan_event(blind)
        super()._propose(snapshot, proposed)

    def _seal(self) -> None:
        super()._seal()
        seen = take_openings(self.writer.state.world, self.now_ms)
        carbon = seen.carbon_g_per_kwh[:, 0] * CARBON_USD_PER_T / (units.G_PER_KG * units.KG_PER_T)
        usd_per_kwh = dict(zip(seen.zones, (seen.price_usd_per_kwh[:, 0] + carbon).tolist(), strict=True))
        for name, site in self.writer.state.world.sites.items():
            kwh = (site.idle_j - self._idle_j.get(name, 0)) / units.J_PER_KWH
            self._idle_j[name] = site.idle_j
            if self.now_ms >= START_MS + units.DAY_MS:
                self.idle_kwh += kwh
                self.idle_usd += kwh * usd_per_kwh[site.spec.zone]

    def commit(self, payloads: list[Payload], sealed: list[tuple[str, int, int]] | None = None) -> None:
        """Count the waits before the last epoch closes, which forgets its leases."""
        if any(isinstance(payload, EpochRequested) for payload in payloads):
            self._count_waits()
        super().commit(payloads, sealed)

    def _count_waits(self) -> None:
        world = self.writer.state.world
        for lease in world.leases:
            row = world.leases.row_of[lease]
            ints = {name: int(world.leases.ints[name][row]) for name in ("started_ms", "offered_ms", "gpus")}
            job, site = world.leases.objects["job"][row], world.leases.objects["site"][row]
            waited_ms = ints["started_ms"] - int(world.jobs.ints["submitted_ms"][world.jobs.row_of[job]])
            wake_ms = world.sites[site].spec.wake_s * units.SECOND_MS
            if not ints["started_ms"] or ints["offered_ms"] < START_MS + units.DAY_MS:
                continue
            if waited_ms > wake_ms + units.MINUTE_MS:
                # It was put off for a cleaner hour, which is no wait for its containers.
                continue
            work_h = int(world.leases.ints["run_ms"][row]) * ints["gpus"] / units.HOUR_MS
            share = PolicyInputs().delay_ppm_per_h / units.PPM * waited_ms / units.HOUR_MS
            self.waits_s.append(waited_ms / units.SECOND_MS)
            self.delay_usd += share * work_h * ASK_USD_MICRO / units.MICRO


def main() -> int:
    """Run every case twice, and print what became of each."""
    options = _options().parse_args()
    result = {}
    for wake_s, per_h, length_h in CASES[: options.cases]:
        name = f"wake_{wake_s}s_{per_h:g}_per_h_{length_h:g}_h"
        result[name] = _compared(options, wake_s, per_h, length_h)
        print(name, json.dumps(result[name]), file=sys.stderr, flush=True)
    print(json.dumps(result | calibrate()))
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=3, help="the first one only teaches")
    parser.add_argument("--containers", type=int, default=64, help="at each of the three sites")
    parser.add_argument("--cases", type=int, default=len(CASES), help="how many of the cases are run")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _compared(options: argparse.Namespace, wake_s: int, per_h: float, length_h: float) -> dict[str, float]:
    told: dict[str, float] = {}
    for name, foresees in (("without", False), ("with", True)):
        run = Measured(_scenario(options, wake_s, per_h, length_h), foresees=foresees)
        tally = run.run()
        waits = run.waits_s or [0.0]
        told |= {
            f"starts_{name}": len(run.waits_s),
            f"mean_wait_s_{name}": round(sum(waits) / len(waits), 2),
            f"idle_kwh_{name}": round(run.idle_kwh, 3),
            f"cost_usd_{name}": round(run.idle_usd + run.delay_usd, 4),
            f"violations_{name}": len(tally.plan_violations),
        }
    return told | {"saves_usd": round(told["cost_usd_without"] - told["cost_usd_with"], 4)}


def _scenario(options: argparse.Namespace, wake_s: int, per_h: float, length_h: float) -> Scenario:
    return Scenario(
        start_ms=START_MS,
        hours=options.days * (units.DAY_MS // units.HOUR_MS),
        sites=tuple(_site(zone, country, options.containers, wake_s) for zone, country in ZONES),
        jobs=_jobs(options, per_h, length_h),
        rules=NetworkStarted(network="sleep", policy=PolicyInputs(slots=96), epoch_ms=30 * units.DAY_MS),
        rate=RateObserved(wei_per_usd_micro=1, sources=("fixed",), quality=Quality.MODELLED),
        deposits=(Deposited(tenant=TENANT, amount_wei=WEI),),
        seed=options.seed,
        report_ms=units.HOUR_MS // 4,
    )


def _site(zone: str, country: str, count: int, wake_s: int) -> SiteSpec:
    name = SiteId(f"site-{country.lower()}")
    return SiteSpec(
        site=name,
        owner=TenantId(f"owner-{name}"),
        zone=ZoneId(zone),
        country=country,
        cooling="air",
        overhead_ppm=OVERHEAD_PPM,
        overhead_quality=Quality.MODELLED,
        water_ml_per_kwh=0,
        ask_usd_micro_per_gpu_h=ASK_USD_MICRO,
        admission=Admission.ANYONE,
        pools=(
            PoolSpec(
                pool=pool_id(name, MODEL),
                gpu_model=MODEL,
                count=count,
                devices=tuple(f"{name}-{number}" for number in range(count)),
            ),
        ),
        public_key="00" * 32,
        wake_s=wake_s,
    )


def _jobs(options: argparse.Namespace, per_h: float, length_h: float) -> tuple[tuple[int, JobSpec], ...]:
    draw = np.random.default_rng(options.seed)
    found: list[tuple[int, JobSpec]] = []
    for day in range(options.days):
        first, last = (START_MS + day * units.DAY_MS + hour * units.HOUR_MS for hour in OFFICE_H)
        count = int(draw.poisson(per_h * (OFFICE_H[1] - OFFICE_H[0])))
        for at_ms in np.sort(draw.integers(first, last, count)).tolist():
            length_ms = int(draw.uniform(0.5, 1.5) * length_h * units.HOUR_MS)
            found.append((at_ms, _job(len(found), at_ms, length_ms)))
    return tuple(found)


def _job(number: int, at_ms: int, length_ms: int) -> JobSpec:
    return JobSpec(
        job=JobId(f"j-{number:05d}"),
        tenant=TENANT,
        commitment="c" * 64,
        origin_zone=ZoneId("DE"),
        work_class=WorkClass.TRAINING,
        gpus=1,
        length_ms=length_ms,
        units=1_000,
        interruptible=False,
        deadline_ms=at_ms + int(length_ms * LOOSE) + units.HOUR_MS,
        carbon_price_usd_per_t=CARBON_USD_PER_T,
        escrow_wei=1,
    )


if __name__ == "__main__":
    sys.exit(main())
