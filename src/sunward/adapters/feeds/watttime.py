"""WattTime, API v3: the marginal operating emissions rate; needs a login. It may steer and never accounts.

Replies: https://docs.watttime.org. Its `signal-index` is a percentile, not an intensity, and is not taken.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sunward.adapters.feeds.feed import NOT_UNDERSTOOD, REFUSED_KEY, FeedError, Sample, Told, hourly
from sunward.adapters.feeds.stamps import ms_of, text_of
from sunward.adapters.feeds.web import Web
from sunward.model.datum import Quality, SeriesKind
from sunward.units import DAY_MS, G_PER_LB, KWH_PER_MWH, MG_PER_G, SECOND_MS

NAME = "watttime"
URL = "https://api.watttime.org"
SIGNAL = "co2_moer"
UNIT = "lbs_co2_per_mwh"
TOKEN_S = 25 * 60
"""A token is good for 30 minutes."""
STAMP = "%Y-%m-%dT%H:%M+00:00"
HORIZON_H = "72"


@dataclass(frozen=True, slots=True)
class _Login:
    token: str


@dataclass(frozen=True, slots=True)
class _Point:
    point_time: str
    value: float | None


@dataclass(frozen=True, slots=True)
class _Meta:
    units: str
    data_point_period_seconds: int


@dataclass(frozen=True, slots=True)
class _Series:
    data: tuple[_Point, ...]
    meta: _Meta


class WattTime:
    """One grid region, such as CAISO_NORTH; the key is `user:password`."""

    name = NAME
    span_ms = 31 * DAY_MS
    """The API takes 32 days."""
    kinds = (SeriesKind.CARBON_MARGINAL,)

    def __init__(self, *, place: str, key: str, url: str = "") -> None:
        self._region = place
        user, _, password = key.partition(":")
        self._login = (user, password)
        self._web = Web(NAME, url or URL)
        self._token = ""
        self._token_until_s = 0.0

    def source(self, kind: SeriesKind) -> str:
        """Basis of the series."""
        del kind
        return f"WattTime API v3 ({self._region}; co2_moer: marginal, direct)"

    def observed(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """Modelled by WattTime from what was generated: an estimate."""
        del kind
        query = {"start": text_of(start_ms, STAMP), "end": text_of(end_ms, STAMP)}
        return self._hours("/v3/historical", query, Quality.ESTIMATED, start_ms, end_ms)

    def ahead(self, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Told, ...]:
        """Up to 72 hours."""
        del kind
        return self._hours("/v3/forecast", {"horizon_hours": HORIZON_H}, Quality.FORECAST, start_ms, end_ms)

    def close(self) -> None:
        """Let go of connections."""
        self._web.close()

    def _hours(
        self, path: str, query: dict[str, str], quality: Quality, start_ms: int, end_ms: int
    ) -> tuple[Told, ...]:
        asked = {"region": self._region, "signal_type": SIGNAL} | query
        try:
            series = self._web.get(path, _Series, asked, headers=self._bearer())
        except FeedError as reason:
            if reason.code == REFUSED_KEY:
                self._token = ""
            raise
        if series.meta.units != UNIT:
            raise FeedError(f"{NAME} gives {series.meta.units[:30]!r}, not {UNIT}", code=NOT_UNDERSTOOD)
        length_ms = series.meta.data_point_period_seconds * SECOND_MS
        scale = G_PER_LB * MG_PER_G / KWH_PER_MWH
        samples = [
            Sample(ms_of(point.point_time, NAME), length_ms, None if point.value is None else point.value * scale)
            for point in series.data
        ]
        return hourly(samples, quality, start_ms, end_ms)

    def _bearer(self) -> dict[str, str]:
        """A token is asked for when there is none that will hold, since logging in is what WattTime limits most."""
        if not self._token or time.monotonic() > self._token_until_s:
            self._token = self._web.get("/login", _Login, login=self._login).token
            self._token_until_s = time.monotonic() + TOKEN_S
        return {"Authorization": f"Bearer {self._token}"}
