"""New jobs beside what stands: nobody is moved, and nothing is broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sunward.model.plan import IMMEDIATE
from sunward.placement import fleet
from sunward.placement.fleet import fleet_of
from sunward.placement.immediate import place
from sunward.placement.planner import plan, quote
from sunward.sim.plan_checker import check_plan
from sunward.world.snapshot import Snapshot, Standing
from tests.support.snapshots import SLOT_MS, Pool, job, snapshot, spec

SLOTS = 16


def with_standing(world: Snapshot, **taken: int) -> Snapshot:
    """Containers that others hold of each pool throughout."""
    rows = [[taken.get(pool, 0)] * world.slots for pool in world.pools.ids]
    busy = np.array([row[0] for row in rows], np.int64)
    return replace(world, standing=Standing(taken=np.array(rows, np.int64), busy=busy))


def test_alone_it_is_what_a_full_plan_gives():
    world = snapshot([Pool(id="no"), Pool(id="pl", ask=0.9)], [job("one", units_done=0)])
    mine, full = place(world), plan(world)
    assert mine == replace(full, planner=IMMEDIATE)
    assert mine.adds
    assert not full.adds


def test_the_first_come_has_the_better_place():
    world = snapshot([Pool(id="cheap", count=1, ask=0.5), Pool(id="dear", count=1)], slots=SLOTS)
    late = job("a-late", hours=4.0, due_h=4.0)
    made = place(replace(world, jobs=(replace(late, spec=replace(late.spec, job="z-first")), late)))
    assert check_plan(replace(world, jobs=(late, replace(late, spec=replace(late.spec, job="z-first")))), made) == []
    assert {one.job: one.segments[0].pool for one in made.assignments} == {"z-first": "cheap", "a-late": "dear"}


def test_what_others_hold_is_left_to_them():
    world = with_standing(snapshot([Pool(id="cheap", ask=0.5), Pool(id="dear")], [job("new")]), cheap=2)
    assert [one.segments[0].pool for one in place(world).assignments] == ["dear"]
    assert quote(world, spec("new")) == replace(place(world).assignments[0], revision=0)
    full = with_standing(world, cheap=2, dear=1)
    (refused,) = place(replace(full, jobs=(job("two", gpus=2),))).unplaced
    assert (refused.reason, refused.permanent) == ("capacity", False)


def test_under_a_ceiling_others_count_as_the_hungriest_work():
    # A busy container draws 390 W above a sleeping one, two sleep at 10 W each.
    for watts, fits in ((20 + 2 * 390, True), (20 + 2 * 390 - 1, False)):
        world = snapshot([Pool(id="one")], [job("new")], ceiling_w={"one": [float(watts)]})
        assert bool(place(with_standing(world, one=1)).assignments) is fits


def test_what_is_idle_and_awake_is_not_counted_twice():
    awake = snapshot([Pool(id="no", awake=1, wake_j=1e6, wake_ms=SLOT_MS)], [job("new", due_h=1.3)])
    (free,) = place(awake).assignments
    (woken,) = place(with_standing(awake, no=1)).assignments or (None,)
    assert free.terms.wake == 0
    assert woken is None or woken.terms.wake > 0


def test_a_search_over_fewer_slots_finds_the_same(monkeypatch):
    carbon = {"NO": [float(50 + 37 * slot % 211) for slot in range(96)]}
    jobs = [
        job(f"j-{n}", hours=0.4 + 0.3 * n, due_h=2.0 + n, interruptible=n % 2 == 0, carbon_price_usd_per_t=5_000)
        for n in range(6)
    ]
    world = snapshot([Pool(id="no"), Pool(id="pl", zone="PL", rate=0.7)], jobs, slots=96, carbon=carbon)
    near = place(world)
    assert fleet_of(world).near(jobs[0].spec.deadline_ms).slots == 16
    monkeypatch.setattr(fleet, "NEAR_SLOTS_MIN", 96)
    assert fleet_of(world).near(jobs[0].spec.deadline_ms).slots == 96
    assert place(world) == near
    assert check_plan(world, near) == []


def test_flexible_work_leaves_what_is_scarce_and_is_not_asked_for_its_shadow_price():
    # Four clean hours; each container of them would save others 0.08 USD an hour.
    world = snapshot([Pool(id="one")], [job("new", hours=1.0, due_h=4.0)], carbon={"NO": [10.0] * 8 + [100.0] * 8})
    clean = place(world)
    shadow = np.zeros((1, SLOTS), np.int64)
    shadow[0, :8] = 80_000
    scarce = replace(world, shadow_usd_micro_per_h=shadow)
    made = place(scarce)
    assert clean.assignments[0].segments[0].start_ms == world.now_ms
    assert made.assignments[0].segments[0].start_ms == world.now_ms + 8 * SLOT_MS
    assert made.assignments[0].terms.shadow == 0
    assert plan(scarce).assignments[0].segments == clean.assignments[0].segments
    # Who has no other time pays it in the score, not in money.
    urgent = replace(scarce, jobs=(job("new", hours=1.0, due_h=2.0),))
    assert place(urgent).assignments[0].terms.shadow == 80_000
    told, free = quote(scarce, spec("new", due_h=2.0)), quote(world, spec("new", due_h=2.0))
    assert told == free
