"""Requests good and bad: idempotency, malformed bodies, limits, descriptions, metrics."""

from __future__ import annotations

import json

from prometheus_client.parser import text_string_to_metric_families

from sunward.model.wire import JournalHead
from sunward.service.config import ServiceConfig
from sunward.verification.journal import head_signed
from tests.api.harness import JOB, Agent, Service, finish, start, submit

BAD_JOBS = [
    {"gpus": 0},
    {"gpus": 10**30},
    {"length_s": 0},
    {"length_s": -1},
    {"deadline_s": 0},
    {"deadline_s": 10**12},
    {"units": 10**20},
    {"retries": -1},
    {"data_bytes": -1},
    {"latency_max_ms": -1},
    {"max_slowdown": -0.1},
    {"max_slowdown": 11},
    {"latency_max_ms": 10_001},
    {"budget_usd": -1.0},
    {"budget_usd": 1e300},
    {"policy": "cheap"},
    {"policy": "-5"},
    {"policy": "²"},
    {"origin_zone": "ATLANTIS"},
    {"countries": ["XX"]},
    {"gpu_models": ["Voodoo 2"]},
    {"bundle": "0" * 64},
    {"command": []},
    {"command": [""]},
    {"command": ["a\0b"]},
    {"env": {"A=B": "c"}},
    {"name": "two\nlines"},
    {"interruptible": True, "units": 1},
]
UNREADABLE = [
    b"",
    b"{",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"[" * 50_000,
    b'{"name": "a"}',
    json.dumps(JOB | {"gpus": "2"}).encode(),
    json.dumps(JOB | {"gpus": True}).encode(),
    json.dumps(JOB | {"budget_usd": float("nan")}).encode(),
    json.dumps(JOB | {"name": "\ud800"}).encode(),
    json.dumps(JOB | {"work_class": "magic"}).encode(),
]
REFUSED = [
    ("GET", "/v1/nothing", 404),
    ("GET", "/", 404),
    ("DELETE", "/v1/jobs", 405),
    ("GET", "/v1/jobs?limit=0", 422),
    ("GET", "/v1/jobs?limit=x", 422),
    ("GET", "/v1/jobs?after=1.2.3.4", 422),
    ("GET", "/v1/jobs?after=99999999999999999999.1", 422),
    ("GET", "/v1/jobs?state=asleep", 400),
    ("GET", "/v1/jobs/j%00x", 422),
    ("GET", "/v1/jobs/j-none/logs?offset=-1", 422),
    ("GET", "/v1/objects/..%2F..%2Fetc", 404),
    ("GET", "/v1/objects/" + "0" * 64, 404),
    ("GET", "/v1/grid", 422),
    ("GET", "/v1/grid?zone=ATLANTIS", 400),
    ("GET", "/v1/grid?zone=DE&hours=1000", 422),
    ("POST", "/v1/account/deposits", 422),
]


def is_problem(response, *statuses: int) -> bool:
    """One line of problem+json, with the status inside and a stable code, and no inner detail."""
    told = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert set(told) >= {"type", "title", "status", "detail", "code"}
    assert told["status"] == response.status_code
    assert "\n" not in told["detail"]
    assert "Traceback" not in response.text
    assert told["code"].startswith("SW-")
    return response.status_code in statuses


def test_what_cannot_be_asked_is_refused_in_one_line_and_changes_nothing(service: Service, agent: Agent) -> None:
    agent.sync()
    service.control.ensure_signals()
    head = service.head
    for change in BAD_JOBS:
        for path in ("/v1/jobs", "/v1/quotes"):
            assert is_problem(service.ask("POST", path, json=JOB | change), 400), change
    for body in UNREADABLE:
        assert is_problem(service.ask("POST", "/v1/jobs", content=body), 422), body
    assert service.head == head
    assert service.ok("GET", "/v1/jobs")["jobs"] == []


