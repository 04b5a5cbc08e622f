"""A tenant's private content leaves every file, and the books still hold together."""

from __future__ import annotations

from pathlib import Path

import pytest

from sunward.engine.snapshots import state_digest
from sunward.engine.writer import replay
from sunward.model.codec import decode
from sunward.model.records import JournalPage
from sunward.verification.journal import verify_chain
from tests.api.harness import Agent, Service, finish, start, submit
from tests.api.test_requests import is_problem

SECRETS = (
    "Wal-Fisch-Name",
    "leviathan.py",
    "Walgesang",
    "narwhal-log",
    "narwhal-result",
    "narwhal-bundle",
    "Ahab & Co",
    "queequeg.example",
)


def traces(home: Path) -> dict[str, set[str]]:
    """Which of the secrets stand in which file of the home."""
    files = [file for file in home.rglob("*") if file.is_file()]
    return {
        secret: {file.name for file in files if secret.encode() in file.read_bytes()}
        for secret in SECRETS
        if any(secret.encode() in file.read_bytes() for file in files)
    }


@pytest.fixture
def private(service: Service, agent: Agent) -> tuple[str, str]:
    """A finished job of the local tenant, full of secrets: the tenant and the job."""
    tenant = service.ok("GET", "/v1/account")["tenant"]
    service.control.store.contents.name_tenant(tenant, "Ahab & Co")
    service.ok("POST", "/v1/account/budget", json={"monthly_usd": 1e6, "webhook": "https://queequeg.example/"})
    bundle = service.ask("PUT", "/v1/objects", content=b"narwhal-bundle" * 100).json()["digest"]
    changes = {"name": "Wal-Fisch-Name", "command": ["python", "leviathan.py"], "env": {"SONG": "Walgesang"}}
    job, lease = start(service, agent, bundle=bundle, **changes)
    service.ask("POST", f"/v1/leases/{lease}/log?offset=0", token=agent.token, content=b"narwhal-log\n" * 500)
    agent.put(lease, "checkpoint?units=1", b"narwhal-result 1")
    finish(service, agent, lease, b"narwhal-result 2")
    service.ok("POST", f"/v1/jobs/{submit(service, **changes)}/cancel", headers={"Idempotency-Key": "c"})
    service.ok("POST", "/v1/epochs/close", "operator")
    return tenant, job


def test_nothing_private_is_left_and_the_books_stay(service: Service, private, tmp_path: Path) -> None:
    tenant, job = private
    home = tmp_path / "home"
    assert set(traces(home)) == set(SECRETS)
    receipt = service.ok("GET", f"/v1/jobs/{job}/receipt")
    bundle = service.ask("GET", f"/v1/jobs/{job}/bundle").json()
    head = service.head
    done = service.ok("DELETE", f"/v1/tenants/{tenant}/content", "operator")
    assert (done["jobs"], done["objects"]) == (2, 3)
    assert traces(home) == {}
    assert service.head == head
    assert service.ok("GET", f"/v1/jobs/{job}/receipt") == receipt
    again = service.ask("GET", f"/v1/jobs/{job}/bundle").json()
    assert {name: again[name] for name in again if name != "head"} == {
        name: bundle[name] for name in bundle if name != "head"
    }
    page = decode(service.ask("GET", "/v1/journal?limit=1000", "auditor").content, JournalPage)
    assert verify_chain(page.records).ok
    assert state_digest(replay(service.control.store.read())) == state_digest(service.control.state)
    shown = service.ok("GET", f"/v1/jobs/{job}")
    assert (shown["name"], shown["state"]) == ("", "finished")
    assert service.ask("GET", f"/v1/jobs/{job}/logs").content == b""
    assert is_problem(service.ask("GET", f"/v1/jobs/{job}/output"), 404)
    assert dict(service.control.store.contents.tenants())[tenant] == tenant
    acts = [(act["action"], act["target"]) for act in service.ok("GET", "/v1/audit", "operator")["acts"]]
    assert ("erase_content", tenant) in acts
    assert submit(service, budget_usd=1.0), "the tenant can go on"
    assert service.ok("DELETE", f"/v1/tenants/{tenant}/content?cancel=true", "operator")["objects"] == 0


def test_open_jobs_are_refused_or_cancelled(service: Service) -> None:
    submit(service, budget_usd=1.0, name="Wal-Fisch-Name")
    refused = service.ask("DELETE", "/v1/account/content")
    assert is_problem(refused, 409)
    assert refused.json()["code"] == "SW-169"
    assert service.ok("GET", "/v1/jobs")["jobs"][0]["name"] == "Wal-Fisch-Name"
    assert service.ok("DELETE", "/v1/account/content?cancel=true")["jobs"] == 1
    shown = service.ok("GET", "/v1/jobs")["jobs"][0]
    assert (shown["name"], shown["state"]) == ("", "cancelled")


def test_a_running_job_ends_before_anything_is_erased(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent, name="Wal-Fisch-Name")
    stopping = service.ask("DELETE", "/v1/account/content?cancel=true")
    assert stopping.status_code == 409 or service.ok("GET", f"/v1/jobs/{job}")["state"] == "cancelled"
    agent.report(lease, "suspended")
    assert service.ask("DELETE", "/v1/account/content").status_code == 200


def test_what_another_tenant_holds_too_stays(service: Service) -> None:
    other = service.token("t-other", "tenant")
    digest = service.ask("PUT", "/v1/objects", content=b"shared").json()["digest"]
    service.ask("PUT", "/v1/objects", token=other, content=b"shared")
    assert service.ok("DELETE", "/v1/account/content")["objects"] == 0
    assert service.ask("GET", f"/v1/objects/{digest}").status_code == 404
    assert service.ask("GET", f"/v1/objects/{digest}", token=other).content == b"shared"
    assert service.ask("DELETE", "/v1/account/content", token=other).json()["objects"] == 1
    assert not service.control.objects.has(digest)


def test_one_tenant_cannot_erase_another(service: Service) -> None:
    service.ask("PUT", "/v1/objects", content=b"mine")
    stranger = service.token("t-other", "tenant")
    tenant = service.ok("GET", "/v1/account")["tenant"]
    assert service.ask("DELETE", f"/v1/tenants/{tenant}/content", token=stranger).status_code == 403
    assert service.ask("DELETE", "/v1/tenants/t-none/content", "operator").status_code == 404
    assert service.ask("DELETE", "/v1/account/content", token=stranger).json()["objects"] == 0
