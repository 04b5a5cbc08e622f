"""Grid events from outside become ceilings of sites; while a server is away, what it told last stays in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sunward.adapters.grid import Answer, Limit
from sunward.errors import InputError, SourceError
from sunward.model.codec import digest_bytes
from sunward.model.events import SiteCurtailed
from sunward.model.identity import SiteId
from sunward.model.site import Ceiling
from sunward.model.wire import ClockMapping
from sunward.service.control import ControlPlane
from sunward.units import SECOND_MS

log = logging.getLogger("sunward.grid")

SOURCE = "openadr"


@dataclass(slots=True)
class Watch:
    """One server that is asked for one site, and how that stands."""

    site: str
    origin: str
    """What tells its events from those of other servers."""
    every_s: float
    ask: Callable[[], Answer]
    """Raises: SourceError. Called in a thread."""
    heard_ms: int | None = None
    """Machine time of the last good answer."""
    failures: int = 0
    """In a row."""
    unread: int = 0
    """Events of the last answer that mean nothing here."""
    told: set[str] = field(default_factory=set)
    """Complaints that stand in the log already."""

    @property
    def prefix(self) -> str:
        """How the names of its ceilings begin."""
        return f"{SOURCE}-{digest_bytes(self.origin.encode())[:8]}-"


async def keep_watching(control: ControlPlane, watch: Watch) -> None:
    """Ask again and again, and have the site's ceilings be what was answered."""
    while True:
        await look(control, watch)
        await asyncio.sleep(watch.every_s)


async def look(control: ControlPlane, watch: Watch) -> None:
    """Ask once."""
    try:
        answer = await asyncio.to_thread(watch.ask)
    except SourceError as reason:
        watch.failures += 1
        _complain(watch, [f"{reason.message}; what it told last stays in force until its own end"])
        return
    watch.heard_ms, watch.failures, watch.unread = control.clock.machine_ms(), 0, len(answer.unread)
    _complain(watch, [*answer.unread, *_take(control, watch, answer.limits)])


def _complain(watch: Watch, lines: Sequence[str]) -> None:
    for line in lines:
        if line not in watch.told:
            log.warning("grid events of %s: %s", watch.site, line)
    watch.told = set(lines)


def _take(control: ControlPlane, watch: Watch, told: Sequence[Limit]) -> list[str]:
    """Record what differs from what the site has; what was refused, in words."""
    site = control.state.world.sites.get(watch.site)
    if site is None or site.left_ms:
        return [f"no site {watch.site} has joined"]
    now_ms = control.clock.grid_ms()
    known = {name: one for name, one in site.ceilings.items() if name.startswith(watch.prefix) and one.end_ms > now_ms}
    wanted = _wanted(watch, told, control.clock.mapping, now_ms)
    changes = [SiteCurtailed(site=SiteId(watch.site), ceiling=one) for one in _new(known, wanted)]
    changes += [
        SiteCurtailed(site=SiteId(watch.site), ceiling=one, cancelled=True)
        for name, one in sorted(known.items())
        if name not in wanted
    ]
    refused: list[InputError] = [one.refused for one in control.commit(changes) if one.refused] if changes else []
    return [reason.message for reason in refused]


def _wanted(watch: Watch, told: Sequence[Limit], clock: ClockMapping, now_ms: int) -> dict[str, Ceiling]:
    """The limits that are not over, in grid time."""
    every = (
        Ceiling(
            ceiling=f"{watch.prefix}{one.name}",
            start_ms=max(0, clock.grid(one.start_ms)),
            end_ms=clock.grid(one.end_ms),
            ceiling_w=max(0, one.watts),
            source=SOURCE,
        )
        for one in told
    )
    return {one.ceiling: one for one in every if one.end_ms > now_ms}


def _new(known: Mapping[str, Ceiling], wanted: Mapping[str, Ceiling]) -> list[Ceiling]:
    return [one for name, one in sorted(wanted.items()) if known.get(name) != one]


def age_s(watch: Watch, machine_ms: int) -> float | None:
    """Machine time since the last good answer; None before the first."""
    return None if watch.heard_ms is None else max(0, machine_ms - watch.heard_ms) / SECOND_MS
