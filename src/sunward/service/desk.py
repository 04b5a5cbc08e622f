"""Quotes off the event loop: those asked at about the same time share one look at what is free.

While one batch is worked out the next one gathers, so the cost of laying the network out falls as the load rises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from sunward.model.plan import Assignment, Segment, Unplaced
from sunward.placement.planner import places, quotes
from sunward.world.snapshot import JobView, Snapshot

BATCH_MAX = 32
"""Most requests answered on one look: who comes first should not wait long for who comes with it."""
GATHER_S = 0.002
"""How long the first of a batch waits for others."""
Offer: TypeAlias = Assignment | Unplaced
Place: TypeAlias = tuple[Segment, ...] | Unplaced
Found = TypeVar("Found")


@dataclass(slots=True)
class _Asked(Generic[Found]):
    jobs: Sequence[JobView]
    told: asyncio.Future[tuple[Snapshot, tuple[Found, ...]]]


class _Counter(Generic[Found]):
    """Requests of one kind: they wait, and are answered batch by batch."""

    def __init__(
        self,
        look: Callable[[], Snapshot],
        run: Callable[..., Awaitable[tuple[Found, ...]]],
        search: Callable[[Snapshot, Sequence[JobView]], tuple[Found, ...]],
    ) -> None:
        self._look = look
        self._run = run
        self._search = search
        self._waiting: list[_Asked[Found]] = []
        self._work: asyncio.Task[None] | None = None

    async def ask(self, jobs: Sequence[JobView]) -> tuple[Snapshot, tuple[Found, ...]]:
        asked: _Asked[Found] = _Asked(jobs, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._answer())
        return await asked.told

    async def _answer(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_S)
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            try:
                snapshot = self._look()
                jobs = [job for asked in batch for job in asked.jobs]
                found = await self._run(self._search, snapshot, jobs)
            except Exception as reason:  # noqa: BLE001  each of those who wait is told, and decides
                for asked in batch:
                    if not asked.told.done():
                        asked.told.set_exception(reason)
                continue
            first = 0
            for asked in batch:
                if not asked.told.done():
                    asked.told.set_result((snapshot, found[first : first + len(asked.jobs)]))
                first += len(asked.jobs)


class Desk:
    """Answers what jobs would get now; `look` takes a snapshot of what is free, `run` runs a search off the loop."""

    def __init__(self, look: Callable[[], Snapshot], run: Callable[..., Awaitable[Any]]) -> None:
        self._quotes: _Counter[Offer] = _Counter(look, run, quotes)
        self._places: _Counter[Place] = _Counter(look, run, places)

    async def offers(self, jobs: Sequence[JobView]) -> tuple[Snapshot, tuple[Offer, ...]]:
        """What each of some jobs would get if it alone were added, with its reasons; and the snapshot that says so."""
        return await self._quotes.ask(jobs)

    async def place(self, job: JobView) -> tuple[Snapshot, Place]:
        """Where one job would run if it were added, which is all that a price needs."""
        snapshot, (found,) = await self._places.ask([job])
        return snapshot, found
