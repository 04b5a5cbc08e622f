"""Like jobs counted together.

Lengths are put in bins of whole slots, limits in slots, budgets and data in bins of an eighth of an octave. A group is
planned with the longest of its bin and the tightest of its limits, so whatever suits the group suits each of its jobs;
the exact figures stay with the jobs.

Axes: J jobs, G groups, F families: jobs that may use the same pools.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.placement.fleet import Fleet
from sunward.world.crowd import Crowd
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

LENGTHS_EXACT = 32
"""So many different numbers of slots are told apart; of more, eight to an octave."""
SPARE_EXACT_JOBS = 8_192
"""Of more jobs limits are told apart by eighths of an octave of the time to spare, too."""
BINS_PER_OCTAVE = 8
RUN_SPARE_MS = 64
CODES_MAX = 2**62


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Groups:
    """One row a group, in an order that depends on nothing but what the jobs ask."""

    jobs: IntArray
    """Rows of the crowd, those of a group together and in order of job id."""
    first: IntArray
    """(G + 1,) where each group begins in `jobs`."""
    family: IntArray
    work_class: IntArray
    gpus: IntArray
    carbon_price: IntArray
    length_ms: IntArray
    """(G,) the longest of its jobs."""
    limit_ms: IntArray
    """(G,) end by."""
    start_by_ms: IntArray
    opens: IntArray
    """(G,) first slot of a start."""
    data_bytes: IntArray
    origin: IntArray
    """(G,) where the data lies, of groups that have any."""
    pausable: BoolArray
    tenant: IntArray
    """(G,) of the group's jobs where tenants are told apart, else of any of them."""
    families: Families
    wanted: IntArray
    """(G,) jobs; more than rows where a row is a cohort."""

    @property
    def count(self) -> IntArray:
        """(G,) rows."""
        return np.diff(self.first)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Families:
    """What says which pools a job may use."""

    work_class: IntArray
    gpus: IntArray
    memory_gib: IntArray
    models: IntArray
    countries: IntArray
    providers: IntArray
    ask_most: FloatArray
    """(F,) micro-USD per GPU and reference hour that the budget pays; inf = no limit."""


