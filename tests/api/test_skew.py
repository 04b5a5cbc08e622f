"""Agents of other versions: recorded requests of the first one, refusals of those too far away."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import sunward
from sunward.model.codec import decode
from sunward.model.wire import SyncReply
from tests.api.harness import Agent, Service, start
from tests.api.test_requests import is_problem

RECORDED = json.loads((Path(__file__).parents[1] / "golden" / "wire_v0_1.json").read_text(encoding="utf-8"))


def test_the_first_agent_is_served(service: Service, agent: Agent) -> None:
    answer = service.ask("POST", "/v1/agents/sync", token=agent.token, content=RECORDED["sync_request"].encode())
    reply = decode(answer.content, SyncReply)
    assert (reply.orders.site, reply.version) == ("no-hydro", sunward.__version__)


def test_the_first_agent_can_enrol(service: Service) -> None:
    told = json.loads(RECORDED["enroll_request"])
    told["token"] = service.ok("POST", "/v1/enrolments", "operator", json={"note": ""})["token"]
    assert service.ok("POST", "/v1/agents/enroll", token="", json=told)["site"] == "no-hydro"


@pytest.mark.parametrize(
    ("ours", "theirs", "status"), [("0.2.0", "", 200), ("0.3.0", "", 409), ("0.3.0", "0.4.1", 200)]
)
def test_one_minor_version_of_difference(
    service: Service, agent: Agent, monkeypatch, ours: str, theirs: str, status: int
) -> None:
    _, lease = start(service, agent)
    monkeypatch.setattr(sunward, "__version__", ours)
    body = replace(agent.request(), version=theirs)
    head = service.head
    answer = service.ask("POST", "/v1/agents/sync", token=agent.token, json=body)
    assert answer.status_code == status
    if status == 409:
        assert is_problem(answer, 409)
        assert answer.json()["code"] == "SW-434"
        assert "upgrade" in answer.json()["detail"]
        assert service.head == head
    else:
        assert [order.lease for order in decode(answer.content, SyncReply).orders.leases] == [lease]


def test_what_a_newer_agent_says_beyond_is_passed_over(service: Service, agent: Agent) -> None:
    told = json.loads(RECORDED["sync_request"]) | {"version": "0.2.0", "temperature_c": 61}
    assert service.ask("POST", "/v1/agents/sync", token=agent.token, json=told).status_code == 200
