"""How near the plan in force is to the best there could be."""

from __future__ import annotations

from tests.api.harness import Agent, Service, submit

HOUR_S = 3_600


def test_a_plan_is_certified_for_those_who_watch_and_nothing_is_recorded(service: Service, agent: Agent) -> None:
    agent.sync()
    for _ in range(4):
        submit(service, length_s=2 * HOUR_S, deadline_s=20 * HOUR_S, policy="greenest")
    service.plan()
    head = service.head
    for role in ("operator", "auditor"):
        found = service.ok("GET", "/v1/plan/certificate", role)
        assert (found["jobs"], found["holds"], found["without"]) == (4, True, [])
        assert 0 < found["bound_usd_micro"] <= found["cost_usd_micro"]
        assert found["exact"] + found["loose"] + found["stays"] == 4
        assert found["gap_ppm"] < 200_000
    assert service.head == head, "a certificate records nothing"
    assert service.ask("GET", "/v1/plan/certificate", "tenant").status_code == 403


def test_without_a_place_there_is_nothing_to_certify(service: Service) -> None:
    refused = service.ask("GET", "/v1/plan/certificate", "operator")
    assert (refused.status_code, refused.json()["code"]) == (409, "SW-720")
