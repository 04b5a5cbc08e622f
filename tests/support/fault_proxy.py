"""A network between the control plane and those who talk to it that loses, doubles, delays, reorders and cuts, by seed.

Every client has a door of its own. What becomes of a request is drawn from the seed, the door, the route and how
many requests went that way before, so that it does not depend on who comes first.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

LONGEST_DELAY_S = 0.6
LATEST_REPLAY_S = 3.0
HEAD_BYTES_MAX = 1 << 16
BODY_BYTES_MAX = 1 << 26
CONNECT_S = 5.0
LINGER_S = 0.05


class Fate(StrEnum):
    """What becomes of one request."""

    PASS = "passed"
    DOUBLE = "doubled"
    """Delivered twice in a row; the second answer counts."""
    REPLAY = "replayed"
    """Delivered and answered, and delivered again much later."""
    DELAY = "delayed"
    """Held back, while what was sent later overtakes it."""
    DROP = "dropped"
    CUT = "cut"
    """Broken off in its middle."""
    MUTE = "answer lost"
    """Delivered; the answer never arrives."""
    STUMP = "answer cut"
    """Delivered; the answer breaks off in its middle."""


TROUBLES = tuple(fate for fate in Fate if fate is not Fate.PASS)


@dataclass(slots=True)
class _Trap:
    """The next answer on a route is not passed on: whoever gave it is killed first."""

    route: str
    pid: int


@dataclass(slots=True)
class FaultProxy:
    """Listens on loopback, one port a door, and carries each request to the control plane's port, or does not."""

    seed: int
    port: int
    names: Iterable[str]
    troubled_frac: float = 0.12
    met: Counter[str] = field(default_factory=Counter)
    """Requests by what became of them."""
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Answers of the control plane by route and status."""
    sprung: threading.Event = field(default_factory=threading.Event)
    """Set when the trap has killed."""
    _doors: dict[str, int] = field(default_factory=dict)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _trap: _Trap | None = None
    _serving: set[asyncio.Task[None] | None] = field(default_factory=set)
    _late: set[asyncio.Task[bytes]] = field(default_factory=set)
    _ready: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _over: asyncio.Event | None = None
    _thread: threading.Thread | None = None
    _servers: list[asyncio.Server] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._over is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()

    def url(self, name: str) -> str:
        """Where the client of this name finds the control plane."""
        return f"http://127.0.0.1:{self._doors[name]}"

    def set_trap(self, route: str, pid: int) -> None:
        """Kill a process right before its next answer on a route that starts so."""
        self.sprung.clear()
        self._trap = _Trap(route, pid)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        for name in self.names:
            server = await asyncio.start_server(self._door(name), "127.0.0.1", 0, limit=HEAD_BYTES_MAX)
            self._servers.append(server)
            self._doors[name] = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        for server in self._servers:
            server.close()
        # Whoever was let in just now gets a task first, which is cancelled with the others; then they close.
        await asyncio.sleep(LINGER_S)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(LINGER_S)

    def _door(self, name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # The loop alone does not keep a task that waits for somebody who has gone.
            task = asyncio.current_task()
            self._serving.add(task)
            try:
                with suppress(OSError, asyncio.IncompleteReadError):
                    await self._carry(name, reader, writer)
            finally:
                writer.close()
                self._serving.discard(task)

        return serve

    async def _carry(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection: clients open another one."""
        route, raw = await _request(reader)
        self._counts[name, route] += 1
        draw = random.Random(f"network {self.seed} {name} {route} {self._counts[name, route]}")
        fate = draw.choice(TROUBLES) if draw.random() < self.troubled_frac else Fate.PASS
        self.met[fate] += 1
        if fate is Fate.DROP:
            return
        if fate is Fate.CUT:
            await self._deliver(route, raw[: len(raw) // 2], whole=False)
            return
        if fate is Fate.DELAY:
            await asyncio.sleep(draw.uniform(0.0, LONGEST_DELAY_S))
        if fate is Fate.DOUBLE:
            await self._deliver(route, raw)
        answer = await self._deliver(route, raw)
        if fate is Fate.REPLAY:
            task = asyncio.create_task(self._replay(route, raw, draw.uniform(0.0, LATEST_REPLAY_S)))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        if fate is not Fate.MUTE:
            writer.write(answer[: len(answer) // 2] if fate is Fate.STUMP else answer)
            await writer.drain()

    async def _replay(self, route: str, raw: bytes, after_s: float) -> bytes:
        await asyncio.sleep(after_s)
        with suppress(OSError):
            return await self._deliver(route, raw)
        return b""

    async def _deliver(self, route: str, raw: bytes, *, whole: bool = True) -> bytes:
        """The whole answer; what is not whole gets none."""
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.port), CONNECT_S)
        try:
            writer.write(raw)
            await writer.drain()
            if not whole:
                return b""
            answer = await reader.read(1)
            trap = self._trap
            if answer and trap is not None and route.startswith(trap.route):
                self._trap = None
                with suppress(ProcessLookupError):
                    os.kill(trap.pid, signal.SIGKILL)
                self.sprung.set()
                raise ConnectionResetError
            answer += await reader.read()
        finally:
            writer.close()
        words = answer.split(b" ", 2)
        if len(words) > 1 and words[1].isdigit():
            self.answers[route, int(words[1])] += 1
        return answer


async def _request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """The route and all bytes of a request, made to be the last of its connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    kept = [line for line in lines if not line.lower().startswith(b"connection:")]
    body = await _body(reader, headers)
    method, target, _ = first.decode("ascii").split(" ")
    route = f"{method} {_generic(target.partition('?')[0])}"
    return route, b"\r\n".join([first, *kept, b"Connection: close", b"", b""]) + body


async def _body(reader: asyncio.StreamReader, headers: dict[bytes, bytes]) -> bytes:
    if headers.get(b"transfer-encoding", b"").lower() != b"chunked":
        return await reader.readexactly(min(int(headers.get(b"content-length", b"0")), BODY_BYTES_MAX))
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        body += line + await reader.readexactly(size + 2)
        if size == 0:
            return body


def _generic(path: str) -> str:
    """A path without what differs from run to run: identifiers of jobs, leases and objects."""
    parts = path.split("/")
    return "/".join(part if index < 3 or part.isalpha() else "*" for index, part in enumerate(parts))
