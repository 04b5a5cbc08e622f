"""What the jobs of a snapshot ask and what they were given, one record for all jobs that ask alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sunward.model.plan import Segment
from sunward.verification.exact import MILLION
from sunward.world.crowd import NOT_GIVEN, Crowd
from sunward.world.snapshot import WORK_CLASSES, BoolArray, JobView, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A job, or several that ask alike, and the segments of all of them."""

    jobs: tuple[str, ...]
    """Their names; a cohort has one."""
    number: int
    given: tuple[Segment, ...]
    work_class: int
    carbon_usd_per_t: int
    counts: tuple[int, ...]
    """Containers that each may hold."""
    speeds: tuple[float, ...]
    """Rate at each count over that at the first."""
    work_ms: float
    """Least run time on the reference GPU that each still needs."""
    opens_ms: int
    start_by_ms: int
    """0 = no such limit."""
    limit_ms: int
    memory_gib: int
    models: tuple[str, ...]
    countries: tuple[str, ...]
    providers: tuple[str, ...]
    in_one_piece: bool
    limited: bool
    """It may be given a power limit."""
    stays: bool
    """It has begun or should have by now, or nobody knows how long it takes: no other place is looked at."""


def asks_of(snapshot: Snapshot) -> Iterator[Ask]:
    """All jobs that have a place."""
    for job in snapshot.jobs:
        if any(one.end_ms > snapshot.now_ms for one in job.segments):
            yield _of_job(job, snapshot.now_ms)
    if snapshot.crowd is not None:
        yield from _of_crowd(snapshot, snapshot.crowd)


def _of_job(job: JobView, now_ms: int) -> Ask:
    spec = job.spec
    counts = tuple(range(spec.gpus, max(spec.gpus, spec.gpus_max) + 1))
    begun = bool(job.pool) or any(one.start_ms < now_ms for one in job.segments)
    return Ask(
        jobs=(str(spec.job),),
        number=1,
        given=job.segments,
        work_class=WORK_CLASSES.index(spec.work_class),
        carbon_usd_per_t=spec.carbon_price_usd_per_t,
        counts=counts,
        speeds=tuple(ppm / MILLION for ppm in spec.speedup_ppm) or (1.0,) * len(counts),
        work_ms=spec.length_ms * job.remaining_frac,
        opens_ms=job.opens_ms,
        start_by_ms=spec.start_by_ms,
        limit_ms=spec.deadline_ms,
        memory_gib=spec.gpu_memory_gib,
        models=spec.gpu_models,
        countries=spec.allowed_countries,
        providers=spec.known_providers,
        in_one_piece=not spec.interruptible and len(counts) == 1,
        limited=spec.units > 1 and spec.max_slowdown_ppm >= 0,
        stays=begun or job.fixed or job.lengths is not None,
    )


_COLUMNS = (
    "work_class",
    "gpus",
    "memory_gib",
    "models",
    "countries",
    "providers",
    "length_ms",
    "opens_ms",
    "start_by_ms",
    "deadline_ms",
    "carbon_price_usd_per_t",
    "pausable",
)


def _of_crowd(snapshot: Snapshot, crowd: Crowd) -> Iterator[Ask]:
    """Jobs that agree in all that is looked at here are one ask."""
    rows = np.flatnonzero((crowd.pool != NOT_GIVEN) & (crowd.end_ms > snapshot.now_ms))
    if not len(rows):
        return
    opens = np.maximum(crowd.opens_ms, snapshot.now_ms)
    columns = [opens if name == "opens_ms" else getattr(crowd, name) for name in _COLUMNS]
    columns.append(crowd.start_ms < snapshot.now_ms)
    asked = np.stack([np.asarray(column)[rows].astype(np.int64) for column in columns], axis=1)
    kinds, kind = np.unique(asked, axis=0, return_inverse=True)
    order = np.argsort(kind, kind="stable")
    for number, some in enumerate(np.split(order, np.cumsum(np.bincount(kind))[:-1])):
        one = dict(zip((*_COLUMNS, "begun"), kinds[number].tolist(), strict=True))
        members = rows[some].tolist()
        yield Ask(
            jobs=tuple(crowd.ids[row] for row in members),
            number=int(crowd.counts[members].sum()),
            given=tuple(_given(snapshot, crowd, row) for row in members),
            work_class=one["work_class"],
            carbon_usd_per_t=one["carbon_price_usd_per_t"],
            counts=(one["gpus"],),
            speeds=(1.0,),
            work_ms=float(one["length_ms"]),
            opens_ms=one["opens_ms"],
            start_by_ms=one["start_by_ms"],
            limit_ms=one["deadline_ms"],
            memory_gib=one["memory_gib"],
            models=crowd.model_sets[one["models"]],
            countries=crowd.country_sets[one["countries"]],
            providers=crowd.provider_sets[one["providers"]],
            in_one_piece=not one["pausable"],
            limited=False,
            stays=bool(one["begun"]),
        )


def _given(snapshot: Snapshot, crowd: Crowd, row: int) -> Segment:
    return Segment(
        pool=snapshot.pools.ids[int(crowd.pool[row])],  # type: ignore[arg-type]
        start_ms=int(crowd.start_ms[row]),
        end_ms=int(crowd.end_ms[row]),
        containers=int(crowd.gpus[row] * crowd.counts[row]),
    )


def allowed(snapshot: Snapshot, ask: Ask) -> BoolArray:
    """(P,) pools that an ask permits; what is not looked at here (budget, round trip) only lowers a bound."""
    pools = snapshot.pools
    met = (pools.count >= ask.counts[0]) & (pools.memory_gib >= ask.memory_gib) & (pools.rate[:, ask.work_class] > 0)
    for row, (model, country, rule) in enumerate(zip(pools.gpu_model, pools.country, pools.admission, strict=True)):
        known = rule == "anyone" or snapshot.sites[int(pools.site[row])] in ask.providers
        met[row] &= known and (not ask.models or model in ask.models)
        met[row] &= not ask.countries or country in ask.countries
    return met
