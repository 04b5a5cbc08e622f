"""Requests to one service with one token, sent again where that is safe."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from gettext import gettext as _

import httpx

from sunward.client.answers import refusal, unreachable
from sunward.client.waiting import async_pause
from sunward.errors import InputError
from sunward.model.codec import encode

TIMEOUT_S = 30.0
REPEAT_S = 10.0
"""How long a POST whose answer was lost is sent again, with the same idempotency key: a service starts in less."""
PAUSE_S = 0.25


class AsyncHttp:
    """One service, one token; every refusal and every failure is an error of this project."""

    def __init__(self, url: str, token: str, *, transport: httpx.AsyncBaseTransport | None, timeout_s: float) -> None:
        if not url.startswith(("http://", "https://")):
            raise InputError(
                _("not a service address: {url}; give http://… or https://…").format(url=url), code="SW-611"
            )
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=timeout_s, transport=transport)

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def get(self, path: str, **query: str | int) -> httpx.Response:
        """Read what an address holds; parameters that are empty are left out."""
        return await self._send("GET", path, params={name: value for name, value in query.items() if value != ""})

    async def post(self, path: str, record: object, key: str = "") -> httpx.Response:
        """Send a record; the service takes it once, however often it must be sent."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4()), "Content-Type": "application/json"}
        content = encode(record)
        until_s: float | None = None
        while True:
            try:
                return self._accepted(await self._http.post(path, content=content, headers=headers))
            except httpx.TransportError as reason:
                never_arrived = until_s is None and isinstance(reason, httpx.ConnectError)
                if never_arrived or (until_s is not None and time.monotonic() > until_s):
                    raise unreachable(self.url, reason) from None
            if until_s is None:
                until_s = time.monotonic() + REPEAT_S
            else:
                await async_pause(PAUSE_S)

    async def put(self, path: str, content: AsyncIterator[bytes], size: int) -> httpx.Response:
        """Send bytes whose number is known."""
        return await self._send("PUT", path, content=content, headers={"Content-Length": str(size)})

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[httpx.Response]:
        """An answer that is read piece by piece."""
        try:
            async with self._http.stream("GET", path) as reply:
                if reply.is_error:
                    await reply.aread()
                yield self._accepted(reply)
        except httpx.TransportError as reason:
            raise unreachable(self.url, reason) from None

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str | int] | None = None,
        content: AsyncIterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        try:
            reply = await self._http.request(method, path, params=params, content=content, headers=headers)
        except httpx.TransportError as reason:
            raise unreachable(self.url, reason) from None
        return self._accepted(reply)

    @staticmethod
    def _accepted(reply: httpx.Response) -> httpx.Response:
        if reply.is_error:
            raise refusal(reply)
        return reply
