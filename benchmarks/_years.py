"""Time on a planet of pools: every hour new work comes, the planner plans, and what it placed begins.

Covered: the live planner's full plan (`sunward.placement.planner.plan`) on a snapshot of columns, with everything that
it keeps, places, prices and says. Left out: the journal, orders and agents; `benchmarks/engine.py` measures those.
Signals are the packaged typical year of each zone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sunward import units
from sunward.model.hardware import Admission
from sunward.model.identity import ZoneId
from sunward.model.plan import Assignment, CohortAssignment, PolicyInputs
from sunward.model.site import WAKE_S
from sunward.placement.planner import plan
from sunward.signals import climatology
from sunward.world import catalogue
from sunward.world.crowd import NOT_GIVEN, Crowd, IntArray
from sunward.world.power import rates
from sunward.world.snapshot import WORK_CLASSES, BoolArray, FloatArray, PoolColumns, Snapshot, Standing
from sunward.world.view import container_w

START_MS = 1_640_995_200_000
"""2022-01-01 00:00 UTC."""
OVERHEADS = (1.08, 1.2, 1.35, 1.5)
Columns = dict[str, IntArray]
"""Open jobs or cohorts, one a row: the numbers of a `Crowd`, `number` of each, `jobs` in it, and `carbon_mg`, `base_mg`
of what all of them were given."""
COLUMNS = (
    *("number", "jobs", "gpus", "work_class", "length_ms", "deadline_ms", "carbon_price_usd_per_t"),
    *("submitted_ms", "revision", "pool", "start_ms", "end_ms", "carbon_mg", "base_mg"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Planet:
    """Pools and the signals of their zones over all hours that are looked at."""

    pools: PoolColumns
    zones: tuple[str, ...]
    sites: tuple[str, ...]
    carbon: FloatArray
    """(Z, hours) gCO2e/kWh."""
    price: FloatArray


def planet(pools: int, containers: int, models: tuple[str, ...], hours: int) -> Planet:
    """So many pools in turn over all zones and models, containers spread evenly."""
    year = climatology.load()
    names = tuple(sorted(year.rows))[: min(pools, len(year.rows))]
    carbon = [year.carbon_moments(zone, START_MS, hours).mean / units.MG_PER_G for zone in names]
    price = [year.price_moments(zone, START_MS, hours).mean / units.MICRO for zone in names]
    return Planet(
        pools=_columns(pools, containers, models, names),
        zones=names,
        sites=tuple(f"s{at:05d}" for at in range(pools)),
        carbon=np.array(carbon, np.float64),
        price=np.array(price, np.float64),
    )


def _columns(pools: int, containers: int, models: tuple[str, ...], zones: tuple[str, ...]) -> PoolColumns:
    at = np.arange(pools)
    of = [models[row // len(zones) % len(models)] for row in range(pools)]
    known = {model: container_w(model) for model in models}
    count = np.full(pools, containers // pools) + (at < containers % pools)
    idle_w = np.array([known[model][1] for model in of])
    return PoolColumns(
        ids=tuple(f"s{row:05d}/{model}" for row, model in enumerate(of)),
        site=at,
        zone=at % len(zones),
        country=tuple(climatology.load().zone(ZoneId(zones[row % len(zones)])).country for row in range(pools)),
        gpu_model=tuple(of),
        count=count,
        available=np.zeros((pools, 0), np.int64),
        memory_gib=np.array([catalogue.load().gpu(model).memory_gib for model in of], np.int64),
        overhead=np.array([OVERHEADS[row % len(OVERHEADS)] for row in range(pools)]),
        water_l_per_kwh=np.full(pools, 0.5),
        # Work costs the same everywhere but for its energy: what is asked goes with the rate.
        ask_usd_per_h=np.array([rates(model)[-1] for model in of]),
        busy_w=np.array([known[model][0] for model in of]),
        idle_w=idle_w,
        asleep_w=np.array([known[model][2] for model in of]),
        rate=np.array([rates(model) for model in of]),
        wake_j=idle_w * WAKE_S,
        wake_ms=np.full(pools, WAKE_S * units.SECOND_MS),
        awake=np.zeros(pools, np.int64),
        admission=(Admission.ANYONE.value,) * pools,
    )


@dataclass(slots=True, eq=False)
class Run:
    """The state of a simulated time, hour by hour."""

    planet: Planet
    slots: int
    """Hours that a plan looks ahead."""
    waiting: Columns = field(default_factory=lambda: {name: np.zeros(0, np.int64) for name in COLUMNS})
    running: Columns = field(default_factory=lambda: {name: np.zeros(0, np.int64) for name in COLUMNS})
    begun: int = 0
    missed: int = 0
    plans: int = 0
    assigned: int = 0
    carbon_mg: int = 0
    base_mg: int = 0
    """Of the same jobs, begun at once."""
    most_open: int = 0
    """Rows."""
    most_open_jobs: int = 0
    numbered: int = 0

    def hour(self, number: int, arrivals: Columns) -> None:
        """One tick: what is due begins, what came is added, all that waits is planned."""
        now_ms = START_MS + number * units.HOUR_MS
        self._begin(now_ms)
        self.running = _some(self.running, self.running["end_ms"] > now_ms)
        late = self.waiting["deadline_ms"] <= now_ms
        self.missed += int(self.waiting["jobs"][late].sum())
        self.waiting = _joined(_some(self.waiting, ~late), self._numbered(arrivals))
        self.most_open = max(self.most_open, len(self.waiting["gpus"]))
        self.most_open_jobs = max(self.most_open_jobs, int(self.waiting["jobs"].sum()))
        made = plan(self._snapshot(number, now_ms))
        self._take(made.assignments)
        self._part(made.cohorts)
        self.plans += 1

    def _numbered(self, rows: Columns) -> Columns:
        count = len(rows["gpus"])
        self.numbered += count
        return rows | {"number": self.numbered - count + np.arange(count)}

    def _begin(self, now_ms: int) -> None:
        due: BoolArray = (self.waiting["pool"] != NOT_GIVEN) & (self.waiting["start_ms"] < now_ms)
        going = _some(self.waiting, due)
        self.waiting = _some(self.waiting, ~due)
        self.begun += int(going["jobs"].sum())
        self.carbon_mg += int(going["carbon_mg"].sum())
        self.base_mg += int(going["base_mg"].sum())
        self.running = _joined(self.running, going)

    def _take(self, assignments: tuple[Assignment, ...]) -> None:
        pool_of = {name: row for row, name in enumerate(self.planet.pools.ids)}
        at = np.searchsorted(self.waiting["number"], [int(one.job[1:]) for one in assignments])
        first = [one.segments[0] for one in assignments]
        told = {
            "pool": [pool_of[one.pool] for one in first],
            "start_ms": [one.start_ms for one in first],
            "end_ms": [one.end_ms for one in first],
            "carbon_mg": [one.carbon_mg for one in assignments],
            "base_mg": [round(one.carbon_mg / (1 - one.saves_ppm / units.PPM)) for one in assignments],
        }
        for name, values in told.items():
            self.waiting[name][at] = values
        self.waiting["revision"][at] += 1
        self.assigned += len(assignments)

    def _part(self, cohorts: tuple[CohortAssignment, ...]) -> None:
        """Where parts of a cohort run apart each is one from now on, and so is what has no place."""
        if not cohorts:
            return
        pool_of = {name: row for row, name in enumerate(self.planet.pools.ids)}
        at = np.searchsorted(self.waiting["number"], [int(one.cohort[1:]) for one in cohorts])
        parts = _some(self.waiting, np.repeat(at, [len(one.jobs) for one in cohorts]))
        told = [row for one in cohorts for row in zip(one.pool, one.start_ms, one.end_ms, one.jobs, strict=True)]
        for name, values in zip(("pool", "start_ms", "end_ms", "jobs"), zip(*told, strict=True), strict=False):
            parts[name] = np.array([pool_of[one] for one in values] if name == "pool" else values, np.int64)
        carbon = np.array([one for many in cohorts for one in many.carbon_mg], np.int64)
        saves = np.array([one for many in cohorts for one in many.saves_ppm], np.int64)
        parts |= {"carbon_mg": carbon, "base_mg": np.rint(carbon / (1 - saves / units.PPM)).astype(np.int64)}
        self.waiting["jobs"][at] -= [sum(one.jobs) for one in cohorts]
        self.waiting["pool"][at] = NOT_GIVEN
        self.waiting = _joined(_some(self.waiting, self.waiting["jobs"] > 0), self._numbered(parts))
        self.assigned += len(told)

    def _snapshot(self, number: int, now_ms: int) -> Snapshot:
        planet, shape = self.planet, (len(self.planet.pools.ids), self.slots)
        ahead = slice(number, number + self.slots)
        columns = {name: getattr(planet.pools, name) for name in PoolColumns.__slots__}
        awake = np.bincount(self.running["pool"], _held(self.running), shape[0]).astype(np.int64)
        pools = PoolColumns(
            **columns | {"available": np.repeat(planet.pools.count[:, None], self.slots, 1), "awake": awake}
        )
        return Snapshot(
            based_on=number,
            now_ms=now_ms,
            start_ms=now_ms,
            slot_ms=units.HOUR_MS,
            slots=self.slots,
            policy=PolicyInputs(slot_ms=units.HOUR_MS, slots=self.slots),
            zones=planet.zones,
            carbon_g_per_kwh=planet.carbon[:, ahead],
            carbon_spread_g_per_kwh=np.zeros((len(planet.zones), self.slots)),
            price_usd_per_kwh=planet.price[:, ahead],
            sites=planet.sites,
            site_ceiling_w=np.full((len(planet.sites), self.slots), np.inf),
            pools=pools,
            jobs=(),
            standing=Standing(taken=_taken(self.running, now_ms, shape), busy=awake),
            crowd=_crowd(self.waiting),
        )


def _held(rows: Columns) -> IntArray:
    """Containers of all jobs of each row."""
    return rows["gpus"] * rows["jobs"]


def _taken(running: Columns, now_ms: int, shape: tuple[int, int]) -> IntArray:
    pools, slots = shape
    change: IntArray = np.zeros((pools, slots + 1), np.int64)
    change[:, 0] = np.bincount(running["pool"], _held(running), pools)
    last = np.minimum(-(-(running["end_ms"] - now_ms) // units.HOUR_MS), slots)
    np.subtract.at(change, (running["pool"], last), _held(running))
    taken: IntArray = np.cumsum(change[:, :slots], axis=1)
    return taken


def _crowd(waiting: Columns) -> Crowd:
    count = len(waiting["gpus"])
    none: IntArray = np.zeros(count, np.int64)
    same = ("revision", "work_class", "gpus", "length_ms", "deadline_ms", "carbon_price_usd_per_t")
    columns: dict[str, Any] = {name: waiting[name] for name in (*same, "pool", "start_ms", "end_ms")}
    return Crowd(
        ids=tuple([f"j{number:09d}" for number in waiting["number"].tolist()]),
        memory_gib=none,
        models=none,
        model_sets=((),),
        countries=none,
        country_sets=((),),
        providers=none,
        provider_sets=((),),
        tenant=none,
        tenants=("tenant",),
        opens_ms=waiting["submitted_ms"],
        start_by_ms=none,
        budget_usd_micro=none,
        data_bytes=none,
        pausable=np.zeros(count, np.bool_),
        cohort=waiting["jobs"] if (waiting["jobs"] > 1).any() else None,
        **columns,
    )


def _some(columns: Columns, which: BoolArray | IntArray) -> Columns:
    return {name: column[which] for name, column in columns.items()}


def _joined(first: Columns, second: Columns) -> Columns:
    return {name: np.concatenate([first[name], second[name]]) for name in COLUMNS}


def arrivals(now_ms: int, length_ms: IntArray, gpus: IntArray, slack_ms: IntArray, jobs: IntArray) -> Columns:
    """New rows of so many jobs each."""
    count = len(gpus)
    none: IntArray = np.zeros(count, np.int64)
    return {
        "number": none,
        "jobs": jobs,
        "gpus": gpus,
        "work_class": np.full(count, len(WORK_CLASSES) - 1),
        "length_ms": length_ms,
        "deadline_ms": now_ms + 4 * length_ms + slack_ms,
        "carbon_price_usd_per_t": np.full(count, 100),
        "submitted_ms": np.full(count, now_ms),
        "revision": none,
        "pool": np.full(count, NOT_GIVEN),
    } | {name: none.copy() for name in ("start_ms", "end_ms", "carbon_mg", "base_mg")}
