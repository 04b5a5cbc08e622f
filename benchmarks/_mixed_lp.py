"""The time-indexed linear programme of `_mixed`: a bound on every schedule, and what a schedule may be rounded from.

A job in one piece chooses among its starts; one that may pause spreads its hours over its zones, at most one of them at
a time. No zone holds more than its containers. Solved by HiGHS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

from sunward.errors import InvariantError
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

INTERIOR = 15_000
"""From so many choices on the interior point method is the faster one."""
LATE = 10.0
"""What an hour left undone costs, in hours of the dearest intensity: more than any way to do it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """What is to be placed; axes J jobs, Z zones, H hours from now on."""

    gpus: IntArray
    hours: IntArray
    """(J,) hours of work left."""
    opens: IntArray
    deadline: IntArray
    pausable: BoolArray
    allowed: tuple[IntArray, ...]
    cost: FloatArray
    """(Z, H) of one container for an hour."""
    free: IntArray
    """(Z, H) containers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choices:
    """The variables: a start of a job in one piece, or an hour of one that may pause."""

    job: IntArray
    zone: IntArray
    hour: IntArray
    cost: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Relaxed:
    """What the programme chose."""

    choices: Choices
    chosen: FloatArray
    """Share of each choice."""
    dearer: FloatArray
    """By how much each choice not taken would raise the cost: its reduced cost."""
    bound: float


def choices_of(asked: Asked) -> Choices:
    """All that may be chosen."""
    job, zone, hour, cost = [], [], [], []
    before = np.concatenate([np.zeros((len(asked.cost), 1)), np.cumsum(asked.cost, axis=1)], axis=1)
    for one, (gpus, length) in enumerate(zip(asked.gpus.tolist(), asked.hours.tolist(), strict=True)):
        held = 1 if asked.pausable[one] else length
        starts = np.arange(asked.opens[one], asked.deadline[one] - held + 1)
        rows, when = (part.ravel() for part in np.meshgrid(asked.allowed[one], starts, indexing="ij"))
        job.append(np.full(len(rows), one))
        zone.append(rows)
        hour.append(when)
        cost.append(gpus * (before[rows, when + held] - before[rows, when]))
    return Choices(
        job=np.concatenate(job), zone=np.concatenate(zone), hour=np.concatenate(hour), cost=np.concatenate(cost)
    )


def relax(asked: Asked) -> Relaxed:
    """Solve the programme. Work that fits nowhere is left undone at a price, so there always is an answer."""
    choices = choices_of(asked)
    number, jobs = len(choices.job), len(asked.gpus)
    undone = LATE * asked.cost.max() * asked.gpus * np.where(asked.pausable, 1, asked.hours)
    every = np.arange(number + jobs)
    whole = csr_array((np.ones(number + jobs), (np.append(choices.job, every[:jobs]), every)))
    limits, most = _limits(asked, choices)
    found = linprog(
        np.append(choices.cost, undone),
        A_ub=csr_array((limits.data, limits.indices, limits.indptr), shape=(len(most), number + jobs)),
        b_ub=most,
        A_eq=whole,
        b_eq=np.where(asked.pausable, asked.hours, 1),
        bounds=(0, None),
        method="highs-ipm" if number > INTERIOR else "highs-ds",
    )
    if not found.success:
        raise InvariantError(f"the programme has no solution: {found.message}")
    dearer = np.asarray(found.lower.marginals)[:number]
    return Relaxed(choices=choices, chosen=found.x[:number], dearer=dearer, bound=float(found.fun))


def _limits(asked: Asked, choices: Choices) -> tuple[csr_array, FloatArray]:
    """What every choice holds of the containers of a zone and hour, and of its job's rate in an hour."""
    slots = asked.cost.shape[1]
    held = np.where(asked.pausable, 1, asked.hours)[choices.job]
    column = np.repeat(np.arange(len(held)), held)
    within = np.arange(len(column)) - np.repeat(np.cumsum(held) - held, held)
    row = choices.zone[column] * slots + choices.hour[column] + within
    pausing = np.flatnonzero(asked.pausable[choices.job])
    hours, rate = np.unique(choices.job[pausing] * slots + choices.hour[pausing], return_inverse=True)
    values = np.concatenate([asked.gpus[choices.job[column]].astype(np.float64), np.ones(len(pausing))])
    rows, columns = np.append(row, rate + asked.free.size), np.append(column, pausing)
    shape = (asked.free.size + len(hours), len(choices.job))
    return csr_array((values, (rows, columns)), shape=shape), np.append(asked.free.ravel(), np.ones(len(hours)))
