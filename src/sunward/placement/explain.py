"""What a decision says of itself: reason, saving against starting now, and the options not taken."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sunward import units
from sunward.model.identity import PoolId
from sunward.model.plan import Alternative, Assignment, Segment, Unplaced
from sunward.placement.assign import best_per_pool
from sunward.placement.board import Board
from sunward.placement.demand import Option, held_work_ms, price
from sunward.placement.fleet import Fleet
from sunward.placement.gravity import NOWHERE
from sunward.placement.search import Task
from sunward.placement.windows import cheapest, option_at, roomy
from sunward.world.snapshot import BoolArray

ALTERNATIVES_MAX = 3


@dataclass(frozen=True, slots=True)
class _Rivals:
    """What else was possible: the start to compare with, and the best start of each pool."""

    soonest: Option | None
    is_now: bool
    per_pool: tuple[Option, ...]


def segments_of(fleet: Fleet, option: Option) -> tuple[Segment, ...]:
    """An option as segments."""
    return tuple(
        Segment(
            pool=PoolId(fleet.pools.ids[run.row]),
            start_ms=run.start_ms,
            end_ms=run.end_ms,
            containers=run.gpus,
            power_cap_w=run.cap_w,
        )
        for run in option.runs
    )


def assignment(fleet: Fleet, task: Task, option: Option, board: Board, *, real: bool = False) -> Assignment:
    """A chosen option with its reasons; `board` holds every other job but not this one.

    `real`: scores without shadow prices, which decide but are no money.
    """
    demand = task.demand
    priced = price(fleet, demand, option.runs)
    rivals = _rivals(task, option, board)
    return Assignment(
        job=demand.job.spec.job,
        revision=demand.job.revision,
        segments=segments_of(fleet, option),
        free_read=board.least_free(option),
        terms=replace(priced.terms, shadow=0) if real else priced.terms,
        energy_j=priced.energy_j,
        carbon_mg=priced.carbon_mg,
        reason=_reason(fleet, task, option),
        saves_ppm=_saves_ppm(fleet, task, rivals, priced.carbon_mg),
        alternatives=_alternatives(fleet, task, option, rivals, real=real),
        ends_ppm=_ends_ppm(fleet, task, option),
    )


def _ends_ppm(fleet: Fleet, task: Task, option: Option) -> int:
    """How surely a job of unknown length ends within its segments."""
    if task.demand.survival is None:
        return 0
    done_ms = np.asarray(held_work_ms(fleet, task.demand, option.runs))
    return int((1.0 - task.demand.survival.alive_after(done_ms)) * units.PPM + 0.5)


def no_room(fleet: Fleet, task: Task, board: Board) -> Unplaced:
    """Why a job that fits somewhere finds no place now."""
    demand = task.demand
    return Unplaced(
        job=demand.job.spec.job,
        revision=demand.job.revision,
        reason="capacity",
        detail=_shortage(fleet, task, board),
        permanent=False,
    )


def too_late(fleet: Fleet, task: Task, option: Option) -> Unplaced:
    """A job that could start or go on, but not as early as it must."""
    first_h = units.hours(option.runs[0].start_ms - fleet.now_ms)
    within_ms = task.demand.start_by_ms - fleet.now_ms
    if task.demand.wait_ms is not None:
        within_ms = min(within_ms, max(0, task.demand.wait_ms))
    within_h = units.hours(within_ms)
    return Unplaced(
        job=task.demand.job.spec.job,
        revision=task.demand.job.revision,
        reason="start_by",
        detail=f"the best start left is in {first_h:.2f} h, it must start within {within_h:.2f} h",
        permanent=False,
    )


def _shortage(fleet: Fleet, task: Task, board: Board) -> str:
    demand = task.demand
    pools = len(set(demand.rows.tolist()))
    within = slice(0, max(1, -(-(demand.limit_ms - fleet.start_ms) // fleet.slot_ms)))
    if not task.windows.possible.any():
        return "no fitting pool can wake and end in time; the next slot decides"
    most = int(np.maximum(board.free[demand.rows, within], 0).max())
    if most < demand.gpus:
        return f"at most {most} of {demand.gpus} containers are free at once on {pools} fitting pools"
    watts = board.headroom_w[fleet.pools.site[demand.rows], within].max(axis=1)
    if (watts < demand.need_w).all():
        least = int(demand.need_w.min())
        return f"needs {least} W at least, ceilings leave {max(0, int(watts.max()))} W at most"
    return f"no free stretch is long enough before the deadline on {pools} fitting pools"


def _reason(fleet: Fleet, task: Task, option: Option) -> str:
    demand, first = task.demand, option.runs[0]
    if demand.fit.residency:
        return "residency"
    if len(set(fleet.pools.site[demand.rows].tolist())) == 1 and len(fleet.sites) > 1:
        return "only_site"
    if demand.current != NOWHERE and any(run.row != demand.current for run in option.runs):
        return "moving"
    if demand.current != NOWHERE and any(run.gpus != demand.job.held for run in option.runs):
        return "resizing"
    if demand.current != NOWHERE and any(run.cap_w != demand.job.power_cap_w for run in option.runs):
        return "capping"
    if first.first > 0:
        return "waiting"
    return "now" if task.windows.possible[:, 1:].any() else "deadline"


def _rivals(task: Task, option: Option, board: Board) -> _Rivals:
    found = roomy(task.windows, board.open(task.demand))
    # Those of the option itself are not shown: it may use some of the cheapest pools.
    shown = ALTERNATIVES_MAX + len({run.row for run in option.runs})
    most = int(np.unique(task.demand.rows, return_counts=True)[1].max())
    per_pool = tuple(best_per_pool(task, found, shown * most))
    starts = found.any(axis=0)
    if not starts.any():
        return _Rivals(None, is_now=False, per_pool=per_pool)
    slot = int(starts.argmax())
    return _Rivals(_best_at(task, found, slot), is_now=slot == 0, per_pool=per_pool)


def _best_at(task: Task, found: BoolArray, slot: int) -> Option | None:
    only = np.zeros_like(found)
    only[:, slot] = found[:, slot]
    place = cheapest(task.windows, only)
    return None if place is None else option_at(task.demand, task.windows, *place)


def _saves_ppm(fleet: Fleet, task: Task, rivals: _Rivals, carbon_mg: int) -> int:
    if rivals.soonest is None:
        return 0
    base = price(fleet, task.demand, rivals.soonest.runs).carbon_mg
    return units.round_half_up((base - carbon_mg) * units.PPM, base) if base else 0


def others_than(fleet: Fleet, task: Task, option: Option, board: Board) -> list[tuple[str, Option]]:
    """The best three options besides one, each with its label, cheapest first."""
    return _shown(fleet, option, _rivals(task, option, board))


def _shown(fleet: Fleet, option: Option, rivals: _Rivals) -> list[tuple[str, Option]]:
    used = {run.row for run in option.runs}
    best: dict[int, Option] = {}
    for one in rivals.per_pool:
        # A job has an option for each count and power limit; the first of a pool is the cheapest.
        best.setdefault(one.runs[0].row, one)
    others = [(fleet.pools.ids[row], one) for row, one in best.items() if row not in used]
    now = rivals.soonest if rivals.is_now else None
    shown = [] if now is None or now.runs == option.runs else [("now", now)]
    shown += others[: ALTERNATIVES_MAX - len(shown)]
    return sorted(shown, key=lambda pair: (pair[1].total, pair[0]))


def _alternatives(fleet: Fleet, task: Task, option: Option, rivals: _Rivals, *, real: bool) -> tuple[Alternative, ...]:
    shown = [(label, one, price(fleet, task.demand, one.runs)) for label, one in _shown(fleet, option, rivals)]
    return tuple(
        Alternative(
            label=label,
            start_ms=one.runs[0].start_ms,
            total_usd_micro=one.total - (priced.terms.shadow if real else 0),
            carbon_mg=priced.carbon_mg,
        )
        for label, one, priced in shown
    )
