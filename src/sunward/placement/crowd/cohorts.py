"""Rows of a crowd that count like jobs together, taken apart as far as a plan tells them apart, and joined again.

What flows is taken apart by cells; what does not is searched job by job, each with a row of its own. Nobody is named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sunward.placement.crowd.cells import Filled, starts_of
from sunward.placement.crowd.groups import Groups, packed
from sunward.placement.crowd.place import Placed
from sunward.placement.crowd.tables import Tables
from sunward.world.crowd import NOT_GIVEN, Crowd
from sunward.world.snapshot import IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """Some jobs of some rows, and the cell they go to."""

    row: IntArray
    at: IntArray
    """Position in `Room.free`; `NOT_GIVEN` = none."""
    jobs: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """A crowd in other rows."""

    row: IntArray
    """Which each was."""
    crowd: Crowd
    placed: Placed
    searched: IntArray


def parts_of(crowd: Crowd, groups: Groups, filled: Filled | None) -> Parts:
    """Within a group the longest jobs take the cheapest of its cells; all rows of all groups are told."""
    group = np.repeat(np.arange(len(groups.family)), groups.count)
    rows = groups.jobs[np.lexsort((groups.jobs, -crowd.length_ms[groups.jobs], group))]
    row_ends = np.cumsum(crowd.counts[rows])
    left, none = groups.wanted.copy(), np.zeros(0, dtype=np.int64)
    of, at, jobs, cost = none, none, none, none.astype(np.float64)
    if filled is not None:
        of, at, jobs, cost = filled.group, filled.at, filled.jobs, filled.cost
        np.subtract.at(left, of, jobs)
    short = np.flatnonzero(left)
    of, at = np.concatenate([of, short]), np.concatenate([at, np.full(len(short), NOT_GIVEN)])
    jobs, cost = np.concatenate([jobs, left[short]]), np.concatenate([cost, np.full(len(short), np.inf)])
    order = np.lexsort((at, cost, of))
    cell_ends = np.cumsum(jobs[order])
    ends = np.unique(np.concatenate([row_ends, cell_ends]))
    begins = np.concatenate([[0], ends[:-1]])
    return Parts(
        row=rows[np.searchsorted(row_ends, begins, side="right")],
        at=at[order][np.searchsorted(cell_ends, begins, side="right")],
        jobs=ends - begins,
    )


def compare(placed: Placed, groups: Groups, filled: Filled) -> None:
    """Remember where jobs that flow could have begun at once."""
    for group, pool in filled.now_pool.items():
        placed.now_pool[groups.jobs[groups.first[group] : groups.first[group + 1]]] = pool


def settle(tables: Tables, crowd: Crowd, placed: Placed, parts: Parts) -> None:
    """Give rows of one job the cells of their parts."""
    some = parts.at != NOT_GIVEN
    _give(tables, crowd, placed, parts.row[some], parts.at[some])


def apart(tables: Tables, crowd: Crowd, placed: Placed, searched: IntArray, parts: Parts) -> Rows:
    """A row for each part with a cell, and for each job without one; what is not searched stays as it is."""
    stays = np.setdiff1d(np.arange(len(crowd.ids)), searched)
    single = np.where(parts.at == NOT_GIVEN, parts.jobs, 1)
    row = np.concatenate([stays, np.repeat(parts.row, single)])
    at = np.concatenate([np.full(len(stays), NOT_GIVEN), np.repeat(parts.at, single)])
    jobs = np.concatenate([crowd.counts[stays], np.repeat(parts.jobs // single, single)])
    order = np.argsort(row, kind="stable")
    row, at = row[order], at[order]
    several, given = replace(crowd.of(row), cohort=jobs[order]), placed.of(row)
    some = np.flatnonzero(at != NOT_GIVEN)
    _give(tables, several, given, some, at[some])
    return Rows(row=row, crowd=several, placed=given, searched=np.flatnonzero(order >= len(stays)))


def together(crowd: Crowd, placed: Placed, searched: IntArray, cohort: IntArray) -> Rows:
    """Rows of one cohort that have the same place and times are one; in order of cohort, start and pool."""
    code = packed([cohort, placed.start_ms, placed.pool, placed.end_ms, placed.at_once.astype(np.int64)])
    _, row, which = np.unique(code, return_index=True, return_inverse=True)
    jobs = np.bincount(which, crowd.counts).astype(np.int64)
    return Rows(
        row=row,
        crowd=replace(crowd.of(row), cohort=jobs),
        placed=placed.of(row),
        searched=np.flatnonzero(np.isin(row, searched)),
    )


def _give(tables: Tables, crowd: Crowd, placed: Placed, rows: IntArray, at: IntArray) -> None:
    fleet = tables.fleet
    pool, slot = np.divmod(at, fleet.slots)
    placed.pool[rows], placed.start_ms[rows] = pool, starts_of(tables, pool, slot)
    run = tables.run_ms(pool, crowd.work_class[rows], crowd.length_ms[rows])
    placed.end_ms[rows] = placed.start_ms[rows] + run
