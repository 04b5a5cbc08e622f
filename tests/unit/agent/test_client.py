from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import cbor2
import httpx
import pytest

from sunward.agent.client import Backoff, ControlPlane
from sunward.agent.identity import Membership
from sunward.errors import ConflictError, InputError, NotFoundError, SourceError, SunwardError
from sunward.model.codec import encode
from sunward.model.site import SiteOrders
from sunward.model.wire import ClockMapping, JobContent, SyncReply, SyncRequest

Handler = Callable[[httpx.Request], httpx.Response]


class Server:
    """Answers in order; the last answer repeats. Keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []
        backoff = Backoff(sleep=self.slept.append, jitter=lambda: 0.5, attempts=4)
        self.plane = ControlPlane("http://control", "tok", backoff, httpx.MockTransport(self.handle))

    def handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def problem(status: int, **fields: object) -> httpx.Response:
    return httpx.Response(status, json=fields, headers={"content-type": "application/problem+json"})


def test_sync_carries_the_token_and_reads_the_orders() -> None:
    reply = SyncReply(
        clock=ClockMapping(machine_ms=1, grid_ms=2, speed=3),
        orders=SiteOrders(site="s", version=4, leases=(), awake=()),
        settled=("job-a.1",),
    )
    server = Server(httpx.Response(200, content=encode(reply)))
    request = SyncRequest(boot="b", orders_version=-1, wait_ms=5_000, reports=(), power=())
    assert server.plane.sync(request) == reply
    (asked,) = server.requests
    assert (asked.method, asked.url.path) == ("POST", "/v1/agents/sync")
    assert asked.headers["authorization"] == "Bearer tok"
    assert asked.content == encode(request)
    assert asked.extensions["timeout"]["read"] == 15.0


def test_transient_faults_are_tried_again_with_growing_waits() -> None:
    content = JobContent(name="n", command=("true",), env={"A": "1"})
    server = Server(
        httpx.ConnectError("refused"), problem(503, detail="starting"), httpx.Response(200, content=encode(content))
    )
    assert server.plane.fetch_content("job-a.1") == content
    assert server.slept == [pytest.approx(0.075), pytest.approx(0.15)]


@pytest.mark.parametrize(
    ("status", "kind", "tries"),
    [
        (400, InputError, 1),
        (401, InputError, 1),
        (404, NotFoundError, 1),
        (409, ConflictError, 1),
        (429, SourceError, 4),
        (500, SourceError, 4),
    ],
)
def test_refusals_become_errors_by_who_must_act(status: int, kind: type[SunwardError], tries: int) -> None:
    server = Server(problem(status, detail="the reason", code="SW-777"))
    with pytest.raises(kind, match="the reason") as caught:
        server.plane.fetch_content("job-a.1")
    assert type(caught.value) is kind
    assert caught.value.code == "SW-777"
    assert len(server.requests) == tries


def test_an_answer_without_problem_details_is_still_named() -> None:
    with pytest.raises(InputError, match="answered 418"):
        Server(httpx.Response(418, text="<html>")).plane.fetch_content("x.1")


def test_a_stop_ends_the_tries() -> None:
    server = Server(httpx.ConnectError("refused"))
    plane = ControlPlane(
        "http://control", "", Backoff(sleep=lambda _: True, jitter=lambda: 0.0), httpx.MockTransport(server.handle)
    )
    with pytest.raises(SourceError, match="cannot be reached"):
        plane.fetch_content("x.1")
    assert len(server.requests) == 1


def test_sync_is_left_to_its_caller_to_repeat() -> None:
    server = Server(httpx.ReadTimeout("slow"))
    with pytest.raises(SourceError) as caught:
        server.plane.sync(SyncRequest(boot="b", orders_version=0, wait_ms=0, reports=(), power=()))
    assert caught.value.transient
    assert server.slept == []


@pytest.mark.parametrize(
    ("answer", "held"), [(httpx.Response(200, json={"accepted": 7}), 7), (problem(409, expected=3), 2)]
)
def test_readings_go_out_as_cbor_and_what_is_held_comes_back(answer: httpx.Response, held: int) -> None:
    server = Server(answer)
    assert server.plane.send_batches([b"one", b"two"]) == held
    (asked,) = server.requests
    assert asked.headers["content-type"] == "application/cbor"
    assert cbor2.loads(asked.content) == [b"one", b"two"]


def test_an_object_is_checked_against_its_digest(tmp_path: Path) -> None:
    raw = b"x" * 3_000_000
    digest = hashlib.sha256(raw).hexdigest()
    server = Server(httpx.Response(200, content=raw[:-1]), httpx.Response(200, content=raw))
    server.plane.fetch_object(digest, tmp_path / "object")
    assert (tmp_path / "object").read_bytes() == raw
    assert len(server.requests) == 2
    with pytest.raises(NotFoundError, match="erased"):
        Server(problem(404, detail="erased")).plane.fetch_object(digest, tmp_path / "object")


def test_uploads_are_sent_whole_again_after_a_fault(tmp_path: Path) -> None:
    archive = tmp_path / "checkpoint.tar"
    archive.write_bytes(b"y" * 2_500_000)
    server = Server(problem(502), httpx.Response(200, json={"digest": "d"}))
    assert server.plane.put_checkpoint("job-a.2", 40, archive) == "d"
    assert [request.content for request in server.requests] == [archive.read_bytes()] * 2
    assert str(server.requests[0].url) == "http://control/v1/leases/job-a.2/checkpoint?units=40"
    assert server.requests[0].headers["content-length"] == "2500000"
    assert server.plane.put_output("job-a.2", archive) == "d"
    assert server.requests[-1].url.path == "/v1/leases/job-a.2/output"


def test_log_parts_say_where_they_belong() -> None:
    server = Server(httpx.Response(204))
    server.plane.append_log("job-a.1", 12, b"more")
    (asked,) = server.requests
    assert (asked.method, asked.url.params["offset"], asked.content) == ("POST", "12", b"more")


def test_enrolment_sends_the_token_in_the_body(tmp_path: Path) -> None:
    server = Server(httpx.Response(200, json={"site": "s", "token": "long"}))
    plane = ControlPlane(
        "http://control", "", Backoff(sleep=lambda _: None, jitter=lambda: 0), httpx.MockTransport(server.handle)
    )
    assert plane.enroll("once", {"site": "s"}) == Membership(site="s", token="long")  # type: ignore[arg-type]
    (asked,) = server.requests
    assert "authorization" not in asked.headers
    assert json.loads(asked.content) == {"token": "once", "spec": {"site": "s"}}
