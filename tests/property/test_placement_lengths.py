"""Plans for jobs whose length is not known: against brute force over all paths, and against draws of the length."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from sunward.model.plan import PolicyInputs
from sunward.placement.board import Board
from sunward.placement.demand import Demand, demand_of
from sunward.placement.fleet import Fleet, fleet_of
from sunward.placement.planner import plan
from sunward.placement.search import best_option, task_of
from sunward.sim.plan_checker import check_plan
from sunward.units import HOUR_MS, MINUTE_MS, PPM, SECOND_MS
from sunward.world.snapshot import JobView, Lengths, Snapshot
from tests.support.snapshots import NOW_MS, SLOT_MS, Pool, job, segment, snapshot

QUANTUM_MS = SLOT_MS // 16
STOP_MS = 4 * QUANTUM_MS
"""A whole number of quanta, so that a path's cost is exact."""


def lengths(*slots: float, promise_ppm: int = PPM, weights: tuple[int, ...] = ()) -> Lengths:
    """Possible lengths in slots, equally likely unless weights are given."""
    each = weights or tuple(PPM // len(slots) + (index < PPM % len(slots)) for index in range(len(slots)))
    return Lengths(remaining_ms=tuple(round(one * SLOT_MS) for one in slots), weight_ppm=each, promise_ppm=promise_ppm)


def drawn(draw: np.random.Generator, most: int, promise_ppm: int) -> Lengths:
    """Up to six lengths of whole quanta, up to so many slots, with uneven weights."""
    count = int(draw.integers(2, 7))
    ends = sorted(draw.choice(np.arange(1, most * 16), count, replace=False).tolist())
    parts = draw.multinomial(PPM - count, draw.dirichlet(np.ones(count))) + 1
    return Lengths(
        remaining_ms=tuple(end * QUANTUM_MS for end in ends),
        weight_ppm=tuple(parts.tolist()),
        promise_ppm=promise_ppm,
    )


def world_of(seed: int, slots: int, one: JobView, pools: int = 1) -> Snapshot:
    draw = np.random.default_rng(seed)
    fleet = [Pool(id=name, zone=name.upper(), ask=0.01, wake_j=9_000.0) for name in "abc"[:pools]]
    carbon = {pool.zone: draw.choice([20.0, 100.0, 300.0, 700.0], slots).tolist() for pool in fleet}
    return snapshot(fleet, [one], slots=slots, carbon=carbon)


def asked(kind: str, known: Lengths | None, slots: int, **fields: object) -> JobView:
    one = job("job", hours=1.0, due_h=slots / 4, interruptible=kind == "pausable", stop_ms=STOP_MS)
    return replace(one, spec=replace(one.spec, carbon_price_usd_per_t=3_000, **fields), lengths=known)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["contiguous", "pausable"])
@pytest.mark.parametrize("seed", range(5))
def test_a_certain_length_is_planned_as_a_known_one(seed: int, kind: str) -> None:
    length = Lengths(remaining_ms=(3_100_000,), weight_ppm=(PPM,), promise_ppm=950_000)
    plans = []
    for known in (None, length):
        one = asked(kind, known, 20)
        one = replace(one, spec=replace(one.spec, length_ms=3_100_000, units=100))
        plans.append(plan(world_of(seed, 20, one, 3)).assignments)
    assert plans[0] == plans[1] != ()


def expected(fleet: Fleet, demand: Demand, path: tuple[int, ...], known: Lengths) -> float:
    """Mean cost of one path over all lengths, outcome by outcome; each pool change is a start."""
    total = 0.0
    for length, weight in zip(known.remaining_ms, known.weight_ppm, strict=True):
        left, last, begun, cost = length, -1, False, 0.0
        for slot, at in enumerate(path):
            if left <= 0:
                break
            if at >= 0:
                lost = STOP_MS if begun and at != last else 0
                cost += float(demand.wake[at, slot]) if at != last else 0.0
                used = min(SLOT_MS, lost + left)
                cost += float(demand.costs.run[demand.rows[at], slot]) * used / SLOT_MS
                left -= used - lost
                begun = True
            last = at
        total += cost * weight / PPM
    return total


