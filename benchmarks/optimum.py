"""How near plans are to the exact optimum (BENCH B4).

*Fluid*: work that may be spread over any of its zones and hours, as jobs of one container-hour (benchmarks/_fluid.py),
all through one `plan()`: a cohort of whole hours for each class, and a rest. Greedy filling is worked out beside it;
the optimum is the published one. The plan is checked, and certified with its own prices: `fluid_gap_ppm` is what any
other plan for the same jobs could cost less at most.

*Mixed*: jobs in one piece, gangs and jobs with pauses on few containers (benchmarks/_mixed.py), for several seeds. The
bound is a time-indexed linear programme on all arrivals and the true series (benchmarks/_mixed_lp.py). `truth_gap` is
the planner's cost over it when all is known beforehand; `online_gap` when jobs become known as they arrive and series
are forecast (benchmarks/_mixed_online.py); `online_vs_resolve` the planner's cost over that of solving the programme
anew every hour with the same information. Means over the seeds; the worst stand beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks._fluid import (
    CONTAINERS,
    FLUID,
    GREEDY,
    OPTIMUM,
    certified,
    fluid_snapshot,
    greedy_saving,
    jobs_of,
    load_fluid,
    saving_of,
)
from benchmarks._mixed import Mixed, Size, draw_mixed
from benchmarks._mixed_lp import relax
from benchmarks._mixed_online import Planner, followed, forecasts_of, resolved
from benchmarks._mixed_views import all_asked, cost_of, true_plan
from benchmarks._series import FILES, read
from benchmarks.calibration import calibrate, stay_on_one_core
from sunward.errors import InputError
from sunward.placement.planner import plan
from sunward.sim.plan_checker import check_plan

SEEDS = (0, 1, 2, 3, 4)
THREADS = "OPENBLAS_NUM_THREADS"
T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """A result and the CPU seconds it took."""
    begun = time.process_time()
    result = work()
    return result, time.process_time() - begun


def fluid(path: Path, containers: int) -> dict[str, object]:
    """The figures of work that flows."""
    instance = load_fluid(path)
    snapshot, build_s = timed(lambda: fluid_snapshot(instance, containers))
    made, plan_s = timed(lambda: plan(snapshot))
    proof, proof_s = timed(lambda: certified(snapshot, made))
    return {
        "fluid_saving": saving_of(instance, containers, made),
        "fluid_s": round(plan_s, 2),
        "fluid_greedy": greedy_saving(instance),
        "fluid_greedy_published": GREEDY,
        "fluid_optimum_published": OPTIMUM,
        "fluid_jobs": jobs_of(made),
        "fluid_build_s": round(build_s, 2),
        "fluid_faults": len(check_plan(snapshot, made)),
        "fluid_gap_ppm": proof.gap_ppm,
        "fluid_proof_holds": proof.holds,
        "fluid_proof_s": round(proof_s, 2),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One seed; costs over the bound, and CPU seconds."""

    seed: int
    jobs: int
    truth_gap: float
    online_gap: float
    resolve_gap: float
    vs_resolve: float
    undone_h: int
    resolve_undone_h: int
    forecast_error: float
    bound_s: float
    truth_s: float
    online_s: float
    resolve_s: float


def mixed(instance: Mixed, seed: int) -> Outcome:
    """All ways to run one instance."""
    found, bound_s = timed(lambda: relax(all_asked(instance)))
    made, truth_s = timed(lambda: true_plan(instance))
    forecasts = forecasts_of(instance)
    ours, online_s = timed(lambda: followed(instance, forecasts, Planner()))
    base, resolve_s = timed(lambda: followed(instance, forecasts, resolved))
    misses = [abs(told - instance.intensity[:, hour:]).mean() for hour, told in enumerate(forecasts)]
    return Outcome(
        seed=seed,
        jobs=len(instance.gpus),
        truth_gap=cost_of(instance, made) / found.bound,
        online_gap=ours.total_g() / found.bound,
        resolve_gap=base.total_g() / found.bound,
        vs_resolve=ours.total_g() / base.total_g(),
        undone_h=int((instance.length_h - ours.done).sum()),
        resolve_undone_h=int((instance.length_h - base.done).sum()),
        forecast_error=float(sum(misses) / len(misses) / instance.intensity.mean()),
        bound_s=round(bound_s, 1),
        truth_s=round(truth_s, 1),
        online_s=round(online_s, 1),
        resolve_s=round(resolve_s, 1),
    )


def summary(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Means and worst of all seeds."""
    if not outcomes:
        return {}
    columns = {
        "truth_gap": [one.truth_gap for one in outcomes],
        "online_vs_resolve": [one.vs_resolve for one in outcomes],
        "online_gap": [one.online_gap for one in outcomes],
        "resolve_gap": [one.resolve_gap for one in outcomes],
    }
    means = {name: sum(values) / len(values) for name, values in columns.items()}
    return means | {f"{name}_worst": max(values) for name, values in columns.items()}


def _told(one: Outcome) -> str:
    return (
        f"seed {one.seed}: {one.jobs} jobs; over the bound {one.truth_gap:.4f} with all known,"
        f" {one.online_gap:.4f} online, {one.resolve_gap:.4f} solved anew every hour; {one.vs_resolve:.4f} of that"
    )


def main() -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = Size()
    parser.add_argument("--fluid", type=Path, default=FLUID, help="the fluid instance")
    parser.add_argument("--fluid-containers", type=int, default=CONTAINERS, help="of each zone")
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS, help="of the mixed instances")
    parser.add_argument("--hourly", type=Path, default=FILES["carbon"], help="hourly intensities of several years")
    parser.add_argument("--year", type=int, default=0, help="to draw weeks from; 0 = the last one of the series")
    parser.add_argument("--zones", type=int, default=size.zones)
    parser.add_argument("--hours", type=int, default=size.hours)
    parser.add_argument("--containers", type=int, default=size.containers, help="of each zone of a mixed instance")
    asked = parser.parse_args()
    if THREADS not in os.environ:
        # On one core the threads of linear algebra only wait for one another; their number is read when it is loaded.
        os.environ[THREADS] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.optimum", *sys.argv[1:]])  # noqa: S606
    one_core = stay_on_one_core()
    begun, outcomes = time.process_time(), list[Outcome]()
    size = Size(zones=asked.zones, hours=asked.hours, containers=asked.containers)
    try:
        flow = fluid(asked.fluid, asked.fluid_containers)
        print(json.dumps(flow), file=sys.stderr, flush=True)
        grid = read(asked.hourly)
        year = asked.year or grid.last_year
        for seed in asked.seeds:
            outcomes.append(mixed(draw_mixed(grid, year, size, seed), seed))
            print(_told(outcomes[-1]), file=sys.stderr, flush=True)
    except InputError as reason:
        parser.error(reason.message)
    for one in outcomes:
        print(_told(one))
    named = {"year": year, "zones": size.zones, "hours": size.hours, "containers": size.containers}
    result = flow | summary(outcomes) | named | {"seeds": [asdict(one) for one in outcomes]}
    print(json.dumps(result | {"cpu_s": round(time.process_time() - begun, 1), "one_core": one_core} | calibrate()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
