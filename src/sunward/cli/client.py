"""The service's REST API as a typed client: records in, records out, its problems as this project's errors."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar
from urllib.parse import quote

import httpx

from sunward.cli.text import _
from sunward.errors import ConflictError, InputError, NotFoundError, SourceError
from sunward.model.codec import decode, encode
from sunward.model.receipt import EpochStatement
from sunward.model.records import (
    AccountView,
    DepositMade,
    DepositRequest,
    Enrolment,
    EnrolmentRequest,
    EntryPage,
    EpochClosed,
    GridView,
    HistoryLine,
    JobPage,
    JournalPage,
    PlanView,
    ReceiptView,
    Stored,
)
from sunward.model.request import JobRequest, JobView, Problem, Quote, SiteView, Submitted
from sunward.model.wire import ClockMapping, JournalHead, RecordedEvent

T = TypeVar("T")

TIMEOUT_S = 30.0
PAGE = 500
REPEAT_S = 10.0
"""How long a POST whose answer was lost is sent again, with the same idempotency key: a service starts in less."""
PAUSE_S = 0.25
CHUNK_BYTES = 1 << 20
REFUSALS: dict[int, type[InputError]] = {404: NotFoundError, 409: ConflictError}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """Log bytes from an offset, where the next part starts, and whether the log can still grow."""

    text: bytes
    next_offset: int
    final: bool


class ApiClient:
    """One service, one token.

    Every method raises SourceError when the service cannot be used, and InputError, NotFoundError or
    ConflictError with the service's own code when it refuses.
    """

    def __init__(self, url: str, token: str, *, transport: httpx.BaseTransport | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise InputError(
                _("not a service address: {url}; give http://… or https://…").format(url=url), code="SW-611"
            )
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_S, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def quote(self, request: JobRequest) -> Quote:
        """What a job would cost and cause."""
        return _read(self._post("/v1/quotes", request), Quote)

    def submit(self, request: JobRequest, key: str = "") -> Submitted:
        """Submit a job; the same request with the same `key` gives the same job, whenever it comes again."""
        return _read(self._post("/v1/jobs", request, key), Submitted)

    def jobs(self, *, state: str = "", limit: int = 0) -> tuple[JobView, ...]:
        """The caller's jobs, newest first; at most `limit` when it is not 0."""
        found: list[JobView] = []
        after = ""
        while True:
            page = _read(self._get("/v1/jobs", after=after, limit=PAGE, state=state), JobPage)
            found.extend(page.jobs)
            if not page.next or (limit and len(found) >= limit):
                return tuple(found[: limit or None])
            after = page.next

    def job(self, job: str) -> JobView:
        """One job."""
        return _read(self._get(_of(job)), JobView)

    def history(self, job: str) -> tuple[HistoryLine, ...]:
        """Every change of state of a job."""
        return _read(self._get(_of(job, "history")), tuple[HistoryLine, ...])

    def cancel(self, job: str) -> JobView:
        """Stop a job."""
        return _read(self._post(_of(job, "cancel"), {}), JobView)

    def logs(self, job: str, offset: int = 0) -> LogPart:
        """The log from a byte offset."""
        reply = self._get(_of(job, "logs"), offset=offset)
        try:
            next_offset = int(reply.headers["Sunward-Next-Offset"])
        except (KeyError, ValueError):
            raise _not_understood("Sunward-Next-Offset") from None
        return LogPart(text=reply.content, next_offset=next_offset, final=reply.headers.get("Sunward-Final") == "1")

    def save_output(self, job: str, target: BinaryIO) -> None:
        """Write a job's output archive to an open file."""
        with self._stream(_of(job, "output")) as reply:
            target.writelines(reply.iter_bytes(CHUNK_BYTES))

    def receipt(self, job: str) -> ReceiptView:
        """The receipt of a job."""
        return _read(self._get(_of(job, "receipt")), ReceiptView)

    def bundle(self, job: str) -> bytes:
        """All that the offline check of a receipt needs, as JSON."""
        return self._get(_of(job, "bundle")).content

    def put_object(self, file: Path) -> str:
        """Store a file; its digest."""
        with file.open("rb") as source:
            headers = {"Content-Length": str(file.stat().st_size)}
            return _read(self._send("PUT", "/v1/objects", content=source, headers=headers), Stored).digest

    def read_object(self, digest: str) -> bytes:
        """A stored file."""
        return self._get(f"/v1/objects/{digest}").content

    def grid(self, zone: str, hours: int) -> GridView:
        """The hours ahead in a zone."""
        return _read(self._get("/v1/grid", zone=zone, hours=hours), GridView)

    def sites(self) -> tuple[SiteView, ...]:
        """All sites."""
        return _read(self._get("/v1/sites"), tuple[SiteView, ...])

    def enrol(self, note: str) -> Enrolment:
        """A one-time token for a new site."""
        return _read(self._post("/v1/enrolments", EnrolmentRequest(note=note)), Enrolment)

    def plan(self) -> PlanView:
        """The present plan."""
        return _read(self._get("/v1/plan"), PlanView)

    def epochs(self) -> tuple[EpochStatement, ...]:
        """Closed epochs, oldest first."""
        return _read(self._get("/v1/epochs"), tuple[EpochStatement, ...])

    def close_epoch(self) -> EpochClosed:
        """Close the present epoch now."""
        return _read(self._post("/v1/epochs/close", {}), EpochClosed)

    def journal_head(self) -> JournalHead:
        """Where the journal stands."""
        return _read(self._get("/v1/journal/head"), JournalHead)

    def journal(self, after: int = 0, limit: int = PAGE) -> tuple[RecordedEvent, ...]:
        """At most `limit` journal records with a sequence greater than `after`."""
        return _read(self._get("/v1/journal", after=after, limit=limit), JournalPage).records

    def whole_journal(self) -> Iterator[RecordedEvent]:
        """Every journal record, from the first."""
        after = 0
        while records := self.journal(after):
            yield from records
            after = records[-1].sequence

    def account(self) -> AccountView:
        """The caller's account."""
        return _read(self._get("/v1/account"), AccountView)

    def deposit(self, amount_usd: float) -> DepositMade:
        """Test money from the local faucet."""
        return _read(self._post("/v1/account/deposits", DepositRequest(amount_usd=amount_usd)), DepositMade)

    def balances(self) -> dict[str, str]:
        """Wei by account, and their `total`."""
        return _read(self._get("/v1/ledger/balances"), dict[str, str])

    def entries(self, account: str = "", after: str = "", limit: int = PAGE) -> EntryPage:
        """Some postings of the ledger, of one account or of all."""
        return _read(self._get("/v1/ledger/entries", account=account, after=after, limit=limit), EntryPage)

    def healthy(self) -> bool:
        """Whether the service answers and is well."""
        try:
            return self._get("/healthz").is_success
        except SourceError:
            return False

    def clock(self) -> ClockMapping:
        """The service's grid clock."""
        return _read(self._get("/v1/clock"), ClockMapping)

    def _get(self, path: str, **query: str | int) -> httpx.Response:
        return self._send("GET", path, params={name: value for name, value in query.items() if value != ""})

    def _post(self, path: str, record: object, key: str = "") -> httpx.Response:
        headers = {"Idempotency-Key": key or str(uuid.uuid4()), "Content-Type": "application/json"}
        return self._send("POST", path, content=encode(record), headers=headers, repeat=True)

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str | int] | None = None,
        content: bytes | BinaryIO | None = None,
        headers: dict[str, str] | None = None,
        repeat: bool = False,
    ) -> httpx.Response:
        until_s: float | None = None
        while True:
            try:
                reply = self._http.request(method, path, params=params, content=content, headers=headers)
                break
            except httpx.TransportError as reason:
                if not repeat or (until_s is None and isinstance(reason, httpx.ConnectError)):
                    raise self._unreachable(reason) from None
                if until_s is None:
                    until_s = time.monotonic() + REPEAT_S
                elif time.monotonic() > until_s:
                    raise self._unreachable(reason) from None
                else:
                    time.sleep(PAUSE_S)
        if reply.is_error:
            raise _refusal(reply)
        return reply

    @contextmanager
    def _stream(self, path: str) -> Iterator[httpx.Response]:
        try:
            with self._http.stream("GET", path) as reply:
                if reply.is_error:
                    reply.read()
                    raise _refusal(reply)
                yield reply
        except httpx.TransportError as reason:
            raise self._unreachable(reason) from None

    def _unreachable(self, reason: httpx.TransportError) -> SourceError:
        line = _("the service at {url} cannot be reached ({reason})")
        return SourceError(line.format(url=self.url, reason=str(reason) or type(reason).__name__), code="SW-640")


def _of(job: str, part: str = "") -> str:
    """The address of a job, or of a part of it; a name that is no id must not lead to another address."""
    return "/v1/jobs/" + quote(job, safe="") + (f"/{part}" if part else "")


def _read(reply: httpx.Response, kind: type[T]) -> T:
    try:
        return decode(reply.content, kind)
    except InputError as reason:
        raise _not_understood(reason.message) from None


def _not_understood(what: str) -> SourceError:
    line = _("the service's answer is not understood ({what})")
    return SourceError(line.format(what=what), transient=False, code="SW-642")


def _refusal(reply: httpx.Response) -> InputError | SourceError:
    """The service's problem as an error of ours."""
    try:
        problem = decode(reply.content, Problem)
    except InputError:
        line = _("the service answered {status} without a reason").format(status=reply.status_code)
        return SourceError(line, transient=reply.is_server_error, code="SW-641")
    if reply.is_server_error:
        return SourceError(problem.detail, code=problem.code)
    return REFUSALS.get(reply.status_code, InputError)(problem.detail, code=problem.code)
