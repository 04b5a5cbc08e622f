"""The US Energy Information Administration, API v2: hourly generation by fuel of balancing authorities; needs a key.

It publishes no intensity: the mix gives a life-cycle estimate by published factors. Replies:
https://www.eia.gov/opendata/documentation.php
"""

from __future__ import annotations

from dataclasses import dataclass

from sunward.adapters.feeds.feed import NOT_UNDERSTOOD, FeedError, Told, half_up
from sunward.adapters.feeds.mix import FACTORS, lifecycle_g_per_kwh
from sunward.adapters.feeds.stamps import ms_of, text_of
from sunward.adapters.feeds.web import Web
from sunward.model.datum import Quality, SeriesKind
from sunward.units import DAY_MS, HOUR_MS, MG_PER_G

NAME = "eia"
URL = "https://api.eia.gov"
PATH = "/v2/electricity/rto/fuel-type-data/data/"
ROWS = 5_000
"""The most rows of one answer."""
STAMP = "%Y-%m-%dT%H"
FUELS = {
    "COL": "coal",
    "GEO": "geothermal",
    "NG": "gas",
    "NUC": "nuclear",
    "OIL": "oil",
    "SNB": "solar",
    "SUN": "solar",
    "WAT": "hydro",
    "WNB": "wind",
    "WND": "wind",
}
STORAGE = {"BAT", "PS", "OES", "UES"}
"""What storage gives back was generated before, and counted then."""


@dataclass(frozen=True, slots=True)
class _Row:
    period: str
    fueltype: str
    value: float | str | None


@dataclass(frozen=True, slots=True)
class _Data:
    total: int | str
    data: tuple[_Row, ...]


@dataclass(frozen=True, slots=True)
class _Reply:
    response: _Data


class Eia:
    """One balancing authority, such as CISO."""

    name = NAME
    span_ms = 12 * DAY_MS
    """So many days of every fuel fit into one answer."""
    kinds = (SeriesKind.CARBON_AVERAGE_LIFECYCLE,)

    def __init__(self, *, place: str, key: str, url: str = "") -> None:
        self._respondent = place
        self._web = Web(NAME, url or URL, query={"api_key": key})

    def source(self, kind: SeriesKind) -> str:
        """Basis of the series."""
        del kind
        return f"EIA-930 fuel mix ({self._respondent}) at {FACTORS} (average, life-cycle, generation-based)"

    def observed(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """Hours by the mix of their generation; a period is named by its end."""
        del kind
        query = {
            "frequency": "hourly",
            "data[0]": "value",
            "facets[respondent][]": self._respondent,
            "start": text_of(start_ms + HOUR_MS, STAMP),
            "end": text_of(end_ms, STAMP),
            "sort[0][column]": "period",
            "sort[0][direction]": "asc",
            "length": str(ROWS),
        }
        answer = self._web.get(PATH, _Reply, query).response
        if _amount(answer.total) > len(answer.data):
            raise FeedError(f"{NAME} answered with {len(answer.data)} of {answer.total} rows", code=NOT_UNDERSTOOD)
        return _told(answer.data, start_ms, end_ms)

    def ahead(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """It forecasts demand, not the mix."""
        del kind, start_ms, end_ms
        return ()

    def close(self) -> None:
        """Let go of connections."""
        self._web.close()


def _told(rows: tuple[_Row, ...], start_ms: int, end_ms: int) -> tuple[Told, ...]:
    mixes: dict[int, dict[str, float]] = {}
    for row in rows:
        hour_ms = ms_of(f"{row.period}:00", NAME) - HOUR_MS
        if row.value is not None and row.fueltype not in STORAGE and start_ms <= hour_ms < end_ms:
            mix = mixes.setdefault(hour_ms, {})
            fuel = FUELS.get(row.fueltype, "other")
            mix[fuel] = mix.get(fuel, 0.0) + _amount(row.value)
    found = ((hour_ms, lifecycle_g_per_kwh(mix)) for hour_ms, mix in sorted(mixes.items()))
    return tuple(
        Told(hour_ms, half_up(g_per_kwh * MG_PER_G), Quality.ESTIMATED)
        for hour_ms, g_per_kwh in found
        if g_per_kwh is not None
    )


def _amount(value: float | str) -> float:
    try:
        return float(value)
    except ValueError:
        raise FeedError(f"{NAME} gives an amount that is none: {str(value)[:20]!r}", code=NOT_UNDERSTOOD) from None
