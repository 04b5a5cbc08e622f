"""The reserve as the rest of the world meets it: what is promised and called, and so kept from other work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sunward.model.reserve import (
    Backing,
    Call,
    CallEnded,
    CallKind,
    DrillDraw,
    Penalty,
    Promise,
    ReserveRules,
    VaultRequest,
)
from sunward.units import DAY_MS, floor_to

LOW_DAYS = 30
"""How far back the lowest price counts."""


@dataclass(slots=True)
class ReserveBook:
    """Promises that are not over, calls that are open, and what is owed; nothing of it before rules are set."""

    rules: ReserveRules | None = None
    promises: dict[str, Promise] = field(default_factory=dict)
    """Offered and sold ones, until the epoch in which they end is closed."""
    calls: dict[str, Call] = field(default_factory=dict)
    """Open ones."""
    ended: dict[str, CallEnded] = field(default_factory=dict)
    """The last one of each promise."""
    serving: dict[str, str] = field(default_factory=dict)
    """Jobs that were given called containers, each with its call."""
    failed: dict[str, int] = field(default_factory=dict)
    """Promises that were not kept in an epoch: no premium is due for it."""
    penalties: dict[str, Penalty] = field(default_factory=dict)
    """By verdict."""
    requests: dict[int, VaultRequest] = field(default_factory=dict)
    next_request: int = 1
    shares: dict[str, int] = field(default_factory=dict)
    dead_shares: int = 0
    usd_held_micro: int = 0
    """Beside the ATH, as the operator tells it; nobody has a share in it."""
    lows: dict[int, int] = field(default_factory=dict)
    """By UTC day, the most wei that a micro-USD bought."""
    fell_ms: int = 0
    """Since when coverage is below the floor; 0 = it is not."""
    demand_max: int = 0
    """Most containers that were called at once so far."""
    draw: DrillDraw | None = None

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever said of the reserve."""
        return self.rules is None

    def note_rate(self, at_ms: int, wei_per_usd_micro: int) -> None:
        """Keep the lowest price of each of the last days."""
        day_ms = floor_to(at_ms, DAY_MS)
        self.lows = {day: wei for day, wei in self.lows.items() if day > day_ms - LOW_DAYS * DAY_MS}
        self.lows[day_ms] = max(self.lows.get(day_ms, 0), wei_per_usd_micro)

    def cheapest(self, at_ms: int, wei_per_usd_micro: int) -> int:
        """Wei for a micro-USD at the lowest price of the last 30 days, the present one included."""
        known = (wei for day, wei in self.lows.items() if day > at_ms - (LOW_DAYS + 1) * DAY_MS)
        return max([wei_per_usd_micro, *known])

    def backing(self, pool: str, at_ms: int) -> list[tuple[Promise, int]]:
        """Promises that are not over, with the containers of a pool behind each."""
        return [
            (promise, one.containers)
            for promise in self.promises.values()
            if promise.end_ms > at_ms
            for one in promise.backing
            if one.pool == pool
        ]

    def promised_most(self, pool: str, start_ms: int, end_ms: int) -> int:
        """Most containers of a pool that stand behind promises at one moment of a stretch, sold or not."""
        found = [(one, count) for one, count in self.backing(pool, start_ms) if one.start_ms < end_ms]
        moments = {start_ms, *(one.start_ms for one, _ in found if one.start_ms > start_ms)}
        return max(sum(count for one, count in found if one.start_ms <= at < one.end_ms) for at in moments)

    def sold(self, pool: str, at_ms: int) -> int:
        """Most containers of a pool behind sold promises, from a moment on."""
        found = [(one, count) for one, count in self.backing(pool, at_ms) if one.tenant]
        moments = {at_ms, *(one.start_ms for one, _ in found if one.start_ms > at_ms)}
        return max(sum(count for one, count in found if one.start_ms <= at < one.end_ms) for at in moments)

    def notice_ms(self, pools: Iterable[str], at_ms: int) -> int:
        """The shortest notice of sold promises in force that stand behind any of these pools; 0 = there is none."""
        found = [one.notice_ms for pool in pools for one, _ in self.backing(pool, at_ms) if one.in_force(at_ms)]
        return min(found, default=0)

    def calls_on(self, pool: str) -> Iterator[tuple[Call, int]]:
        """Open calls that want containers of a pool, in the order they were made."""
        for call in sorted(self.calls.values(), key=lambda one: (one.asked_ms, one.call)):
            for one in call.backing:
                if one.pool == pool:
                    yield call, one.containers

    def open_calls(self, promise: str) -> list[Call]:
        """Open calls and drills of a promise."""
        return [one for one in self.calls.values() if one.promise == promise]

    def holder(self, call: Call) -> str:
        """Whose work may run on called containers; nobody's in a drill."""
        return self.promises[call.promise].tenant if call.kind is CallKind.CALL else ""


def parts(backing: Iterable[Backing], containers: int) -> tuple[Backing, ...]:
    """So many containers of what stands behind a promise, the first pools first."""
    found = []
    for one in backing:
        part = min(one.containers, containers)
        containers -= part
        if part:
            found.append(Backing(pool=one.pool, containers=part))
    return tuple(found)
