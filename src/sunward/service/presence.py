"""When each agent was last heard, on a clock that no step touches; never journalled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sunward.adapters.clock import SystemClock
from sunward.engine.state import State
from sunward.model.identity import SiteId
from sunward.units import SECOND_MS


@dataclass(slots=True)
class Presence:
    """What the shell keeps of one agent."""

    seen_ms: int
    """When it was last heard, as `SystemClock.elapsed_ms` tells it."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    orders_sequence: int = 0
    past_boots: set[str] = field(default_factory=set)
    """Runs of the agent that a later one has taken the place of."""


def silent(
    presences: Mapping[str, Presence], state: State, clock: SystemClock, grace_s: float
) -> list[tuple[SiteId, int]]:
    """Agents that count as up and have said nothing for longer than the grace, and for how long, ms."""
    now_ms = clock.elapsed_ms()
    found = []
    for site, presence in presences.items():
        known = state.world.sites[site]
        silent_ms = now_ms - presence.seen_ms
        if known.asleep_until_ms:
            # Who sleeps says nothing until its own alarm has woken it.
            silent_ms = min(silent_ms, clock.machine_ms() - clock.mapping.machine(known.asleep_until_ms))
        if known.up and silent_ms > grace_s * SECOND_MS:
            found.append((SiteId(site), silent_ms))
    return found


def hear_again(presences: Iterable[Presence], now_ms: int) -> None:
    """Give every agent the whole grace anew: nobody listened while this process, or its database, stood still."""
    for presence in presences:
        presence.seen_ms = max(presence.seen_ms, now_ms)
