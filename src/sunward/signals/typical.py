"""The typical year as a source and as a forecaster: what needs no network, and says that it is modelled."""

from __future__ import annotations

from sunward.errors import InputError
from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.model.signal import Forecast
from sunward.signals.climatology import load
from sunward.signals.series import UNITS, Series
from sunward.units import HOUR_MS, ceil_to, floor_to


class ClimatologySource:
    """The mean of the packaged typical year, as if it were observed; quality says it is not."""

    def observe(self, zone: ZoneId, kind: SeriesKind, start_ms: int, end_ms: int) -> Series:
        """Hourly values over [start_ms, end_ms), widened to whole hours.

        Raises: InputError for an unknown zone, an empty interval, or a kind that is not packaged.
        """
        if kind not in {SeriesKind.CARBON_AVERAGE_LIFECYCLE, SeriesKind.PRICE}:
            raise InputError(f"no typical year of {kind} is packaged; bring a file of your own")
        if start_ms >= end_ms:
            raise InputError(f"nothing to observe in [{start_ms}, {end_ms}) ms; the end must come after the start")
        year = load()
        known = year.zone(zone)
        first_ms = floor_to(start_ms, HOUR_MS)
        hours = (ceil_to(end_ms, HOUR_MS) - first_ms) // HOUR_MS
        is_price = kind is SeriesKind.PRICE
        moments = (year.price_moments if is_price else year.carbon_moments)(zone, first_ms, hours)
        return Series(
            zone=known.zone,
            kind=kind,
            start_ms=first_ms,
            step_ms=HOUR_MS,
            values=moments.mean,
            unit=UNITS[kind],
            source=known.price_source if is_price else known.carbon_source,
            quality=known.price_quality if is_price else known.carbon_quality,
        )


class ClimatologyForecaster:
    """Typical-year quantiles as a forecast; knows nothing of the present, and says so by its source."""

    def forecast(self, zone: ZoneId, kind: SeriesKind, issued_ms: int, hours: int) -> Forecast:
        """Hourly p10, p50, p90 for `hours` hours from the hour that holds `issued_ms`.

        Raises: InputError for an unknown zone or a kind that has no typical year.
        """
        year = load()
        start_ms = floor_to(issued_ms, HOUR_MS)
        if kind is SeriesKind.CARBON_AVERAGE_LIFECYCLE:
            band = year.carbon_mgco2e_per_kwh(zone, start_ms, hours)
        elif kind is SeriesKind.PRICE:
            band = year.price_usd_micro_per_kwh(zone, start_ms, hours)
        else:
            raise InputError(f"no typical year of {kind} is packaged; bring a file of your own")
        return Forecast(
            zone=zone,
            kind=kind,
            issued_ms=issued_ms,
            start_ms=start_ms,
            p10=tuple(band.p10.tolist()),
            p50=tuple(band.p50.tolist()),
            p90=tuple(band.p90.tolist()),
            source=f"typical year of {band.source}",
            quality=Quality.FORECAST,
        )
