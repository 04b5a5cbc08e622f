"""Small crowds for planners: name only what a test is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sunward.units import HOUR_MS
from sunward.world.crowd import NOT_GIVEN, Crowd
from tests.support.snapshots import NOW_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One job of a crowd; hours after NOW_MS."""

    id: str
    hours: float = 1.0
    due_h: float = 4.0
    work_class: int = 5
    gpus: int = 1
    memory_gib: int = 0
    models: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    tenant: str = "tenant"
    opens_h: float = 0.0
    start_by_h: float | None = None
    carbon_price: int = 100
    budget_usd_micro: int = 0
    data_bytes: int = 0
    origin: str = ""
    pausable: bool = False
    given: tuple[int, float, float] | None = None
    """Row of a pool, start and end."""


def crowd(jobs: Sequence[Asked]) -> Crowd:
    """A crowd in order of job id."""
    rows = sorted(jobs, key=lambda one: one.id)
    model_sets = sorted({one.models for one in rows})
    country_sets = sorted({one.countries for one in rows})
    provider_sets = sorted({one.providers for one in rows})
    tenants = sorted({one.tenant for one in rows})
    origins = sorted({one.origin for one in rows})

    def column(values: Sequence[float]) -> np.ndarray:
        return np.array([round(value) for value in values], dtype=np.int64)

    def moment(hours: float) -> int:
        return NOW_MS + round(hours * HOUR_MS)

    return Crowd(
        ids=tuple(one.id for one in rows),
        revision=column([1] * len(rows)),
        work_class=column([one.work_class for one in rows]),
        gpus=column([one.gpus for one in rows]),
        memory_gib=column([one.memory_gib for one in rows]),
        models=column([model_sets.index(one.models) for one in rows]),
        model_sets=tuple(model_sets),
        countries=column([country_sets.index(one.countries) for one in rows]),
        country_sets=tuple(country_sets),
        providers=column([provider_sets.index(one.providers) for one in rows]),
        provider_sets=tuple(provider_sets),
        tenant=column([tenants.index(one.tenant) for one in rows]),
        tenants=tuple(tenants),
        length_ms=column([one.hours * HOUR_MS for one in rows]),
        opens_ms=column([moment(one.opens_h) for one in rows]),
        start_by_ms=column([0 if one.start_by_h is None else moment(one.start_by_h) for one in rows]),
        deadline_ms=column([moment(one.due_h) for one in rows]),
        carbon_price_usd_per_t=column([one.carbon_price for one in rows]),
        budget_usd_micro=column([one.budget_usd_micro for one in rows]),
        data_bytes=column([one.data_bytes for one in rows]),
        pausable=np.array([one.pausable for one in rows], dtype=np.bool_),
        pool=column([NOT_GIVEN if one.given is None else one.given[0] for one in rows]),
        start_ms=column([0 if one.given is None else moment(one.given[1]) for one in rows]),
        end_ms=column([0 if one.given is None else moment(one.given[2]) for one in rows]),
        origin=column([origins.index(one.origin) for one in rows]),
        origins=tuple(origins),
    )
