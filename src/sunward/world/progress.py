"""How far attempts have come: estimated for many of one pool at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from sunward.model.job import LeaseState
from sunward.world import catalogue, power
from sunward.world.snapshot import WORK_CLASSES, BoolArray, FloatArray, IntArray
from sunward.world.state import World


@cache
def rates(gpu_model: str) -> tuple[float, ...]:
    """Throughput of one container of a model per work class against the reference GPU."""
    gpu = catalogue.load().gpu(gpu_model)
    return tuple(power.relative_rate(gpu, work_class) for work_class in WORK_CLASSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Attempts of one pool, one row each; all arrays are (N,)."""

    elapsed_ms: IntArray
    end_ms: IntArray
    """When the attempt should be done, if nobody disturbs it."""
    stopping: BoolArray
    moves: BoolArray
    """Whether a plan may still suspend it: pausable, and not about to end."""


def progress(world: World, pool: str, lease_rows: IntArray, job_rows: IntArray, now_ms: int) -> Progress:
    """Estimate the rest of open leases of one pool."""
    jobs, leases = world.jobs.ints, world.leases.ints
    started_ms = leases["started_ms"][lease_rows]
    elapsed_ms = np.where(started_ms > 0, now_ms - started_ms, 0)
    units = jobs["units"][job_rows]
    run_ms = np.ceil(jobs["length_ms"][job_rows] / _rate(world, pool, job_rows))
    share = np.maximum(0.0, 1.0 - jobs["live_units"][job_rows] / units)
    left_ms = np.where(units == 1, run_ms - elapsed_ms, np.ceil(run_ms * share)).astype(np.int64)
    stopping = leases["state"][lease_rows] == LeaseState.SUSPENDING
    pausable = jobs["interruptible"][job_rows] > 0
    return Progress(
        elapsed_ms=elapsed_ms,
        end_ms=now_ms + np.maximum(left_ms, 1),
        stopping=stopping,
        moves=pausable & (stopping | (left_ms > world.network.policy.slot_ms)),
    )


def _rate(world: World, pool: str, job_rows: IntArray) -> FloatArray:
    """(N,) rate of each job on this pool."""
    by_class = rates(pool.partition("/")[2])
    codes = world.jobs.ints["work_class"][job_rows]
    rate = np.ones(len(codes))
    for index, work_class in enumerate(WORK_CLASSES):
        code = world.jobs.code_of.get(work_class)
        if code is not None:
            rate[codes == code] = by_class[index]
    return rate
