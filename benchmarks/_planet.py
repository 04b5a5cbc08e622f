"""A planet of pools and a crowd of jobs from open data, as the planner sees them.

Carbon: hourly series of the zones that have one; a country without one has the shape of a zone of its continent, or of
any, brought to its own yearly mean. Prices: industrial prices where published, else the median of them, with the
shape of the carbon. Hardware: the packaged catalogue. Jobs: lengths, sizes and spread of arrivals of the PAI trace.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._zone_series import DATA
from sunward.errors import InputError
from sunward.model.hardware import Admission
from sunward.model.plan import PolicyInputs
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from sunward.world import catalogue
from sunward.world.crowd import NOT_GIVEN, Crowd
from sunward.world.power import relative_rate
from sunward.world.snapshot import WORK_CLASSES, FloatArray, IntArray, PoolColumns, Snapshot
from sunward.world.view import container_w

COUNTRIES = 93
CONTAINERS = 435_000
YEAR = 2022
WAKE_J = 40_000.0
WAKE_MS = 120_000
CARBON_PRICES = (0, 100, 5_000)
"""Those of the named policies."""
START_MS = DAY_MS * 21_915
NOW_WITHIN_MS = 7 * MINUTE_MS
"""Ticks do not come at the start of a slot."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Signals of some countries over a horizon."""

    countries: tuple[str, ...]
    carbon: FloatArray
    """(Z, H) gCO2e/kWh."""
    price: FloatArray
    """(Z, H) USD/kWh."""
    weight: FloatArray
    """(Z,) share of the containers."""


def _table(name: str) -> list[dict[str, Any]]:
    path = DATA / "data" / name
    if not path.is_file():
        raise InputError(f"no file {path}; set SUNWARD_DATA to the folder that holds `bench` and `data`")
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def grid(draw: np.random.Generator, hours: int, slots_per_hour: int) -> Grid:
    """The 93 countries that generate most, over some hours of a year."""
    known = [row for row in _table("country_yearly.parquet") if row["best_gco2_per_kwh"] and row["generation_twh"]]
    chosen = sorted(known, key=lambda row: -row["generation_twh"])[:COUNTRIES]
    first = int(draw.integers(0, 365 * 24 - hours - 24))
    series = _series(first, hours)
    carbon, price = [], []
    prices = [row["industrial_price_usd_per_kwh"] for row in known if row["industrial_price_usd_per_kwh"]]
    for row in chosen:
        own = [name for name in sorted(series) if name.split("-")[0] == row["iso2"]]
        name = own[0] if own else str(draw.choice(sorted(series)))
        shape = series[name]
        level = 1.0 if own else row["best_gco2_per_kwh"] / shape.mean()
        carbon.append(shape * level)
        usd = row["industrial_price_usd_per_kwh"] or float(np.median(prices))
        price.append(usd * (0.7 + 0.3 * shape / shape.mean()))
    twh = np.sqrt([row["generation_twh"] for row in chosen])
    return Grid(
        countries=tuple(row["iso2"] for row in chosen),
        carbon=np.repeat(np.array(carbon), slots_per_hour, axis=1),
        price=np.repeat(np.array(price), slots_per_hour, axis=1),
        weight=twh / twh.sum(),
    )


def _series(first: int, hours: int) -> dict[str, FloatArray]:
    path = DATA / "data" / "carbon_intensity_hourly.parquet"
    start = np.datetime64(f"{YEAR}-01-01", "ms") + np.timedelta64(first, "h")
    end = start + np.timedelta64(hours, "h")
    stamp = pa.timestamp("ms", tz="UTC")
    bounds = [("ts_utc", ">=", pa.scalar(start).cast(stamp)), ("ts_utc", "<", pa.scalar(end).cast(stamp))]
    table = pq.read_table(path, filters=bounds)
    zone = np.array(table["zone"].combine_chunks().dictionary_decode().to_pylist())
    value = table["gco2_per_kwh_lca"].to_numpy().astype(np.float64)
    order = np.lexsort((table["ts_utc"].to_numpy(), zone))
    names = np.unique(zone)
    return dict(zip(names.tolist(), value[order].reshape(len(names), hours), strict=True))


