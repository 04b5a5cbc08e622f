"""The whole life of a job over REST, from enrolment to a receipt that verifies."""

from __future__ import annotations

import hashlib

from sunward.model.codec import decode, encode
from sunward.model.receipt import Receipt
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.units import HOUR_MS, MINUTE_MS
from sunward.verification.bundle import Bundle
from sunward.verification.journal import verify_chain
from sunward.verification.receipt import verify
from sunward.verification.signature import signed_by
from tests.api.harness import JOB, Agent, Service, finish, start, submit


def test_a_job_runs_is_metered_paid_and_proven(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent)
    content = service.ok("GET", f"/v1/leases/{lease}/content", token=agent.token)
    assert content["command"] == JOB["command"]
    service.pass_grid(HOUR_MS // 4)
    agent.meter(lease)
    service.ask("POST", f"/v1/leases/{lease}/log?offset=0", token=agent.token, content=b"step 40\n")
    checkpoint = agent.put(lease, "checkpoint?units=40", b"weights").json()["digest"]
    agent.report(lease, "running", 40, checkpoint=checkpoint, checkpoint_units=40)
    assert service.ok("GET", f"/v1/jobs/{job}")["units_done"] == 40
    assert service.ask("GET", f"/v1/jobs/{job}/receipt").json()["code"] == "SW-155"
    finish(service, agent, lease)

    assert service.ask("GET", f"/v1/jobs/{job}/receipt").json()["code"] == "SW-156"
    service.control.seal_now()
    provisional = service.ok("GET", f"/v1/jobs/{job}/receipt")
    assert (provisional["signature"], provisional["final"]) == ("", False)
    assert service.ask("GET", f"/v1/jobs/{job}/bundle").status_code == 404

    closed = service.ok("POST", "/v1/epochs/close", "operator")
    assert closed["epoch"] == 1
    final = service.ok("GET", f"/v1/jobs/{job}/receipt")
    assert final["final"]
    assert final["receipt"] == provisional["receipt"]
    assert final["receipt"]["gpu_j"] > 300 * 1_700
    assert final["receipt"]["state"] == "finished"

    raw = service.ask("GET", f"/v1/jobs/{job}/bundle", "auditor").content
    bundle = decode(raw, Bundle)
    assert signed_by(bundle.public_key, bundle.signature, bundle.receipt.encode())
    verdict = verify(bundle, service.control.key.public_key().public_bytes_raw().hex())
    assert verdict.ok, [finding.text for finding in verdict.findings]
    forged = bundle.receipt.replace('"gpu_j":', '"gpu_j":1')
    assert not verify(Bundle(**{name: getattr(bundle, name) for name in Bundle.__slots__} | {"receipt": forged})).ok


def test_after_its_receipt_a_job_can_still_be_read(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent)
    service.ask("POST", f"/v1/leases/{lease}/log?offset=0", token=agent.token, content=b"hello\n")
    finish(service, agent, lease, output=b"the results")
    before = service.ok("GET", f"/v1/jobs/{job}")
    service.ok("POST", "/v1/epochs/close", "operator")
    assert job not in service.control.state.world.jobs

    after = service.ok("GET", f"/v1/jobs/{job}")
    assert after == before | {"assignment": None, "refusal": None}
    assert after["state"] == "finished"
    assert after["name"] == "train"
    states = [line["state"] for line in service.ok("GET", f"/v1/jobs/{job}/history")]
    assert states[0] == "submitted"
    assert states[-2:] == ["running", "finished"]
    log = service.ask("GET", f"/v1/jobs/{job}/logs?offset=2")
    assert (log.text, log.headers["sunward-next-offset"], log.headers["sunward-final"]) == ("llo\n", "6", "1")
    assert service.ask("GET", f"/v1/jobs/{job}/output").content == b"the results"
    assert service.ask("POST", f"/v1/jobs/{job}/cancel").json()["code"] == "SW-126"


def test_a_cancel_may_come_again(service: Service, agent: Agent) -> None:
    job = submit(service, budget_usd=2.0)
    path, key = f"/v1/jobs/{job}/cancel", {"Idempotency-Key": "c"}
    first = service.ok("POST", path, headers=key)
    head = service.head
    assert first["state"] == "cancelled"
    assert [service.ok("POST", path), service.ok("POST", path, headers=key)] == [first, first]
    assert service.head == head
    service.ok("POST", "/v1/epochs/close", "operator")
    assert service.ok("POST", path)["state"] == "cancelled"
    assert service.ask("POST", path, token=service.token("t-other", "tenant")).status_code == 404
    running, lease = start(service, agent)
    path = f"/v1/jobs/{running}/cancel"
    service.ok("POST", path)
    head = service.head
    assert service.ok("POST", path)["state"] == "running", "its agent has not stopped it yet"
    assert service.head == head
    agent.report(lease, "suspended")
    assert service.ok("POST", path)["state"] == "cancelled"


def test_the_books_balance_and_the_journal_verifies(service: Service, agent: Agent) -> None:
    _, lease = start(service, agent)
    finish(service, agent, lease)
    service.ok("POST", "/v1/epochs/close", "operator")
    balances = service.ok("GET", "/v1/ledger/balances", "auditor")
    assert balances.pop("total") == "0"
    own = service.ok("GET", "/v1/account")
    assert balances[f"tenant:{own['tenant']}"] == str(own["balance_wei"])
    assert int(balances["network"]) > 0
    records, after = [], 0
    while page := service.ask("GET", f"/v1/journal?after={after}&limit=7", "auditor").json()["records"]:
        records += page
        after = page[-1]["sequence"]
    head = service.ok("GET", "/v1/journal/head", "auditor")
    chain = [decode(encode(record), RecordedEvent) for record in records]
    assert verify_chain(
        chain, decode(encode(head), JournalHead), service.control.key.public_key().public_bytes_raw().hex()
    ).ok
    epoch = service.ok("GET", "/v1/epochs")[0]
    assert (epoch["balance_wei"], len(epoch["receipts"])) == (0, 1)
    entries = service.ok("GET", f"/v1/ledger/entries?account=tenant:{own['tenant']}&limit=2")
    assert [line["cause"] for line in entries["entries"]] == ["deposit", "escrow"]
    rest = service.ok("GET", f"/v1/ledger/entries?account=tenant:{own['tenant']}&after={entries['next']}")
    assert [line["cause"] for line in rest["entries"]] == ["refund"]


def test_an_impossible_job_is_accepted_and_refused_with_its_reason(service: Service, agent: Agent) -> None:
    agent.sync()
    before = service.ok("GET", "/v1/account")["balance_wei"]
    quote = service.ok("POST", "/v1/quotes", json=JOB | {"gpus": 8})
    assert quote["assignment"] is None
    assert quote["unplaced"]["reason"] == "gpus"
    job = submit(service, gpus=8)
    service.plan()
    shown = service.ok("GET", f"/v1/jobs/{job}")
    assert (shown["state"], shown["reason"]) == ("refused", "gpus")
    assert shown["refusal"]["permanent"]
    assert service.ok("GET", "/v1/account")["balance_wei"] == before
    service.ok("POST", "/v1/epochs/close", "operator")
    assert service.ok("GET", f"/v1/jobs/{job}")["refusal"]["detail"] == shown["refusal"]["detail"]


def test_a_quote_changes_nothing_and_its_escrow_covers_its_price(service: Service, agent: Agent) -> None:
    agent.sync()
    service.control.ensure_signals()
    head = service.head
    quote = service.ok("POST", "/v1/quotes", json=JOB)
    assert service.head == head
    assert quote["assignment"]["segments"][0]["pool"].startswith("no-hydro/")
    assert quote["price_usd_micro"] >= 750_000
    assert quote["escrow_wei"] >= quote["price_usd_micro"] * 2 * 10**12 * 5 // 4
    assert quote["finish_ms"] - quote["start_ms"] >= 1_800_000
    assert "can read" in quote["notice"]


def test_a_bundle_goes_from_the_tenant_to_the_agent_only(service: Service, agent: Agent) -> None:
    digest = service.ok("PUT", "/v1/objects", content=b"packed folder")["digest"]
    assert digest == hashlib.sha256(b"packed folder").hexdigest()
    path = f"/v1/objects/{digest}"
    assert service.ask("GET", path, token=agent.token).status_code == 404
    _, lease = start(service, agent, bundle=digest)
    assert service.ask("GET", path, token=agent.token).content == b"packed folder"
    assert service.ask("GET", path).content == b"packed folder"
    stranger = service.token("t-other", "tenant")
    assert service.ask("GET", path, token=stranger).status_code == 404
    stolen = service.ask("POST", "/v1/jobs", token=stranger, json=JOB | {"bundle": digest})
    assert stolen.json()["code"] == "SW-153"
    finish(service, agent, lease)
    assert service.ask("GET", path, token=agent.token).status_code == 404


def test_a_lost_attempt_goes_on_from_its_checkpoint(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent, interruptible=True, deadline_s=6 * 3_600)
    digest = agent.put(lease, "checkpoint?units=30", b"state at 30").json()["digest"]
    agent.report(lease, "running", 35, checkpoint=digest, checkpoint_units=30)
    service.pass_grid(40 * MINUTE_MS * 60)
    assert service.ok("GET", f"/v1/jobs/{job}")["reason"] == "lost"
    fenced = agent.put(lease, "checkpoint?units=36", b"too late")
    assert (fenced.status_code, fenced.json()["code"]) == (409, "SW-140")
    agent.reports.clear()
    agent.boot = "boot-2"
    agent.sync()
    service.plan()
    service.pass_grid(MINUTE_MS)
    orders = agent.sync().orders.leases
    assert [order.lease for order in orders] == [f"{job}.2"]
    assert (orders[0].checkpoint, orders[0].checkpoint_units) == (digest, 30)
    assert service.ask("GET", f"/v1/objects/{digest}", token=agent.token).content == b"state at 30"


def test_a_receipt_decodes_as_the_record_that_was_signed(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent)
    finish(service, agent, lease)
    service.ok("POST", "/v1/epochs/close", "operator")
    stored = service.control.store.queries.receipt(job)
    assert decode(stored.body, Receipt).job == job
    public = service.control.key.public_key().public_bytes_raw().hex()
    assert signed_by(public, stored.signature, stored.body)
