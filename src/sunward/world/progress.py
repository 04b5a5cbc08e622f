"""How far the attempts of one pool have come: estimated for all of them at once, because there are many."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import numpy as np

from sunward.model.job import LeaseState
from sunward.world import catalogue, power
from sunward.world.snapshot import WORK_CLASSES, BoolArray, IntArray
from sunward.world.state import World


@cache
def rates(gpu_model: str) -> tuple[float, ...]:
    """Throughput of one container of a model per work class against the reference GPU."""
    gpu = catalogue.load().gpu(gpu_model)
    return tuple(power.relative_rate(gpu, work_class) for work_class in WORK_CLASSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Attempts of one pool, one row each; all arrays are (N,)."""

    job_rows: IntArray
    lease_rows: IntArray
    elapsed_ms: IntArray
    end_ms: IntArray
    """When it should be done, if nobody disturbs it."""
    stopping: BoolArray
    moves: BoolArray
    """Whether a plan may still suspend it: pausable, and not about to end."""


def progress(world: World, pool: str, leases: Collection[str], now_ms: int) -> Progress:
    """Estimate the rest of the open leases of one pool."""
    jobs, table = world.jobs, world.leases
    found = [table.row_of[lease] for lease in leases]
    names = table.objects["job"]
    lease_rows = np.array(found, np.int64)
    job_rows = np.array([jobs.row_of[names[row]] for row in found], np.int64)
    started_ms = table.ints["started_ms"][lease_rows]
    elapsed_ms = now_ms - np.where(started_ms > 0, started_ms, now_ms)
    units = jobs.ints["units"][job_rows]
    run_ms = np.ceil(jobs.ints["length_ms"][job_rows] / _rates_of(world, pool, job_rows)).astype(np.int64)
    share = np.maximum(0.0, 1.0 - jobs.ints["live_units"][job_rows] / units)
    left_ms = np.where(units == 1, run_ms - elapsed_ms, np.ceil(run_ms * share).astype(np.int64))
    stopping = table.ints["state"][lease_rows] == LeaseState.SUSPENDING
    pausable = jobs.ints["interruptible"][job_rows] > 0
    return Progress(
        job_rows=job_rows,
        lease_rows=lease_rows,
        elapsed_ms=elapsed_ms,
        end_ms=now_ms + np.maximum(left_ms, 1),
        stopping=stopping,
        moves=pausable & (stopping | (left_ms > world.network.policy.slot_ms)),
    )


def _rates_of(world: World, pool: str, job_rows: IntArray) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(N,) rate of each job on this pool."""
    by_class = rates(pool.partition("/")[2])
    codes, which = np.unique(world.jobs.ints["work_class"][job_rows], return_inverse=True)
    words = [WORK_CLASSES.index(world.jobs.words[code]) for code in codes]
    return np.array([by_class[word] for word in words], np.float64)[which]
