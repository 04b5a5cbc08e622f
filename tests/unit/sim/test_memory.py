"""The clock that stands still."""

from __future__ import annotations

import pytest

from sunward.errors import InvariantError
from sunward.model.wire import ClockMapping
from sunward.sim.memory import VirtualClock

MAPPING = ClockMapping(machine_ms=1_000, grid_ms=500_000, speed=1_200)


def test_moves_only_when_told() -> None:
    clock = VirtualClock(MAPPING)
    assert (clock.machine_ms(), clock.grid_ms()) == (1_000, 500_000)
    clock.move(2)
    assert (clock.machine_ms(), clock.grid_ms()) == (1_002, 502_400)
    clock.move_to(502_401)
    assert (clock.machine_ms(), clock.grid_ms()) == (1_003, 503_600)
    clock.move_to(0)
    assert clock.machine_ms() == 1_003


def test_takes_another_mapping() -> None:
    clock = VirtualClock(MAPPING)
    clock.set_mapping(ClockMapping(machine_ms=1_000, grid_ms=7, speed=1))
    assert clock.grid_ms() == 7


def test_never_moves_back() -> None:
    with pytest.raises(InvariantError):
        VirtualClock(MAPPING).move(-1)
