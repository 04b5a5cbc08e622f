"""Lies about green supply, place, age and who has looked."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from benchmarks._honest import START_MS, a_site
from benchmarks._lies import MY, Ends, Lie, Play, Played, rewarded_usd
from sunward.errors import SunwardError
from sunward.metering.matching import Cancelled, Use, match
from sunward.model.identity import TenantId
from sunward.model.trust import Dimension, Evidence, Level
from sunward.settlement.certificates import LIFETIME_MS, Issue, Registry
from sunward.units import DAY_MS, HOUR_MS, J_PER_WH, PPM, SECOND_MS
from sunward.verification.solar import solar_findings, solar_most_wh
from sunward.world.trust import TrustBook

GREEN_USD_PER_KWH = 0.05
"""What a kWh counted as renewable brings in green staking; above it half the fees end it anyhow."""
NAMEPLATE_W = 50_000
SOLAR_PPM = 5_000
OWNER = TenantId("owner")
HOUR_START_MS = START_MS // HOUR_MS * HOUR_MS


def sun(hours: Callable[[datetime], bool], share: Callable[[random.Random, float], float]) -> Play:
    """A plant somewhere tells a share of nameplate, given what its sky could give at the most."""

    def play(draw: random.Random) -> Played:
        lat, lon = draw.uniform(-60, 60), draw.uniform(-180, 180)
        for _ in range(2_000):
            hour_ms = HOUR_START_MS + draw.randrange(8_766) * HOUR_MS
            local = datetime.fromtimestamp(hour_ms / SECOND_MS + lon * 240, UTC)
            if hours(local):
                break
        most_wh = solar_most_wh(lat, lon, 0.0, hour_ms, NAMEPLATE_W)
        told_wh = round(share(draw, most_wh))
        found = solar_findings(
            "plant",
            lat=lat,
            lon=lon,
            radius_km=0.0,
            hour_ms=hour_ms,
            nameplate_w=NAMEPLATE_W,
            found_wh=told_wh,
            uncertainty_ppm=SOLAR_PPM,
        )
        return Played(
            found=tuple(one.key for one in found),
            prevented=bool(found),
            gain_usd=rewarded_usd(MY.kwh / 3, GREEN_USD_PER_KWH, Dimension.RENEWABLES, Level.METERED),
        )

    return play


def by_night(local: datetime) -> bool:
    """Around midnight, and not in a summer that has no night at 60 degrees."""
    return local.hour in (23, 0) and local.month in (3, 4, 9, 10)


def by_day(local: datetime) -> bool:
    """Around noon."""
    return 10 <= local.hour <= 14


def generator(draw: random.Random) -> Played:
    """A generator feeds the production meter by day, below what the sky allows: it costs its fuel."""
    told = sun(by_day, lambda one, most: most * one.uniform(0.5, 0.95))(draw)
    kwh = MY.kwh / 3
    return Played(found=told.found, gain_usd=told.gain_usd, cost_usd=kwh * 0.25)


def refused(work: Callable[[random.Random], object]) -> Play:
    """A lie that the registry is told; what it is refused with."""

    def play(draw: random.Random) -> Played:
        try:
            work(draw)
        except SunwardError as reason:
            return Played(found=(reason.code or type(reason).__name__,), prevented=True, gain_usd=green_day())
        return Played(gain_usd=green_day())

    return play


def green_day() -> float:
    """A day's use counted as green, fully believed."""
    return rewarded_usd(MY.kwh, GREEN_USD_PER_KWH, Dimension.RENEWABLES, Level.ATTESTED)


def registry(draw: random.Random) -> tuple[Registry, str, int]:
    """A registry with one hour's certificates of the owner: its bundle and last id."""
    books = Registry()
    wh = draw.randint(1_000, 50_000)
    books.issue(OWNER, [an_issue(wh)])
    ((name, one),) = books.bundles.items()
    return books, name, one.last


def an_issue(wh: int, exported_wh: int = 0) -> Issue:
    """An hour of a solar device in Poland's market."""
    return Issue(
        device="pv",
        source="solar",
        market="PL",
        mg_per_kwh=40_000,
        start_ms=HOUR_START_MS,
        end_ms=HOUR_START_MS + HOUR_MS,
        wh=wh,
        exported_wh=exported_wh,
    )


def take(books: Registry, name: str, last: int, to: str) -> None:
    """What the engine does with a request: check, then cancel."""
    books.check_taken(OWNER, [name], [last])
    books.cancel([name], [last], to)


def cancelled_twice(draw: random.Random) -> None:
    """One bundle for two sites."""
    books, name, last = registry(draw)
    take(books, name, last, "site:s-1")
    take(books, name, last, "site:s-2")


def parts_over_whole(draw: random.Random) -> None:
    """The front is used; then all of the bundle again, under its old name."""
    books, name, last = registry(draw)
    take(books, name, last - draw.randint(1, 900), "site:s-1")
    take(books, name, last, "site:s-2")


def past_its_end(draw: random.Random) -> None:
    """A certificate of more than a year ago."""
    books, name, last = registry(draw)
    books.expire(HOUR_START_MS + HOUR_MS + LIFETIME_MS + draw.randint(0, 30) * DAY_MS)
    take(books, name, last, "site:s-1")


