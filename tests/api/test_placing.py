"""New jobs are placed as they come, together where they come together, beside whatever else is planned."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select

from sunward.adapters import tables
from sunward.model.codec import encode
from sunward.model.events import JobsSubmitted, PlanProposed
from sunward.service.solver import here
from sunward.world import tick
from tests.api.harness import JOB, Agent, Service, submit


def records(service: Service, kind: str) -> list[PlanProposed]:
    return [one.event.payload for one in service.control.store.read() if one.event.kind == kind]


def many(service: Service, count: int) -> list[int]:
    """Submissions that arrive at the same moment: their status codes."""
    headers = {"authorization": f"Bearer {service.credentials['tenant_token']}"}

    async def ask() -> list[int]:
        wanted = [JOB | {"name": f"job-{number}", "deadline_s": 80_000} for number in range(count)]
        asked = (service.http.post("/v1/jobs", content=encode(one), headers=headers) for one in wanted)
        return [answer.status_code for answer in await asyncio.gather(*asked)]

    return service.loop.run_until_complete(ask())


def test_jobs_that_come_together_share_a_transaction_and_a_plan(service: Service, agent: Agent) -> None:
    agent.sync()
    groups: list[int] = []
    append = service.control.store.append

    def counted(expected, events, commands, *, sealed=()):  # type: ignore[no-untyped-def]
        groups.append(sum(isinstance(event.payload, JobsSubmitted) for event in events))
        return append(expected, events, commands, sealed=sealed)

    service.control.store.append = counted  # type: ignore[method-assign]
    assert many(service, 12) == [201] * 12
    assert sum(groups) == 12
    assert max(groups) > 1, "none was recorded with another one"
    service.loop.run_until_complete(service.control.place_new())
    plans = [one.plan for one in records(service, "plan_proposed")]
    placed = [assignment.job for plan in plans for assignment in plan.assignments]
    assert all(plan.adds for plan in plans)
    assert len(placed) == len(set(placed)) == 12
    assert len(plans) < 12


def test_the_service_places_new_jobs_by_itself_and_says_how_long_it_took(service: Service, agent: Agent) -> None:
    agent.sync()
    job = submit(service)

    async def until_placed() -> None:
        serving = asyncio.create_task(service.control.run())
        while service.control.store.queries.job_row(job).state == "submitted":  # noqa: ASYNC110  seen from outside
            await asyncio.sleep(0.01)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    service.loop.run_until_complete(asyncio.wait_for(until_placed(), 60))
    assert records(service, "plan_proposed")[0].plan.adds
    text = service.ask("GET", "/metrics", "operator").text
    assert 'sunward_submit_to_placed_seconds_bucket{le="+Inf"} 1.0' in text
    assert "sunward_immediate_plans_total 1.0" in text


def test_one_refused_submission_does_not_harm_those_beside_it(service: Service, agent: Agent) -> None:
    agent.sync()
    headers = {"authorization": f"Bearer {service.credentials['tenant_token']}"}
    wanted = [
        JOB | {"name": "good"},
        JOB | {"name": "dear", "budget_usd": 9_999.0},
        JOB | {"name": "poor", "budget_usd": 9_999.0},
    ]

    async def ask() -> list[int]:
        asked = (service.http.post("/v1/jobs", content=encode(one), headers=headers) for one in wanted)
        return [answer.status_code for answer in await asyncio.gather(*asked)]

    codes = service.loop.run_until_complete(ask())
    assert sorted(codes) == [201, 201, 400], codes
    stored = service.ok("GET", "/v1/jobs")["jobs"]
    assert len(stored) == 2
    with service.control.store.contents.database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.job_contents)) == 2


def test_the_same_request_twice_in_one_moment_is_one_job(service: Service, agent: Agent) -> None:
    agent.sync()
    headers = {"authorization": f"Bearer {service.credentials['tenant_token']}", "idempotency-key": "same"}

    async def ask() -> set[tuple[int, str]]:
        asked = (service.http.post("/v1/jobs", content=encode(JOB), headers=headers) for _ in range(3))
        return {(answer.status_code, answer.json()["job"]) for answer in await asyncio.gather(*asked)}

    ((code, job),) = service.loop.run_until_complete(ask())
    assert code == 201
    assert service.control.store.contents.get(job).content.name == "train"


def test_a_job_that_nobody_can_place_yet_waits_for_a_site(service: Service) -> None:
    job = submit(service, budget_usd=5.0)
    service.plan()
    assert service.control.state.world.fresh == {job}
    agent = Agent(service)
    agent.join()
    agent.sync()
    service.plan()
    assert service.control.state.world.fresh == set()
    assert service.ok("GET", f"/v1/jobs/{job}")["refusal"]["reason"] == "admission"


def test_a_flood_of_new_jobs_is_placed_by_one_full_plan(
    service: Service, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tick, "FLOOD", 4)
    monkeypatch.setattr(tick, "TICK_JOBS_MAX", 4)
    agent.sync()
    assert many(service, 10) == [201] * 10
    service.control.solve, plan_once = here, service.control.plan_once
    service.loop.run_until_complete(plan_once())
    plans = [one.plan for one in records(service, "plan_proposed")]
    assert [plan.adds for plan in plans] == [False]
    assert len(plans[0].assignments) + len(plans[0].unplaced) == 10
    assert plans[0].assignments
    assert not service.control.state.world.fresh
    shown = service.ok("GET", "/v1/plan", "operator")
    assert len(shown["assignments"]) == len(plans[0].assignments)
