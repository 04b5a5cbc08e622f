"""What was decided, named job by job: assignments with every term of their score, refusals with their reason."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, repeat

import numpy as np

from sunward import units
from sunward.model.identity import JobId, PoolId
from sunward.model.plan import Assignment, CohortAssignment, ScoreTerms, Segment
from sunward.placement.crowd.groups import origin_of, ranges
from sunward.placement.crowd.many import records
from sunward.placement.crowd.room import Room, Stretches, slots_of
from sunward.placement.crowd.tables import Tables
from sunward.placement.score import RISK_FRAC, carbon_usd_per_kwh, to_integer
from sunward.world.crowd import Crowd
from sunward.world.snapshot import FloatArray, IntArray

TERMS = ("energy", "carbon", "water", "ask", "transfer", "wake", "risk")
"""Shadow prices of a crowd are in no score."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decided:
    """Jobs with a new place."""

    jobs: IntArray
    """Rows of the crowd, in order of job id."""
    held: Stretches
    woken: IntArray
    """Containers that are woken for it."""
    now_pool: IntArray
    """Where it could have begun now, to compare with; `NOT_GIVEN` = nowhere."""
    reasons: list[str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """Terms and physics of stretches, one a row; integers."""

    energy: IntArray
    carbon: IntArray
    water: IntArray
    ask: IntArray
    transfer: IntArray
    wake: IntArray
    risk: IntArray
    energy_j: IntArray
    carbon_mg: IntArray


def scores(tables: Tables, crowd: Crowd, jobs: IntArray, held: Stretches, woken: IntArray) -> Scores:
    """Score stretches exactly: each amount is rounded once."""
    fleet, pool, kind = tables.fleet, held.pool, held.work_class
    price, zone = crowd.carbon_price_usd_per_t[jobs], tables.zone[pool]
    lasts_h = (held.end_ms - held.start_ms) / units.HOUR_MS
    kw = tables.facility_kw[pool, kind] * held.gpus

    def spent(before: FloatArray, row: IntArray) -> FloatArray:
        return tables.at(before, row, held.end_ms) - tables.at(before, row, held.start_ms)

    grams = kw * spent(tables.carbon_before, zone)
    spread = kw * spent(tables.spread_before, zone)
    ask = fleet.ask_usd_micro[pool] * held.gpus
    waited = spent(tables.waited[None], np.zeros_like(pool)) * fleet.policy.delay_ppm_per_h / units.PPM
    usd_per_g = carbon_usd_per_kwh(price.astype(np.float64), 1)
    slot = np.clip((held.start_ms - fleet.start_ms) // fleet.slot_ms, 0, fleet.slots - 1)
    per_kwh = tables.price[zone, slot] + tables.carbon[zone, slot] * usd_per_g
    brought = tables.transfer(pool, crowd.data_bytes[jobs], price, slot, origin_of(crowd, jobs))
    return Scores(
        energy=to_integer(kw * spent(tables.price_before, zone) * units.MICRO),
        carbon=to_integer(grams * usd_per_g * units.MICRO),
        water=to_integer(
            tables.litres_per_h[pool, kind] * held.gpus * lasts_h * fleet.policy.water_price_usd_micro_per_l
        ),
        ask=to_integer(ask * lasts_h),
        transfer=to_integer(brought * crowd.counts[jobs]),
        wake=to_integer(tables.wake_kwh[pool] * woken * per_kwh * units.MICRO),
        risk=to_integer(spread * usd_per_g * RISK_FRAC * units.MICRO + ask * waited),
        energy_j=to_integer(kw * lasts_h * units.J_PER_KWH),
        carbon_mg=to_integer(grams * units.MG_PER_G),
    )


def assignments(tables: Tables, room: Room, crowd: Crowd, decided: Decided) -> tuple[Assignment, ...]:
    """Name every new place; the room is what all of them leave."""
    held, jobs, count = decided.held, decided.jobs, len(decided.jobs)
    score = scores(tables, crowd, jobs, held, decided.woken)
    names = tables.fleet.pools.ids
    segments = records(
        Segment,
        count,
        pool=[names[pool] for pool in held.pool.tolist()],
        start_ms=held.start_ms.tolist(),
        end_ms=held.end_ms.tolist(),
        containers=held.gpus.tolist(),
        power_cap_w=repeat(0),
    )
    terms = records(ScoreTerms, count, **{name: getattr(score, name).tolist() for name in TERMS}, shadow=repeat(0))
    made = records(
        Assignment,
        count,
        job=[crowd.ids[job] for job in jobs.tolist()],
        revision=crowd.revision[jobs].tolist(),
        segments=zip(segments),
        free_read=(least_free(room, held) + held.gpus).tolist(),
        terms=terms,
        energy_j=score.energy_j.tolist(),
        carbon_mg=score.carbon_mg.tolist(),
        reason=decided.reasons,
        saves_ppm=_saves_ppm(tables, crowd, decided, score).tolist(),
        alternatives=repeat(()),
        ends_ppm=repeat(0),
    )
    return tuple(made)


def cohort_assignments(tables: Tables, room: Room, crowd: Crowd, decided: Decided) -> tuple[CohortAssignment, ...]:
    """Say how many of each cohort go where; rows of one cohort lie together."""
    held, jobs = decided.held, decided.jobs
    score = scores(tables, crowd, jobs, held, decided.woken)
    names = tables.fleet.pools.ids
    columns = {
        "jobs": crowd.counts[jobs].tolist(),
        "pool": [PoolId(names[pool]) for pool in held.pool.tolist()],
        "start_ms": held.start_ms.tolist(),
        "end_ms": held.end_ms.tolist(),
        "free_read": (least_free(room, held) + held.gpus).tolist(),
        "energy_j": score.energy_j.tolist(),
        "carbon_mg": score.carbon_mg.tolist(),
        "saves_ppm": _saves_ppm(tables, crowd, decided, score).tolist(),
    }
    ids = [crowd.ids[job] for job in jobs.tolist()]
    edges = [at for at in range(len(ids) + 1) if at in {0, len(ids)} or ids[at] != ids[at - 1]]
    sums = {name: np.concatenate([[0], np.cumsum(getattr(score, name))])[edges] for name in TERMS}
    return tuple(
        CohortAssignment(
            cohort=JobId(ids[first]),
            revision=int(crowd.revision[jobs[first]]),
            containers=int(crowd.gpus[jobs[first]]),
            terms=ScoreTerms(**{name: int(sums[name][number + 1] - sums[name][number]) for name in TERMS}, shadow=0),
            **{name: tuple(values[first:last]) for name, values in columns.items()},
        )
        for number, (first, last) in enumerate(pairwise(edges))
        if first < last
    )


def _saves_ppm(tables: Tables, crowd: Crowd, decided: Decided, score: Scores) -> IntArray:
    """Carbon saved against a start now, where there was room for one."""
    there = decided.now_pool >= 0
    pool = np.maximum(decided.now_pool, 0)
    jobs, held = decided.jobs, decided.held
    start = np.full(len(jobs), tables.fleet.now_ms, dtype=np.int64)
    end = start + tables.run_ms(pool, held.work_class, crowd.length_ms[jobs])
    kw = tables.facility_kw[pool, held.work_class] * held.gpus
    zone, before = tables.zone[pool], tables.carbon_before
    end = np.minimum(end, tables.fleet.end_ms)
    base = to_integer(kw * (tables.at(before, zone, end) - tables.at(before, zone, start)) * units.MG_PER_G)
    saved = (base - score.carbon_mg) / np.maximum(base, 1) * units.PPM
    return to_integer(np.where(there & (base > 0), saved, 0.0))


def least_free(room: Room, held: Stretches) -> IntArray:
    """(N,) least free containers over the slots of stretches."""
    first, last = slots_of(room.fleet, held.start_ms, held.end_ms)
    length: IntArray = np.maximum(1, last - first)
    if not len(length):
        return length
    begin = held.pool * room.free.shape[1] + np.minimum(first, room.free.shape[1] - 1)
    least: IntArray = np.minimum.reduceat(room.free.reshape(-1)[ranges(begin, length)], np.cumsum(length) - length)
    return least
