# Made from src/sunward/client/_async/http.py by tools/build_sync.py; change that one.
"""Requests to one service with one token, sent again where that is safe."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from gettext import gettext as _
from pathlib import Path

import httpx

from sunward.client.answers import refusal, retry_after_s, trust, unreachable
from sunward.client.waiting import pause
from sunward.errors import InputError
from sunward.model.address import require_private
from sunward.model.codec import encode

TIMEOUT_S = 30.0
REPEAT_S = 10.0
"""How long a request is sent again: a POST whose answer was lost, with the same idempotency key, since a service
starts in less; and any request that came too soon after others."""
PAUSE_S = 0.25
UNKNOWN = frozenset({404, 405})


class Http:
    """One service, one token; every refusal and every failure is an error of this project."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        transport: httpx.BaseTransport | None,
        timeout_s: float,
        ca: Path | None = None,
        insecure: bool = False,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise InputError(
                _("not a service address: {url}; give http://… or https://…").format(url=url), code="SW-611"
            )
        if token and transport is None:
            require_private(url, insecure=insecure)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=timeout_s, transport=transport, verify=trust(ca, url)
        )

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def get(self, path: str, **query: str | int) -> httpx.Response:
        """Read what an address holds; parameters that are empty are left out."""
        return self._ask("GET", path, params={name: value for name, value in query.items() if value != ""})

    def delete(self, path: str, **query: str | int) -> httpx.Response:
        """Remove what an address holds; parameters that are empty are left out."""
        return self._ask("DELETE", path, params={name: value for name, value in query.items() if value != ""})

    def post(self, path: str, record: object, key: str = "") -> httpx.Response:
        """Send a record; the service takes it once, however often it must be sent."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4()), "Content-Type": "application/json"}
        return self._ask("POST", path, content=encode(record), headers=headers, resend=True)

    def put(self, path: str, content: Iterator[bytes], size: int) -> httpx.Response:
        """Send bytes whose number is known."""
        try:
            return self._accepted(self._http.put(path, content=content, headers={"Content-Length": str(size)}))
        except httpx.TransportError as reason:
            raise unreachable(self.url, reason) from None

    def holds(self, path: str) -> bool:
        """Whether there is anything at an address; a service that cannot tell is taken to hold nothing."""
        try:
            reply = self._http.head(path)
        except httpx.TransportError as reason:
            raise unreachable(self.url, reason) from None
        return reply.status_code not in UNKNOWN and self._accepted(reply).is_success

    @contextmanager
    def stream(self, path: str) -> Iterator[httpx.Response]:
        """An answer that is read piece by piece."""
        try:
            with self._http.stream("GET", path) as reply:
                if reply.is_error:
                    reply.read()
                yield self._accepted(reply)
        except httpx.TransportError as reason:
            raise unreachable(self.url, reason) from None

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str | int] | None = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        resend: bool = False,
    ) -> httpx.Response:
        """One answer; asked again when the service says when, and with `resend` when the answer was lost."""
        until_s: float | None = None
        while True:
            try:
                reply = self._http.request(method, path, params=params, content=content, headers=headers)
            except httpx.TransportError as reason:
                never_arrived = until_s is None and isinstance(reason, httpx.ConnectError)
                if not resend or never_arrived or (until_s is not None and time.monotonic() > until_s):
                    raise unreachable(self.url, reason) from None
                wait_s = 0.0 if until_s is None else PAUSE_S
            else:
                told_s = retry_after_s(reply)
                if told_s is None or time.monotonic() + told_s > (until_s or time.monotonic() + REPEAT_S):
                    return self._accepted(reply)
                wait_s = told_s
            until_s = until_s or time.monotonic() + REPEAT_S
            pause(wait_s)

    @staticmethod
    def _accepted(reply: httpx.Response) -> httpx.Response:
        if reply.is_error:
            raise refusal(reply)
        return reply
