"""Limits on what a site draws: told, listed, lifted, obeyed by running work, and refused where they mean nothing."""

from __future__ import annotations

import json

import pytest

from sunward.units import HOUR_MS
from tests.api.harness import Agent, Service, start
from tests.api.test_requests import is_problem
from tests.api.test_sites import acts

LIMITS = "/v1/sites/no-hydro/ceilings"


def hours(service: Service, ahead: float) -> int:
    return service.control.clock.grid_ms() + round(ahead * HOUR_MS)


def test_a_limit_is_told_listed_and_lifted(service: Service, agent: Agent) -> None:
    del agent
    wanted = {"kw": 40, "until_ms": hours(service, 2), "start_ms": hours(service, 1)}
    answer = service.ask("POST", LIMITS, "operator", json=wanted)
    assert answer.status_code == 201
    made = answer.json()
    assert made == {
        "ceiling": made["ceiling"],
        "start_ms": wanted["start_ms"],
        "end_ms": wanted["until_ms"],
        "ceiling_w": 40_000,
        "source": "operator",
    }
    assert service.ok("GET", LIMITS, "operator") == [made]
    assert service.ok("GET", "/v1/sites/no-hydro", "operator")["ceilings"] == [made]
    assert service.ok("GET", "/v1/sites/no-hydro")["ceilings"] == []
    assert service.ask("DELETE", f"{LIMITS}/{made['ceiling']}", "operator").status_code == 204
    assert service.ok("GET", LIMITS, "operator") == []
    again = service.ask("DELETE", f"{LIMITS}/{made['ceiling']}", "operator")
    assert is_problem(again, 404)
    assert again.json()["code"] == "SW-701"
    assert acts(service)[-2:] == ["curtail", "uncurtail"]


def test_its_own_agent_and_provider_may_too_and_it_begins_now(service: Service, agent: Agent) -> None:
    before_ms = service.control.clock.grid_ms()
    for token in (agent.token, service.credentials["provider_token"]):
        made = service.ok("POST", LIMITS, token=token, json={"kw": 0.5, "until_ms": hours(service, 1)})
        assert (made["source"], made["ceiling_w"]) == ("provider", 500)
        assert before_ms <= made["start_ms"] <= service.control.clock.grid_ms()
    assert len(service.ok("GET", LIMITS, "operator")) == 2


def test_asked_twice_under_one_key_it_is_one_limit(service: Service, agent: Agent) -> None:
    del agent
    body = {"kw": 5, "until_ms": hours(service, 1)}
    first, second = (
        service.ask("POST", LIMITS, "operator", json=body, headers={"Idempotency-Key": "once"}) for _ in range(2)
    )
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert len(service.ok("GET", LIMITS, "operator")) == 1
    other = service.ask("POST", LIMITS, "operator", json=body | {"kw": 6}, headers={"Idempotency-Key": "once"})
    assert is_problem(other, 409)


def test_anothers_site_is_not_there(service: Service, agent: Agent) -> None:
    del agent
    made = service.ok("POST", LIMITS, "operator", json={"kw": 5, "until_ms": hours(service, 1)})
    head = service.head
    stranger = service.token("p-other", "provider")
    for method, path in (("GET", LIMITS), ("POST", LIMITS), ("DELETE", f"{LIMITS}/{made['ceiling']}")):
        body = {"kw": 1, "until_ms": hours(service, 1)}
        refused = service.ask(method, path, token=stranger, json=body if method == "POST" else None)
        assert (refused.status_code, refused.json()["code"]) == (404, "SW-134"), method
    assert service.ask("GET", "/v1/sites/nowhere/ceilings", "operator").status_code == 404
    assert service.head == head


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"kw": 1}',
        b'{"until_ms": 1}',
        b'{"kw": "1", "until_ms": 9000000000000}',
        b'{"kw": NaN, "until_ms": 9000000000000}',
        b'{"kw": -1, "until_ms": 9000000000000}',
        b'{"kw": 1e300, "until_ms": 9000000000000}',
        b'{"kw": 1, "until_ms": 1}',
        b'{"kw": 1, "until_ms": -9000000000000}',
        b'{"kw": 1, "until_ms": 1e99}',
        b'{"kw": 1, "until_ms": 9000000000000, "start_ms": 9000000000001}',
        b'{"kw": 1, "until_ms": 9000000000000, "start_ms": -5}',
        b'{"kw": 1, "until_ms": 90000000000000000}',
        b'{"kw": 1, "until_ms": 9000000000000, "site": "es-solar", "kw": {}}',
    ],
    ids=repr,
)
def test_limits_that_mean_nothing_are_refused(service: Service, agent: Agent, body: bytes) -> None:
    del agent
    head = service.head
    assert is_problem(service.ask("POST", LIMITS, "operator", content=body), 400, 422)
    assert service.head == head


def test_running_work_yields_and_goes_on_when_it_is_over(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent, interruptible=True, length_s=3_600, deadline_s=36_000)
    service.ok("POST", LIMITS, "operator", json={"kw": 0, "until_ms": hours(service, 1)})
    assert [order.action for order in agent.sync().orders.leases] == ["suspend"]
    checkpoint = agent.put(lease, "checkpoint?units=10", b"state").json()["digest"]
    agent.report(lease, "suspended", 10, checkpoint=checkpoint, checkpoint_units=10)
    history = service.ok("GET", f"/v1/jobs/{job}/history")
    assert (history[-1]["state"], history[-1]["reason"]) == ("suspended", "curtailed")
    for _ in range(40):
        service.plan()
        orders = agent.sync().orders.leases
        if orders:
            break
        agent.meter()
        service.pass_grid(HOUR_MS // 12)
    assert [order.lease for order in orders] == [f"{job}.2"]
    assert service.ok("GET", LIMITS, "operator") == []
    assert json.dumps(service.ok("GET", f"/v1/jobs/{job}/history")).count("curtailed") == 1
