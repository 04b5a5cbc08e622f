"""What the client offers beyond the commands: the ledger, stored files, the clock, the service's health."""

import httpx
import pytest

from sunward.client import ApiClient
from sunward.errors import ConflictError, InputError, NotFoundError, SourceError
from sunward.model.records import Enrolment, EntryLine, EntryPage
from sunward.model.request import JobRequest, Submitted
from sunward.model.wire import ClockMapping, JournalHead
from tests.unit.cli.conftest import Service, answer, problem

LINE = EntryLine(
    entry="4.0", epoch=1, at_ms=5, cause="deposit", ref="t-1", account="tenant:t-1", amount_wei="1000000000000000000"
)


@pytest.fixture
def client(service):
    with ApiClient("http://service.test/", "secret", transport=httpx.MockTransport(service)) as made:
        yield made


@pytest.fixture
def service():
    page = EntryPage(entries=(LINE,), next=None)
    return Service(
        {
            "GET /v1/ledger/balances": answer({"tenant:t-1": "5", "faucet": "-5", "total": "0"}),
            "GET /v1/ledger/entries": answer(page),
            "GET /v1/objects/abc": answer(b"\x00raw"),
            "GET /v1/clock": answer(ClockMapping(machine_ms=1, grid_ms=2, speed=1_200)),
            "GET /healthz": answer(b"ok"),
        }
    )


def test_the_ledger(client, service):
    assert client.balances()["total"] == "0"
    assert client.entries("tenant:t-1", after="3.1", limit=7).entries == (LINE,)
    assert dict(service.requests[-1].url.params) == {"account": "tenant:t-1", "after": "3.1", "limit": "7"}


def test_objects_clock_and_health(client, service):
    assert client.read_object("abc") == b"\x00raw"
    assert client.clock().grid(11) == 2 + 10 * 1_200
    assert client.healthy()
    service.answers["GET /healthz"] = httpx.ConnectError("refused")
    assert not client.healthy()


@pytest.mark.parametrize(
    ("status", "kind"), [(400, InputError), (404, NotFoundError), (409, ConflictError), (503, SourceError)]
)
def test_problems_are_errors_by_who_must_act(client, service, status, kind):
    service.answers["GET /v1/clock"] = problem(status, "SW-123", "the deadline has passed; name a later one")
    with pytest.raises(kind) as caught:
        client.clock()
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.message) == ("SW-123", "the deadline has passed; name a later one")


def test_a_gateway_without_a_reason_is_transient_only_when_it_failed(client, service):
    for status, transient in ((502, True), (418, False)):
        service.answers["GET /v1/clock"] = answer(b"<html>", status)
        with pytest.raises(SourceError) as caught:
            client.clock()
        assert caught.value.transient is transient


def test_a_post_without_an_answer_is_repeated_while_the_service_starts_again(client, service, monkeypatch):
    monkeypatch.setattr("sunward.client._sync.http.PAUSE_S", 0.0)
    away = [httpx.ReadError("reset"), *[httpx.ConnectError("refused")] * 3]
    service.answers["POST /v1/enrolments"] = [*away, answer(Enrolment(token="once"))]
    assert client.enrol("rack 3").token == "once"
    assert len({request.headers["Idempotency-Key"] for request in service.requests}) == 1
    assert len(service.requests) == 5


def test_a_post_that_never_arrived_or_is_never_answered_is_given_up(client, service, monkeypatch):
    service.answers["POST /v1/enrolments"] = [httpx.ConnectError("refused")]
    with pytest.raises(SourceError):
        client.enrol("rack 3")
    assert len(service.requests) == 1
    monkeypatch.setattr("sunward.client._sync.http.REPEAT_S", -1.0)
    service.answers["POST /v1/enrolments"] = [httpx.ReadError("reset")] * 2
    with pytest.raises(SourceError):
        client.enrol("rack 3")
    assert len(service.requests) == 3


def test_a_key_of_ones_own_makes_a_submission_repeatable(client, service):
    head = JournalHead(sequence=1, hash="0" * 64, term=1)
    service.answers["POST /v1/jobs"] = answer(Submitted(job="j-1", state="submitted", journal=head), 201)
    request = JobRequest(name="n", command=("true",), origin_zone="DE", length_s=1, deadline_s=9)
    assert client.submit(request, "nightly-7").job == "j-1"
    assert service.requests[-1].headers["Idempotency-Key"] == "nightly-7"


def too_soon(seconds):
    reply = problem(429, "SW-429", "too many requests")
    reply.headers["Retry-After"] = seconds
    return reply


def test_a_request_that_came_too_soon_waits_as_it_is_told(client, service, monkeypatch):
    slept = []
    monkeypatch.setattr("sunward.client._sync.http.pause", slept.append)
    service.answers["GET /healthz"] = [too_soon("2"), too_soon("1"), answer(b"ok")]
    assert client.healthy()
    service.answers["POST /v1/enrolments"] = [too_soon("3"), answer(Enrolment(token="once"))]
    assert client.enrol("rack 3").token == "once"
    assert slept == [2.0, 1.0, 3.0]


@pytest.mark.parametrize("seconds", ["3600", "Wed, 21 Oct 2026 07:28:00 GMT", ""])
def test_a_request_that_came_far_too_soon_is_given_up_and_may_come_again(client, service, seconds):
    service.answers["GET /v1/clock"] = too_soon(seconds)
    with pytest.raises(SourceError) as caught:
        client.clock()
    assert (caught.value.code, caught.value.transient, len(service.requests)) == ("SW-429", True, 1)
