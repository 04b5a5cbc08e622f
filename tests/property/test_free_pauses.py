"""Where a pause costs nothing, the planner runs a job in its cheapest slots."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.model.plan import Assignment, PolicyInputs
from sunward.placement.free_pauses import cheapest_slots, runs_now
from sunward.placement.lattice import quantum_ms
from sunward.placement.planner import quote
from sunward.units import HOUR_MS, MINUTE_MS
from tests.support.snapshots import NOW_MS, Pool, snapshot, spec

costs = st.lists(st.integers(0, 9), min_size=1, max_size=12)
FREE = PolicyInputs(switch_ms=0, delay_ppm_per_h=0)


@given(costs, st.data())
def test_the_slots_chosen_are_the_cheapest_and_the_earliest_of_equals(cost: list[int], data: st.DataObject) -> None:
    needed = data.draw(st.integers(1, len(cost)))
    chosen = cheapest_slots(np.array([cost]), needed)[0]
    expected = sorted(range(len(cost)), key=lambda slot: (cost[slot], slot))[:needed]
    assert np.flatnonzero(chosen).tolist() == sorted(expected)


@given(costs, st.data())
def test_running_now_is_being_among_the_cheapest(cost: list[int], data: st.DataObject) -> None:
    window = data.draw(st.integers(1, len(cost)))
    needed = np.arange(window + 1)
    runs = runs_now(np.array([cost]), needed[None], np.full(window + 1, window))[0]
    assert not runs[0]
    for number in range(1, window + 1):
        assert runs[number] == cheapest_slots(np.array([cost[:window]]), number)[0, 0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=3, max_size=30), st.data())
def test_a_plan_with_free_pauses_is_the_sum_of_the_cheapest_hours(carbon: list[int], data: st.DataObject) -> None:
    hours = data.draw(st.integers(1, len(carbon) - 1))
    world = snapshot(
        [Pool(id="a", ask=0.0)],
        slots=len(carbon),
        slot_ms=HOUR_MS,
        carbon={"NO": [float(one) for one in carbon]},
        price={"NO": [0.0]},
        policy=FREE,
    )
    asked = spec(hours=hours, due_h=len(carbon), interruptible=True, units=hours, carbon_price_usd_per_t=10_000)
    made = quote(world, asked)
    assert isinstance(made, Assignment)
    assert made.terms.total == made.terms.carbon == sum(sorted(carbon)[:hours]) * 4_000
    assert sum(part.end_ms - part.start_ms for part in made.segments) == hours * HOUR_MS
    runs = {(part.start_ms - NOW_MS) // HOUR_MS for part in made.segments}
    if sorted(carbon)[hours - 1] != carbon[0]:  # of equals a run in one piece goes first
        assert (0 in runs) == runs_now(np.array([carbon]), np.array([[hours]]), np.array([len(carbon)]))[0, 0]


@pytest.mark.parametrize("hours", [1, 7, 24, 100, 168, 400])
@pytest.mark.parametrize("slot_ms", [15 * MINUTE_MS, HOUR_MS])
def test_a_slot_holds_whole_quanta(hours: int, slot_ms: int) -> None:
    quantum = quantum_ms(hours * HOUR_MS, slot_ms)
    in_slot = slot_ms // quantum
    assert slot_ms - in_slot * quantum < in_slot
    assert 1 <= in_slot <= 16
