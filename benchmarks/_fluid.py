"""Work that flows: classes of work that may be spread over any of their zones and hours (BENCH B4, `fluid`).

A zone is a pool of so many containers that all of them for an hour are its capacity. The work of a class becomes jobs
of one container-hour, and one job for the rest; a job holds its container for the whole hour, so the finer the
containers, the less capacity is lost to rests. What a plan saves is counted from its segments alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks._crowds import crowd_of, with_crowd
from benchmarks._series import DATA
from sunward.errors import InputError, InvariantError
from sunward.model.certificate import PlanCertificate
from sunward.model.plan import Plan
from sunward.units import HOUR_MS, W_PER_KW
from sunward.verification.plan_bound import certify
from sunward.world.snapshot import FloatArray, IntArray, Snapshot

FLUID = DATA.parent / "bench" / "b4_fluid.npz"
OPTIMUM, GREEDY = 0.6103, 0.4998
"""As published (BENCH B4): savings of the exact optimum, and of filling the cheapest room in order of arrival."""
CONTAINERS = 160
"""A container draws half a kilowatt then, about as much as a GPU."""
NO_ZONE = -1
PART = 1e-9
"""Shares of a container-hour below this are rounding, not work."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fluid:
    """Axes: Z zones, H hours, K classes."""

    zones: tuple[str, ...]
    intensity: FloatArray
    """(Z, H) gCO2e/kWh."""
    origin: IntArray
    """(K,) zone."""
    arrival_h: IntArray
    window_h: IntArray
    work_kwh: FloatArray
    allowed: tuple[IntArray, ...]
    """Zones of each class."""
    capacity_kwh: float
    """Of a zone in an hour."""

    @property
    def base_g(self) -> float:
        """Emissions of all work where and when it arrives, whatever the capacity."""
        return float((self.work_kwh * self.intensity[self.origin, self.arrival_h]).sum())

    def ends_h(self) -> IntArray:
        """(K,) hour by which each class must end."""
        ends: IntArray = np.minimum(self.arrival_h + self.window_h, self.intensity.shape[1])
        return ends


def load_fluid(path: Path) -> Fluid:
    """The instance. Raises: InputError where the file is absent."""
    if not path.is_file():
        raise InputError(f"no file {path}; set SUNWARD_DATA to the folder that holds `bench`, or name a --fluid file")
    with np.load(path) as data:
        allowed = data["allowed_zones"].astype(np.int64)
        everywhere = np.arange(len(data["zones"]))
        return Fluid(
            zones=tuple(data["zones"].tolist()),
            intensity=data["intensity_gco2e_per_kwh"].astype(np.float64),
            origin=data["origin_zone"].astype(np.int64),
            arrival_h=data["arrival_h"].astype(np.int64),
            window_h=data["window_h"].astype(np.int64),
            work_kwh=data["work_kwh"].astype(np.float64),
            allowed=tuple(row[row > NO_ZONE] if (row > NO_ZONE).any() else everywhere for row in allowed),
            capacity_kwh=float(data["capacity_kwh_per_zone_hour"]),
        )


def greedy_saving(fluid: Fluid) -> float:
    """Classes in order of arrival, each in the cheapest room left; what finds none is left out, as published."""
    free = np.full(fluid.intensity.shape, fluid.capacity_kwh)
    emitted, ends = 0.0, fluid.ends_h()
    for one in np.argsort(fluid.arrival_h, kind="stable").tolist():
        where = np.ix_(fluid.allowed[one], np.arange(fluid.arrival_h[one], ends[one]))
        room, cost = free[where].ravel(), fluid.intensity[where].ravel()
        order = np.argsort(cost, kind="stable")
        before = np.concatenate(([0.0], np.cumsum(room[order])[:-1]))
        taken = np.zeros(len(order))
        taken[order] = np.clip(fluid.work_kwh[one] - before, 0.0, room[order])
        free[where] -= taken.reshape(free[where].shape)
        emitted += float(taken @ cost)
    return 1.0 - emitted / fluid.base_g


