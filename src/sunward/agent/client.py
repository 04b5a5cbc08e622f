"""The control plane as an agent sees it: HTTP, outward only."""

from __future__ import annotations

import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cbor2
import httpx

from sunward.agent.identity import Membership
from sunward.errors import ConflictError, InputError, NotFoundError, SourceError
from sunward.model.address import require_private
from sunward.model.codec import decode, encode
from sunward.model.site import SiteSpec
from sunward.model.site_views import KeyRequest, KeyTaken
from sunward.model.wire import JobContent, Neighbours, SyncReply, SyncRequest, WakeTrial
from sunward.units import SECOND_MS

T = TypeVar("T")

TIMEOUT_S = 10.0
"""Machine time without an answer after which a request has failed."""
CHALLENGE_S = 60.0
CHUNK_BYTES = 1 << 20
TRANSIENT_STATUS = frozenset({408, 425, 429})
NOT_FOUND, CONFLICT, CLIENT_ERROR, SERVER_ERROR = 404, 409, 400, 500
JSON = {"content-type": "application/json"}
BYTES = {"content-type": "application/octet-stream"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before another try: doubling, spread by jitter so that agents do not come back as one."""

    sleep: Callable[[float], object]
    """Waits; something true means that trying again makes no sense any more (`Event.wait` of a stop)."""
    jitter: Callable[[], float]
    """Uniform in [0, 1)."""
    attempts: int = 6
    base_s: float = 0.1
    cap_s: float = 5.0

    def delay_s(self, failures: int) -> float:
        """Machine time to wait after a number of failures in a row: between half and the whole of the step."""
        step = min(self.cap_s, self.base_s * float(2 ** max(0, failures - 1)))
        return step * (1 + self.jitter()) / 2

    def run(self, call: Callable[[], T]) -> T:
        """Call until it works; only transient faults of the outside are tried again."""
        failures = 0
        while True:
            try:
                return call()
            except SourceError as reason:
                failures += 1
                if not reason.transient or failures >= self.attempts or self.sleep(self.delay_s(failures)):
                    raise


class ControlPlane:
    """One agent's connection. Safe to use from several threads.

    Every method raises SourceError when the control plane cannot be reached (transient), ConflictError when the
    attempt is fenced (409), NotFoundError (404) and InputError (any other 4xx).
    """

    def __init__(
        self,
        server: str,
        token: str,
        backoff: Backoff,
        transport: httpx.BaseTransport | None = None,
        *,
        ca: str = "",
        insecure: bool = False,
    ) -> None:
        if transport is None:
            # An enrolment token is as secret as the one it is spent for.
            require_private(server, insecure=insecure)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=server, headers=headers, timeout=TIMEOUT_S, transport=transport, verify=trust(ca, server)
        )
        self._backoff = backoff
        self._moved = 0
        self._counting = threading.Lock()

    @property
    def moved_bytes(self) -> int:
        """Files and logs of jobs carried so far, both ways."""
        return self._moved

    def _count(self, size: int) -> None:
        with self._counting:
            self._moved += size

    def enroll(self, token: str, spec: SiteSpec) -> Membership:
        """Join with a one-time token."""
        body = encode({"token": token, "spec": spec})
        return self._answer("POST", "/v1/agents/enroll", Membership, content=body, headers=JSON)

    def declare(self, spec: SiteSpec) -> None:
        """Say what the site is now; its ask and payout stay as its owner last said. Not retried."""
        with _faults():
            response = self._http.post("/v1/agents/declare", content=encode({"spec": spec}), headers=JSON)
        _checked(response)

    def try_wake(self, trial: WakeTrial) -> int:
        """Have the neighbours of this machine wake it soon; how many there are."""
        return self._answer("POST", "/v1/agents/wake", Neighbours, content=encode(trial), headers=JSON).awake

    def rotate_key(self, wanted: KeyRequest) -> KeyTaken:
        """Have the site's readings signed by a new key from a batch on; asking again changes nothing."""
        return self._answer("POST", "/v1/agents/key", KeyTaken, content=encode(wanted), headers=JSON)

    def sync(self, request: SyncRequest) -> SyncReply:
        """Report everything and take orders; returns at once, or when orders change within `wait_ms`. Not retried."""
        timeout_s = TIMEOUT_S + request.wait_ms / SECOND_MS
        with _faults():
            response = self._http.post("/v1/agents/sync", content=encode(request), headers=JSON, timeout=timeout_s)
        return decode(_checked(response).content, SyncReply)

    def send_batches(self, batches: Sequence[bytes]) -> int:
        """Deliver signed batches; the highest number that the control plane holds durably, whoever brought it."""

        def deliver() -> int:
            with _faults():
                response = self._http.post(
                    "/v1/agents/readings",
                    content=cbor2.dumps(list(batches)),
                    headers={"content-type": "application/cbor"},
                )
            answer = _fields(response)
            if response.status_code == CONFLICT and isinstance(answer.get("expected"), int):
                return int(answer["expected"]) - 1  # type: ignore[call-overload,no-any-return]
            accepted = _fields(_checked(response)).get("accepted")
            if not isinstance(accepted, int):
                raise SourceError("the control plane did not say which readings it accepted", transient=False)
            return accepted

        return self._backoff.run(deliver)

    def challenge(self, name: str, step: str, told: object, kind: type[T]) -> T:
        """One step of a challenge; checking an answer takes the control plane some seconds."""
        path = f"/v1/challenges/{name}/{step}"
        return self._answer("POST", path, kind, content=encode(told), headers=JSON, timeout=CHALLENGE_S)

    def fetch_content(self, lease: str) -> JobContent:
        """Command and environment of a lease held here."""
        return self._answer("GET", f"/v1/leases/{lease}/content", JobContent)

    def fetch_secrets(self, lease: str) -> dict[str, str]:
        """Secrets of a lease held here; none from a control plane that does not know of them."""
        try:
            return self._answer("GET", f"/v1/leases/{lease}/secrets", dict[str, str])
        except NotFoundError:
            return {}

    def fetch_object(self, digest: str, target: Path) -> None:
        """Download stored bytes and check them against their digest."""

        def download() -> None:
            found = hashlib.sha256()
            with _faults(), self._http.stream("GET", f"/v1/objects/{digest}") as response, target.open("wb") as file:
                if response.is_error:
                    response.read()
                _checked(response)
                for chunk in response.iter_bytes(CHUNK_BYTES):
                    self._count(len(chunk))
                    found.update(chunk)
                    file.write(chunk)
            if found.hexdigest() != digest:
                raise SourceError(f"object {digest} arrived damaged")

        self._backoff.run(download)

    def put_checkpoint(self, lease: str, units: int, archive: Path) -> str:
        """Store a checkpoint of the attempt; its digest."""
        return self._put(f"/v1/leases/{lease}/checkpoint", archive, {"units": units})

    def put_output(self, lease: str, archive: Path) -> str:
        """Store the results of the attempt; their digest."""
        return self._put(f"/v1/leases/{lease}/output", archive, {})

    def append_log(self, lease: str, offset: int, text: bytes) -> None:
        """Add to the log of the attempt; the same bytes at the same offset change nothing."""
        path = f"/v1/leases/{lease}/log"
        self._count(len(text))
        self._backoff.run(lambda: self._ask("POST", path, content=text, headers=BYTES, params={"offset": offset}))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _put(self, path: str, archive: Path, params: dict[str, int]) -> str:
        headers = {**BYTES, "content-length": str(archive.stat().st_size)}

        def upload() -> httpx.Response:
            self._count(archive.stat().st_size)
            with archive.open("rb") as file:
                chunks = iter(lambda: file.read(CHUNK_BYTES), b"")
                return self._ask("PUT", path, content=chunks, headers=headers, params=params)

        digest = _fields(self._backoff.run(upload)).get("digest")
        if not isinstance(digest, str):
            raise SourceError(f"the control plane did not say what it stored at {path}", transient=False)
        return digest

    def _answer(self, method: str, path: str, kind: type[T], **request: object) -> T:
        response = self._backoff.run(lambda: self._ask(method, path, **request))
        return decode(response.content, kind)

    def _ask(self, method: str, path: str, **request: object) -> httpx.Response:
        with _faults():
            return _checked(self._http.request(method, path, **request))  # type: ignore[arg-type]


def trust(ca: str, url: str) -> ssl.SSLContext | bool:
    """Whose certificates are believed: those of a file, else those that the world believes. Raises: InputError."""
    if not ca and url.startswith("http://"):
        # Nobody is asked over TLS; reading all that the world believes would take a good part of the start.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context(cafile=ca) if ca else True
    except (OSError, ssl.SSLError) as reason:
        why = reason.strerror or reason
        raise InputError(f"{ca} holds no certificates ({why}); ca takes a PEM file", code="SW-684") from None


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as reason:
        raise SourceError(f"the control plane cannot be reached: {reason or type(reason).__name__}") from None


def _checked(response: httpx.Response) -> httpx.Response:
    """The response, unless it is a refusal; problem details (RFC 9457) carry the reason."""
    status = response.status_code
    if status < CLIENT_ERROR:
        return response
    problem = _fields(response)
    message = str(problem.get("detail") or problem.get("title") or f"the control plane answered {status}")
    code = str(problem["code"]) if "code" in problem else None
    if status >= SERVER_ERROR or status in TRANSIENT_STATUS:
        raise SourceError(message, code=code)
    kind = {NOT_FOUND: NotFoundError, CONFLICT: ConflictError}.get(status, InputError)
    raise kind(message, code=code)


def _fields(response: httpx.Response) -> dict[str, object]:
    try:
        return decode(response.content, dict)
    except InputError:
        return {}
