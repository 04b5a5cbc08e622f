"""A planet of pools, a crowd of jobs: what a tick of the planner costs, cold and when little has changed.

A tick is `plan(snapshot)`: from the snapshot to the plan with an assignment for every job that changes. CPU seconds of
this process are counted, the best of some runs. *Cold*: nothing is placed. *Incremental*: all that the cold tick placed
stands, one job in a hundred is new and the forecast of one zone has changed. The curves double nothing but what they
are about; their slopes are of the logarithms, 1 being in proportion. Loops are compiled, or read from disk where an
earlier process left them, before anything is counted: that is `warmup_s`, and `compiled` says which of the two it was.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from benchmarks._planet import keys_of, planet
from benchmarks.calibration import calibrate, stay_on_one_core
from sunward.model.plan import Plan
from sunward.placement.crowd.seek import fill
from sunward.placement.crowd.warm import warm_up
from sunward.placement.planner import plan
from sunward.sim.plan_checker import check_plan
from sunward.world.crowd import NOT_GIVEN, Crowd
from sunward.world.snapshot import Snapshot

POOLS, JOBS = 2_000, 100_000
CURVE_JOBS = (1_000, 10_000, 100_000, 1_000_000)
CURVE_POOLS = (100, 1_000, 10_000)
CURVE_POOLS_JOBS = 10_000
CHANGED = 100
"""One job in so many is new."""
WORSE = 1.3
"""The changed forecast, over what it was."""
KIB_PER_MIB = 1_024
OUT = Path("out")
BAR = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One tick of a curve."""

    jobs: int
    pools: int
    cpu_s: float


def cpu_s(snapshot: Snapshot, rounds: int) -> tuple[float, Plan]:
    """Least CPU time of some ticks, and their plan."""
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        made = plan(snapshot)
        times.append(time.process_time() - begun)
    return min(times), made


def warmup() -> dict[str, object]:
    """CPU seconds until all compiled loops are there, and whether any had to be compiled."""
    begun = time.process_time()
    warm_up()
    return {"warmup_s": round(time.process_time() - begun, 3), "compiled": bool(fill.stats.cache_misses)}  # type: ignore[attr-defined]


