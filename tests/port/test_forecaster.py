"""Forecaster: one suite on every one; what was learnt says so, and what could not be learnt says why."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from sunward.adapters.feeds.cache import FILE, LEARNT_MS, Cache
from sunward.adapters.feeds.feed import Told
from sunward.adapters.feeds.files import FileSource, OwnForecastFirst
from sunward.adapters.feeds.live import LiveFeeds
from sunward.adapters.learnt import LearntForecaster
from sunward.adapters.past import Past
from sunward.errors import InputError
from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.service.learning import learning
from sunward.signals.typical import ClimatologyForecaster, ClimatologySource
from sunward.units import HOUR_MS, SECOND_MS

CARBON, PRICE, MARGINAL = SeriesKind.CARBON_AVERAGE_LIFECYCLE, SeriesKind.PRICE, SeriesKind.CARBON_MARGINAL
DE, FR, NOWHERE = ZoneId("DE"), ZoneId("FR"), ZoneId("XX")
DAYS = 120
NOW = int(np.datetime64("2026-05-01T12", "ms").astype(np.int64))
BEGIN = NOW - DAYS * 24 * HOUR_MS
TYPICAL = ClimatologyForecaster()


def wave(hours=DAYS * 24, *, level=300.0, seed=3):
    """A day's shape with weather around it."""
    draw = np.random.default_rng(seed)
    noise = np.zeros(hours)
    for hour in range(1, hours):
        noise[hour] = 0.9 * noise[hour - 1] + draw.normal(0, 5)
    return level + 80 * np.cos(np.arange(hours) * 2 * np.pi / 24) + noise


@pytest.fixture
def file(tmp_path):
    return writer(tmp_path)


