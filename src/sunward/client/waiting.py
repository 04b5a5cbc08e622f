"""Waiting and blocking work, once for either kind of client: all else of the two is one code.

`tools/build_sync.py` makes the blocking client out of the asynchronous one, and takes `async_` off these names.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import BinaryIO, ParamSpec, TypeVar

from sunward.errors import SourceError

P = ParamSpec("P")
T = TypeVar("T")

CHUNK_BYTES = 1 << 20
POLL_S = 0.5
NO_RECEIPT_YET = frozenset({"SW-155", "SW-156"})
"""The job runs, or its last readings are still to come."""
PATIENCE_S = 20.0
"""How long a service that stopped answering is waited for: one that starts again answers in less."""


class Patience:
    """Bears with a service that fails for a moment, and not with one that stays away."""

    def __init__(self) -> None:
        self._since_s: float | None = None

    def worked(self) -> None:
        """The service answered."""
        self._since_s = None

    def bear(self, reason: SourceError) -> None:
        """Let a failure pass.

        Raises: the failure, when it is not transient or has lasted too long.
        """
        now_s = time.monotonic()
        since_s = self._since_s = now_s if self._since_s is None else self._since_s
        if not reason.transient or now_s - since_s > PATIENCE_S:
            raise reason


class Limit:
    """The moment until which something is waited for; None waits for ever."""

    def __init__(self, timeout_s: float | None) -> None:
        self._until_s = None if timeout_s is None else time.monotonic() + timeout_s

    @property
    def passed(self) -> bool:
        """Whether it is time to give up."""
        return self._until_s is not None and time.monotonic() >= self._until_s


async def async_pause(seconds: float) -> None:
    """Do nothing for so long."""
    import asyncio  # noqa: PLC0415 - the command line waits without it, and starts faster

    await asyncio.sleep(seconds)


def pause(seconds: float) -> None:
    """Do nothing for so long."""
    time.sleep(seconds)


async def async_apart(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What blocking work returns, done where it does not hold the others up."""
    import asyncio  # noqa: PLC0415 - as above

    return await asyncio.to_thread(work, *args, **kwargs)


def apart(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What blocking work returns."""
    return work(*args, **kwargs)


async def async_chunks(source: BinaryIO) -> AsyncIterator[bytes]:
    """The rest of a file, piece by piece."""
    while chunk := await async_apart(source.read, CHUNK_BYTES):
        yield chunk


def chunks(source: BinaryIO) -> Iterator[bytes]:
    """The rest of a file, piece by piece."""
    while chunk := source.read(CHUNK_BYTES):
        yield chunk
