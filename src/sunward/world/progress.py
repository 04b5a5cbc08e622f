"""How far attempts have come: estimated for many at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward.model.job import LeaseState
from sunward.world import outlook
from sunward.world.snapshot import BoolArray, IntArray
from sunward.world.state import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Attempts, one row each; all arrays are (N,)."""

    elapsed_ms: IntArray
    end_ms: IntArray
    """When the attempt should be done, if nobody disturbs it."""
    stopping: BoolArray
    moves: BoolArray
    """Whether a plan may still suspend it: pausable, and not about to end."""


def progress(world: World, lease_rows: IntArray, job_rows: IntArray, now_ms: int) -> Progress:
    """Estimate the rest of open leases, given with the rows of their jobs; of unknown length, what they hold."""
    jobs, leases = world.jobs.ints, world.leases.ints
    started_ms = leases["started_ms"][lease_rows]
    elapsed_ms = np.where(started_ms > 0, now_ms - started_ms, 0)
    units, run_ms = jobs["units"][job_rows], leases["run_ms"][lease_rows]
    share = np.maximum(1.0 - jobs["live_units"][job_rows] / units, 0.0)
    left_ms = np.where(units == 1, run_ms - elapsed_ms, np.ceil(run_ms * share).astype(np.int64))
    for at in np.flatnonzero(jobs["length_kind"][job_rows]).tolist():
        left_ms[at] = outlook.left_ms(world, int(job_rows[at]), int(lease_rows[at]), now_ms)
    stopping = leases["state"][lease_rows] == LeaseState.SUSPENDING
    pausable = jobs["interruptible"][job_rows] > 0
    if world.reserve.serving:
        # What was given called containers stays on them.
        serving = [world.jobs.row_of[job] for job in world.reserve.serving if job in world.jobs]
        pausable &= stopping | ~np.isin(job_rows, serving)
    return Progress(
        elapsed_ms=elapsed_ms,
        end_ms=now_ms + np.maximum(left_ms, 1),
        stopping=stopping,
        moves=pausable & (stopping | (left_ms > world.network.policy.slot_ms)),
    )
