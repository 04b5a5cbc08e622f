"""Evidence and verdicts over the API: who files, who checks, who appeals, who decides, and what is shown to whom."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from sunward.client import ApiClient
from sunward.engine.trust import verdict
from sunward.model.trust import APPEAL_MS, NETWORK, Consequence, Dimension, Level, Standing
from sunward.model.trust_views import (
    AppealRequest,
    DecisionRequest,
    EvidenceCheck,
    EvidenceRequest,
    Use,
    VerdictRequest,
)
from sunward.service.erasure import erased
from sunward.service.judging import judge
from sunward.units import DAY_MS
from sunward.verification.verdict import Finding
from tests.api.harness import JOB, URL, Agent, Bridge, Service
from tests.api.test_requests import is_problem
from tests.api.test_sites import acts

SITE = "/v1/sites/no-hydro"
PAPER = b"%PDF invoice of two A100"
SLOW = Finding(key="challenge_late", sentence="the GPU answered after {took} ms", figures={"took": 900})


def request(service: Service, **changes: Any) -> dict[str, Any]:
    told = {
        "dimension": "identity",
        "statement": "invoice of two A100",
        "document": base64.b64encode(PAPER).decode(),
        "valid_until_ms": service.control.clock.grid_ms() + 90 * DAY_MS,
    }
    return told | changes


def auditor(service: Service, name: str = "a-eve") -> str:
    return service.token(name, "auditor")


def audit(service: Service, **who: Any) -> dict[str, Any]:
    found: dict[str, Any] = service.ok("GET", f"{SITE}/audit", **who)
    return found


def line(service: Service, dimension: str = "identity") -> dict[str, Any]:
    return next(one for one in audit(service)["dimensions"] if one["dimension"] == dimension)


def judged(service: Service, lease: str = "") -> str:
    """The id of a verdict that a program issued on the site."""
    record = verdict(
        SLOW,
        dimension=Dimension.IDENTITY,
        consequence=Consequence.SLASHABLE,
        at_ms=service.control.clock.grid_ms(),
        site="no-hydro",
        lease=lease,
    )
    return judge(service.control, [record])[0]


def test_nothing_is_believed_of_a_new_site_and_each_dimension_says_what_would_raise_it(service, agent: Agent) -> None:
    del agent
    found = audit(service)
    assert (found["site"], found["weakest"], found["verdicts"]) == ("no-hydro", "declared", [])
    assert [one["dimension"] for one in found["dimensions"]] == [one.value for one in Dimension]
    for one in found["dimensions"]:
        assert (one["level"], one["cap_ppm"], one["evidence"]) == ("declared", 0, [])
        assert one["step"]["level"] == "documented"
        assert "file" in one["step"]["sentence"]


def test_what_the_owner_files_counts_once_somebody_else_has_checked_it(service: Service, agent: Agent) -> None:
    filed = service.ask("POST", f"{SITE}/evidence", token=agent.token, json=request(service))
    assert filed.status_code == 201
    one = filed.json()["evidence"]
    assert (filed.json()["use"], one["level"], one["checked_by"]) == ("unchecked", "declared", "")
    assert line(service)["level"] == "declared"

    name, eve = one["evidence"], auditor(service)
    paper = service.ask("GET", f"{SITE}/evidence/{name}", token=eve)
    assert paper.content == PAPER
    checked = service.ok("POST", f"{SITE}/evidence/{name}/check", token=eve, json={"level": "documented"})
    assert (checked["use"], checked["evidence"]["checked_by"]) == ("counts", "a-eve")
    shown = line(service)
    assert (shown["level"], shown["cap_ppm"], shown["step"]["level"]) == ("documented", 0, "metered")

    again = service.ok("POST", f"{SITE}/evidence", token=agent.token, json=request(service, **_same(one)))
    assert again["evidence"] == checked["evidence"]
    assert acts(service)[-2:] == ["file_evidence", "check_evidence"]


def _same(one: dict[str, Any]) -> dict[str, Any]:
    return {name: one[name] for name in ("valid_until_ms", "statement")}


def test_an_auditor_files_what_it_saw_itself(service: Service, agent: Agent) -> None:
    del agent
    wanted = request(service, level="endorsed", dimension="place", statement="seen on site", document="")
    filed = service.ok("POST", f"{SITE}/evidence", token=auditor(service), json=wanted | {"coverage_ppm": 960_000})
    assert (filed["use"], filed["evidence"]["digest"]) == ("counts", "")
    assert (line(service, "place")["level"], line(service, "place")["cap_ppm"]) == ("endorsed", 768_000)
    missing = service.ask("GET", f"{SITE}/evidence/{filed['evidence']['evidence']}", "operator")
    assert (missing.status_code, missing.json()["code"]) == (404, "SW-746")


def test_nobody_checks_its_own_evidence(service: Service, agent: Agent) -> None:
    """The local account holds every role: it is the owner all the same."""
    name = service.ok("POST", f"{SITE}/evidence", token=agent.token, json=request(service))["evidence"]["evidence"]
    for role in ("operator", "auditor"):
        refused = service.ask("POST", f"{SITE}/evidence/{name}/check", role, json={"level": "metered"})
        assert is_problem(refused, 400)
        assert refused.json()["code"] == "SW-740"
    claimed = service.ask("POST", f"{SITE}/evidence", token=agent.token, json=request(service, level="attested"))
    assert claimed.json()["code"] == "SW-740"


def test_the_journal_holds_the_digest_and_not_the_document_which_can_be_erased(service: Service, agent: Agent) -> None:
    filed = service.ok("POST", f"{SITE}/evidence", token=agent.token, json=request(service))["evidence"]
    journal = service.ok("GET", "/v1/journal?limit=1000", "auditor")["records"]
    told = [record for record in journal if record["kind"] == "evidence_filed"]
    assert filed["digest"] in told[0]["body"]
    assert PAPER.decode() not in str(journal)
    assert base64.b64encode(PAPER).decode() not in str(journal)
    owner = service.control.state.world.sites["no-hydro"].spec.owner
    service.loop.run_until_complete(erased(service.control, owner, cancel=False))
    gone = service.ask("GET", f"{SITE}/evidence/{filed['evidence']}", "operator")
    assert (gone.status_code, gone.json()["code"]) == (404, "SW-746")
    assert line(service)["evidence"][0]["evidence"]["digest"] == filed["digest"]


def test_another_providers_site_takes_no_evidence_and_shows_no_document(service: Service, agent: Agent) -> None:
    name = service.ok("POST", f"{SITE}/evidence", token=agent.token, json=request(service))["evidence"]["evidence"]
    stranger, head = service.token("p-other", "provider"), service.head
    for method, path, body in (
        ("POST", f"{SITE}/evidence", request(service)),
        ("GET", f"{SITE}/evidence/{name}", None),
    ):
        refused = service.ask(method, path, token=stranger, **({"json": body} if body else {}))
        assert (refused.status_code, refused.json()["code"]) == (404, "SW-134")
    assert service.head == head
    assert audit(service, token=stranger)["owner"] == service.control.state.world.sites["no-hydro"].spec.owner


def test_a_verdict_is_appealed_by_the_owner_and_decided_by_somebody_else(service: Service, agent: Agent) -> None:
    name = judged(service)
    shown = audit(service)["verdicts"][0]
    assert (shown["standing"], shown["record"]["issued_by"]) == ("open", NETWORK)
    stranger = service.token("p-other", "provider")
    body = {"text": "its driver was being updated", "document": base64.b64encode(b"log").decode()}
    refused = service.ask("POST", f"/v1/verdicts/{name}/appeal", token=stranger, json=body)
    assert (refused.status_code, refused.json()["code"]) == (404, "SW-743")
    eve = auditor(service)
    early = service.ask("POST", f"/v1/verdicts/{name}/decision", token=eve, json={"upheld": True, "reason": "so"})
    assert (early.status_code, early.json()["code"]) == (409, "SW-744")

    appealed = service.ok("POST", f"/v1/verdicts/{name}/appeal", token=agent.token, json=body)
    assert appealed["standing"] == "appealed"
    assert service.ok("GET", f"/v1/verdicts/{name}/appeal", token=eve) == body
    assert service.ask("GET", f"/v1/verdicts/{name}/appeal", token=stranger).status_code == 404
    own = service.ask("POST", f"/v1/verdicts/{name}/decision", "operator", json={"upheld": False, "reason": "mine"})
    assert (own.status_code, own.json()["code"]) == (409, "SW-745")
    decided = service.ok(
        "POST", f"/v1/verdicts/{name}/decision", token=eve, json={"upheld": False, "reason": "the log shows the update"}
    )
    assert (decided["standing"], decided["decision"]["by"]) == ("dismissed", "a-eve")
    assert body["text"] not in service.ask("GET", "/v1/journal?limit=1000", "auditor").text


def test_an_auditors_own_verdict_is_decided_by_another_one(service: Service, agent: Agent) -> None:
    first, second = auditor(service), auditor(service, "a-adam")
    wanted = {
        "dimension": "place",
        "fault": "not_there",
        "sentence": "nobody at {0.__class__} knows the site",
        "document": base64.b64encode(b"photo").decode(),
    }
    made = service.ok("POST", f"{SITE}/verdicts", token=first, json=wanted)
    assert made["record"]["sentence"] == "nobody at (0.__class__) knows the site"
    assert made["record"]["consequence"] == "level_lowered"
    assert len(made["record"]["evidence"]) == 1
    again = service.ok("POST", f"{SITE}/verdicts", token=second, json=wanted)
    assert again["record"] == made["record"]
    name = made["record"]["verdict"]
    service.ok("POST", f"/v1/verdicts/{name}/appeal", token=agent.token, json={"text": "we moved"})
    body = {"upheld": True, "reason": "the address is a car park"}
    assert service.ask("POST", f"/v1/verdicts/{name}/decision", token=first, json=body).json()["code"] == "SW-745"
    assert service.ok("POST", f"/v1/verdicts/{name}/decision", token=second, json=body)["standing"] == "upheld"


def test_a_verdict_found_again_is_recorded_once_and_ends_its_evidence(service: Service, agent: Agent) -> None:
    del agent
    wanted = request(service, level=Level.METERED.value, document="")
    service.ok("POST", f"{SITE}/evidence", token=auditor(service), json=wanted)
    assert line(service)["level"] == "metered"
    judged(service)
    head = service.head
    with pytest.raises(IndexError):
        judged(service)
    assert service.head == head
    shown = line(service)
    assert (shown["level"], shown["evidence"][0]["use"], shown["step"]["level"]) == (
        "declared",
        "lowered",
        "documented",
    )


def test_a_verdict_about_one_job_is_not_shown_to_everybody(service: Service, agent: Agent) -> None:
    judged(service, lease="j-none.1")
    assert audit(service, token=service.token("t-other", "tenant"))["verdicts"] == []
    for token in (agent.token, auditor(service)):
        assert [one["record"]["job"] for one in audit(service, token=token)["verdicts"]] == ["j-none"]


def test_evidence_ends_and_an_appeal_comes_too_late(service: Service, agent: Agent) -> None:
    until_ms = service.control.clock.grid_ms() + 2 * DAY_MS
    wanted = request(service, level="metered", valid_until_ms=until_ms)
    service.ok("POST", f"{SITE}/evidence", token=auditor(service), json=wanted)
    name = judged(service)
    service.machine.ms += (APPEAL_MS + DAY_MS) // service.control.clock.mapping.speed
    service.control.tick()
    assert line(service)["evidence"][0]["use"] == "ended"
    assert audit(service)["verdicts"][0]["standing"] == "final"
    late = service.ask("POST", f"/v1/verdicts/{name}/appeal", token=agent.token, json={"text": "too late"})
    assert (late.status_code, late.json()["code"]) == (409, "SW-744")


def test_it_is_all_there_after_a_restart(tmp_path: Path) -> None:
    first = Service(tmp_path)
    agent = Agent(first)
    agent.join()
    first.ok("POST", f"{SITE}/evidence", token=agent.token, json=request(first))
    judged(first)
    before = audit(first)
    first.close()
    second = Service(tmp_path, first.machine)
    assert audit(second) | {"at_ms": 0} == before | {"at_ms": 0}
    second.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"dimension": "taste", "statement": "x", "valid_until_ms": 9000000000000}',
        b'{"dimension": "age", "statement": "", "valid_until_ms": 9000000000000}',
        b'{"dimension": "age", "statement": "a\\u001b[2J", "valid_until_ms": 9000000000000}',
        b'{"dimension": "age", "statement": "x", "valid_until_ms": 1}',
        b'{"dimension": "age", "statement": "x", "valid_until_ms": 90000000000000000}',
        b'{"dimension": "age", "statement": "x", "valid_until_ms": 9000000000000, "coverage_ppm": 1000001}',
        b'{"dimension": "age", "statement": "x", "valid_until_ms": 9000000000000, "document": "###"}',
        b'{"dimension": "age", "statement": "x", "valid_until_ms": 9000000000000, "value": 99999999999999999999999}',
        b'{"dimension": "age", "statement": "x", "valid_until_ms": 9000000000000, "value": %s}' % (b"9" * 5_000),
        b'{"dimension": "age", "statement": "x", "valid_until_ms": 9000000000000, "value": 1e99}',
    ],
    ids=lambda body: body[:100],
)
def test_evidence_that_means_nothing_is_refused(service: Service, agent: Agent, body: bytes) -> None:
    head = service.head
    assert is_problem(service.ask("POST", f"{SITE}/evidence", token=agent.token, content=body), 400, 422)
    assert service.head == head


@pytest.mark.parametrize("fault", ["", "Two words", "x" * 61])
def test_a_verdict_without_a_key_is_refused(service: Service, agent: Agent, fault: str) -> None:
    del agent
    body = {"dimension": "age", "fault": fault, "sentence": "older than said"}
    assert is_problem(service.ask("POST", f"{SITE}/verdicts", token=auditor(service), json=body), 400)


def test_a_job_runs_only_where_what_it_asks_is_believed(service: Service, agent: Agent) -> None:
    agent.sync()
    wanted = JOB | {"evidence": {"place": "endorsed"}, "budget_usd": 5.0}
    refused = service.ok("POST", "/v1/quotes", json=wanted)["unplaced"]
    told = "best evidence of place at fitting pools is declared; wanted endorsed"
    assert (refused["reason"], refused["detail"]) == ("evidence", told)
    seen = request(service, dimension="place", level="endorsed", statement="seen on site", document="")
    service.ok("POST", f"{SITE}/evidence", token=auditor(service), json=seen)
    assert service.ok("POST", "/v1/quotes", json=wanted)["unplaced"] is None
    sure = service.ask("POST", "/v1/quotes", json=JOB | {"evidence": {"place": "sure"}})
    assert is_problem(sure, 422)


def test_nobody_is_named_as_the_network_that_signs_for_programs(service: Service) -> None:
    wanted = {"subject": NETWORK, "scopes": ["auditor"], "note": "sly"}
    refused = service.ask("POST", "/v1/tokens", "operator", json=wanted)
    assert (refused.status_code, refused.json()["code"]) == (400, "SW-165")


def test_the_sdk_files_checks_appeals_and_decides(service: Service, agent: Agent) -> None:
    until_ms = service.control.clock.grid_ms() + DAY_MS
    asked = EvidenceRequest(dimension=Dimension.AGE, statement="invoice", document=PAPER, valid_until_ms=until_ms)
    with (
        ApiClient(URL, agent.token, transport=Bridge(service)) as owner,
        ApiClient(URL, auditor(service), transport=Bridge(service)) as eve,
        ApiClient(URL, auditor(service, "a-adam"), transport=Bridge(service)) as adam,
    ):
        filed = owner.file_evidence("no-hydro", asked).evidence
        assert eve.read_evidence("no-hydro", filed.evidence) == PAPER
        checked = eve.check_evidence("no-hydro", filed.evidence, EvidenceCheck(level=Level.DOCUMENTED))
        assert checked.evidence.level is Level.DOCUMENTED
        wrong = VerdictRequest(dimension=Dimension.AGE, fault="forged_bill", sentence="the seller knows no such bill")
        made = eve.issue_verdict("no-hydro", wrong).record.verdict
        assert owner.appeal(made, AppealRequest(text="it moved")).standing is Standing.APPEALED
        assert adam.read_appeal(made).text == "it moved"
        assert adam.decide(made, DecisionRequest(upheld=True, reason="it did not")).standing is Standing.UPHELD
        age = owner.site_audit("no-hydro").dimensions[-1]
        assert (age.level, age.evidence[0].use) == (Level.DECLARED, Use.LOWERED)
