"""Work that flows, filled into cells one group after another.

Each group takes the cells that cost it least with their prices, as many jobs as find room. Then all is done anew: who
ended far above its cheapest cells goes earlier, and a full cell costs what the group that wants it most would pay. The
best of a fixed number of fillings is taken.
"""

from __future__ import annotations

import numpy as np

from sunward.placement.crowd.cells import Cells, Filled
from sunward.world.snapshot import FloatArray, IntArray

FILLINGS_MAX = 12
CELLS_MAX = 8_000_000
"""Figures that all fillings may touch: a limit of work, not of time."""
FIRST_SHARE = 0.3
"""Share of what a filling tells in the prices after it; less each time, so that they settle."""
AHEAD_FRAC = 0.5
"""How far the group that lost most goes ahead, as a share of all."""


def filled(room: IntArray, cells: dict[int, Cells]) -> Filled | None:
    """The best of some fillings; None where there are more cells than may be looked at."""
    fillings = min(FILLINGS_MAX, CELLS_MAX // max(1, sum(len(one.at) for one in cells.values())))
    prices = np.zeros(room.size)
    order, best = list(cells), None
    for number in range(fillings if order else 0):
        found, lost, level, free = _fill(cells, order, room, prices)
        if best is None or found.worth < best.worth:
            best = found
        if not any(lost.values()):
            break
        order = _reordered(order, lost)
        prices += FIRST_SHARE / (1 + number) * (_told(cells, level, free) - prices)
    return best


def _fill(
    cells: dict[int, Cells], order: list[int], room: IntArray, prices: FloatArray
) -> tuple[Filled, dict[int, float], dict[int, float], IntArray]:
    """One filling; what each group lost against its cheapest cells, and the price per container at which it ended."""
    free = np.maximum(room.reshape(-1), 0)
    whole = free.copy()
    parts, lost, level = [], {}, {}
    without, cost = 0, 0.0
    for group in order:
        one = cells[group]
        priced = one.cost + one.gpus * prices[one.at]
        ranked = np.argsort(priced, kind="stable")
        at = one.at[ranked]
        taken = _first(free[at] // one.gpus, one.wanted)
        alone = _first(whole[at] // one.gpus, one.wanted)
        free[at] -= taken * one.gpus
        used = np.flatnonzero(taken)
        parts.append((np.full(len(used), group), at[used], taken[used], one.cost[ranked[used]]))
        missing = one.wanted - int(taken.sum())
        without += missing
        cost += float(taken @ one.cost[ranked])
        lost[group] = float(priced[ranked] @ (taken - alone)) if not missing else np.inf
        level[group] = float(priced[ranked[used[-1]]]) / one.gpus if len(used) else 0.0
    where, at, jobs, each = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Filled(group=where, at=at, jobs=jobs, cost=each, worth=(without, cost)), lost, level, free


def _first(room: IntArray, wanted: int) -> IntArray:
    """How many go to each cell when the first are filled first."""
    before = np.cumsum(room) - room
    taken: IntArray = np.clip(wanted - before, 0, room)
    return taken


def _reordered(order: list[int], lost: dict[int, float]) -> list[int]:
    """Those without room for all first, then everybody as far ahead as it lost."""
    most = max([1.0, *(one for one in lost.values() if np.isfinite(one))])
    ahead = AHEAD_FRAC * len(order) / most
    rank = {group: at - ahead * lost[group] for at, group in enumerate(order)}
    return sorted(order, key=rank.__getitem__)


def _told(cells: dict[int, Cells], level: dict[int, float], free: IntArray) -> FloatArray:
    """What a container of each full cell is worth to the group that would pay most for it."""
    worth = np.zeros(len(free))
    for group, one in cells.items():
        np.maximum.at(worth, one.at, level[group] - one.cost / one.gpus)
    worth[free > 0] = 0.0
    return worth