def runs(path: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(pool, first, last) of each run in a path."""
    groups = [(at, [slot for slot, _ in part]) for at, part in itertools.groupby(enumerate(path), lambda one: one[1])]
    return [(at, slots[0], slots[-1] + 1) for at, slots in groups if at >= 0]


def allowed(path: tuple[int, ...], known: Lengths, wait_slots: int | None, least_slots: int) -> bool:
    """Whether a path holds all lengths, ends with its last run, and keeps to its limits."""
    made = runs(path)
    if not made:
        return False
    held = sum(last - first for _, first, last in made) * SLOT_MS - (len(made) - 1) * STOP_MS
    before = held - (SLOT_MS if len(path) == made[-1][2] or set(path[made[-1][2] :]) == {-1} else 0)
    if held < known.remaining_ms[-1] or before >= known.remaining_ms[-1]:
        return False
    # The restart counts as standing still, since no work goes on.
    still = made[-1][2] * SLOT_MS - held
    ended = known.remaining_ms[-1]
    for _, first, last in made[:-1]:
        if last - first < least_slots:
            return False
    return wait_slots is None or still <= wait_slots * SLOT_MS or ended <= 0


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("limits", [(None, 2), (3, 2), (None, 3)])
def test_pauses_cost_no_more_than_any_other_path(seed: int, limits: tuple[int | None, int]) -> None:
    slots, (wait_slots, least_slots) = 9, limits
    known = drawn(np.random.default_rng(seed), 5, PPM)
    waiting = 0 if wait_slots is None else wait_slots * SLOT_MS
    one = asked("pausable", known, slots, wait_max_ms=waiting, min_run_ms=least_slots * SLOT_MS)
    world = world_of(seed, slots, one)
    fleet = fleet_of(world)
    demand = demand_of(fleet, one, {})
    assert isinstance(demand, Demand)
    found = best_option(fleet, task_of(fleet, demand), Board(fleet))
    paths = [path for path in itertools.product((-1, 0), repeat=slots) if allowed(path, known, wait_slots, least_slots)]
    costs = [expected(fleet, demand, path, known) for path in paths]
    assert (found is None) == (not costs)
    if found is not None:
        # A run in one piece may also end within a slot; its costs are rounded slot by slot.
        assert found.total <= min(costs) + 2 * slots
        made = tuple(0 if any(run.first <= slot < run.last for run in found.runs) else -1 for slot in range(slots))
        assert found.total == pytest.approx(expected(fleet, demand, made, known), abs=2 * slots)


@pytest.mark.parametrize("seed", range(8))
def test_one_piece_starts_where_it_is_cheapest_on_average(seed: int) -> None:
    slots, known = 24, drawn(np.random.default_rng(seed), 9, 900_000)
    one = asked("contiguous", known, slots)
    world = world_of(seed, slots, one, 3)
    fleet = fleet_of(world)
    demand = demand_of(fleet, one, {})
    assert isinstance(demand, Demand)
    found = best_option(fleet, task_of(fleet, demand), Board(fleet))
    hold = demand.remaining_ms
    capped = replace(known, remaining_ms=tuple(min(hold, end) for end in known.remaining_ms))
    costs = {
        (at, slot): expected(fleet, demand, (-1,) * slot + (at,) * (slots - slot), capped)
        for at, slot in itertools.product(range(3), range(slots))
        if slot * SLOT_MS + hold <= slots * SLOT_MS
    }
    assert found is not None
    assert found.total == pytest.approx(min(costs.values()), abs=slots)


@pytest.mark.parametrize("promise_ppm", [700_000, 950_000])
@pytest.mark.parametrize("kind", ["contiguous", "pausable"])
def test_the_promise_is_kept_as_often_as_stated(kind: str, promise_ppm: int) -> None:
    draw = np.random.default_rng(7)
    for seed in range(6):
        known = drawn(draw, 8, promise_ppm)
        one = asked(kind, known, 12)
        made = plan(world_of(seed, 12, one, 2)).assignments[0]
        assert made.ends_ppm >= promise_ppm
        truths = draw.choice(known.remaining_ms, 2_000, p=np.array(known.weight_ppm) / PPM)
        room = sum(part.end_ms - part.start_ms for part in made.segments) - (len(made.segments) - 1) * STOP_MS
        kept = float(np.mean(truths <= room))
        assert kept >= promise_ppm / PPM - 0.03


@pytest.mark.parametrize("kind", ["contiguous", "pausable"])
@pytest.mark.parametrize("seed", range(15))
def test_the_checker_finds_nothing(seed: int, kind: str) -> None:
    """Crowded pools, odd moments, rates and lengths, limits on waiting and on runs."""
    draw = np.random.default_rng(seed)
    pools = [
        Pool(id="a", zone="A", count=2, rate=1.37, ask=0.02, wake_j=5_000.0, wake_ms=60_000),
        Pool(id="b", zone="B", count=2, rate=0.81, ask=0.01, awake=2),
        Pool(id="c", zone="C", count=1, rate=1.0, ask=0.01),
    ]
    carbon = {zone: draw.choice([20.0, 100.0, 300.0, 700.0], 32).tolist() for zone in "ABC"}
    jobs = []
    for index in range(6):
        ends = sorted({int(end) for end in draw.integers(60_000, 3 * HOUR_MS, 5)})
        weights = draw.multinomial(PPM - len(ends), np.full(len(ends), 1 / len(ends))) + 1
        known = Lengths(remaining_ms=tuple(ends), weight_ppm=tuple(weights.tolist()), promise_ppm=900_000)
        one = job(
            f"j{index}",
            due_h=float(draw.uniform(4, 8)),
            interruptible=kind == "pausable",
            carbon_price_usd_per_t=3_000,
            wait_max_ms=int(draw.choice([0, HOUR_MS, 2 * HOUR_MS])),
            min_run_ms=int(draw.choice([0, 40 * MINUTE_MS])),
            stop_ms=int(draw.choice([0, 90 * SECOND_MS])),
        )
        jobs.append(replace(one, lengths=known))
    world = snapshot(pools, jobs, slots=32, now_ms=NOW_MS + 7 * MINUTE_MS, carbon=carbon)
    made = plan(world)
    assert check_plan(world, made) == []
    assert made.assignments


def test_a_job_that_waited_too_long_takes_what_is_soonest() -> None:
    """Cheap power comes later, the pool is full for an hour: the first free slot is taken all the same."""
    one = replace(asked("contiguous", lengths(1, 2), 16, wait_max_ms=HOUR_MS), waited_ms=2 * HOUR_MS)
    other = job("x", fixed=True, pool="a", segments=(segment("a", 0.0, 1.0),))
    world = snapshot([Pool(id="a", zone="A", count=1)], [one, other], carbon={"A": [700.0] * 8 + [20.0] * 8}, slots=16)
    made = plan(world)
    assert [part.start_ms - NOW_MS for part in made.assignments[0].segments] == [HOUR_MS]
    patient = replace(one, waited_ms=0, spec=replace(one.spec, wait_max_ms=HOUR_MS // 2))
    refused = plan(replace(world, jobs=(patient, other))).unplaced
    assert [(each.reason, each.permanent) for each in refused] == [("start_by", False)]
    assert "must start within 0.50 h" in refused[0].detail


def test_what_takes_longer_than_promised_keeps_its_place() -> None:
    """The last run is made longer; a job that has no time left for more is not refused."""
    known = lengths(2, 4, 6, promise_ppm=600_000)
    standing = (segment("a", 0.0, 1.0),)
    one = replace(asked("pausable", known, 16), pool="a", segments=standing, elapsed_ms=HOUR_MS)
    world = snapshot([Pool(id="a", zone="A")], [one], slots=16)
    assert [part for each in plan(world).assignments for part in each.segments] == []
    longer = plan(replace(world, jobs=(replace(one, lengths=replace(known, promise_ppm=950_000)),)))
    assert [(part.start_ms, part.end_ms) for part in longer.assignments[0].segments] == [(NOW_MS, NOW_MS + 6 * SLOT_MS)]
    late = replace(one, spec=replace(one.spec, deadline_ms=NOW_MS + 3 * SLOT_MS), segments=())
    made = plan(replace(world, jobs=(late,)))
    assert made.assignments[0].ends_ppm == pytest.approx(333_333, abs=1)
    assert not made.unplaced


def test_what_cannot_be_promised_is_refused_and_what_asks_for_no_promise_is_not() -> None:
    known = lengths(2, 4, 6, promise_ppm=950_000)
    one = asked("contiguous", known, 5)
    world = snapshot([Pool(id="a", zone="A")], [one], slots=5)
    assert [(each.reason, each.permanent) for each in plan(world).unplaced] == [("deadline", True)]
    free = replace(one, lengths=replace(known, promise_ppm=0))
    made = plan(replace(world, jobs=(free,))).assignments[0]
    assert made.segments[0].end_ms == NOW_MS + 5 * SLOT_MS
    assert made.ends_ppm == pytest.approx(666_667, abs=1)


def test_forecast_noise_does_not_make_a_job_thrash() -> None:
    """A promised plan stays while a forecast that is issued anew wavers by a percent; it is hysteresis that does it."""
    curve = 300 + 200 * np.cos(np.arange(96) / 9)
    assert changes(curve, PolicyInputs(delay_ppm_per_h=0)) == 0
    assert changes(curve, PolicyInputs(delay_ppm_per_h=0, hysteresis_ppm=0)) > 3


def changes(curve: np.ndarray, policy: PolicyInputs) -> int:
    """How often a waiting job's start was put off or brought forward over forty forecasts."""
    draw = np.random.default_rng(3)
    one = asked("pausable", lengths(2, 8, 12), 96)
    starts: list[int] = []
    for _ in range(40):
        noisy = {"A": (curve * (1 + 0.01 * draw.standard_normal(96))).tolist()}
        world = snapshot([Pool(id="a", zone="A")], [one], slots=96, carbon=noisy, policy=policy)
        for made in plan(world).assignments:
            starts.append(made.segments[0].start_ms)
            one = replace(one, segments=made.segments)
    return len(starts) - 1
