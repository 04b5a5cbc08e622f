"""Take a snapshot: the planner's immutable view of the world at one moment."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np

from sunward.model.datum import SeriesKind
from sunward.model.job import JobSpec, LeaseState
from sunward.model.plan import Segment
from sunward.model.site import PoolSpec, SiteSpec
from sunward.units import HOUR_MS, MG_PER_G, MICRO, ML_PER_L, PPM, SECOND_MS, floor_to, joules
from sunward.world import catalogue, power
from sunward.world.snapshot import WORK_CLASSES, FloatArray, JobView, PoolColumns, Snapshot
from sunward.world.state import World

WAKE_S = 90
"""Seconds from asleep to ready of a server that suspends to memory; modelled, between resume and a cold boot."""
LATE_FACTOR = 2
"""A started job that can no longer be in time is finished all the same: it gets so many run lengths more."""


@cache
def container_w(gpu_model: str) -> tuple[tuple[float, ...], float, float]:
    """IT watts of one container of a model: busy per work class, idle, asleep."""
    gpu = catalogue.load().gpu(gpu_model)
    busy = tuple(
        power.device_power_w(gpu, work_class, 1.0) + power.host_power_w(gpu, 1.0) for work_class in WORK_CLASSES
    )
    idle = gpu.power_w_idle + power.host_power_w(gpu, 0.0)
    return busy, idle, gpu.host_w_asleep


@cache
def rates(gpu_model: str) -> tuple[float, ...]:
    """Throughput of one container of a model per work class against the reference GPU."""
    gpu = catalogue.load().gpu(gpu_model)
    return tuple(power.relative_rate(gpu, work_class) for work_class in WORK_CLASSES)


def take_snapshot(world: World, now_ms: int) -> Snapshot:
    """Everything a plan may depend on, copied."""
    policy = world.network.policy
    start_ms = floor_to(now_ms, policy.slot_ms)
    pools = world.pools()
    zones = tuple(sorted({site.zone for site, _ in pools}))
    sites = tuple(sorted(world.sites))
    carbon, spread, price, known = _signals(world, zones, start_ms, policy.slot_ms, policy.slots)
    ceilings = [world.sites[site].spec.power_ceiling_w or math.inf for site in sites]
    return Snapshot(
        based_on=world.sequence,
        now_ms=now_ms,
        start_ms=start_ms,
        slot_ms=policy.slot_ms,
        slots=policy.slots,
        policy=policy,
        zones=zones,
        carbon_g_per_kwh=carbon,
        carbon_spread_g_per_kwh=spread,
        price_usd_per_kwh=price,
        sites=sites,
        site_ceiling_w=np.repeat(np.array(ceilings, np.float64)[:, None], policy.slots, axis=1),
        pools=_pool_columns(world, pools, sites, zones, known),
        jobs=tuple(_views(world, now_ms)),
    )


def _signals(
    world: World, zones: tuple[str, ...], start_ms: int, slot_ms: int, slots: int
) -> tuple[FloatArray, FloatArray, FloatArray, dict[str, bool]]:
    """Intensity, spread and price per zone and slot; a zone without a forecast over the horizon is not known."""
    shape = (len(zones), slots)
    carbon, spread, price = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    known: dict[str, bool] = {}
    hours = (start_ms + np.arange(slots) * slot_ms) // HOUR_MS
    for row, zone in enumerate(zones):
        intensity = world.signals.forecasts.get((zone, SeriesKind.CARBON_AVERAGE_LIFECYCLE.value))
        cost = world.signals.forecasts.get((zone, SeriesKind.PRICE.value))
        known[zone] = False
        if intensity is None or cost is None:
            continue
        first = max(intensity.start_ms, cost.start_ms) // HOUR_MS
        last = min(intensity.start_ms // HOUR_MS + len(intensity.p50), cost.start_ms // HOUR_MS + len(cost.p50))
        if hours[0] < first or hours[-1] >= last:
            continue
        known[zone] = True
        at = hours - intensity.start_ms // HOUR_MS
        carbon[row] = np.asarray(intensity.p50, np.float64)[at] / MG_PER_G
        spread[row] = np.asarray(intensity.p90, np.float64)[at] / MG_PER_G - carbon[row]
        price[row] = np.asarray(cost.p50, np.float64)[hours - cost.start_ms // HOUR_MS] / MICRO
    return carbon, spread, price, known


def _pool_columns(
    world: World,
    pools: list[tuple[SiteSpec, PoolSpec]],
    sites: tuple[str, ...],
    zones: tuple[str, ...],
    known: dict[str, bool],
) -> PoolColumns:
    reserved = dict(world.network.policy.reserved)
    usable = [
        max(0, pool.count - reserved.get(pool.pool, 0)) if world.sites[site.site].up and known[site.zone] else 0
        for site, pool in pools
    ]
    watts = [container_w(pool.gpu_model) for _, pool in pools]
    wake_ms = WAKE_S * SECOND_MS
    reports = [world.sites[site.site].power.get(pool.pool) for site, pool in pools]
    return PoolColumns(
        ids=tuple(pool.pool for _, pool in pools),
        site=np.array([sites.index(site.site) for site, _ in pools], np.int64),
        zone=np.array([zones.index(site.zone) for site, _ in pools], np.int64),
        country=tuple(site.country for site, _ in pools),
        gpu_model=tuple(pool.gpu_model for _, pool in pools),
        count=np.array([pool.count for _, pool in pools], np.int64),
        available=np.array(usable, np.int64),
        memory_gib=np.array([catalogue.load().gpu(pool.gpu_model).memory_gib for _, pool in pools], np.int64),
        overhead=np.array([site.overhead_ppm / PPM for site, _ in pools], np.float64),
        water_l_per_kwh=np.array([site.water_ml_per_kwh / ML_PER_L for site, _ in pools], np.float64),
        ask_usd_per_h=np.array([site.ask_usd_micro_per_gpu_h / MICRO for site, _ in pools], np.float64),
        busy_w=np.array([busy for busy, _, _ in watts], np.float64).reshape(len(pools), len(WORK_CLASSES)),
        idle_w=np.array([idle for _, idle, _ in watts], np.float64),
        asleep_w=np.array([asleep for _, _, asleep in watts], np.float64),
        rate=np.array([rates(pool.gpu_model) for _, pool in pools], np.float64).reshape(len(pools), len(WORK_CLASSES)),
        wake_j=np.array([joules(idle, wake_ms) for _, idle, _ in watts], np.float64),
        wake_ms=np.full(len(pools), wake_ms, np.int64),
        awake=np.array([0 if power is None else power.idle + power.busy for power in reports], np.int64),
        admission=tuple(site.admission.value for site, _ in pools),
    )


def _views(world: World, now_ms: int) -> list[JobView]:
    views = []
    for job in world.jobs:
        row = world.jobs.row_of[job]
        if not world.jobs.state(row).final and not (
            world.jobs.ints["cancelled"][row] and not world.jobs.objects["lease"][row]
        ):
            views.append(_view(world, row, now_ms))
    return views


def segments_held(world: World, row: int, now_ms: int) -> tuple[Segment, ...]:
    """What an open job holds from now on, as the planner sees it: a running one until its estimated end."""
    return _view(world, row, now_ms).segments


def _view(world: World, row: int, now_ms: int) -> JobView:
    jobs = world.jobs
    asked = jobs.spec(row)
    spec = replace(asked, deadline_ms=asked.deadline_ms - world.network.policy.finish_margin_ms)
    lease = jobs.objects["lease"][row]
    segments = tuple(segment for segment in jobs.objects["segments"][row] if segment.end_ms > now_ms)
    view = JobView(
        spec=spec,
        revision=int(jobs.ints["revision"][row]),
        units_done=int(jobs.ints["live_units" if lease else "units_done"][row]),
        elapsed_ms=0,
        pool="",
        fixed=False,
        segments=segments,
    )
    if jobs.ints["attempts"][row]:
        view = replace(view, spec=_still_possible(world, view, now_ms))
    return _running_view(world, view, lease, now_ms) if lease else view


def _still_possible(world: World, view: JobView, now_ms: int) -> JobSpec:
    """The job with its deadline, or, when no pool could finish it in time any more, with a later one.

    The promise stays what it was and the receipt shows it broken; throwing the work away would help nobody.
    """
    spec = view.spec
    index = WORK_CLASSES.index(spec.work_class)
    fastest = max((rates(pool.gpu_model)[index] for _, pool in world.pools()), default=1.0)
    slot_ms = world.network.policy.slot_ms
    needed_ms = math.ceil(spec.length_ms * view.remaining_frac / fastest) + slot_ms
    if now_ms + needed_ms <= spec.deadline_ms:
        return spec
    return replace(spec, deadline_ms=now_ms + LATE_FACTOR * spec.length_ms + slot_ms)


def _running_view(world: World, view: JobView, lease: str, now_ms: int) -> JobView:
    """A job with a lease: it holds its containers until its estimated end, whatever was planned."""
    row = world.leases.row_of[lease]
    pool = world.leases.objects["pool"][row]
    spec = view.spec
    started_ms = int(world.leases.ints["started_ms"][row]) or now_ms
    gpu_model = pool.partition("/")[2]
    run_ms = math.ceil(spec.length_ms / rates(gpu_model)[WORK_CLASSES.index(spec.work_class)])
    elapsed_ms = now_ms - started_ms
    left_ms = run_ms - elapsed_ms if spec.units == 1 else math.ceil(run_ms * view.remaining_frac)
    slot_ms = world.network.policy.slot_ms
    end_ms = now_ms + max(left_ms, 1)
    stopping = world.leases.ints["state"][row] == LeaseState.SUSPENDING
    moves = spec.interruptible and (stopping or left_ms > slot_ms)
    holds = Segment(
        pool=pool,
        start_ms=now_ms,
        end_ms=end_ms,
        containers=spec.gpus,
        power_cap_w=int(world.leases.ints["power_cap_w"][row]),
    )
    return replace(
        view,
        elapsed_ms=elapsed_ms,
        pool="" if stopping else pool,
        fixed=not moves,
        segments=view.segments if moves and view.segments else (holds,),
    )
