"""What cannot be is found in sealed readings, and becomes a verdict that may be appealed; honest sites have none."""

from __future__ import annotations

import pytest

from sunward.engine.snapshots import state_digest
from sunward.engine.writer import replay
from sunward.model.trust import Consequence, Dimension
from sunward.service.bounding import check_sealed
from sunward.units import DAY_MS, MINUTE_MS
from sunward.world.trust import Judged
from tests.api import harness
from tests.api.harness import Agent, Service


def verdicts(service: Service) -> list[Judged]:
    """All verdicts once five minutes of readings are sealed and checked."""
    service.control.seal_now()
    service.loop.run_until_complete(check_sealed(service.control))
    return list(service.control.state.world.trust.verdicts.values())


def five_minutes(service: Service, agent: Agent) -> None:
    service.pass_grid(5 * MINUTE_MS)
    agent.sync()
    agent.meter()


def test_an_honest_site_has_no_verdict(service: Service, agent: Agent) -> None:
    for _ in range(3):
        five_minutes(service, agent)
        assert verdicts(service) == []


def test_a_host_that_counts_nothing_lowers_what_is_believed(
    service: Service, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "HOST_W", 0)
    five_minutes(service, agent)
    (found,) = verdicts(service)
    record = found.record
    assert (record.fault, record.site, record.dimension) == ("host_low", agent.site, Dimension.ENERGY)
    assert record.consequence is Consequence.LEVEL_LOWERED
    assert record.appeal_until_ms > record.at_ms
    assert len(record.evidence) == 5
    assert "counted 0 J" in record.text
    audit = service.ok("GET", f"/v1/sites/{agent.site}/audit", "auditor")
    assert record.verdict in str(audit)


def test_one_lie_is_one_verdict_a_day(service: Service, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "BUSY_W", 900)
    for _ in range(3):
        five_minutes(service, agent)
        assert [one.record.fault for one in verdicts(service)] == ["energy_high"]
    service.pass_grid(DAY_MS)
    agent.sync()
    agent.metered_to_ms = service.control.clock.grid_ms()
    five_minutes(service, agent)
    assert [one.record.fault for one in verdicts(service)] == ["energy_high"] * 2


def test_verdicts_survive_a_replay(service: Service, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "BUSY_W", 900)
    five_minutes(service, agent)
    before = verdicts(service)
    again = replay(service.control.store.read())
    assert list(again.world.trust.verdicts.values()) == before
    assert state_digest(again) == state_digest(service.control.state)
