"""Whether stated promises are kept: many jobs of unknown length through the engine and the planner, simulated.

Every network is one of its own with three sites: it begins knowing nothing, and what its jobs turn out to take is all
that it learns. Tenants send jobs of one kind each: lognormal, of two sizes, with a heavy tail, drifting and swinging
over time, and estimated by people who are often wrong. Each job asks to end by a deadline with a probability; one of
which that cannot be promised is refused, and then nothing was promised. Work is pushed to clean hours as far as the
promises leave it.

The kept share must not lie below the stated one, over all and for each stated probability, by more than chance
allows: `SIGMAS` standard errors of as many independent tries. `min_stated` is the least probability stated; `kept` is
over all promises and stands beside `stated`, their mean.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from benchmarks.calibration import calibrate
from sunward.model.datum import Quality
from sunward.model.events import Deposited, NetworkStarted, PlanProposed, RateObserved
from sunward.model.hardware import Admission, WorkClass
from sunward.model.identity import JobId, SiteId, TenantId, ZoneId, pool_id
from sunward.model.job import JobSpec, LengthKind
from sunward.model.plan import PolicyInputs
from sunward.model.site import PoolSpec, SiteSpec
from sunward.sim.runner import Scenario, Simulation
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS, PPM

START_MS = 1_781_157_600_000
SITES = (
    ("north", "NO-NO1", "NO", "A100-SXM-80GB"),
    ("south", "ES", "ES", "A100-SXM-80GB"),
    ("east", "PL", "PL", "H100-SXM"),
)
STATED_PPM = (500_000, 800_000, 900_000, 950_000, 990_000)
SLOT_MS = 30 * MINUTE_MS
SLOTS = 96
ARRIVALS_H = 96
"""Jobs come in over so long; then the network runs until all have ended."""
LEAST_MS, MOST_MS = MINUTE_MS, 60 * HOUR_MS
TIMEOUT_MS = 10 * DAY_MS
SIGMAS = 3.0
LOAD_FRAC = 0.5
"""Share of all GPUs that the jobs of a network keep busy while they come in."""
WEI_PER_USD_MICRO = 2 * 10**12

Draw = np.random.Generator
Kind = Callable[[Draw, float], float]
"""Hours of a job that comes in after such a share of the time."""

KINDS: dict[str, Kind] = {
    "lognormal": lambda draw, _: draw.lognormal(0.0, 0.7),
    "bimodal": lambda draw, _: draw.lognormal(math.log(0.3 if draw.random() < 0.7 else 4.0), 0.2),
    "heavy_tail": lambda draw, _: 0.3 * (1 + draw.pareto(1.6)),
    "drifting": lambda draw, at: draw.lognormal(math.log(0.5) + math.log(4) * at, 0.4),
    "swinging": lambda draw, at: draw.lognormal(math.log(1.5) * math.sin(4 * math.pi * at), 0.4),
    "estimated": lambda draw, _: draw.lognormal(0.0, 0.7),
}


@dataclass(slots=True)
class Outcome:
    """What became of one promise."""

    kind: str
    stated_ppm: int
    kept: bool
    cause: str
    """Why it was broken; empty where it was not."""


@dataclass(slots=True)
class Watched:
    """What the journal of one network tells of its jobs."""

    ended: dict[str, tuple[str, int]] = field(default_factory=dict)
    """State and moment of the end, by job."""
    started: dict[str, int] = field(default_factory=dict)
    resumed: Counter[str] = field(default_factory=Counter)
    promised: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Pool and start of the first place it was given."""
    moved: Counter[str] = field(default_factory=Counter)
    """Later plans that changed where or when a job is to start."""