def mismatched(hour: int, market: int) -> Play:
    """A certificate of another hour or market: how much of it is matched."""

    def play(draw: random.Random) -> Played:
        used_j = np.array([[draw.randint(1, 10**9), draw.randint(1, 10**9)]], dtype=np.int64)
        one = np.array([0], dtype=np.int64)
        use = Use(
            used_j=used_j,
            market=one,
            tenant=one,
            location_mg_per_kwh=np.full((1, 2), 700_000, dtype=np.int64),
            residual_mg_per_kwh=np.array([800_000], dtype=np.int64),
        )
        used_j[0, hour] = 0
        given = Cancelled(
            hour=np.array([hour], dtype=np.int64),
            market=np.array([market], dtype=np.int64),
            tenant=np.array([-1], dtype=np.int64),
            site=one,
            wh=np.array([10**6], dtype=np.int64),
            mg_per_kwh=np.array([40_000], dtype=np.int64),
            renewable=np.array([True]),
            carbon_free=np.array([True]),
        )
        matched = match(use, given)
        gain_wh = int(matched.renewable_wh.sum())
        whole_wh = int(used_j.sum()) // J_PER_WH
        share = gain_wh / whole_wh if whole_wh else 0.0
        return Played(found=() if gain_wh else ("unmatched",), prevented=not gain_wh, gain_usd=green_day() * share)

    return play


def believed_at(dimension: Dimension, level: Level, *, ended: bool = False) -> float:
    """What the book of evidence lets count of a piece at a level, past its end or not."""
    book = TrustBook()
    book.file(
        Evidence(
            evidence="e-1",
            site=a_site().site,
            dimension=dimension,
            level=level,
            statement="told",
            filed_by=OWNER,
            checked_by="auditor",
            valid_until_ms=START_MS + DAY_MS,
        ),
        START_MS,
    )
    at_ms = START_MS + (2 * DAY_MS if ended else 1)
    return book.believed(a_site(), dimension, at_ms).cap_ppm / PPM


def uncapped(dimension: Dimension, level: Level, full_usd: float) -> Play:
    """A lie that nobody sees, at a level of evidence it can reach."""

    def play(_: random.Random) -> Played:
        counts = believed_at(dimension, level)
        return Played(capped=counts == 0, gain_usd=full_usd * counts)

    return play


def stale(_: random.Random) -> Played:
    """Evidence of devices that were sold long ago."""
    counts = believed_at(Dimension.IDENTITY, Level.ATTESTED, ended=True)
    return Played(found=() if counts else ("expired",), prevented=counts == 0, gain_usd=MY.rewards_most_usd * counts)


def endorser(_: random.Random) -> Played:
    """An endorser signs for what it has not seen; the owner pays it half of what that brings."""
    more = believed_at(Dimension.OVERHEAD, Level.ENDORSED) - believed_at(Dimension.OVERHEAD, Level.METERED)
    return Played(gain_usd=MY.rewards_most_usd * more)


def hours_of_clean_zone(level: Level) -> Play:
    """A site of a dirty zone is said to stand in a clean one; nobody measures."""
    return uncapped(Dimension.PLACE, level, MY.kwh * 0.6 * 0.05)


LIES = (
    Lie(key="night_solar", ends=Ends.DETECTED, play=sun(by_night, lambda one, _: NAMEPLATE_W * one.uniform(0.1, 1))),
    Lie(key="oversized_solar", ends=Ends.DETECTED, play=sun(by_day, lambda one, most: most * one.uniform(1.1, 2) + 50)),
    Lie(key="generator_as_solar", ends=Ends.BOUNDED, play=generator, seen_on_visit=True),
    Lie(key="reused_certificate", ends=Ends.DETECTED, play=refused(cancelled_twice)),
    Lie(key="split_certificate", ends=Ends.DETECTED, play=refused(parts_over_whole)),
    Lie(key="expired_certificate", ends=Ends.DETECTED, play=refused(past_its_end)),
    Lie(key="wrong_hour_certificate", ends=Ends.DETECTED, play=mismatched(hour=1, market=0)),
    Lie(key="wrong_market_certificate", ends=Ends.DETECTED, play=mismatched(hour=0, market=1)),
    Lie(
        key="double_sold_certificate",
        ends=Ends.UNDETECTABLE,
        play=uncapped(Dimension.RENEWABLES, Level.DOCUMENTED, green_day()),
    ),
    Lie(
        key="exported_certificate",
        ends=Ends.UNDETECTABLE,
        play=uncapped(Dimension.RENEWABLES, Level.DECLARED, green_day()),
    ),
    Lie(key="stale_evidence", ends=Ends.DETECTED, play=stale),
    Lie(key="age_forging", ends=Ends.UNDETECTABLE, play=uncapped(Dimension.AGE, Level.DOCUMENTED, 1.0)),
    Lie(key="forged_bill", ends=Ends.UNDETECTABLE, play=uncapped(Dimension.ENERGY, Level.DOCUMENTED, green_day())),
    Lie(key="relayed_key", ends=Ends.UNDETECTABLE, play=hours_of_clean_zone(Level.METERED)),
    Lie(key="colluding_endorser", ends=Ends.BOUNDED, play=endorser, seen_on_visit=True),
)
