"""A user's own series in a running service: it decides, it is named, and where it ends the rest goes on, visibly."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sunward.adapters.feeds.files import FileSource, OwnForecastFirst, OwnSeriesFirst
from sunward.adapters.learnt import LearntForecaster
from sunward.adapters.past import Past
from sunward.engine.inputs import Feeds
from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.signals.typical import ClimatologyForecaster, ClimatologySource
from sunward.units import HOUR_MS, SECOND_MS
from tests.api.harness import JOB, START_MS, Agent, Service, submit

CARBON = SeriesKind.CARBON_AVERAGE_LIFECYCLE
ZONE = ZoneId("NO-NO2")
DIRTY_G, CLEAN_G, CLEAN_H, HOURS = 900, 5, 3, 6


@pytest.fixture
def own(tmp_path: Path) -> FileSource:
    """Six hours of the agent's zone, the fourth of them clean."""
    rows = ["zone,ts_utc,value,quality,source"]
    for hour in range(HOURS):
        moment = datetime.fromtimestamp((START_MS + hour * HOUR_MS) // SECOND_MS, UTC)
        rows.append(f"{ZONE},{moment:%Y-%m-%dT%H:%MZ},{CLEAN_G if hour == CLEAN_H else DIRTY_G},measured,my meter")
    file = tmp_path / "own.csv"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return FileSource(file, CARBON)


@pytest.fixture
def fed(service: Service, own: FileSource) -> Service:
    service.control.feeds = Feeds(
        OwnSeriesFirst((own,), ClimatologySource()), OwnForecastFirst((own,), ClimatologyForecaster())
    )
    return service


def test_the_file_is_the_forecast_of_the_hours_it_holds(own: FileSource) -> None:
    typical = ClimatologyForecaster().forecast(ZONE, CARBON, START_MS, 9)
    told = OwnForecastFirst((own,), ClimatologyForecaster()).forecast(ZONE, CARBON, START_MS + 1, 9)
    expected = tuple((CLEAN_G if hour == CLEAN_H else DIRTY_G) * 1_000 for hour in range(HOURS))
    for band, other in ((told.p10, typical.p10), (told.p50, typical.p50), (told.p90, typical.p90)):
        assert band == expected + other[HOURS:]
    assert (told.quality, told.source) == (Quality.FORECAST, f"my meter; where it ends, {typical.source}")
    assert (
        OwnForecastFirst((own,), ClimatologyForecaster()).forecast(ZONE, CARBON, START_MS, HOURS).source == "my meter"
    )


def test_other_zones_kinds_and_later_hours_are_left_to_the_other_forecaster(own: FileSource) -> None:
    typical, told = ClimatologyForecaster(), OwnForecastFirst((own,), ClimatologyForecaster())
    for zone, kind, hour in (("DE", CARBON, 0), (ZONE, SeriesKind.PRICE, 0), (ZONE, CARBON, HOURS)):
        asked = ZoneId(zone), kind, START_MS + hour * HOUR_MS, 4
        assert told.forecast(*asked) == typical.forecast(*asked)


def test_a_job_waits_for_the_clean_hour_of_the_file(fed: Service) -> None:
    agent = Agent(fed, zone=ZONE)
    agent.join()
    agent.sync()
    quote = fed.ok("POST", "/v1/quotes", json=JOB | {"deadline_s": 6 * 3_600})["assignment"]
    assert quote["segments"][0]["start_ms"] == START_MS + CLEAN_H * HOUR_MS
    assert quote["saves_ppm"] > 900_000


def test_where_the_file_ends_the_log_and_the_metrics_say_so_and_planning_goes_on(
    fed: Service, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent(fed, zone=ZONE)
    agent.join()
    agent.sync()
    fed.pass_grid((HOURS + 1) * HOUR_MS)
    with caplog.at_level(logging.WARNING, "sunward.control"):
        job = submit(fed)
        fed.control.ensure_signals()
        fed.control.ensure_signals()
    assert [record.message.partition(":")[0] for record in caplog.records] == ["signals"]
    assert "own.csv" in caplog.text
    metrics = fed.ask("GET", "/metrics", "operator").text
    assert float(metrics.partition("\nsunward_feed_failures_total ")[2].split()[0]) >= 1
    fed.plan()
    assert fed.ok("GET", f"/v1/jobs/{job}")["state"] in ("placed", "staging")
    standing = fed.control.state.world.signals.forecasts[ZONE, SeriesKind.PRICE.value]
    assert standing.start_ms == START_MS + (HOURS + 1) * HOUR_MS, "one failing series must not hold up the others"


def test_hours_gone_are_shown_as_far_back_as_the_file_goes(fed: Service) -> None:
    assert fed.ok("GET", f"/v1/grid?zone={ZONE}&hours=2&past=48")["past"] == []
    fed.pass_grid(2 * HOUR_MS)
    (stretch,) = fed.ok("GET", f"/v1/grid?zone={ZONE}&hours=2&past=48")["past"]
    assert (stretch["start_ms"], stretch["values"]) == (START_MS, [DIRTY_G * 1_000] * 2)
    assert (stretch["source"], stretch["quality"]) == ("my meter", "measured")


def test_a_past_of_eight_weeks_is_learnt_from_and_decides(service: Service, tmp_path: Path) -> None:
    """Four in the morning was clean for sixty days: a job that may wait a day is planned for it."""
    rows = ["zone,ts_utc,value,quality,source"]
    for back in range(60 * 24, 0, -1):
        moment = datetime.fromtimestamp((START_MS - back * HOUR_MS) // SECOND_MS, UTC)
        rows.append(f"{ZONE},{moment:%Y-%m-%dT%H:%MZ},{CLEAN_G if moment.hour == 4 else DIRTY_G},measured,my meter")
    file = tmp_path / "gone.csv"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    learnt = LearntForecaster(Past((FileSource(file, CARBON),)), ClimatologyForecaster())
    learnt.learn(learnt.past, START_MS)
    service.control.feeds = Feeds(ClimatologySource(), learnt)
    agent = Agent(service, zone=ZONE)
    agent.join()
    agent.sync()
    seen = service.ok("GET", f"/v1/grid?zone={ZONE}&hours=168")
    assert seen["source"] == "learnt from 60 days of my meter"
    quote = service.ok("POST", "/v1/quotes", json=JOB | {"deadline_s": 24 * 3_600})["assignment"]
    assert datetime.fromtimestamp(quote["segments"][0]["start_ms"] // SECOND_MS, UTC).hour == 4
    standing = service.control.state.world.signals.forecasts[ZONE, CARBON.value]
    assert (standing.source, standing.p50[:24]) == (seen["source"], tuple(seen["carbon_mg_per_kwh"]["p50"][:24]))
