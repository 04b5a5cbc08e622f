"""Rates, sizes, pace: what a caller may ask, and what it hears when that is too much."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from sunward.errors import InvariantError
from sunward.service import gate
from sunward.service.app import build_app
from sunward.service.auth import OPEN, ROLES, declared_roles, require_declared
from sunward.service.config import ServiceConfig
from sunward.service.limits import BURST_S, KEYS_MAX, Buckets, Limits, neighbourhood
from sunward.service.problems import RequestError
from tests.api.harness import JOB, UNLIMITED, Agent, Service
from tests.api.test_requests import is_problem


def running(home: Path, **settings: float) -> Service:
    return Service(home, config=replace(UNLIMITED, **settings))


def test_every_route_declares_its_roles(service: Service) -> None:
    for route in service.app.routes:
        assert route.path in OPEN or set() < declared_roles(route) <= set(ROLES)
    forgetful = FastAPI(docs_url=None, redoc_url=None)
    forgetful.get("/v1/secrets")(lambda: "")
    with pytest.raises(InvariantError, match="/v1/secrets declares no roles"):
        require_declared(forgetful)
    build_app(service.control, ServiceConfig())


def test_a_bucket_fills_with_the_machine_clock_and_never_over() -> None:
    now = [0]
    bucket = Buckets(2.0, lambda: now[0])
    assert [bucket.take("a") for _ in range(2 * BURST_S)] == [0.0] * 2 * BURST_S
    assert bucket.take("a") == 0.5
    assert bucket.take("b") == 0.0
    now[0] = 500
    assert bucket.take("a") == 0.0
    now[0] = 10**9
    assert sum(bucket.take("a") == 0.0 for _ in range(100)) == 2 * BURST_S
    now[0] = 0
    assert bucket.take("a") == 0.5, "a clock that steps back neither fills nor empties"
    for index in range(KEYS_MAX + 5):
        bucket.take(f"k{index}")
    assert "k0" not in bucket
    assert Buckets(0.0, lambda: 0).take("a") == 0.0


def test_addresses_of_one_network_count_as_one() -> None:
    assert neighbourhood("2001:db8:1:2::7") == neighbourhood("2001:db8:1:2:ffff::1%eth0")
    assert neighbourhood("2001:db8:1:3::7") != neighbourhood("2001:db8:1:2::7")
    assert neighbourhood("192.0.2.1") != neighbourhood("192.0.2.2")
    assert neighbourhood("") == ""


def test_too_many_requests_wait_as_long_as_they_are_told(tmp_path: Path) -> None:
    service = running(tmp_path, reads_per_s=1, writes_per_s=0.1)
    for _ in range(BURST_S):
        assert service.ask("GET", "/v1/clock").status_code == 200
    late = service.ask("GET", "/v1/clock")
    assert is_problem(late, 429)
    assert (late.json()["code"], late.headers["retry-after"]) == ("SW-429", "1")
    assert service.ask("GET", "/v1/clock", "operator").status_code == 200, "each token has its own"
    deposit = {"amount_usd": 1.0}
    assert service.ask("POST", "/v1/account/deposits", json=deposit).status_code == 200, "writes count apart"
    head = service.head
    late = service.ask("POST", "/v1/account/deposits", json=deposit)
    assert (late.status_code, late.headers["retry-after"], service.head) == (429, "10", head)
    service.machine.ms += 1_000
    assert service.ask("GET", "/v1/clock").status_code == 200
    service.close()


def test_agents_have_their_own_budget(tmp_path: Path) -> None:
    service = running(tmp_path, agents_per_s=0.2, reads_per_s=100, writes_per_s=100)
    agent = Agent(service)
    agent.join()
    agent.sync()
    agent.sync()
    body = agent.request()
    assert service.ask("POST", "/v1/agents/sync", token=agent.token, json=body).status_code == 429
    service.close()


def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(tmp_path: Path) -> None:
    service = running(tmp_path, failures_per_s=0.3)
    service.ok("GET", "/v1/clock")
    found = [service.ask("GET", "/v1/clock", token="sw_guess").status_code for _ in range(4)]
    assert found == [401, 401, 401, 429]
    looked_up = service.control.store.access
    service.control.store.access = None  # Nothing is looked up any more.
    assert service.ask("GET", "/v1/clock", token="sw_other").status_code == 429
    service.control.store.access = looked_up
    wrong = {"token": "sw_guess", "spec": Agent(service).spec}
    assert service.ask("POST", "/v1/agents/enroll", token="", json=wrong).status_code == 429
    service.machine.ms += 10_000
    assert service.ok("GET", "/v1/clock")["speed"]
    assert service.ask("POST", "/v1/agents/enroll", token="", json=wrong).status_code == 403
    service.close()


def test_a_known_token_passes_where_others_guess(tmp_path: Path) -> None:
    service = running(tmp_path, failures_per_s=0.1, reads_per_s=100)
    service.ok("GET", "/v1/clock")
    assert [service.ask("GET", "/v1/clock", token="sw_guess").status_code for _ in range(2)] == [401, 429]
    assert service.ok("GET", "/v1/clock")["speed"]
    service.close()


def test_visitors_share_a_bucket_by_address(tmp_path: Path) -> None:
    service = running(tmp_path, visitors_per_s=0.2)
    assert [service.ask("GET", "/healthz", token="").status_code for _ in range(3)] == [200, 200, 429]
    assert service.ask("GET", "/v1/clock").status_code == 200
    service.close()


def test_no_more_jobs_are_priced_at_once_than_there_is_room_for(tmp_path: Path) -> None:
    service = running(tmp_path, solves_max=1)
    job = JOB | {"budget_usd": 1.0}
    other = service.app.state.limits.solving()
    service.loop.run_until_complete(anext(other))
    for path in ("/v1/quotes", "/v1/jobs"):
        refused = service.ask("POST", path, json=job)
        assert is_problem(refused, 503)
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("SW-430", "1")
    service.loop.run_until_complete(other.aclose())
    for _ in range(3):
        assert service.ask("POST", "/v1/quotes", json=job).status_code == 200
    service.close()


def test_a_place_is_free_again_after_a_failure() -> None:
    limits = Limits(replace(UNLIMITED, solves_max=1), lambda: 0)

    async def use(*, fail: bool) -> None:
        place = limits.solving()
        await anext(place)
        if fail:
            await place.athrow(ValueError)
        await place.aclose()

    with pytest.raises(ValueError):
        asyncio.run(use(fail=True))
    asyncio.run(use(fail=False))

    async def twice() -> None:
        first = limits.solving()
        await anext(first)
        try:
            await anext(limits.solving())
        finally:
            await first.aclose()

    with pytest.raises(RequestError, match="too many jobs"):
        asyncio.run(twice())


def test_heads_and_logs_have_their_size(tmp_path: Path) -> None:
    service = running(tmp_path, header_bytes_max=2_000, address_chars_max=500, log_bytes_max=100)
    long = service.ask("GET", "/v1/jobs?after=" + "1" * 600)
    assert is_problem(long, 414)
    big = service.ask("GET", "/v1/clock", headers={"x-much": "x" * 3_000})
    assert is_problem(big, 431)
    assert is_problem(service.ask("POST", "/v1/leases/j-a.1/log?offset=0", content=b"x" * 101), 413)
    assert is_problem(service.ask("POST", "/v1/leases/j-a.1/log?offset=0", content=b"x" * 99), 403)
    service.close()


def test_what_is_nested_too_deeply_cannot_be_read(service: Service) -> None:
    for body in (b'{"more":' + b"[" * 100_000, b'{"more":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}"):
        answer = service.ask("POST", "/v1/jobs", content=body)
        assert is_problem(answer, 422)
    assert "nested" in answer.json()["detail"]


def test_a_body_that_stops_arriving_is_given_up(tmp_path: Path) -> None:
    service = running(tmp_path, body_pause_s=0.05)

    async def stalls():
        yield b"half"
        await asyncio.sleep(30)

    answer = service.ask("PUT", "/v1/objects", content=stalls())
    assert is_problem(answer, 408)
    assert answer.json()["code"] == "SW-433"
    service.close()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """What comes up to the end of the body of /healthz, or of the connection."""
    try:
        return await reader.readuntil(b"ok\n")
    except asyncio.IncompleteReadError as ended:
        return ended.partial


def talk(service: Service, *parts: bytes) -> list[bytes]:
    """Say parts to a real server over one connection, the next when the last was answered; the answers."""

    async def talking() -> list[bytes]:
        settings = uvicorn.Config(service.app, http=gate.PatientProtocol, lifespan="off", log_level="error", ws="none")
        server = uvicorn.Server(settings)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            answers = []
            for part in parts:
                writer.write(part)
                answers.append(await asyncio.wait_for(_answer(reader), 60))
            writer.close()
            server.should_exit = True
            await serving
        return answers

    return service.loop.run_until_complete(talking())


def test_a_head_that_drips_in_is_hung_up_on(service: Service, monkeypatch) -> None:
    monkeypatch.setattr(gate, "HEAD_S", 0.2)
    # A whole request is answered, and the connection stays for the next.
    answered, ended = talk(service, b"GET /healthz HTTP/1.1\r\nhost: here\r\n\r\n", b"GET /healthz HT")
    assert answered.startswith(b"HTTP/1.1 200")
    assert ended == b""


def test_a_head_without_end_is_refused(service: Service, monkeypatch) -> None:
    monkeypatch.setattr(gate.PatientProtocol, "head_bytes_max", 1_000)
    whole = b"GET /healthz HTTP/1.1\r\nhost: here\r\nx: " + b"y" * 500 + b"\r\n\r\n"
    once, again, ended = talk(service, whole, whole, b"GET /healthz HTTP/1.1\r\nx: " + b"y" * 1_000)
    assert once.startswith(b"HTTP/1.1 200")
    assert again.startswith(b"HTTP/1.1 200"), "each request counts by itself"
    assert ended.startswith(b"HTTP/1.1 400")


def test_what_is_no_http_is_refused(service: Service) -> None:
    (ended,) = talk(service, b"hello\r\n\r\n")
    assert ended.startswith(b"HTTP/1.1 400")
