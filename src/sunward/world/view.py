"""Take a snapshot: the planner's immutable view of the world at one moment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np

from sunward.model.datum import SeriesKind
from sunward.model.hardware import WorkClass
from sunward.model.identity import PoolId
from sunward.model.job import JobSpec, JobState
from sunward.model.plan import Segment
from sunward.model.signal import Forecast
from sunward.model.site import PoolSpec, SiteSpec
from sunward.model.trust import Dimension
from sunward.units import HOUR_MS, MG_PER_G, MICRO, ML_PER_L, PPM, floor_to
from sunward.world import catalogue, outlook, power
from sunward.world.asleep import ready_ms
from sunward.world.called import kept_slots, not_promised
from sunward.world.capacity import capacity, withheld
from sunward.world.ceilings import ceilings_w
from sunward.world.crowd import Crowd
from sunward.world.jobs import JobTable
from sunward.world.limits import power_caps
from sunward.world.places import counted_elsewhere
from sunward.world.power import rates
from sunward.world.progress import progress
from sunward.world.sleeping import idling, sleeps
from sunward.world.snapshot import (
    WORK_CLASSES,
    FloatArray,
    IntArray,
    JobView,
    Lengths,
    PoolColumns,
    Snapshot,
    Standing,
)
from sunward.world.state import Site, World

LATE_FACTOR = 2
"""A started job that can no longer be in time is finished all the same, within so many times what is left of it."""


@cache
def container_w(gpu_model: str) -> tuple[tuple[float, ...], float, float]:
    """IT watts of one container of a model: busy per work class, idle, asleep."""
    gpu = catalogue.load().gpu(gpu_model)
    busy = tuple(
        power.device_power_w(gpu, work_class, 1.0) + power.host_power_w(gpu, 1.0) for work_class in WORK_CLASSES
    )
    idle = gpu.power_w_idle + power.host_power_w(gpu, 0.0)
    return busy, idle, gpu.host_w_asleep


def take_snapshot(world: World, now_ms: int) -> Snapshot:
    """Everything a plan may depend on, copied, with every open job."""
    return frame(world, now_ms, views(world, now_ms, open_jobs(world)))


def frame(
    world: World,
    now_ms: int,
    jobs: Sequence[JobView],
    standing: Standing | None = None,
    crowd: Crowd | None = None,
) -> Snapshot:
    """A snapshot with some jobs to plan and what all others hold."""
    policy = world.network.policy
    start_ms = floor_to(now_ms, policy.slot_ms)
    pools = world.pools()
    elsewhere = counted_elsewhere(world, (site for site, _ in pools), now_ms)
    zones = tuple(sorted({(site.zone, elsewhere.get(site.site, site.zone)) for site, _ in pools}))
    sites = tuple(sorted(site for site, known in world.sites.items() if not known.left_ms))
    declared = _declared(tuple(pools), sites, zones, tuple(elsewhere.items()))
    carbon, spread, price, known = _signals(world, zones, start_ms, policy.slot_ms, policy.slots)
    return Snapshot(
        based_on=world.sequence,
        now_ms=now_ms,
        start_ms=start_ms,
        slot_ms=policy.slot_ms,
        slots=policy.slots,
        policy=policy,
        zones=tuple(zone for zone, _ in zones),
        carbon_g_per_kwh=carbon,
        carbon_spread_g_per_kwh=spread,
        price_usd_per_kwh=price,
        sites=sites,
        site_ceiling_w=ceilings_w([world.sites[site] for site in sites], start_ms, policy.slot_ms, policy.slots),
        pools=_pool_columns(world, now_ms, pools, declared, known),
        jobs=tuple(jobs),
        standing=standing,
        crowd=crowd,
        shadow_usd_micro_per_h=world.shadows.over(
            [pool.pool for _, pool in pools], start_ms, policy.slot_ms, policy.slots
        ),
    )


def _signals(
    world: World, zones: tuple[tuple[str, str], ...], start_ms: int, slot_ms: int, slots: int
) -> tuple[FloatArray, FloatArray, FloatArray, tuple[bool, ...]]:
    """Price of each zone, intensity and spread of the zone that it counts as, by slot; and whether both are known.

    What has no forecast over the whole horizon is not known.
    """
    shape = (len(zones), slots)
    carbon, spread, price = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    known = [False] * len(zones)
    hours = (start_ms + np.arange(slots) * slot_ms) // HOUR_MS
    for row, (zone, counted) in enumerate(zones):
        intensity = world.signals.forecasts.get((counted, SeriesKind.CARBON_AVERAGE_LIFECYCLE.value))
        cost = world.signals.forecasts.get((zone, SeriesKind.PRICE.value))
        if intensity is None or cost is None:
            continue
        first = max(intensity.start_ms, cost.start_ms) // HOUR_MS
        last = min(intensity.start_ms // HOUR_MS + len(intensity.p50), cost.start_ms // HOUR_MS + len(cost.p50))
        if hours[0] < first or hours[-1] >= last:
            continue
        known[row] = True
        carbon[row], spread[row], price[row] = _curves(intensity, cost, start_ms, slot_ms, slots)
    return carbon, spread, price, tuple(known)


@lru_cache(maxsize=1_024)
def _curves(
    intensity: Forecast, cost: Forecast, start_ms: int, slot_ms: int, slots: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(slots,) intensity, spread and price of one zone; the same for every snapshot of a slot."""
    hours = (start_ms + np.arange(slots) * slot_ms) // HOUR_MS
    at = hours - intensity.start_ms // HOUR_MS
    carbon = np.asarray(intensity.p50, np.float64)[at] / MG_PER_G
    spread = np.asarray(intensity.p90, np.float64)[at] / MG_PER_G - carbon
    return carbon, spread, np.asarray(cost.p50, np.float64)[hours - cost.start_ms // HOUR_MS] / MICRO


def _pool_columns(
    world: World,
    now_ms: int,
    pools: list[tuple[SiteSpec, PoolSpec]],
    declared: PoolColumns,
    known: Sequence[bool],
) -> PoolColumns:
    return replace(
        declared,
        available=_available(world, now_ms, pools, [known[zone] for zone in declared.zone.tolist()]),
        awake=np.array([_awake(world.sites[site.site], pool) for site, pool in pools], np.int64),
        evidence=_levels(world, now_ms, pools),
        not_promised=not_promised(world, [pool for _, pool in pools], now_ms),
    )


def _levels(world: World, now_ms: int, pools: list[tuple[SiteSpec, PoolSpec]]) -> IntArray | None:
    """What is believed of the site of each pool; most sites have no evidence, and none is looked at twice."""
    known = {site.site: site for site, _ in pools if world.trust.evidence.get(site.site)}
    ranks = {name: world.trust.ranks(site, now_ms) for name, site in known.items()}
    if not any(map(any, ranks.values())):
        return None
    nothing = (0,) * len(Dimension)
    return np.array([ranks.get(site.site, nothing) for site, _ in pools], np.int64)


@lru_cache(maxsize=4)
def _declared(
    pools: tuple[tuple[SiteSpec, PoolSpec], ...],
    sites: tuple[str, ...],
    zones: tuple[tuple[str, str], ...],
    elsewhere: tuple[tuple[str, str], ...],
) -> PoolColumns:
    """The columns that follow from what sites declared; they are the same from snapshot to snapshot.

    Of the zones each is declared and counted; `elsewhere` are the sites that count in another than their own.
    """
    counted, rows = dict(elsewhere), {pair: row for row, pair in enumerate(zones)}
    watts = [container_w(pool.gpu_model) for _, pool in pools]
    idle = [idling(site, one[1], one[2]) for (site, _), one in zip(pools, watts, strict=True)]
    return PoolColumns(
        ids=tuple(pool.pool for _, pool in pools),
        site=np.array([sites.index(site.site) for site, _ in pools], np.int64),
        zone=np.array([rows[site.zone, counted.get(site.site, site.zone)] for site, _ in pools], np.int64),
        country=tuple(site.country for site, _ in pools),
        gpu_model=tuple(pool.gpu_model for _, pool in pools),
        count=np.array([pool.count for _, pool in pools], np.int64),
        available=np.zeros((len(pools), 0), np.int64),
        memory_gib=np.array([catalogue.load().gpu(pool.gpu_model).memory_gib for _, pool in pools], np.int64),
        overhead=np.array([site.overhead_ppm / PPM for site, _ in pools], np.float64),
        water_l_per_kwh=np.array([site.water_ml_per_kwh / ML_PER_L for site, _ in pools], np.float64),
        ask_usd_per_h=np.array([site.ask_usd_micro_per_gpu_h / MICRO for site, _ in pools], np.float64),
        busy_w=np.array([busy for busy, _, _ in watts], np.float64).reshape(len(pools), len(WORK_CLASSES)),
        idle_w=np.array([idle for _, idle, _ in watts], np.float64),
        asleep_w=np.array([one.asleep_w for one in idle], np.float64),
        rate=np.array([rates(pool.gpu_model) for _, pool in pools], np.float64).reshape(len(pools), len(WORK_CLASSES)),
        wake_j=np.array([one.wake_j for one in idle], np.float64),
        wake_ms=np.array([one.wake_ms for one in idle], np.int64),
        awake=np.zeros(len(pools), np.int64),
        admission=tuple(site.admission.value for site, _ in pools),
        caps=power_caps(pools),
    )


def _available(world: World, now_ms: int, pools: list[tuple[SiteSpec, PoolSpec]], known: Sequence[bool]) -> IntArray:
    """(P, H) containers that can be planned on."""
    policy = world.network.policy
    reserved = dict(policy.reserved)
    free = np.zeros((len(pools), policy.slots), np.int64)
    for row, (spec, pool) in enumerate(pools):
        site = world.sites[spec.site]
        if site.up and known[row]:
            free[row] = _room(world, site, pool, now_ms) - reserved.get(pool.pool, 0)
            free[row] -= kept_slots(world, pool.pool, now_ms)
    return np.maximum(free, 0)


def _room(world: World, site: Site, pool: PoolSpec, now_ms: int) -> IntArray:
    policy = world.network.policy
    return capacity(site, pool, now_ms, policy.slot_ms, policy.slots, ready_ms(world, site, now_ms))


def _awake(site: Site, pool: PoolSpec) -> int:
    """Containers awake and not withheld; one that both works and is withheld is about to be given up, and counts."""
    report = site.power.get(pool.pool)
    if report is None:
        return 0
    awake = report.idle + report.busy if sleeps(site.spec) else pool.count
    return max(report.busy, awake - withheld(site, pool))


def open_jobs(world: World) -> list[int]:
    """Rows of the jobs that a plan may concern, in order of job id."""
    table = world.jobs
    ending = (table.ints["state"] >= JobState.FINISHED).tolist()
    cancelled = table.ints["cancelled"].tolist()
    leases = table.objects["lease"]
    ordered = [table.row_of[job] for job in table]
    return [row for row in ordered if not ending[row] and (leases[row] or not cancelled[row])]


def views(world: World, now_ms: int, rows: Sequence[int]) -> list[JobView]:
    """Some open jobs; what is the same for all, and what numbers can tell of all, is worked out once."""
    table = world.jobs
    started, uncertain = table.ints["attempts"] > 0, table.ints["length_kind"] > 0
    running, speeds = attempts(world, now_ms), _speeds(world)
    seen = []
    for row, spec in zip(rows, table.specs(rows, margin_ms=world.network.policy.finish_margin_ms), strict=True):
        view = _view(table, row, spec, now_ms)
        if spec.wait_max_ms:
            view = replace(view, waited_ms=outlook.waited_ms(world, row, now_ms))
        if uncertain[row]:
            lengths = outlook.lengths_of(world, row, view.units_done, now_ms)
            view = replace(view, lengths=lengths, begun=bool(started[row]))
        if spec.start_by_ms:
            limit_ms = _start_by(world, row, spec, running.get(row), now_ms)
            view = replace(view, spec=replace(spec, start_by_ms=limit_ms))
        pace = speeds[spec.work_class] if not spec.elastic else _elastic_pace(world, spec)
        if started[row]:
            stands = row not in running or running[row].stopping
            view = replace(view, spec=_still_possible(world, view, pace[1], now_ms, stands=stands))
        if view.lengths is not None and row not in running and table.objects["assignment"][row] is not None:
            view = replace(view, lengths=_attainable(world, view, pace, now_ms))
        seen.append(_running_view(view, running[row], now_ms) if row in running else view)
    return seen


def _start_by(world: World, row: int, spec: JobSpec, attempt: Attempt | None, now_ms: int) -> int:
    """When a job is planned to start at the latest; 0 for one that has begun, or that was given up for late.

    Fetching its files takes time that no plan knows: hence the margin, as long as there is room for it.
    """
    ints = world.jobs.ints
    first = ints["attempts"][row] == (0 if attempt is None else 1)
    if not first or (attempt is not None and (attempt.elapsed_ms or now_ms > spec.start_by_ms)):
        return 0
    most_ms = (spec.start_by_ms - int(ints["submitted_ms"][row])) // 2
    early_ms = spec.start_by_ms - min(world.network.policy.finish_margin_ms, most_ms)
    return early_ms if now_ms <= early_ms else spec.start_by_ms


def _view(jobs: JobTable, row: int, spec: JobSpec, now_ms: int) -> JobView:
    lease = jobs.objects["lease"][row]
    return JobView(
        spec=spec,
        revision=int(jobs.ints["revision"][row]),
        units_done=int(jobs.ints["live_units" if lease else "units_done"][row]),
        elapsed_ms=0,
        pool="",
        fixed=False,
        segments=tuple([segment for segment in jobs.objects["segments"][row] if segment.end_ms > now_ms]),
        checkpoint_bytes=int(jobs.ints["checkpoint_bytes"][row]),
        data_site=lines[-1].site if (lines := jobs.objects["attempt_lines"][row]) else "",
    )


def _attainable(world: World, view: JobView, speeds: tuple[float, float], now_ms: int) -> Lengths | None:
    """How long a job that was promised something and lost its place may run, and how surely it is to end in time.

    When the promise can no longer be kept as stated, what can still be had is planned for, on any pool; its receipt
    tells what became of the promise.
    """
    lengths = view.lengths
    if lengths is None or not lengths.promise_ppm or view.segments:
        return lengths
    within_ms = view.spec.deadline_ms - now_ms - 2 * world.network.policy.slot_ms
    sure, least = (outlook.within_ppm(lengths, int(within_ms * speed)) for speed in reversed(speeds))
    return lengths if sure >= lengths.promise_ppm else replace(lengths, promise_ppm=min(lengths.promise_ppm, least))


def _speeds(world: World) -> dict[WorkClass, tuple[float, float]]:
    """The least and the best rate of any pool in each class of work."""
    models = {pool.gpu_model for _, pool in world.pools()}
    known = [[rates(model)[index] for model in models] or [1.0] for index in range(len(WORK_CLASSES))]
    return {work_class: (min(of), max(of)) for work_class, of in zip(WORK_CLASSES, known, strict=True)}


def _elastic_pace(world: World, spec: JobSpec) -> tuple[float, float]:
    """The least and the best rate of an elastic job, on as many containers as pools have for it."""
    at = WORK_CLASSES.index(spec.work_class)
    found = [
        rates(pool.gpu_model)[at] * spec.speed_ppm(count) / PPM
        for _, pool in world.pools()
        for count in spec.counts
        if count <= pool.count
    ] or [1.0]
    return min(found), max(found)


def _still_possible(world: World, view: JobView, fastest: float, now_ms: int, *, stands: bool) -> JobSpec:
    """A started job with the deadline it is planned to: without the margin when that is too tight, later when too late.

    A running job keeps its deadline as asked: the planner lets it run on even when it will be late. The promise
    stays what it was and the receipt shows it broken; throwing the work away would help nobody.
    """
    spec, policy = view.spec, world.network.policy
    asked_ms = spec.deadline_ms + policy.finish_margin_ms
    left_ms = spec.length_ms * view.remaining_frac
    if view.lengths is not None:
        left_ms = outlook.quantile_ms(view.lengths, view.lengths.promise_ppm or outlook.HELD_PPM)
    # What was stopped has to start again first, which can take longer than all that is left.
    again_ms = (spec.stop_ms or policy.switch_ms) + policy.slot_ms
    ready_ms = now_ms + math.ceil(left_ms / fastest) + again_ms
    if stands and ready_ms <= spec.deadline_ms:
        return spec
    if not stands or ready_ms <= asked_ms:
        return replace(spec, deadline_ms=asked_ms)
    late_ms = math.ceil(LATE_FACTOR * left_ms / min(fastest, 1.0))
    return replace(spec, deadline_ms=now_ms + late_ms + again_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What is running of one job."""

    pool: PoolId
    gpus: int
    elapsed_ms: int
    end_ms: int
    stopping: bool
    moves: bool
    power_cap_w: int

    def held(self, now_ms: int, given: tuple[Segment, ...]) -> tuple[Segment, ...]:
        """What its job holds: what it was given while a plan may still move it, else its container to the end."""
        if self.moves and given:
            return given
        return (
            Segment(
                pool=self.pool,
                start_ms=now_ms,
                end_ms=self.end_ms,
                containers=self.gpus,
                power_cap_w=self.power_cap_w,
            ),
        )


def attempts(world: World, now_ms: int) -> dict[int, Attempt]:
    """Open attempts by row of their job."""
    found: dict[int, Attempt] = {}
    for pool, open_rows in world.open_rows.items():
        lease_rows, job_rows = open_rows.columns()
        state = progress(world, lease_rows, job_rows, now_ms)
        gpus, caps = (world.leases.ints[name][lease_rows] for name in ("gpus", "power_cap_w"))
        columns = (job_rows, gpus, state.elapsed_ms, state.end_ms, state.stopping, state.moves, caps)
        for row, held, elapsed_ms, end_ms, stopping, moves, cap_w in zip(
            *(one.tolist() for one in columns), strict=True
        ):
            found[row] = Attempt(
                pool=PoolId(pool),
                gpus=held,
                elapsed_ms=elapsed_ms,
                end_ms=end_ms,
                stopping=stopping,
                moves=moves,
                power_cap_w=cap_w,
            )
    return found


def _running_view(view: JobView, attempt: Attempt, now_ms: int) -> JobView:
    """A job with a lease: it holds its containers until its estimated end, whatever was planned."""
    return replace(
        view,
        elapsed_ms=attempt.elapsed_ms,
        pool="" if attempt.stopping else attempt.pool,
        gpus=0 if attempt.stopping else attempt.gpus,
        power_cap_w=0 if attempt.stopping else attempt.power_cap_w,
        fixed=not attempt.moves,
        segments=attempt.held(now_ms, view.segments),
        data_site=attempt.pool.partition("/")[0],
    )
