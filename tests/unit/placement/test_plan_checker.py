"""The checker sees what a careless planner would do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.model.plan import Assignment, Plan, Unplaced
from sunward.placement.planner import plan
from sunward.sim.plan_checker import check_plan
from sunward.units import MINUTE_MS
from sunward.world.snapshot import Snapshot
from tests.support.snapshots import NOW_MS, Pool, job, segment, snapshot

POOLS = (
    Pool(id="es", zone="ES", country="ES", count=1, memory_gib=48, model="l40s"),
    Pool(id="no", count=2, wake_ms=2 * MINUTE_MS),
)


def world_of(**fields: object) -> Snapshot:
    jobs = [job("a", hours=1.0, **fields), job("holder", fixed=True, pool="es", segments=(segment("es", 0, 1),))]  # type: ignore[arg-type]
    return snapshot(POOLS, jobs, ceiling_w={"no": [500.0]})


def test_a_start_after_the_start_by_is_named() -> None:
    assert "start-by" in faults(world_of(start_by_ms=NOW_MS + 30 * MINUTE_MS), segments=(segment("no", 1, 2),))


def changed(world: Snapshot, **fields: object) -> Plan:
    made = plan(world)
    return replace(made, assignments=(replace(made.assignments[0], **fields),))  # type: ignore[arg-type]


def faults(world: Snapshot, **fields: object) -> str:
    return "\n".join(check_plan(world, changed(world, **fields)))


def test_a_sound_plan_has_no_faults() -> None:
    world = world_of()
    assert check_plan(world, plan(world)) == []


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"revision": 2}, "revision 2 was read, the snapshot has 1"),
        ({"free_read": 0}, "read 0 free containers"),
        ({"segments": ()}, "no segments on known pools"),
        ({"segments": (segment("xx", 1, 2),)}, "no segments on known pools"),
        ({"segments": (segment("no", -1, 0.5),)}, "begins before"),
        ({"segments": (segment("no", 3.5, 4.5),)}, "missed"),
        ({"segments": (segment("no", 3.5, 4.5),)}, "after the horizon"),
        ({"segments": (segment("no", 1, 1.9),)}, "work not completed: 3240000 of 3600000"),
        ({"segments": (segment("no", 1, 2, 2),)}, "2 containers for a gang of 1"),
        ({"segments": (segment("no", 1, 2, 2),)}, "draws 800 W"),
        ({"segments": (segment("no", 1, 1.5), segment("no", 2, 2.5))}, "runs in one piece, got 2"),
        ({"segments": (segment("es", 0.5, 1.5),)}, "es oversubscribed"),
        ({"segments": (segment("no", 1, 2),)}, "0 containers awake"),
        ({"energy_j": 1}, "states 1 J"),
        ({"carbon_mg": 1}, "states 1 mg"),
    ],
)
def test_faults_of_an_assignment_are_named(fields: dict[str, object], found: str) -> None:
    assert found in faults(world_of(), **fields)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"gpus": 2}, "es has 1 containers, 2 wanted"),
        ({"gpu_memory_gib": 80}, "es has 48 GiB, 80 wanted"),
        ({"gpu_models": ("a100",)}, "es has l40s"),
        ({"allowed_countries": ("NO",)}, "es is in ES"),
        ({"origin_zone": "KR", "latency_max_ms": 150}, "es is 170 ms away, at most 150 are allowed"),
        ({"origin_zone": "nowhere", "latency_max_ms": 150}, "es is inf ms away"),
        ({"evidence": ("place=metered",)}, "es is believed declared in place, metered is asked"),
        ({"budget_usd_micro": 1_500_000}, "the budget is 1500000"),
    ],
)
def test_broken_constraints_are_named(asked: dict[str, object], found: str) -> None:
    careless = changed(world_of(), segments=(segment("es", 1, 2.75),))
    world = snapshot(POOLS, [job("a", **asked)])  # type: ignore[arg-type]
    assert found in "\n".join(check_plan(world, careless))


def test_a_site_that_does_not_admit_the_tenant_is_named() -> None:
    careless = plan(snapshot([Pool(id="no")], [job("a")]))
    closed = snapshot([Pool(id="no", admission="own")], [job("a")])
    assert check_plan(closed, careless) == ["a: no does not admit this tenant"]


def test_restart_time_counts_as_no_work() -> None:
    pools = [Pool(id="no")]
    careless = plan(snapshot(pools, [job("a", hours=1.0)]))
    resumed = snapshot(pools, [job("a", hours=2.0, units_done=500)])
    assert "work not completed: 3300000 of 3600000" in check_plan(resumed, careless)[0]


def test_names_must_be_open_movable_and_single() -> None:
    world = world_of()
    made = plan(world)
    one: Assignment = made.assignments[0]
    refused = Unplaced(job=one.job, revision=3, reason="mood", detail="", permanent=False)
    strange = replace(
        made,
        at_ms=NOW_MS - 1,
        assignments=(one, replace(one, job="holder"), replace(one, job="nobody")),  # type: ignore[arg-type]
        unplaced=(refused, replace(refused, job="ghost")),  # type: ignore[arg-type]
    )
    found = "\n".join(check_plan(world, strange))
    for fault in (
        "not on this snapshot",
        "a: named 2 times",
        "nobody: not an open job",
        "ghost: not an open job",
        "holder: is fixed",
        "a: revision 3 was read",
        "without a known reason",
    ):
        assert fault in found
