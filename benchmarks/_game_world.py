"""A year of some zone, the machines in it, and the network that a player of the game joins."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks._series import DATA
from sunward.errors import InputError
from sunward.metering.matching import Cancelled, Use, match
from sunward.model.hardware import WorkClass
from sunward.signals.zones import load as load_zones
from sunward.units import HOUR_MS, J_PER_WH, KWH_PER_MWH, MG_PER_G
from sunward.verification.solar import solar_most_wh
from sunward.world import catalogue, power
from sunward.world.snapshot import FloatArray

DETAIL = DATA / "carbon_intensity_detail_hourly.parquet"
PRICES = DATA / "price_hourly.parquet"
DAY_H = 24
DEGREES_PER_HOUR = 15
PRICE_USD_PER_KWH = 0.08
"""Where no market is on file; and nobody pays less than the delivery."""
DELIVERY_USD_PER_KWH = 0.03
GPU = "H100-SXM"
WORK = WorkClass.TRAINING
CONTAINERS = 8
MEAN_LEASED = 0.6
NAMEPLATE_W = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Zone:
    """One zone's year, hour by hour; whole days."""

    zone: str
    start_ms: int
    carbon_g_per_kwh: FloatArray
    renewable: FloatArray
    """Share of the grid's supply in the hour, 0..1: the shape of what renewable plants there give."""
    price_usd_per_kwh: FloatArray
    clear: FloatArray
    """Most that on-site sun could give, as a share of its nameplate: the bound of `verification.solar`."""
    sun_ahead_h: int

    @property
    def days(self) -> int:
        """How many."""
        return len(self.carbon_g_per_kwh) // DAY_H


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """Watts of one container of the reference site, at the devices and the host."""

    busy_w: float
    idle_w: float
    asleep_w: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Course:
    """A site's true year, hour by hour: (T,) each."""

    leased: FloatArray
    """Containers under lease."""
    leased_it_wh: FloatArray
    idle_it_wh: FloatArray
    """Asleep included."""


def machines() -> Machines:
    """The reference container."""
    gpu = catalogue.load().gpu(GPU)
    return Machines(
        busy_w=power.device_power_w(gpu, WORK, 1.0) + power.host_power_w(gpu, 1.0),
        idle_w=gpu.power_w_idle + gpu.host_w_idle,
        asleep_w=gpu.host_w_asleep,
    )


def load_year(zone: str, year: int) -> Zone:
    """A year of a zone from the open data. Raises: InputError where it has none."""
    table = _rows(DETAIL, zone, year, ("gco2_per_kwh_lca", "renewable_pct"))
    hours = len(table["renewable_pct"]) // DAY_H * DAY_H
    if hours < DAY_H * 300:
        raise InputError(f"{DETAIL.name} has no whole year {year} of {zone}; choose another --year or --zones")
    prices = _rows(PRICES, zone, year, ("price_usd_per_mwh",))["price_usd_per_mwh"][:hours] / KWH_PER_MWH
    known = len(prices) == hours
    start_ms = int(np.datetime64(f"{year}-01-01", "ms").astype(np.int64))
    place = load_zones().zone(zone)
    return Zone(
        zone=zone,
        start_ms=start_ms,
        carbon_g_per_kwh=table["gco2_per_kwh_lca"][:hours],
        renewable=table["renewable_pct"][:hours] / 100,
        price_usd_per_kwh=DELIVERY_USD_PER_KWH + np.maximum(0.0, prices)
        if known
        else np.full(hours, PRICE_USD_PER_KWH + DELIVERY_USD_PER_KWH),
        clear=_clear(place.lat, place.lon, start_ms, hours),
        sun_ahead_h=round(place.lon / DEGREES_PER_HOUR),
    )


def _rows(path: object, zone: str, year: int, columns: tuple[str, ...]) -> dict[str, FloatArray]:
    table = pq.read_table(path, columns=["zone", "ts_utc", *columns])
    kept = pc.and_(pc.equal(table["zone"].cast("string"), zone), pc.equal(pc.year(table["ts_utc"]), year))
    found = table.filter(kept).sort_by("ts_utc")
    return {name: np.asarray(found[name].to_numpy(), dtype=np.float64) for name in columns}


def _clear(lat: float, lon: float, start_ms: int, hours: int) -> FloatArray:
    """The most that sun could give, from one day of every ten."""
    step_h = 10 * DAY_H
    days = [
        [solar_most_wh(lat, lon, 0.0, start_ms + (first + hour) * HOUR_MS, NAMEPLATE_W) for hour in range(DAY_H)]
        for first in range(0, hours, step_h)
    ]
    return np.repeat(np.array(days) / NAMEPLATE_W, 10, axis=0).reshape(-1)[:hours]


def leased_hours(zone: Zone, draw: random.Random, mean: float = MEAN_LEASED) -> FloatArray:
    """Containers under lease: more by day, drifting from week to week, never more than there are."""
    hours = len(zone.renewable)
    noise = np.random.default_rng(draw.getrandbits(64))
    local = (np.arange(hours) + zone.sun_ahead_h) % DAY_H
    drift = np.repeat(np.cumsum(noise.normal(0, 0.05, hours // DAY_H)), DAY_H)
    drift -= np.linspace(0, drift[-1], hours) + np.mean(drift - np.linspace(0, drift[-1], hours))
    wanted = mean + 0.15 * np.sin((local - 8) / DAY_H * 2 * np.pi) + drift * 0.5 + noise.normal(0, 0.1, hours)
    return np.round(np.clip(wanted, 0.0, 1.0) * CONTAINERS)


def course(leased: FloatArray, *, efficiency: float = 1.0, sleeps: bool = True) -> Course:
    """What a site with these leases draws; `efficiency` multiplies what a busy container draws."""
    one = machines()
    rest_w = one.asleep_w if sleeps else one.idle_w
    return Course(
        leased=leased, leased_it_wh=leased * one.busy_w * efficiency, idle_it_wh=(CONTAINERS - leased) * rest_w
    )


def contracted_wh(zone: Zone, mean_wh: float, cover: float) -> FloatArray:
    """What plants under contract give each hour: `cover` times the mean use, in the shape of the grid's renewables."""
    return zone.renewable / zone.renewable.mean() * mean_wh * cover


def matched_wh(zone: Zone, facility_wh: FloatArray, cancelled_wh: FloatArray) -> FloatArray:
    """What certificates cancelled for each hour match of a site's use, by the product's own account."""
    hours = len(facility_wh)
    shown = np.flatnonzero(cancelled_wh >= 1)
    nobody = np.full(len(shown), -1, dtype=np.int64)
    found = match(
        Use(
            used_j=np.round(facility_wh * J_PER_WH).astype(np.int64).reshape(1, hours),
            market=np.zeros(1, dtype=np.int64),
            tenant=np.zeros(1, dtype=np.int64),
            location_mg_per_kwh=np.round(zone.carbon_g_per_kwh * MG_PER_G).astype(np.int64).reshape(1, hours),
            residual_mg_per_kwh=np.full(1, 500 * MG_PER_G, dtype=np.int64),
        ),
        Cancelled(
            hour=shown,
            market=np.zeros(len(shown), dtype=np.int64),
            tenant=nobody,
            site=np.zeros(len(shown), dtype=np.int64),
            wh=cancelled_wh[shown].astype(np.int64),
            mg_per_kwh=np.full(len(shown), 20 * MG_PER_G, dtype=np.int64),
            renewable=np.ones(len(shown), dtype=np.bool_),
            carbon_free=np.ones(len(shown), dtype=np.bool_),
        ),
    )
    return found.renewable_wh[0].astype(np.float64)
