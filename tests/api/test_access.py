"""Who may do what: every route with no token, a wrong one, and another tenant's."""

from __future__ import annotations

from tests.api.harness import JOB, Agent, Service, finish, start

TENANT, PROVIDER, OPERATOR, AUDITOR, AGENT = "tenant", "provider", "operator", "auditor", "agent"
ANCHOR = "anchor"
EVERYONE = {TENANT, PROVIDER, OPERATOR, AUDITOR, AGENT, ANCHOR}
READERS = {TENANT, OPERATOR, AUDITOR}
ROUTES = {
    ("POST", "/v1/quotes"): {TENANT},
    ("POST", "/v1/plan/what-if"): {TENANT},
    ("POST", "/v1/jobs"): {TENANT},
    ("GET", "/v1/jobs"): READERS,
    ("GET", "/v1/jobs/{job}"): READERS,
    ("GET", "/v1/jobs/{job}/history"): READERS,
    ("GET", "/v1/jobs/{job}/explanation"): READERS,
    ("POST", "/v1/jobs/{job}/cancel"): {TENANT},
    ("GET", "/v1/jobs/{job}/logs"): {TENANT},
    ("GET", "/v1/jobs/{job}/output"): {TENANT},
    ("GET", "/v1/jobs/{job}/receipt"): READERS,
    ("GET", "/v1/jobs/{job}/bundle"): READERS,
    ("PUT", "/v1/objects"): {TENANT},
    ("GET", "/v1/objects/{digest}"): {TENANT, AGENT},
    ("HEAD", "/v1/objects/{digest}"): {TENANT},
    ("GET", "/v1/grid"): EVERYONE,
    ("GET", "/v1/feeds"): EVERYONE,
    ("GET", "/v1/sites"): EVERYONE,
    ("GET", "/v1/sites/{site}"): EVERYONE,
    ("POST", "/v1/sites/{site}/drain"): {PROVIDER, OPERATOR, AGENT},
    ("POST", "/v1/sites/{site}/leave"): {PROVIDER, OPERATOR, AGENT},
    ("POST", "/v1/sites/{site}/ask"): {PROVIDER, OPERATOR, AGENT},
    ("GET", "/v1/sites/{site}/ceilings"): {PROVIDER, OPERATOR, AGENT},
    ("POST", "/v1/sites/{site}/ceilings"): {PROVIDER, OPERATOR, AGENT},
    ("DELETE", "/v1/sites/{site}/ceilings/{ceiling}"): {PROVIDER, OPERATOR, AGENT},
    ("GET", "/v1/sites/{site}/audit"): EVERYONE,
    ("POST", "/v1/sites/{site}/evidence"): EVERYONE - {TENANT, ANCHOR},
    ("GET", "/v1/sites/{site}/evidence/{evidence}"): EVERYONE - {TENANT, ANCHOR},
    ("POST", "/v1/sites/{site}/evidence/{evidence}/check"): {AUDITOR, OPERATOR},
    ("POST", "/v1/sites/{site}/verdicts"): {AUDITOR, OPERATOR},
    ("POST", "/v1/sites/{site}/stolen-key"): {PROVIDER},
    ("POST", "/v1/verdicts/{verdict}/appeal"): {PROVIDER, AGENT},
    ("GET", "/v1/verdicts/{verdict}/appeal"): EVERYONE - {TENANT, ANCHOR},
    ("POST", "/v1/verdicts/{verdict}/decision"): {AUDITOR, OPERATOR},
    ("POST", "/v1/sites/{site}/challenge"): {AUDITOR, OPERATOR},
    ("GET", "/v1/challenges"): EVERYONE,
    ("GET", "/v1/challenges/rules"): EVERYONE,
    ("POST", "/v1/challenges/rules"): {OPERATOR},
    ("POST", "/v1/challenges/{challenge}/ready"): {AGENT},
    ("POST", "/v1/challenges/{challenge}/begin"): {AGENT},
    ("POST", "/v1/challenges/{challenge}/roots"): {AGENT},
    ("POST", "/v1/challenges/{challenge}/answer"): {AGENT},
    ("POST", "/v1/agents/declare"): {AGENT},
    ("POST", "/v1/agents/wake"): {AGENT},
    ("GET", "/v1/certificates"): EVERYONE - {AGENT, ANCHOR},
    ("POST", "/v1/certificates/devices"): {PROVIDER},
    ("POST", "/v1/certificates/issue"): {PROVIDER},
    ("POST", "/v1/certificates/import"): {OPERATOR},
    ("POST", "/v1/certificates/move"): {TENANT, PROVIDER},
    ("POST", "/v1/certificates/cancel"): {TENANT, PROVIDER},
    ("POST", "/v1/certificates/withdraw"): {AUDITOR, OPERATOR},
    ("GET", "/v1/places/rules"): EVERYONE,
    ("POST", "/v1/places/rules"): {OPERATOR},
    ("GET", "/v1/places/wishes"): {ANCHOR, OPERATOR},
    ("POST", "/v1/places/round-trips"): {ANCHOR, OPERATOR},
    ("GET", "/v1/stakes"): {PROVIDER, AUDITOR, OPERATOR},
    ("POST", "/v1/stakes"): {PROVIDER},
    ("POST", "/v1/stakes/exits"): {PROVIDER},
    ("GET", "/v1/stakes/rules"): EVERYONE,
    ("POST", "/v1/stakes/rules"): {OPERATOR},
    ("GET", "/v1/rewards"): {PROVIDER, AUDITOR, OPERATOR},
    ("POST", "/v1/rewards/claims"): {PROVIDER},
    ("POST", "/v1/verdicts/{verdict}/harm"): {AUDITOR, OPERATOR},
    ("GET", "/v1/reserve"): EVERYONE - {AGENT, ANCHOR},
    ("POST", "/v1/reserve/rules"): {OPERATOR},
    ("POST", "/v1/reserve/usd"): {OPERATOR},
    ("POST", "/v1/reserve/deposits"): {TENANT, PROVIDER},
    ("POST", "/v1/reserve/exits"): {TENANT, PROVIDER},
    ("GET", "/v1/reserve/promises"): EVERYONE - {AGENT, ANCHOR},
    ("POST", "/v1/reserve/promises"): {PROVIDER},
    ("DELETE", "/v1/reserve/promises/{promise}"): {PROVIDER},
    ("POST", "/v1/reserve/promises/{promise}/buy"): {TENANT},
    ("POST", "/v1/reserve/promises/{promise}/call"): {TENANT, OPERATOR},
    ("DELETE", "/v1/reserve/calls/{call}"): {TENANT, OPERATOR},
    ("POST", "/v1/reserve/drills"): {AUDITOR, OPERATOR},
    ("GET", "/v1/reserve/stress"): EVERYONE - {AGENT, ANCHOR},
    ("GET", "/v1/plan"): EVERYONE,
    ("GET", "/v1/plan/certificate"): {AUDITOR, OPERATOR},
    ("GET", "/v1/clock"): EVERYONE,
    ("POST", "/v1/enrolments"): {OPERATOR, PROVIDER},
    ("GET", "/v1/tokens"): {OPERATOR},
    ("POST", "/v1/tokens"): {OPERATOR},
    ("DELETE", "/v1/tokens/{hash_}"): {OPERATOR},
    ("GET", "/v1/tenants"): {AUDITOR, OPERATOR},
    ("POST", "/v1/tenants"): {OPERATOR},
    ("DELETE", "/v1/tenants/{tenant}/content"): {OPERATOR},
    ("DELETE", "/v1/account/content"): {TENANT},
    ("GET", "/v1/audit"): {AUDITOR, OPERATOR},
    ("GET", "/metrics"): {AUDITOR, OPERATOR},
    ("GET", "/v1/policy"): {AUDITOR, OPERATOR},
    ("POST", "/v1/policy"): {OPERATOR},
    ("GET", "/v1/offset"): EVERYONE,
    ("POST", "/v1/offset/rules"): {OPERATOR},
    ("GET", "/v1/rate"): EVERYONE,
    ("POST", "/v1/rate/confirm"): {OPERATOR},
    ("GET", "/v1/chain"): EVERYONE,
    ("GET", "/v1/chain/epochs/{epoch}"): EVERYONE,
    ("GET", "/v1/chain/leaves/{address}"): EVERYONE,
    ("GET", "/v1/wallet"): {PROVIDER},
    ("POST", "/v1/wallet"): {PROVIDER},
    ("GET", "/v1/epochs"): EVERYONE,
    ("POST", "/v1/epochs/close"): {OPERATOR},
    ("GET", "/v1/ledger/balances"): EVERYONE - {AGENT, ANCHOR},
    ("GET", "/v1/ledger/entries"): EVERYONE - {AGENT, ANCHOR},
    ("GET", "/v1/journal"): {AUDITOR, OPERATOR},
    ("GET", "/v1/journal/head"): EVERYONE,
    ("GET", "/v1/keys"): EVERYONE,
    ("GET", "/v1/account"): {TENANT},
    ("GET", "/v1/account/webhook-key"): {TENANT},
    ("POST", "/v1/account/deposits"): {TENANT},
    ("GET", "/v1/account/budget"): {TENANT},
    ("POST", "/v1/account/budget"): {TENANT},
    ("GET", "/v1/statement"): READERS,
    ("GET", "/v1/whoami"): EVERYONE,
    ("POST", "/v1/agents/key"): {AGENT},
    ("POST", "/v1/agents/sync"): {AGENT},
    ("POST", "/v1/agents/readings"): {AGENT},
    ("GET", "/v1/leases/{lease}/content"): {AGENT},
    ("GET", "/v1/leases/{lease}/secrets"): {AGENT},
    ("PUT", "/v1/leases/{lease}/checkpoint"): {AGENT},
    ("PUT", "/v1/leases/{lease}/output"): {AGENT},
    ("POST", "/v1/leases/{lease}/log"): {AGENT},
}
OPEN = {("POST", "/v1/agents/enroll"), ("GET", "/healthz")}
"""Routes that take no bearer token: enrolment brings its own."""
NOWHERE = {
    "tenant": "t-none",
    "job": "j-none",
    "site": "nowhere",
    "ceiling": "g-none",
    "evidence": "e-none",
    "verdict": "v-none",
    "challenge": "c-none",
    "promise": "r-none",
    "call": "rc-none",
    "epoch": "1",
    "address": "0x" + "1" * 40,
    "digest": "0" * 64,
    "hash_": "0" * 64,
    "lease": "j-none.1",
}


