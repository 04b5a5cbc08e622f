"""Elastic jobs: plans break nothing, one number of GPUs is the plain plan, and the search equals brute force."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.model.plan import Assignment
from sunward.placement.board import Board
from sunward.placement.demand import Demand, demand_of
from sunward.placement.fleet import fleet_of
from sunward.placement.pauses import best_with_pauses, quantum_ms
from sunward.placement.planner import plan, quote
from sunward.placement.why import why
from sunward.sim.plan_checker import check_plan
from sunward.units import HOUR_MS, MINUTE_MS, PPM
from sunward.world.snapshot import JobView, Snapshot
from tests.property.test_placement import QUICK, snapshots
from tests.support.cargo import moved_usd_micro
from tests.support.snapshots import NOW_MS, Pool, job, segment, snapshot, spec

CURVES = ((1_000_000, 1_900_000, 2_700_000, 3_400_000), (1_000_000, 1_200_000), (1_000_000,) * 3)


def changed(world: Snapshot, change) -> Snapshot:
    """The world with every job that can show its progress changed to one that pauses, and then by `change`."""
    jobs = []
    for one in world.jobs:
        shows = one.spec.units > 1 and not one.fixed
        jobs.append(change(replace(one, spec=replace(one.spec, interruptible=True))) if shows else one)
    return replace(world, jobs=tuple(jobs))


def with_curve(one: JobView, curve: tuple[int, ...]) -> JobView:
    """An elastic job; what a gang's rate is compared with grows with the least count, so the curve is bounded."""
    least = one.spec.gpus
    bounded = tuple(min(rate, (least + more) * PPM // least) for more, rate in enumerate(curve))
    asked = replace(one.spec, gpus_max=least + len(curve) - 1, speedup_ppm=bounded)
    return replace(one, spec=asked, gpus=least if one.pool else 0)


@QUICK
@given(snapshots())
def test_one_number_of_gpus_gives_the_plan_of_a_plain_job(world: Snapshot) -> None:
    assert plan(changed(world, lambda one: with_curve(one, (PPM,)))) == plan(changed(world, lambda one: one))


@QUICK
@given(snapshots(most_jobs=1))
def test_gpus_that_help_nothing_are_not_taken(world: Snapshot) -> None:
    (asked,) = changed(world, lambda one: one).jobs
    plain = quote(world, asked.spec)
    flat = quote(world, with_curve(asked, CURVES[2]).spec if asked.spec.interruptible else asked.spec)
    if isinstance(plain, Assignment):
        assert isinstance(flat, Assignment)
        assert (flat.segments, flat.terms) == (plain.segments, plain.terms)
    else:
        assert not isinstance(flat, Assignment)


@QUICK
@given(snapshots(), st.sampled_from(CURVES))
def test_no_plan_of_elastic_jobs_breaks_a_constraint(world: Snapshot, curve: tuple[int, ...]) -> None:
    elastic = changed(world, lambda one: with_curve(one, curve))
    assert check_plan(elastic, plan(elastic)) == []


@QUICK
@given(snapshots(most_jobs=1))
def test_more_numbers_of_gpus_never_cost_more(world: Snapshot) -> None:
    (asked,) = changed(world, lambda one: one).jobs
    plain, elastic = quote(world, asked.spec), quote(world, with_curve(asked, CURVES[1]).spec)
    if isinstance(plain, Assignment) and asked.spec.interruptible:
        assert isinstance(elastic, Assignment)
        assert elastic.terms.total <= plain.terms.total


def tiny(seed: int, slots: int, asked: JobView) -> Snapshot:
    draw = np.random.default_rng(seed)
    pools = [
        Pool(id="a", site="s", zone="A", ask=0.02, rate=1.3, wake_j=9_000.0),
        Pool(id="b", site="t", zone="B", ask=0.01, rate=0.8, overhead=1.3, count=3, closed=(2,), wake_j=9_000.0),
    ]
    carbon = {zone: draw.choice([20.0, 100.0, 300.0, 700.0], slots).tolist() for zone in "AB"}
    return snapshot(pools, [asked], slots=slots, now_ms=NOW_MS + 4 * MINUTE_MS, carbon=carbon)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("running_on", [0, 1, 2])
def test_pauses_and_counts_equal_the_best_of_all_sequences(seed: int, running_on: int) -> None:
    slots = 6
    asked = job(
        "job",
        hours=1.1,
        due_h=slots / 4,
        interruptible=True,
        units=10,
        units_done=2 if running_on else 0,
        pool="a" if running_on else "",
        elapsed_ms=3 * MINUTE_MS if running_on else 0,
        carbon_price_usd_per_t=3_000,
        data_bytes=2 * 10**8,
        origin_zone="B",
        gpus_max=2,
        speedup_ppm=(PPM, 1_700_000),
    )
    world = tiny(seed, slots, replace(asked, gpus=running_on))
    fleet = fleet_of(world)
    demand = demand_of(fleet, world.jobs[0], {})
    assert isinstance(demand, Demand)
    room = Board(fleet).open(demand)
    found = best_with_pauses(fleet, demand, room, np.arange(len(demand.rows)))
    places = [None, *itertools.product((0, 1), (1, 2))]
    totals = [sequence_total(world, one) for one in itertools.product(places, repeat=slots)]
    best = min((total for total in totals if total is not None), default=None)
    assert (found is None) == (best is None)
    if found is not None:
        assert found.total == pytest.approx(best, abs=6 * slots)


def sequence_total(world: Snapshot, sequence: tuple[tuple[int, int] | None, ...]) -> float | None:
    """Cost of one (pool, count) or a pause per slot by the rules in words; None when it breaks one."""
    asked, switch_ms = world.jobs[0], world.policy.switch_ms
    started = asked.units_done > 0
    wanted_ms = asked.spec.length_ms * (asked.spec.units - asked.units_done) / asked.spec.units
    quantum = quantum_ms(round(wanted_ms), world.slot_ms)
    left, total = -(-round(wanted_ms) // quantum), 0.0
    last = (0, asked.gpus) if asked.gpus else None
    site, run_slots = (0, 2) if last else (-1, 0)
    for slot, place in enumerate(sequence):
        if left <= 0:
            return total if all(one is None for one in sequence[slot:]) else None
        if place != last and last is not None and run_slots < 2:
            return None
        if place is not None:
            row, count = place
            if world.pools.available[row, slot] < count:
                return None
            whole_ms = world.slot_ms - (world.now_ms - world.start_ms if slot == 0 else 0)
            settling_ms = 2 * MINUTE_MS if slot == 0 and place == last else 0
            used_ms = whole_ms - (switch_ms if place != last and started else settling_ms)
            rate = int(round(world.pools.rate[row, 0] * PPM) * (1_700_000 if count == 2 else PPM) // PPM)
            left -= used_ms * rate // (quantum * PPM)
            total += slot_usd_micro(world, row, slot, count, whole_ms)
            if place != last:
                ready = count - (asked.gpus if slot == 0 and row == 0 else 0)
                total += max(0, ready) * wake_usd_micro(world, row, slot)
                if row != site:
                    total += moved_usd_micro(world, asked.spec, None if site < 0 else site, row, slot)
                site, run_slots, started = row, 0, True
            run_slots += 1
        last = place
    return total if left <= 0 else None


def usd_per_kwh(world: Snapshot, row: int, slot: int) -> float:
    return 0.1 + float(world.carbon_g_per_kwh[world.pools.zone[row], slot]) / 1e6 * 3_000


def slot_usd_micro(world: Snapshot, row: int, slot: int, count: int, used_ms: int) -> float:
    kwh = count * float(world.pools.busy_w[row, 0] * world.pools.overhead[row]) * used_ms / HOUR_MS / 1e3
    ask = count * float(world.pools.ask_usd_per_h[row]) * used_ms / HOUR_MS
    return 1e6 * (kwh * usd_per_kwh(world, row, slot) + ask)


def wake_usd_micro(world: Snapshot, row: int, slot: int) -> float:
    return 1e6 * float(world.pools.wake_j[row] * world.pools.overhead[row]) / 3.6e6 * usd_per_kwh(world, row, slot)


def counts_of(made: Assignment) -> list[int]:
    return [one.containers for one in made.segments]


def test_clean_hours_get_more_gpus_and_dirty_ones_fewer_or_none() -> None:
    carbon = {"NO": [400.0] * 8 + [20.0] * 8 + [900.0] * 8}
    world = snapshot([Pool(id="no", ask=0.01, count=4)], carbon=carbon, slots=24)
    asked = {"interruptible": True, "gpus_max": 4, "speedup_ppm": CURVES[0], "carbon_price_usd_per_t": 1_000}
    relaxed = quote(world, spec(hours=6, due_h=6, **asked))
    assert isinstance(relaxed, Assignment)
    assert counts_of(relaxed) == [4]
    assert relaxed.segments[0].start_ms >= NOW_MS + 2 * HOUR_MS
    tight = quote(world, spec(hours=8, due_h=6, **asked))
    assert isinstance(tight, Assignment)
    by_hour = {(one.start_ms - NOW_MS) // HOUR_MS: one.containers for one in tight.segments}
    assert by_hour[2] == 4
    assert by_hour[0] < 4


def test_a_deadline_that_one_gpu_misses_is_met_by_more() -> None:
    world = snapshot([Pool(id="no", count=4)])
    elastic = {"interruptible": True, "gpus_max": 4, "speedup_ppm": CURVES[0]}
    assert not isinstance(quote(world, spec(hours=4, due_h=2, interruptible=True)), Assignment)
    made = quote(world, spec(hours=4, due_h=2, **elastic))
    assert isinstance(made, Assignment)
    assert max(counts_of(made)) >= 3
    refused = quote(world, spec(hours=8, due_h=2, **elastic))
    assert not isinstance(refused, Assignment)
    assert (refused.reason, refused.permanent) == ("deadline", True)


def test_only_as_many_as_are_free_are_taken_and_the_change_is_a_restart() -> None:
    busy = job("busy", fixed=True, pool="no", segments=(segment("no", 0, 1, 3),), gpus=3)
    elastic = job("j", hours=3, due_h=2, interruptible=True, gpus_max=4, speedup_ppm=CURVES[0])
    world = snapshot([Pool(id="no", count=4)], [busy, elastic])
    made = plan(world)
    assert check_plan(world, made) == []
    (assignment,) = made.assignments
    assert counts_of(assignment)[0] == 1
    assert max(counts_of(assignment)) > 1
    assert assignment.free_read >= 1


def test_what_runs_as_it_should_is_left_alone_and_a_change_is_named() -> None:
    asked = job("j", hours=2, due_h=3, interruptible=True, gpus_max=2, speedup_ppm=(PPM, 1_100_000))
    running = replace(asked, pool="no", gpus=1, elapsed_ms=HOUR_MS, segments=(segment("no", 0, 2, 1),))
    pools = [Pool(id="no", count=4)]
    assert plan(snapshot(pools, [running])).assignments == ()
    late = replace(running, spec=replace(running.spec, length_ms=round(3.1 * HOUR_MS)))
    (assignment,) = plan(snapshot(pools, [late])).assignments
    assert (assignment.reason, max(counts_of(assignment))) == ("resizing", 2)


def test_an_explanation_counts_pools_and_not_counts_of_gpus() -> None:
    elastic = job("j", hours=3, due_h=2, interruptible=True, gpus_max=4, speedup_ppm=CURVES[0])
    pools = [Pool(id="a", count=4), Pool(id="b", count=4, available=0), Pool(id="c", count=2, memory_gib=8)]
    told = why(snapshot(pools, [replace(elastic, spec=replace(elastic.spec, gpu_memory_gib=40))]))
    assert {line.name: line.removed for line in told.filters if line.removed} == {"memory": 1, "capacity": 1}
    assert told.filters[-1].left == 1
    assert told.chosen is not None
    assert max(one.containers for one in told.chosen.segments) >= 2
    held_h = [one.containers * (one.end_ms - one.start_ms) / HOUR_MS for one in told.chosen.segments]
    assert told.chosen.price_usd_micro == pytest.approx(sum(held_h) * 1e6, abs=len(held_h))