def groups_of(fleet: Fleet, crowd: Crowd, jobs: IntArray, *, by_tenant: bool = False) -> Groups:
    """Count some jobs of a crowd by what they ask; `by_tenant`: those of each tenant apart."""
    take = _Columns(crowd, jobs)
    slot_ms, end_ms = fleet.slot_ms, fleet.end_ms
    length = take("length_ms")
    size = _sizes(length, slot_ms)
    limit = np.minimum(take("deadline_ms"), end_ms)
    due = _spare(np.clip((limit - length - fleet.now_ms) // slot_ms, -1, fleet.slots), len(jobs))
    start_by = np.where(take("start_by_ms") > 0, np.minimum(take("start_by_ms"), end_ms), end_ms)
    first_by = np.clip((start_by - fleet.start_ms) // slot_ms, -1, fleet.slots)
    opens = np.clip(-(-(take("opens_ms") - fleet.start_ms) // slot_ms), 0, fleet.slots)
    opens[take("opens_ms") <= fleet.now_ms] = 0
    ask, ask_bin = ask_most(take("budget_usd_micro"), take("gpus"), length)
    data_bin = _octave_bins(take("data_bytes").astype(np.float64))
    origin = np.where(data_bin > 0, origin_of(crowd, jobs), -1)
    named = ("work_class", "gpus", "memory_gib", "models", "countries", "providers")
    family_code = packed([*(take(name) for name in named), ask_bin])
    family_at, family = _distinct(family_code)
    code = packed(
        [
            family,
            take("carbon_price_usd_per_t"),
            size,
            due,
            first_by,
            opens,
            data_bin,
            origin,
            crowd.pausable[jobs].astype(np.int64),
            *([take("tenant")] if by_tenant else []),
        ]
    )
    at, group = _distinct(code)
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], np.arange(len(at) + 1))
    picked = {name: take(name)[at] for name in ("work_class", "gpus")}
    return Groups(
        jobs=jobs[order],
        first=first,
        family=family[at],
        carbon_price=take("carbon_price_usd_per_t")[at],
        length_ms=np.maximum.reduceat(length[order], first[:-1]) if len(at) else length[:0],
        limit_ms=np.minimum.reduceat(limit[order], first[:-1]) if len(at) else limit[:0],
        start_by_ms=np.minimum.reduceat(start_by[order], first[:-1]) if len(at) else start_by[:0],
        opens=opens[at],
        pausable=crowd.pausable[jobs[at]],
        tenant=take("tenant")[at],
        origin=origin[at],
        data_bytes=_most(take("data_bytes"), data_bin)[at],
        wanted=np.diff(np.concatenate([[0], np.cumsum(crowd.counts[jobs[order]])])[first]),
        families=Families(**{name: take(name)[family_at] for name in named}, ask_most=-_most(-ask, ask_bin)[family_at]),
        **picked,
    )


def origin_of(crowd: Crowd, jobs: IntArray) -> IntArray:
    """(N,) rows of the zones where the data of jobs lies; the last row, -1, where that is not known."""
    return np.full(len(jobs), -1, dtype=np.int64) if crowd.origin is None else crowd.origin[jobs]


class _Columns:
    """Columns of some rows of a crowd."""

    __slots__ = ("_crowd", "_jobs")

    def __init__(self, crowd: Crowd, jobs: IntArray) -> None:
        self._crowd, self._jobs = crowd, jobs

    def __call__(self, name: str) -> IntArray:
        column: IntArray = getattr(self._crowd, name)[self._jobs]
        return column


def _sizes(length_ms: IntArray, slot_ms: int) -> IntArray:
    """(J,) lengths in slots, rounded up; where many differ, to eighths of an octave."""
    slots = np.maximum(1, -(-length_ms // slot_ms))
    if len(np.unique(slots)) <= LENGTHS_EXACT:
        return slots
    step = np.maximum(1, 1 << np.maximum(0, np.log2(slots).astype(np.int64) - 3))
    rounded: IntArray = -(-slots // step) * step
    return rounded


def _spare(slots: IntArray, jobs: int) -> IntArray:
    """(J,) slots that a start may be put off by, rounded down; of many jobs to eighths of an octave."""
    if jobs <= SPARE_EXACT_JOBS:
        return slots
    step = np.maximum(1, 1 << np.maximum(0, np.log2(np.maximum(slots, 1)).astype(np.int64) - 3))
    rounded: IntArray = slots // step * step
    return rounded


def _octave_bins(values: FloatArray) -> IntArray:
    """(J,) bins of an eighth of an octave, from 1 on; 0 for what is not positive."""
    bins: IntArray = np.where(values > 0, 1 + np.floor(np.log2(np.maximum(values, 1e-9)) * BINS_PER_OCTAVE), 0).astype(
        np.int64
    )
    return bins


def ask_most(budget: IntArray, gpus: IntArray, length_ms: IntArray) -> tuple[FloatArray, IntArray]:
    """What a budget pays per GPU and reference hour, and its bin; run times are rounded up, so a little is spared."""
    pays = np.where(budget > 0, budget / (gpus * (length_ms + RUN_SPARE_MS)) * units.HOUR_MS, np.inf)
    bins = _octave_bins(np.where(budget > 0, pays, 0.0))
    return pays, bins


def _most(values: np.ndarray, bins: IntArray) -> np.ndarray:
    """(J,) the greatest value of each one's bin."""
    kinds, which = np.unique(bins, return_inverse=True)
    most = np.full(len(kinds), values.min(initial=0), dtype=values.dtype)
    np.maximum.at(most, which, values)
    return most[which]


def packed(columns: Sequence[IntArray]) -> IntArray:
    """(J,) one number for each combination that occurs."""
    code, span = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        low, high = int(column.min(initial=0)), int(column.max(initial=0))
        width = high - low + 1
        if width > 2 * len(column):
            kinds, column = np.unique(column, return_inverse=True)  # noqa: PLW2901
            low, width = 0, len(kinds)
        if span * width >= CODES_MAX:
            kinds, code = np.unique(code, return_inverse=True)
            span = len(kinds)
        code, span = code * width + (column - low), span * width
    return code


def _distinct(code: IntArray) -> tuple[IntArray, IntArray]:
    _, at, which = np.unique(code, return_index=True, return_inverse=True)
    return at, which


def ranges(begin: IntArray, count: IntArray) -> IntArray:
    """`begin`, `begin` + 1, … of each, `count` of them."""
    total = int(count.sum())
    within = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    numbers: IntArray = np.repeat(begin, count) + within
    return numbers
