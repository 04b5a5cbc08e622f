"""The account of one job: its hours, its price, and its receipt, from the world as it stands."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

from sunward.engine.state import State
from sunward.metering.carbon import ClaimFor, Intensity, LeaseHour, PoolFacts, hour_lines, unclaimed
from sunward.metering.counterfactual import Capacity, Piece, RunNow, counterfactuals
from sunward.model.datum import Quality, SeriesKind
from sunward.model.job import JobSpec, JobState
from sunward.model.receipt import AttemptLine, Promise, Receipt
from sunward.model.trust import Dimension, Level
from sunward.report.receipts import Evidence, Paid, ReceiptParts, build_receipt
from sunward.settlement.entries import Settlement
from sunward.signals import climatology
from sunward.units import HOUR_MS, MG_PER_G, MG_PER_KG, PPM, floor_to, price_usd_micro
from sunward.world import catalogue
from sunward.world.outlook import useful
from sunward.world.places import counted_zone
from sunward.world.power import lease_rate, rates
from sunward.world.snapshot import WORK_CLASSES
from sunward.world.state import QUALITIES, Site, World
from sunward.world.view import container_w


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAccount:
    """What is known of a job's work before it is priced."""

    spec: JobSpec
    hours: tuple[LeaseHour, ...]
    run_now: RunNow
    prices_usd_micro: dict[str, int]
    """Metered price by owner."""
    leased_ms: int
    seals: tuple[int, ...]
    sites: tuple[str, ...]
    quality: Quality
    uncertainty_ppm: int
    """Greatest of its readings."""
    """Worst of the readings; modelled where there are none."""


def job_account(state: State, job: str) -> JobAccount:
    """Gather the sealed energy, the price and the counterfactual's inputs of one job."""
    world = state.world
    spec = world.jobs.spec(world.jobs.row_of[job])
    leases = _leases_of(world, job)
    at_ms = _at_ms(world, job)
    gpu_ms: Counter[tuple[str, int]] = Counter()
    hours = []
    for lease in leases:
        row = world.leases.row_of[lease]
        key = world.leases.objects["site"][row], int(world.leases.ints["ask_usd_micro"][row])
        for hour in _lease_hours(world, lease, at_ms):
            hours.append(hour)
            gpu_ms[key] += hour.gpu_ms
    prices: Counter[str] = Counter()
    for (site, ask_usd_micro), used_ms in sorted(gpu_ms.items()):
        prices[world.sites[site].spec.owner] += price_usd_micro(used_ms, ask_usd_micro)
    seals = {seal for lease in leases for seal in world.leases.objects["seals"][world.leases.row_of[lease]]}
    return JobAccount(
        spec=spec,
        hours=tuple(hours),
        run_now=_run_now(world, spec, leases),
        prices_usd_micro=dict(prices),
        leased_ms=sum(_leased_ms(world, lease) for lease in leases),
        seals=tuple(sorted(seals)),
        sites=tuple(sorted({site for site, _ in gpu_ms})),
        quality=_worst_quality(world, leases) if hours else Quality.MODELLED,
        uncertainty_ppm=max((_cell(world, lease, "uncertainty_ppm") for lease in leases), default=0),
    )


def _leases_of(world: World, job: str) -> list[str]:
    attempts = int(world.jobs.ints["attempts"][world.jobs.row_of[job]])
    return [f"{job}.{attempt}" for attempt in range(1, attempts + 1)]


def _cell(world: World, lease: str, name: str) -> int:
    return int(world.leases.ints[name][world.leases.row_of[lease]])


def _worst_quality(world: World, leases: list[str]) -> Quality:
    return QUALITIES[max(int(world.leases.ints["quality"][world.leases.row_of[lease]]) for lease in leases)]


def _leased_ms(world: World, lease: str) -> int:
    row = world.leases.row_of[lease]
    ints = world.leases.ints
    started = int(ints["started_ms"][row])
    ended = int(ints["ended_ms"][row]) or world.at_ms
    return (ended - started) * int(ints["gpus"][row]) if started else 0


def _at_ms(world: World, job: str) -> int:
    """When a job ended; of one that has not, now. What was believed of its sites then is what counts."""
    return int(world.jobs.ints["finished_ms"][world.jobs.row_of[job]]) or world.at_ms


def pool_facts(world: World, pool: str, at_ms: int) -> PoolFacts:
    """What accounting must know of the containers of a pool, where its site counted at a moment."""
    site = world.sites[pool.partition("/")[0]].spec
    gpu = catalogue.load().gpu(pool.partition("/")[2])
    return PoolFacts(
        site=site.site,
        zone=counted_zone(world, site, at_ms),
        gpu_model=gpu.model,
        embodied_mg=round(gpu.embodied_kgco2e * MG_PER_KG),
        service_life_ms=gpu.service_life_h * HOUR_MS,
        water_ml_per_kwh=site.water_ml_per_kwh,
    )


