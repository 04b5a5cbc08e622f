"""Credits bought by a service from a registry on this machine: once each, whatever is lost or killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sunward.adapters.retirement import InnerRegistry
from sunward.adapters.retirement_cnaught import CNaught
from sunward.model.credits import CreditRules
from sunward.ports import Retirement
from sunward.service.offsetting import LOST_MS, Buyer
from sunward.units import MG_PER_KG, MICRO, MINUTE_MS
from tests.api.harness import Agent, Machine, Service, finish, start
from tests.conftest import ROOT
from tests.support.retirement_server import KEY, CNaughtServer

AT_TEST = CreditRules(price_usd_micro_per_t=10 * MICRO)
AT_CNAUGHT = CreditRules(registry="cnaught", price_usd_micro_per_t=10 * MICRO)
"""A kg costs a cent, which is the least that there is."""
DEAR = 2_000
"""Cents a tonne, twice as much."""


@pytest.fixture
def cnaught() -> Iterator[CNaughtServer]:
    made = CNaughtServer(cents_per_t=1)
    yield made
    made.server.close()


def registry(server: CNaughtServer) -> dict[str, Retirement]:
    return {"cnaught": CNaught("cnaught", KEY, "Sunward", ("GS-METER", 2022), url=server.url)}


def work(service: Service, agent: Agent) -> None:
    """Two paid jobs, and the close at which their share is spent."""
    for _ in range(2):
        _, lease = start(service, agent)
        finish(service, agent, lease)
    service.ok("POST", "/v1/epochs/close", "operator")


def earned(service: Service, agent: Agent, rules: CreditRules) -> dict[str, Any]:
    """Rules, and an order made by them."""
    service.ok("POST", "/v1/offset/rules", "operator", json=rules)
    work(service, agent)
    (order,) = service.ok("GET", "/v1/offset")["open"]
    found: dict[str, Any] = order
    return found


def round_of(service: Service, buyer: Buyer) -> dict[str, Any]:
    service.loop.run_until_complete(buyer.round())
    found: dict[str, Any] = service.ok("GET", "/v1/offset")
    return found


def test_the_inner_registry_fills_an_order_and_nothing_is_covered(service: Service, agent: Agent) -> None:
    order = earned(service, agent, AT_TEST)
    found = round_of(service, Buyer(service.control, {"test": InnerRegistry()}))
    assert (found["open"], found["retired_to_date_kg"], found["test_to_date_kg"]) == ([], 0, order["kg"])
    assert found["sentence"] == "Retired credits cover 0.00 % of measured residual."
    assert int(found["spent_wei"]) > 0
    service.ok("POST", "/v1/epochs/close", "operator")
    told = service.ok("GET", "/v1/epochs")[-1]["offset"]
    assert (told["test_kg"], told["retired_kg"], told["coverage_ppm"]) == (order["kg"], 0, 0)
    (line,) = service.ok("GET", "/v1/ledger/entries?account=retired", "operator")["entries"]
    assert (line["cause"], line["ref"]) == ("retire", order["order"])


def test_real_credits_cover_and_the_books_say_so(service: Service, agent: Agent, cnaught: CNaughtServer) -> None:
    order = earned(service, agent, AT_CNAUGHT)
    before = service.control.state.liability_mg
    job = service.ok("GET", "/v1/jobs")["jobs"][0]["job"]
    receipt = service.ok("GET", f"/v1/jobs/{job}/receipt")
    found = round_of(service, Buyer(service.control, registry(cnaught)))
    assert service.ok("GET", f"/v1/jobs/{job}/receipt") == receipt
    (filled,) = found["filled"]
    assert (filled["counted_kg"], filled["certificate"]) == (order["kg"], "https://certificates.cnaught.com/o1")
    assert found["liability_mg"] == before - order["kg"] * MG_PER_KG
    assert found["coverage_ppm"] == order["kg"] * MG_PER_KG * 10**6 // before
    assert len(cnaught.orders) == 1


def test_a_lost_answer_is_asked_after(service: Service, agent: Agent, cnaught: CNaughtServer) -> None:
    earned(service, agent, AT_CNAUGHT)
    buyer = Buyer(service.control, registry(cnaught))
    cnaught.drop_after_order = True
    found = round_of(service, buyer)
    assert found["open"][0]["sent_ms"] > 0
    service.machine.ms += MINUTE_MS
    assert round_of(service, buyer)["open"] == []
    assert len(cnaught.orders) == 1


def test_a_registry_out_of_reach_gets_the_order_later(service: Service, agent: Agent, cnaught: CNaughtServer) -> None:
    earned(service, agent, AT_CNAUGHT)
    buyer = Buyer(service.control, registry(cnaught))
    cnaught.status = 503
    assert round_of(service, buyer)["open"][0]["sent_ms"] == 0
    asked = len(cnaught.server.asked)
    round_of(service, buyer)
    assert len(cnaught.server.asked) == asked
    cnaught.status = 0
    service.machine.ms += MINUTE_MS
    assert round_of(service, buyer)["open"] == []


def test_an_order_that_never_arrived_is_given_up_and_not_placed_again(
    service: Service, agent: Agent, cnaught: CNaughtServer
) -> None:
    order = earned(service, agent, AT_CNAUGHT)
    buyer = Buyer(service.control, registry(cnaught))
    cnaught.drop_after_order = True
    round_of(service, buyer)
    cnaught.orders.clear()
    service.machine.ms += MINUTE_MS
    assert round_of(service, buyer)["open"][0]["order"] == order["order"]
    service.machine.ms += LOST_MS
    found = round_of(service, buyer)
    assert (found["open"], found["held_wei"]) == ([], "0")
    assert found["refused"][0]["reason"] == "it never reached cnaught"
    posts = [one for one in cnaught.server.asked if one.method == "POST" and one.path.endswith("/orders")]
    assert len(posts) == 1


def test_what_is_dearer_than_the_limit_is_not_bought(service: Service, agent: Agent, cnaught: CNaughtServer) -> None:
    earned(service, agent, AT_CNAUGHT)
    cnaught.cents_per_t = DEAR
    found = round_of(service, Buyer(service.control, registry(cnaught)))
    assert "are the limit" in found["refused"][0]["reason"]
    assert not cnaught.orders


def test_serials_of_an_earlier_order_are_not_taken_for_another(
    service: Service, agent: Agent, cnaught: CNaughtServer
) -> None:
    earned(service, agent, AT_CNAUGHT)
    buyer = Buyer(service.control, registry(cnaught))
    round_of(service, buyer)
    service.control.state.liability_mg += MG_PER_KG
    work(service, agent)
    cnaught.orders.clear()
    found = round_of(service, buyer)
    assert "were retired before" in found["refused"][0]["reason"]
    assert len(found["filled"]) == 1


def test_an_order_for_a_registry_without_settings_waits(service: Service, agent: Agent) -> None:
    order = earned(service, agent, AT_CNAUGHT)
    found = round_of(service, Buyer(service.control, {"test": InnerRegistry()}))
    assert found["open"][0] == order


def test_rules_are_the_operators_and_leave_a_trace(service: Service) -> None:
    wanted = CreditRules(methods=("ACM0002",), countries=("IN",), slippage_bps=100)
    service.ok("POST", "/v1/offset/rules", "operator", json=wanted)
    assert service.ok("GET", "/v1/offset")["rules"]["methods"] == ["ACM0002"]
    bad = service.ask("POST", "/v1/offset/rules", "operator", json=CreditRules(countries=("XX",)))
    assert (bad.status_code, bad.json()["code"]) == (400, "SW-805")
    assert [act.action for act in service.control.store.access.audit_trail()] == ["set_credit_rules"]


KILLED = """
import asyncio, os, sys
from pathlib import Path
from sunward.adapters.retirement_cnaught import CNaught
from sunward.service.offsetting import Buyer
from tests.api.harness import Machine, Service

