"""Why a job is placed as it is, in every state it can be in."""

from __future__ import annotations

from typing import Any

from sunward.units import HOUR_MS
from tests.api.harness import JOB, Agent, Service, finish, start, submit

HOUR_S = 3_600


def explained(service: Service, job: str, role: str = "tenant") -> Any:
    return service.ok("GET", f"/v1/jobs/{job}/explanation", role)


def two_sites(service: Service) -> Agent:
    Agent(service, "pl-coal", "PL").join()
    agent = Agent(service, "es-solar", "ES")
    agent.join()
    agent.sync()
    return agent


def test_a_waiting_job_shows_filters_terms_alternatives_promise_and_what_waiting_saves(service: Service) -> None:
    two_sites(service)
    asked = {"length_s": HOUR_S, "deadline_s": 20 * HOUR_S, "policy": "greenest", "countries": ["ES"]}
    job = submit(service, **asked)
    service.plan()
    head = service.head
    shown = explained(service, job)
    assert service.head == head, "an explanation records nothing"
    assert shown["state"] == "placed"
    assert shown["pools"] == 2
    filters = {line["name"]: (line["removed"], line["left"]) for line in shown["filters"]}
    assert filters["country"] == (1, 1)
    assert [name for name, (removed, _) in filters.items() if removed] == ["country"]
    chosen = shown["chosen"]
    assert chosen["label"] == "planned"
    assert chosen["segments"] == shown["assignment"]["segments"]
    assert chosen["total_usd_micro"] == sum(chosen["terms"].values())
    assert [other["label"] for other in shown["alternatives"]] == ["now"]
    for other in shown["alternatives"]:
        assert other["total_usd_micro"] == sum(other["terms"].values())
        assert other["more_usd_micro"] == other["total_usd_micro"] - chosen["total_usd_micro"] > 0
    promise, deadline_ms = shown["promise"], service.ok("GET", f"/v1/jobs/{job}")["deadline_ms"]
    assert promise["finish_by_ms"] == deadline_ms
    assert promise["spare_ms"] == deadline_ms - promise["end_ms"] > 0
    carbon = [point["carbon_mg"] for point in shown["waiting"]]
    assert len(carbon) > 8
    assert carbon == sorted(carbon, reverse=True), "more time never costs a greenest job carbon here"
    assert carbon[-1] < carbon[0], "the day after has sun"
    assert all(point["end_ms"] <= point["finish_by_ms"] and point["price_usd_micro"] for point in shown["waiting"])


def test_a_job_without_room_says_what_takes_it(service: Service, agent: Agent) -> None:
    agent.sync()
    first = submit(service, gpus=2, length_s=3 * HOUR_S, deadline_s=4 * HOUR_S)
    service.plan()
    second = submit(service, gpus=2, length_s=3 * HOUR_S, deadline_s=4 * HOUR_S)
    service.plan()
    assert explained(service, first)["chosen"]["label"] == "planned"
    shown = explained(service, second)
    assert shown["chosen"] is None
    assert shown["refusal"]["reason"] == "capacity"
    assert {line["name"]: line["removed"] for line in shown["filters"]}["capacity"] == 1
    assert shown["promise"]["end_ms"] == 0
    assert shown["waiting"][0]["finish_by_ms"] > shown["promise"]["finish_by_ms"], "a later finish-by would do"


def test_a_job_that_can_never_run_names_the_constraint(service: Service, agent: Agent) -> None:
    agent.sync()
    job = submit(service, gpus=9)
    service.plan()
    shown = explained(service, job)
    assert shown["state"] == "refused"
    assert shown["refusal"]["reason"] == "gpus"
    assert shown["chosen"] is None


def test_a_running_job_is_explained_as_it_runs(service: Service, agent: Agent) -> None:
    job, _lease = start(service, agent)
    shown = explained(service, job)
    assert shown["state"] == "running"
    assert shown["fixed"]
    assert shown["chosen"]["segments"][0]["pool"].startswith(agent.site)
    assert (shown["alternatives"], shown["waiting"]) == ([], [])
    assert shown["promise"]["end_ms"] > service.control.clock.grid_ms()


def test_a_job_that_has_ended_answers_with_what_was_recorded(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent)
    decided = explained(service, job)["assignment"]
    finish(service, agent, lease)
    ended = explained(service, job)
    assert (ended["state"], ended["assignment"], ended["chosen"]) == ("finished", decided, None)
    service.ok("POST", "/v1/epochs/close", "operator")
    assert job not in service.control.state.world.jobs
    assert explained(service, job)["assignment"] == decided
    assert explained(service, job, "auditor")["assignment"] == decided


def test_who_may_read_a_job_may_read_its_explanation(service: Service, agent: Agent) -> None:
    agent.sync()
    job = submit(service)
    stranger = service.token("t-other", "tenant")
    missing = service.ask("GET", f"/v1/jobs/{job}/explanation", token=stranger)
    assert (missing.status_code, missing.json()["detail"]) == (404, f"no job {job}")
    assert service.ask("GET", "/v1/jobs/j-none/explanation").status_code == 404
    assert explained(service, job, "operator")["job"] == job


def test_a_job_without_any_site_is_explained_too(service: Service) -> None:
    job = submit(service, budget_usd=5.0, deadline_s=int(6 * HOUR_MS / 1_000))
    shown = explained(service, job)
    assert (shown["pools"], shown["filters"], shown["chosen"]) == (0, [], None)
    assert JOB["deadline_s"] < 6 * HOUR_S
