"""Power limits: the published savings again, and the same as an action of the planner with deadlines kept.

*Published* (BENCH B7): for each training workload measured on four GPUs the limit with least board energy that is at
most 10 % slower than the highest limit.

*Planned*: each workload becomes a job on a pool of its GPU and goes through `plan()` with a deadline so much later than
its run time without a limit; the planner chooses a limit, or none. Once from the job's own curve, else from what the
catalogue would say, learnt on other workloads alone: all others of the same model, those of other data sets and
networks, and those of other models, which the catalogue does not do. What the choice then does is taken from the job's
true times. With a learnt curve a job may be slower than planned: `lifted` follows the engine's rule, that the limit is
lifted when a report of progress (one in a hundredth of a job) shows that it would end too late under it; the margin
that the service leaves before a deadline is not there. Board energy alone counts, as in the study; `whole` counts the
catalogue's share of the server too.

A limit makes a job hold its container longer, which is paid for: `capped_by_ask` says how many jobs are given a limit
at which price of a container.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks._power_limits import MEASURED, PUBLISHED, SLOWDOWN, Point, Workload, learnt, published, workloads
from benchmarks._zone_pools import CARBON_ONLY
from benchmarks.calibration import calibrate, stay_on_one_core
from sunward.errors import InputError
from sunward.model.hardware import Admission, WorkClass
from sunward.model.identity import JobId, TenantId, ZoneId
from sunward.model.job import JobSpec
from sunward.model.plan import PolicyInputs
from sunward.placement.planner import plan
from sunward.units import HOUR_MS, MINUTE_MS, SECOND_MS
from sunward.world import catalogue
from sunward.world.power import host_power_w
from sunward.world.snapshot import WORK_CLASSES, FloatArray, JobView, PoolColumns, PowerCaps, Snapshot

LENGTH_MS = 4 * HOUR_MS
SLOT_MS, SLOTS = 15 * MINUTE_MS, 48
SLACKS = (0.0, 0.02, 0.05, SLOWDOWN, 0.2, 0.5)
ASKS_USD = (0.0, 0.01, 0.05, 0.1, 0.5, 1.0)
CARBON_G_PER_KWH, PRICE_USD_PER_KWH, CARBON_USD_PER_T = 400.0, 0.1, 100
"""About the world's mean intensity, a usual tariff, and the policy `balanced`."""
REPORTS = 100
"""Reports of progress during a job."""
LEAVE = 1e-9
CATALOGUE_KEYS = {"V100": "V100-PCIE-16GB", "A40": "A40", "P100": "P100-PCIE-16GB", "RTX6000": "RTX6000"}
Curve = Callable[[Workload], tuple[Point, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a planned limit did to one workload, over the same without a limit."""

    gpu: str
    limit_w: int
    energy: float
    slowdown: float
    missed: bool
    late_lifted: float
    """How late it is, over its time, where the limit is lifted once progress shows that; negative = early."""
    energy_lifted: float
    stated: float
    """Energy that the plan named."""


def columns(
    jobs: Sequence[Workload], curves: Sequence[tuple[Point, ...]], ask_usd: float, host: Sequence[float]
) -> PoolColumns:
    """One pool for each job, of one container that draws what this job draws."""
    count, kinds = len(jobs), len(WORK_CLASSES)
    ones = np.ones(count, dtype=np.int64)
    names = tuple(_name(number) for number in range(count))
    own = np.array([one.top_w for one in jobs])
    return PoolColumns(
        ids=names,
        site=np.arange(count),
        zone=np.zeros(count, dtype=np.int64),
        country=("XX",) * count,
        gpu_model=names,
        count=ones,
        available=np.ones((count, SLOTS), dtype=np.int64),
        memory_gib=ones,
        overhead=np.ones(count),
        water_l_per_kwh=np.zeros(count),
        ask_usd_per_h=np.full(count, ask_usd),
        busy_w=np.repeat((own + host)[:, None], kinds, axis=1),
        idle_w=np.zeros(count),
        asleep_w=np.zeros(count),
        rate=np.ones((count, kinds)),
        wake_j=np.zeros(count),
        wake_ms=np.zeros(count, dtype=np.int64),
        awake=ones,
        admission=(Admission.ANYONE.value,) * count,
        caps=_caps(curves, own, np.asarray(host)),
    )


def _name(number: int) -> str:
    return f"pool-{number:04d}"


def _caps(curves: Sequence[tuple[Point, ...]], own_w: FloatArray, host_w: FloatArray) -> PowerCaps:
    shape = (len(curves), len(WORK_CLASSES), max(map(len, curves)))
    limits, busy_w, rate = np.zeros(shape, dtype=np.int64), np.zeros(shape), np.ones(shape)
    for row, points in enumerate(curves):
        for at, point in enumerate(points):
            limits[row, :, at], rate[row, :, at] = point.limit_w, point.rate
            busy_w[row, :, at] = own_w[row] * point.power + host_w[row]
    return PowerCaps(cap_w=limits, busy_w=busy_w, rate=rate)


def jobs_of(count: int, slack: float) -> tuple[JobView, ...]:
    """One job for each pool, that may run nowhere else, due so much later than it takes without a limit."""
    spec = JobSpec(
        job=JobId(""),
        tenant=TenantId("tenant"),
        commitment="",
        origin_zone=ZoneId("zone"),
        work_class=WorkClass.TRAINING,
        length_ms=LENGTH_MS,
        units=REPORTS,
        deadline_ms=round(LENGTH_MS * (1.0 + slack)),
        carbon_price_usd_per_t=CARBON_USD_PER_T,
    )
    bare = JobView(spec=spec, revision=0, units_done=0, elapsed_ms=0, pool="", fixed=False, segments=())
    names = map(_name, range(count))
    return tuple(replace(bare, spec=replace(spec, job=JobId(name), gpu_models=(name,))) for name in names)


def policy() -> PolicyInputs:
    """Waiting costs nothing: what is looked at is the limit alone."""
    return replace(CARBON_ONLY, slot_ms=SLOT_MS, slots=SLOTS)


def planned(
    jobs: Sequence[Workload], curve: Curve, slack: float, ask_usd: float = 0.0, *, whole: bool = False
) -> list[Outcome]:
    """Plan all jobs at once and look at what was chosen."""
    host = [_host_w(one) if whole else 0.0 for one in jobs]
    pools = columns(jobs, [curve(one) for one in jobs], ask_usd, host)
    shape = (1, SLOTS)
    snapshot = Snapshot(
        based_on=0,
        now_ms=0,
        start_ms=0,
        slot_ms=SLOT_MS,
        slots=SLOTS,
        policy=policy(),
        zones=("zone",),
        carbon_g_per_kwh=np.full(shape, CARBON_G_PER_KWH),
        carbon_spread_g_per_kwh=np.zeros(shape),
        price_usd_per_kwh=np.full(shape, PRICE_USD_PER_KWH),
        sites=pools.ids,
        site_ceiling_w=np.full((len(jobs), SLOTS), np.inf),
        pools=pools,
        jobs=jobs_of(len(jobs), slack),
    )
    chosen = {one.job: one for one in plan(snapshot).assignments}
    found = []
    for job, host_w, name in zip(jobs, host, pools.ids, strict=True):
        (segment,) = chosen[JobId(name)].segments
        told_s = (segment.end_ms - segment.start_ms) / LENGTH_MS
        stated = chosen[JobId(name)].energy_j / ((job.top_w + host_w) * LENGTH_MS / SECOND_MS)
        found.append(outcome(job, segment.power_cap_w, slack, told_s, stated, host_w))
    return found


def _host_w(job: Workload) -> float:
    return host_power_w(catalogue.load().gpu(CATALOGUE_KEYS[job.gpu]), 1.0)


def outcome(job: Workload, limit_w: int, slack: float, told: float, stated: float, host_w: float) -> Outcome:
    """What a limit does by the true times; times and energies over those without a limit."""
    point = job.at(limit_w) if limit_w else job.points[0]
    longer = 1.0 / point.rate
    share = host_w / (job.top_w + host_w)
    energy = (point.power * (1.0 - share) + share) * longer
    until = lifted_at(told, longer, slack) if limit_w else 1.0
    ended = until * longer + (1.0 - until)
    return Outcome(
        gpu=job.gpu,
        limit_w=limit_w,
        energy=energy,
        slowdown=longer - 1.0,
        missed=longer > 1.0 + slack + LEAVE,
        late_lifted=ended - 1.0 - slack,
        energy_lifted=until * energy + (1.0 - until),
        stated=stated,
    )


def lifted_at(told: float, true: float, slack: float) -> float:
    """The share of the work after which the limit is lifted; 1 = never. Times are those of all the work."""
    for report in range(REPORTS):
        done = report / REPORTS
        if done * true + (1.0 - done) * told > 1.0 + slack + LEAVE:
            return done
    return 1.0


def curves(found: Sequence[Workload]) -> dict[str, Curve]:
    """From what a job's limits may be planned: its own curve, or what others of its GPU's model did."""

    def own(job: Workload) -> tuple[Point, ...]:
        return job.points[1:]

    def others(job: Workload) -> tuple[Point, ...]:
        return _learnt(job, (one for one in found if one.gpu == job.gpu and one is not job))

    def other_tasks(job: Workload) -> tuple[Point, ...]:
        return _learnt(job, (one for one in found if one.gpu == job.gpu and one.task != job.task))

    def other_models(job: Workload) -> tuple[Point, ...]:
        return _learnt(job, (one for one in found if one.gpu != job.gpu))

    def _learnt(job: Workload, known: Iterable[Workload]) -> tuple[Point, ...]:
        return learnt(list(known), [point.limit_w for point in job.points])

    return {"own": own, "other_workloads": others, "other_tasks": other_tasks, "other_models": other_models}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Means over the workloads, and how many deadlines were missed."""

    curve: str
    slack: float
    saving: float
    slowdown: float
    capped: int
    missed: int
    saving_lifted: float
    missed_lifted: int
    latest_lifted: float
    stated_error: float
    """Mean of stated over true energy, less one."""


def line(curve: str, slack: float, found: Sequence[Outcome]) -> Line:
    """One line of the table."""
    return Line(
        curve=curve,
        slack=slack,
        saving=_saved(found),
        slowdown=float(np.mean([one.slowdown for one in found])),
        capped=_capped(found),
        missed=sum(one.missed for one in found),
        saving_lifted=float(np.mean([1.0 - one.energy_lifted for one in found])),
        missed_lifted=sum(one.late_lifted > LEAVE for one in found),
        latest_lifted=max(one.late_lifted for one in found),
        stated_error=float(np.mean([one.stated / one.energy - 1.0 for one in found])),
    )


def _saved(found: Sequence[Outcome]) -> float:
    return float(np.mean([1.0 - one.energy for one in found]))


def _capped(found: Sequence[Outcome]) -> int:
    return sum(one.limit_w > 0 for one in found)


def run(found: Sequence[Workload]) -> dict[str, object]:
    """All figures."""
    begun = time.process_time()
    again = published(found)
    known = curves(found)
    lines, by_gpu = [], {}
    for name, curve in known.items():
        for slack in SLACKS:
            outcomes = planned(found, curve, slack)
            lines.append(line(name, slack, outcomes))
            if (name, slack) == ("own", SLOWDOWN):
                by_gpu = {gpu: _saved([one for one in outcomes if one.gpu == gpu]) for gpu in again}
        print(f"planned from the curve '{name}'", file=sys.stderr, flush=True)
    main = next(one for one in lines if (one.curve, one.slack) == ("own", SLOWDOWN))
    whole = planned(found, known["own"], SLOWDOWN, whole=True)
    return {
        "saving": main.saving,
        "slowdown": main.slowdown,
        "deadlines_missed": sum(one.missed for one in lines if one.curve == "own"),
        "saving_by_gpu": by_gpu,
        "published_again": again,
        "published_error": max(abs(again[gpu] - PUBLISHED[gpu]) for gpu in PUBLISHED),
        "whole_saving": _saved(whole),
        "capped_by_ask": {
            name: {str(ask): _capped(planned(found, known[name], SLOWDOWN, ask)) for ask in ASKS_USD}
            for name in ("own", "other_workloads")
        },
        "workloads": len(found),
        "cpu_s": round(time.process_time() - begun, 1),
        "table": [asdict(one) for one in lines],
    }


def _table(result: dict[str, object]) -> None:
    """For people."""
    print("curve            slack  limits  saving  slower  missed  lifted: saving  missed  energy stated")
    for one in result["table"]:  # type: ignore[attr-defined]
        print(
            f"{one['curve']:<16} {one['slack']:>5.0%} {one['capped']:>7} {one['saving']:>7.1%} {one['slowdown']:>7.1%}"
            f" {one['missed']:>7} {one['saving_lifted']:>15.1%} {one['missed_lifted']:>7} {one['stated_error']:>+14.1%}"
        )


def main() -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measured", type=Path, default=MEASURED, help="what each limit did")
    asked = parser.parse_args()
    one_core = stay_on_one_core()
    try:
        found = workloads(asked.measured)
    except InputError as reason:
        parser.error(reason.message)
    result = run(found)
    _table(result)
    print(json.dumps(result | {"one_core": one_core} | calibrate()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
