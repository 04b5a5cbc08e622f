"""Asking an HTTP source for JSON: bounded in time and size, and its faults named by who must act.

Neither a key nor a whole address is ever part of a message or a log line.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TypeVar

import httpx

import sunward
from sunward.adapters.feeds.feed import NOT_UNDERSTOOD, OUTAGE, REFUSED_KEY, TOO_OFTEN, UNKNOWN_PLACE, FeedError
from sunward.errors import InputError
from sunward.model.address import parts_of
from sunward.model.codec import decode
from sunward.units import HOUR_S

T = TypeVar("T")

SILENCE_S = 10.0
ANSWER_S = 30.0
"""Longest time a whole answer may take: a source that trickles is as good as one that is down."""
ANSWER_BYTES_MAX = 16 << 20
REST_S_MAX = 24 * HOUR_S
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
UNAUTHORIZED, FORBIDDEN, TOO_MANY, SERVER_FAULT, REDIRECT = 401, 403, 429, 500, 300


class Web:
    """One source's address with what every request to it carries."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> None:
        address = parts_of(url)
        if address.scheme != "https" and not (address.scheme == "http" and address.hostname in LOOPBACK):
            raise InputError(f"the address of {name} must begin with https://", code="SW-221")
        # httpx logs whole addresses, and a source may want its key in one.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self.name = name
        self._host = address.hostname or ""
        self._query = dict(query or {})
        agent = {"User-Agent": f"sunward/{sunward.__version__}", "Accept": "application/json"}
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers=agent | dict(headers or {}),
            timeout=min(SILENCE_S, ANSWER_S),
            verify=_trusted(),
        )

    def get(
        self,
        path: str,
        kind: type[T],
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        login: tuple[str, str] | None = None,
    ) -> T:
        """The answer as a record. Raises: FeedError."""
        raw = self._read(path, self._query | dict(query or {}), dict(headers or {}), login)
        try:
            return decode(raw, kind)
        except InputError as reason:
            detail = reason.message.partition(": ")[2]
            raise FeedError(
                f"{self._host} answered {path} with what is not understood ({detail})", code=NOT_UNDERSTOOD
            ) from None

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def _read(self, path: str, query: dict[str, str], headers: dict[str, str], login: tuple[str, str] | None) -> bytes:
        until_s = time.monotonic() + ANSWER_S
        auth = httpx.BasicAuth(*login) if login else None
        try:
            with self._http.stream("GET", path, params=query, headers=headers, auth=auth) as reply:
                if reply.status_code >= REDIRECT:
                    raise self._refusal(reply, path)
                parts: list[bytes] = []
                size = 0
                for part in reply.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > ANSWER_BYTES_MAX:
                        raise FeedError(f"{self._host} answered {path} with more than 16 MiB", code=NOT_UNDERSTOOD)
                    if time.monotonic() > until_s:
                        raise FeedError(f"{self._host} took too long to answer {path}", code=OUTAGE)
                return b"".join(parts)
        except httpx.HTTPError as reason:
            # Its text may hold the address, and the address a key.
            line = f"{self._host} cannot be used ({type(reason).__name__})"
            raise FeedError(line, code=OUTAGE) from None

    def _refusal(self, reply: httpx.Response, path: str) -> FeedError:
        status = reply.status_code
        if status in {UNAUTHORIZED, FORBIDDEN}:
            line = f"{self._host} refuses the key, or the plan behind it, for {path} ({status}); check both"
            return FeedError(line, code=REFUSED_KEY, transient=False)
        if status == TOO_MANY:
            rest_s = _rest_s(reply.headers.get("Retry-After", ""))
            return FeedError(f"{self._host} was asked too often (429)", code=TOO_OFTEN, rest_s=rest_s)
        if status >= SERVER_FAULT:
            rest_s = _rest_s(reply.headers.get("Retry-After", ""))
            return FeedError(f"{self._host} failed on {path} ({status})", code=OUTAGE, rest_s=rest_s)
        line = f"{self._host} does not know what {path} asks for ({status}); check the place in the settings"
        return FeedError(line, code=UNKNOWN_PLACE, transient=False)


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates trusted; read once, for every client would read them anew."""
    return httpx.create_ssl_context()


def _rest_s(text: str) -> int:
    """Seconds of a Retry-After header, given as such or as a date; 0 for none or nonsense."""
    if text.strip().isascii() and text.strip().isdigit():
        return min(int(text.strip()), REST_S_MAX)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return 0
    return max(0, min(int(moment.timestamp() - time.time()), REST_S_MAX))