def _lease_hours(world: World, lease: str, at_ms: int) -> list[LeaseHour]:
    pool = pool_facts(world, world.leases.objects["pool"][world.leases.row_of[lease]], at_ms)
    ints = world.energy.ints
    rows = world.energy.rows(world.hours_of.get(lease, ()))
    return [
        LeaseHour(
            pool=pool,
            hour_ms=int(ints["hour_ms"][row]),
            gpu_ms=int(ints["gpu_ms"][row]),
            gpu_j=int(ints["gpu_j"][row]),
            host_j=int(ints["host_j"][row]),
            overhead_j=int(ints["overhead_j"][row]),
        )
        for row in rows
    ]


def _run_now(world: World, spec: JobSpec, leases: list[str]) -> RunNow:
    """Useful work by attempt: what it kept, so work lost and done again never flatters us."""
    row = world.jobs.row_of[spec.job]
    submitted_ms = int(world.jobs.ints["submitted_ms"][row])
    sites = [site for site in world.sites.values() if _was_there(site, submitted_ms)] or world.sites.values()
    return RunNow(
        submitted_ms=submitted_ms,
        origin_zone=spec.origin_zone,
        network=tuple(
            Capacity(zone=site.spec.zone, containers=sum(pool.count for pool in site.spec.pools)) for site in sites
        ),
        pieces=_as_run(world, spec, row) if spec.counterfactual > 1 else _as_told(world, spec, row, leases),
        version=spec.counterfactual,
    )


