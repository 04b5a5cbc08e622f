"""Tenants and tokens by an operator, the trail of acts, lists page by page, keys of repeated requests."""

from __future__ import annotations

from pathlib import Path

from sunward.model.codec import encode
from sunward.service.control import REPLIES_KEPT_MS
from sunward.units import DAY_MS, HOUR_MS
from tests.api.harness import JOB, Agent, Service, finish, site_spec, start
from tests.api.test_requests import is_problem

DIGEST = "0" * 64
MISSING = {"job": "j-aaaaaaaaaa", "digest": DIGEST, "lease": "j-aaaaaaaaaa.1"}


def test_a_tenant_is_added_with_a_token_and_listed(service: Service) -> None:
    made = service.ok("POST", "/v1/tenants", "operator", json={"name": "Lab 서울"})
    account = service.ask("GET", "/v1/account", token=made["token"])
    assert account.json() == {"tenant": made["tenant"], "balance_wei": 0}
    named = {line["name"]: line["tenant"] for line in service.ok("GET", "/v1/tenants", "auditor")["tenants"]}
    assert named["Lab 서울"] == made["tenant"]
    assert "Lab" not in made["tenant"]
    again = service.ask("POST", "/v1/tenants", "operator", json={"name": "Lab 서울"})
    assert (again.status_code, again.json()["code"]) == (409, "SW-168")
    for bad in ({"name": ""}, {"name": "x" * 81}, {"name": "a\nb"}, {"name": "b", "days": -1}):
        assert is_problem(service.ask("POST", "/v1/tenants", "operator", json=bad), 400)


def test_a_token_does_not_rename_a_tenant(service: Service) -> None:
    made = service.ok("POST", "/v1/tenants", "operator", json={"name": "Lab"})
    body = {"subject": made["tenant"], "scopes": ["tenant"], "note": "second"}
    service.ok("POST", "/v1/tokens", "operator", json=body)
    assert dict(service.control.store.contents.tenants())[made["tenant"]] == "Lab"


def test_tokens_under_a_key_come_again_without_being_kept(service: Service, tmp_path: Path) -> None:
    asked = (
        ("/v1/tenants", {"name": "Lab"}),
        ("/v1/tokens", {"subject": "t-x", "scopes": ["auditor"]}),
        ("/v1/enrolments", {"note": "n"}),
    )
    for path, body in asked:
        key = {"Idempotency-Key": f"k{path}"}
        first = service.ok("POST", path, "operator", json=body, headers=key)
        assert service.ok("POST", path, "operator", json=body, headers=key) == first
        other = service.ask("POST", path, "operator", json=body | {"note": "other", "name": "Lab"}, headers=key)
        assert (other.status_code, other.json()["code"]) == (409, "SW-112")
        for file in (tmp_path / "home").glob("sunward.db*"):
            assert first["token"].encode() not in file.read_bytes()
    found = service.ok("GET", "/v1/tokens", "operator")
    mine = [line for line in found if line["subject"] == "t-x"]
    assert len(mine) == 1
    service.ask("DELETE", f"/v1/tokens/{mine[0]['hash']}", "operator")
    path, body = asked[1]
    revoked = service.ok("POST", path, "operator", json=body, headers={"Idempotency-Key": f"k{path}"})["token"]
    assert service.ask("GET", "/v1/clock", token=revoked).status_code == 401, "a repetition brings nothing back"


def test_every_act_is_in_the_trail_with_its_source_and_no_secret(service: Service, agent: Agent) -> None:
    made = service.ok("POST", "/v1/tenants", "operator", json={"name": "Lab"})
    token = service.ok("POST", "/v1/tokens", "operator", json={"subject": "t-y", "scopes": ["auditor"]})["token"]
    hash_ = next(line["hash"] for line in service.ok("GET", "/v1/tokens", "operator") if line["subject"] == "t-y")
    service.ask("DELETE", f"/v1/tokens/{hash_}", "operator")
    service.ok("POST", "/v1/epochs/close", "operator")
    trail = service.ok("GET", "/v1/audit", "auditor")
    acts = [(act["action"], act["target"]) for act in trail["acts"]]
    assert acts == [
        ("create_enrolment", "test"),
        ("enrol", "no-hydro"),
        ("create_tenant", made["tenant"]),
        ("create_token", "t-y auditor"),
        ("revoke_token", hash_),
        ("close_epoch", "1"),
    ]
    assert {act["address"] for act in trail["acts"]} == {"127.0.0.1"}
    for secret in (token, made["token"], agent.token):
        assert secret not in str(trail)
    page = service.ok("GET", "/v1/audit?limit=4", "operator")
    rest = service.ok("GET", f"/v1/audit?limit=4&after={page['next']}", "operator")
    assert page["acts"] + rest["acts"] == trail["acts"]
    assert rest["next"] is None


