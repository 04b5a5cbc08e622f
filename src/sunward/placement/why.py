"""Everything that leads to one job's place, and what another finish-by would change; nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sunward import units
from sunward.model.explanation import Choice, FilterLine, WaitPoint
from sunward.model.plan import Unplaced
from sunward.placement.assign import present_option
from sunward.placement.board import Board, runs_of
from sunward.placement.demand import CostBook, Demand, Option, demand_of, price
from sunward.placement.explain import ALTERNATIVES_MAX, others_than, segments_of
from sunward.placement.filter import removed
from sunward.placement.fleet import Fleet, fleet_of
from sunward.placement.search import Task, best_option, task_of
from sunward.placement.windows import roomy
from sunward.world.snapshot import BoolArray, JobView, Snapshot

PLANNED, BEST = "planned", "best"
LATER_H = (0, 1, 2, 3, 4, 6, 8, 10, 12, 15, 18, 21, 24, 30, 36, 42, 48, 60, 72, 84, 96)
"""The curve's points: hours after the soonest end, denser where a day's course is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """All that explains one open job."""

    filters: tuple[FilterLine, ...]
    chosen: Choice | None
    alternatives: tuple[Choice, ...]
    waiting: tuple[WaitPoint, ...]


def why(snapshot: Snapshot) -> Why:
    """Explain the only job of a snapshot; what it has now stands, and nobody is moved for it."""
    (job,) = snapshot.jobs
    fleet = fleet_of(snapshot)
    board = Board(fleet)
    book: CostBook = {}
    demand = demand_of(fleet, job, book)
    counts = removed(fleet, job)
    if isinstance(demand, Unplaced):
        return Why(filters=_lines(fleet, counts), chosen=None, alternatives=(), waiting=_curve(fleet, board, job, book))
    task = task_of(fleet, demand)
    counts |= _shut(fleet, task, board)
    best = best_option(fleet, task, board)
    held = _held(fleet, task)
    option = best if held is None else held
    if option is None:
        return Why(filters=_lines(fleet, counts), chosen=None, alternatives=(), waiting=_curve(fleet, board, job, book))
    chosen = _choice(fleet, task, PLANNED if held is not None else BEST, option, option.total)
    return Why(
        filters=_lines(fleet, counts),
        chosen=chosen,
        alternatives=() if job.fixed else _others(fleet, task, board, option, best),
        waiting=() if job.fixed else _curve(fleet, board, job, book),
    )


def _held(fleet: Fleet, task: Task) -> Option | None:
    """What the job has, also where a plan would no longer choose it."""
    present = present_option(fleet, task)
    runs = runs_of(fleet, task.demand.job)
    if present is not None or not runs or not task.demand.fits(runs):
        return present
    return Option(runs, price(fleet, task.demand, runs).terms.total)


def _others(fleet: Fleet, task: Task, board: Board, option: Option, best: Option | None) -> tuple[Choice, ...]:
    """The best three besides the chosen one; the planner's own favourite of now first where that is another one."""
    others = others_than(fleet, task, option, board)
    if best is not None and best.runs != option.runs:
        others = [(BEST, best), *(pair for pair in others if pair[1].runs != best.runs)]
    others.sort(key=lambda pair: (pair[1].total, pair[0]))
    return tuple(_choice(fleet, task, label, one, option.total) for label, one in others[:ALTERNATIVES_MAX])


def _choice(fleet: Fleet, task: Task, label: str, option: Option, chosen: int) -> Choice:
    priced = price(fleet, task.demand, option.runs)
    return Choice(
        label=label,
        segments=segments_of(fleet, option),
        terms=priced.terms,
        total_usd_micro=option.total,
        more_usd_micro=option.total - chosen,
        price_usd_micro=tenant_price(fleet, option),
        energy_j=priced.energy_j,
        carbon_mg=priced.carbon_mg,
    )