def site(name: str, zone: str, country: str, gpu: str, count: int) -> SiteSpec:
    """One site of the fleet."""
    pool = pool_id(SiteId(name), gpu)
    devices = tuple(f"{name}-g{index}" for index in range(count))
    return SiteSpec(
        site=SiteId(name),
        owner=TenantId(f"p-{name}"),
        zone=ZoneId(zone),
        country=country,
        cooling="air",
        overhead_ppm=1_150_000,
        overhead_quality=Quality.MODELLED,
        water_ml_per_kwh=500,
        ask_usd_micro_per_gpu_h=1_500_000,
        admission=Admission.ANYONE,
        pools=(PoolSpec(pool=pool, gpu_model=gpu, count=count, devices=devices),),
        public_key="00" * 32,
    )


def jobs_of(draw: Draw, count: int, arrivals_h: int) -> tuple[list[tuple[int, JobSpec]], dict[str, int]]:
    """Jobs by the moment at which they come in, and what each really takes."""
    jobs: list[tuple[int, JobSpec]] = []
    true_ms: dict[str, int] = {}
    kinds = sorted(KINDS)
    for number in range(count):
        kind, at = kinds[int(draw.integers(len(kinds)))], float(draw.random())
        name = f"{kind}-{number:05d}"
        run_ms = int(min(max(KINDS[kind](draw, at) * HOUR_MS, LEAST_MS), MOST_MS))
        true_ms[name] = run_ms
        # People round, hope, and at times forget half of the work.
        told_ms = int(run_ms / draw.lognormal(0.2, 0.6)) if kind == "estimated" else HOUR_MS
        at_ms = START_MS + int(at * arrivals_h * HOUR_MS)
        jobs.append(
            (
                at_ms,
                JobSpec(
                    job=JobId(name),
                    tenant=TenantId(f"t-{kind}"),
                    commitment="00" * 32,
                    origin_zone=ZoneId("DE"),
                    work_class=WorkClass.TRAINING,
                    length_ms=max(told_ms, LEAST_MS),
                    length_kind=LengthKind.ESTIMATED if kind == "estimated" else LengthKind.UNKNOWN,
                    deadline_ms=at_ms + int(draw.uniform(0.5, 9) * HOUR_MS),
                    promise_ppm=STATED_PPM[int(draw.integers(len(STATED_PPM)))],
                    timeout_ms=TIMEOUT_MS,
                    carbon_price_usd_per_t=int(draw.choice([100, 5_000])),
                    retries=0,
                    escrow_wei=10**18,
                    counterfactual=2,
                ),
            )
        )
    return sorted(jobs, key=lambda item: (item[0], item[1].job)), true_ms


def network(seed: int, count: int, arrivals_h: int = ARRIVALS_H) -> tuple[Simulation, dict[str, JobSpec]]:
    """A network on which the jobs of one seed take about half of all GPUs."""
    jobs, true_ms = jobs_of(np.random.default_rng([seed, 1]), count, arrivals_h)
    busy = sum(true_ms.values()) / (arrivals_h * HOUR_MS)
    each = max(2, math.ceil(busy / LOAD_FRAC / len(SITES)))
    scenario = Scenario(
        start_ms=START_MS,
        hours=arrivals_h + 72,
        sites=tuple(site(*words, each) for words in SITES),
        jobs=tuple(jobs),
        rules=NetworkStarted(
            network="promises", policy=PolicyInputs(slot_ms=SLOT_MS, slots=SLOTS), epoch_ms=30 * DAY_MS
        ),
        rate=RateObserved(wei_per_usd_micro=WEI_PER_USD_MICRO, sources=("fixed",), quality=Quality.MODELLED),
        deposits=tuple(Deposited(tenant=TenantId(f"t-{kind}"), amount_wei=10**24) for kind in KINDS),
        seed=seed,
        report_ms=SLOT_MS,
        true_ms=true_ms,
    )
    return Simulation(scenario), {spec.job: spec for _, spec in jobs}


