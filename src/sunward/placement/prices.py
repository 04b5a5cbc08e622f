"""Shadow prices: what one more container of a pool would save the jobs to plan, slot by slot.

Dual ascent. At given prices every job takes the option that is cheapest for it alone; where they take more than there
is the price rises, where they leave some it falls, never below zero. Pauses are looked at without what they cost, so
that all jobs are looked at together: options of runs in one piece and slots of runs with pauses lie in one row of
figures each, and a round is a few passes over them. It ends after a fixed amount of work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from sunward import units
from sunward.model.identity import PoolId
from sunward.model.plan import ShadowPrice
from sunward.placement.board import Board
from sunward.placement.demand import start_run
from sunward.placement.fleet import Fleet
from sunward.placement.score import RISK, SlotCosts, to_integer
from sunward.placement.search import Task
from sunward.placement.windows import roomy, windows_of
from sunward.world.snapshot import FloatArray, IntArray

ROUNDS_MAX = 300
EFFORT_MAX = 40_000_000
"""Figures that all rounds may touch: a limit of work, not of time."""
AIM_FRAC = 0.3
"""How far above the first bound the first steps aim, as a share of it."""
AIM_LEAST_FRAC = 1e-4
"""Where it ends."""
GAIN_LEAST_FRAC = 1e-4
"""A bound that is better by less of the aim is no progress."""
PATIENCE = 5
"""Rounds without progress until the aim is halved."""
MEMORY = 0.5
"""Share of the last direction in the next: prices swing less."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pieces:
    """Starts of runs in one piece, those of a job together."""

    begins: IntArray
    """(N,) where each job's begin."""
    row: IntArray
    first: IntArray
    last: IntArray
    gpus: IntArray
    cost: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slots:
    """Slots of runs with pauses: those of a job together, in them those of one slot together."""

    begins: IntArray
    """(M,) where each (job, slot) begins."""
    job: IntArray
    """(M,)."""
    row: IntArray
    slot: IntArray
    gpus: IntArray
    cost: FloatArray
    """Per unit of work."""
    work: FloatArray
    """Done in it."""
    wanted: FloatArray
    """(N,) of each job."""


