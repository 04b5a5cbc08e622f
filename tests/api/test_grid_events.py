"""A grid server's events lower a site's ceiling and their end lifts it; while the server is away, they stand."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from sunward.adapters.openadr import Vtn
from sunward.service.grid_events import Watch, keep_watching, look
from sunward.service.metrics import Collector
from sunward.units import HOUR_MS
from tests.api.harness import Agent, Service, start
from tests.support.vtn_server import CLIENT, PROGRAM, SECRET, moment, serving

LIMITS = "/v1/sites/no-hydro/ceilings"


@pytest.fixture
def server():
    with serving() as vtn:
        yield vtn


def watching(server, site: str = "no-hydro") -> Watch:
    vtn = Vtn(server.url, program=PROGRAM, client=(CLIENT, SECRET))
    return Watch(site=site, origin=server.url, every_s=0.01, ask=vtn.ask)


def listen(service: Service, watch: Watch) -> None:
    asyncio.run(look(service.control, watch))


def real(service: Service, hours: float):
    """A moment so many hours of grid time ahead, as a clock on the wall shows it."""
    ahead_ms = service.control.clock.grid_ms() + round(hours * HOUR_MS)
    return moment(service.control.clock.mapping.machine(ahead_ms))


def metric(service: Service, watch: Watch, name: str) -> dict[str, float]:
    families = {family.name: family for family in Collector(service.control, [watch]).collect()}
    return {sample.labels["site"]: sample.value for sample in families[f"sunward_{name}"].samples}


def test_an_event_lowers_the_ceiling_and_its_end_lifts_it(service: Service, agent: Agent, server) -> None:
    start(service, agent, interruptible=True, length_s=3_600, deadline_s=36_000)
    speed = service.control.clock.mapping.speed
    server.publish("e-1", start=real(service, 0), lasts=f"PT{max(1, 3_600 // speed)}S", kw=0.1)
    watch = watching(server)
    listen(service, watch)
    (one,) = service.ok("GET", LIMITS, "operator")
    assert (one["ceiling_w"], one["source"]) == (100, "openadr")
    assert one["ceiling"].endswith("-e-1.0")
    assert [order.action for order in agent.sync().orders.leases] == ["suspend"]
    assert metric(service, watch, "site_ceiling_watts") == {"no-hydro": 100}
    head = service.head
    listen(service, watch)
    assert service.head == head, "what is known already is not recorded again"
    service.pass_grid(HOUR_MS + HOUR_MS // 60)
    listen(service, watch)
    assert service.ok("GET", LIMITS, "operator") == []
    assert metric(service, watch, "site_ceiling_watts") == {}


def test_an_event_changed_or_taken_back_is_followed(service: Service, agent: Agent, server) -> None:
    del agent
    watch = watching(server)
    server.publish("e-1", start=real(service, 1), kw=50)
    listen(service, watch)
    server.publish("e-1", start=real(service, 1), kw=30)
    server.publish("e-2", start=real(service, 2), kw=20)
    listen(service, watch)
    assert [one["ceiling_w"] for one in service.ok("GET", LIMITS, "operator")] == [30_000, 20_000]
    del server.events["e-1"]
    listen(service, watch)
    assert [one["ceiling_w"] for one in service.ok("GET", LIMITS, "operator")] == [20_000]


def test_the_service_keeps_asking(service: Service, agent: Agent, server) -> None:
    del agent
    watch = watching(server)

    async def ceilings(count: int) -> int:
        """How many there are, when there are so many or a minute has passed."""
        known = service.control.state.world.sites["no-hydro"].ceilings
        for _ in range(6_000):
            if len(known) == count:
                break
            await asyncio.sleep(0.01)
        return len(known)

    async def story() -> None:
        task = asyncio.create_task(keep_watching(service.control, watch))
        server.publish("e-1", start=real(service, 1), kw=50)
        assert await ceilings(1) == 1
        server.events.clear()
        assert await ceilings(0) == 0
        task.cancel()

    asyncio.run(story())


def test_what_the_operator_told_is_left_alone(service: Service, agent: Agent, server) -> None:
    del agent
    until_ms = service.control.clock.grid_ms() + HOUR_MS
    mine = service.ok("POST", LIMITS, "operator", json={"kw": 9, "until_ms": until_ms})
    listen(service, watching(server))
    assert service.ok("GET", LIMITS, "operator") == [mine]


def test_while_the_server_is_away_its_last_word_stands(service: Service, agent: Agent, server, caplog) -> None:
    del agent
    watch = watching(server)
    server.publish("e-1", start=real(service, 1), kw=50)
    listen(service, watch)
    server.down = 503
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            listen(service, watch)
    assert len(service.ok("GET", LIMITS, "operator")) == 1
    assert caplog.text.count("answers 503") == 1, "said once"
    assert SECRET not in caplog.text
    assert metric(service, watch, "grid_events_failures_in_a_row") == {"no-hydro": 3}
    assert metric(service, watch, "grid_events_age_seconds")["no-hydro"] >= 0
    server.down = 0
    del server.events["e-1"]
    listen(service, watch)
    assert service.ok("GET", LIMITS, "operator") == []
    assert metric(service, watch, "grid_events_failures_in_a_row") == {"no-hydro": 0}


def test_events_of_a_site_that_is_not_there_are_told_and_change_nothing(service: Service, server, caplog) -> None:
    server.publish("e-1", start=real(service, 1), kw=50)
    head = service.head
    with caplog.at_level(logging.WARNING):
        listen(service, watching(server, "nowhere"))
    assert "no site nowhere has joined" in caplog.text
    assert service.head == head


def test_an_event_that_means_nothing_is_told_and_the_others_count(service: Service, agent: Agent, server) -> None:
    del agent
    server.publish("good", start=real(service, 1), kw=50)
    server.publish("bad", start="soon")
    server.publish("negative", start=real(service, 1), kw=-5)
    watch = watching(server)
    listen(service, watch)
    assert [one["ceiling_w"] for one in service.ok("GET", LIMITS, "operator")] == [50_000, 0]
    assert metric(service, watch, "grid_events_unread") == {"no-hydro": 1}


def test_a_server_that_never_was_there_is_no_reason_to_stop(service: Service) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        watch = Watch(site="no-hydro", origin="x", every_s=1, ask=Vtn(f"http://127.0.0.1:{taken.getsockname()[1]}").ask)
        listen(service, watch)
    assert (watch.failures, watch.heard_ms) == (1, None)
