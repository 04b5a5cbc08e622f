"""The crowd's part of a plan: what is kept, what is placed, and what is left without a place."""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass, replace

import numpy as np

from sunward.model.plan import Assignment, CohortAssignment, Unplaced
from sunward.placement.board import Board
from sunward.placement.crowd.cells import Filled
from sunward.placement.crowd.cohorts import Rows, apart, compare, parts_of, settle, together
from sunward.placement.crowd.eligible import Checks, Named, by_country_alone, checks_of, named_of, only_site, pool_sets
from sunward.placement.crowd.flow import flow
from sunward.placement.crowd.groups import Groups, groups_of
from sunward.placement.crowd.many import uncollected
from sunward.placement.crowd.place import Placed, place
from sunward.placement.crowd.refuse import refusals
from sunward.placement.crowd.report import Decided, assignments, cohort_assignments
from sunward.placement.crowd.room import Room
from sunward.placement.crowd.standing import kept
from sunward.placement.crowd.tables import Tables, tables_of
from sunward.placement.fleet import Fleet
from sunward.placement.shares import Shares
from sunward.world.crowd import NOT_GIVEN, Crowd
from sunward.world.snapshot import BoolArray, FloatArray, IntArray, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrowdPlan:
    """What a plan says of its crowd."""

    assignments: tuple[Assignment, ...]
    cohorts: tuple[CohortAssignment, ...]
    unplaced: tuple[Unplaced, ...]
    prices: FloatArray | None
    """(P, H) micro-USD of a container in a slot; None = not known."""


