"""Moments as people write them: a time in UTC, or a length of time from now on."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from sunward.cli.text import _
from sunward.client.jobfile import period_ms
from sunward.errors import InputError
from sunward.units import SECOND_MS

YEARS = range(1971, 2200)
SPAN = re.compile(r"\+?(\d+(?:\.\d+)?[mhd])")


def moment(text: str) -> int:
    """UTC time in ms.

    Raises: InputError.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.year not in YEARS:
        raise InputError(_("{text} is no time; write one like 2026-06-11T06:00").format(text=text), code="SW-621")
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return int(aware.timestamp() * SECOND_MS)


def moment_or_span(text: str, now_ms: Callable[[], int]) -> int:
    """A time in UTC, or one so long from now, as in 2h.

    Raises: InputError.
    """
    span = SPAN.fullmatch(text)
    return now_ms() + period_ms(span[1]) if span else moment(text)