def fluid_snapshot(fluid: Fluid, containers: int) -> Snapshot:
    """All work as jobs of one container each, before the first hour: a cohort of whole hours a class, and its rest."""
    unit_kwh = fluid.capacity_kwh / containers
    whole = np.floor(fluid.work_kwh / unit_kwh + PART).astype(np.int64)
    rest_ms = np.ceil((fluid.work_kwh / unit_kwh - whole) * HOUR_MS).astype(np.int64)
    rest_ms[rest_ms <= PART * HOUR_MS] = 0
    classes = np.arange(len(whole))
    kind, jobs = np.concatenate([classes, classes]), np.concatenate([whole, np.ones_like(whole)])
    lengths = np.concatenate([np.full(len(whole), HOUR_MS), rest_ms])
    some = np.flatnonzero((jobs > 0) & (lengths > 0))
    kind, jobs, lengths = kind[some], jobs[some], lengths[some]
    crowd = crowd_of(
        ids=[f"{one:04d}-{length:07d}" for one, length in zip(kind.tolist(), lengths.tolist(), strict=True)],
        gpus=np.ones(len(kind), dtype=np.int64),
        opens_ms=fluid.arrival_h[kind] * HOUR_MS,
        deadline_ms=fluid.ends_h()[kind] * HOUR_MS,
        length_ms=lengths,
        pausable=np.ones(len(kind), dtype=np.bool_),
        places=kind,
        place_sets=[[fluid.zones[zone] for zone in rows.tolist()] for rows in fluid.allowed],
        cohort=jobs,
    )
    return with_crowd(fluid.zones, fluid.intensity, 0, containers, unit_kwh * W_PER_KW, crowd)


def certified(snapshot: Snapshot, plan: Plan) -> PlanCertificate:
    """What a second author proves of a plan with the plan's own prices: what it could cost less at most."""
    crowd = snapshot.crowd
    assert crowd is not None
    row = {name: at for at, name in enumerate(crowd.ids)}
    pool = {name: at for at, name in enumerate(snapshot.pools.ids)}
    told = [(row[job], pool[where], start, end, jobs) for job, where, start, end, jobs in _stretches(plan)]
    rows, where, start_ms, end_ms, jobs = np.array(told, dtype=np.int64).reshape(-1, 5).T
    given = replace(crowd.of(rows), pool=where, start_ms=start_ms, end_ms=end_ms, cohort=jobs)
    prices = np.zeros(snapshot.pools.available.shape, dtype=np.int64)
    for one in plan.prices:
        prices[pool[one.pool], one.start_ms // HOUR_MS : one.end_ms // HOUR_MS] = one.usd_micro_per_h
    return certify(replace(snapshot, crowd=given), prices)


def jobs_of(plan: Plan) -> int:
    """Jobs that a plan gives a place."""
    return len(plan.assignments) + sum(sum(one.jobs) for one in plan.cohorts)


def _stretches(plan: Plan) -> Iterator[tuple[str, str, int, int, int]]:
    """Job or cohort, pool, start, end and number of jobs."""
    for one in plan.assignments:
        yield from ((one.job, part.pool, part.start_ms, part.end_ms, 1) for part in one.segments)
    for many in plan.cohorts:
        for pool, start, end, jobs in zip(many.pool, many.start_ms, many.end_ms, many.jobs, strict=True):
            yield many.cohort, pool, start, end, jobs


def saving_of(fluid: Fluid, containers: int, plan: Plan) -> float:
    """What a plan saves, worked out from its stretches. Raises: InvariantError where it breaks a rule."""
    zone = {name: row for row, name in enumerate(fluid.zones)}
    unit_kwh, ends = fluid.capacity_kwh / containers, fluid.ends_h()
    told = [
        (int(job[:4]), zone[pool], _hour(start, end), end - start, jobs)
        for job, pool, start, end, jobs in _stretches(plan)
    ]
    kind, row, hour, length, jobs = np.array(told, dtype=np.int64).reshape(-1, 5).T
    kwh = jobs * length / HOUR_MS * unit_kwh
    held = np.zeros(fluid.intensity.shape, dtype=np.int64)
    np.add.at(held, (row, hour), jobs)
    permitted = np.zeros((len(fluid.work_kwh), len(zone)), dtype=np.bool_)
    for one, places in enumerate(fluid.allowed):
        permitted[one, places] = True
    done = np.bincount(kind, kwh, minlength=len(fluid.work_kwh))
    sound = {
        "every zone allowed": permitted[kind, row].all(),
        "every hour within its window": ((hour >= fluid.arrival_h[kind]) & (hour < ends[kind])).all(),
        "no zone beyond its capacity": held.max() <= containers,
        "all work done": np.all(done >= fluid.work_kwh - 2 * unit_kwh / HOUR_MS),
    }
    broken = [rule for rule, holds in sound.items() if not holds]
    if broken:
        raise InvariantError(f"the plan breaks: {', '.join(broken)}")
    return 1.0 - float((kwh * fluid.intensity[row, hour]).sum()) / fluid.base_g


def _hour(start_ms: int, end_ms: int) -> int:
    first, last = start_ms // HOUR_MS, (end_ms - 1) // HOUR_MS
    if first != last:
        raise InvariantError(f"a job of an hour at most touches two: from {start_ms} to {end_ms}")
    return first
