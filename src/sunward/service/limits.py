"""How much one caller may ask in a time, and how many solve at once; on the machine clock, kept in memory.

A bucket holds `BURST_S` seconds' worth of requests and fills at its rate. Callers with a token have a bucket each for
what they read, write or report as an agent; those without share one per address, and so do tokens that are not valid.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import Depends, Request

from sunward.service.config import ServiceConfig
from sunward.service.problems import RequestError
from sunward.units import SECOND_MS

BURST_S = 10
KEYS_MAX = 20_000
"""Callers remembered at most; the one that has been quiet longest is forgotten first."""
IPV6_SITE_BITS = 64
"""Whoever has one address of such a network has all of them."""
RATE, BUSY = "SW-429", "SW-430"
READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Buckets:
    """Token buckets of one rate, one per key. A rate of 0 is no limit."""

    def __init__(self, per_s: float, now_ms: Callable[[], int]) -> None:
        self._per_s = per_s
        self._now_ms = now_ms
        self._levels: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __contains__(self, key: object) -> bool:
        return key in self._levels

    def wait_s(self, key: str) -> float:
        """How long until the key may ask again; 0 = now."""
        if not self._per_s:
            return 0.0
        return max(0.0, (1 - self._level(key)) / self._per_s)

    def take(self, key: str) -> float:
        """Count one request and return 0, or how long to wait when there is no room for it."""
        wait_s = self.wait_s(key)
        if self._per_s and not wait_s:
            self._levels[key] = (self._level(key) - 1, self._now_ms())
            self._levels.move_to_end(key)
            if len(self._levels) > KEYS_MAX:
                self._levels.popitem(last=False)
        return wait_s

    def _level(self, key: str) -> float:
        full = max(1.0, self._per_s * BURST_S)
        level, at_ms = self._levels.get(key, (full, self._now_ms()))
        # A machine clock that was set back fills nothing and takes nothing away.
        return min(full, level + max(0, self._now_ms() - at_ms) * self._per_s / SECOND_MS)


class Limits:
    """Every limit of one service."""

    def __init__(self, config: ServiceConfig, now_ms: Callable[[], int]) -> None:
        self._reads = Buckets(config.reads_per_s, now_ms)
        self._writes = Buckets(config.writes_per_s, now_ms)
        self._agents = Buckets(config.agents_per_s, now_ms)
        self._visitors = Buckets(config.visitors_per_s, now_ms)
        self._failures = Buckets(config.failures_per_s, now_ms)
        self._solves_max = config.solves_max
        self._solving = 0

    def visit(self, address: str) -> None:
        """Count a request without a token. Raises: RequestError (429)."""
        _require(self._visitors.take(neighbourhood(address)))

    def guard(self, address: str, key: str = "") -> None:
        """Refuse, before it is looked up, a token never seen to be valid, from where too many were not.

        Raises: RequestError (429).
        """
        if any(key in buckets for buckets in (self._reads, self._writes, self._agents)):
            return
        _require(self._failures.wait_s(neighbourhood(address)))

    def fail(self, address: str) -> None:
        """Count a token that was not valid."""
        self._failures.take(neighbourhood(address))

    def use(self, key: str, method: str, *, agent: bool) -> None:
        """Count a request with a valid token. Raises: RequestError (429)."""
        buckets = self._agents if agent else self._reads if method in READS else self._writes
        _require(buckets.take(key))

    async def solving(self) -> AsyncIterator[None]:
        """Hold one of the places of those who solve.

        Raises: RequestError (503) when all are taken: the next one would only wait longer for its answer.
        """
        if self._solving >= self._solves_max:
            raise RequestError(
                "too many jobs are being priced at this moment; try again in a second",
                status=503,
                code=BUSY,
                headers={"Retry-After": "1"},
            )
        self._solving += 1
        try:
            yield
        finally:
            self._solving -= 1


def limits_of(request: Request) -> Limits:
    """The limits of this application."""
    found: Limits = request.app.state.limits
    return found


async def _solving(request: Request) -> AsyncIterator[None]:
    async for _ in limits_of(request).solving():
        yield


Solving = Annotated[None, Depends(_solving)]
"""A route that solves, as pricing does."""


def address_of(request: Request) -> str:
    """Where a request comes from; behind a proxy that is trusted, where it says so. Empty when not known."""
    return request.client.host if request.client else ""


def neighbourhood(address: str) -> str:
    """What counts as one place: an IPv4 address, or an IPv6 network."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(ipaddress.ip_network((found, IPV6_SITE_BITS), strict=False))


def _require(wait_s: float) -> None:
    if wait_s:
        seconds = math.ceil(wait_s)
        raise RequestError(
            f"too many requests; try again in {seconds} s", status=429, code=RATE, headers={"Retry-After": str(seconds)}
        )
