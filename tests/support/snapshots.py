"""Small snapshots for planners: name only what a test is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sunward.model.identity import JobId, PoolId, TenantId, ZoneId
from sunward.model.job import JobSpec
from sunward.model.plan import PolicyInputs, Segment
from sunward.model.trust import Dimension
from sunward.units import HOUR_MS, MINUTE_MS
from sunward.world.snapshot import WORK_CLASSES, JobView, PoolColumns, PowerCaps, Snapshot

NOW_MS = 1_750_000_500_000 - 1_750_000_500_000 % HOUR_MS
SLOT_MS = 15 * MINUTE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One pool of a site of its own, unless `site` names another one; busy 400 W, idle 100 W, asleep 10 W."""

    id: str
    site: str = ""
    zone: str = "NO"
    country: str = "NO"
    model: str = "a100"
    count: int = 2
    available: int | None = None
    closed: tuple[int, ...] = ()
    """Slots in which it takes no work."""
    memory_gib: int = 80
    overhead: float = 1.0
    water: float = 0.0
    ask: float = 1.0
    busy_w: float = 400.0
    idle_w: float = 100.0
    asleep_w: float = 10.0
    rate: float = 1.0
    wake_j: float = 0.0
    wake_ms: int = 0
    awake: int = 0
    admission: str = "anyone"
    evidence: tuple[int, ...] = ()
    """Level of each dimension as its place in the order; empty = all declared."""
    caps: tuple[tuple[int, float, float], ...] = ()
    """Power limits in every class of work, highest first: board watts, busy watts and rate under it."""


def snapshot(
    pools: Sequence[Pool],
    jobs: Sequence[JobView] = (),
    *,
    slots: int = 16,
    slot_ms: int = SLOT_MS,
    now_ms: int = NOW_MS,
    carbon: dict[str, Sequence[float]] | None = None,
    spread: dict[str, Sequence[float]] | None = None,
    price: dict[str, Sequence[float]] | None = None,
    ceiling_w: dict[str, Sequence[float]] | None = None,
    policy: PolicyInputs | None = None,
) -> Snapshot:
    """A snapshot; series not named are 100 g/kWh, no spread, 0.10 USD/kWh, no ceiling; pools by id, jobs by id."""
    ordered = sorted(pools, key=lambda pool: pool.id)
    zones = sorted({pool.zone for pool in ordered})
    sites = sorted({pool.site or pool.id for pool in ordered})
    return Snapshot(
        based_on=7,
        now_ms=now_ms,
        start_ms=now_ms - now_ms % slot_ms,
        slot_ms=slot_ms,
        slots=slots,
        policy=replace(policy or PolicyInputs(delay_ppm_per_h=0), slot_ms=slot_ms, slots=slots),
        zones=tuple(zones),
        carbon_g_per_kwh=_series(zones, carbon, 100.0, slots),
        carbon_spread_g_per_kwh=_series(zones, spread, 0.0, slots),
        price_usd_per_kwh=_series(zones, price, 0.1, slots),
        sites=tuple(sites),
        site_ceiling_w=_series(sites, ceiling_w, np.inf, slots),
        pools=_columns(ordered, sites, zones, slots),
        jobs=tuple(sorted(jobs, key=lambda job: job.spec.job)),
    )


def job(
    name: str = "job",
    *,
    hours: float = 1.0,
    due_h: float = 4.0,
    units_done: int = 0,
    pool: str = "",
    fixed: bool = False,
    segments: tuple[Segment, ...] = (),
    revision: int = 1,
    elapsed_ms: int = 0,
    power_cap_w: int = 0,
    **fields: object,
) -> JobView:
    """An open job of `hours` on the reference GPU, due `due_h` after NOW_MS; other fields go to its specification."""
    return JobView(
        spec=spec(name, hours=hours, due_h=due_h, **fields),
        revision=revision,
        units_done=units_done,
        elapsed_ms=elapsed_ms,
        pool=pool,
        fixed=fixed,
        segments=segments,
        power_cap_w=power_cap_w,
    )