def _as_run(world: World, spec: JobSpec, row: int) -> tuple[Piece, ...]:
    """The time that the useful work really took, less what power limits added by the catalogue.

    Of an elastic job it is what it would have taken on the least GPUs.
    """
    leases = world.leases
    pieces = []
    for lease, run_ms in useful(world, row, world.at_ms):
        alone_ms = -(-run_ms * world.jobs.speed_ppm(row, int(leases.ints["gpus"][lease])) // PPM)
        gpu = leases.objects["pool"][lease].partition("/")[2]
        slowed = lease_rate(gpu, spec.work_class, _cap_w(world, row, lease)) / lease_rate(gpu, spec.work_class, 0)
        pieces.append(_piece(spec, gpu, alone_ms if slowed == 1 else math.ceil(alone_ms * slowed)))
    return tuple(pieces)


def _cap_w(world: World, row: int, lease: int) -> int:
    """The power limit of a lease; of one that was lifted the plan's, so that a counterfactual is never too long."""
    held_w, found = int(world.leases.ints["power_cap_w"][lease]), world.jobs.objects["assignment"][row]
    if held_w or found is None:
        return held_w
    pool = world.leases.objects["pool"][lease]
    return min((one.power_cap_w for one in found.segments if one.pool == pool and one.power_cap_w), default=0)


def _as_told(world: World, spec: JobSpec, row: int, leases: list[str]) -> tuple[Piece, ...]:
    """The time that the useful work takes by the length told at submission."""
    marks = [int(world.leases.ints["from_units"][world.leases.row_of[lease]]) for lease in leases]
    marks.append(int(world.jobs.ints["units_done"][row]))
    pieces = []
    for lease, before, after in zip(leases, marks, marks[1:], strict=False):
        if after > before:
            gpu = world.leases.objects["pool"][world.leases.row_of[lease]].partition("/")[2]
            share = (after - before) / spec.units
            run_ms = math.ceil(spec.length_ms * share / rates(gpu)[WORK_CLASSES.index(spec.work_class)])
            pieces.append(_piece(spec, gpu, run_ms))
    return tuple(pieces)


def _was_there(site: Site, at_ms: int) -> bool:
    return site.enrolled_ms <= at_ms and not 0 < site.left_ms <= at_ms


def _piece(spec: JobSpec, gpu_model: str, run_ms: int) -> Piece:
    index = WORK_CLASSES.index(spec.work_class)
    busy_w, idle_w, _ = container_w(gpu_model)
    return Piece(
        containers=spec.gpus,
        run_ms=run_ms,
        idle_w=idle_w,
        busy_w=busy_w[index],
    )


def missing_signals(world: World, account: JobAccount) -> list[tuple[str, int]]:
    """(zone, hour) pairs that accounting needs and nobody has told, observed or forecast."""
    needed = {(hour.pool.zone, hour.hour_ms) for hour in account.hours}
    run = account.run_now
    if account.hours:
        first = floor_to(run.submitted_ms, HOUR_MS)
        last = run.submitted_ms + sum(piece.run_ms for piece in run.pieces)
        zones = {run.origin_zone, *(capacity.zone for capacity in run.network)}
        needed |= {(zone, hour_ms) for zone in zones for hour_ms in range(first, last, HOUR_MS)}
    kind = SeriesKind.CARBON_AVERAGE_LIFECYCLE
    return sorted((zone, hour) for zone, hour in needed if world.signals.at(zone, kind, hour) is None)


def fossil_mg_per_kwh(zone: str) -> int:
    """The zone's fossil factor, for energy without certificate or residual mix; rounded to the milligram."""
    return round(climatology.load().zone(zone).fossil_gco2e_per_kwh * MG_PER_G)


def receipt_of(state: State, account: JobAccount, settlement: Settlement, claim: ClaimFor = unclaimed) -> Receipt:
    """The receipt of a job on the values now held; `missing_signals` must be empty.

    Only a receipt that becomes final may claim certificates.
    """
    world = state.world
    row = world.jobs.row_of[account.spec.job]

    def intensity(zone: str, hour_ms: int) -> Intensity:
        datum = world.signals.at(zone, SeriesKind.CARBON_AVERAGE_LIFECYCLE, hour_ms)
        if datum is None:
            return Intensity(0, "missing", Quality.MODELLED)
        return Intensity(datum.value, datum.source, datum.quality)

    lines = hour_lines(account.hours, intensity, fossil_mg_per_kwh, claim)
    location_mg = sum(line.location_mg for line in lines)
    job_state = world.jobs.state(row)
    finished_ms = int(world.jobs.ints["finished_ms"][row])
    return build_receipt(
        ReceiptParts(
            spec=account.spec,
            state=job_state,
            epoch=state.epoch,
            submitted_ms=account.run_now.submitted_ms,
            finished_ms=finished_ms,
            units_done=int(world.jobs.ints["units_done"][row]),
            leased_ms=account.leased_ms,
            lines=lines,
            counterfactuals=counterfactuals(account.run_now, intensity, location_mg) if lines else (),
            paid=Paid(
                price_usd_micro=settlement.price_usd_micro,
                price_wei=settlement.price_wei,
                offset_wei=settlement.offset_wei,
                provider_wei=settlement.provider_wei,
                network_wei=settlement.network_wei,
                refund_wei=settlement.refund_wei,
            ),
            attempts=world.jobs.objects["attempt_lines"][row],
            promises=_promises(account.spec, job_state, finished_ms, world.jobs.objects["attempt_lines"][row]),
            seals=account.seals,
            energy_qualities=(account.quality,),
            energy_uncertainty_ppm=account.uncertainty_ppm,
            overhead_qualities=tuple(world.sites[site].spec.overhead_quality for site in account.sites),
            evidence=_evidence(world, account.sites, finished_ms),
            elsewhere=any(line.zone != world.sites[line.site].spec.zone for line in lines),
        )
    )


def _evidence(world: World, sites: tuple[str, ...], at_ms: int) -> Evidence:
    """What was believed of the sites of a job when it ended, as far as no verdict has come since."""

    def weakest(dimension: Dimension) -> Level:
        specs = (world.sites[site].spec for site in sites)
        levels = (world.trust.believed(spec, dimension, at_ms).level for spec in specs)
        return min(levels, key=lambda level: level.rank, default=Level.DECLARED)

    return Evidence(
        gpu_identity=weakest(Dimension.IDENTITY), place=weakest(Dimension.PLACE), device_age=weakest(Dimension.AGE)
    )


def _promises(
    spec: JobSpec, state: JobState, finished_ms: int, attempts: tuple[AttemptLine, ...]
) -> tuple[Promise, ...]:
    """What was promised to a job that was taken: to finish by its deadline, and to start when it asked for that."""
    if state in (JobState.REFUSED, JobState.CANCELLED):
        return ()
    kept = state is JobState.FINISHED and finished_ms <= spec.deadline_ms
    finish = Promise(kind="finish_by", at_ms=spec.deadline_ms, kept=kept, stated_ppm=spec.promise_ppm)
    if not spec.start_by_ms:
        return (finish,)
    started = [line.start_ms for line in attempts if line.end_ms > line.start_ms]
    kept = bool(started) and min(started) <= spec.start_by_ms
    return (finish, replace(finish, kind="start_by", at_ms=spec.start_by_ms, kept=kept))
