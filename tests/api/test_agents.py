"""What an agent may say and do: enrolment, long poll, fencing, readings."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import cbor2

from sunward.agent.client import Backoff, ControlPlane
from sunward.model.codec import encode
from sunward.model.events import SiteEnrolled
from sunward.units import MINUTE_MS
from tests.api.harness import Agent, Bridge, Service, finish, site_spec, start


def enrolment(service: Service, role: str = "operator") -> str:
    return service.ok("POST", "/v1/enrolments", role, json={"note": ""})["token"]


def test_an_enrolment_that_is_repeated_gives_the_same_site_and_the_same_token(service: Service) -> None:
    joining = Agent(service)
    body = {"token": enrolment(service), "spec": joining.spec}
    first = service.ok("POST", "/v1/agents/enroll", token="", json=body)
    head = service.head
    again = service.ok("POST", "/v1/agents/enroll", token="", json=body)
    assert again["site"] == first["site"] == "no-hydro"
    assert service.head == head
    # Else a request that the network delivers once more, later, would end the token that the agent works with.
    assert again["token"] == first["token"]
    joining.token = first["token"]
    assert joining.sync().orders.site == "no-hydro"
    anew = service.ok("POST", "/v1/agents/enroll", token="", json=body | {"token": enrolment(service)})
    assert service.ask("GET", "/v1/clock", token=first["token"]).status_code == 401
    joining.token = anew["token"]
    assert joining.sync().orders.site == "no-hydro"
    owner = service.control.state.world.sites["no-hydro"].spec.owner
    assert owner == service.ok("GET", "/v1/account")["tenant"]


FALSE = (
    {"site": "a/b"},
    {"zone": "DE"},
    {"public_key": "xyz"},
    {"overhead_ppm": 10**30},
    {"ask_usd_micro_per_gpu_h": -1},
    {"cooling": "magic"},
    {"pools": ()},
)


def test_a_false_declaration_is_refused_and_does_not_cost_the_token(service: Service) -> None:
    joining = Agent(service)
    token, head = enrolment(service), service.head
    for changes in FALSE:
        body = {"token": token, "spec": replace(joining.spec, **changes)}
        refused = service.ask("POST", "/v1/agents/enroll", token="", json=body)
        assert refused.status_code == 400, changes
    assert service.head == head
    body = {"token": token, "spec": joining.spec}
    assert service.ask("POST", "/v1/agents/enroll", token="", json=body).status_code == 200


def test_a_spent_token_admits_no_other_site_and_a_name_no_other_key(service: Service, agent: Agent) -> None:
    head = service.head
    spent = enrolment(service)
    body = {"token": spent, "spec": site_spec("es-solar", "ES", "1" * 64)}
    assert service.ask("POST", "/v1/agents/enroll", token="", json=body).status_code == 200
    body["spec"] = site_spec("es-other", "ES", "2" * 64)
    refused = service.ask("POST", "/v1/agents/enroll", token="", json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "SW-160")
    for taken in (site_spec("no-hydro", "NO-NO2", "3" * 64), site_spec("es-third", "ES", "1" * 64)):
        body = {"token": enrolment(service), "spec": taken}
        clash = service.ask("POST", "/v1/agents/enroll", token="", json=body)
        assert (clash.status_code, clash.json()["code"]) == (409, "SW-162")
    assert service.head[0] == head[0] + 1


def test_a_poll_waits_for_newer_orders_and_returns_with_them(service: Service, agent: Agent) -> None:
    agent.sync()
    agent.sync()
    headers = {"authorization": f"Bearer {agent.token}"}

    async def poll(wait_ms: int) -> tuple[float, int]:
        content = encode(agent.request(wait_ms))
        before = service.loop.time()
        reply = await service.http.post("/v1/agents/sync", content=content, headers=headers)
        return service.loop.time() - before, reply.json()["orders"]["version"]

    async def changed() -> tuple[float, int]:
        waiting = asyncio.create_task(poll(5_000))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        spec = replace(
            agent.spec, owner=service.control.state.world.sites["no-hydro"].spec.owner, overhead_ppm=1_100_000
        )
        service.control.commit_one(SiteEnrolled(spec=spec))
        return await waiting

    waited_s, version = service.loop.run_until_complete(poll(80))
    assert (waited_s >= 0.08, version) == (True, agent.version)
    waited_s, version = service.loop.run_until_complete(changed())
    assert waited_s < 2
    assert version > agent.version
    waited_s, _ = service.loop.run_until_complete(poll(5_000))
    assert waited_s < 2
    agent.version = 10**9
    waited_s, _ = service.loop.run_until_complete(poll(5_000))
    assert waited_s < 2


def test_only_the_site_that_holds_the_current_attempt_may_write(service: Service, agent: Agent) -> None:
    other = Agent(service, site="es-solar", zone="ES")
    other.join()
    job, lease = start(service, agent)
    head = service.head
    for writer, held in ((other, lease), (agent, f"{job}.2"), (agent, "j-none.1")):
        for method, path in (
            ("GET", "content"),
            ("PUT", "checkpoint?units=1"),
            ("PUT", "output"),
            ("POST", "log?offset=0"),
        ):
            refused = service.ask(method, f"/v1/leases/{held}/{path}", token=writer.token, content=b"x")
            assert (refused.status_code, refused.json()["code"]) == (409, "SW-140"), (held, path)
    assert service.head == head
    finish(service, agent, lease)
    assert agent.put(lease, "output", b"other results").json()["code"] == "SW-140"
    assert service.ask("GET", f"/v1/jobs/{job}/output").content == b"results"


def test_an_agent_cannot_end_or_charge_the_lease_of_another_site(service: Service, agent: Agent) -> None:
    other = Agent(service, site="es-solar", zone="ES")
    other.join()
    job, lease = start(service, agent)
    other.sync()
    other.report(lease, "finished", 100)
    assert service.ok("GET", f"/v1/jobs/{job}")["state"] == "running"
    service.pass_grid(MINUTE_MS)
    charged = other.send([other.batch(lease, other.metered_to_ms + MINUTE_MS)])
    assert (charged.status_code, charged.json()["code"]) == (400, "SW-785")
    service.control.seal_now()
    assert service.ok("GET", f"/v1/sites/{other.site}", "operator")["reading_faults"] == {"foreign_lease": 1}
    metrics = service.ask("GET", "/metrics", "operator").text
    assert 'sunward_batches_refused_total{fault="foreign_lease"} 1.0' in metrics
    assert 'sunward_reading_faults{fault="foreign_lease",site="es-solar"} 1.0' in metrics
    (verdict,) = service.control.state.world.trust.verdicts.values()
    assert verdict.record.text == "es-solar signed energy for a lease that another site holds, on 1 of the last 30 days"


def test_a_report_names_only_what_was_stored_for_its_job(service: Service, agent: Agent) -> None:
    foreign = service.ok("PUT", "/v1/objects", content=b"another tenant's code")["digest"]
    job, lease = start(service, agent)
    head = service.head
    running = agent.reports[lease]
    agent.reports[lease] = replace(running, checkpoint=foreign, checkpoint_units=10)
    refused = service.ask("POST", "/v1/agents/sync", token=agent.token, json=agent.request())
    assert (refused.status_code, refused.json()["code"]) == (409, "SW-148")
    for wrong in (replace(running, phase="dancing"), replace(running, phase="")):
        agent.reports[lease] = wrong
        assert service.ask("POST", "/v1/agents/sync", token=agent.token, json=agent.request()).status_code == 400
    assert service.head == head
    agent.reports[lease] = replace(running, units=10**30, checkpoint_bytes=-(2**70), detail="two\nlines")
    agent.sync()
    assert service.ok("GET", f"/v1/jobs/{job}")["units_done"] == 100


def test_readings_are_stored_once_and_in_order(service: Service, agent: Agent) -> None:
    agent.sync()
    service.pass_grid(3 * MINUTE_MS)
    first, second, third = (agent.batch("", agent.metered_to_ms + MINUTE_MS) for _ in range(3))
    assert agent.send([first]).json() == {"accepted": 1}
    assert agent.send([first, second]).json() == {"accepted": 2}
    gap = agent.send([agent.batch("", agent.metered_to_ms + MINUTE_MS)])
    assert (gap.status_code, gap.json()["expected"], gap.json()["code"]) == (409, 3, "SW-310")
    assert agent.send([third]).json() == {"accepted": 3}
    service.control.seal_now()
    assert agent.send([second, third]).json() == {"accepted": 3}
    assert len(service.control.store.ingest.unsealed(10)) == 0
    assert service.control.intake.accepted == 3


def test_what_is_not_a_signed_reading_of_the_site_is_refused(service: Service, agent: Agent) -> None:
    agent.sync()
    service.pass_grid(MINUTE_MS)
    good = agent.batch("", agent.metered_to_ms + MINUTE_MS)
    spoiled = good[:-1] + bytes([good[-1] ^ 1])
    assert agent.send([spoiled]).json()["code"] == "SW-302"
    for body in (
        b"",
        b"\xff\xff",
        cbor2.dumps({"a": 1}),
        cbor2.dumps([1]),
        cbor2.dumps([[b"x"]]),
        b"\x9b" + b"\xff" * 8,
    ):
        refused = service.ask("POST", "/v1/agents/readings", token=agent.token, content=body)
        assert (refused.status_code, refused.json()["code"]) == (400, "SW-301"), body
    mixed = agent.send([good, b"nonsense"])
    assert mixed.status_code == 400
    assert agent.send([good]).json() == {"accepted": 1}


def test_a_log_takes_bytes_once_and_leaves_no_hole(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent)

    def send(offset: int, text: bytes) -> int:
        return service.ask(
            "POST", f"/v1/leases/{lease}/log?offset={offset}", token=agent.token, content=text
        ).status_code

    assert [send(0, b"abc"), send(0, b"abcde"), send(9, b"hole")] == [200, 200, 409]
    log = service.ask("GET", f"/v1/jobs/{job}/logs")
    assert (log.content, log.headers["sunward-final"]) == (b"abcde", "0")


def test_the_agents_own_client_can_do_all_of_it(service: Service, tmp_path: Path) -> None:
    joining = Agent(service)
    backoff = Backoff(sleep=lambda _: None, jitter=lambda: 0.0)
    plane = ControlPlane("http://service", "", backoff, transport=Bridge(service))
    joining.token = plane.enroll(enrolment(service), joining.spec).token
    joining.metered_to_ms = service.control.clock.grid_ms()
    plane.close()
    _, lease = start(service, joining)
    plane = ControlPlane("http://service", joining.token, backoff, transport=Bridge(service))
    assert plane.fetch_content(lease).command == ("python", "train.py")
    archive = tmp_path / "archive"
    archive.write_bytes(b"weights")
    digest = plane.put_checkpoint(lease, 10, archive)
    plane.fetch_object(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"weights"
    assert plane.put_output(lease, archive) == digest
    plane.append_log(lease, 0, b"line")
    service.pass_grid(MINUTE_MS)
    batches = [joining.batch(lease, joining.metered_to_ms + 1_000 * part) for part in range(1, 4)]
    assert plane.send_batches(batches[:2]) == joining.counter - 1
    assert plane.send_batches(batches[:1] + batches[2:]) == joining.counter
    assert plane.sync(joining.request()).orders.leases[0].lease == lease
    plane.close()