@dataclass(slots=True, eq=False)
class CrowdDraft:
    """A crowd in the making."""

    crowd: Crowd
    tables: Tables
    named: Named
    placed: Placed
    searched: IntArray
    """Rows that hold nothing that lasts."""
    why: IntArray
    """(J,) what leaves a job no choice of place: position in `FIXED`."""
    taken: IntArray
    """(P, H) containers that are kept."""
    taken_w: IntArray
    """(S, H)."""
    row: IntArray
    """Which row of the snapshot's crowd each was, once cohorts are taken apart."""
    refused: tuple[Unplaced, ...] = ()
    prices: FloatArray | None = None

    def in_rows(self, rows: Rows) -> CrowdDraft:
        """The same with its crowd in other rows."""
        return replace(
            self,
            crowd=rows.crowd,
            placed=rows.placed,
            searched=rows.searched,
            why=self.why[rows.row],
            row=self.row[rows.row],
        )

    def count(self, shares: Shares) -> None:
        """Add what is kept to what tenants hold."""
        self.placed.count(self.crowd, np.flatnonzero(self.placed.pool >= 0), shares, 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asked:
    """Rows counted by what they ask, and which pools they may use."""

    groups: Groups
    checks: Checks
    allowed: BoolArray


FIXED = ("", "residency", "only_site")


def begin(fleet: Fleet, snapshot: Snapshot, crowd: Crowd, board: Board) -> CrowdDraft:
    """Keep what lasts: `board` is charged with it, so that nobody else takes it."""
    crowd = in_order(crowd)
    tables, named = tables_of(fleet, snapshot, crowd.origins), named_of(fleet, crowd)
    room = Room(fleet, board)
    placed = kept(tables, room, snapshot, crowd, named)
    taken, taken_w = board.free - room.free, board.headroom_w - room.headroom_w
    board.free -= taken
    board.headroom_w -= taken_w
    return CrowdDraft(
        crowd=crowd,
        tables=tables,
        named=named,
        placed=placed,
        searched=np.flatnonzero(placed.pool < 0),
        why=np.zeros(len(crowd.ids), dtype=np.int64),
        taken=taken,
        taken_w=taken_w,
        row=np.arange(len(crowd.ids)),
    )


@uncollected()
def finish(draft: CrowdDraft, board: Board, shares: Shares) -> CrowdPlan:
    """Place the rest on what others left on the board, which holds it all in the end."""
    board.free += draft.taken
    board.headroom_w += draft.taken_w
    room = Room(draft.tables.fleet, board)
    before, waiting, held_then = draft.placed.copy(), draft.searched, shares.copy()
    let_go = _let_go(draft, shares)
    draft.placed.lay_out(draft.crowd, room)
    done = _place(draft, room, shares)
    if len(let_go) and (done.placed.pool[np.isin(done.row, let_go)] < 0).any():
        # A promise comes before a turn: what had a place keeps it, and only what is new takes turns.
        draft.placed, draft.searched = before.copy(), waiting
        draft.placed.lay_out(draft.crowd, room)
        done = _place(draft, room, held_then)
    board.free, board.headroom_w = room.free, room.headroom_w
    if done.crowd.cohort is not None:
        done = done.in_rows(together(done.crowd, done.placed, done.searched, done.row))
    moved = (done.placed.pool >= 0) & done.placed.differs(before.of(done.row))
    if done.crowd.cohort is not None:
        # A cohort is told whole: its entries say of all its jobs.
        moved = (done.placed.pool >= 0) & np.isin(done.row, done.row[moved])
    told = done.searched[moved[done.searched]]
    several = draft.crowd.counts[done.row[told]] > 1
    return CrowdPlan(
        assignments=assignments(draft.tables, room, done.crowd, _decided(done, told[~several])),
        cohorts=cohort_assignments(draft.tables, room, done.crowd, _decided(done, told[several])),
        unplaced=done.refused,
        prices=done.prices,
    )


def _let_go(draft: CrowdDraft, shares: Shares) -> IntArray:
    """Give up places that begin later and belong to tenants who hold more for their weight than one who waits."""
    crowd, placed, now_ms = draft.crowd, draft.placed, draft.tables.fleet.now_ms
    if not shares.set or not len(draft.searched):
        return draft.searched[:0]
    served = np.array([shares.served(tenant) for tenant in crowd.tenants], dtype=object)
    least = min(served[crowd.tenant[draft.searched]])
    more = np.array([one > least for one in served], dtype=np.bool_)
    rows = np.flatnonzero((placed.pool >= 0) & ~placed.at_once & (placed.start_ms > now_ms) & more[crowd.tenant])
    placed.count(crowd, rows, shares, -1)
    placed.pool[rows] = NOT_GIVEN
    draft.searched = np.sort(np.concatenate([draft.searched, rows]))
    return rows


def _place(draft: CrowdDraft, room: Room, shares: Shares) -> CrowdDraft:
    """What flows, then the rest group by group."""
    tables, jobs = draft.tables, draft.searched
    if not len(jobs):
        return draft
    asked = _asked(draft, jobs, shares)
    # Where tenants take turns, nobody gives way for another's gain.
    filled = None if shares.set else flow(tables, room, asked.groups, asked.allowed)
    if filled is not None or draft.crowd.cohort is not None:
        draft = _spread(draft, asked, filled)
        draft.placed.lay_out(draft.crowd, room)
        jobs = draft.searched[draft.placed.pool[draft.searched] < 0]
        asked = _asked(draft, jobs, shares)
    if len(jobs):
        crowd, placed, groups = draft.crowd, draft.placed, asked.groups
        place(tables, room, crowd, groups, pool_sets(asked.checks), placed, shares)
        draft.refused = _refused(draft, asked, np.flatnonzero(placed.pool[groups.jobs] < 0))
    return draft


def _asked(draft: CrowdDraft, jobs: IntArray, shares: Shares) -> _Asked:
    """Count some rows by what they ask; what leaves them no choice of place is noted."""
    fleet = draft.tables.fleet
    groups = groups_of(fleet, draft.crowd, jobs, by_tenant=shares.set)
    checks = checks_of(fleet, draft.named, groups.families)
    allowed = checks.met()
    why = np.where(by_country_alone(checks, allowed), 1, np.where(only_site(fleet, allowed), 2, 0))
    draft.why[groups.jobs] = np.repeat(why[groups.family], groups.count)
    return _Asked(groups=groups, checks=checks, allowed=allowed)


def _spread(draft: CrowdDraft, asked: _Asked, filled: Filled | None) -> CrowdDraft:
    """Give what flows its cells; where the crowd counts cohorts, each of the other jobs has a row of its own then."""
    parts = parts_of(draft.crowd, asked.groups, filled)
    if filled is not None:
        compare(draft.placed, asked.groups, filled)
        shape = (len(draft.tables.fleet.pools.ids), draft.tables.fleet.slots)
        draft.prices = None if filled.prices is None else filled.prices.reshape(shape)
    if draft.crowd.cohort is not None:
        return draft.in_rows(apart(draft.tables, draft.crowd, draft.placed, draft.searched, parts))
    settle(draft.tables, draft.crowd, draft.placed, parts)
    return draft


def _refused(draft: CrowdDraft, asked: _Asked, without: IntArray) -> tuple[Unplaced, ...]:
    """Why jobs have no place; once of all jobs of a cohort."""
    rows = asked.groups.jobs[without]
    _, first = np.unique(draft.row[rows], return_index=True)
    return tuple(refusals(draft.tables, draft.crowd, asked.groups, asked.checks, without[first]))


def _decided(draft: CrowdDraft, jobs: IntArray) -> Decided:
    placed, fleet, crowd = draft.placed, draft.tables.fleet, draft.crowd
    held = placed.held(crowd, jobs)
    slot_end = int(fleet.begin_ms[0] + fleet.usable_ms[0])
    latest = np.minimum(crowd.deadline_ms[jobs], fleet.end_ms) - (held.end_ms - held.start_ms)
    latest = np.where(crowd.start_by_ms[jobs] > 0, np.minimum(latest, crowd.start_by_ms[jobs]), latest)
    word = np.where(held.start_ms >= slot_end, 0, np.where(latest >= slot_end, 1, 2))
    words = ("waiting", "now", "deadline")
    return Decided(
        jobs=jobs,
        held=held,
        woken=np.where(placed.at_once[jobs], 0, held.gpus),
        now_pool=placed.now_pool[jobs],
        reasons=[FIXED[why] or words[at] for why, at in zip(draft.why[jobs].tolist(), word.tolist(), strict=True)],
    )


def in_order(crowd: Crowd) -> Crowd:
    """A crowd in order of job id."""
    if not any(map(operator.gt, crowd.ids, itertools.islice(crowd.ids, 1, None))):
        return crowd
    return crowd.of(np.array(sorted(range(len(crowd.ids)), key=crowd.ids.__getitem__), dtype=np.int64))
