"""Energy-Charts of Fraunhofer ISE: day-ahead auction prices of European bidding zones; no key.

Its `co2eq` is not taken: its factors are not stated with the reply, so it could not be labelled. Replies:
https://api.energy-charts.info
"""

from __future__ import annotations

from dataclasses import dataclass

from sunward.adapters.feeds.feed import NOT_UNDERSTOOD, FeedError, Sample, Told, hourly
from sunward.adapters.feeds.stamps import text_of
from sunward.adapters.feeds.web import Web
from sunward.model.datum import Quality, SeriesKind
from sunward.units import DAY_MS, HOUR_MS, KWH_PER_MWH, MICRO, MINUTE_MS, SECOND_MS

NAME = "energy-charts"
URL = "https://api.energy-charts.info"
STEP_MS = 15 * MINUTE_MS
EUROS = {"EUR/MWh", "EUR / MWh"}


@dataclass(frozen=True, slots=True)
class _Prices:
    unix_seconds: tuple[int, ...]
    price: tuple[float | None, ...]
    unit: str


class EnergyCharts:
    """One bidding zone, at a rate of exchange that the settings name: prices here are in USD."""

    name = NAME
    span_ms = 30 * DAY_MS
    kinds = (SeriesKind.PRICE,)

    def __init__(self, *, place: str, usd_per_eur: float, url: str = "") -> None:
        self._zone = place
        self._usd_per_eur = usd_per_eur
        self._web = Web(NAME, url or URL)

    def source(self, kind: SeriesKind) -> str:
        """Auction, rate and licence."""
        del kind
        return f"Energy-Charts ({self._zone}; day-ahead auction, CC-BY-4.0) at {self._usd_per_eur} USD/EUR"

    def observed(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """Auction results are published figures, for hours gone and for hours to come alike."""
        del kind
        query = {"bzn": self._zone, "start": text_of(start_ms), "end": text_of(end_ms)}
        return hourly(self._samples(self._web.get("/price", _Prices, query)), Quality.PUBLISHED, start_ms, end_ms)

    def ahead(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """The hours that have been auctioned: until the end of today, or of tomorrow from early afternoon."""
        return self.observed(kind, start_ms, min(end_ms, start_ms + 2 * DAY_MS))

    def close(self) -> None:
        """Let go of connections."""
        self._web.close()

    def _samples(self, prices: _Prices) -> list[Sample]:
        """Quarter-hours, half-hours or hours: an auction's products are as long as they are apart."""
        if prices.unit not in EUROS or len(prices.unix_seconds) != len(prices.price):
            raise FeedError(f"{NAME} gives prices in {prices.unit[:20]!r}, or unequal rows", code=NOT_UNDERSTOOD)
        starts = [second * SECOND_MS for second in prices.unix_seconds]
        ends = [*starts[1:], 2 * starts[-1] - starts[-2] if starts[1:] else sum(starts) + HOUR_MS]
        lengths = [end - start for start, end in zip(starts, ends, strict=False)]
        scale = self._usd_per_eur * MICRO / KWH_PER_MWH
        return [
            Sample(start, length, None if price is None or not STEP_MS <= length <= HOUR_MS else price * scale)
            for start, length, price in zip(starts, lengths, prices.price, strict=True)
        ]
