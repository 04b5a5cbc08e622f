"""Carbon prices tried over REST: what comes back, for whom, and that nothing is changed by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sunward.client import ApiClient
from sunward.model.codec import decode, encode
from sunward.model.whatif import CARBON_PRICES, WhatIf, WhatIfRequest
from tests.api.harness import JOB, URL, Agent, Bridge, Service, finish, start, submit

HOUR_S = 3_600


def tried(service: Service, **wanted: Any) -> WhatIf:
    return decode(encode(service.ok("POST", "/v1/plan/what-if", json=wanted)), WhatIf)


@pytest.fixture
def sunny(service: Service) -> Agent:
    agent = Agent(service, "es-solar", "ES")
    agent.join()
    agent.sync()
    return agent


def test_a_job_that_was_not_submitted_is_tried_at_every_price(service: Service, sunny: Agent) -> None:
    asked = JOB | {"length_s": HOUR_S, "deadline_s": 20 * HOUR_S}
    quoted = service.ok("POST", "/v1/quotes", json=asked | {"policy": "balanced"})
    head = service.head
    found = tried(service, request=asked)
    assert service.head == head, "nothing is recorded"
    assert [point.carbon_price_usd_per_t for point in found.points] == list(CARBON_PRICES)
    carbon = [point.carbon_mg for point in found.points]
    assert carbon == sorted(carbon, reverse=True)
    assert carbon[-1] < carbon[0]
    assert found.points[-1].delay_ms > found.points[0].delay_ms
    assert found.jobs == ()
    balanced = found.points[CARBON_PRICES.index(100)]
    assert (balanced.price_usd_micro, balanced.carbon_mg) == (
        quoted["price_usd_micro"],
        quoted["assignment"]["carbon_mg"],
    )
    assert any(point.frontier for point in found.points)


def test_open_jobs_are_tried_together_and_stay_as_they_are(service: Service, sunny: Agent) -> None:
    asked = {"length_s": HOUR_S, "deadline_s": 20 * HOUR_S, "policy": "greenest"}
    jobs = [submit(service, **asked), submit(service, **asked)]
    service.plan()
    plan = service.ok("GET", "/v1/plan")["assignments"]
    found = tried(service, carbon_prices_usd_per_t=[5_000, 0, 5_000])
    assert [point.carbon_price_usd_per_t for point in found.points] == [0, 5_000]
    assert set(found.jobs) == set(jobs)
    assert all(point.placed == 2 for point in found.points)
    assert found.points[1].carbon_mg < found.points[0].carbon_mg
    assert service.ok("GET", "/v1/plan")["assignments"] == plan
    one = tried(service, jobs=jobs[:1], carbon_prices_usd_per_t=[0])
    assert one.jobs == (jobs[0],)
    assert one.points[0].price_usd_micro == pytest.approx(found.points[0].price_usd_micro / 2, abs=2)


def test_what_runs_and_is_not_moved_is_left_out(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent)
    found = tried(service)
    assert (found.jobs, found.left_out, found.points) == ((), 1, ())
    finish(service, agent, lease)
    ended = service.ask("POST", "/v1/plan/what-if", json={"jobs": [job]})
    assert (ended.status_code, ended.json()["code"]) == (409, "SW-126")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"carbon_prices_usd_per_t": []}, "name 1 to 24 carbon prices"),
        ({"carbon_prices_usd_per_t": [-1]}, "between 0 and 1000000"),
        ({"carbon_prices_usd_per_t": list(range(25))}, "name 1 to 24"),
        ({"jobs": ["j-x"], "request": JOB}, "not both"),
        ({"jobs": ["j-x"] * 65}, "at most 64"),
        ({}, "you have no open job"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_one_line(service: Service, wanted: Any, words: str) -> None:
    answer = service.ask("POST", "/v1/plan/what-if", json=wanted)
    assert (answer.status_code, answer.json()["code"]) == (400, "SW-178")
    assert words in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_a_job_of_another_is_not_there(service: Service, agent: Agent) -> None:
    agent.sync()
    job = submit(service)
    stranger = service.token("t-other", "tenant")
    answer = service.ask("POST", "/v1/plan/what-if", token=stranger, json={"jobs": [job]})
    assert (answer.status_code, answer.json()["detail"]) == (404, f"no job {job}")


def test_the_sdk_asks_the_same(service: Service, sunny: Agent, tmp_path: Path) -> None:
    submit(service, deadline_s=20 * HOUR_S)
    token = json.loads((service.home / "credentials.json").read_text())["tenant_token"]
    with ApiClient(URL, token, transport=Bridge(service)) as client:
        assert client.what_if(WhatIfRequest()) == tried(service)
