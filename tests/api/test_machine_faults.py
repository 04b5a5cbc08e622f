"""What the machine under the control plane does wrong: a clock that steps, a pause, a database that does not answer."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sunward.errors import SourceError
from sunward.model.identity import SiteId
from sunward.service.bootstrap import DATABASE_FILE
from sunward.sim.checkers import check_readings
from sunward.units import HOUR_MS, SECOND_MS
from tests.api.harness import JOB, Agent, Service, start

GRACE_MS = 30_000


def is_up(service: Service) -> bool:
    service.control.tick()
    return service.control.state.world.sites[SiteId("no-hydro")].up


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS])
def test_a_clock_that_steps_makes_no_agent_silent_and_hides_no_silence(tmp_path: Path, step_ms: int) -> None:
    service = Service(tmp_path, speed=1)
    agent = Agent(service)
    agent.join()
    agent.sync()
    service.machine.step_ms = step_ms
    assert is_up(service)
    service.machine.ms += GRACE_MS + 1
    assert not is_up(service)
    service.close()


def test_grid_time_never_starts_before_what_is_recorded(tmp_path: Path) -> None:
    first = Service(tmp_path, speed=1)
    agent = Agent(first)
    agent.join()
    _, lease = start(first, agent, length_s=1_800, deadline_s=4 * 3_600)
    reached_ms = first.control.state.world.at_ms
    first.close()
    first.machine.step_ms = -HOUR_MS
    agent.service = second = Service(tmp_path, first.machine, speed=1)
    assert second.control.clock.grid_ms() == reached_ms
    agent.sync()
    second.machine.step_ms = 0
    for _ in range(1_800 // 25 + 1):
        second.pass_grid(25 * SECOND_MS)
        agent.sync()
    agent.meter(lease)
    digest = agent.put(lease, "output", b"results").json()["digest"]
    assert agent.report(lease, "finished", 100, output=digest).settled == (lease,)
    assert second.control.clock.grid_ms() > reached_ms
    second.close()


def test_an_hour_without_the_control_plane_loses_and_doubles_nothing(tmp_path: Path) -> None:
    first = Service(tmp_path)
    agent = Agent(first)
    agent.join()
    job, lease = start(first, agent, length_s=1_800, deadline_s=6 * 3_600)
    before = agent.request()
    first.close()
    first.machine.ms += HOUR_MS // first.control.clock.mapping.speed
    agent.service = second = Service(tmp_path, first.machine)
    second.control.tick()
    second.plan()
    # The job has gone on at the site, which kept what it metered and says it all again.
    assert [order.lease for order in agent.sync().orders.leases] == [lease]
    agent.meter(lease)
    again = second.ask("POST", "/v1/agents/sync", token=agent.token, json=before)
    assert again.status_code == 200
    digest = agent.put(lease, "output", b"results").json()["digest"]
    assert agent.report(lease, "finished", 100, output=digest).settled == (lease,)
    second.pass_grid(HOUR_MS)
    agent.meter()
    second.control.seal_now()
    second.ok("POST", "/v1/epochs/close", "operator")
    receipt = second.ok("GET", f"/v1/jobs/{job}/receipt")["receipt"]
    assert [(one["attempt"], one["ended"]) for one in receipt["attempts"]] == [(1, "finished")]
    records = list(second.control.store.read())
    assert check_readings(records) == []
    assert not [record for record in records if record.event.kind == "agent_lost"]
    second.close()


def test_a_pause_of_the_whole_process_makes_no_agent_silent(service: Service, agent: Agent) -> None:
    agent.sync()

    async def pause() -> bool:
        keeping = asyncio.create_task(service.control._keep_time())
        await asyncio.sleep(0.05)
        service.machine.ms += 10 * GRACE_MS
        await asyncio.sleep(0.1)
        keeping.cancel()
        return service.control.state.world.sites[SiteId("no-hydro")].up

    assert service.loop.run_until_complete(pause())


def test_a_locked_database_is_said_and_ends_the_control_plane_without_a_job_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sunward.adapters.database.BUSY_TIMEOUT_S", 0.01)
    service = Service(tmp_path)
    Agent(service).join()
    head = service.head
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        refused = service.ask("POST", "/v1/jobs", json=JOB, headers={"idempotency-key": "once"})
        assert (refused.status_code, refused.json()["code"]) == (503, "SW-210")
        assert service.head == head
        with pytest.raises(SourceError):
            service.control.commit([service.control.settings.first[2]])
        # From now on it only says that it stops; it is not known to be at fault itself.
        assert service.ask("POST", "/v1/jobs", json=JOB).status_code == 503
        assert isinstance(service.control.failure, SourceError)
    service.close()
    again = Service(tmp_path, service.machine)
    assert again.ok("POST", "/v1/jobs", json=JOB, headers={"idempotency-key": "once"})["job"]
    again.close()
