"""An archive of one's own: appended to, without doubles or gaps, and whole after every step."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from sunward.adapters.feeds import archive as archives
from sunward.adapters.feeds import electricity_maps, energy_charts, neso
from sunward.adapters.feeds.archive import Archive, Wish, fetch
from sunward.adapters.feeds.feed import FeedError
from sunward.adapters.feeds.files import FileSource
from sunward.cli.main import cli
from sunward.errors import InputError
from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.units import DAY_MS, HOUR_MS, SECOND_MS
from tests.support.feed_server import HOUR_S, KEY, NOW_S, Fault, FeedServer

CARBON = SeriesKind.CARBON_AVERAGE_LIFECYCLE
DE = ZoneId("DE")
NOW_MS = NOW_S * SECOND_MS
START_MS = NOW_MS - 25 * DAY_MS


@pytest.fixture
def server():
    with FeedServer().serving() as running:
        yield running


@pytest.fixture
def feed(server):
    made = electricity_maps.ElectricityMaps(place="DE", key=KEY, url=server.url)
    yield made
    made.close()


@pytest.fixture(params=["mine.csv", "mine.parquet"])
def path(request, tmp_path):
    return tmp_path / request.param


def wish(start_ms=START_MS, end_ms=NOW_MS, **more):
    return Wish(zone=DE, kind=CARBON, start_ms=start_ms, end_ms=end_ms, **more)


def run(feed, path, wanted):
    steps = []
    fetch(feed, Archive(path, wanted.kind), wanted, steps.append, lambda _: None)
    return [step.hours for step in steps]


def values(path, start_ms=START_MS, end_ms=NOW_MS):
    return FileSource(path, CARBON).observe(DE, CARBON, start_ms, end_ms).values.tolist()


def shown(server, start_ms=START_MS, end_ms=NOW_MS):
    return [round(server.grid.value(ms // SECOND_MS) * 1_000) for ms in range(start_ms, end_ms, HOUR_MS)]


def test_a_long_time_is_fetched_in_steps_the_source_takes_and_read_back(server, feed, path):
    assert run(feed, path, wish()) == [240, 240, 120]
    assert values(path) == shown(server)
    series = FileSource(path, CARBON).observe(DE, CARBON, START_MS, NOW_MS)
    assert (series.source, series.quality) == (feed.source(CARBON), Quality.ESTIMATED)


def test_it_is_appended_to_and_nothing_is_asked_twice(server, feed, path):
    run(feed, path, wish(end_ms=START_MS + 3 * DAY_MS))
    asked = len(server.asked)
    assert run(feed, path, wish(end_ms=START_MS + 3 * DAY_MS)) == []
    assert len(server.asked) == asked
    assert run(feed, path, wish(end_ms=START_MS + 4 * DAY_MS)) == [24]
    assert run(feed, path, wish(start_ms=START_MS - 11 * DAY_MS, end_ms=START_MS + 5 * DAY_MS)) == [240, 24, 24]
    assert values(path, START_MS - 11 * DAY_MS, START_MS + 5 * DAY_MS) == shown(
        server, START_MS - 11 * DAY_MS, START_MS + 5 * DAY_MS
    )


def test_asking_again_takes_revisions_in(server, feed, path):
    run(feed, path, wish(end_ms=START_MS + DAY_MS))
    server.grid.revised = {START_MS // SECOND_MS + 3 * HOUR_S: 5.0}
    assert values(path, START_MS, START_MS + DAY_MS) != shown(server, START_MS, START_MS + DAY_MS)
    assert run(feed, path, wish(START_MS - DAY_MS, START_MS + DAY_MS, again=True)) == [24, 24]
    assert values(path, START_MS - DAY_MS, START_MS + DAY_MS) == shown(server, START_MS - DAY_MS, START_MS + DAY_MS)


def test_a_fetch_broken_off_goes_on_where_it_was(server, feed, path):
    server.faults.extend([Fault(500)] * archives.TRIES)
    with pytest.raises(FeedError):
        run(feed, path, wish())
    assert not path.exists()
    run(feed, path, wish(end_ms=START_MS + 10 * DAY_MS))
    server.down = Fault(401)
    with pytest.raises(FeedError, match="refuses the key"):
        run(feed, path, wish())
    assert len(values(path, START_MS, START_MS + 10 * DAY_MS)) == 240, "the file stays whole"
    server.down = None
    assert run(feed, path, wish()) == [240, 120]
    assert list(path.parent.iterdir()) == [path]


def test_a_short_rest_is_taken_and_a_long_one_left_to_the_user(server, feed, path):
    rests = []
    server.faults.extend([Fault(429, headers=(("Retry-After", "7"),)), Fault(500)])
    wanted = wish(end_ms=START_MS + 2 * DAY_MS)
    fetch(feed, Archive(path, CARBON), wanted, lambda _: None, rests.append)
    assert rests == [7, 4]
    server.faults.append(Fault(429, headers=(("Retry-After", "3600"),)))
    with pytest.raises(FeedError, match="too often"):
        fetch(feed, Archive(path, CARBON), wish(), lambda _: None, rests.append)
    assert rests == [7, 4]


def test_a_gap_is_an_error_and_what_lies_up_to_it_is_kept(server, feed, path):
    hole = START_MS // SECOND_MS + 30 * HOUR_S
    server.grid.missing = {hole}
    with pytest.raises(FeedError, match="has no value for an hour near") as caught:
        run(feed, path, wish())
    assert caught.value.code == "SW-229"
    assert len(values(path, START_MS, hole * SECOND_MS)) == 30
    server.grid.missing = set()
    run(feed, path, wish())
    assert values(path) == shown(server)


def test_hours_the_source_has_not_yet_end_it_quietly(server, feed, path):
    assert sum(run(feed, path, wish(start_ms=NOW_MS - 30 * HOUR_MS, end_ms=NOW_MS + 5 * HOUR_MS))) == 31
    assert run(feed, path, wish(start_ms=NOW_MS - 30 * HOUR_MS, end_ms=NOW_MS + 5 * HOUR_MS)) == []


def test_zones_share_a_file_and_sources_do_not(server, feed, path):
    run(feed, path, wish(end_ms=START_MS + DAY_MS))
    other = neso.Neso(url=server.url)
    britain = Wish(zone=ZoneId("GB"), kind=CARBON, start_ms=START_MS, end_ms=START_MS + DAY_MS)
    assert run(other, path, britain) == [24]
    assert FileSource(path, CARBON).holds(DE)
    with pytest.raises(InputError, match="name another file") as caught:
        run(other, path, wish())
    assert caught.value.code == "SW-228"
    with pytest.raises(InputError, match="fetch a time that joins it"):
        run(feed, path, wish(start_ms=START_MS + 3 * DAY_MS))
    other.close()


def test_prices_are_kept_exactly(server, path):
    feed = energy_charts.EnergyCharts(place="DE-LU", usd_per_eur=1.1, url=server.url)
    price = SeriesKind.PRICE
    run(feed, path, Wish(zone=DE, kind=price, start_ms=NOW_MS - DAY_MS, end_ms=NOW_MS))
    told = [one.value for one in feed.observed(price, NOW_MS - DAY_MS, NOW_MS)]
    assert FileSource(path, price).observe(DE, price, NOW_MS - DAY_MS, NOW_MS).values.tolist() == told
    assert min(told) < 0, "negative prices too"
    with pytest.raises(InputError, match="unknown unit"):
        Archive(path, CARBON)
    feed.close()


def test_a_file_of_another_form_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"use \.csv or \.parquet"):
        Archive(tmp_path / "mine.xlsx", CARBON)


def cli_run(*words, **environment):
    return CliRunner().invoke(cli, list(words), env=environment)


def test_the_command_keeps_a_file_and_shows_its_progress(server, tmp_path):
    file = tmp_path / "de.csv"
    words = ("grid", "fetch", "DE", "--source", "electricity-maps", "--from", "2025-06-01", "--to", "2025-06-03T06:00")
    words += ("--to-file", str(file), "--url", server.url)
    result = cli_run(*words, ELECTRICITY_MAPS_TOKEN=KEY)
    assert result.exit_code == 0, result.output
    assert "2025-06-01 00:00Z to 2025-06-03 06:00Z: 54 h kept" in result.stderr
    assert "54 h from 2025-06-01 00:00Z" in result.stdout
    report = json.loads(cli_run(*words, "--json", ELECTRICITY_MAPS_TOKEN=KEY).stdout)
    assert (report["hours"], report["fresh"], report["kind"]) == (54, 0, "carbon_average_lifecycle")
    assert KEY not in result.output + file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("--from", "yesterday"), "SW-230"),
        (("--from", "2025-06-01T06:30"), "SW-230"),
        (("--from", "2999-01-01"), "SW-230"),
        (("--source", "tarot"), "SW-221"),
        (("--kind", "price"), "SW-221"),
        (("--to-file", "mine.xlsx"), "SW-228"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(server, tmp_path, change, code):
    words = ["grid", "fetch", "DE", "--source", "electricity-maps", "--from", "2025-06-01", "--to-file"]
    words += [str(tmp_path / "de.csv"), "--url", server.url, *change]
    result = cli_run(*words, ELECTRICITY_MAPS_TOKEN=KEY)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error {code}: ")
    assert server.asked == []
