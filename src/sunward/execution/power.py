"""How many containers of a pool should be awake."""

from __future__ import annotations

from collections.abc import Iterable

from sunward.model.plan import AwakeTarget


def awake_count(targets: Iterable[AwakeTarget], at_ms: int, busy: int, exist: int) -> int:
    """The planned count at a moment, never less than what leases hold and never more than exists."""
    planned = max((t.count for t in targets if t.start_ms <= at_ms < t.end_ms), default=0)
    return min(exist, max(planned, busy))


def next_start_ms(targets: Iterable[AwakeTarget], at_ms: int) -> int | None:
    """The next moment after this one at which containers are to begin to wake."""
    return min((target.start_ms for target in targets if target.start_ms > at_ms), default=None)


def next_change_ms(targets: Iterable[AwakeTarget], at_ms: int) -> int | None:
    """The next moment at which the planned count changes."""
    edges = [edge for t in targets for edge in (t.start_ms, t.end_ms) if edge > at_ms]
    return min(edges, default=None)
