"""An agent whose machine sleeps: what is noted, for how long its silence is right, and what it comes back to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.model.codec import decode, encode
from sunward.model.identity import SiteId
from sunward.model.wire import SyncReply, SyncRequest
from sunward.units import HOUR_MS, MINUTE_MS
from tests.api.harness import Agent, Service, start

GRACE_MS = 30_000
NORTH = SiteId("no-hydro")


def ask(service: Service, agent: Agent, hours: float) -> int:
    """Until when the machine is taken to sleep, 0 = not."""
    until_ms = service.control.clock.grid_ms() + int(hours * HOUR_MS)
    power = tuple(replace(one, asleep=one.idle, idle=0) for one in agent.request().power)
    request = replace(agent.request(), asleep_until_ms=until_ms, power=power)
    response = service.ask("POST", "/v1/agents/sync", token=agent.token, json=request)
    assert response.status_code == 200, response.text
    noted_ms = decode(response.content, SyncReply).asleep_until_ms
    assert noted_ms in (0, until_ms)
    return noted_ms


@pytest.fixture
def slow(tmp_path):
    """Grid time at machine speed, as where energy is measured."""
    made = Service(tmp_path, speed=1)
    yield made
    made.close()


@pytest.fixture
def sleeper(slow: Service) -> Agent:
    made = Agent(slow)
    made.join()
    made.sync()
    return made


def test_a_sleeper_is_not_lost_before_it_should_be_back(slow: Service, sleeper: Agent) -> None:
    assert ask(slow, sleeper, 1)
    site = slow.control.state.world.sites[NORTH]
    slow.pass_grid(HOUR_MS)
    slow.pass_grid(GRACE_MS)
    assert site.up
    assert site.asleep_until_ms
    slow.pass_grid(1)
    assert not site.up
    assert not site.asleep_until_ms
    assert not sleeper.sync().asleep_until_ms
    assert site.up


def test_a_sleeper_that_comes_back_is_awake(slow: Service, sleeper: Agent) -> None:
    assert ask(slow, sleeper, 1)
    slow.pass_grid(HOUR_MS // 2)
    assert sleeper.sync().asleep_until_ms == 0
    slow.pass_grid(GRACE_MS + 1)
    assert not slow.control.state.world.sites[NORTH].up


def test_sleep_is_recorded_and_survives_a_restart_of_the_service(slow: Service, sleeper: Agent, tmp_path) -> None:
    until_ms = ask(slow, sleeper, 2)
    again = Service(tmp_path, slow.machine, speed=1)
    assert again.control.state.world.sites[NORTH].asleep_until_ms == until_ms
    again.pass_grid(HOUR_MS)
    assert again.control.state.world.sites[NORTH].up
    again.close()


def test_who_holds_a_lease_is_not_let_sleep(service: Service, agent: Agent) -> None:
    start(service, agent)
    assert ask(service, agent, 1) == 0
    assert agent.sync().asleep_until_ms == 0


@pytest.mark.parametrize("hours", [-1, 25])
def test_no_sleep_into_the_past_or_beyond_a_day(service: Service, agent: Agent, hours: int) -> None:
    agent.sync()
    assert ask(service, agent, hours) == 0


def test_a_job_comes_when_the_sleeper_is_back(slow: Service, sleeper: Agent) -> None:
    assert ask(slow, sleeper, 0.4)
    job = slow.ok(
        "POST",
        "/v1/jobs",
        json={
            "name": "n",
            "command": ["true"],
            "origin_zone": "DE",
            "length_s": 600,
            "deadline_s": 7200,
            "policy": "cheapest",
        },
    )["job"]
    slow.plan()
    assert slow.control.orders_for(NORTH).leases == ()
    slow.pass_grid(30 * MINUTE_MS)
    assert slow.control.orders_for(NORTH).leases == ()
    sleeper.sync()
    slow.plan()
    for _ in range(8):
        if sleeper.sync().orders.leases:
            break
        slow.pass_grid(10_000)
        slow.plan()
    assert [one.job for one in sleeper.sync().orders.leases] == [job]


def trial(service: Service, agent: Agent, **changes: object) -> int:
    """How many neighbours are asked to wake the agent's machine from 30 s on, for a minute."""
    body = {"mac": "02:00:00:00:00:01", "lan": "home", "after_s": 30, "for_s": 60} | changes
    response = service.ask("POST", "/v1/agents/wake", token=agent.token, json=body)
    assert response.status_code == 200, response.text
    return int(response.json()["awake"])


def declare(service: Service, agent: Agent, lan: str) -> None:
    body = {"spec": replace(agent.spec, lan=lan)}
    assert service.ask("POST", "/v1/agents/declare", token=agent.token, json=body).is_success


def test_a_trial_has_the_neighbours_call_for_a_while(slow: Service, sleeper: Agent) -> None:
    other = Agent(slow, site="second")
    other.join()
    other.sync()
    assert trial(slow, sleeper) == 0
    declare(slow, other, "home")
    head = slow.head
    assert trial(slow, sleeper) == 1
    assert slow.head == head
    assert other.sync().orders.wake == ()
    slow.pass_grid(30_000)
    assert [(one.site, one.mac) for one in other.sync().orders.wake] == [("no-hydro", "02:00:00:00:00:01")]
    assert sleeper.sync().orders.wake == ()
    slow.pass_grid(60_000)
    assert other.sync().orders.wake == ()


def test_a_trial_never_reaches_another_owner(slow: Service, sleeper: Agent) -> None:
    other = Agent(slow, site="second")
    slow.credentials["other_token"] = slow.token("p-other", "provider")
    other.join("other")
    other.sync()
    declare(slow, other, "home")
    owners = {site.spec.owner for site in slow.control.state.world.sites.values()}
    assert len(owners) == 2
    assert trial(slow, sleeper) == 0


@pytest.mark.parametrize(
    "changes", [{"mac": ""}, {"mac": "nonsense"}, {"lan": ""}, {"lan": "a b"}, {"after_s": -1}, {"for_s": 601}]
)
def test_a_trial_that_cannot_be_is_refused(slow: Service, sleeper: Agent, changes: dict[str, object]) -> None:
    body = {"mac": "02:00:00:00:00:01", "lan": "home", "after_s": 30, "for_s": 60} | changes
    response = slow.ask("POST", "/v1/agents/wake", token=sleeper.token, json=body)
    assert response.status_code == 400
    assert response.json()["code"] in ("SW-161", "SW-199")


def test_an_agent_one_version_older_says_nothing_of_sleep() -> None:
    old = b'{"boot":"b","orders_version":1,"wait_ms":0,"reports":[],"power":[]}'
    assert decode(old, SyncRequest).asleep_until_ms == 0
    newer = encode(decode(old, SyncRequest)).replace(b'"wait_ms"', b'"of_tomorrow":1,"wait_ms"')
    assert decode(newer, SyncRequest).boot == "b"
