"""Quotes off the event loop: those asked at about the same time share one look at what is free.

While one batch is worked out the next one gathers, so the cost of laying the network out falls as the load rises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sunward.model.job import JobSpec
from sunward.model.plan import Assignment, Unplaced
from sunward.placement.planner import quotes
from sunward.world.snapshot import Snapshot

BATCH_MAX = 32
"""Most jobs quoted on one look: who comes first should not wait long for who comes with it."""
Offers: TypeAlias = tuple[Assignment | Unplaced, ...]


@dataclass(slots=True)
class _Asked:
    specs: Sequence[JobSpec]
    told: asyncio.Future[tuple[Snapshot, Offers]]


class Desk:
    """Answers what jobs would get now; `look` takes a snapshot of what is free."""

    def __init__(self, look: Callable[[], Snapshot]) -> None:
        self._look = look
        self._waiting: list[_Asked] = []
        self._work: asyncio.Task[None] | None = None

    async def offers(self, specs: Sequence[JobSpec]) -> tuple[Snapshot, Offers]:
        """What each of some jobs would get if it alone were added, and the snapshot that says so."""
        asked = _Asked(specs, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._answer())
        return await asked.told

    async def _answer(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            try:
                snapshot = self._look()
                found = await asyncio.to_thread(quotes, snapshot, [spec for asked in batch for spec in asked.specs])
            except Exception as reason:  # noqa: BLE001  each of those who wait is told, and decides
                _tell(batch, reason)
                continue
            first = 0
            for asked in batch:
                if not asked.told.done():
                    asked.told.set_result((snapshot, found[first : first + len(asked.specs)]))
                first += len(asked.specs)


def _tell(batch: Sequence[_Asked], reason: Exception) -> None:
    for asked in batch:
        if not asked.told.done():
            asked.told.set_exception(reason)