def spec(name: str = "job", *, hours: float = 1.0, due_h: float = 4.0, **fields: object) -> JobSpec:
    """A job specification; `hours` and `due_h` as in `job`."""
    base = JobSpec(
        job=JobId(name),
        tenant=TenantId("tenant"),
        commitment="00",
        origin_zone=ZoneId("NO"),
        length_ms=round(hours * HOUR_MS),
        deadline_ms=NOW_MS + round(due_h * HOUR_MS),
        units=1_000,
    )
    return replace(base, **fields)  # type: ignore[arg-type]


def segment(pool: str, start_h: float, end_h: float, containers: int = 1) -> Segment:
    """A segment in hours after NOW_MS."""
    return Segment(
        pool=PoolId(pool),
        start_ms=NOW_MS + round(start_h * HOUR_MS),
        end_ms=NOW_MS + round(end_h * HOUR_MS),
        containers=containers,
    )


def _series(names: Sequence[str], given: dict[str, Sequence[float]] | None, otherwise: float, slots: int) -> np.ndarray:
    rows = []
    for name in names:
        values = list((given or {}).get(name, [otherwise]))
        rows.append(values[:slots] + [values[-1]] * (slots - len(values)))
    return np.array(rows, dtype=np.float64).reshape(len(names), slots)


def _free(pool: Pool, slots: int) -> list[int]:
    free = pool.count if pool.available is None else pool.available
    return [0 if slot in pool.closed else free for slot in range(slots)]


def _columns(pools: Sequence[Pool], sites: Sequence[str], zones: Sequence[str], slots: int) -> PoolColumns:
    def integers(values: Sequence[int]) -> np.ndarray:
        return np.array(values, dtype=np.int64)

    def floats(values: Sequence[float]) -> np.ndarray:
        return np.array(values, dtype=np.float64)

    def classes(values: Sequence[float]) -> np.ndarray:
        return np.repeat(floats(values)[:, None], len(WORK_CLASSES), axis=1)

    return PoolColumns(
        ids=tuple(pool.id for pool in pools),
        site=integers([sites.index(pool.site or pool.id) for pool in pools]),
        zone=integers([zones.index(pool.zone) for pool in pools]),
        country=tuple(pool.country for pool in pools),
        gpu_model=tuple(pool.model for pool in pools),
        count=integers([pool.count for pool in pools]),
        available=np.array([_free(pool, slots) for pool in pools], np.int64).reshape(len(pools), slots),
        memory_gib=integers([pool.memory_gib for pool in pools]),
        overhead=floats([pool.overhead for pool in pools]),
        water_l_per_kwh=floats([pool.water for pool in pools]),
        ask_usd_per_h=floats([pool.ask for pool in pools]),
        busy_w=classes([pool.busy_w for pool in pools]),
        idle_w=floats([pool.idle_w for pool in pools]),
        asleep_w=floats([pool.asleep_w for pool in pools]),
        rate=classes([pool.rate for pool in pools]),
        wake_j=floats([pool.wake_j for pool in pools]),
        wake_ms=integers([pool.wake_ms for pool in pools]),
        awake=integers([pool.awake for pool in pools]),
        admission=tuple(pool.admission for pool in pools),
        caps=_caps(pools),
        evidence=_levels(pools),
    )


def _levels(pools: Sequence[Pool]) -> np.ndarray | None:
    if not any(pool.evidence for pool in pools):
        return None
    return np.array([pool.evidence or (0,) * len(Dimension) for pool in pools], np.int64)


def _caps(pools: Sequence[Pool]) -> PowerCaps | None:
    most = max((len(pool.caps) for pool in pools), default=0)
    if not most:
        return None
    table = np.zeros((len(pools), len(WORK_CLASSES), most, 3))
    table[..., 2] = 1.0
    for row, pool in enumerate(pools):
        table[row, :, : len(pool.caps)] = np.array(pool.caps).reshape(-1, 3)
    return PowerCaps(cap_w=table[..., 0].astype(np.int64), busy_w=table[..., 1], rate=table[..., 2])
