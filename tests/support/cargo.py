"""What bringing data costs, by the rules in words; zones of these worlds have no list price."""

from __future__ import annotations

from sunward.model.job import JobSpec
from sunward.world.snapshot import Snapshot


def moved_usd_micro(world: Snapshot, spec: JobSpec, site: int | None, row: int, slot: int) -> float:
    """From a site, or from the origin zone, to a pool: tariff, and energy at the mean intensity of both ends."""
    pools, gigabytes = world.pools, spec.data_bytes / 1e9
    source = world.zones.index(spec.origin_zone) if site is None else pools.zone[pools.site.tolist().index(site)]
    ends = [float(world.carbon_g_per_kwh[zone, slot]) for zone in (source, pools.zone[row])]
    carbon_usd_per_kwh = sum(ends) / 2 / 1e6 * spec.carbon_price_usd_per_t
    kwh = gigabytes * world.policy.transfer_wh_per_gb / 1e3
    return gigabytes * world.policy.transfer_usd_micro_per_gb + 1e6 * kwh * carbon_usd_per_kwh
