"""The reserve over REST and from the command line: vault, promises, a call that wakes and is met, drills, stress."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from click.testing import CliRunner, Result

from sunward.cli.commands import reserve as commands
from sunward.cli.main import cli
from sunward.cli.shell import Shell
from sunward.model.staking_events import StakeRequested
from sunward.units import DAY_MS, HOUR_MS, MICRO
from tests.api.harness import Agent, Service
from tests.api.test_requests import is_problem

Run = Callable[..., Result]
POOL = "no-hydro/A100-SXM-80GB"


@pytest.fixture
def run(service: Service, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command line whose requests reach the service."""
    for name in ("SUNWARD_LANG", "LC_ALL", "SUNWARD_URL", "SUNWARD_TOKEN", "SUNWARD_CA", "SUNWARD_INSECURE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setattr(commands, "time", SimpleNamespace(time_ns=service.machine.now_ns))

    def send(request: httpx.Request) -> httpx.Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        told = {name: request.headers[name] for name in ("idempotency-key",) if name in request.headers}
        path = request.url.raw_path.decode()
        answer = service.ask(request.method, path, token=token, content=request.read(), headers=told)
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    def invoke(*words: str) -> Result:
        shell = Shell(transport=httpx.MockTransport(send), sleep=lambda _seconds: None)
        environment = {"SUNWARD_HOME": str(service.home)}
        return CliRunner().invoke(cli, ["reserve", *words], obj=shell, env=environment, catch_exceptions=False)

    return invoke


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def begin(service: Service, usd: int = 10_000) -> None:
    service.ok("POST", "/v1/reserve/rules", "operator", json={"drill_milli_per_epoch": 0})
    service.ok("POST", "/v1/reserve/usd", "operator", json={"usd_held_micro": usd * MICRO})


@pytest.fixture(autouse=True)
def staked(service: Service) -> None:
    """The provider has stake that answers for what it promises."""
    owner = service.ok("GET", "/v1/whoami", "provider")["subject"]
    bonded = StakeRequested(owner=owner, request="chain-1", amount_wei=10**21, on_chain=True)
    service.control.commit_one(bonded)


def offer(service: Service, containers: int = 1, days: int = 30) -> dict[str, Any]:
    wanted = {
        "backing": [{"pool": POOL, "containers": containers}],
        "end_ms": service.control.clock.grid_ms() + days * DAY_MS,
        "notice_ms": HOUR_MS,
        "premium_usd_micro_per_h": 100_000,
    }
    found: dict[str, Any] = service.ok("POST", "/v1/reserve/promises", "provider", json=wanted)
    return found


def test_the_vault_takes_and_pays_at_the_close(service: Service, run: Run) -> None:
    begin(service, 0)
    before = service.ok("GET", "/v1/account")["balance_wei"]
    made = run("deposit", "100")
    assert "deposit of" in made.stdout, made.stderr
    assert told(run("show", "--json"))["held_wei"] == 0
    service.ok("POST", "/v1/epochs/close", "operator")
    shown = told(run("show", "--json"))
    assert (shown["held_wei"], shown["coverage_ppm"]) == (100 * 10**18, None)
    assert service.ok("GET", "/v1/account")["balance_wei"] == before - 100 * 10**18
    (mine,) = shown["holders"]
    assert "exit of" in run("exit", str(mine["shares"])).stdout
    assert run("exit", "1").exit_code == 2
    assert run("deposit", "lots").exit_code == 2
    stranger = service.ask("GET", "/v1/reserve", token=service.token("t-other", "tenant")).json()
    assert (stranger["holders"], stranger["requests"]) == ([], [])
    wrong = service.ask("POST", "/v1/reserve/deposits", json={"wei": 1, "account": "treasury"})
    assert wrong.json()["code"] == "SW-816"


def test_a_promise_is_sold_called_woken_for_and_met(service: Service, agent: Agent, run: Run) -> None:
    begin(service)
    agent.sync()
    made = run("sell", f"{POOL}=1", "--until", "30d", "--notice", "1h", "--premium", "0.1")
    assert made.exit_code == 0, made.output
    (line,) = told(run("promises", "--json", "--as", "provider"))
    name = line["promise"]
    assert (line["state"], line["owner"] != "", line["backing"]) == ("offered", True, [{"pool": POOL, "containers": 1}])
    stranger = service.token("t-other", "tenant")
    (seen,) = service.ask("GET", "/v1/reserve/promises", token=stranger).json()
    assert (seen["owner"], seen["backing"], seen["containers"]) == ("", [], 1)
    assert "sold" in run("buy", name).stdout
    assert service.ask("GET", "/v1/reserve/promises", token=stranger).json() == []
    assert is_problem(service.ask("POST", f"/v1/reserve/promises/{name}/buy", token=stranger), 404)
    wanted = {"containers": 1, "until_ms": service.control.clock.grid_ms() + 20 * DAY_MS}
    assert is_problem(service.ask("POST", f"/v1/reserve/promises/{name}/call", token=stranger, json=wanted), 404)
    called = run("call", name, "--until", "20d")
    assert "0 of 1 ready" in called.stdout or "1 of 1 ready" in called.stdout
    assert told(run("show", "--json"))["called"] == 1
    service.pass_grid(HOUR_MS)
    assert agent.sync().orders.awake[0].count == 1
    service.pass_grid(11 * HOUR_MS)
    (line,) = told(run("promises", "--json"))
    assert line["last"]["outcome"] == "ready"
    assert "ready in time" in run("promises").stdout
    (call,) = line["calls"]
    assert is_problem(service.ask("DELETE", f"/v1/reserve/calls/{call['call']}", token=stranger), 404)
    assert told(run("release", call["call"], "--json"))[0]["calls"] == []


def test_a_sale_below_the_floor_is_one_clear_line(service: Service, agent: Agent, run: Run) -> None:
    begin(service, 10)
    agent.sync()
    name = offer(service)["promise"]
    refused = run("buy", name)
    assert refused.exit_code == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "below the floor" in refused.stderr
    assert told(run("withdraw", name, "--json")) == []


def test_who_sleeps_through_a_drill_has_a_verdict(service: Service, agent: Agent, run: Run) -> None:
    begin(service)
    name = offer(service)["promise"]
    service.ok("POST", f"/v1/reserve/promises/{name}/buy")
    owner = service.control.state.world.reserve.promises[name].owner
    agent.sync()
    agent.reports.clear()
    service.control.state.world.sites[agent.site].up = False
    assert "drill" in run("drill", owner).stdout
    assert run("drill", owner).exit_code == 2
    service.pass_grid(12 * HOUR_MS)
    (line,) = told(run("promises", "--json"))
    assert line["last"]["outcome"] == "failed"
    verdicts = service.ok("GET", f"/v1/sites/{agent.site}/audit", "auditor")["verdicts"]
    assert [one["record"]["fault"] for one in verdicts] == ["reserve_drill_missed"]


def test_a_value_from_outside_decides_who_is_drilled(service: Service, agent: Agent) -> None:
    service.ok("POST", "/v1/reserve/rules", "operator", json={"drill_milli_per_epoch": 1_000_000})
    service.ok("POST", "/v1/reserve/usd", "operator", json={"usd_held_micro": 10**10})
    agent.sync()
    name = offer(service)["promise"]
    service.ok("POST", f"/v1/reserve/promises/{name}/buy")
    book = service.control.state.world.reserve
    service.pass_grid(HOUR_MS)
    assert book.draw is not None
    assert book.calls == {}
    service.loop.run_until_complete(service.app.state.challenges.draw())
    assert book.draw is None
    assert [(one.promise, one.kind) for one in book.calls.values()] == [(name, "drill")]


def test_the_stress_test_is_a_table_json_and_a_page(service: Service, agent: Agent, run: Run, tmp_path: Path) -> None:
    assert "nothing owed" in run("stress").stdout
    begin(service)
    agent.sync()
    service.ok("POST", f"/v1/reserve/promises/{offer(service)['promise']}/buy")
    page = tmp_path / "stress.html"
    shown = run("stress", "--html", str(page))
    assert shown.exit_code == 0, shown.output
    assert "a region goes dark" in shown.stdout
    lines = told(run("stress", "--json"))["lines"]
    assert [one["shock"] for one in lines] == ["now", "token", "region", "demand", "all"]
    assert lines[2]["delivered"] == 0
    text = page.read_text(encoding="utf-8")
    (picture,) = [ET.fromstring(one) for one in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]  # noqa: S314  our own page
    assert len(picture.findall("rect")) == 5
    assert "http" not in text


def test_rules_are_shown_and_set(run: Run) -> None:
    assert "150 %" in run("rules").stdout
    assert told(run("rules", "--floor", "200", "--drills", "0.5", "--json"))["floor_ppm"] == 2_000_000
    assert "200 %" in run("rules").stdout
    assert "0.5" in run("rules").stdout
    assert told(run("usd", "12.5", "--json"))["usd_held_micro"] == 12_500_000
    assert run("sell", "home=1", "--until", "7d", "--premium", "1").exit_code == 2
