"""The live clock: what it does when the machine clock is set back, and when the mapping changes."""

from __future__ import annotations

import time

import pytest

from sunward.adapters.clock import SystemClock
from sunward.model.wire import ClockMapping
from sunward.units import NS_PER_MS

FAST = ClockMapping(machine_ms=1_000, grid_ms=500_000, speed=1_200)


class MachineClock:
    def __init__(self, ms: int) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms * NS_PER_MS


def test_grid_time_runs_at_the_mapped_speed() -> None:
    machine = MachineClock(1_000)
    clock = SystemClock(FAST, machine)
    assert (clock.machine_ms(), clock.grid_ms()) == (1_000, 500_000)
    machine.ms += 3
    assert (clock.machine_ms(), clock.grid_ms()) == (1_003, 503_600)


@pytest.mark.parametrize("step_ms", [1, 10_000])
def test_grid_time_stands_still_while_the_machine_clock_is_behind(step_ms: int) -> None:
    machine = MachineClock(20_000)
    clock = SystemClock(FAST, machine)
    before = clock.grid_ms()
    machine.ms -= step_ms
    assert clock.grid_ms() == before
    assert clock.machine_ms() == 20_000 - step_ms
    machine.ms += step_ms + 1
    assert clock.grid_ms() == before + FAST.speed


def test_a_recorded_mapping_may_set_grid_time_back() -> None:
    clock = SystemClock(now_ns=MachineClock(2_000_000))
    assert clock.grid_ms() == 2_000_000
    clock.set_mapping(ClockMapping(machine_ms=2_000_000, grid_ms=7, speed=1))
    assert clock.grid_ms() == 7
    assert clock.mapping.grid_ms == 7


def test_without_a_mapping_it_is_the_machine_clock() -> None:
    clock = SystemClock()
    before = time.time_ns() // NS_PER_MS
    now = clock.grid_ms()
    assert before <= now <= time.time_ns() // NS_PER_MS
