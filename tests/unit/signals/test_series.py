"""Series: half-open intervals, never extended."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.errors import InputError
from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.signals.series import UNITS, Series

START, STEP = 1_000, 100


def series(values=(5, 6, 7), **changes):
    parts = {
        "zone": ZoneId("DE"),
        "kind": SeriesKind.PRICE,
        "start_ms": START,
        "step_ms": STEP,
        "values": np.array(values, dtype=np.int64),
        "unit": UNITS[SeriesKind.PRICE],
        "source": "test",
        "quality": Quality.MEASURED,
    }
    return Series(**(parts | changes))


@pytest.mark.parametrize(("t_ms", "value"), [(1_000, 5), (1_099, 5), (1_100, 6), (1_299, 7)])
def test_a_value_holds_until_the_next(t_ms, value):
    assert series().at(t_ms) == value


@pytest.mark.parametrize("t_ms", [999, 1_300])
def test_outside_is_refused(t_ms):
    with pytest.raises(InputError, match="nothing known at"):
        series().at(t_ms)


@pytest.mark.parametrize("bounds", [(999, 1_100), (1_200, 1_301), (1_100, 1_100), (1_200, 1_100)])
def test_windows_outside_or_empty_are_refused(bounds):
    with pytest.raises(InputError, match="does not hold"):
        series().window(*bounds)


@given(st.integers(min_value=0, max_value=999), st.integers(min_value=1, max_value=1_000))
def test_a_window_covers_what_was_asked_and_agrees_with_the_whole(offset, length):
    whole = series(range(10))
    start_ms = START + offset
    end_ms = min(start_ms + length, whole.end_ms)
    part = whole.window(start_ms, end_ms)
    assert part.start_ms <= start_ms < end_ms <= part.end_ms
    assert part.start_ms > start_ms - STEP
    assert part.end_ms < end_ms + STEP
    assert part.at(start_ms) == whole.at(start_ms)
    assert part.at(end_ms - 1) == whole.at(end_ms - 1)


@pytest.mark.parametrize(
    "changes", [{"values": np.array([], dtype=np.int64)}, {"step_ms": 0}, {"unit": "gCO2e/kWh"}, {"values": np.eye(2)}]
)
def test_impossible_series_are_refused(changes):
    with pytest.raises(InputError):
        series(**changes)


def test_values_are_copied_and_read_only():
    raw = np.array([1, 2], dtype=np.int64)
    held = series(raw)
    raw[0] = 9
    assert held.at(START) == 1
    with pytest.raises(ValueError, match="read-only"):
        held.values[0] = 3
