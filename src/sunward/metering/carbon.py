"""From energy by lease and hour to accounted hour lines: emissions on both bases, embodied carbon, water."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from sunward.model.datum import Quality
from sunward.model.granular import Claim
from sunward.model.receipt import HourLine
from sunward.units import J_PER_KWH, J_PER_WH, emissions_mg, round_half_up


class Intensity(NamedTuple):
    """Average, life-cycle carbon intensity of one zone in one hour, and where it comes from."""

    mg_per_kwh: int
    source: str
    quality: Quality


IntensityAt: TypeAlias = Callable[[str, int], Intensity]
"""(zone, start of the hour) → average, life-cycle intensity; never a marginal one, which may not account."""

FactorOf: TypeAlias = Callable[[str], int]
"""Zone → mgCO2e/kWh."""


class Claimed(NamedTuple):
    """Certificates of one line, and the market they were deliverable in."""

    market: str = ""
    certificates: tuple[Claim, ...] = ()


ClaimFor: TypeAlias = Callable[[str, str, int, int], Claimed]
"""(site, zone, start of the hour, whole Wh used) → what is claimed for them; never more."""


def unclaimed(site: str, zone: str, hour_ms: int, wh: int) -> Claimed:
    """No certificates at all: of a receipt that is not final."""
    del site, zone, hour_ms, wh
    return Claimed()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFacts:
    """What accounting must know of the containers a lease ran on."""

    site: str
    zone: str
    gpu_model: str
    embodied_mg: int
    """Embodied carbon of one container: its device and its share of the node."""
    service_life_ms: int
    water_ml_per_kwh: int
    """Site water per kWh of IT energy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseHour:
    """Sealed energy of one lease in one hour."""

    pool: PoolFacts
    hour_ms: int
    gpu_ms: int
    gpu_j: int
    host_j: int
    overhead_j: int


def hour_lines(
    energy: Iterable[LeaseHour], intensity: IntensityAt, fossil: FactorOf, claim: ClaimFor = unclaimed
) -> tuple[HourLine, ...]:
    """The lines of one job's receipt, by hour, site and GPU model; rows of one line are summed before any rounding.

    Location-based: facility energy times the zone's average of that hour. Market-based: certificates at their
    factors. No residual mix is at hand, so all other energy counts at the zone's fossil factor
    (`RESIDUAL_MISSING`), never at the location factor.
    """
    merged: dict[tuple[int, str, str], LeaseHour] = {}
    for row in energy:
        key = (row.hour_ms, row.pool.site, row.pool.gpu_model)
        merged[key] = _sum(merged[key], row) if key in merged else row
    return tuple(_line(merged[key], intensity, fossil, claim) for key in sorted(merged))


def embodied_mg(embodied_of_device_mg: int, used_ms: int, service_life_ms: int) -> int:
    """Embodied carbon of the time used, straight-line over the service life, rounded half up."""
    return round_half_up(embodied_of_device_mg * used_ms, service_life_ms)


def water_ml(it_j: int, water_ml_per_kwh: int) -> int:
    """Site water of IT energy, rounded half up."""
    return round_half_up(it_j * water_ml_per_kwh, J_PER_KWH)


def market_mg(energy_j: int, claims: Iterable[Claim], residual_mg_per_kwh: int) -> int:
    """Market-based emissions: claims at their factors, the rest at the residual factor, rounded half up once."""
    counted, rest_j = 0, energy_j
    for one in claims:
        counted += one.wh * J_PER_WH * one.mg_per_kwh
        rest_j -= one.wh * J_PER_WH
    return round_half_up(counted + rest_j * residual_mg_per_kwh, J_PER_KWH)


def _line(row: LeaseHour, intensity: IntensityAt, fossil: FactorOf, claim: ClaimFor) -> HourLine:
    pool = row.pool
    it_j = row.gpu_j + row.host_j
    facility_j = it_j + row.overhead_j
    carbon = intensity(pool.zone, row.hour_ms)
    residual_mg_per_kwh = fossil(pool.zone)
    claimed = claim(pool.site, pool.zone, row.hour_ms, facility_j // J_PER_WH)
    return HourLine(
        site=pool.site,
        zone=pool.zone,
        hour_ms=row.hour_ms,
        gpu_model=pool.gpu_model,
        gpu_ms=row.gpu_ms,
        gpu_j=row.gpu_j,
        host_j=row.host_j,
        overhead_j=row.overhead_j,
        carbon_mg_per_kwh=carbon.mg_per_kwh,
        carbon_source=carbon.source,
        carbon_quality=carbon.quality,
        location_mg=emissions_mg(facility_j, carbon.mg_per_kwh),
        market_mg_per_kwh=residual_mg_per_kwh,
        market_mg=market_mg(facility_j, claimed.certificates, residual_mg_per_kwh),
        embodied_mg=embodied_mg(pool.embodied_mg, row.gpu_ms, pool.service_life_ms),
        water_ml=water_ml(it_j, pool.water_ml_per_kwh),
        market=claimed.market,
        certificates=claimed.certificates,
    )


def _sum(one: LeaseHour, other: LeaseHour) -> LeaseHour:
    return LeaseHour(
        pool=one.pool,
        hour_ms=one.hour_ms,
        gpu_ms=one.gpu_ms + other.gpu_ms,
        gpu_j=one.gpu_j + other.gpu_j,
        host_j=one.host_j + other.host_j,
        overhead_j=one.overhead_j + other.overhead_j,
    )
