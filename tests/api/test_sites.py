"""A site's life after joining: its status, drain, ask, declaration, leaving and coming back."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from sunward.model.codec import decode
from sunward.model.site import PoolPower, Sleep
from sunward.units import HOUR_MS
from sunward.verification.bundle import Bundle
from sunward.verification.receipt import verify
from tests.api.harness import GPU, Agent, Service, finish, start

SITE = "/v1/sites/no-hydro"
POOL = f"no-hydro/{GPU}"


def acts(service: Service) -> list[str]:
    return [line.action for line in service.control.store.access.audit_trail()]


def test_everyone_sees_a_site_and_only_its_owner_its_leases_and_money(service: Service, agent: Agent) -> None:
    _, lease = start(service, agent)
    shown = service.ok("GET", SITE, token=service.token("t-other", "tenant"))
    assert (shown["reachable"], shown["draining"], shown["account"]) == (True, False, None)
    assert shown["pools"] == [{"pool": POOL, "gpu_model": GPU, "count": 2, "awake": 2, "busy": 1, "withheld": 0}]
    for reader in (service.credentials["operator_token"], agent.token):
        own = service.ok("GET", SITE, token=reader)["account"]
        assert [one["lease"] for one in own["leases"]] == [lease]
    stranger = service.token("p-other", "provider")
    assert service.ok("GET", SITE, token=stranger)["account"] is None
    assert service.ask("GET", "/v1/sites/nowhere").status_code == 404


def test_another_providers_site_is_not_there_to_change(service: Service, agent: Agent) -> None:
    head = service.head
    stranger = service.token("p-other", "provider")
    other = Agent(service, site="es-solar", zone="ES")
    other.join()
    joined = service.head
    for token in (stranger, other.token):
        for act, body in (("drain", {"draining": True}), ("ask", {"payout": ""}), ("leave", {})):
            refused = service.ask("POST", f"{SITE}/{act}", token=token, json=body)
            assert (refused.status_code, refused.json()["code"]) == (404, "SW-134")
    assert head != joined == service.head


def test_what_runs_is_named_by_a_refusal_to_leave(service: Service, agent: Agent) -> None:
    _, lease = start(service, agent)
    refused = service.ask("POST", f"{SITE}/leave", "operator", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "SW-191")
    assert lease in refused.json()["detail"]


def test_a_site_drains_delivers_leaves_and_is_paid(service: Service, agent: Agent) -> None:
    _, lease = start(service, agent)
    assert service.ok("POST", f"{SITE}/drain", token=agent.token, json={})["draining"]
    assert service.ok("POST", f"{SITE}/drain", token=agent.token, json={"draining": True})["draining"]
    assert agent.sync().orders.leases[0].action == "run"
    finish(service, agent, lease)
    service.control.seal_now()
    own = service.ok("GET", SITE, "operator")
    assert own["account"]["leases"] == own["account"]["unsealed"] == []
    assert own["leased_today_j"] > own["idle_today_j"] > 0
    assert own["account"]["owed_usd_micro"] == pytest.approx(750_000 * 0.99 * 0.8, rel=0.01)
    left = service.ok("POST", f"{SITE}/leave", token=agent.token, json={})
    assert left["owed_usd_micro"] == own["account"]["owed_usd_micro"]
    assert service.ask("POST", "/v1/agents/sync", token=agent.token, content=b"{}").status_code == 401
    assert service.ok("GET", "/v1/sites") == []
    assert service.ok("GET", SITE)["left_ms"] > 0
    assert service.ask("POST", f"{SITE}/drain", "operator", json={}).json()["code"] == "SW-192"
    assert acts(service)[-2:] == ["drain", "leave"]
    service.ok("POST", "/v1/epochs/close", "operator")
    assert int(service.ok("GET", SITE, "operator")["account"]["earned_wei"]) > 0


def test_who_left_comes_back_with_a_new_token_and_the_same_key(service: Service, agent: Agent) -> None:
    agent.sync()
    service.ok("POST", f"{SITE}/leave", "operator", json={})
    thief = Agent(service, site="no-hydro")
    with pytest.raises(AssertionError, match="SW-162"):
        thief.join()
    agent.join()
    assert agent.sync().orders.leases == ()
    assert [one["site"] for one in service.ok("GET", "/v1/sites")] == ["no-hydro"]
    assert service.ok("GET", SITE)["left_ms"] == 0


def test_an_undone_drain_takes_work_again(service: Service, agent: Agent) -> None:
    service.ok("POST", f"{SITE}/drain", "operator", json={})
    service.ok("POST", f"{SITE}/drain", "operator", json={"draining": False})
    start(service, agent)
    assert acts(service)[-2:] == ["drain", "undrain"]


def test_each_attempt_is_paid_at_the_ask_it_was_offered_at_and_that_verifies(service: Service, agent: Agent) -> None:
    job, first = start(service, agent, interruptible=True, length_s=3_600, deadline_s=36_000)
    changed = service.ok("POST", f"{SITE}/ask", "operator", json={"ask_usd_micro_per_gpu_h": 3_000_000})
    assert changed["ask_usd_micro_per_gpu_h"] == 3_000_000
    service.pass_grid(HOUR_MS // 2)
    agent.meter(first)
    checkpoint = agent.put(first, "checkpoint?units=50", b"half").json()["digest"]
    agent.report(first, "suspended", 50, checkpoint=checkpoint, checkpoint_units=50)
    second = first
    while second == first:
        service.plan()
        leases = agent.sync().orders.leases
        second = leases[0].lease if leases else first
        service.pass_grid(HOUR_MS // 12)
        agent.meter()
    agent.report(second, "running", 50)
    finish(service, agent, second)
    service.ok("POST", "/v1/epochs/close", "operator")
    final = service.ok("GET", f"/v1/jobs/{job}/receipt")["receipt"]
    used = {line["attempt"]: line for line in final["attempts"]}
    assert set(used) == {1, 2}
    assert used[2]["offered"] > used[1]["offered"] > 0
    half = Fraction(final["price_usd_micro"], 750_000 + 1_500_000)
    assert Fraction(9, 10) < half < Fraction(11, 10)
    bundle = decode(service.ask("GET", f"/v1/jobs/{job}/bundle", "auditor").content, Bundle)
    verdict = verify(bundle, service.control.key.public_key().public_bytes_raw().hex())
    assert verdict.ok, [finding.text for finding in verdict.findings]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({}, "SW-193"),
        ({"ask_usd_micro_per_gpu_h": -1}, "SW-161"),
        ({"payout": "0x12"}, "SW-190"),
        ({"ask_usd_micro_per_gpu_h": 1.5}, "SW-422"),
    ],
)
def test_terms_that_cannot_be_leave_no_trace(service: Service, agent: Agent, wanted: object, code: str) -> None:
    head = service.head
    refused = service.ask("POST", f"{SITE}/ask", token=agent.token, json=wanted)
    assert (refused.status_code in (400, 422), refused.json()["code"]) == (True, code)
    assert service.head == head


def test_an_agent_declares_its_machine_anew_and_not_its_terms(service: Service, agent: Agent) -> None:
    payout = "0x" + "a1" * 20
    service.ok("POST", f"{SITE}/ask", "operator", json={"ask_usd_micro_per_gpu_h": 7, "payout": payout})
    spec = replace(agent.spec, sleep=Sleep.OFF, wake_s=45, closed_hours_utc=(1, 2), payout="0x" + "ff" * 20)
    shown = service.ok("POST", "/v1/agents/declare", token=agent.token, json={"spec": spec})
    assert (shown["sleep"], shown["wake_s"], shown["closed_hours_utc"]) == ("off", 45, [1, 2])
    assert (shown["ask_usd_micro_per_gpu_h"], shown["account"]["payout"]) == (7, payout)
    head = service.head
    service.ok("POST", "/v1/agents/declare", token=agent.token, json={"spec": spec})
    assert service.head == head


def test_no_more_is_withheld_than_is_there(service: Service, agent: Agent) -> None:
    agent.sync()
    head = service.head
    for containers in (3, -1):
        power = PoolPower(pool=POOL, asleep=0, waking=0, idle=2, busy=0, withheld=containers)
        request = replace(agent.request(), power=(power,))
        refused = service.ask("POST", "/v1/agents/sync", token=agent.token, json=request)
        assert refused.json()["code"] == "SW-141"
    assert service.head == head
