from __future__ import annotations

from dataclasses import replace

import numpy as np

from sunward.model.plan import PolicyInputs
from sunward.placement.assign import assign
from sunward.placement.board import Board
from sunward.placement.demand import Demand, demand_of
from sunward.placement.fleet import fleet_of
from sunward.placement.planner import plan
from sunward.placement.polish import polish
from sunward.placement.prices import named_prices, shadow_prices
from sunward.placement.search import Task, task_of
from sunward.placement.shares import Shares
from sunward.sim.plan_checker import check_plan
from sunward.units import HOUR_MS
from sunward.world.snapshot import JobView, Snapshot
from tests.support.snapshots import NOW_MS, Pool, job, segment, snapshot

FREE_MOVES = PolicyInputs(delay_ppm_per_h=0, switch_ms=0, hysteresis_ppm=0)
HOURS = [500.0, 300.0, 20.0, 60.0, 400.0, 100.0, 350.0, 80.0]


def tasks_of(world: Snapshot) -> dict[str, Task]:
    fleet, tasks = fleet_of(world), {}
    for one in world.jobs:
        demand = demand_of(fleet, one, {})
        assert isinstance(demand, Demand)
        tasks[str(one.spec.job)] = task_of(fleet, demand)
    return tasks


def crowded(seed: int, jobs: int = 14) -> Snapshot:
    """One-container pools, jobs of an hour to four, half of them with pauses."""
    draw = np.random.default_rng(seed)
    asked: list[JobView] = []
    for at in range(jobs):
        hours = int(draw.integers(1, 5))
        due = min(8, hours + int(draw.integers(2, 6)))
        pauses = bool(draw.integers(2))
        asked.append(job(f"j{at:02d}", hours=hours, due_h=due, interruptible=pauses, carbon_price_usd_per_t=5_000))
    pools = [Pool(id=f"p{at}", zone=f"z{at}", count=2, ask=0.01) for at in range(3)]
    carbon = {f"z{at}": np.roll(HOURS, 2 * at).tolist() for at in range(3)}
    return snapshot(pools, asked, slots=8, slot_ms=HOUR_MS, carbon=carbon, policy=FREE_MOVES)


def test_prices_are_where_jobs_stand_in_one_anothers_way() -> None:
    """Two want the one clean hour; the second-best hour is worth 80 g/kWh more to either."""
    asked = [job(name, hours=1, due_h=3, carbon_price_usd_per_t=5_000) for name in ("a", "b")]
    world = snapshot(
        [Pool(id="no", count=1)],
        asked,
        slots=3,
        slot_ms=HOUR_MS,
        carbon={"NO": [200.0, 20.0, 100.0]},
        policy=FREE_MOVES,
    )
    fleet = fleet_of(world)
    prices = shadow_prices(fleet, Board(fleet), list(tasks_of(world).values()))
    assert prices[0, 1] > 0
    named = named_prices(fleet, prices)
    assert {(one.pool, one.start_ms) for one in named} >= {("no", NOW_MS + HOUR_MS)}
    assert all(one.usd_micro_per_h > 0 and one.start_ms < one.end_ms for one in named)
    assert plan(world).prices == named


def test_where_there_is_room_for_all_nothing_has_a_price() -> None:
    world = snapshot([Pool(id="no", count=2)], [job("a"), job("b")], carbon={"NO": [200.0, 20.0]})
    assert plan(world).prices == ()


def test_prices_bound_what_any_plan_can_cost() -> None:
    for seed in range(4):
        world = crowded(seed)
        fleet, tasks = fleet_of(world), tasks_of(world)
        board = Board(fleet)
        prices = shadow_prices(fleet, board, list(tasks.values()))
        draft = assign(fleet, board, tasks, Shares(()))
        polish(draft, prices)
        if len(draft.chosen) < len(tasks):
            continue
        empty = Board(fleet)
        least = 0.0
        for task in tasks.values():
            room = empty.open(task.demand)
            rows, held = task.demand.rows, task.demand.gpus * prices
            hourly = task.demand.costs.run[task.demand.cost_rows] + held[rows]
            # No job does better than in the cheapest of its hours, each on its cheapest pool.
            best = np.where(room, hourly[:, : room.shape[1]], np.inf).min(axis=0)
            limit = (task.demand.limit_ms - fleet.start_ms) // HOUR_MS
            least += float(np.sort(best[:limit])[: task.demand.remaining_ms // HOUR_MS].sum())
        assert least - float((prices * empty.free).sum()) <= sum(one.total for one in draft.chosen.values())


def test_polishing_never_costs_more_and_takes_nobodys_place() -> None:
    better = 0
    for seed in range(8):
        world = crowded(seed)
        fleet, tasks = fleet_of(world), tasks_of(world)
        board = Board(fleet)
        prices = shadow_prices(fleet, board, list(tasks.values()))
        draft = assign(fleet, board, tasks, Shares(()))
        before = dict(draft.chosen)
        polish(draft, prices)
        assert draft.chosen.keys() >= before.keys()
        if draft.chosen.keys() == before.keys():
            gained = sum(one.total for one in before.values()) - sum(one.total for one in draft.chosen.values())
            assert gained >= 0
            better += gained > 0
        assert check_plan(world, plan(world)) == []
    assert better


def test_flexible_work_leaves_the_clean_hour_to_work_that_has_no_other() -> None:
    """The short job comes first by id and would like the cleanest hour, which the long one needs for its one piece."""
    asked = [
        job("a-short", hours=1, due_h=8, carbon_price_usd_per_t=5_000),
        job("b-long", hours=3, due_h=5, carbon_price_usd_per_t=5_000),
    ]
    carbon = {"NO": [500.0, 500.0, 20.0, 10.0, 20.0, 500.0, 30.0, 500.0]}
    world = snapshot([Pool(id="no", count=1)], asked, slots=8, slot_ms=HOUR_MS, carbon=carbon, policy=FREE_MOVES)
    chosen = {one.job: one.segments for one in plan(world).assignments}
    assert chosen == {"a-short": (segment("no", 6, 7),), "b-long": (segment("no", 2, 5),)}


def test_an_announced_job_does_not_begin_before_it_opens() -> None:
    asked = replace(job("later", hours=1, due_h=8, carbon_price_usd_per_t=5_000), opens_ms=NOW_MS + 4 * HOUR_MS)
    carbon = {"NO": [1.0, 1.0, 1.0, 1.0, 300.0, 200.0, 300.0, 300.0]}
    world = snapshot([Pool(id="no")], [asked], slots=8, slot_ms=HOUR_MS, carbon=carbon, policy=FREE_MOVES)
    assert plan(world).assignments[0].segments == (segment("no", 5, 6),)
    kept = replace(asked, segments=(segment("no", 0, 1),))
    assert plan(replace(world, jobs=(kept,))).assignments[0].segments == (segment("no", 5, 6),)
