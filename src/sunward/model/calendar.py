"""The calendar of UTC: months written `YYYY-MM`, moments as ISO 8601, without reading any clock."""

from __future__ import annotations

from sunward.errors import InputError
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

MONTHS = 12
FEBRUARY = 2
MONTH_CHARS = len("2026-11")
YEAR_FIRST, YEAR_LAST = 1970, 9999
_DAYS_IN_400_YEARS = 146_097
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
BAD_MONTH = "SW-182"


def month_of(at_ms: int) -> str:
    """The month that holds a moment from 1970 on."""
    year, month = _month(at_ms // DAY_MS)
    return f"{year:04d}-{month:02d}"


def utc_text(at_ms: int) -> str:
    """A moment from 1970 on, to the second: `2026-11-23T08:30:00Z`."""
    day, rest_ms = divmod(at_ms, DAY_MS)
    year, month = _month(day)
    hour, minute, second = rest_ms // HOUR_MS, rest_ms % HOUR_MS // MINUTE_MS, rest_ms % MINUTE_MS // SECOND_MS
    return f"{year:04d}-{month:02d}-{day - _day_of(year, month) + 1:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"


def month_span(month: str) -> tuple[int, int]:
    """Start and end of a month, half-open.

    Raises: InputError for a text that is no month.
    """
    year, dash, number = month.partition("-")
    plain = len(month) == MONTH_CHARS and month.isascii() and dash and year.isdigit() and number.isdigit()
    if not plain or not YEAR_FIRST <= int(year) <= YEAR_LAST or not 1 <= int(number) <= MONTHS:
        raise InputError(f"{month[:20]!r} is no month; write one like 2026-11", code=BAD_MONTH)
    after = (int(year) + int(number) // MONTHS, int(number) % MONTHS + 1)
    return _day_of(int(year), int(number)) * DAY_MS, _day_of(*after) * DAY_MS


def _month(day: int) -> tuple[int, int]:
    """Year and month of a day counted from 1970."""
    # The mean year drifts by less than two days, so the guess is the year itself or one beside it.
    year = YEAR_FIRST + day * 400 // _DAYS_IN_400_YEARS
    year += (_first_day(year + 1) <= day) - (_first_day(year) > day)
    return year, max(month for month in range(1, MONTHS + 1) if _day_of(year, month) <= day)


def _day_of(year: int, month: int) -> int:
    """Days from 1970 to the first of a month."""
    leap = month > FEBRUARY and _is_leap(year)
    return _first_day(year) + sum(_LENGTHS[: month - 1]) + leap


def _first_day(year: int) -> int:
    """Days from 1970 to the first of January."""
    return (year - YEAR_FIRST) * 365 + _leaps_before(year) - _leaps_before(YEAR_FIRST)


def _leaps_before(year: int) -> int:
    return (year - 1) // 4 - (year - 1) // 100 + (year - 1) // 400


def _is_leap(year: int) -> bool:
    return _leaps_before(year + 1) > _leaps_before(year)
