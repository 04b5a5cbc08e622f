"""The end of the service: nobody who waits for orders may hold it up."""

from __future__ import annotations

import time

from tests.api.harness import Agent, Service

LONG_MS = 20_000


def test_an_agent_that_waits_for_orders_is_answered_when_the_service_ends(service: Service, agent: Agent) -> None:
    agent.sync()
    started_s = time.monotonic()
    service.loop.call_later(0.05, service.control.let_go)
    agent.sync(wait_ms=LONG_MS)
    agent.sync(wait_ms=LONG_MS)
    assert time.monotonic() - started_s < LONG_MS / 2_000
