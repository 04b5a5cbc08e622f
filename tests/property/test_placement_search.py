"""The searches against brute force."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from sunward.model.plan import Assignment
from sunward.placement.board import Board
from sunward.placement.demand import Demand, demand_of
from sunward.placement.fleet import Fleet, fleet_of
from sunward.placement.lattice import quantum_ms
from sunward.placement.pauses import best_with_pauses
from sunward.placement.planner import quote
from sunward.units import HOUR_MS, MINUTE_MS, SECOND_MS
from sunward.world.snapshot import JobView, Snapshot
from tests.support.cargo import moved_usd_micro
from tests.support.snapshots import NOW_MS, SLOT_MS, Pool, job, segment, snapshot, spec


def world_of(seed: int, slots: int, jobs: list[JobView] | None = None, **pool: float) -> Snapshot:
    draw = np.random.default_rng(seed)
    pools = [
        Pool(id="a", site="s", zone="A", ask=0.02, rate=1.3, **pool),  # type: ignore[arg-type]
        Pool(id="b", site="s", zone="B", ask=0.03, rate=0.7, overhead=1.3, **pool),  # type: ignore[arg-type]
        Pool(id="c", site="t", zone="C", ask=0.01, rate=1.0, **pool),  # type: ignore[arg-type]
    ]
    carbon = {zone: draw.choice([20.0, 100.0, 300.0, 700.0], slots).tolist() for zone in "ABC"}
    return snapshot(pools, jobs or [], slots=slots, now_ms=NOW_MS + 4 * MINUTE_MS, carbon=carbon)


@pytest.mark.parametrize("seed", range(8))
def test_window_equals_the_best_of_all_starts(seed: int) -> None:
    world = world_of(seed, 24)
    asked = spec(hours=1.37, due_h=5.6, units=1, carbon_price_usd_per_t=5_000)
    made = quote(world, asked)
    assert isinstance(made, Assignment)
    costs = {}
    for row, slot in itertools.product(range(3), range(24)):
        start = max(world.now_ms, world.start_ms + slot * SLOT_MS)
        end = start + int(np.ceil(1.37 * HOUR_MS / world.pools.rate[row, 0]))
        if end <= asked.deadline_ms and end <= world.start_ms + 24 * SLOT_MS:
            costs[row, start] = integral_usd_micro(world, row, start, end)
    best = min(costs, key=lambda key: (round(costs[key]), key[1]))
    assert (made.segments[0].pool, made.segments[0].start_ms) == (world.pools.ids[best[0]], best[1])
    assert made.terms.total == pytest.approx(costs[best], abs=60)


def integral_usd_micro(world: Snapshot, row: int, start: int, end: int) -> float:
    """Score of a run, second by second."""
    moments = np.arange(start, end, SECOND_MS)
    lengths = np.minimum(moments + SECOND_MS, end) - moments
    slots = (moments - world.start_ms) // SLOT_MS
    kwh = float(world.pools.busy_w[row, 0] * world.pools.overhead[row]) * lengths / HOUR_MS / 1e3
    usd = kwh * (0.1 + world.carbon_g_per_kwh[world.pools.zone[row], slots] / 1e6 * 5_000)
    return float((usd + world.pools.ask_usd_per_h[row] * lengths / HOUR_MS).sum() * 1e6)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("state", ["fresh", "suspended", "running"])
def test_pauses_equal_the_best_of_all_sequences(seed: int, state: str) -> None:
    slots = 7
    running = job(
        "job",
        hours=0.9,
        due_h=slots / 4,
        interruptible=True,
        units=10,
        units_done=0 if state == "fresh" else 2,
        pool="b" if state == "running" else "",
        elapsed_ms=3 * MINUTE_MS if state == "running" else 0,
        carbon_price_usd_per_t=3_000,
        data_bytes=2 * 10**8,
        origin_zone="C",
    )
    if state == "suspended":
        running = replace(running, data_site="t")
    blocked = job("x", fixed=True, pool="a", segments=(segment("a", 0.75, 1.0, 2),), gpus=2)
    world = world_of(seed, slots, [running, blocked], wake_j=9_000.0)
    fleet = fleet_of(world)
    demand = demand_of(fleet, running, {})
    assert isinstance(demand, Demand)
    board = Board(fleet)
    board.occupy(blocked)
    room = board.open(demand)
    found = best_with_pauses(fleet, demand, room, np.arange(len(demand.rows)))
    sequences = itertools.product(range(-1, len(demand.rows)), repeat=slots)
    totals = [sequence_total(world, fleet, demand, room, sequence) for sequence in sequences]
    best = min((total for total in totals if total is not None), default=None)
    assert (None if found is None else found.total) == best


def sequence_total(
    world: Snapshot, fleet: Fleet, demand: Demand, room: np.ndarray, sequence: tuple[int, ...]
) -> int | None:
    """Cost of one pool (or -1) per slot by the rules in words; None when it breaks one."""
    fresh = demand.job.units_done == 0
    quantum = quantum_ms(demand.remaining_ms, fleet.slot_ms)
    left, total = -(-demand.remaining_ms // quantum), 0
    last = next((at for at in range(len(demand.rows)) if demand.rows[at] == demand.current), -1)
    site, run_slots, started = demand.cargo.site, 2 if last >= 0 else 0, not fresh
    for slot, at in enumerate(sequence):
        if left <= 0:
            return total if all(one == -1 for one in sequence[slot:]) else None
        if at != last and last >= 0 and run_slots < 2:
            return None
        if at >= 0:
            if not room[at, slot]:
                return None
            begins = at != last
            starting = 2 * MINUTE_MS if slot == 0 and at == last else 0
            used = int(fleet.usable_ms[slot]) - (fleet.policy.switch_ms if begins and started else starting)
            if used < 0:
                return None
            left -= int(used * int(demand.rate_ppm[at]) // (quantum * 10**6))
            total += int(demand.costs.run[demand.rows[at], slot])
            if begins:
                total += int(demand.wake[at, slot])
                here = int(fleet.pools.site[demand.rows[at]])
                if here != site:
                    home = site if site >= 0 else None
                    total += round(moved_usd_micro(world, demand.job.spec, home, int(demand.rows[at]), slot))
                site, run_slots, started = here, 0, True
            run_slots += 1
        last = at
    return total if left <= 0 else None


def test_pauses_skip_the_dirty_hours() -> None:
    carbon = {"NO": [50.0] * 4 + [900.0] * 4 + [50.0] * 4 + [900.0] * 4}
    world = snapshot([Pool(id="no", ask=0.01)], carbon=carbon)
    made = quote(world, spec(hours=1.5, interruptible=True, carbon_price_usd_per_t=1_000))
    assert isinstance(made, Assignment)
    assert [(one.start_ms - NOW_MS) / HOUR_MS for one in made.segments] == [0.0, 2.0]
    piece = quote(world, spec(hours=1.5, interruptible=False, carbon_price_usd_per_t=1_000))
    assert isinstance(piece, Assignment)
    assert made.terms.total < piece.terms.total


def test_a_job_without_units_is_not_paused() -> None:
    carbon = {"NO": [50.0] * 4 + [900.0] * 4 + [50.0] * 3 + [900.0] * 5}
    world = snapshot([Pool(id="no", ask=0.01)], carbon=carbon)
    made = quote(world, spec(hours=1.5, interruptible=True, units=1, carbon_price_usd_per_t=1_000))
    assert isinstance(made, Assignment)
    assert len(made.segments) == 1


def test_a_tight_interruptible_job_still_fits_in_one_piece() -> None:
    world = snapshot([Pool(id="no", rate=1.07)])
    made = quote(world, spec(hours=3.21, due_h=3.0, interruptible=True))
    assert isinstance(made, Assignment)
    assert made.segments[0].end_ms == NOW_MS + 3 * HOUR_MS


def test_the_first_slot_is_used_from_now_on() -> None:
    now = NOW_MS + 7 * MINUTE_MS
    world = snapshot([Pool(id="no")], now_ms=now, carbon={"NO": [10.0, 100.0]})
    made = quote(world, spec(hours=0.25, carbon_price_usd_per_t=100))
    assert isinstance(made, Assignment)
    assert (made.segments[0].start_ms, made.segments[0].end_ms) == (now, now + SLOT_MS)
    # 8 of 15 minutes at 10 g/kWh, 7 at 100: 0.1 kWh in all.
    assert made.carbon_mg == round(100 * (8 / 15 * 10 + 7 / 15 * 100))
