"""What a job asks beyond command and folder, at the API: kept, given to the right ones, told of, and dropped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.model.codec import decode
from sunward.model.wire import JobContent
from sunward.service.secrecy import first_secrets
from sunward.units import HOUR_MS, HOUR_S, MINUTE_MS, SECOND_MS
from tests.api.harness import JOB, Agent, Service, finish, start, submit

SECRET = "hunter2-Zx9"
HOOK = "https://example.org/hook"
DIGEST = hashlib.sha256(b"data").hexdigest()


def refusal(service: Service, **changes: Any) -> tuple[int, str]:
    """What a job with these changes is answered, on submission and for a quote alike; nothing is recorded."""
    before = service.head
    answers = {
        (answer.status_code, answer.json()["code"])
        for answer in (service.ask("POST", path, json=JOB | changes) for path in ("/v1/jobs", "/v1/quotes"))
    }
    assert service.head == before
    assert service.control.store.privates.jobs() == ()
    (one,) = answers
    return one


def files_with(folder: Path, text: bytes) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


def secrets_of(service: Service, token: str, lease: str) -> Any:
    return service.ask("GET", f"/v1/leases/{lease}/secrets", token=token)


def test_a_start_by_alone_sets_a_deadline(service: Service, agent: Agent) -> None:
    agent.sync()
    job = submit(service, deadline_s=0, start_by_s=HOUR_S)
    view = service.ok("GET", f"/v1/jobs/{job}")
    after_s = HOUR_S + 2 * JOB["length_s"] + HOUR_S
    assert view["deadline_ms"] == view["submitted_ms"] + after_s * SECOND_MS


def test_a_start_by_that_passes_ends_the_job(service: Service, agent: Agent) -> None:
    agent.sync()
    job = submit(service, start_by_s=600, gpus=2)
    other = submit(service, gpus=2, deadline_s=7_200)
    service.pass_grid(601 * SECOND_MS)
    view = service.ok("GET", f"/v1/jobs/{job}")
    assert (view["state"], view["reason"]) == ("expired", "start_by")
    assert service.ok("GET", f"/v1/jobs/{other}")["state"] != "expired"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"deadline_s": 0}, "SW-170"),
        ({"start_by_s": -1}, "SW-150"),
        ({"start_by_s": JOB["deadline_s"]}, "SW-123"),
        ({"timeout_s": -1}, "SW-150"),
        ({"timeout_s": 10**9}, "SW-150"),
        ({"gpus_max": 2}, "SW-187"),
        ({"gpus_max": 2, "speedup": [1, -1]}, "SW-150"),
        ({"gpus_max": -1, "speedup": [1]}, "SW-150"),
        ({"webhook": "http://example.org/"}, "SW-171"),
        ({"webhook": "https://127.0.0.1/"}, "SW-171"),
        ({"webhook": "https://user:pass@example.org/"}, "SW-171"),
        ({"inputs": [{"path": "../x", "sha256": DIGEST, "url": HOOK}]}, "SW-172"),
        ({"inputs": [{"path": "/etc/x", "sha256": DIGEST, "url": HOOK}]}, "SW-172"),
        ({"inputs": [{"path": "a//b", "sha256": DIGEST, "url": HOOK}]}, "SW-172"),
        ({"inputs": [{"path": "", "sha256": DIGEST, "url": HOOK}]}, "SW-172"),
        ({"inputs": [{"path": "a", "sha256": "abc", "url": HOOK}]}, "SW-172"),
        ({"inputs": [{"path": "a", "sha256": DIGEST, "url": "file:///etc/passwd"}]}, "SW-172"),
        ({"inputs": [{"path": "a", "sha256": DIGEST, "url": "s3://user:key@bucket/a"}]}, "SW-172"),
        ({"inputs": [{"path": name, "sha256": DIGEST, "url": HOOK} for name in ("a", "a/b")]}, "SW-172"),
        ({"inputs": [{"path": "a", "sha256": DIGEST, "url": HOOK}] * 1_001}, "SW-172"),
        ({"inputs": [{"path": "a", "sha256": DIGEST}]}, "SW-173"),
        ({"outputs": ["../*"]}, "SW-174"),
        ({"outputs": ["*"] * 101}, "SW-174"),
        ({"setup": "numpy\0"}, "SW-175"),
        ({"setup": "--index-url https://example.org/"}, "SW-175"),
        ({"setup": "#" * 500_001}, "SW-175"),
        ({"secrets": {"A=B": "x"}}, "SW-176"),
        ({"secrets": {"A": "x\0"}}, "SW-176"),
        ({"secrets": {"A": "x"}, "env": {"A": "y"}}, "SW-176"),
        ({"secrets": {"A": "x" * 64_001}}, "SW-176"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_one_line(
    service: Service, agent: Agent, changes: dict[str, Any], code: str
) -> None:
    assert refusal(service, **changes) == (400, code)


def test_a_refusal_never_repeats_a_secret(service: Service, agent: Agent) -> None:
    for wrong in ({"TOKEN": SECRET + "\0"}, {"TOKEN": [SECRET]}, SECRET):
        assert SECRET not in service.ask("POST", "/v1/jobs", json=JOB | {"secrets": wrong}).text


def test_secrets_reach_the_agent_of_the_lease_and_nobody_else(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent, secrets={"TOKEN": SECRET}, env={"MODE": "fast"})
    answer = secrets_of(service, agent.token, lease)
    assert (answer.json(), answer.headers["cache-control"]) == ({"TOKEN": SECRET}, "no-store")
    other = Agent(service, "es-solar", "ES")
    other.join()
    other.sync()
    assert secrets_of(service, other.token, lease).status_code == 409
    for role in ("tenant", "operator", "auditor", "provider"):
        assert secrets_of(service, service.credentials[f"{role}_token"], lease).status_code == 403
    content = service.ask("GET", f"/v1/leases/{lease}/content", token=agent.token)
    assert decode(content.content, JobContent).env == {"MODE": "fast"}
    told = [content.text]
    told += [service.ask("GET", path).text for path in ("/v1/jobs", f"/v1/jobs/{job}", f"/v1/jobs/{job}/history")]
    told += [service.ask("GET", path, "auditor").text for path in ("/v1/journal", "/v1/plan")]
    assert not [text for text in told if SECRET in text]


def test_secrets_under_a_key_that_is_gone_fail_the_attempt_and_nothing_else(service: Service, agent: Agent) -> None:
    _, lease = start(service, agent, secrets={"TOKEN": SECRET})
    service.control.secrets = first_secrets(Ed25519PrivateKey.generate())
    answer = secrets_of(service, agent.token, lease)
    assert (answer.status_code, answer.json()["code"]) == (400, "SW-177")
    assert service.control.failure is None


def test_secrets_are_nowhere_in_clear_and_are_dropped_at_the_end(
    service: Service, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    body = JOB | {"secrets": {"TOKEN": SECRET}}
    agent.sync()
    job = service.ok("POST", "/v1/jobs", json=body, headers={"idempotency-key": "k"})["job"]
    assert service.ok("POST", "/v1/jobs", json=body, headers={"idempotency-key": "k"})["job"] == job
    service.plan()
    lease = agent.sync().orders.leases[0].lease
    agent.report(lease, "running")
    assert secrets_of(service, agent.token, lease).json() == {"TOKEN": SECRET}
    assert (service.home / "sunward.db-wal").exists()
    assert files_with(service.home, SECRET.encode()) == []
    finish(service, agent, lease)
    assert service.control.store.privates.jobs() == ()
    assert secrets_of(service, agent.token, lease).status_code == 409
    assert files_with(service.home, SECRET.encode()) == []
    assert SECRET not in caplog.text


def test_secrets_survive_a_restart_and_end_with_a_cancelled_job(service: Service, agent: Agent) -> None:
    job = submit(service, secrets={"TOKEN": SECRET}, budget_usd=1)
    assert service.control.store.privates.jobs() == (job,)
    with_key = service.control.key
    again = type(service.control)(
        service.control.store,
        service.control.objects,
        service.control.clock,
        service.control.feeds,
        with_key,
        service.control.settings,
    )
    assert again.private_jobs == {job}
    service.control = service.app.state.control = again
    service.ok("POST", f"/v1/jobs/{job}/cancel")
    assert (again.private_jobs, again.store.privates.jobs()) == (set(), ())


def test_a_job_that_ended_unseen_is_told_of_at_the_next_start(service: Service, agent: Agent) -> None:
    job = submit(service, webhook=HOOK, budget_usd=1)
    # As if the service had died between the record of the end and its own word of it.
    service.control.private_jobs.clear()
    service.ok("POST", f"/v1/jobs/{job}/cancel")
    assert service.control.store.privates.jobs() == (job,)
    service.close()
    again = Service(service.home, service.machine)
    try:
        (notice,) = again.control.store.privates.due(again.machine.ms, 10)
        assert json.loads(notice.body)["state"] == "cancelled"
        assert again.control.store.privates.jobs() == ()
    finally:
        again.close()
        service.__dict__.update(Service(service.home, service.machine).__dict__)


def test_the_end_of_a_job_is_told_with_its_exit_code(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent, webhook=HOOK, retries=0)
    assert service.ok("GET", f"/v1/jobs/{job}")["exit_code"] is None
    agent.report(lease, "failed", 40, exit_code=3, detail="exit code 3")
    view = service.ok("GET", f"/v1/jobs/{job}")
    assert (view["state"], view["exit_code"]) == ("failed", 3)
    codes = [line["exit_code"] for line in service.ok("GET", f"/v1/jobs/{job}/history")]
    assert (codes[-1], set(codes[:-1])) == (3, {None})
    (notice,) = service.control.store.privates.due(service.machine.ms, 10)
    told = json.loads(notice.body)
    assert told.pop("notice") == notice.notice
    assert told == {"kind": "job_ended", "job": job, "state": "failed", "exit_code": 3, "at_ms": view["updated_ms"]}
    assert notice.url == HOOK
    key = service.ok("GET", "/v1/account/webhook-key")["key"]
    assert len(bytes.fromhex(key)) == 32


def test_a_failed_attempt_leaves_its_results_too(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent, retries=0)
    digest = agent.put(lease, "output", b"what there was").json()["digest"]
    agent.report(lease, "failed", 40, exit_code=1, output=digest)
    assert service.ask("GET", f"/v1/jobs/{job}/output").content == b"what there was"


def test_an_agent_fetches_the_inputs_of_its_leases_only(service: Service, agent: Agent) -> None:
    digest = service.ok("PUT", "/v1/objects", content=b"data")["digest"]
    other = service.ok("PUT", "/v1/objects", content=b"other")["digest"]
    far = {"path": "far", "sha256": other, "url": "https://example.org/far"}
    inputs = [{"path": "in/data", "sha256": digest}, far]
    _, lease = start(service, agent, inputs=inputs, outputs=["models/*.pt"], setup="numpy\n")
    content = decode(service.ask("GET", f"/v1/leases/{lease}/content", token=agent.token).content, JobContent)
    assert (content.inputs[0].path, content.outputs, content.setup) == ("in/data", ("models/*.pt",), "numpy\n")
    assert service.ask("GET", f"/v1/objects/{digest}", token=agent.token).content == b"data"
    assert service.ask("GET", f"/v1/objects/{other}", token=agent.token).status_code == 404
    finish(service, agent, lease)
    assert service.ask("GET", f"/v1/objects/{digest}", token=agent.token).status_code == 404


def test_a_job_that_used_up_its_run_time_fails_and_is_not_tried_again(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent, timeout_s=1_200, deadline_s=36_000, retries=5)
    order = next(one for one in agent.sync().orders.leases if one.lease == lease)
    assert order.timeout_ms == 1_200 * SECOND_MS
    service.pass_grid(20 * MINUTE_MS)
    agent.report(lease, "failed", 40, exit_code=137, timed_out=True, detail="it used up its run time")
    view = service.ok("GET", f"/v1/jobs/{job}")
    assert (view["state"], view["reason"], view["exit_code"]) == ("failed", "timeout", 137)
    service.pass_grid(HOUR_MS)
    service.plan()
    assert agent.sync().orders.leases == ()
