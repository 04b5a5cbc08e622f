"""A service on live feeds: what they tell counts and is named, what they do not tell is stood in for, visibly."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sunward.adapters.clock import SystemClock
from sunward.adapters.feeds.cache import FILE, Cache
from sunward.adapters.feeds.live import LiveFeeds
from sunward.adapters.feeds.settings import Subscription, read_feeds
from sunward.engine.inputs import Feeds
from sunward.engine.snapshots import state_digest
from sunward.engine.writer import replay
from sunward.errors import InputError
from sunward.model.codec import decode
from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.service.bootstrap import build_control
from sunward.service.fetching import Fetcher, fetching
from sunward.signals.typical import ClimatologyForecaster, ClimatologySource
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from sunward.verification.bundle import Bundle
from sunward.verification.receipt import verify
from tests.api.harness import FEEDS, Agent, Machine, Service, finish, start
from tests.support.feed_server import HOUR_S, KEY, NOW_S, Fault, FeedServer

CARBON = SeriesKind.CARBON_AVERAGE_LIFECYCLE
DE = ZoneId("DE")
NOW_MS = NOW_S * SECOND_MS
SETTINGS = """
[[feed]]
zone = "DE"
source = "electricity-maps"
kinds = ["carbon_average_lifecycle"]
url = "{url}"
[[feed]]
zone = "DE"
source = "energy-charts"
place = "DE-LU"
usd_per_eur = 1.0
url = "{url}"
[[feed]]
zone = "DE"
source = "watttime"
place = "CAISO_NORTH"
url = "{url}"
"""
KEYS = {"ELECTRICITY_MAPS_TOKEN": KEY, "WATTTIME_LOGIN": f"ada:{KEY}"}


@dataclass
class Fed:
    """A service at real speed, its feeds' sources, and the fetcher's rounds by hand."""

    service: Service
    server: FeedServer
    subscriptions: tuple[Subscription, ...]
    cache: Cache
    fetcher: Fetcher = field(init=False)
    live: LiveFeeds = field(init=False)

    def __post_init__(self) -> None:
        control = self.service.control
        self.live = LiveFeeds(self.cache, self.subscriptions, ClimatologySource(), ClimatologyForecaster())
        control.feeds = Feeds(ClimatologySource(), self.live, self.live)
        path = self.service.home / FILE
        self.fetcher = Fetcher(path, self.subscriptions, control.clock.grid_ms, self.live.tell_news)

    def fetch(self) -> None:
        self.fetcher.round(self.subscriptions, self.cache)
        self.service.control.tick()

    def pass_time(self, ms: int) -> None:
        """Let time pass for the service and its sources alike."""
        self.service.machine.ms += ms
        self.server.grid.now_s = self.service.machine.ms // SECOND_MS
        self.service.control.tick()

    def known(self, hour_ms: int) -> tuple[int, Quality, str]:
        datum = self.service.control.state.world.signals.observed[DE, CARBON.value][hour_ms]
        return datum.value, datum.quality, datum.source

    def line(self, kind: str = CARBON.value) -> dict:
        (found,) = [one for one in self.service.ok("GET", "/v1/feeds") if one["kind"] == kind]
        return found


@pytest.fixture
def fed(tmp_path: Path) -> Iterator[Fed]:
    machine = Machine()
    machine.ms = NOW_MS
    with FeedServer().serving() as server:
        service = Service(tmp_path / "home", machine, speed=1, start_ms=NOW_MS)
        path = tmp_path / "feeds.toml"
        path.write_text(SETTINGS.format(url=server.url), encoding="utf-8")
        cache = Cache(service.home / FILE)
        made = Fed(service, server, read_feeds(path, KEYS), cache)
        agent = Agent(service, zone="DE")
        agent.join()
        yield made
        for one in made.subscriptions:
            one.feed.close()
        cache.close()
        service.close()


def test_what_feeds_tell_decides_and_is_named(fed: Fed) -> None:
    fed.fetch()
    value, quality, source = fed.known(NOW_MS)
    assert (value, quality) == (round(fed.server.grid.value(NOW_S) * 1_000), Quality.ESTIMATED)
    assert source.startswith("Electricity Maps API v3 (DE; average, life-cycle, consumption-based)")
    standing = fed.service.control.state.world.signals.forecasts[DE, CARBON.value]
    told = [round(fed.server.grid.value(NOW_S + hour * HOUR_S) * 1_000) for hour in range(72)]
    assert list(standing.p50[:72]) == told
    typical = ClimatologyForecaster().forecast(DE, CARBON, NOW_MS, 168)
    assert standing.p50[72:] == typical.p50[72:]
    assert all(low <= mid <= high for low, mid, high in zip(standing.p10, standing.p50, standing.p90, strict=True))
    assert standing.p90[5] - standing.p50[5] == typical.p90[5] - typical.p50[5]
    assert "spread and other hours: typical year" in standing.source
    price = fed.service.control.state.world.signals.forecasts[DE, SeriesKind.PRICE.value]
    assert price.p10[:20] == price.p50[:20] == price.p90[:20], "an auction's result is certain"


def test_asking_is_left_to_a_thread_and_planning_never_waits(fed: Fed) -> None:
    fed.server.down = Fault(200, b"{", hang=True)
    control = fed.service.control
    control.ensure_signals()
    assert fed.server.asked == [], "the control plane asks no network"
    assert control.state.world.signals.forecasts[DE, CARBON.value].source.startswith("typical year")


def test_a_silent_hour_waits_then_the_forecast_then_the_typical_year_stands_in(fed: Fed) -> None:
    fed.fetch()
    fed.server.down = Fault(503)
    hour_ms = NOW_MS + HOUR_MS
    observed = fed.service.control.state.world.signals.observed[DE, CARBON.value]
    submit_hours(fed)
    fed.pass_time(2 * HOUR_MS)
    fed.fetch()
    assert hour_ms not in observed, "its value may still come"
    fed.pass_time(2 * HOUR_MS)
    fed.fetch()
    value, quality, source = fed.known(hour_ms)
    assert (value, quality) == (round(fed.server.grid.value(NOW_S + HOUR_S) * 1_000), Quality.FORECAST)
    assert source.startswith("Electricity Maps")
    assert (fed.line()["using"], fed.line()["failures"], fed.line()["code"]) == ("forecast", 2, "SW-226")
    fed.pass_time(80 * HOUR_MS)
    late_ms = NOW_MS + 75 * HOUR_MS
    assert fed.known(late_ms)[1] is not Quality.FORECAST
    assert not fed.known(late_ms)[2].startswith("Electricity Maps API"), "the typical year's own source"
    assert fed.line()["using"] == "typical year"
    fed.server.down = None
    fed.pass_time(MINUTE_MS * 30)
    fed.fetch()
    assert fed.known(hour_ms)[1] is Quality.ESTIMATED, "what is told at last replaces what stood in"
    assert (fed.line()["using"], fed.line()["error"]) == ("observed", "")


def submit_hours(fed: Fed) -> None:
    """A job that stays open makes every hour since its coming needed."""
    fed.service.ok(
        "POST",
        "/v1/jobs",
        json={
            "name": "long",
            "command": ["true"],
            "origin_zone": "DE",
            "length_s": 3_600,
            "deadline_s": 90 * 3_600,
            "units": 10,
        },
    )


def test_a_revision_is_recorded_once_and_silence_never_replaces_a_value(fed: Fed) -> None:
    fed.fetch()
    world = fed.service.control.state.world
    submit_hours(fed)
    fed.pass_time(HOUR_MS)
    fed.fetch()
    hour_ms, before = NOW_MS, fed.known(NOW_MS)[0]
    fed.server.grid.revised = {NOW_S: 9.0}
    fed.pass_time(15 * MINUTE_MS)
    fed.fetch()
    assert fed.known(hour_ms)[0] == before + 9_000
    sequence = world.sequence
    fed.service.control.ensure_signals()
    assert world.sequence == sequence, "nothing new, nothing recorded"
    fed.server.grid.missing = {NOW_S}
    fed.pass_time(5 * HOUR_MS)
    fed.fetch()
    assert fed.known(hour_ms)[0] == before + 9_000


def test_rests_grow_and_honour_what_the_source_asks(fed: Fed) -> None:
    fed.server.down = Fault(500)
    fed.fetch()
    waits = []
    for _ in range(7):
        asked = fed.cache.asked(DE, CARBON)
        waits.append((asked.next_ms - asked.tried_ms) // MINUTE_MS)
        fed.pass_time(asked.next_ms - fed.service.machine.ms)
        fed.fetch()
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    fed.server.down = Fault(429, headers=(("Retry-After", "7200"),))
    fed.pass_time(30 * MINUTE_MS)
    count = len(fed.server.asked)
    fed.fetch()
    asked = fed.cache.asked(DE, CARBON)
    assert asked.next_ms - asked.tried_ms == 2 * HOUR_MS
    fed.pass_time(HOUR_MS)
    before = len(fed.server.asked)
    assert before > count
    fed.fetch()
    assert len(fed.server.asked) == before, "left alone as long as it asked"


def test_a_plan_without_a_past_is_asked_for_the_last_day(fed: Fed) -> None:
    fed.server.faults.append(Fault(403))
    fed.fetch()
    paths = [path for path, _, _ in fed.server.asked if "carbon-intensity" in path]
    assert [path.rpartition("/")[2] for path in paths] == ["past-range", "history", "forecast"]
    assert fed.line()["using"] == "observed"


def test_a_refused_forecast_keeps_what_was_observed(fed: Fed) -> None:
    fed.server.faults.extend([Fault(403), Fault(500)])
    fed.fetch()
    assert (fed.line()["using"], fed.line()["code"]) == ("typical year", "SW-226")
    fed.pass_time(2 * MINUTE_MS)
    fed.fetch()
    fed.pass_time(16 * MINUTE_MS)
    fed.server.down = Fault(403)
    fed.fetch()
    assert (fed.line()["using"], fed.line()["code"]) == ("observed", "SW-223")


def test_answers_survive_a_restart(fed: Fed) -> None:
    fed.fetch()
    again = LiveFeeds(Cache(fed.service.home / FILE), fed.subscriptions, ClimatologySource(), ClimatologyForecaster())
    assert again.told(DE, CARBON, NOW_MS, NOW_MS + HOUR_MS) == fed.live.told(DE, CARBON, NOW_MS, NOW_MS + HOUR_MS)
    asked = len(fed.server.asked)
    path = fed.service.home / FILE
    Fetcher(path, fed.subscriptions, fed.service.control.clock.grid_ms, again.tell_news).round(
        fed.subscriptions, fed.cache
    )
    assert len(fed.server.asked) == asked, "a restart asks nobody before it is time"


def test_the_grid_shows_hours_gone_and_other_series(fed: Fed) -> None:
    fed.fetch()
    view = fed.service.ok("GET", "/v1/grid?zone=DE&hours=48&past=48")
    (stretch,) = view["past"]
    assert stretch["start_ms"] == NOW_MS - 48 * HOUR_MS
    assert len(stretch["values"]) == 48
    assert {one["kind"] for one in view["more"]} == {"carbon_marginal"}
    assert {one["quality"] for one in view["more"]} == {"estimated", "forecast"}
    other = fed.service.ok("GET", "/v1/grid?zone=FR&hours=3&past=5")
    assert [len(one["values"]) for one in other["past"]] == [5]
    assert other["more"] == []
    assert fed.service.ok("GET", "/v1/grid?zone=DE&hours=3")["past"] == []


def test_metrics_and_status_say_what_counts(fed: Fed, caplog: pytest.LogCaptureFixture) -> None:
    fed.fetch()
    text = fed.service.ask("GET", "/metrics", "operator").text
    assert 'sunward_feed_observed{feed="electricity-maps",kind="carbon_average_lifecycle",zone="DE"} 1.0' in text
    assert 'sunward_feed_failures_in_a_row{feed="watttime",kind="carbon_marginal",zone="DE"} 0.0' in text
    fed.server.down = Fault(401)
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):
            fed.pass_time(HOUR_MS)
            fed.fetch()
    told = [record.message for record in caplog.records if record.name == "sunward.feeds"]
    assert len([line for line in told if "carbon_average_lifecycle of DE" in line]) == 1, "said once until it changes"
    assert KEY not in caplog.text + json.dumps(fed.service.ok("GET", "/v1/feeds"))


def test_without_feeds_there_is_no_line(service: Service) -> None:
    assert service.ok("GET", "/v1/feeds") == []
    assert "sunward_feed_observed" not in service.ask("GET", "/metrics", "operator").text


def test_accelerated_or_shifted_grid_time_and_feeds_do_not_meet(fed: Fed, tmp_path: Path) -> None:
    for speed, start_ms in ((1_200, NOW_MS), (1, NOW_MS - DAY_MS)):
        clock = SystemClock(now_ns=fed.service.machine.now_ns, elapsed_ns=fed.service.machine.elapsed_ns)
        control = build_control(tmp_path / str(speed), speed=speed, grid_start_ms=start_ms, feeds=FEEDS, clock=clock)
        asking = fetching(control, fed.subscriptions, tmp_path)
        with pytest.raises(InputError, match="live feeds tell of the real hour") as caught:
            asking.__enter__()
        assert caught.value.code == "SW-220"
        control.store.close()


def test_threads_fetch_by_themselves_and_end(fed: Fed, tmp_path: Path) -> None:
    clock = SystemClock(now_ns=fed.service.machine.now_ns, elapsed_ns=fed.service.machine.elapsed_ns)
    control = build_control(tmp_path / "other", speed=1, grid_start_ms=NOW_MS, feeds=FEEDS, clock=clock)
    with fetching(control, fed.subscriptions, tmp_path / "other"):
        live = control.feeds.live
        assert live is not None
        waited = Cache(tmp_path / "other" / FILE)
        for _ in range(6_000):
            if waited.asked(DE, CARBON) and waited.asked(DE, SeriesKind.PRICE):
                break
            fed.server.ended.wait(0.01)
        assert live.take_news()
        assert live.told(DE, CARBON, NOW_MS - DAY_MS, NOW_MS)
        waited.close()
    control.store.close()


def test_a_revision_after_the_receipt_is_posted_beside_it_and_checked_by_other_code(fed: Fed) -> None:
    fed.fetch()
    fed.service.control.settings.grace_s = DAY_MS / SECOND_MS  # Half an hour passes at one stroke here.
    agent = Agent(fed.service, site="de-late", zone="DE")
    agent.join()
    job, lease = start(fed.service, agent)
    finish(fed.service, agent, lease)
    fed.server.grid.now_s = fed.service.machine.ms // SECOND_MS
    fed.fetch()
    fed.pass_time(20 * MINUTE_MS)
    fed.fetch()
    agent.meter()
    fed.service.ok("POST", "/v1/epochs/close", "operator")
    before = fed.service.ok("GET", f"/v1/jobs/{job}/receipt")
    assert before["final"]
    assert before["adjustments"] == []
    line = before["receipt"]["lines"][0]
    fed.server.grid.revised = {line["hour_ms"] // SECOND_MS: 50.0}
    fed.pass_time(20 * MINUTE_MS)
    fed.fetch()
    after = fed.service.ok("GET", f"/v1/jobs/{job}/receipt")
    assert (after["receipt"], after["signature"]) == (before["receipt"], before["signature"])
    (entry,) = after["adjustments"]
    assert entry["new_mg_per_kwh"] - entry["old_mg_per_kwh"] == 50_000
    assert entry["old_mg"] == line["location_mg"]
    bundle = decode(fed.service.ask("GET", f"/v1/jobs/{job}/bundle").content, Bundle)
    assert len(bundle.adjustments) == len(bundle.revisions) == 1
    assert verify(bundle).findings == ()
    fed.service.ok("POST", "/v1/epochs/close", "operator")
    statement = fed.service.ok("GET", "/v1/epochs")[-1]
    assert (statement["adjustments"], statement["adjusted_location_mg"]) == (1, entry["new_mg"] - entry["old_mg"])
    restarted = replay(fed.service.control.store.read())
    assert state_digest(restarted) == state_digest(fed.service.control.state)