def tenant_price(fleet: Fleet, option: Option) -> int:
    """What the tenant would pay for an option, micro-USD, rounded up once a run."""
    parts = zip(option.runs, segments_of(fleet, option), strict=True)
    return sum(
        -(-part.containers * (part.end_ms - part.start_ms) * int(fleet.ask_usd_micro[run.row]) // units.HOUR_MS)
        for run, part in parts
    )


def _lines(fleet: Fleet, counts: dict[str, int]) -> tuple[FilterLine, ...]:
    left = len(fleet.pools.ids)
    lines = []
    for name, count in counts.items():
        left -= count
        lines.append(FilterLine(name=name, removed=count, left=left))
    return tuple(lines)


def _shut(fleet: Fleet, task: Task, board: Board) -> dict[str, int]:
    """How many of the fitting pools fall to the start-by, to sleep, to load and to ceilings, in this order."""
    demand = task.demand
    free = board.free[demand.rows, : demand.slots] >= demand.counts[:, None]
    whenever = task_of(fleet, replace(demand, start_by_ms=fleet.end_ms))
    everywhere = np.ones_like(free)
    steps = {
        "wake": _usable(fleet, whenever, everywhere),
        "start_by": _usable(fleet, task, everywhere),
        "capacity": _usable(fleet, task, free),
        "ceiling": _usable(fleet, task, board.open(demand)),
    }
    counts: dict[str, int] = {}
    # Of an elastic job a pool is left as long as one of its counts is.
    first = np.flatnonzero(np.diff(demand.rows, prepend=-1))
    left = np.ones(len(first), dtype=np.bool_)
    for name, usable in steps.items():
        passed = np.logical_or.reduceat(usable, first)
        counts[name] = int((left & ~passed).sum())
        left &= passed
    return counts


def _usable(fleet: Fleet, task: Task, room: BoolArray) -> BoolArray:
    """(A,) pools where the job could start: in one piece, or for a part of it where pauses are allowed."""
    usable = roomy(task.windows, room)
    if task.demand.pausable:
        usable = usable | (room & _startable(fleet, task.demand))
    return np.asarray(usable.any(axis=1))


def _startable(fleet: Fleet, demand: Demand) -> BoolArray:
    start = fleet.begin_ms[: demand.slots] + demand.delay_ms
    late = (
        (start >= demand.limit_ms) | (start > demand.start_by_ms) | (demand.delay_ms >= fleet.usable_ms[: demand.slots])
    )
    return ~np.asarray(late)


def _curve(fleet: Fleet, board: Board, job: JobView, book: CostBook) -> tuple[WaitPoint, ...]:
    """The best option by finish-by: the job's own, and later and earlier ones as far as plans reach."""
    points = (_point(fleet, board, job, book, finish_ms) for finish_ms in _finishes(fleet, job, book))
    return tuple(point for point in points if point is not None)


def _finishes(fleet: Fleet, job: JobView, book: CostBook) -> list[int]:
    demand = demand_of(fleet, _due(job, fleet.end_ms), book)
    if isinstance(demand, Unplaced):
        return []
    own = {job.spec.deadline_ms} if job.spec.deadline_ms <= fleet.end_ms else set()
    soonest = int((fleet.now_ms + demand.fit.needed_ms + demand.loss_ms[:, 0] + demand.delay_ms[:, 0]).min())
    first = -(-soonest // fleet.slot_ms) * fleet.slot_ms
    return sorted({*own, *(first + hours * units.HOUR_MS for hours in LATER_H)})


def _due(job: JobView, finish_ms: int) -> JobView:
    return replace(job, spec=replace(job.spec, deadline_ms=finish_ms), segments=())


def _point(fleet: Fleet, board: Board, job: JobView, book: CostBook, finish_ms: int) -> WaitPoint | None:
    demand = demand_of(fleet, _due(job, finish_ms), book) if finish_ms <= fleet.end_ms else None
    if demand is None or isinstance(demand, Unplaced):
        return None
    task = task_of(fleet, demand)
    option = best_option(fleet, task, board)
    if option is None:
        return None
    return WaitPoint(
        finish_by_ms=finish_ms,
        start_ms=option.runs[0].start_ms,
        end_ms=option.runs[-1].end_ms,
        total_usd_micro=option.total,
        price_usd_micro=tenant_price(fleet, option),
        carbon_mg=price(fleet, task.demand, option.runs).carbon_mg,
    )
