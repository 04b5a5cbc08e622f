"""One suite for every live feed: what it tells, what it leaves out, and what becomes of each fault of its source."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from sunward.adapters.feeds import eia, electricity_maps, energy_charts, neso, open_meteo, watttime, web
from sunward.adapters.feeds.feed import Feed, FeedError
from sunward.errors import InputError
from sunward.model.datum import Quality, SeriesKind
from sunward.units import HOUR_MS, SECOND_MS
from tests.support.feed_server import HOUR_S, KEY, NOW_S, USER, Fault, FeedServer

DIRECT, LIFECYCLE = SeriesKind.CARBON_AVERAGE_DIRECT, SeriesKind.CARBON_AVERAGE_LIFECYCLE
NOW_MS = NOW_S * SECOND_MS
DAY_AGO_MS = NOW_MS - 24 * HOUR_MS


@dataclass(frozen=True)
class Case:
    """A feed as the suite drives it: how a value of the served grid becomes one of ours."""

    name: str
    make: Callable[[str], Feed]
    kind: SeriesKind
    expected: Callable[[float], float]
    quality: Quality = Quality.ESTIMATED
    secret: str = ""
    ahead_h: int = 0
    """Hours of forecast that its source gives."""
    stranger: Callable[[str], Feed] | None = None
    """The same of a place its source does not know."""


def _mix(gas_pct: float, wind_pct: float) -> float:
    return (gas_pct * 490 + wind_pct * 11) / (gas_pct + wind_pct) * 1_000


CASES = (
    Case("neso-direct", lambda url: neso.Neso(url=url), DIRECT, lambda v: v * 1_000, ahead_h=48),
    Case("neso-mix", lambda url: neso.Neso(url=url), LIFECYCLE, lambda v: _mix(v / 10, 80 - v / 10)),
    Case(
        "electricity-maps",
        lambda url: electricity_maps.ElectricityMaps(place="DE", key=KEY, url=url),
        LIFECYCLE,
        lambda v: v * 1_000,
        secret=KEY,
        ahead_h=72,
        stranger=lambda url: electricity_maps.ElectricityMaps(place="ZZ", key=KEY, url=url),
    ),
    Case(
        "energy-charts",
        lambda url: energy_charts.EnergyCharts(place="DE-LU", usd_per_eur=1.1, url=url),
        SeriesKind.PRICE,
        lambda v: (v - 110) * 1_100,
        Quality.PUBLISHED,
        ahead_h=33,
        stranger=lambda url: energy_charts.EnergyCharts(place="ZZ", usd_per_eur=1.1, url=url),
    ),
    Case(
        "watttime",
        lambda url: watttime.WattTime(place="CAISO_NORTH", key=f"{USER}:{KEY}", url=url),
        SeriesKind.CARBON_MARGINAL,
        lambda v: v * 10 * 453.59237,
        secret=KEY,
        ahead_h=72,
        stranger=lambda url: watttime.WattTime(place="ZZ", key=f"{USER}:{KEY}", url=url),
    ),
    Case(
        "eia",
        lambda url: eia.Eia(place="CISO", key=KEY, url=url),
        LIFECYCLE,
        lambda v: _mix(v, 300 - v),
        secret=KEY,
    ),
    Case(
        "open-meteo",
        lambda url: open_meteo.OpenMeteo(place="52.5,13.4", url=url),
        SeriesKind.WET_BULB,
        lambda v: (v / 10 - 11) * 1_000,
        ahead_h=72,
        stranger=lambda url: open_meteo.OpenMeteo(place="89,0", url=url),
    ),
)


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request):
    return request.param


@pytest.fixture
def server():
    with FeedServer().serving() as running:
        yield running


@pytest.fixture
def feed(case, server):
    made = case.make(server.url)
    yield made
    made.close()


def shown(case, server, hour_ms):
    return round(case.expected(server.grid.value(hour_ms // SECOND_MS)))


def test_a_day_is_told_hour_by_hour_with_source_and_quality(case, server, feed):
    told = feed.observed(case.kind, DAY_AGO_MS, NOW_MS)
    assert [one.hour_ms for one in told] == list(range(DAY_AGO_MS + HOUR_MS, NOW_MS, HOUR_MS)) or [
        one.hour_ms for one in told
    ] == list(range(DAY_AGO_MS, NOW_MS, HOUR_MS))
    for one in told:
        assert abs(one.value - shown(case, server, one.hour_ms)) <= 1
        assert one.quality is case.quality
    assert len(feed.source(case.kind)) > 10
    assert case.kind in feed.kinds
    assert KEY not in feed.source(case.kind)


def test_what_lies_ahead_is_forecast_or_nothing(case, server, feed):
    told = feed.ahead(case.kind, NOW_MS, NOW_MS + 72 * HOUR_MS)
    assert [one.hour_ms for one in told] == [NOW_MS + hour * HOUR_MS for hour in range(case.ahead_h)]
    quality = Quality.PUBLISHED if case.kind is SeriesKind.PRICE else Quality.FORECAST
    assert {one.quality for one in told} <= {quality}
    assert all(abs(one.value - shown(case, server, one.hour_ms)) <= 1 for one in told)


def test_an_hour_without_a_value_is_left_out_and_never_made_up(case, server, feed):
    hole = NOW_S - 5 * HOUR_S
    server.grid.missing = {hole}
    hours = {one.hour_ms for one in feed.observed(case.kind, DAY_AGO_MS, NOW_MS)}
    assert hole * SECOND_MS not in hours
    assert {(hole - HOUR_S) * SECOND_MS, (hole + HOUR_S) * SECOND_MS} <= hours


def test_the_hour_in_progress_and_later_are_not_told_as_observed_beyond_what_the_source_has(case, feed):
    hours = [one.hour_ms for one in feed.observed(case.kind, DAY_AGO_MS, NOW_MS + HOUR_MS)]
    assert max(hours) <= NOW_MS
    assert min(hours) >= DAY_AGO_MS


def test_a_revised_value_is_told_anew(case, server, feed):
    before = {one.hour_ms: one.value for one in feed.observed(case.kind, DAY_AGO_MS, NOW_MS)}
    hour = NOW_S - 3 * HOUR_S
    server.grid.revised = {hour: 7.0}
    after = {one.hour_ms: one.value for one in feed.observed(case.kind, DAY_AGO_MS, NOW_MS)}
    assert {hour_ms for hour_ms in before if before[hour_ms] != after[hour_ms]} == {hour * SECOND_MS}


HTML = b"<!doctype html><title>Down for maintenance</title>"
FAULTS = {
    "401": (Fault(401), "SW-223", False, 0),
    "403": (Fault(403, HTML), "SW-223", False, 0),
    "404": (Fault(404), "SW-224", False, 0),
    "422": (Fault(422), "SW-224", False, 0),
    "429": (Fault(429, headers=(("Retry-After", "120"),)), "SW-225", True, 120),
    "429 without a word": (Fault(429), "SW-225", True, 0),
    "429 with nonsense": (Fault(429, headers=(("Retry-After", "soon"),)), "SW-225", True, 0),
    "500": (Fault(500, HTML), "SW-226", True, 0),
    "503": (Fault(503, headers=(("Retry-After", "30"),)), "SW-226", True, 30),
    "moved": (Fault(302, headers=(("Location", "http://127.0.0.1:9/elsewhere"),)), "SW-224", False, 0),
    "html": (Fault(200, HTML), "SW-227", True, 0),
    "half a document": (Fault(200, b'{"data": [{"to": "2026-'), "SW-227", True, 0),
    "another document": (Fault(200, b'{"hello": "world"}'), "SW-227", True, 0),
    "a bare list": (Fault(200, b"[]"), "SW-227", True, 0),
    "cut off": (Fault(200, b'{"data": [', cut=True), "SW-226", True, 0),
    "dropped": (Fault(drop=True), "SW-226", True, 0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_named_by_who_must_act_in_one_line_without_secrets(case, server, feed, fault, caplog):
    server.down, code, transient, rest_s = FAULTS[fault]
    with caplog.at_level(logging.DEBUG), pytest.raises(FeedError) as caught:
        feed.observed(case.kind, DAY_AGO_MS, NOW_MS)
    error = caught.value
    assert (error.code, error.transient, error.rest_s) == (code, transient, rest_s)
    assert "127.0.0.1" in error.message
    assert "\n" not in error.message
    assert not case.secret or case.secret not in error.message + "".join(
        r.message for r in caplog.records if r.name.startswith(("httpx", "sunward"))
    )
    server.down = None
    assert feed.observed(case.kind, DAY_AGO_MS, NOW_MS), "the next request must work again"


def test_a_source_that_trickles_is_given_up(case, server, monkeypatch):
    monkeypatch.setattr(web, "ANSWER_S", 0.15)
    server.down = Fault(200, b"{", hang=True)
    feed = case.make(server.url)
    with pytest.raises(FeedError) as caught:
        feed.observed(case.kind, DAY_AGO_MS, NOW_MS)
    assert caught.value.code == "SW-226"
    feed.close()


def test_an_answer_without_end_is_given_up(case, server, feed, monkeypatch):
    monkeypatch.setattr(web, "ANSWER_BYTES_MAX", 100)
    server.down = Fault(200, b" " * 5_000)
    with pytest.raises(FeedError) as caught:
        feed.observed(case.kind, DAY_AGO_MS, NOW_MS)
    assert caught.value.code == "SW-227"


def test_a_source_that_is_not_there_is_an_outage(case):
    with FeedServer().serving() as gone:
        url = gone.url
    feed = case.make(url)
    with pytest.raises(FeedError) as caught:
        feed.observed(case.kind, DAY_AGO_MS, NOW_MS)
    assert caught.value.code == "SW-226"
    assert case.secret == "" or case.secret not in str(caught.value)
    feed.close()


@pytest.mark.parametrize("case", [case for case in CASES if case.stranger], ids=lambda case: case.name)
def test_a_place_unknown_to_the_source_is_the_settings_fault(case, server):
    feed = case.stranger(server.url)
    with pytest.raises(FeedError) as caught:
        feed.observed(case.kind, DAY_AGO_MS, NOW_MS)
    assert (caught.value.code, caught.value.transient) == ("SW-224", False)
    feed.close()


def test_a_span_is_one_the_source_takes(case, server, feed):
    feed.observed(case.kind, NOW_MS - feed.span_ms, NOW_MS)
    assert len(server.asked) <= 2


def test_keys_travel_only_over_an_encrypted_or_local_line(case):
    with pytest.raises(InputError, match="https://"):
        case.make("http://example.org")


def test_a_rest_may_be_given_as_a_date(server):
    moment = datetime.now(UTC) + timedelta(hours=1)
    server.down = Fault(429, headers=(("Retry-After", f"{moment:%a, %d %b %Y %H:%M:%S GMT}"),))
    with pytest.raises(FeedError) as caught:
        neso.Neso(url=server.url).observed(DIRECT, DAY_AGO_MS, NOW_MS)
    assert 3_000 < caught.value.rest_s <= 3_600


def test_electricity_maps_says_which_hours_are_measured_and_asks_the_right_factors(server):
    server.grid.measured = {NOW_S - 2 * HOUR_S}
    feed = electricity_maps.ElectricityMaps(place="DE", key=KEY, url=server.url)
    told = {one.hour_ms: one for one in feed.observed(LIFECYCLE, DAY_AGO_MS, NOW_MS)}
    assert told[(NOW_S - 2 * HOUR_S) * SECOND_MS].quality is Quality.MEASURED
    assert told[(NOW_S - 3 * HOUR_S) * SECOND_MS].quality is Quality.ESTIMATED
    direct = feed.observed(DIRECT, DAY_AGO_MS, NOW_MS)
    assert direct[-1].value * 2 == told[direct[-1].hour_ms].value
    assert "direct" in feed.source(DIRECT)
    assert "life-cycle" in feed.source(LIFECYCLE)
    feed.close()


def test_regions_of_great_britain_are_forecast_only(server):
    feed = neso.Neso(place="13", url=server.url)
    assert feed.observed(DIRECT, DAY_AGO_MS, NOW_MS) == ()
    assert len(feed.ahead(DIRECT, NOW_MS, NOW_MS + 72 * HOUR_MS)) == 48
    assert len(feed.ahead(LIFECYCLE, NOW_MS, NOW_MS + 72 * HOUR_MS)) == 48
    with pytest.raises(FeedError, match="does not know"):
        neso.Neso(place="99", url=server.url).ahead(DIRECT, NOW_MS, NOW_MS + HOUR_MS)
    feed.close()


def test_watttime_logs_in_once_and_again_when_refused(server):
    feed = watttime.WattTime(place="CAISO_NORTH", key=f"{USER}:{KEY}", url=server.url)
    for _ in range(3):
        feed.observed(SeriesKind.CARBON_MARGINAL, DAY_AGO_MS, NOW_MS)
    assert [path for path, _, _ in server.asked].count("/login") == 1
    server.faults.append(Fault(401))
    with pytest.raises(FeedError):
        feed.observed(SeriesKind.CARBON_MARGINAL, DAY_AGO_MS, NOW_MS)
    assert feed.observed(SeriesKind.CARBON_MARGINAL, DAY_AGO_MS, NOW_MS)
    assert [path for path, _, _ in server.asked].count("/login") == 2
    feed.close()


def test_a_wrong_key_is_refused(server):
    for feed, kind in (
        (electricity_maps.ElectricityMaps(place="DE", key="wrong", url=server.url), LIFECYCLE),
        (watttime.WattTime(place="CAISO_NORTH", key="ada:wrong", url=server.url), SeriesKind.CARBON_MARGINAL),
        (eia.Eia(place="CISO", key="wrong", url=server.url), LIFECYCLE),
    ):
        with pytest.raises(FeedError, match="refuses the key"):
            feed.observed(kind, DAY_AGO_MS, NOW_MS)
        feed.close()


def test_an_auction_of_whole_hours_and_an_empty_one_are_read(server):
    feed = energy_charts.EnergyCharts(place="DE-LU", usd_per_eur=1.0, url=server.url)
    hours = list(range(NOW_S, NOW_S + 3 * HOUR_S, HOUR_S))
    for seconds, prices, count in ((hours, [1.0, -2.0, 3.0], 3), (hours[:1], [1.0], 1), ([], [], 0)):
        server.faults.append(
            Fault(200, json.dumps({"unix_seconds": seconds, "price": prices, "unit": "EUR/MWh"}).encode())
        )
        told = feed.observed(SeriesKind.PRICE, NOW_MS, NOW_MS + 24 * HOUR_MS)
        assert [one.value for one in told] == [round(price * 1_000) for price in prices]
        assert len(told) == count
    server.faults.append(Fault(200, b'{"unix_seconds": [1, 2], "price": [1.0], "unit": "EUR/MWh"}'))
    with pytest.raises(FeedError, match="unequal rows"):
        feed.observed(SeriesKind.PRICE, NOW_MS, NOW_MS + 24 * HOUR_MS)
    feed.close()


def test_two_threads_may_ask_at_once(server):
    feed = neso.Neso(url=server.url)
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(len(feed.observed(DIRECT, DAY_AGO_MS, NOW_MS)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [24] * 4
    feed.close()
