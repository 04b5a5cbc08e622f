"""A service that ends and begins again, loses its lead, or meets a contradiction."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from pathlib import Path

import pytest

from sunward.client import ApiClient
from sunward.engine.snapshots import state_digest
from sunward.errors import ConflictError, InputError, InvariantError
from sunward.service import control as control_module
from sunward.service.app import build_app, serve
from sunward.service.bootstrap import CREDENTIALS_FILE
from sunward.service.config import ServiceConfig
from sunward.service.keys import KEY_FILE, load_key
from tests.api.harness import JOB, Agent, Bridge, Service, finish, start, submit


def test_a_restart_goes_on_where_the_journal_ends(tmp_path: Path, monkeypatch) -> None:
    first = Service(tmp_path)
    agent = Agent(first)
    agent.join()
    job, lease = start(first, agent)
    first.pass_grid(60_000)
    agent.meter(lease)
    digest, head = state_digest(first.control.state), first.head
    first.close()

    second = Service(tmp_path, first.machine)
    assert (state_digest(second.control.state), second.head) == (digest, head)
    assert second.credentials == first.credentials
    agent.service = second
    finish(second, agent, lease)
    second.ok("POST", "/v1/epochs/close", "operator")
    assert second.ok("GET", f"/v1/jobs/{job}/receipt")["final"]
    assert second.control.store.head().term == 2
    second.close()


def test_a_restart_from_a_snapshot_gives_the_same_state(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(control_module, "SNAPSHOT_EVERY", 5)
    first = Service(tmp_path)
    agent = Agent(first)
    agent.join()
    start(first, agent)
    first.pass_grid(60_000)
    assert any(True for _ in first.control.store.snapshots())
    digest = state_digest(first.control.state)
    first.close()
    second = Service(tmp_path, first.machine)
    assert state_digest(second.control.state) == digest
    second.close()


def test_orders_that_changed_while_nobody_listened_are_given_at_once(tmp_path: Path) -> None:
    first = Service(tmp_path)
    agent = Agent(first)
    agent.join()
    agent.sync()
    submit(first)
    first.plan()
    first.close()
    second = Service(tmp_path, first.machine)
    agent.service = second
    began = second.loop.time()
    agent.sync(wait_ms=5_000)
    assert second.loop.time() - began < 2
    second.close()


def test_the_one_that_lost_the_lead_answers_no_write_and_ends(tmp_path: Path) -> None:
    old = Service(tmp_path)
    new = Service(tmp_path, old.machine)
    refused = old.ask("POST", "/v1/account/deposits", json={"amount_usd": 1.0})
    assert (refused.status_code, refused.json()["code"]) == (500, "SW-900")
    assert old.ask("GET", "/healthz", token="").status_code == 503
    assert old.ask("POST", "/v1/account/deposits", json={"amount_usd": 1.0}).status_code == 500
    with pytest.raises(ConflictError):
        old.loop.run_until_complete(asyncio.wait_for(old.control.run(), 5))
    balance = new.ok("GET", "/v1/account")["balance_wei"]
    assert new.ok("POST", "/v1/account/deposits", json={"amount_usd": 1.0})["balance_wei"] > balance
    for service in (old, new):
        service.close()


def test_an_error_in_the_writer_ends_the_service(service: Service, monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a contradiction")

    monkeypatch.setattr("sunward.engine.writer.advance", broken)
    failed = service.ask("POST", "/v1/account/deposits", json={"amount_usd": 1.0})
    assert (failed.status_code, failed.headers["content-type"]) == (500, "application/problem+json")
    assert "contradiction" not in failed.text.replace("met a contradiction", "")
    assert isinstance(service.control.failure, KeyError)


def test_an_unforeseen_error_in_a_view_is_a_plain_500_and_nothing_ends(service: Service, monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("sunward.service.views.plan_view", broken)
    failed = service.ask("GET", "/v1/plan")
    assert (failed.status_code, "secret" in failed.text) == (500, False)
    assert service.control.failure is None
    assert service.ok("GET", "/v1/clock")["speed"] > 1


def test_the_lifespan_runs_the_control_plane_and_stops_the_server_when_it_dies(service: Service) -> None:
    stopped = asyncio.Event()
    app = build_app(service.control, ServiceConfig(), stopped.set)

    async def live() -> None:
        async with app.router.lifespan_context(app):
            await asyncio.sleep(0.05)
            assert not stopped.is_set()
            service.control.fail(InvariantError("planted"))
            await asyncio.wait_for(stopped.wait(), 2)

    service.loop.run_until_complete(live())


def test_the_process_ends_with_the_error(tmp_path: Path, monkeypatch) -> None:
    failing = Service(tmp_path)

    async def dies(*_: object) -> None:
        raise InvariantError("planted")

    monkeypatch.setattr(control_module.ControlPlane, "_keep_time", dies)
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(InvariantError, match="planted"):
        serve(failing.control, ServiceConfig(), listener)
    failing.close()


def test_a_running_service_plans_by_itself(service: Service, agent: Agent) -> None:
    agent.sync()
    job = submit(service)

    async def live() -> str:
        async with service.app.router.lifespan_context(service.app):
            headers = {"authorization": f"Bearer {service.credentials['tenant_token']}"}
            for _ in range(100):
                shown = (await service.http.get(f"/v1/jobs/{job}", headers=headers)).json()
                if shown["state"] != "submitted":
                    return str(shown["state"])
                await asyncio.sleep(0.02)
        return "never planned"

    assert service.loop.run_until_complete(live()) in ("placed", "staging")


def test_a_failing_source_is_counted_and_told(service: Service, agent: Agent, monkeypatch) -> None:
    def fails(*_: object) -> None:
        raise InputError("the file ends here")

    agent.sync()
    monkeypatch.setattr("sunward.signals.typical.ClimatologySource.observe", fails)
    monkeypatch.setattr("sunward.signals.typical.ClimatologyForecaster.forecast", fails)
    refused = service.ask("POST", "/v1/jobs", json=JOB | {"origin_zone": "FR", "budget_usd": 1.0})
    assert (refused.status_code, refused.json()["code"]) == (503, "SW-213")
    assert service.control.feed_failures > 0
    assert service.control.failure is None


def test_secrets_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    service = Service(tmp_path)
    for name in (KEY_FILE, CREDENTIALS_FILE, "sunward.db"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name
    kept = json.loads((tmp_path / CREDENTIALS_FILE).read_bytes())
    assert set(kept) == {"url", "tenant_token", "operator_token", "provider_token", "auditor_token"}
    assert service.ok("GET", "/v1/account")["balance_wei"] == 10_000 * 10**6 * 2 * 10**12
    for token in kept.values():
        assert token.encode() not in (tmp_path / "sunward.db").read_bytes()
    service.close()
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(InputError, match="restore it"):
        load_key(tmp_path / KEY_FILE)


def test_the_documented_client_can_read_the_answers(service: Service, agent: Agent) -> None:
    """The command line's own records fit what the API sends."""
    agent.sync()
    submit(service)

    def api(role: str):
        return ApiClient("http://service", service.credentials[f"{role}_token"], transport=Bridge(service))

    with api("tenant") as tenant:
        assert len(tenant.jobs()) == 1
        assert tenant.plan().assignments == ()
        assert tenant.sites()[0].site == "no-hydro"
        assert tenant.grid("DE", 3).zone == "DE"
        assert tenant.account().balance_wei > 0
        assert tenant.deposit(1.0).balance_wei > 0
        assert tenant.clock().speed == 1_200
    with api("operator") as operator:
        assert operator.enrol("x").token.startswith("sw_")
        assert operator.close_epoch().epoch == 1
    with api("auditor") as auditor:
        assert len(tuple(auditor.whole_journal())) == service.head[0]
        assert auditor.epochs()[0].epoch == 1
        assert auditor.journal_head().sequence == service.head[0]
