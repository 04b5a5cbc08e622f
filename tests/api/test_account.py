"""A tenant's account: who asks, deposits that count once, the monthly budget, the monthly statement."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from sunward.model.calendar import month_span
from sunward.model.codec import decode, encode
from sunward.model.statement import MonthPage, MonthStatement
from sunward.report.monthly import whole_month
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS
from tests.api import harness
from tests.api.harness import JOB, Agent, Service, finish, start, submit

MONTH = "2025-06"
WEI_PER_USD = 2 * 10**18
HOOK = "https://hooks.example/sunward"


def statement(service: Service, month: str = MONTH, limit: int = 500, role: str = "tenant", **more) -> MonthStatement:
    """The whole month, page by page."""
    pages: list[MonthPage] = []
    after = ""
    while True:
        path = f"/v1/statement?month={month}&limit={limit}&after={after}{more.pop('query', '')}"
        pages.append(decode(encode(service.ok("GET", path, role, **more)), MonthPage))
        after = pages[-1].next or ""
        if not after:
            return whole_month(pages)


def run_one(service: Service, agent: Agent, **changes) -> str:
    job, lease = start(service, agent, **changes)
    finish(service, agent, lease)
    return job


def test_a_token_says_what_it_is(service: Service, agent: Agent) -> None:
    told = service.ok("GET", "/v1/whoami", "operator")
    assert (told["roles"], told["site"]) == (["operator"], "")
    assert told["subject"] == service.ok("GET", "/v1/account")["tenant"]
    assert told["expires_machine_ms"] == service.machine.ms + 365 * DAY_MS
    both = service.token("t-both", "tenant", "provider")
    assert service.ok("GET", "/v1/whoami", token=both)["roles"] == ["provider", "tenant"]
    assert service.ok("GET", "/v1/whoami", token=agent.token)["site"] == "no-hydro"


def test_a_deposit_whose_answer_was_lost_with_its_process_counts_once(tmp_path: Path, monkeypatch) -> None:
    key, wanted = {"Idempotency-Key": "d-1"}, {"amount_usd": 5.0}
    first = Service(tmp_path)
    before = first.ok("GET", "/v1/account")["balance_wei"]
    with monkeypatch.context() as patch:
        # Killed between the commit and the reply: the journal has it, nobody was told.
        patch.setattr("sunward.adapters.access_sql.Access.keep_reply", lambda *_: None)
        first.ok("POST", "/v1/account/deposits", json=wanted, headers=key)
    first.close()
    second = Service(tmp_path, first.machine)
    head = second.head
    for _ in range(2):
        made = second.ok("POST", "/v1/account/deposits", json=wanted, headers=key)
        assert made["balance_wei"] == before + 5 * WEI_PER_USD
    assert second.head == head
    theirs = second.token("t-other", "tenant")
    made = second.ok("POST", "/v1/account/deposits", token=theirs, json=wanted, headers=key)
    assert made["balance_wei"] == 5 * WEI_PER_USD
    assert second.ok("POST", "/v1/account/deposits", json=wanted)["balance_wei"] == before + 10 * WEI_PER_USD
    second.close()


def test_a_statement_is_provisional_and_then_final_and_says_what_the_ledger_says(
    service: Service, agent: Agent
) -> None:
    job = run_one(service, agent)
    cancelled = submit(service, name="=cmd()")
    service.ok("POST", f"/v1/jobs/{cancelled}/cancel")
    service.control.seal_now()
    before = statement(service)
    assert [(line.job, line.name, line.final) for line in before.lines] == [
        (job, "train", False),
        (cancelled, "=cmd()", False),
    ]
    service.ok("POST", "/v1/epochs/close", "operator")
    after = statement(service)
    assert [line.final for line in after.lines] == [True, True]
    assert after.lines[0].receipt == service.control.store.queries.receipt(job).digest
    assert after.totals.paid_wei == before.totals.paid_wei > 0
    tenant = f"tenant:{after.tenant}"
    entries = service.ok("GET", f"/v1/ledger/entries?account={tenant}&limit=1000")["entries"]
    out = -sum(int(one["amount_wei"]) for one in entries if one["cause"] in ("escrow", "refund"))
    assert after.totals.paid_wei == out
    assert after.totals.paid_usd_micro * 2 * 10**12 == out
    assert after.lines[0].series[0].quality == "estimated"
    assert {one.name for one in after.lines[0].counterfactuals} == {"run-now-origin/2", "run-now-mean-site/2"}
    assert statement(service, "2025-05").lines == ()


def test_readings_that_are_missing_are_said(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent)
    service.pass_grid(HOUR_MS // 2)
    digest = agent.put(lease, "output", b"x").json()["digest"]
    agent.report(lease, "finished", 100, output=digest)
    found = statement(service)
    assert (found.lines, found.pending) == ((), (job,))


def test_pages_of_a_statement_follow_each_other(service: Service, monkeypatch) -> None:
    monkeypatch.setattr("sunward.service.monthly.PROVISIONAL_MAX", 2)
    jobs = []
    for round_ in range(2):
        for index in range(5):
            jobs.append(submit(service, budget_usd=1.0, name=f"n{round_}{index}"))
            service.ok("POST", f"/v1/jobs/{jobs[-1]}/cancel")
        if round_ == 0:
            service.ok("POST", "/v1/epochs/close", "operator")
    for limit in (1, 2, 3, 500):
        whole = statement(service, limit=limit)
        assert sorted(line.job for line in whole.lines) == sorted(jobs)
        assert whole.totals.provisional == 5
    # An epoch that closes between two pages neither hides a job nor counts one twice.
    first = service.ok("GET", f"/v1/statement?month={MONTH}&limit=500")
    assert len(first["lines"]) == 7
    service.ok("POST", "/v1/epochs/close", "operator")
    rest = service.ok("GET", f"/v1/statement?month={MONTH}&limit=500&after={first['next']}")
    whole = whole_month([decode(encode(page), MonthPage) for page in (first, rest)])
    assert sorted(line.job for line in whole.lines) == sorted(jobs)
    assert whole.totals.provisional == 0
    assert len(service.ok("GET", f"/v1/statement?month={MONTH}&limit=1000")["lines"]) == 10


def test_months_end_in_utc_and_a_job_belongs_to_the_one_it_ended_in(tmp_path: Path, monkeypatch) -> None:
    _, july_ms = month_span(MONTH)
    monkeypatch.setattr(harness, "START_MS", july_ms - 20 * MINUTE_MS)
    service = Service(tmp_path)
    agent = Agent(service)
    agent.join()
    early = submit(service, budget_usd=1.0)
    service.ok("POST", f"/v1/jobs/{early}/cancel")
    late = run_one(service, agent)
    service.control.seal_now()
    for _ in ("provisional", "final"):
        assert [line.job for line in statement(service).lines] == [early]
        (line,) = statement(service, "2025-07").lines
        assert (line.job, line.submitted_ms < july_ms <= line.finished_ms) == (late, True)
        service.ok("POST", "/v1/epochs/close", "operator")
    service.close()


def test_nobody_reads_anothers_statement(service: Service) -> None:
    job = submit(service, budget_usd=1.0)
    service.ok("POST", f"/v1/jobs/{job}/cancel")
    tenant = service.ok("GET", "/v1/account")["tenant"]
    stranger = service.token("t-other", "tenant")
    assert statement(service, token=stranger).lines == ()
    theirs = service.ask("GET", f"/v1/statement?month={MONTH}&tenant={tenant}", token=stranger)
    nobodys = service.ask("GET", f"/v1/statement?month={MONTH}&tenant=t-nobody", token=stranger)
    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    assert theirs.json()["code"] == nobodys.json()["code"]
    for role in ("operator", "auditor"):
        (line,) = statement(service, role=role, query=f"&tenant={tenant}").lines
        assert (line.job, line.name) == (job, ""), "names are the tenant's"
        unnamed = service.ask("GET", f"/v1/statement?month={MONTH}", role)
        assert (unnamed.status_code, unnamed.json()["code"]) == (400, "SW-183")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("month=2025", 400),
        ("month=2025-13", 400),
        (f"month={MONTH}&after=x", 422),
        (f"month={MONTH}&after=1.1~../..", 422),
        (f"month={MONTH}&limit=0", 422),
        (f"month={MONTH}&tenant=a/b", 422),
    ],
)
def test_what_is_no_statement(service: Service, query: str, status: int) -> None:
    answer = service.ask("GET", f"/v1/statement?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_budget_refuses_what_could_exceed_it(service: Service, agent: Agent) -> None:
    agent.sync()
    assert service.ok("GET", "/v1/account/budget")["limit_usd_micro"] is None
    assert service.ok("POST", "/v1/account/budget", json={"monthly_usd": 5.0})["limit_usd_micro"] == 5_000_000
    job = submit(service, budget_usd=3.0)
    assert service.ok("GET", "/v1/account/budget")["open_usd_micro"] == 3_000_000
    head = service.head
    refused = service.ask("POST", "/v1/jobs", json=JOB | {"budget_usd": 2.5})
    assert (refused.status_code, refused.json()["code"]) == (400, "SW-180")
    assert "leaves 2.00 USD in 2025-06" in refused.json()["detail"]
    assert service.head[0] - head[0] <= 2, "at most signals were recorded"
    assert service.ok("POST", "/v1/quotes", json=JOB | {"budget_usd": 2.5})["over_budget"] == refused.json()["detail"]
    assert service.ok("POST", "/v1/quotes", json=JOB | {"budget_usd": 2.0})["over_budget"] == ""
    service.ok("POST", f"/v1/jobs/{job}/cancel")
    assert service.ok("GET", "/v1/account/budget")["open_usd_micro"] == 0
    submit(service, budget_usd=5.0)
    other = service.token("t-other", "tenant")
    assert service.ok("GET", "/v1/account/budget", token=other)["limit_usd_micro"] is None
    assert service.ask("POST", "/v1/jobs", json=JOB | {"budget_usd": 1.0}).json()["code"] == "SW-180"
    assert service.ok("POST", "/v1/account/budget", json={"monthly_usd": None})["limit_usd_micro"] is None
    submit(service, budget_usd=9.0)


def test_jobs_that_come_at_once_do_not_exceed_the_budget_together(service: Service, agent: Agent) -> None:
    agent.sync()
    service.ok("POST", "/v1/account/budget", json={"monthly_usd": 5.0})

    async def all_at_once() -> list[int]:
        headers = {"authorization": f"Bearer {service.credentials['tenant_token']}"}
        bodies = [encode(JOB | {"budget_usd": 1.0, "name": f"n{index}"}) for index in range(9)]
        asked = [service.http.post("/v1/jobs", content=body, headers=headers) for body in bodies]
        return [one.status_code for one in await asyncio.gather(*asked)]

    assert sorted(service.loop.run_until_complete(all_at_once())) == [201] * 5 + [400] * 4

    async def the_same_twice() -> list[bytes]:
        headers = {"authorization": f"Bearer {service.credentials['tenant_token']}", "Idempotency-Key": "k"}
        body = encode(JOB | {"budget_usd": 5.0})
        return [
            one.content
            for one in await asyncio.gather(
                *(service.http.post("/v1/jobs", content=body, headers=headers) for _ in "ab")
            )
        ]

    service.ok("POST", "/v1/account/budget", json={"monthly_usd": 10.0})
    assert len({json.loads(one)["job"] for one in service.loop.run_until_complete(the_same_twice())}) == 1
    assert service.ok("GET", "/v1/account/budget")["open_usd_micro"] == 10_000_000
    assert service.control.coming == {}


def test_what_is_spent_counts_in_the_month_in_which_the_job_ended(service: Service, agent: Agent) -> None:
    service.ok("POST", "/v1/account/budget", json={"monthly_usd": 100.0})
    run_one(service, agent)
    held = service.ok("GET", "/v1/account/budget")
    assert (held["spent_usd_micro"], held["open_usd_micro"] > 0) == (0, True)
    service.ok("POST", "/v1/epochs/close", "operator")
    spent = service.ok("GET", "/v1/account/budget")
    assert spent["spent_usd_micro"] == statement(service).totals.paid_usd_micro > 0
    assert spent["open_usd_micro"] == 0
    service.pass_grid(20 * DAY_MS)
    later = service.ok("GET", "/v1/account/budget")
    assert (later["month"], later["spent_usd_micro"]) == ("2025-07", 0)


def told(service: Service) -> list[dict[str, object]]:
    due = service.control.store.privates.due(service.machine.ms, 100)
    return [json.loads(one.body) for one in due if one.url == HOOK]


def test_the_alert_is_sent_once_a_month(service: Service) -> None:
    wanted = {"monthly_usd": 10.0, "alert_percent": 50, "webhook": HOOK}
    service.ok("POST", "/v1/account/budget", json=wanted)
    submit(service, budget_usd=4.0)
    assert told(service) == []
    for _ in range(2):
        submit(service, budget_usd=1.0)
        (notice,) = told(service)
    assert (notice["kind"], notice["month"], notice["alert_percent"]) == ("budget_alert", MONTH, 50)
    assert (notice["limit_usd_micro"], notice["spent_usd_micro"], notice["open_usd_micro"]) == (10**7, 0, 5 * 10**6)
    service.pass_grid(20 * DAY_MS)
    service.ok("POST", "/v1/account/budget", json=wanted | {"monthly_usd": 1.0})
    submit(service, budget_usd=0.6)
    assert [one["month"] for one in told(service)] == [MONTH, "2025-07"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"monthly_usd": -1.0}, "SW-181"),
        ({"monthly_usd": 1e12}, "SW-181"),
        ({"monthly_usd": 1.0, "alert_percent": 101}, "SW-181"),
        ({"monthly_usd": 1.0, "webhook": "ftp://x"}, "SW-171"),
        ({"monthly_usd": 1.0, "webhook": "https://a b"}, "SW-171"),
        ({"monthly_usd": 1.0, "webhook": "http://example.org/"}, "SW-171"),
        ({"monthly_usd": 1.0, "webhook": "https://169.254.169.254/"}, "SW-171"),
        ({"monthly_usd": 1.0, "webhook": "https://user:pass@example.org/"}, "SW-171"),
    ],
)
def test_a_budget_that_cannot_be_kept(service: Service, wrong, code) -> None:
    refused = service.ask("POST", "/v1/account/budget", json=wrong)
    assert (refused.status_code, refused.json()["code"]) == (400, code)
    assert service.ok("GET", "/v1/account/budget")["limit_usd_micro"] is None
