"""Many jobs at once for the planner's view of `_zone_pools`: rows of numbers become a crowd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks._zone_pools import USD_PER_T, snapshot_of
from sunward.model.hardware import WorkClass
from sunward.world.crowd import NOT_GIVEN, Crowd
from sunward.world.snapshot import WORK_CLASSES, BoolArray, FloatArray, IntArray, Snapshot


def crowd_of(
    *,
    ids: Sequence[str],
    gpus: IntArray,
    opens_ms: IntArray,
    deadline_ms: IntArray,
    length_ms: IntArray,
    pausable: BoolArray,
    places: IntArray,
    place_sets: Sequence[Sequence[str]],
    cohort: IntArray | None = None,
) -> Crowd:
    """Jobs of one tenant and one class of work, on pools that are each a country; `places` are rows of `place_sets`."""
    zeros = np.zeros(len(ids), dtype=np.int64)
    return Crowd(
        ids=tuple(ids),
        revision=zeros,
        work_class=zeros + WORK_CLASSES.index(WorkClass.GENERIC),
        gpus=gpus,
        memory_gib=zeros,
        models=zeros,
        model_sets=((),),
        countries=places,
        country_sets=tuple(tuple(sorted(names)) for names in place_sets),
        providers=zeros,
        provider_sets=((),),
        tenant=zeros,
        tenants=("tenant",),
        length_ms=length_ms,
        opens_ms=opens_ms,
        start_by_ms=zeros,
        deadline_ms=deadline_ms,
        carbon_price_usd_per_t=zeros + USD_PER_T,
        budget_usd_micro=zeros,
        data_bytes=zeros,
        pausable=pausable,
        pool=zeros + NOT_GIVEN,
        start_ms=zeros,
        end_ms=zeros,
        cohort=cohort,
    )


def with_crowd(
    zones: Sequence[str], intensity: FloatArray, now_ms: int, containers: int, container_w: float, crowd: Crowd | None
) -> Snapshot:
    """A snapshot with so many containers in each zone, and a crowd to plan."""
    bare = snapshot_of(zones, intensity, now_ms)
    pools = replace(
        bare.pools,
        count=np.full(len(zones), containers, dtype=np.int64),
        available=np.full(intensity.shape, containers, dtype=np.int64),
        busy_w=np.full_like(bare.pools.busy_w, container_w),
    )
    return replace(bare, pools=pools, crowd=crowd)