def test_every_refusal_is_a_problem(service: Service) -> None:
    head = service.head
    for method, path, status in REFUSED:
        assert is_problem(service.ask(method, path), status), path
    assert service.head == head


def test_the_same_key_gives_the_same_job_and_the_same_answer(service: Service) -> None:
    key = {"Idempotency-Key": "k-1"}
    body = JOB | {"budget_usd": 5.0}
    first = service.ask("POST", "/v1/jobs", json=body, headers=key)
    head = service.head
    again = service.ask("POST", "/v1/jobs", json=body, headers=key)
    assert (again.status_code, again.content) == (201, first.content)
    assert service.head == head
    clash = service.ask("POST", "/v1/jobs", json=body | {"gpus": 2}, headers=key)
    assert (clash.status_code, clash.json()["code"]) == (409, "SW-112")
    assert (
        service.ask("POST", "/v1/jobs", json=body, headers={"Idempotency-Key": "k-2"}).json()["job"]
        != first.json()["job"]
    )
    assert is_problem(service.ask("POST", "/v1/jobs", json=body, headers={"Idempotency-Key": "k" * 300}), 400)
    another = service.token("t-other", "tenant")
    service.ask("POST", "/v1/account/deposits", token=another, json={"amount_usd": 10.0})
    theirs = service.ask("POST", "/v1/jobs", token=another, json=body, headers=key)
    assert theirs.json()["job"] != first.json()["job"]


def test_a_job_whose_answer_was_lost_before_it_was_kept_is_not_made_twice(service: Service, monkeypatch) -> None:
    body, key = JOB | {"budget_usd": 5.0}, {"Idempotency-Key": "k-1"}
    with monkeypatch.context() as patch:
        patch.setattr("sunward.adapters.access_sql.Access.keep_reply", lambda *_: None)
        first = service.ask("POST", "/v1/jobs", json=body, headers=key).json()
    service.machine.ms += 1
    again = service.ask("POST", "/v1/jobs", json=body, headers=key).json()
    assert again["job"] == first["job"]
    assert [one["job"] for one in service.ok("GET", "/v1/jobs")["jobs"]] == [first["job"]]


def test_deposits_and_closes_are_made_once_for_a_key(service: Service) -> None:
    before = service.ok("GET", "/v1/account")["balance_wei"]
    for _ in range(2):
        made = service.ok("POST", "/v1/account/deposits", json={"amount_usd": 1.5}, headers={"Idempotency-Key": "d"})
        service.ok("POST", "/v1/epochs/close", "operator", headers={"Idempotency-Key": "e"})
    assert made["balance_wei"] == before + 1_500_000 * 2 * 10**12
    assert len(service.ok("GET", "/v1/epochs")) == 1
    for amount in (0.0, -1.0, 1e-9, 1e12):
        assert is_problem(service.ask("POST", "/v1/account/deposits", json={"amount_usd": amount}), 400)


def test_an_escrow_beyond_the_balance_leaves_no_private_content_behind(service: Service) -> None:
    refused = service.ask("POST", "/v1/jobs", json=JOB | {"budget_usd": 10**8})
    assert (refused.status_code, refused.json()["code"]) == (400, "SW-120")
    assert service.ok("GET", "/v1/jobs")["jobs"] == []
    with service.control.store.contents.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM job_contents").scalar() == 0


def test_a_job_before_any_site_needs_a_budget(service: Service) -> None:
    assert service.ask("POST", "/v1/jobs", json=JOB).json()["code"] == "SW-154"
    job = submit(service, budget_usd=2.0)
    shown = service.ok("GET", f"/v1/jobs/{job}")
    assert (shown["state"], shown["deadline_ms"] - shown["submitted_ms"]) == ("submitted", 3_600_000)


def test_acknowledgements_carry_a_head_that_verifies(service: Service) -> None:
    made = service.ok("POST", "/v1/jobs", json=JOB | {"budget_usd": 2.0})
    head = made["journal"]
    assert (head["sequence"], head["hash"]) == service.head
    public = service.control.key.public_key().public_bytes_raw().hex()
    assert head_signed(JournalHead(**head), public)
    assert not head_signed(JournalHead(**head | {"sequence": head["sequence"] + 1}), public)


