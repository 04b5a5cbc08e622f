"""Waiting and blocking work, once for either kind of client: all else of the two is one code.

`tools/build_sync.py` makes the blocking client out of the asynchronous one, and takes `async_` off these names.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import BinaryIO, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

CHUNK_BYTES = 1 << 20


async def async_pause(seconds: float) -> None:
    """Do nothing for so long."""
    await asyncio.sleep(seconds)


def pause(seconds: float) -> None:
    """Do nothing for so long."""
    time.sleep(seconds)


async def async_apart(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What blocking work returns, done where it does not hold the others up."""
    return await asyncio.to_thread(work, *args, **kwargs)


def apart(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What blocking work returns."""
    return work(*args, **kwargs)


async def async_chunks(source: BinaryIO) -> AsyncIterator[bytes]:
    """The rest of a file, piece by piece."""
    while chunk := await asyncio.to_thread(source.read, CHUNK_BYTES):
        yield chunk


def chunks(source: BinaryIO) -> Iterator[bytes]:
    """The rest of a file, piece by piece."""
    while chunk := source.read(CHUNK_BYTES):
        yield chunk
