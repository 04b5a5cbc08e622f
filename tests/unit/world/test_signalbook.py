"""What is known of an hour: observed first, else forecast and labelled so, else nothing."""

from __future__ import annotations

from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.model.signal import Forecast, Observation
from sunward.units import HOUR_MS
from sunward.world.signalbook import KEPT_MS, Datum, SignalBook

CARBON = SeriesKind.CARBON_AVERAGE_LIFECYCLE
DE = ZoneId("DE")


def observation(start_ms: int, *values: int, quality: Quality = Quality.MEASURED) -> Observation:
    return Observation(zone=DE, kind=CARBON, start_ms=start_ms, values=values, source="meter", quality=quality)


def forecast(start_ms: int, *values: int) -> Forecast:
    return Forecast(
        zone=DE,
        kind=CARBON,
        issued_ms=start_ms,
        start_ms=start_ms,
        p10=values,
        p50=values,
        p90=values,
        source="model",
        quality=Quality.ESTIMATED,
    )


def test_observed_before_forecast_before_nothing():
    book = SignalBook()
    assert book.at(DE, CARBON, 0) is None
    book.issue(forecast(0, 10, 20))
    book.observe(observation(HOUR_MS, 7))
    assert book.at(DE, CARBON, HOUR_MS - 1) == Datum(10, "model", Quality.FORECAST)
    assert book.at(DE, CARBON, 2 * HOUR_MS - 1) == Datum(7, "meter", Quality.MEASURED)
    assert book.at(DE, CARBON, 2 * HOUR_MS) is None
    assert book.at(DE, CARBON, -1) is None
    assert book.at(DE, SeriesKind.PRICE, 0) is None


def test_a_later_value_is_a_revision_and_a_new_forecast_replaces():
    book = SignalBook()
    book.observe(observation(0, 1, 2))
    book.observe(observation(HOUR_MS, 5, quality=Quality.ESTIMATED))
    assert [book.at(DE, CARBON, n * HOUR_MS).value for n in (0, 1)] == [1, 5]
    book.issue(forecast(0, 9, 9, 9))
    book.issue(forecast(5 * HOUR_MS, 8))
    assert book.at(DE, CARBON, 2 * HOUR_MS) is None
    assert book.at(DE, CARBON, 5 * HOUR_MS).value == 8


def test_old_hours_are_forgotten():
    book = SignalBook()
    book.observe(observation(0, 1, 2))
    book.observe(observation(KEPT_MS + HOUR_MS, 3))
    assert book.at(DE, CARBON, 0) is None
    assert book.at(DE, CARBON, HOUR_MS).value == 2


def test_a_dump_does_not_depend_on_the_order_of_arrival():
    one, other = SignalBook(), SignalBook()
    parts = [observation(0, 1), observation(HOUR_MS, 2), observation(2 * HOUR_MS, 3)]
    for part in parts:
        one.observe(part)
    for part in reversed(parts):
        other.observe(part)
    one.issue(forecast(0, 1))
    other.issue(forecast(0, 1))
    assert one.dump() == other.dump()
    copy = SignalBook()
    copy.load(one.dump())
    assert (copy.observed, copy.forecasts) == (one.observed, one.forecasts)