class Killed(CNaught):
    def place(self, order, reference):
        answer = super().place(order, reference)
        print("placed", flush=True)
        sys.stdin.readline()
        return answer

service = Service(Path(sys.argv[1]), Machine())
registry = Killed("cnaught", sys.argv[3], "Sunward", ("GS-METER", 2022), url=sys.argv[2])
service.loop.run_until_complete(Buyer(service.control, {"cnaught": registry}).round())
"""


@pytest.mark.slow
def test_kill_9_between_placing_an_order_and_recording_it(tmp_path: Path, cnaught: CNaughtServer) -> None:
    home = tmp_path / "home"
    first = Service(home, Machine())
    agent = Agent(first)
    agent.join()
    order = earned(first, agent, AT_CNAUGHT)
    first.close()
    command = [sys.executable, "-c", KILLED, str(home), cnaught.url, KEY]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "placed\n"
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert len(cnaught.orders) == 1
    again = Service(home, Machine())
    (waits,) = again.ok("GET", "/v1/offset")["open"]
    assert (waits["order"], waits["reference"]) == (order["order"], order["order"])
    found = round_of(again, Buyer(again.control, registry(cnaught)))
    assert (found["open"], found["retired_to_date_kg"]) == ([], order["kg"])
    posts = [one for one in cnaught.server.asked if one.method == "POST" and one.path.endswith("/orders")]
    assert (len(posts), len(cnaught.orders)) == (1, 1)
    again.close()
