"""The planner's routing of work that may run at any site, each piece in one given hour.

A site has `ROOM` containers. An hour's work comes in jobs of a whole site and one of what is left, each to begin at
once and to end with the hour. The decisions of a day, each made with what is known at its own moment, are handed to the
planner side by side in one snapshot: an hour of a zone is a zone of its own there, and its country keeps jobs of other
hours away, so that no decision sees another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks._routing import PERCENT
from benchmarks._zone_pools import USD_PER_T, snapshot_of
from sunward.model.hardware import WorkClass
from sunward.placement.planner import plan
from sunward.units import HOUR_MS
from sunward.world.crowd import NOT_GIVEN, Crowd
from sunward.world.snapshot import WORK_CLASSES, FloatArray, Snapshot

ROOM = 10
"""Containers of a site: the fleet's work at every tenth of idleness is then a whole number of them."""
DAY_H = 24


def containers_of(sites: int, idle: int) -> int:
    """Containers that work in a fleet that is idle to so many percent."""
    return round(sites * ROOM * (PERCENT - idle) / PERCENT)


def planned(start_ms: int, expected: FloatArray, containers: int) -> FloatArray:
    """What the planner sends where in every hour, given what is expected of it.

    Shapes: (Z, H) -> (Z, H) shares of a site's room.
    """
    return np.concatenate(
        [
            _decided(start_ms + first * HOUR_MS, expected[:, first : first + DAY_H], containers)
            for first in range(0, expected.shape[1], DAY_H)
        ],
        axis=1,
    )


def _decided(now_ms: int, expected: FloatArray, containers: int) -> FloatArray:
    zones, hours = expected.shape
    held = np.zeros(expected.size)
    for assignment in plan(_side_by_side(now_ms, expected, containers)).assignments:
        for segment in assignment.segments:
            held[int(segment.pool)] += segment.containers
    placed = held.reshape(zones, hours)
    if (placed.sum(axis=0) != containers).any():
        raise AssertionError(f"not all work of the day from {now_ms} has a place")
    return placed / ROOM


def _side_by_side(now_ms: int, expected: FloatArray, containers: int) -> Snapshot:
    """One slot; the pool of zone z in hour h has row z·H + h, and the country of its hour."""
    zones, hours = expected.shape
    names = [f"{row:06d}" for row in range(expected.size)]
    snapshot = snapshot_of(names, expected.reshape(-1, 1), now_ms, containers=ROOM)
    countries = tuple(f"{hour:02d}" for hour in range(hours))
    return replace(
        snapshot,
        pools=replace(snapshot.pools, country=countries * zones),
        crowd=_crowd(now_ms, countries, containers),
    )


def _crowd(now_ms: int, countries: Sequence[str], containers: int) -> Crowd:
    """The work of some hours."""
    of_hour = np.array([ROOM] * (containers // ROOM) + [containers % ROOM] * (containers % ROOM > 0), dtype=np.int64)
    hour = np.repeat(np.arange(len(countries), dtype=np.int64), len(of_hour))
    none, ones = np.zeros(len(hour), dtype=np.int64), np.ones(len(hour), dtype=np.int64)
    return Crowd(
        ids=tuple(f"{number:06d}" for number in range(len(hour))),
        **dict.fromkeys(("revision", "memory_gib", "models", "providers", "tenant"), none),
        **dict.fromkeys(("budget_usd_micro", "data_bytes", "start_ms", "end_ms"), none),
        model_sets=((),),
        provider_sets=((),),
        tenants=("tenant",),
        work_class=ones * WORK_CLASSES.index(WorkClass.GENERIC),
        gpus=np.tile(of_hour, len(countries)),
        countries=hour,
        country_sets=tuple((country,) for country in countries),
        length_ms=ones * HOUR_MS,
        opens_ms=ones * now_ms,
        start_by_ms=ones * now_ms,
        deadline_ms=ones * (now_ms + HOUR_MS),
        carbon_price_usd_per_t=ones * USD_PER_T,
        pool=ones * NOT_GIVEN,
        pausable=np.zeros(len(hour), dtype=np.bool_),
    )
