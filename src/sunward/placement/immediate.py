"""New jobs placed at once, each on what everybody's present segments leave; nobody is moved for them.

One search a job, in the order in which they came, tenants with shares by turns. What a better order or a move of others
would gain, the next full plan takes up.
"""

from __future__ import annotations

from dataclasses import replace

from sunward.model.plan import IMMEDIATE, Assignment, Plan, Unplaced
from sunward.placement.board import Board
from sunward.placement.demand import CostBook
from sunward.placement.fleet import fleet_of
from sunward.placement.planner import offer
from sunward.placement.shares import Shares, container_ms
from sunward.placement.sleep import awake_targets
from sunward.world.snapshot import Snapshot


def place(snapshot: Snapshot) -> Plan:
    """Place the jobs of a snapshot beside what stands; its awake targets are what these jobs need more."""
    fleet = fleet_of(snapshot, shadows=True)
    board = Board(fleet)
    book: CostBook = {}
    placed: list[Assignment] = []
    unplaced: list[Unplaced] = []
    shares = Shares(snapshot.policy.tenant_shares)
    for job in shares.turns(snapshot.jobs, lambda one: one.spec.tenant):
        found = offer(fleet, board, job, book)
        if isinstance(found, Unplaced):
            unplaced.append(found)
        else:
            placed.append(found)
            board.occupy(replace(job, segments=found.segments))
            shares.add(job.spec.tenant, container_ms(found.segments, snapshot.now_ms))
    return Plan(
        based_on=snapshot.based_on,
        at_ms=snapshot.now_ms,
        slot_ms=snapshot.slot_ms,
        slots=snapshot.slots,
        planner=IMMEDIATE,
        assignments=tuple(sorted(placed, key=lambda one: one.job)),
        unplaced=tuple(sorted(unplaced, key=lambda one: one.job)),
        awake=awake_targets(fleet, [segment for one in placed for segment in one.segments]),
    )
