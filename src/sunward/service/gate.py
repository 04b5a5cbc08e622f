"""What a request must keep to before anything reads it: its size, its pace, and how often strangers ask."""

from __future__ import annotations

import asyncio

from fastapi import Response
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sunward.service.config import ServiceConfig
from sunward.service.limits import Limits, address_of
from sunward.service.problems import TOO_LARGE, TOO_LONG, TOO_MUCH_HEADER, RequestError, problem, told

HEAD_S = 10.0
"""Longest that the head of a request may take to arrive."""


class PatientProtocol(HttpToolsProtocol):
    """Hangs up on whoever sends a head byte by byte, or without an end: the server itself limits neither."""

    head_bytes_max = 1 << 16
    _late: asyncio.TimerHandle | None = None
    _unanswered = 0
    """Requests whose head is complete."""
    _in_body = False
    _head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        super().data_received(data)
        self._head_bytes = 0 if self._unanswered or self._in_body else self._head_bytes + len(data)
        if self._head_bytes > self.head_bytes_max and not self.transport.is_closing():
            self.send_400_response(f"a head may have at most {self.head_bytes_max} bytes")
        self._watch()

    def on_headers_complete(self) -> None:
        """Take a request whose head is complete."""
        super().on_headers_complete()
        self._unanswered += 1
        self._in_body = True

    def on_message_complete(self) -> None:
        """Take the end of a request, which may have been answered before."""
        super().on_message_complete()
        self._in_body = False

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._unanswered -= 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        if self._late is not None:
            self._late.cancel()

    def _watch(self) -> None:
        if not self._unanswered and self._late is None:
            self._late = self.loop.call_later(HEAD_S, self._hang_up)
        elif self._unanswered and self._late is not None:
            self._late.cancel()
            self._late = None

    def _hang_up(self) -> None:
        self._late = None
        if not self._unanswered:
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
                async with asyncio.timeout(pause_s):
                    message = await receive()
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