def test_the_matrix_names_every_route(service: Service) -> None:
    paths = service.ask("GET", "/openapi.json", token="").json()["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == set(ROUTES) | OPEN


def test_without_a_valid_token_nothing_answers(service: Service) -> None:
    head = service.head
    expired = service.control.store.access.create_token("t-late", ("tenant", "operator"), service.machine.ms)
    for method, path in ROUTES:
        for token in ("", "sw_wrong", expired):
            response = service.ask(method, path.format(**NOWHERE), token=token)
            assert response.status_code == 401, (method, path)
            assert method == "HEAD" or response.json()["code"] == "SW-401", (method, path)
            assert response.headers["www-authenticate"] == "Bearer"
    assert service.head == head


def test_each_role_reaches_its_routes_only(service: Service, agent: Agent) -> None:
    head = service.head
    for (method, path), allowed in ROUTES.items():
        for role in EVERYONE:
            token = agent.token if role == AGENT else service.token("t-probe", role)
            response = service.ask(method, path.format(**NOWHERE), token=token, content=b"[")
            assert (response.status_code == 403) == (role not in allowed), (method, path, role, response.text)
    assert service.head != head
    assert [one["epoch"] for one in service.ok("GET", "/v1/epochs")] == [1]


def test_an_agent_token_of_no_enrolled_site_is_refused(service: Service) -> None:
    stray = service.token("t-probe", "agent:nowhere")
    assert service.ask("POST", "/v1/agents/sync", token=stray, content=b"{}").status_code == 403


def test_what_belongs_to_another_tenant_is_not_there(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent)
    finish(service, agent, lease)
    service.ok("POST", "/v1/epochs/close", "operator")
    stranger = service.token("t-other", "tenant")
    for path in ("", "/history", "/logs", "/output", "/receipt", "/bundle"):
        theirs = service.ask("GET", f"/v1/jobs/{job}{path}", token=stranger)
        nobodys = service.ask("GET", f"/v1/jobs/j-nothing{path}", token=stranger)
        assert (theirs.status_code, nobodys.status_code) == (404, 404), path
        assert theirs.json()["code"] == nobodys.json()["code"]
        assert service.ask("GET", f"/v1/jobs/{job}{path}").status_code == 200, path


def test_another_tenant_neither_lists_nor_cancels_nor_sees_the_plan(service: Service, agent: Agent) -> None:
    job, _ = start(service, agent)
    stranger = service.token("t-other", "tenant")
    assert service.ask("POST", f"/v1/jobs/{job}/cancel", token=stranger).status_code == 404
    assert service.ask("GET", "/v1/jobs", token=stranger).json() == {"jobs": [], "next": None}
    assert service.ask("GET", "/v1/plan", token=stranger).json()["assignments"] == []
    assert [one["job"] for one in service.ok("GET", "/v1/plan")["assignments"]] == [job]
    balances = service.ask("GET", "/v1/ledger/balances", token=stranger).json()
    assert balances == {"total": "0"}
    entries = service.ask("GET", "/v1/ledger/entries", token=stranger)
    assert entries.json()["code"] == "SW-163"


def test_an_auditor_reads_jobs_without_their_private_content(service: Service, agent: Agent) -> None:
    job, _ = start(service, agent)
    auditor = service.token("t-audit", "auditor")
    shown = service.ask("GET", f"/v1/jobs/{job}", token=auditor).json()
    assert (shown["job"], shown["name"]) == (job, "")
    assert service.ok("GET", f"/v1/jobs/{job}")["name"] == "train"
    journal = service.ask("GET", "/v1/journal?limit=1000", token=auditor).text
    assert "train.py" not in journal


def test_tokens_are_made_shown_once_and_ended(service: Service) -> None:
    wanted = {"subject": "t-new", "scopes": ["tenant"], "note": "new"}
    token = service.ok("POST", "/v1/tokens", "operator", json=wanted)["token"]
    assert service.ask("POST", "/v1/quotes", token=token, json=JOB | {"budget_usd": 1.0}).status_code == 200
    listed = service.ok("GET", "/v1/tokens", "operator")
    mine = next(line for line in listed if line["subject"] == "t-new")
    assert token not in str(listed)
    assert service.ask("DELETE", f"/v1/tokens/{mine['hash']}", "operator").status_code == 204
    assert service.ask("GET", "/v1/jobs", token=token).status_code == 401
    assert service.ask("DELETE", f"/v1/tokens/{mine['hash']}", "operator").status_code == 404
    bad = service.ask("POST", "/v1/tokens", "operator", json=wanted | {"scopes": ["agent:x"]})
    assert bad.json()["code"] == "SW-165"
    acts = [line.action for line in service.control.store.access.audit_trail()]
    assert acts == ["create_token", "revoke_token"]


def test_a_site_admits_its_owner_and_known_tenants_only(service: Service, agent: Agent) -> None:
    agent.sync()
    rich = service.token("t-rich", "tenant")
    service.ask("POST", "/v1/account/deposits", token=rich, json={"amount_usd": 100.0})
    quote = service.ask("POST", "/v1/quotes", token=rich, json=JOB).json()
    assert quote["unplaced"]["reason"] == "admission"
    assert service.ok("POST", "/v1/quotes", json=JOB)["assignment"] is not None
