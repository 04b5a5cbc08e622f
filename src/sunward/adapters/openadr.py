"""Grid events of an OpenADR 3 server (a VTN), asked for as one of its clients (a VEN).

`openadr3` speaks the protocol and knows its records; it is loaded only where a settings file names such a server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
from openadr3.api import OpenADRClient
from openadr3.auth import fetch_token
from openadr3.entities.models import Event, Interval
from pydantic import ValidationError

from sunward.adapters.grid import Answer, Limit
from sunward.errors import SourceError
from sunward.model.codec import digest_bytes
from sunward.units import SECOND_MS, W_PER_KW

LIMIT = "IMPORT_CAPACITY_LIMIT"
"""The one payload type that says what a site may draw; others are passed over."""
WATTS_IN = {"": W_PER_KW, "KW": W_PER_KW, "W": 1}
"""Units of that payload; kW where none is told, as the specification has it."""
NOW = re.compile(r"000[01]-")
"""Years that stand for `now` in a start."""
EVER = "1970-01-01T00:00:00Z"
FOR_EVER, LONGEST = re.compile(r"P\d{4,}Y"), "P100Y"
PAGE = 50
PAGES_MAX = 100
SCOPES = ["read_all"]
AGENT = "sunward"
REFUSED, FAILED, UNKNOWN = "SW-223", "SW-226", "SW-227"
UNAUTHORIZED = (401, 403)
NAME = re.compile(r"[A-Za-z0-9_-]{1,48}")
ERRORS = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, ValidationError)
"""What a record raises that is not what the specification has."""
STAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)")
"""A moment of RFC 3339: what else the library would guess at is not taken."""


class Vtn:
    """One program of one server; used by one thread at a time."""

    def __init__(
        self, url: str, *, program: str = "", target: str = "", client: tuple[str, str] = ("", ""), token_url: str = ""
    ) -> None:
        """`client`: id and secret for the OAuth client credentials grant; without an id no token is asked for."""
        self._url = url.rstrip("/")
        self._program = program
        self._target = target
        self._client = client
        self._token_url = token_url
        self._token = ""
        self._program_id = ""

    def ask(self) -> Answer:
        """Every limit that stands.

        Raises: SourceError when the server cannot be asked.
        """
        try:
            try:
                return self._ask()
            except httpx.HTTPStatusError as reason:
                if reason.response.status_code not in UNAUTHORIZED or not self._token:
                    raise
                # Tokens expire, and only the server knows when: it is asked once with a new one.
                self._token = ""
                return self._ask()
        except httpx.HTTPStatusError as reason:
            status = reason.response.status_code
            raise SourceError(
                f"{self._url} answers {status}", code=REFUSED if status in UNAUTHORIZED else FAILED
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as reason:
            raise SourceError(f"{self._url} is not reached: {reason or type(reason).__name__}", code=FAILED) from None
        except ERRORS as reason:
            raise SourceError(f"{self._url} answers what is not OpenADR 3: {reason!r}", code=UNKNOWN) from None

    def _ask(self) -> Answer:
        if self._client[0] and not self._token:
            self._token = fetch_token(self._url, *self._client, scopes=SCOPES, token_url=self._token_url or None)
        with OpenADRClient(self._url, token=self._token or None, user_agent=AGENT) as client:
            if self._program and not self._program_id:
                self._program_id = self._named(client)
            named = {"programID": self._program_id} if self._program_id else {}
            return self._read(list(_pages(client, named)))

    def _named(self, client: OpenADRClient) -> str:
        """The id of the program named, by its name or its id."""
        found = client.get_programs(limit=PAGE)
        found.raise_for_status()
        for one in found.json():
            if self._program in (one["programName"], one["id"]):
                return str(one["id"])
        raise SourceError(f"{self._url} has no program {self._program}", code=FAILED)

    def _read(self, raws: Sequence[dict[str, Any]]) -> Answer:
        limits: list[Limit] = []
        unread: list[str] = []
        for raw in raws:
            try:
                event = Event.from_raw(_plain(raw))
                if not self._target or not event.targets or self._target in event.targets:
                    limits += _limits(event)
            except ERRORS as reason:
                shown = raw.get("id") if isinstance(raw, dict) else raw
                unread.append(f"event {str(shown)[:80]!r}: {' '.join(str(reason).split())[:200]}")
        return Answer(limits=tuple(limits), unread=tuple(unread))


def _pages(client: OpenADRClient, named: dict[str, str]) -> Iterator[dict[str, Any]]:
    for page in range(PAGES_MAX):
        found = client.get_events(skip=page * PAGE, limit=PAGE, **named)
        found.raise_for_status()
        events = found.json()
        if not isinstance(events, list):
            raise TypeError("no list of events")
        yield from events
        if len(events) < PAGE:
            return


def _plain(raw: Any) -> Any:  # noqa: ANN401 - JSON of others
    """An event in the one form the library reads: `now` as the moment it was last changed, for ever as a century."""
    told = raw.get("modificationDateTime") or raw.get("createdDateTime") or EVER
    for name in ("createdDateTime", "modificationDateTime"):
        if raw.get(name) is not None:
            _require_stamp(raw[name])
    targets = raw.get("targets") or []
    words = [word for one in targets for word in (one["values"] if isinstance(one, dict) else [one])]
    return {
        **raw,
        "targets": [str(word) for word in words],
        "intervalPeriod": _period(raw.get("intervalPeriod"), told),
        "intervals": [
            {**one, "intervalPeriod": _period(one.get("intervalPeriod"), told)} for one in raw.get("intervals") or []
        ],
    }


def _period(raw: dict[str, Any] | None, told: str) -> dict[str, Any] | None:
    if not raw:
        return None
    period = dict(raw)
    if NOW.match(str(raw.get("start") or "")):
        period["start"] = told
    _require_stamp(period["start"])
    if FOR_EVER.fullmatch(str(raw.get("duration") or "")):
        period["duration"] = LONGEST
    return period


def _require_stamp(told: object) -> None:
    if not STAMP.fullmatch(str(told)):
        raise ValueError(f"{str(told)[:40]!r} is no moment of RFC 3339")


def _limits(event: Event) -> Iterator[Limit]:
    units = next((one.units or "" for one in event.payload_descriptors or [] if one.payload_type == LIMIT), "")
    for interval in event.resolved_intervals():
        told = [payload.values for payload in interval.payloads if payload.type == LIMIT]
        if told:
            yield _limit(event, interval, min(float(values[0]) for values in told), units.upper())


def _limit(event: Event, interval: Interval, value: float, units: str) -> Limit:
    """Raises: ValueError where times, units or the figure mean nothing."""
    period = interval.interval_period.period if interval.interval_period else None
    if period is None:
        raise ValueError("an interval has no start or no duration")
    if units not in WATTS_IN:
        raise ValueError(f"its limit is in {units}, not in kW")
    name = event.id if event.id and NAME.fullmatch(event.id) else digest_bytes(str(event.id).encode())[:32]
    return Limit(
        name=f"{name}.{interval.id}",
        start_ms=int(period[0].timestamp() * SECOND_MS),
        end_ms=int(period[1].timestamp() * SECOND_MS),
        watts=int(value * WATTS_IN[units]),
    )
