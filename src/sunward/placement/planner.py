"""The planner: a pure function from a snapshot to a plan; filter, score, assign, explain, and who is awake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from operator import attrgetter
from types import ModuleType

import numpy as np

from sunward.model.job import JobSpec
from sunward.model.plan import Assignment, AwakeTarget, Plan, Segment, Unplaced
from sunward.placement.assign import Draft, assign, give, improve
from sunward.placement.board import Board, runs_of
from sunward.placement.crowd.transport import EXACT
from sunward.placement.demand import CostBook, Option, demand_of
from sunward.placement.explain import assignment, no_room, segments_of, too_late
from sunward.placement.fleet import NO_CEILING_W, Fleet, fleet_of
from sunward.placement.polish import polish
from sunward.placement.prices import named_prices, shadow_prices
from sunward.placement.search import Task, best_option, task_of
from sunward.placement.shares import Shares, container_ms
from sunward.placement.sleep import awake_targets, many_targets
from sunward.placement.spare import with_spares
from sunward.world.snapshot import FloatArray, JobView, Snapshot, Standing

PLANNER = "regret-6" if EXACT else "regret-6-filled"
"""Name and version of the algorithm; a change of any plan it makes changes the version."""


def plan(snapshot: Snapshot) -> Plan:
    """Place every open job that may be placed or moved; jobs whose segments stay as they are go unnamed."""
    fleet = fleet_of(snapshot)
    board = Board(fleet)
    crowd = None if snapshot.crowd is None else _crowds().begin(fleet, snapshot, snapshot.crowd, board)
    tasks: dict[str, Task] = {}
    unplaced: list[Unplaced] = []
    settled: list[JobView] = []
    book: CostBook = {}
    for job in sorted(snapshot.jobs, key=lambda one: one.spec.job):
        demand = None if job.fixed else demand_of(fleet, job, book)
        if demand is None or (isinstance(demand, Unplaced) and job.pool in fleet.row):
            # What runs and cannot be moved, or will be late wherever it goes, runs on where it is.
            board.occupy(job)
            settled.append(job)
        elif isinstance(demand, Unplaced):
            unplaced.append(demand)
        else:
            tasks[job.spec.job] = task_of(fleet, demand)
    prices = shadow_prices(fleet, board, [tasks[job] for job in sorted(tasks)])
    shares = _held_shares(fleet, snapshot.jobs, settled, snapshot.standing)
    if crowd is not None:
        crowd.count(shares)
    draft, stuck = _drafted(fleet, board, tasks, shares, prices)
    settled += [job for job, _ in stuck]
    unplaced += [refused for _, refused in stuck]
    unplaced += [_refused(fleet, task, board) for job, task in tasks.items() if job not in draft.chosen]
    changes = _changes(draft)
    placed = None if crowd is None else _crowds().finish(crowd, board, shares)
    if placed is not None:
        changes = placed.assignments if not changes else _by_job((*changes, *placed.assignments))
        unplaced += placed.unplaced
        prices = prices if placed.prices is None else np.maximum(prices, placed.prices)
    return Plan(
        based_on=snapshot.based_on,
        at_ms=snapshot.now_ms,
        slot_ms=snapshot.slot_ms,
        slots=snapshot.slots,
        planner=PLANNER,
        assignments=changes,
        unplaced=tuple(sorted(unplaced, key=attrgetter("job"))),
        awake=with_spares(fleet, snapshot.expected, board.free, _awake(snapshot, settled, draft)),
        prices=named_prices(fleet, prices),
        cohorts=() if placed is None else placed.cohorts,
    )


def _crowds() -> ModuleType:
    """What plans crowds; its compiler takes half a second and a hundred MiB to load, which small worlds are spared."""
    return import_module("sunward.placement.crowd.planner")


def _drafted(
    fleet: Fleet, board: Board, tasks: dict[str, Task], shares: Shares, prices: FloatArray
) -> tuple[Draft, list[tuple[JobView, Unplaced]]]:
    """Choose for all that find something; `tasks` loses what runs under a ceiling and finds nothing: it runs on there.

    It holds its watts until it is stopped or done: others go around it, else no commit could take what they were given.
    """
    capped = np.any(fleet.headroom_w < NO_CEILING_W, axis=1)[fleet.pools.site]
    found: list[tuple[JobView, Unplaced]] = []
    while True:
        draft = assign(fleet, board, tasks, shares)
        if not polish(draft, prices):
            improve(draft)
        left = sorted(tasks.keys() - draft.chosen.keys())
        stuck = [job for job in left if (at := fleet.row.get(tasks[job].demand.job.pool)) is not None and capped[at]]
        if not stuck:
            return draft, found
        found += [(tasks[job].demand.job, _refused(fleet, tasks[job], board)) for job in stuck]
        for job in tuple(draft.chosen):
            give(draft, job)
        for job in stuck:
            view = tasks.pop(job).demand.job
            board.occupy(view)
            shares.add(view.spec.tenant, container_ms(view.segments, fleet.now_ms))


def _held_shares(
    fleet: Fleet, jobs: Sequence[JobView], settled: Sequence[JobView], standing: Standing | None
) -> Shares:
    """What tenants hold apart from what is chosen for their jobs here."""
    shares = Shares(fleet.policy.tenant_shares)
    for tenant, held_ms in () if standing is None else standing.tenants:
        shares.add(tenant, held_ms)
    for job in settled:
        shares.add(job.spec.tenant, container_ms(job.segments, fleet.now_ms))
    for job in jobs:
        # What runs counts whole until it ends: turns would shift with every minute otherwise.
        shares.add(job.spec.tenant, job.held * job.elapsed_ms if job.pool else 0)
    return shares


def quote(snapshot: Snapshot, spec: JobSpec) -> Assignment | Unplaced:
    """What one more job would get from what everybody's present segments leave; nobody is moved for it."""
    return quotes(snapshot, (asked(spec),))[0]


