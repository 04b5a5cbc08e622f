"""The cheapest way to spread groups over cells, exactly: a minimum-cost flow (ortools), and what cells are worth in it.

Costs enter as whole numbers, steps of the range of all costs, so that equal input gives equal flows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np

from sunward.errors import InvariantError
from sunward.placement.crowd.cells import Cells, Filled
from sunward.world.snapshot import FloatArray, IntArray

EXACT = find_spec("ortools") is not None
"""Whether the library is there; some platforms have none. The name of the planner says so in every plan."""
ARCS_MAX = 1_000_000
"""Cells of all groups together: a limit of work, not of time."""
COST_STEPS = 1 << 17
"""Into which the range of costs is divided."""
PRICE_ROUNDS = 256
"""A price follows from others along chains of groups and cells; few are longer than ten."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arcs:
    """From G groups to C cells; N arcs, those of a group together."""

    group: IntArray
    cell: IntArray
    cost: IntArray
    wanted: IntArray
    """(G,) jobs."""
    room: IntArray
    """(C,) jobs that each cell holds."""


def cheapest(room: IntArray, cells: dict[int, Cells]) -> Filled:
    """As many jobs as find a cell at the least cost, the largest gangs first.

    Prices, and what no way to place all of them costs less than, are of gangs that may be taken apart: with one size
    of gangs the same as of whole ones.
    """
    free = np.maximum(room.reshape(-1), 0)
    whole, left = free.copy(), free
    sizes = sorted({one.gpus for one in cells.values()}, reverse=True)
    flows = []
    for gpus in sizes:
        some = {group: one for group, one in cells.items() if one.gpus == gpus}
        flows.append(_flow(some, left // gpus, gpus))
        np.subtract.at(left, flows[-1].at, flows[-1].jobs * gpus)
    loose = flows[0] if len(sizes) == 1 else _flow({group: _loose(one) for group, one in cells.items()}, whole, 1)
    group, at, jobs, cost = (
        np.concatenate([getattr(one, name) for one in flows]) for name in ("group", "at", "jobs", "cost")
    )
    return Filled(
        group=group,
        at=at,
        jobs=jobs,
        cost=cost,
        worth=(sum(one.worth[0] for one in flows), sum(one.worth[1] for one in flows)),
        prices=loose.prices,
        bound=loose.worth[1],
    )


def _loose(cells: Cells) -> Cells:
    return Cells(at=cells.at, cost=cells.cost / cells.gpus, gpus=1, wanted=cells.wanted * cells.gpus)


def _within(cells: Cells, room: IntArray, wanted: int) -> Cells:
    """The cheapest cells that hold so many jobs: as many as all groups have never fill them, so no other is used."""
    there = room[cells.at]
    if int(there.sum()) <= wanted:
        return cells
    order = np.argsort(cells.cost, kind="stable")
    some = order[: int(np.searchsorted(np.cumsum(there[order]), wanted)) + 1]
    return replace(cells, at=cells.at[some], cost=cells.cost[some])


def _flow(cells: dict[int, Cells], room: IntArray, gpus: int) -> Filled:
    """The least cost for groups of one size; `room` is how many of their jobs each cell holds."""
    wanted = sum(one.wanted for one in cells.values())
    cells = {group: _within(one, room, wanted) for group, one in cells.items()}
    names = np.array(list(cells), dtype=np.int64)
    at = np.concatenate([one.at for one in cells.values()])
    costs = np.concatenate([one.cost for one in cells.values()])
    number = np.repeat(np.arange(len(names)), [len(one.at) for one in cells.values()])
    step = max(float(np.ptp(costs)) / COST_STEPS, float(np.finfo(np.float64).tiny))
    arcs = Arcs(
        group=number,
        cell=at,
        cost=np.rint((costs - costs.min()) / step).astype(np.int64),
        wanted=np.array([one.wanted for one in cells.values()], dtype=np.int64),
        room=room,
    )
    jobs = solved(arcs)
    used = np.flatnonzero(jobs)
    return Filled(
        group=names[number[used]],
        at=at[used],
        jobs=jobs[used],
        cost=costs[used],
        worth=(int(arcs.wanted.sum() - jobs.sum()), float(costs @ jobs)),
        prices=prices_of(arcs, jobs) * (step / gpus),
    )


def solved(arcs: Arcs) -> IntArray:
    """(N,) jobs on each arc."""
    from ortools.graph.python import min_cost_flow  # noqa: PLC0415 - 80 MB that few plans need

    groups = len(arcs.wanted)
    used = np.unique(arcs.cell)
    cell, sink = groups + np.searchsorted(used, arcs.cell), groups + len(used)
    solver = min_cost_flow.SimpleMinCostFlow()
    most = np.minimum(arcs.wanted[arcs.group], arcs.room[arcs.cell])
    numbers = solver.add_arcs_with_capacity_and_unit_cost(arcs.group, cell, most, arcs.cost)
    ends = np.arange(groups, sink)
    solver.add_arcs_with_capacity_and_unit_cost(ends, np.full_like(ends, sink), arcs.room[used], np.zeros_like(ends))
    solver.set_nodes_supplies(np.arange(groups), arcs.wanted)
    solver.set_node_supply(sink, -int(arcs.wanted.sum()))
    status = solver.solve()
    if status == solver.INFEASIBLE:
        status = solver.solve_max_flow_with_min_cost()
    if status != solver.OPTIMAL:
        raise InvariantError(f"a flow over {len(most)} arcs ended with {status.name}")
    jobs: IntArray = solver.flows(numbers).astype(np.int64)
    return jobs


def prices_of(arcs: Arcs, jobs: IntArray) -> FloatArray:
    """(C,) the least prices, in steps of cost, at which each group finds nothing cheaper than the cells it has.

    A group is worth what its dearest cell costs with its price; a full cell is worth what the group that would gain
    most from it is worth beyond its cost there. Without a better flow no chain of these comes back to where it began.
    """
    taken = np.flatnonzero(jobs)
    if not len(taken):
        return np.zeros(len(arcs.room))
    has, begins = np.unique(arcs.group[taken], return_index=True)
    held = np.bincount(arcs.cell, jobs, len(arcs.room))
    wants = np.flatnonzero((held >= arcs.room)[arcs.cell] & (arcs.room > 0)[arcs.cell])
    wants = wants[np.argsort(arcs.cell[wants], kind="stable")]
    scarce, first = np.unique(arcs.cell[wants], return_index=True)
    worth, prices = np.full(len(arcs.wanted), -np.inf), np.zeros(len(arcs.room))
    for _ in range(PRICE_ROUNDS if len(scarce) else 0):
        worth[has] = np.maximum.reduceat(arcs.cost[taken] + prices[arcs.cell[taken]], begins)
        found = np.maximum(0.0, np.maximum.reduceat(worth[arcs.group[wants]] - arcs.cost[wants], first))
        if np.array_equal(found, prices[scarce]):
            break
        prices[scarce] = found
    return prices