def test_lists_go_on_where_the_page_before_ended(service: Service) -> None:
    for name in ("a-site", "b-site", "c-site"):
        Agent(service, name).join()
    for _ in range(3):
        service.ok("POST", "/v1/epochs/close", "operator")
    for path, role, cursor in (
        ("/v1/sites", "tenant", "site"),
        ("/v1/epochs", "tenant", "epoch"),
        ("/v1/tokens", "operator", "hash"),
    ):
        whole = service.ok("GET", path, role)
        found, after = [], ""
        while True:
            page = service.ask("GET", f"{path}?limit=2" + (f"&after={after}" if after else ""), role)
            found += page.json()
            after = page.headers.get("sunward-next", "")
            if not after:
                break
            assert after == str(found[-1][cursor])
        assert (found, len(found) >= 3) == (whole, True), path
        for bad in ("limit=0", "limit=1001", "limit=x", "after=../x"):
            assert is_problem(service.ask("GET", f"{path}?{bad}", role), 422), (path, bad)
    for bad in ("limit=0", "limit=1001", "after=A%00"):
        assert is_problem(service.ask("GET", f"/v1/tenants?{bad}", "operator"), 422)


def test_what_can_no_longer_be_used_is_dropped(service: Service) -> None:
    access = service.control.store.access
    service.ok("POST", "/v1/account/deposits", json={"amount_usd": 1.0}, headers={"Idempotency-Key": "d"})
    access.create_token("t-short", ("tenant",), service.machine.ms + HOUR_MS)
    access.create_enrolment("t-short", service.machine.ms + HOUR_MS)
    service.control.tick()
    assert len(access.tokens("t-short")) == 1
    service.machine.ms += DAY_MS
    service.control.tick()
    assert access.tokens("t-short") == ()
    with access.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM enrolments").scalar() == 0
        assert connection.exec_driver_sql("SELECT count(*) FROM idempotency").scalar() == 1
    service.machine.ms += REPLIES_KEPT_MS
    service.control.tick()
    with access.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM idempotency").scalar() == 0
    assert len(access.tokens()) == 4, "what is still good stays"


def test_another_tenants_things_answer_exactly_as_if_they_were_not_there(service: Service, agent: Agent) -> None:
    digest = service.ask("PUT", "/v1/objects", content=b"mine").json()["digest"]
    job, lease = start(service, agent, bundle=digest)
    finish(service, agent, lease)
    service.ok("POST", "/v1/epochs/close", "operator")
    held = {"job": job, "digest": digest, "lease": lease}
    stranger = service.token("t-other", "tenant", "provider")
    other = Agent(service, "other-site")
    other.join()
    tried = 0
    for route in service.app.routes:
        names = [name for name in held if "{" + name + "}" in route.path]
        for method in sorted(getattr(route, "methods", ())) if names else ():
            for token in (stranger, other.token):
                theirs = service.ask(method, route.path.format(**held), token=token, content=b"{}")
                nobodys = service.ask(method, route.path.format(**MISSING), token=token, content=b"{}")
                said = theirs.text
                for name, value in held.items():
                    said = said.replace(value, MISSING[name])
                assert (theirs.status_code, said) == (nobodys.status_code, nobodys.text), (method, route.path)
                assert theirs.status_code in (403, 404, 409, 422), (method, route.path)
                tried += theirs.status_code in (404, 409)
    assert tried >= 10
    assert job not in service.ask("GET", "/v1/jobs", token=stranger).text
    bundled = service.ask("POST", "/v1/jobs", token=stranger, content=encode(JOB | {"bundle": digest}))
    assert (bundled.status_code, bundled.json()["code"]) == (400, "SW-153")


def test_nobody_enrols_over_anothers_site(service: Service, agent: Agent) -> None:
    provider = service.token("t-rival", "provider")
    enrolment = service.ask("POST", "/v1/enrolments", token=provider, json={"note": ""}).json()["token"]
    spec = site_spec(agent.site, agent.zone, "1" * 64)
    taken = service.ask("POST", "/v1/agents/enroll", token="", json={"token": enrolment, "spec": spec})
    assert (taken.status_code, taken.json()["code"]) == (409, "SW-162")
