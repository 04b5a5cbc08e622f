"""Moments as sources write them."""

from __future__ import annotations

from datetime import UTC, datetime

from sunward.adapters.feeds.feed import NOT_UNDERSTOOD, FeedError
from sunward.units import SECOND_MS


def ms_of(text: str, source: str) -> int:
    """A moment in ms since 1970 UTC; one without an offset is UTC.

    Raises: FeedError.
    """
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp()) * SECOND_MS
    except (ValueError, OverflowError):
        raise FeedError(f"{source} gives a time that is none: {text[:40]!r}", code=NOT_UNDERSTOOD) from None


def text_of(at_ms: int, form: str = "%Y-%m-%dT%H:%MZ") -> str:
    """A moment in UTC as text."""
    return datetime.fromtimestamp(at_ms / SECOND_MS, tz=UTC).strftime(form)
