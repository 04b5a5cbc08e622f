"""The waiting jobs of a large world as columns, read from the table without looking at each of them.

Axes: J jobs, P pools, H slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from sunward.model.job import JobState
from sunward.world.crowd import NOT_GIVEN, Crowd, IntArray
from sunward.world.jobs import JobTable
from sunward.world.snapshot import WORK_CLASSES, BoolArray
from sunward.world.state import World

WAITS = (JobState.SUBMITTED, JobState.PLACED)


def simple(world: World, rows: IntArray) -> BoolArray:
    """(J,) jobs that a crowd can hold: known length, one count, never begun, in one piece as far as it was given any.

    What asks for limits between its pauses is looked at one by one, and so is what has an answer still to come.
    """
    table = world.jobs
    ints = {name: table.ints[name][rows] for name in _ASKED}
    found: BoolArray = np.isin(ints["state"], [int(state) for state in WAITS])
    found &= (ints["attempts"] == 0) & (ints["cancelled"] == 0) & (ints["length_kind"] == 0)
    found &= (ints["wait_max_ms"] == 0) & (ints["latency_max_ms"] == 0)
    found &= ints["evidence"] == table.code_of.get((), -1)
    found &= ints["gpus_max"] <= ints["gpus"]
    found &= (ints["interruptible"] == 0) | ((ints["min_run_ms"] == 0) & (ints["stop_ms"] == 0))
    segments = table.objects["segments"]
    pieces = np.array([len(segments[row]) for row in rows.tolist()], np.int64)
    return found & (pieces <= 1)


_ASKED = (
    "state",
    "attempts",
    "cancelled",
    "length_kind",
    "wait_max_ms",
    "latency_max_ms",
    "evidence",
    "gpus",
    "gpus_max",
    "interruptible",
    "min_run_ms",
    "stop_ms",
)


def crowd_of(world: World, now_ms: int, rows: IntArray, pools: Sequence[str]) -> Crowd:
    """Some simple jobs, in order of job id; `pools` are those of the snapshot."""
    table, listed = world.jobs, rows.tolist()
    numbers = {name: table.ints[name][rows] for name in _NUMBERS}
    models, model_sets = _words(table, rows, "gpu_models")
    countries, country_sets = _words(table, rows, "allowed_countries")
    providers, provider_sets = _words(table, rows, "known_providers")
    tenant, tenants = _words(table, rows, "tenant")
    origin, origins = _words(table, rows, "origin_zone")
    kinds, class_words = _words(table, rows, "work_class")
    classes = np.array([WORK_CLASSES.index(word) for word in class_words], np.int64)
    pool, start_ms, end_ms = _given(table, listed, pools)
    return Crowd(
        ids=tuple([table.ids[row] or "" for row in listed]),
        revision=numbers["revision"],
        work_class=classes[kinds] if len(classes) else kinds,
        gpus=numbers["gpus"],
        memory_gib=numbers["gpu_memory_gib"],
        models=models,
        model_sets=model_sets,
        countries=countries,
        country_sets=country_sets,
        providers=providers,
        provider_sets=provider_sets,
        tenant=tenant,
        tenants=tenants,
        length_ms=numbers["length_ms"],
        opens_ms=numbers["submitted_ms"],
        start_by_ms=_start_by(world, numbers["start_by_ms"], numbers["submitted_ms"], now_ms),
        deadline_ms=numbers["deadline_ms"] - world.network.policy.finish_margin_ms,
        carbon_price_usd_per_t=numbers["carbon_price_usd_per_t"],
        budget_usd_micro=numbers["budget_usd_micro"],
        data_bytes=numbers["data_bytes"],
        pausable=numbers["interruptible"] > 0,
        pool=pool,
        start_ms=start_ms,
        end_ms=end_ms,
        origin=origin,
        origins=origins,
    )


_NUMBERS = (
    "revision",
    "gpus",
    "gpu_memory_gib",
    "length_ms",
    "submitted_ms",
    "start_by_ms",
    "deadline_ms",
    "carbon_price_usd_per_t",
    "budget_usd_micro",
    "data_bytes",
    "interruptible",
)


def _words(table: JobTable, rows: IntArray, name: str) -> tuple[IntArray, tuple[Any, ...]]:
    """(J,) places in the words that occur, and these words."""
    codes, at = np.unique(table.ints[name][rows], return_inverse=True)
    return at.astype(np.int64), tuple(table.words[code] for code in codes.tolist())


def _given(table: JobTable, rows: list[int], pools: Sequence[str]) -> tuple[IntArray, IntArray, IntArray]:
    """(J,) pool, start and end of what jobs were given; a pool that left is no pool."""
    cells = [table.objects["segments"][row] for row in rows]
    at = np.flatnonzero(np.fromiter(map(len, cells), np.int64, len(cells)))
    given = [cell[0] for cell in cells if cell]
    place = {name: index for index, name in enumerate(pools)}
    pool, start_ms, end_ms = np.full(len(rows), NOT_GIVEN), np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    pool[at] = [place.get(name, NOT_GIVEN) for name in map(attrgetter("pool"), given)]
    start_ms[at] = np.fromiter(map(attrgetter("start_ms"), given), np.int64, len(given))
    end_ms[at] = np.fromiter(map(attrgetter("end_ms"), given), np.int64, len(given))
    return pool, start_ms, end_ms


def _start_by(world: World, start_by_ms: IntArray, submitted_ms: IntArray, now_ms: int) -> IntArray:
    """(J,) when jobs that have not begun are planned to start at the latest, as `views` has it for one."""
    margin_ms = np.minimum(world.network.policy.finish_margin_ms, (start_by_ms - submitted_ms) // 2)
    early_ms = start_by_ms - margin_ms
    planned: IntArray = np.where(now_ms <= early_ms, early_ms, start_by_ms)
    return np.where(start_by_ms == 0, 0, planned)


def held_by(crowd: Crowd, now_ms: int, slot_ms: int, shape: tuple[int, ...]) -> IntArray:
    """(P, H) containers that a crowd was given, as they are booked."""
    pools, slots = shape
    steps: IntArray = np.zeros((pools, slots + 1), np.int64)
    has = crowd.pool != NOT_GIVEN
    here = now_ms // slot_ms
    first, last = crowd.start_ms[has] // slot_ms - here, -(-crowd.end_ms[has] // slot_ms) - here
    np.add.at(steps, (crowd.pool[has], np.clip(first, 0, slots)), crowd.gpus[has])
    np.subtract.at(steps, (crowd.pool[has], np.clip(last, 0, slots)), crowd.gpus[has])
    held: IntArray = np.cumsum(steps[:, :slots], axis=1)
    return held
