"""What a request must keep to before anything reads it: its size, its pace, and how often strangers ask."""

from __future__ import annotations

import asyncio

import h11
from fastapi import Response
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from sunward.service.config import ServiceConfig
from sunward.service.limits import Limits, address_of
from sunward.service.problems import TOO_LARGE, TOO_LONG, TOO_MUCH_HEADER, RequestError, problem, told

HEAD_S = 10.0
"""Longest that the head of a request may take to arrive."""


class PatientProtocol(H11Protocol):
    """Hangs up on whoever sends a head byte by byte: the server itself only limits the time between requests."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        if self._late is not None:
            self._late.cancel()

    def _watch(self) -> None:
        waiting = self.conn.their_state is h11.IDLE
        if waiting and self._late is None:
            self._late = self.loop.call_later(HEAD_S, self._hang_up)
        elif not waiting and self._late is not None:
            self._late.cancel()
            self._late = None

    def _hang_up(self) -> None:
        self._late = None
        if self.conn.their_state is h11.IDLE:
            self.timeout_keep_alive_handler()


class Gate:
    """Refuses what is larger than its address takes, by what it declares and by what arrives, or comes too slowly."""

    def __init__(self, app: ASGIApp, config: ServiceConfig, limits: Limits) -> None:
        self._app = app
        self._config = config
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with a counted body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        refusal = self._refusal(scope, limit)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, self._counted(receive, limit), send)

    def _refusal(self, scope: Scope, limit: int) -> Response | None:
        """Why the head of a request already says too much."""
        config = self._config
        if len(scope["path"]) + len(scope["query_string"]) > config.address_chars_max:
            return problem(414, f"an address may have at most {config.address_chars_max} characters", TOO_LONG)
        headers = dict(scope["headers"])
        if sum(len(name) + len(value) for name, value in scope["headers"]) > config.header_bytes_max:
            return problem(431, f"headers may have at most {config.header_bytes_max} bytes", TOO_MUCH_HEADER)
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > limit:
            return problem(413, _too_large(limit), TOO_LARGE)
        try:
            if b"authorization" not in headers:
                self._limits.visit(address_of(Request(scope)))
        except RequestError as reason:
            return told(reason)
        return None

    def _counted(self, receive: Receive, limit: int) -> Receive:
        arrived = 0
        more = True

        async def counted() -> Message:
            nonlocal arrived, more
            # After the body comes only the end of the connection, which may take as long as it likes.
            pause_s = self._config.body_pause_s if more else None
            try:
                message = await asyncio.wait_for(receive(), pause_s)
            except TimeoutError:
                raise HTTPException(408, "the body stopped arriving; send it again") from None
            arrived += len(message.get("body", b""))
            more = bool(message.get("more_body"))
            if arrived > limit:
                raise HTTPException(413, _too_large(limit))
            return message

        return counted

    def _limit(self, path: str) -> int:
        if path == "/v1/agents/readings":
            return self._config.readings_bytes_max
        if path.startswith("/v1/leases/") and path.endswith("/log"):
            return self._config.log_bytes_max
        if path == "/v1/objects" or path.startswith("/v1/leases/"):
            return self._config.object_bytes_max
        return self._config.body_bytes_max


def _too_large(limit: int) -> str:
    return f"the body may have at most {limit} bytes; send less"
