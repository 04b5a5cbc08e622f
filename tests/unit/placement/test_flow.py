from __future__ import annotations

from dataclasses import replace

import numpy as np
from benchmarks._crowds import crowd_of, with_crowd

from sunward.model.plan import Plan
from sunward.placement.planner import plan
from sunward.sim.plan_checker import check_plan
from sunward.units import HOUR_MS, W_PER_KW
from sunward.world.snapshot import Snapshot

ZONES = ("A", "B")


def asked(groups: list[tuple[int, int, int, list[str]]], intensity: list[list[float]], containers: int) -> Snapshot:
    """Groups of jobs of an hour: how many, opens, due and zones."""
    kind = np.repeat(np.arange(len(groups)), [number for number, *_ in groups])
    jobs = crowd_of(
        ids=[f"g{one}-{at:03d}" for one, (number, *_) in enumerate(groups) for at in range(number)],
        gpus=np.ones(len(kind), dtype=np.int64),
        opens_ms=np.array([opens for _, opens, *_ in groups])[kind] * HOUR_MS,
        deadline_ms=np.array([due for _, _, due, _ in groups])[kind] * HOUR_MS,
        length_ms=np.full(len(kind), HOUR_MS),
        pausable=np.ones(len(kind), dtype=np.bool_),
        places=kind,
        place_sets=[zones for *_, zones in groups],
    )
    return with_crowd(ZONES, np.array(intensity), 0, containers, float(W_PER_KW), jobs)


def cells(made: Plan) -> dict[str, list[tuple[str, int]]]:
    """Where the jobs of each group run."""
    found: dict[str, list[tuple[str, int]]] = {}
    for one in made.assignments:
        part = one.segments[0]
        found.setdefault(one.job[:2], []).append((part.pool, part.start_ms // HOUR_MS))
    return {group: sorted(where) for group, where in found.items()}


def checked(world: Snapshot) -> Plan:
    made = plan(world)
    assert check_plan(world, made) == []
    return made


def test_a_group_fills_its_cheapest_cells_though_several_lie_in_one_pool() -> None:
    world = asked([(20, 0, 3, ["A", "B"]), (1, 0, 1, ["B"])], [[90.0, 10.0, 20.0], [200.0, 100.0, 95.0]], 10)
    where = cells(checked(world))
    assert where["g0"] == [("A", 1)] * 10 + [("A", 2)] * 10
    assert where["g1"] == [("B", 0)]


def test_work_with_another_hour_leaves_the_clean_one_to_work_that_has_none() -> None:
    """Both want zone A at one o'clock; the second group has no other hour than the dear first one."""
    world = asked([(10, 0, 3, ["A"]), (10, 0, 2, ["A"])], [[500.0, 10.0, 40.0], [1.0, 1.0, 1.0]], 10)
    where = cells(checked(world))
    assert where == {"g0": [("A", 2)] * 10, "g1": [("A", 1)] * 10}


def test_everything_finds_a_place_where_it_just_fits() -> None:
    """Who has more than one hour must leave the only hour of the other, at any cost."""
    world = asked([(20, 0, 3, ["A"]), (10, 1, 2, ["A"])], [[500.0, 1.0, 500.0], [1.0, 1.0, 1.0]], 10)
    made = checked(world)
    assert not made.unplaced
    assert cells(made)["g1"] == [("A", 1)] * 10


def test_gangs_share_a_cell_by_their_size() -> None:
    world = asked([(9, 0, 3, ["A"]), (9, 0, 3, ["A"])], [[300.0, 10.0, 200.0], [1.0, 1.0, 1.0]], 10)
    assert world.crowd is not None
    gangs = np.where(np.arange(18) < 9, 2, 1)
    made = checked(replace(world, crowd=replace(world.crowd, gpus=gangs)))
    assert len(made.assignments) == 18
    held = np.zeros(3, dtype=np.int64)
    for one in made.assignments:
        held[one.segments[0].start_ms // HOUR_MS] += one.segments[0].containers
    assert held.sum() == 27
    assert held[1] >= 9, "the clean hour is full but for what no gang of two fits"