def test_pages_of_jobs_follow_each_other(service: Service) -> None:
    jobs = [submit(service, budget_usd=2.0, name=f"n{index}") for index in range(5)]
    service.ok("POST", f"/v1/jobs/{jobs[1]}/cancel")
    first = service.ok("GET", "/v1/jobs?limit=3")
    rest = service.ok("GET", f"/v1/jobs?limit=3&after={first['next']}")
    assert [one["job"] for one in first["jobs"] + rest["jobs"]] == jobs[::-1]
    assert rest["next"] is None
    cancelled = service.ok("GET", "/v1/jobs?state=cancelled")["jobs"]
    assert [(one["job"], one["name"]) for one in cancelled] == [(jobs[1], "n1")]


def test_bodies_beyond_their_limit_are_refused(tmp_path) -> None:
    small = Service(tmp_path, config=ServiceConfig(body_bytes_max=500, object_bytes_max=2_000))
    try:
        assert is_problem(small.ask("POST", "/v1/jobs", json=JOB | {"name": "x" * 600}), 413)

        async def stream():
            for _ in range(30):
                yield b"x" * 100

        assert is_problem(small.ask("PUT", "/v1/objects", content=stream()), 413)
        assert is_problem(small.ask("POST", "/v1/jobs", content=stream()), 413)
        assert is_problem(small.ask("PUT", "/v1/objects", content=b"", headers={"content-length": "-5"}), 413)
        assert small.ask("PUT", "/v1/objects", content=b"x" * 1_500).status_code == 200
    finally:
        small.close()


def test_openapi_describes_every_record(service: Service) -> None:
    described = service.ask("GET", "/openapi.json", token="").json()
    schemas = described["components"]["schemas"]
    for record in ("JobRequest", "Quote", "JobView", "Receipt", "Bundle", "SyncRequest", "SyncReply", "SiteSpec"):
        assert schemas[record]["properties"], record
    taken = described["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert taken == {"$ref": "#/components/schemas/JobRequest"}
    named = {part.split('"')[0] for part in json.dumps(described).split("#/components/schemas/")[1:]}
    assert named <= set(schemas)


def test_metrics_parse_and_count(service: Service, agent: Agent) -> None:
    _, lease = start(service, agent)
    text = service.ask("GET", "/metrics", "operator").text
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert values["sunward_jobs", "running"] == 1
    assert values["sunward_jobs", "finished"] == 0
    assert values["sunward_leases_open",] == 1
    assert values["sunward_containers_busy", "no-hydro/A100-SXM-80GB"] == 1
    assert values["sunward_journal_sequence",] == service.head[0]
    assert values["sunward_plan_seconds_count",] == service.control.plans > 0
    finish(service, agent, lease)
    service.control.seal_now()
    assert "sunward_energy_sealed_joules_total 0.0" not in service.ask("GET", "/metrics", "operator").text


def test_the_grid_and_the_sites_are_shown(service: Service, agent: Agent) -> None:
    agent.sync()
    service.control.ensure_signals()
    grid = service.ok("GET", "/v1/grid?zone=DE&hours=5")
    bands = grid["carbon_mg_per_kwh"]
    assert [len(bands[name]) for name in ("p10", "p50", "p90")] == [5, 5, 5]
    assert all(low <= high for low, high in zip(bands["p10"], bands["p90"], strict=True))
    site = service.ok("GET", "/v1/sites")[0]
    assert (site["site"], site["gpus"], site["awake"], site["reachable"]) == ("no-hydro", 2, 2, True)
    assert site["power_state"] == "idle"
    assert site["carbon_mg_per_kwh"] > 0
    assert service.ok("GET", "/v1/clock")["speed"] == 1_200
