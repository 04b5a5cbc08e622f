"""Asking an aggregator over HTTP so that one always knows whether a request can have arrived."""

from __future__ import annotations

import time
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import TypeVar

import httpx

import sunward
from sunward.adapters.feeds.web import LOOPBACK
from sunward.errors import InputError, SourceError
from sunward.model.address import parts_of
from sunward.model.calendar import utc_text
from sunward.model.codec import decode, encode
from sunward.model.credits import CreditOrder
from sunward.units import MICRO

T = TypeVar("T")

SILENCE_S = 20.0
ANSWER_S = 60.0
ANSWER_BYTES_MAX = 4 << 20
FAILED = "SW-809"
SERVER_FAULT, REDIRECT = 500, 300
UNCERTAIN = frozenset({408, 409, 425, 429})
"""Refusals after which a request may be under way all the same, or may be repeated."""
BEFORE_SENDING = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Faults after which nothing can have arrived."""


class UnsentError(SourceError):
    """Nothing was sent."""


class RefusedError(SourceError):
    """It was answered with a refusal; nothing was done."""


class Desk:
    """One aggregator's address with what every request carries; keys and whole addresses enter no message."""

    def __init__(self, name: str, url: str, key: str) -> None:
        address = parts_of(url)
        if address.scheme != "https" and not (address.scheme == "http" and address.hostname in LOOPBACK):
            raise InputError(f"the address of {name} must begin with https://", code=FAILED)
        self.name = name
        headers = {"User-Agent": f"sunward/{sunward.__version__}", "Accept": "application/json"}
        self._http = httpx.Client(
            base_url=url.rstrip("/"), headers=headers | {"Authorization": f"Bearer {key}"}, timeout=SILENCE_S
        )

    def get(self, path: str, kind: type[T], query: dict[str, str | list[str]] | None = None) -> T:
        """Read. Raises: SourceError; `RefusedError` where it will not."""
        return self._ask("GET", path, kind, query=query)

    def post(self, path: str, kind: type[T], body: object, headers: dict[str, str] | None = None) -> T:
        """Have something done. Raises: as `get`; `UnsentError` where it cannot have arrived."""
        return self._ask("POST", path, kind, body=encode(body), headers=headers)

    def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: dict[str, str | list[str]] | None = None,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> T:
        content = {"Content-Type": "application/json"} if body else {}
        until_s = time.monotonic() + ANSWER_S
        try:
            request = self._http.build_request(
                method, path, params=query, content=body or None, headers=content | (headers or {})
            )
            reply = self._http.send(request, stream=True)
            try:
                raw = self._read(reply, until_s)
            finally:
                reply.close()
        except BEFORE_SENDING as reason:
            raise UnsentError(f"{self.name} is not reached ({type(reason).__name__})", code=FAILED) from None
        except httpx.HTTPError as reason:
            raise SourceError(f"{self.name} gives no answer ({type(reason).__name__})", code=FAILED) from None
        if reply.status_code >= SERVER_FAULT or reply.status_code in UNCERTAIN:
            raise SourceError(f"{self.name} fails ({reply.status_code})", code=FAILED)
        if reply.status_code >= REDIRECT:
            raise RefusedError(f"{self.name} refuses {path} ({reply.status_code})", transient=False, code=FAILED)
        try:
            return decode(raw, kind)
        except InputError as reason:
            detail = reason.message.partition(": ")[2]
            raise SourceError(f"{self.name} answers what is not understood ({detail})", code=FAILED) from None

    def _read(self, reply: httpx.Response, until_s: float) -> bytes:
        parts: list[bytes] = []
        for part in reply.iter_bytes():
            parts.append(part)
            if sum(map(len, parts)) > ANSWER_BYTES_MAX or time.monotonic() > until_s:
                raise SourceError(f"{self.name} answers too much, or too slowly", code=FAILED)
        return b"".join(parts)

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()


def usd_micro(usd: float) -> int:
    """Micro-USD of a price in USD, rounded up.

    Raises: SourceError for what is no price.
    """
    try:
        found = Decimal(str(usd)) * MICRO
        return int(found.to_integral_value(ROUND_CEILING))
    except (InvalidOperation, ValueError, OverflowError):
        raise SourceError("a price that is no number", transient=False, code=FAILED) from None


def told(order: CreditOrder, beneficiary: str) -> str:
    """Whose emissions of when and where an order stands for."""
    countries = ", ".join(one.country for one in order.emitted)
    return f"{beneficiary}: emissions {utc_text(order.start_ms)} to {utc_text(order.end_ms)} in {countries or 'none'}"
