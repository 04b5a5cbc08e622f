"""Where a job's data lies, and what bringing it to each pool costs: list price by region, and carbon at both ends.

Data lies at the site where the job ran last, else in the tenant's origin zone. Within one site nothing moves.
Energy on the way counts at the mean intensity of both ends; how long the way takes is not known and not guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.model.plan import PolicyInputs
from sunward.placement.fleet import Fleet
from sunward.placement.score import BYTES_PER_GB, WH_PER_KWH, carbon_usd_per_kwh, to_integer
from sunward.signals import zones
from sunward.signals.egress import usd_micro_per_gb
from sunward.world.snapshot import FloatArray, IntArray, JobView

NOWHERE = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cargo:
    """What a job brings along when it goes to another site."""

    size_bytes: int
    carbon_price_usd_per_t: int
    site: int
    """Row of the site where the data is now, or NOWHERE: in the origin zone, at no site."""
    zone: str


def cargo_of(fleet: Fleet, job: JobView) -> Cargo:
    """A job's data and checkpoint, and where they lie."""
    at = fleet.pools.site[fleet.row[job.pool]] if job.pool in fleet.row else NOWHERE
    if at == NOWHERE and job.data_site in fleet.sites:
        at = fleet.sites.index(job.data_site)
    here = np.flatnonzero(fleet.pools.site == at)
    return Cargo(
        size_bytes=job.spec.data_bytes + job.checkpoint_bytes,
        carbon_price_usd_per_t=job.spec.carbon_price_usd_per_t,
        site=int(at) if len(here) else NOWHERE,
        zone=fleet.zones[fleet.pools.zone[here[0]]] if len(here) else job.spec.origin_zone,
    )


def brought(fleet: Fleet, cargo: Cargo, rows: IntArray) -> IntArray:
    """(A, H) micro-USD to bring the data from where it lies now."""
    moved = _cost(fleet, cargo, [cargo.zone], carbon_at(fleet, cargo.zone)[None], rows)[0]
    return np.where((fleet.pools.site[rows] == cargo.site)[:, None], 0, moved)


def moves(fleet: Fleet, cargo: Cargo, sites: IntArray, rows: IntArray) -> IntArray:
    """(S, A, H) micro-USD to bring the data on from each of some sites."""
    sources = np.array([int((fleet.pools.site == site).argmax()) for site in sites], dtype=np.int64)
    named = [fleet.zones[zone] for zone in fleet.pools.zone[sources].tolist()]
    moved = _cost(fleet, cargo, named, fleet.carbon[sources], rows)
    same = sites[:, None] == fleet.pools.site[rows]
    return np.where(same[:, :, None], 0, moved)


def _cost(fleet: Fleet, cargo: Cargo, named: Sequence[str], carbon: FloatArray, rows: IntArray) -> IntArray:
    """(S, A, H) tariff and carbon of every way."""
    if not cargo.size_bytes:
        return np.zeros((len(named), len(rows), fleet.slots), dtype=np.int64)
    gigabytes = cargo.size_bytes / BYTES_PER_GB
    kwh = gigabytes * fleet.policy.transfer_wh_per_gb / WH_PER_KWH
    tariff = tariffs(fleet, named)
    there = fleet.carbon[rows]
    here = np.where(np.isnan(carbon)[:, None, :], there, carbon[:, None, :])
    carbon_usd = kwh * carbon_usd_per_kwh((here + there) / 2, cargo.carbon_price_usd_per_t)
    return to_integer(gigabytes * tariff[:, fleet.pools.zone[rows]][:, :, None] + carbon_usd * units.MICRO)


def tariffs(fleet: Fleet, named: Sequence[str]) -> IntArray:
    """(S, Z) micro-USD per GB from some zones to every zone of the fleet."""
    prices = [[_tariff(fleet.policy, one, other) for other in fleet.zones] for one in named]
    return np.array(prices, dtype=np.int64).reshape(len(named), len(fleet.zones))


def _tariff(policy: PolicyInputs, origin: str, zone: str) -> int:
    listed = usd_micro_per_gb(origin, zone) if policy.transfer_by_region else None
    return policy.transfer_usd_micro_per_gb if listed is None else listed


def carbon_at(fleet: Fleet, zone: str) -> FloatArray:
    """(H,) intensity where the data lies: as forecast, else the mean of the zone's typical year, else not known."""
    if zone in fleet.zones:
        forecast: FloatArray = fleet.carbon[int((fleet.pools.zone == fleet.zones.index(zone)).argmax())]
        if forecast.any():
            return forecast
    known = zones.load()
    mean = known.zone(zone).carbon_mean_mgco2e_per_kwh / units.MG_PER_G if zone in known.rows else np.nan
    return np.full(fleet.slots, mean)