def writer(folder):
    def written(values, *, zone=DE, kind=CARBON, begin=BEGIN, name="own.csv"):
        path = folder / name
        rows = ["zone,ts_utc,value,quality,source"]
        for hour, value in enumerate(values):
            moment = datetime.fromtimestamp((begin + hour * HOUR_MS) // SECOND_MS, UTC)
            rows.append(f"{zone},{moment:%Y-%m-%dT%H:%MZ},{value:.4f},measured,my meter")
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        return FileSource(path, kind)

    return written


def learnt_of(*files, at_ms=NOW):
    made = LearntForecaster(Past(files), TYPICAL)
    made.learn(made.past, at_ms)
    return made


@pytest.fixture(scope="module")
def once_learnt(tmp_path_factory):
    """Learnt once, for all that only ask it."""
    return learnt_of(writer(tmp_path_factory.mktemp("past"))(wave()))


@pytest.fixture(params=["typical", "learnt", "own first", "live"])
def forecaster(request, file, tmp_path, once_learnt):
    if request.param == "typical":
        yield TYPICAL
        return
    learnt = once_learnt
    if request.param == "learnt":
        yield learnt
        return
    if request.param == "own first":
        yield OwnForecastFirst((file(wave(5), begin=NOW, name="ahead.csv"),), learnt)
        return
    cache = Cache(tmp_path / FILE)
    ahead = tuple(Told(NOW + hour * HOUR_MS, 250_000, Quality.FORECAST) for hour in range(5))
    cache.keep(DE, CARBON, ahead, "feed", NOW, ahead=True)
    feed = SimpleNamespace(name="feed")
    yield LiveFeeds(cache, [SimpleNamespace(zone=DE, feed=feed, kinds=(CARBON,))], ClimatologySource(), learnt)
    cache.close()


@pytest.mark.parametrize("hours", [1, 24, 168, 192, 240])
@pytest.mark.parametrize("late_ms", [0, 1, HOUR_MS - 1])
def test_every_forecaster_gives_the_hours_asked_for(forecaster, hours, late_ms):
    told = forecaster.forecast(DE, CARBON, NOW + late_ms, hours)
    assert (told.zone, told.kind, told.issued_ms, told.start_ms) == (DE, CARBON, NOW + late_ms, NOW)
    assert len(told.p10) == len(told.p50) == len(told.p90) == hours
    assert all(0 <= low <= middle <= high for low, middle, high in zip(told.p10, told.p50, told.p90, strict=True))
    assert all(type(value) is int for band in (told.p10, told.p50, told.p90) for value in band)
    assert told.quality is Quality.FORECAST
    assert told.source


def test_every_forecaster_says_the_same_again(forecaster):
    assert forecaster.forecast(DE, CARBON, NOW, 168) == forecaster.forecast(DE, CARBON, NOW, 168)


def test_every_forecaster_refuses_a_zone_that_nobody_knows(forecaster):
    with pytest.raises(InputError):
        forecaster.forecast(NOWHERE, CARBON, NOW, 24)


def test_every_forecaster_leaves_other_zones_and_series_to_the_typical_year(forecaster):
    for zone, kind in ((FR, CARBON), (DE, PRICE)):
        assert forecaster.forecast(zone, kind, NOW, 48) == TYPICAL.forecast(zone, kind, NOW, 48)


def test_what_is_learnt_follows_the_series_and_names_it(file):
    values = wave(DAYS * 24 + 24)
    told = learnt_of(file(values[: DAYS * 24])).forecast(DE, CARBON, NOW, 24)
    assert told.source == f"learnt from {DAYS} days of my meter"
    off = np.abs(np.array(told.p50) / 1_000 - values[-24:]).mean()
    typical = np.abs(np.array(TYPICAL.forecast(DE, CARBON, NOW, 24).p50) / 1_000 - values[-24:]).mean()
    assert off < 20 < typical


def test_hours_to_come_that_a_file_holds_change_no_forecast(file):
    values = wave(DAYS * 24 + 48)
    planted = values.copy()
    planted[DAYS * 24 :] = 1.0
    cut, honest, false = (
        learnt_of(file(one, name=f"{name}.csv"))
        for name, one in (("cut", values[: DAYS * 24]), ("honest", values), ("false", planted))
    )
    first = cut.forecast(DE, CARBON, NOW, 192)
    assert honest.forecast(DE, CARBON, NOW, 192) == first
    assert false.forecast(DE, CARBON, NOW, 192) == first


def test_a_model_of_later_hours_is_not_used_for_an_earlier_forecast(file):
    told = learnt_of(file(wave())).forecast(DE, CARBON, NOW - 24 * HOUR_MS, 24)
    assert told.source.endswith("what was learnt is of later hours")
    assert told.p50 == TYPICAL.forecast(DE, CARBON, NOW - 24 * HOUR_MS, 24).p50


def test_too_short_a_past_says_how_short(file):
    told = learnt_of(file(wave(20 * 24), begin=NOW - 20 * 24 * HOUR_MS)).forecast(DE, CARBON, NOW, 24)
    typical = TYPICAL.forecast(DE, CARBON, NOW, 24)
    assert told.source == f"{typical.source}; 20 days of it are told, and 56 are needed to learn from"
    assert told.p50 == typical.p50


def test_a_series_that_stopped_says_how_old_it_is(file):
    learnt = learnt_of(file(wave()))
    assert "learnt from" in learnt.forecast(DE, CARBON, NOW + 48 * HOUR_MS, 24).source
    assert "is 49 h old" in learnt.forecast(DE, CARBON, NOW + 49 * HOUR_MS, 24).source


def test_before_anything_was_learnt_it_says_so(file):
    told = LearntForecaster(Past((file(wave()),)), TYPICAL).forecast(DE, CARBON, NOW, 24)
    assert told.source.endswith("; nothing has been learnt of it yet")


def test_a_flat_series_stays_flat_and_says_so(file):
    told = learnt_of(file(np.full(DAYS * 24, 42.0))).forecast(DE, CARBON, NOW, 48)
    assert "it has not moved for weeks" in told.source
    assert max(abs(value - 42_000) for value in told.p50) < 200


def test_beyond_a_horizon_the_typical_year_goes_on_and_is_named(file):
    told = learnt_of(file(wave())).forecast(DE, CARBON, NOW, 240)
    typical = TYPICAL.forecast(DE, CARBON, NOW, 240)
    assert told.p50[192:] == typical.p50[192:]
    assert told.source.endswith(f"; where it ends, {typical.source}")


def test_prices_may_fall_below_nothing_and_marginal_series_are_learnt_too(file):
    price = learnt_of(file(wave(level=0.0) / 1_000, kind=PRICE, name="p.csv")).forecast(DE, PRICE, NOW, 24)
    assert min(price.p50) < 0 < max(price.p50)
    assert "learnt" in learnt_of(file(wave(), kind=MARGINAL)).forecast(DE, MARGINAL, NOW, 24).source
    with pytest.raises(InputError, match="no typical year"):
        learnt_of().forecast(DE, MARGINAL, NOW, 24)


def test_what_a_feed_told_goes_before_a_file_and_is_kept_for_two_years(file, tmp_path):
    cache = Cache(tmp_path / FILE)
    hours = tuple(Told(NOW - back * HOUR_MS, 1_000, Quality.MEASURED) for back in (4, 3, 2, 1))
    cache.keep(DE, CARBON, hours, "feed", NOW, ahead=False)
    cache.keep(DE, CARBON, hours[:1], "feed", NOW + LEARNT_MS - 10 * HOUR_MS, ahead=False)
    gone = Past((file(wave()),), cache).gone(DE, CARBON, BEGIN, NOW)
    cache.close()
    assert gone is not None
    assert gone.values[-4:].tolist() == [1_000.0] * 4
    assert gone.values[-5] > 1_000
    assert (gone.source, gone.last_ms, gone.told_hours) == ("feed", NOW, DAYS * 24)


def test_a_thread_learns_and_the_forecaster_takes_it_up(file):
    made = LearntForecaster(Past((file(wave()),)), TYPICAL)
    with learning(made, lambda: NOW, None) as learnt:
        assert learnt.first.wait(60)
        assert "learnt from" in made.forecast(DE, CARBON, NOW, 24).source


def test_a_feed_is_learnt_from_over_a_connection_of_its_own(tmp_path):
    cache = Cache(tmp_path / FILE)
    told = tuple(
        Told(BEGIN + hour * HOUR_MS, int(value * 1_000), Quality.MEASURED) for hour, value in enumerate(wave())
    )
    cache.keep(DE, CARBON, told, "feed", NOW, ahead=False)
    made = LearntForecaster(Past(), TYPICAL)
    with learning(made, lambda: NOW, tmp_path / FILE) as learnt:
        assert learnt.first.wait(60)
        assert made.forecast(DE, CARBON, NOW, 24).source == f"learnt from {DAYS} days of feed"
    cache.close()


def test_a_zone_that_leads_is_looked_at(file):
    hours = 240 * 24
    begin = NOW - hours * HOUR_MS
    lead = wave(hours, seed=5)
    led = np.concatenate([lead[:4], lead[:-4]])
    changed = lead.copy()
    changed[-2:] += 60.0
    first, second = (
        learnt_of(
            file(led, begin=begin, name=f"led{name}.csv"), file(of, zone=FR, begin=begin, name=f"lead{name}.csv")
        ).forecast(DE, CARBON, NOW, 6)
        for name, of in (("1", lead), ("2", changed))
    )
    # What the other zone has told of the last two hours comes to this one in the third hour and the fourth.
    gain = np.array(second.p50[:6]) - np.array(first.p50[:6])
    assert gain[2:4].min() > np.abs(gain[:2]).max()