def watch(simulation: Simulation) -> Watched:
    """Run a network to its end and read its journal."""
    simulation.run()
    found = Watched()
    for record in simulation.journal.read():
        if isinstance(record.event.payload, PlanProposed):
            for one in record.event.payload.plan.assignments:
                first = one.segments[0]
                if one.job not in found.promised:
                    found.promised[one.job] = first.pool, first.start_ms
                elif one.job not in found.started:
                    found.moved[one.job] += 1
    for command in simulation.journal.job_changes:
        if command.state == "running":
            found.resumed[command.job] += command.job in found.started
            found.started.setdefault(command.job, command.at_ms)
        elif command.state in ("finished", "failed", "expired", "refused", "cancelled"):
            found.ended[command.job] = command.state, command.at_ms
    return found


def outcomes(specs: dict[str, JobSpec], found: Watched) -> Iterator[Outcome]:
    """Every promise with its end; a job that was refused was promised nothing."""
    for name, spec in specs.items():
        state, at_ms = found.ended.get(name, ("open", 0))
        if state != "refused":
            kept = state == "finished" and at_ms <= spec.deadline_ms
            yield Outcome(spec.tenant[2:], spec.promise_ppm, kept, "" if kept else _cause(name, state, found))


def _cause(name: str, state: str, found: Watched) -> str:
    if state != "finished":
        return state
    return "started_late" if found.started[name] > found.promised[name][1] + 2 * SLOT_MS else "ran_longer"


def summary(promises: list[Outcome], watched: list[Watched], refused: int, faults: int) -> dict[str, object]:
    """Shares kept beside those stated, and why the others were not."""
    by_stated = {stated: _shares([one for one in promises if one.stated_ppm == stated]) for stated in STATED_PPM}
    everything = _shares(promises)
    started = sum(len(found.started) for found in watched)
    return {
        **everything,
        "min_stated": min(STATED_PPM) / PPM,
        "refused": refused,
        "by_stated": {f"{stated / PPM:g}": shares for stated, shares in by_stated.items()},
        "by_kind": {kind: _shares([one for one in promises if one.kind == kind]) for kind in sorted(KINDS)},
        "broken_by": dict(sorted(Counter(one.cause for one in promises if not one.kept).items())),
        "replanned_per_job": round(sum(sum(found.moved.values()) for found in watched) / max(1, started), 3),
        "restarts_per_job": round(sum(sum(found.resumed.values()) for found in watched) / max(1, started), 3),
        "plan_faults": faults,
        "holds": not faults and all(bool(shares["holds"]) for shares in (everything, *by_stated.values())),
    }


def _shares(promises: list[Outcome]) -> dict[str, object]:
    """Kept and stated share; it holds unless so few are kept that chance does not explain it."""
    count = len(promises)
    if not count:
        return {"promises": 0, "kept": None, "stated": None, "holds": False}
    kept = sum(one.kept for one in promises) / count
    stated = [one.stated_ppm / PPM for one in promises]
    mean = sum(stated) / count
    error = math.sqrt(sum(one * (1 - one) for one in stated)) / count
    return {
        "promises": count,
        "kept": round(kept, 4),
        "stated": round(mean, 4),
        "holds": kept >= mean - SIGMAS * error,
    }


def main() -> int:
    """Run all networks and print what was kept; 1 when a stated share was not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=12, help="simulated networks, each with a seed of its own")
    parser.add_argument("--jobs", type=int, default=1_000, help="jobs of each network")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first network")
    arguments = parser.parse_args()
    promises: list[Outcome] = []
    watched: list[Watched] = []
    refused, faults, begun = 0, 0, time.process_time()
    for seed in range(arguments.seed, arguments.seed + arguments.networks):
        simulation, specs = network(seed, arguments.jobs)
        found = watch(simulation)
        told = list(outcomes(specs, found))
        watched.append(found)
        promises += told
        refused += len(specs) - len(told)
        faults += len(simulation.tally.plan_violations)
        print(f"seed {seed}: {json.dumps(_shares(told))}, {time.process_time() - begun:.0f} s", file=sys.stderr)
    result = summary(promises, watched, refused, faults)
    spent = {"cpu_s": round(time.process_time() - begun, 1)}
    print(json.dumps(result | spent | calibrate()))
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
