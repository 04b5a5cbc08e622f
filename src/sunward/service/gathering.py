"""Group commit: what comes at about the same time is recorded in one transaction of the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sunward.adapters.contents_sql import StoredContent
from sunward.engine.writer import Outcome
from sunward.model.events import Payload

GATHER_S = 0.006
"""How long what can wait waits for others, or for a commit of something that cannot."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A payload that waits to be recorded, with the private content that is kept together with it."""

    payload: Payload
    job: str
    content: StoredContent | None
    done: asyncio.Future[Outcome]

    def answer(self, outcome: Outcome) -> None:
        """Tell who waits, if anybody still does."""
        if not self.done.done():
            self.done.set_result(outcome)

    def fail(self, reason: Exception) -> None:
        """Tell who waits that nothing could be recorded."""
        if not self.done.done():
            self.done.set_exception(reason)


class Gathering:
    """Payloads that wait; the next commit takes them along, and after `GATHER_S` at the latest one is made for them."""

    def __init__(self, flush: Callable[[], object]) -> None:
        self._flush = flush
        self._waiting: list[Waiting] = []

    async def record(self, payload: Payload, job: str = "", content: StoredContent | None = None) -> Outcome:
        """Have a payload recorded, and the content of the job it submits.

        Raises: InputError when it is refused, and then nothing of it is kept; InvariantError when nothing could be
            recorded.
        """
        loop = asyncio.get_running_loop()
        waiting = Waiting(payload, job, content, loop.create_future())
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            loop.call_later(GATHER_S, self._flush_if_any)
        outcome = await waiting.done
        if outcome.refused is not None:
            raise outcome.refused
        return outcome

    def take(self) -> Sequence[Waiting]:
        """What waits; the caller commits it now."""
        taken, self._waiting = self._waiting, []
        return taken

    def _flush_if_any(self) -> None:
        if self._waiting:
            self._flush()
