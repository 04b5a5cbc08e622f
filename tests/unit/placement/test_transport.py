from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from sunward.placement.crowd import flow
from sunward.placement.crowd.cells import Cells
from sunward.placement.crowd.filling import filled
from sunward.placement.crowd.transport import Arcs, cheapest, prices_of, solved
from tests.unit.placement.test_cohorts import ASKED, cells, checked, world

SEEDS = range(12)


def drawn(seed: int, *, room: int) -> Arcs:
    draw = np.random.default_rng(seed)
    groups, number = 6, 9
    group, cell = np.nonzero(draw.random((groups, number)) < 0.6)
    return Arcs(
        group=group,
        cell=cell,
        cost=draw.integers(0, 50, len(group)),
        wanted=draw.integers(1, 8, groups),
        room=draw.integers(0, room, number),
    )


def programme(arcs: Arcs) -> tuple[int, float]:
    """The most jobs that find a cell, and the least cost of that, by linear programming."""
    size = len(arcs.group)
    of_group = np.zeros((len(arcs.wanted), size))
    of_cell = np.zeros((len(arcs.room), size))
    of_group[arcs.group, np.arange(size)] = of_cell[arcs.cell, np.arange(size)] = 1
    limits = (np.vstack([of_group, of_cell]), np.concatenate([arcs.wanted, arcs.room]))
    most = round(-linprog(-np.ones(size), A_ub=limits[0], b_ub=limits[1], method="highs").fun)
    least = linprog(arcs.cost, A_ub=limits[0], b_ub=limits[1], A_eq=np.ones((1, size)), b_eq=[most], method="highs")
    return most, float(least.fun)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("room", [4, 12])
def test_flows_cost_what_a_linear_programme_proves(seed: int, room: int) -> None:
    arcs = drawn(seed, room=room)
    jobs = solved(arcs)
    assert (np.bincount(arcs.group, jobs, len(arcs.wanted)) <= arcs.wanted).all()
    assert (np.bincount(arcs.cell, jobs, len(arcs.room)) <= arcs.room).all()
    most, least = programme(arcs)
    assert jobs.sum() == most
    assert float(jobs @ arcs.cost) == pytest.approx(least)


@pytest.mark.parametrize("seed", SEEDS)
def test_prices_prove_the_flow(seed: int) -> None:
    """Who has a cell finds none cheaper at the prices, and a cell that is not full costs nothing."""
    arcs = drawn(seed, room=12)
    jobs = solved(arcs)
    prices = prices_of(arcs, jobs)
    assert (prices >= 0).all()
    held = np.bincount(arcs.cell, jobs, len(arcs.room))
    assert not prices[held < arcs.room].any()
    dear = arcs.cost + prices[arcs.cell]
    usable = arcs.room[arcs.cell] > 0
    for group in np.unique(arcs.group[jobs > 0]).tolist():
        mine = arcs.group == group
        if jobs[mine].sum() == arcs.wanted[group]:
            assert dear[mine & (jobs > 0)].max() <= dear[mine & usable].min() + 1e-9


def test_gangs_of_several_sizes_take_turns_and_never_more_than_there_is() -> None:
    draw = np.random.default_rng(7)
    every = {
        number: Cells(at=np.arange(8), cost=draw.random(8) * 100, gpus=int(gpus), wanted=5)
        for number, gpus in enumerate([1, 2, 4, 1])
    }
    room = np.full((2, 4), 7)
    found = cheapest(room, every)
    gpus = np.array([every[group].gpus for group in found.group.tolist()])
    assert (np.bincount(found.at, found.jobs * gpus, 8) <= 7).all()
    assert found.jobs.sum() + found.worth[0] == 20
    assert found.worth[1] == pytest.approx(float((found.jobs * found.cost).sum()))


@pytest.mark.parametrize("seed", SEEDS)
def test_cells_that_are_not_looked_at_would_not_be_used(seed: int) -> None:
    arcs = drawn(seed, room=30)
    every = {
        group: Cells(
            at=arcs.cell[arcs.group == group],
            cost=arcs.cost[arcs.group == group].astype(np.float64),
            gpus=1,
            wanted=int(arcs.wanted[group]),
        )
        for group in np.unique(arcs.group).tolist()
    }
    found, jobs = cheapest(arcs.room.reshape(3, 3), every), solved(arcs)
    assert found.jobs.sum() == jobs.sum()
    assert found.worth[1] == pytest.approx(float(jobs @ arcs.cost))


def test_nothing_flows_better_than_the_flow() -> None:
    draw = np.random.default_rng(3)
    every = {number: Cells(at=np.arange(12), cost=draw.random(12), gpus=1, wanted=4) for number in range(7)}
    room = np.full((3, 4), 3)
    filling = filled(room, every)
    assert filling is not None
    assert cheapest(room, every).worth <= filling.worth


def test_without_the_library_filling_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = checked(world(ASKED, cohorts=True))
    monkeypatch.setattr(flow, "EXACT", False)
    made = checked(world(ASKED, cohorts=True))
    assert sum(cells(made).values()) == sum(cells(exact).values())
    assert not made.prices
    cost = [sum(one.terms.total for one in each.cohorts) for each in (exact, made)]
    assert cost[0] <= cost[1]


def test_equal_snapshots_give_equal_plans_in_any_order_of_rows() -> None:
    snapshot = world(ASKED, cohorts=True)
    assert snapshot.crowd is not None
    turned = replace(snapshot, crowd=snapshot.crowd.of(np.array([2, 0, 3, 1])))
    assert checked(turned) == checked(snapshot)