def snapshot(grids: Grid, draw: np.random.Generator, pools: int, policy: PolicyInputs, now_ms: int) -> Snapshot:
    """So many pools in these countries, all idle."""
    slots = grids.carbon.shape[1]
    return Snapshot(
        based_on=1,
        now_ms=now_ms,
        start_ms=now_ms - now_ms % policy.slot_ms,
        slot_ms=policy.slot_ms,
        slots=slots,
        policy=policy,
        zones=grids.countries,
        carbon_g_per_kwh=grids.carbon,
        carbon_spread_g_per_kwh=grids.carbon * 0.1,
        price_usd_per_kwh=grids.price,
        sites=tuple(f"s{number:05}" for number in range(pools)),
        site_ceiling_w=np.full((pools, slots), np.inf),
        pools=_pools(grids, draw, pools, slots),
        jobs=(),
    )


def _pools(grids: Grid, draw: np.random.Generator, pools: int, slots: int) -> PoolColumns:
    zone = np.sort(draw.choice(len(grids.countries), pools, p=grids.weight))
    zone[: len(grids.countries)] = np.arange(len(grids.countries))
    size = draw.lognormal(0.0, 1.0, pools)
    count = np.maximum(1, np.floor(size / size.sum() * CONTAINERS)).astype(np.int64)
    count[: max(0, CONTAINERS - int(count.sum()))] += 1
    gpus = [gpu for gpu in catalogue.load().gpus if gpu.memory_gib >= 16 and gpu.year >= 2017]
    which = draw.integers(0, len(gpus), pools)
    models = [gpus[at] for at in which.tolist()]
    watts = [container_w(gpu.model) for gpu in models]
    rate = np.array([[relative_rate(gpu, work_class) for work_class in WORK_CLASSES] for gpu in models])
    # Asks follow what a card can do, as markets do, and differ between providers.
    ask = np.round(0.9 * np.sqrt(rate.mean(axis=1)) * draw.lognormal(0.0, 0.25, pools), 3)
    return PoolColumns(
        ids=tuple(f"s{number:05}/{gpu.model}" for number, gpu in enumerate(models)),
        site=np.arange(pools),
        zone=zone,
        country=tuple(grids.countries[at] for at in zone.tolist()),
        gpu_model=tuple(gpu.model for gpu in models),
        count=count,
        available=np.repeat(count[:, None], slots, axis=1),
        memory_gib=np.array([gpu.memory_gib for gpu in models], dtype=np.int64),
        overhead=draw.uniform(1.05, 1.5, pools),
        water_l_per_kwh=draw.choice([0.0, 0.5, 1.8], pools),
        ask_usd_per_h=ask,
        busy_w=np.array([busy for busy, _, _ in watts]),
        idle_w=np.array([idle for _, idle, _ in watts]),
        asleep_w=np.array([asleep for _, _, asleep in watts]),
        rate=rate,
        wake_j=np.full(pools, WAKE_J),
        wake_ms=np.full(pools, WAKE_MS),
        awake=np.zeros(pools, dtype=np.int64),
        admission=(Admission.ANYONE.value,) * pools,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """Jobs of the trace: what is drawn from."""

    length_ms: IntArray
    gpus: IntArray


def trace() -> Trace:
    """Lengths and sizes; the trace counts cores, of which a GPU is given eight."""
    path = DATA / "data" / "jobs" / "alibaba_pai_100k_gaia.parquet"
    if not path.is_file():
        raise InputError(f"no file {path}; set SUNWARD_DATA to the folder that holds `bench` and `data`")
    table = pq.read_table(path, columns=["duration_s", "cpu_cores"])
    cores = table["cpu_cores"].to_numpy()
    size = 2 ** np.clip(np.round(np.log2(np.maximum(cores / 8, 1))), 0, 3)
    return Trace(
        length_ms=np.maximum(1, np.round(table["duration_s"].to_numpy() * SECOND_MS)).astype(np.int64),
        gpus=size.astype(np.int64),
    )


def crowd(world: Snapshot, jobs: int, draw: np.random.Generator, taken: Trace) -> Crowd:
    """So many jobs that wait, of all classes, with what tenants ask of place, hardware, time and price."""
    horizon_ms = world.slots * world.slot_ms
    row = draw.permutation(len(taken.length_ms))
    row = np.resize(row, jobs)
    length = np.minimum(taken.length_ms[row], horizon_ms // 3)
    models, countries = _model_sets(world), _country_sets(world)
    slack = draw.choice([0.5, 2.0, 6.0, 12.0, 24.0, 48.0, 72.0], jobs, p=[0.1, 0.15, 0.15, 0.2, 0.2, 0.1, 0.1])
    due = world.now_ms + 2 * length + (slack * HOUR_MS).astype(np.int64) + draw.integers(0, HOUR_MS, jobs)
    none = np.zeros(jobs, dtype=np.int64)
    return Crowd(
        ids=tuple(f"job-{number:07}" for number in range(jobs)),
        revision=none + 1,
        work_class=draw.integers(0, len(WORK_CLASSES), jobs),
        gpus=taken.gpus[row],
        memory_gib=draw.choice([0, 0, 24, 40], jobs),
        models=_biased(draw, len(models), jobs),
        model_sets=models,
        countries=_biased(draw, len(countries), jobs),
        country_sets=countries,
        providers=none,
        provider_sets=((),),
        tenant=draw.integers(0, 50, jobs),
        tenants=tuple(f"tenant-{number:02}" for number in range(50)),
        length_ms=length,
        opens_ms=none + world.now_ms,
        start_by_ms=none,
        deadline_ms=np.minimum(due, world.start_ms + horizon_ms),
        carbon_price_usd_per_t=draw.choice(CARBON_PRICES, jobs, p=[0.2, 0.6, 0.2]),
        budget_usd_micro=none,
        data_bytes=none,
        pausable=np.zeros(jobs, dtype=np.bool_),
        pool=none + NOT_GIVEN,
        start_ms=none,
        end_ms=none,
    )


def _biased(draw: np.random.Generator, kinds: int, jobs: int) -> IntArray:
    """Half ask for nothing in particular, which is the first kind."""
    which: IntArray = np.where(draw.random(jobs) < 0.5, 0, draw.integers(0, kinds, jobs))
    return which


def _model_sets(world: Snapshot) -> tuple[tuple[str, ...], ...]:
    """Any, and kinds that a family of cards makes up."""
    models = sorted(set(world.pools.gpu_model))
    kinds = ("A100", "H100", "A30", "A40", "L40", "L4", "V100", "RTX", "MI")
    return ((), *(tuple(model for model in models if model.startswith(kind)) for kind in kinds))


def _country_sets(world: Snapshot) -> tuple[tuple[str, ...], ...]:
    """Anywhere, some unions, and single countries."""
    names = sorted(set(world.pools.country))
    union = {"DE", "FR", "ES", "IT", "NL", "BE", "AT", "PL", "SE", "FI", "DK", "PT", "IE", "CZ", "GR", "HU", "RO", "BG"}
    europe = tuple(name for name in names if name in union)
    nordic = tuple(name for name in names if name in {"NO", "SE", "FI", "DK", "IS"})
    asia = tuple(name for name in names if name in {"JP", "KR", "SG", "TW", "IN", "TH", "VN", "MY", "ID", "PH"})
    america = tuple(name for name in names if name in {"US", "CA", "MX", "BR", "CL", "AR", "CO", "PE"})
    single = tuple((name,) for name in ("DE", "FR", "US", "JP", "KR", "IN", "GB", "BR", "CA", "AU", "NO", "SE"))
    return ((), *(names for names in (europe, nordic, asia, america) if names), *single)


def keys_of(world: Snapshot, many: Crowd) -> int:
    """Distinct (class, GPU models, deadline bucket, residency); deadlines by the hour."""
    hour = (many.deadline_ms - world.now_ms) // HOUR_MS
    columns = np.stack([many.work_class, many.models, hour, many.countries])
    return int(np.unique(columns, axis=1).shape[1])


def planet(pools: int, jobs: int, seed: int, policy: PolicyInputs | None = None) -> Snapshot:
    """A whole snapshot with its crowd."""
    policy = policy or PolicyInputs()
    draw = np.random.default_rng(seed)
    per_hour = HOUR_MS // policy.slot_ms
    grids = grid(draw, policy.slots // per_hour, per_hour)
    now_ms = START_MS + NOW_WITHIN_MS
    world = snapshot(grids, draw, pools, policy, now_ms)
    return replace(world, crowd=crowd(world, jobs, draw, trace()))
