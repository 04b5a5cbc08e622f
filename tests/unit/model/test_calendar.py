from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.errors import InputError
from sunward.model.calendar import month_of, month_span, utc_text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""


@given(st.integers(0, LAST_MS))
def test_it_agrees_with_the_calendar_of_python(at_ms: int) -> None:
    moment = EPOCH + timedelta(milliseconds=at_ms)
    assert month_of(at_ms) == f"{moment:%Y-%m}".zfill(7)
    assert utc_text(at_ms) == moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    start_ms, end_ms = month_span(month_of(at_ms))
    assert start_ms <= at_ms < end_ms


@pytest.mark.parametrize(
    ("month", "first", "after"),
    [
        ("1970-01", (1970, 1, 1), (1970, 2, 1)),
        ("2024-02", (2024, 2, 1), (2024, 3, 1)),
        ("2026-11", (2026, 11, 1), (2026, 12, 1)),
        ("2026-12", (2026, 12, 1), (2027, 1, 1)),
        ("2100-02", (2100, 2, 1), (2100, 3, 1)),
    ],
)
def test_months_meet_without_gap(month, first, after) -> None:
    found = tuple(int((datetime(*day, tzinfo=UTC) - EPOCH) / timedelta(milliseconds=1)) for day in (first, after))
    assert month_span(month) == found
    assert (month_of(found[0]), month_of(found[1] - 1)) == (month, month)
    assert month_of(found[1]) != month


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-00", "2026-1", "26-11", "1969-12", "²026-11", "2026/11"])
def test_what_is_no_month(text) -> None:
    with pytest.raises(InputError, match="write one like 2026-11") as caught:
        month_span(text)
    assert caught.value.code == "SW-182"