def shadow_prices(fleet: Fleet, board: Board, tasks: Sequence[Task]) -> FloatArray:
    """(P, H) micro-USD of a container in a slot; 0 where nobody is in another's way."""
    free = np.maximum(board.free, 0)
    if not tasks:
        return np.zeros(free.shape)
    pieces = _pieces([task for task in tasks if not task.demand.pausable], board)
    slots = _slots([task for task in tasks if task.demand.pausable], board, fleet)
    ascent = _Ascent(np.zeros(free.shape))
    size = len(pieces.row) + len(slots.row) + free.size
    for _ in range(min(ROUNDS_MAX, max(1, EFFORT_MAX // size))):
        used = np.zeros(free.shape)
        value = _take_pieces(pieces, ascent.prices, used) + _take_slots(slots, ascent.prices, used)
        if not ascent.step(value - float((ascent.prices * free).sum()), used - free):
            break
    return ascent.best


class _Ascent:
    """Steps along what is taken beyond what there is, aimed a little above the best bound so far."""

    __slots__ = ("_aim", "_bound", "_direction", "_since", "best", "prices")

    def __init__(self, prices: FloatArray) -> None:
        self.best = self.prices = prices
        self._bound, self._aim, self._since = -np.inf, 0.0, 0
        self._direction = np.zeros_like(prices)

    def step(self, value: float, excess: FloatArray) -> bool:
        """Go on from what the prices led to; false where there is nothing left to gain."""
        self._aim = self._aim or abs(value) * AIM_FRAC
        self._since = 0 if value > self._bound + self._aim * GAIN_LEAST_FRAC else self._since + 1
        if value > self._bound:
            self._bound, self.best = value, self.prices
        if self._since >= PATIENCE:
            self._aim, self._since, self.prices = self._aim / 2, 0, self.best
            self._direction = np.zeros_like(excess)
            return self._aim > abs(self._bound) * AIM_LEAST_FRAC
        self._direction = MEMORY * self._direction + (1 - MEMORY) * excess
        along = np.where((self.prices <= 0) & (self._direction < 0), 0.0, self._direction)
        norm = float((along * along).sum())
        if norm == 0.0:
            return False
        self.prices = np.maximum(0.0, self.prices + (self._bound - value + self._aim) / norm * along)
        return True


def named_prices(fleet: Fleet, prices: FloatArray) -> tuple[ShadowPrice, ...]:
    """Prices as a plan tells them, whole micro-USD per container and hour, slots of one price together."""
    if not prices.any():
        return ()
    hourly = to_integer(prices * (units.HOUR_MS / fleet.usable_ms))
    found = []
    for row in np.flatnonzero(hourly.any(axis=1)).tolist():
        edges = np.flatnonzero(np.diff(hourly[row], prepend=-1, append=-1)).tolist()
        for first, last in pairwise(edges):
            if hourly[row, first]:
                begin, end = fleet.begin_ms[first], fleet.begin_ms[last - 1] + fleet.usable_ms[last - 1]
                price = int(hourly[row, first])
                pool = PoolId(fleet.pools.ids[row])
                found.append(ShadowPrice(pool=pool, start_ms=int(begin), end_ms=int(end), usd_micro_per_h=price))
    return tuple(found)


def _pieces(tasks: Sequence[Task], board: Board) -> Pieces:
    parts: list[tuple[IntArray, ...]] = []
    begins, size = [], 0
    for task in tasks:
        found = roomy(task.windows, board.open(task.demand))
        at, slot = np.nonzero(found)
        if len(at):
            begins.append(size)
            size += len(at)
            rows, counts = task.demand.rows[at], task.demand.counts[at]
            parts.append((rows, slot, task.windows.last[at, slot], counts, task.windows.total[at, slot]))
    row, first, last, gpus, cost = _joined(parts, 5)
    return Pieces(
        begins=np.array(begins, dtype=np.int64),
        row=row,
        first=first,
        last=last,
        gpus=gpus,
        cost=cost.astype(np.float64),
    )


def _joined(parts: list[tuple[IntArray, ...]], width: int) -> list[IntArray]:
    if not parts:
        return [np.zeros(0, dtype=np.int64)] * width
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _slots(tasks: Sequence[Task], board: Board, fleet: Fleet) -> Slots:
    parts: list[tuple[IntArray, ...]] = []
    wanted = []
    for one, task in enumerate(tasks):
        demand = task.demand
        room = board.open(demand)
        whole = fleet.begin_ms[: demand.slots] + fleet.usable_ms[: demand.slots] <= demand.limit_ms
        slot, at = np.nonzero((room & whole).T)
        rows = demand.rows[at]
        work = fleet.usable_ms[slot] * demand.rate_ppm[at]
        cost = demand.costs.run[demand.cost_rows[at], slot]
        parts.append((np.full(len(at), one), rows, slot, demand.counts[at], cost, work))
        wanted.append(demand.remaining_ms * units.PPM)
    job, row, slot, gpus, cost, work = _joined(parts, 6)
    change = np.flatnonzero((np.diff(job, prepend=-1) != 0) | (np.diff(slot, prepend=-1) != 0))
    return Slots(
        begins=change,
        job=job[change],
        row=row,
        slot=slot,
        gpus=gpus,
        cost=cost.astype(np.float64),
        work=work.astype(np.float64),
        wanted=np.array(wanted, dtype=np.float64),
    )


def _take_pieces(pieces: Pieces, prices: FloatArray, used: FloatArray) -> float:
    """Every job takes its cheapest start; returns what they cost."""
    if not len(pieces.row):
        return 0.0
    before = np.zeros((prices.shape[0], prices.shape[1] + 1))
    np.cumsum(prices, axis=1, out=before[:, 1:])
    priced = pieces.cost + pieces.gpus * (before[pieces.row, pieces.last] - before[pieces.row, pieces.first])
    least = np.minimum.reduceat(priced, pieces.begins)
    chosen = _first_equal(priced, least, pieces.begins)
    change = np.zeros_like(before)
    np.add.at(change, (pieces.row[chosen], pieces.first[chosen]), pieces.gpus[chosen])
    np.subtract.at(change, (pieces.row[chosen], pieces.last[chosen]), pieces.gpus[chosen])
    used += np.cumsum(change, axis=1)[:, :-1]
    return float(least.sum())


def _first_equal(values: FloatArray, least: FloatArray, begins: IntArray) -> IntArray:
    """Position of the least value of each stretch, the first of equals."""
    number = np.diff(np.append(begins, len(values)))
    equal = np.flatnonzero(values == np.repeat(least, number))
    which = np.repeat(np.arange(len(begins)), number)[equal]
    first: IntArray = equal[np.flatnonzero(np.diff(which, prepend=-1))]
    return first


def _take_slots(slots: Slots, prices: FloatArray, used: FloatArray) -> float:
    """Every job takes its cheapest slots, each on its cheapest pool, the last one in part."""
    if not len(slots.row):
        return 0.0
    per_work = (slots.cost + slots.gpus * prices[slots.row, slots.slot]) / slots.work
    least = np.minimum.reduceat(per_work, slots.begins)
    chosen = _first_equal(per_work, least, slots.begins)
    order = np.lexsort((least, slots.job))
    job, taken = slots.job[order], chosen[order]
    work = slots.work[taken]
    done = np.cumsum(work)
    starts = np.flatnonzero(np.diff(job, prepend=-1))
    before = done - work - np.repeat((done - work)[starts], np.diff(np.append(starts, len(job))))
    part = np.clip((slots.wanted[job] - before) / work, 0.0, 1.0)
    np.add.at(used, (slots.row[taken], slots.slot[taken]), part * slots.gpus[taken])
    return float((part * work * least[order]).sum())


def priced(fleet: Fleet, tasks: Sequence[Task], prices: FloatArray) -> list[Task]:
    """The same jobs, where every container in every slot costs its shadow price too."""
    known: dict[int, SlotCosts] = {}
    found = []
    for task in tasks:
        demand = task.demand
        key = id(demand.costs)
        if key not in known:
            known[key] = _with_prices(demand.costs, prices)
        near = fleet.near(demand.job.spec.deadline_ms)
        begin = start_run(near, known[key], demand.cost_rows, demand.delay_ms)
        dearer = replace(demand, costs=known[key], start_run=begin)
        found.append(replace(task, demand=dearer, windows=windows_of(fleet, dearer)))
    return found


def _with_prices(costs: SlotCosts, prices: FloatArray) -> SlotCosts:
    """Costs with the prices of the containers that each row holds."""
    added = to_integer(prices[costs.pool, : costs.run.shape[1]] * costs.gpus[:, None])
    terms, before = costs.terms.copy(), costs.before_run.copy()
    terms[RISK] += added
    before[:, 1:] += np.cumsum(added, axis=1)
    return replace(costs, terms=terms, run=costs.run + added, before_run=before)
