"""Which run of an agent counts: a new one takes the place of the old one, for good."""

from __future__ import annotations

from pathlib import Path

from sunward.model.events import AgentLost
from sunward.model.identity import SiteId
from tests.api.harness import Agent, Service, start


def test_late_words_of_a_dead_run_change_nothing(service: Service, agent: Agent) -> None:
    _, lease = start(service, agent)
    late = agent.request()
    agent.boot = "boot-2"
    agent.reports.clear()
    agent.sync()
    head = service.head
    refused = service.ask("POST", "/v1/agents/sync", token=agent.token, json=late)
    assert (refused.status_code, refused.json()["code"]) == (409, "SW-135")
    assert service.head == head
    assert service.control.state.world.sites["no-hydro"].boot == "boot-2"
    assert lease not in service.control.state.world.open_leases(SiteId("no-hydro"))


def test_a_run_that_was_only_silent_goes_on(service: Service, agent: Agent) -> None:
    agent.sync()
    service.control.commit_one(AgentLost(site=SiteId("no-hydro")))
    agent.sync()
    assert service.control.state.world.sites["no-hydro"].up


def test_a_silent_agent_is_given_the_whole_grace_after_a_restart(tmp_path: Path) -> None:
    first = Service(tmp_path)
    agent = Agent(first)
    agent.join()
    agent.sync()
    first.close()
    grace_ms = 30_000
    first.machine.ms += 10 * grace_ms
    second = Service(tmp_path, first.machine)
    second.control.tick()
    assert second.control.state.world.sites["no-hydro"].up
    second.machine.ms += grace_ms + 1
    second.control.tick()
    assert not second.control.state.world.sites["no-hydro"].up
    second.close()