def quotes(snapshot: Snapshot, jobs: Sequence[JobView]) -> tuple[Assignment | Unplaced, ...]:
    """What each of some jobs would get if it alone were added; the board is laid out once for all of them."""
    fleet = fleet_of(snapshot, shadows=True)
    board = Board(fleet)
    named = {job.spec.job for job in jobs}
    for other in sorted(snapshot.jobs, key=lambda one: one.spec.job):
        if other.spec.job not in named:
            board.occupy(other)
    book: CostBook = {}
    return tuple(offer(fleet, board, job, book, real=True) for job in jobs)


def asked(spec: JobSpec) -> JobView:
    """A job that was only asked about: nothing of it has run."""
    return JobView(spec=spec, revision=0, units_done=0, elapsed_ms=0, pool="", fixed=False, segments=())


def offer(fleet: Fleet, board: Board, job: JobView, book: CostBook, *, real: bool = False) -> Assignment | Unplaced:
    """The best a board has for one job, or why it has nothing; `real`: told without what nobody pays."""
    found = _search(fleet, board, job, book)
    return found if isinstance(found, Unplaced) else assignment(fleet, *found, board, real=real)


def places(snapshot: Snapshot, jobs: Sequence[JobView]) -> tuple[tuple[Segment, ...] | Unplaced, ...]:
    """As `quotes` on a snapshot without jobs, and without the reasons: all that a price needs."""
    fleet = fleet_of(snapshot, shadows=True)
    board = Board(fleet)
    book: CostBook = {}
    found = (_search(fleet, board, job, book) for job in jobs)
    return tuple(one if isinstance(one, Unplaced) else segments_of(fleet, one[1]) for one in found)


def _search(fleet: Fleet, board: Board, job: JobView, book: CostBook) -> tuple[Task, Option] | Unplaced:
    demand = demand_of(fleet, job, book)
    if isinstance(demand, Unplaced):
        return demand
    task = task_of(fleet, demand)
    option = best_option(fleet, task, board)
    return _refused(fleet, task, board) if option is None else (task, option)


def _refused(fleet: Fleet, task: Task, board: Board) -> Unplaced:
    """Why a job that fits finds no place: how early it must start, where a later start would find one, else room."""
    if task.demand.job.spec.start_by_ms or task.demand.wait_ms is not None:
        later = task_of(fleet, replace(task.demand, start_by_ms=fleet.end_ms, wait_ms=None))
        option = best_option(fleet, later, board)
        if option is not None:
            return too_late(fleet, task, option)
    return no_room(fleet, task, board)


def _by_job(assignments: Sequence[Assignment]) -> tuple[Assignment, ...]:
    return tuple(sorted(assignments, key=attrgetter("job")))


def _changes(draft: Draft) -> tuple[Assignment, ...]:
    changed = []
    for job in sorted(draft.chosen):
        option, task = draft.chosen[job], draft.tasks[job]
        if option.runs == runs_of(draft.fleet, task.demand.job):
            continue
        draft.board.give(task.demand, option)
        changed.append(assignment(draft.fleet, task, option, draft.board))
        draft.board.take(task.demand, option)
    return tuple(changed)


def _awake(snapshot: Snapshot, settled: list[JobView], draft: Draft) -> tuple[AwakeTarget, ...]:
    """What the plan has awake: job by job, or where there is a crowd by what pools hold."""
    fleet, held = draft.fleet, _held(settled)
    if snapshot.crowd is None:
        return awake_targets(fleet, [*held, *_chosen(draft)])
    until_ms = max([fleet.end_ms, *(segment.end_ms for segment in held)])
    return many_targets(fleet, fleet.pools.available - draft.board.free, until_ms)


def _held(jobs: list[JobView]) -> list[Segment]:
    return [segment for job in jobs for segment in job.segments]


def _chosen(draft: Draft) -> list[Segment]:
    return [segment for job, option in sorted(draft.chosen.items()) for segment in segments_of(draft.fleet, option)]