def changed(snapshot: Snapshot, made: Plan, seed: int) -> Snapshot:
    """The next tick: what was placed stands, but for new jobs; one zone's forecast is another one."""
    many, draw = snapshot.crowd, np.random.default_rng(seed)
    assert many is not None
    row, pools = {job: at for at, job in enumerate(many.ids)}, {pool: at for at, pool in enumerate(snapshot.pools.ids)}
    given = {name: getattr(many, name).copy() for name in ("pool", "start_ms", "end_ms")}
    for one in made.assignments:
        at, part = row[one.job], one.segments[0]
        given["pool"][at], given["start_ms"][at], given["end_ms"][at] = pools[part.pool], part.start_ms, part.end_ms
    new = draw.choice(len(many.ids), len(many.ids) // CHANGED, replace=False)
    stays = given["pool"] != NOT_GIVEN
    stays[new] = True
    given["pool"][new] = NOT_GIVEN
    carbon = snapshot.carbon_g_per_kwh.copy()
    carbon[int(draw.integers(0, len(snapshot.zones)))] *= WORSE
    return replace(snapshot, crowd=_of(replace(many, **given), np.flatnonzero(stays)), carbon_g_per_kwh=carbon)


def _of(many: Crowd, rows: np.ndarray) -> Crowd:
    columns = {one.name: getattr(many, one.name) for one in fields(Crowd)}
    some = {name: values[rows] for name, values in columns.items() if isinstance(values, np.ndarray)}
    return Crowd(**{**columns, **some, "ids": tuple(many.ids[at] for at in rows.tolist())})


def slope(points: Sequence[Point], of: str) -> float:
    """Least-squares slope of log CPU time over the log of jobs or pools."""
    sizes = np.log([getattr(point, of) for point in points])
    return float(np.polyfit(sizes, np.log([point.cpu_s for point in points]), 1)[0]) if len(points) > 1 else 0.0


def curve(jobs: Sequence[int], pools: Sequence[int], seed: int) -> list[Point]:
    """Cold ticks at many sizes."""
    points = []
    for many, fleet in zip(jobs, pools, strict=True):
        points.append(Point(jobs=many, pools=fleet, cpu_s=round(cpu_s(planet(fleet, many, seed), 1)[0], 3)))
        print(f"{many:>9} jobs {fleet:>6} pools {points[-1].cpu_s:8.3f} s", file=sys.stderr)
    return points


def show(title: str, points: Sequence[Point], of: str) -> None:
    """A table with bars; each mark is the same share of the longest."""
    print(f"\n{title}: slope {slope(points, of):.2f}")
    most = max(point.cpu_s for point in points)
    for point in points:
        bar = "#" * max(1, round(BAR * point.cpu_s / most))
        print(f"{getattr(point, of):>10} {point.cpu_s:9.3f} s  {point.cpu_s / getattr(point, of) * 1e6:9.1f} µs  {bar}")


def picture(curves: dict[str, Sequence[Point]], path: Path) -> None:
    """Both curves on logarithmic axes, with proportion as a dashed line."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="760" height="360" font-family="sans-serif" font-size="12">'
    ]
    for number, (of, points) in enumerate(curves.items()):
        x = np.log10([getattr(point, of) for point in points])
        y = np.log10([point.cpu_s for point in points])
        left, low = 60 + 370 * number, min(-2.0, float(y.min()))
        high = max(1.5, float(y.max()), float(y[0] + x[-1] - x[0]))
        across = left + (x - x[0]) / max(x[-1] - x[0], 1e-9) * 280
        line = " ".join(f"{a:.0f},{_down(b, low, high):.0f}" for a, b in zip(across, y, strict=True))
        parts.append(f'<polyline points="{line}" fill="none" stroke="#0a7" stroke-width="2"/>')
        ends = (_down(float(y[0]), low, high), _down(float(y[0] + x[-1] - x[0]), low, high))
        parts.append(
            f'<line x1="{across[0]:.0f}" y1="{ends[0]:.0f}" x2="{across[-1]:.0f}" y2="{ends[1]:.0f}" '
            'stroke="#999" stroke-dasharray="4"/>'
        )
        for a, point in zip(across, points, strict=True):
            parts.append(f'<text x="{a:.0f}" y="345" text-anchor="middle">{getattr(point, of):,}</text>')
            at = _down(float(np.log10(point.cpu_s)), low, high) - 8
            parts.append(f'<text x="{a:.0f}" y="{at:.0f}" text-anchor="middle">{point.cpu_s:.2f} s</text>')
        parts.append(f'<text x="{left}" y="20">CPU time of a cold tick over {of}; dashed: in proportion</text>')
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>"]), encoding="utf-8")


def _down(value: float, low: float, high: float) -> float:
    return 320 - (value - low) / (high - low) * 270


def run(pools: int, jobs: int, seed: int, rounds: int, *, check: bool) -> dict[str, object]:
    """The two ticks."""
    world = planet(pools, jobs, seed)
    assert world.crowd is not None
    cold_s, made = cpu_s(world, rounds)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB
    after = changed(world, made, seed)
    incremental_s, again = cpu_s(after, rounds)
    faults = [*check_plan(world, made), *check_plan(after, again)] if check else []
    if faults:
        raise AssertionError(f"{len(faults)} faults, the first: {faults[0]}")
    return {
        "cold_cpu_s": round(cold_s, 3),
        "incremental_cpu_s": round(incremental_s, 3),
        "peak_mib": round(peak_mib),
        "pools": len(world.pools.ids),
        "containers": int(world.pools.count.sum()),
        "countries": len(set(world.pools.country)),
        "jobs": len(world.crowd.ids),
        "keys": keys_of(world, world.crowd),
        "placed": len(made.assignments),
        "unplaced": len(made.unplaced),
        "decisions_per_s": round(len(world.crowd.ids) / cold_s),
        "changed": len(again.assignments),
        "checked": check,
    }


def main() -> int:
    """Run it all; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pools", type=int, default=POOLS)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-curves", action="store_true")
    parser.add_argument("--no-check", action="store_true", help="do not read the plans with the independent checker")
    asked = parser.parse_args()
    figures = {"one_core": stay_on_one_core()} | calibrate()
    figures |= warmup()
    result = run(asked.pools, asked.jobs, asked.seed, asked.rounds, check=not asked.no_check)
    print(json.dumps(result), file=sys.stderr)
    if not asked.no_curves:
        by_jobs = curve(CURVE_JOBS, [asked.pools] * len(CURVE_JOBS), asked.seed)
        by_pools = curve([CURVE_POOLS_JOBS] * len(CURVE_POOLS), CURVE_POOLS, asked.seed)
        show("jobs", by_jobs, "jobs")
        show("pools", by_pools, "pools")
        picture({"jobs": by_jobs, "pools": by_pools}, OUT / "scale.svg")
        result |= {"slope_jobs": round(slope(by_jobs, "jobs"), 3), "slope_pools": round(slope(by_pools, "pools"), 3)}
    print(json.dumps(result | figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
