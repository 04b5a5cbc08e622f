"""The crowd's part of a plan: what is kept, what is placed, and what is left without a place."""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from sunward.model.plan import Assignment, Unplaced
from sunward.placement.board import Board
from sunward.placement.crowd.eligible import Named, by_country_alone, checks_of, named_of, only_site
from sunward.placement.crowd.flow import flow
from sunward.placement.crowd.groups import groups_of
from sunward.placement.crowd.place import Placed, Placing
from sunward.placement.crowd.refuse import refusals
from sunward.placement.crowd.report import Decided, assignments
from sunward.placement.crowd.room import Room
from sunward.placement.crowd.search import Lines
from sunward.placement.crowd.standing import kept
from sunward.placement.crowd.tables import Tables, tables_of
from sunward.placement.fleet import Fleet
from sunward.placement.shares import Shares
from sunward.world.crowd import NOT_GIVEN, Crowd
from sunward.world.snapshot import IntArray, Snapshot

EXACT_MAX = 4_096
"""Jobs without a place that are looked at once more by themselves, without bins."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrowdPlan:
    """What a plan says of its crowd."""

    assignments: tuple[Assignment, ...]
    unplaced: tuple[Unplaced, ...]


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

    def count(self, shares: Shares) -> None:
        """Add what is kept to what tenants hold."""
        self.placed.count(self.crowd, np.flatnonzero(self.placed.pool >= 0), shares, 1)


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
    )


def finish(draft: CrowdDraft, board: Board, shares: Shares) -> CrowdPlan:
    """Place the rest on what others left on the board, which holds it all in the end."""
    crowd, placed = draft.crowd, draft.placed
    board.free += draft.taken
    board.headroom_w += draft.taken_w
    room = Room(draft.tables.fleet, board)
    before, waiting, held_then = placed.copy(), draft.searched, shares.copy()
    let_go = _let_go(draft, shares)
    placed.lay_out(crowd, room)
    refused = _place(draft, room, shares)
    if (placed.pool[let_go] < 0).any():
        # A promise comes before a turn: what had a place keeps it, and only what is new takes turns.
        draft.placed = placed = before.copy()
        draft.searched = waiting
        placed.lay_out(crowd, room)
        refused = _place(draft, room, held_then)
    board.free, board.headroom_w = room.free, room.headroom_w
    decided = draft.searched[(placed.pool[draft.searched] >= 0) & placed.differs(before)[draft.searched]]
    return CrowdPlan(
        assignments=assignments(draft.tables, room, crowd, _decided(draft, decided), None),
        unplaced=tuple(refused),
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


def _place(draft: CrowdDraft, room: Room, shares: Shares) -> list[Unplaced]:
    """Groups first; then, one by one, the few that only their bins kept out."""
    crowd, tables, placed = draft.crowd, draft.tables, draft.placed
    refused: list[Unplaced] = []
    jobs = draft.searched
    lines = Lines(tables, np.unique(crowd.carbon_price_usd_per_t))
    for exact in (False, True):
        if not len(jobs) or (exact and len(jobs) > EXACT_MAX):
            break
        groups = groups_of(tables.fleet, crowd, jobs, exact=exact, by_tenant=shares.set)
        checks = checks_of(tables.fleet, draft.named, groups.families)
        allowed = checks.met()
        placing = Placing(tables, lines, room, crowd, groups, allowed, placed, shares)
        # Where tenants take turns, nobody gives way for another's gain.
        filled = None if exact or shares.set else flow(tables, room, groups, allowed)
        if filled is not None:
            placing.take(filled)
        placing.run(None)
        why = np.where(by_country_alone(checks, allowed), 1, np.where(only_site(tables.fleet, allowed), 2, 0))
        draft.why[groups.jobs] = np.repeat(why[groups.family], groups.count)
        without = np.flatnonzero(placed.pool[groups.jobs] < 0)
        refused = refusals(tables, crowd, groups, checks, without[np.argsort(groups.jobs[without])])
        jobs = np.sort(groups.jobs[without])
    return refused


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
    order = sorted(range(len(crowd.ids)), key=crowd.ids.__getitem__)
    columns: dict[str, Any] = {}
    for column in fields(Crowd):
        values = getattr(crowd, column.name)
        columns[column.name] = values[order] if isinstance(values, np.ndarray) else values
    return Crowd(**{**columns, "ids": tuple(crowd.ids[row] for row in order)})
