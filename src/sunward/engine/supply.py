"""Certificates against what was used: what receipts and idle energy claim when an epoch closes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from sunward.engine.state import State
from sunward.metering.carbon import Claimed, ClaimFor
from sunward.metering.matching import share_ppm
from sunward.metering.split import by_hour, largest_remainder
from sunward.model.granular import Claim, SiteSupply, job_beneficiary, site_beneficiary, tenant_beneficiary
from sunward.model.identity import SiteId
from sunward.model.job import JobSpec
from sunward.model.reading import SiteSeal
from sunward.model.receipt import Receipt
from sunward.signals import markets
from sunward.units import J_PER_WH
from sunward.world.places import counted_zone


def claim_for(state: State, spec: JobSpec) -> ClaimFor:
    """What the lines of a job's final receipt claim: first for the job, then for its tenant, then for the site."""

    def claim(site: str, zone: str, hour_ms: int, wh: int) -> Claimed:
        market = markets.market_of(zone)
        order = (job_beneficiary(spec.job), tenant_beneficiary(spec.tenant), site_beneficiary(site))
        found = state.certificates.claim(order, hour_ms, market, wh) if market else ()
        return Claimed(market, found) if found else Claimed()

    return claim


def note_idle(state: State, seal: SiteSeal, start_ms: int) -> None:
    """Keep idle energy by the hour: even over the time since the seal before, as far as batches of this one go back."""
    idle_j = seal.idle_gpu_j + seal.idle_host_j + seal.idle_overhead_j + seal.unmetered_j
    from_ms = max(start_ms, state.world.sites[seal.site].covered_to_ms)
    parts = by_hour(min(from_ms, seal.covered_to_ms - 1), seal.covered_to_ms)
    hours = state.idle_hours.setdefault(seal.site, {})
    shares = largest_remainder(idle_j, [end_ms - begin_ms for _, begin_ms, end_ms in parts])
    for (hour_ms, _, _), joules in zip(parts, shares, strict=True):
        hours[hour_ms] = hours.get(hour_ms, 0) + joules


@dataclass(slots=True)
class _Hour:
    """One hour of one site in the epoch that closes."""

    facility_j: int = 0
    claims: list[Claim] = field(default_factory=list)

    def wh(self, kinds: Iterable[str]) -> int:
        wanted = set(kinds)
        return sum(one.wh for one in self.claims if one.source in wanted)


def close(state: State, receipts: Sequence[Receipt]) -> tuple[SiteSupply, ...]:
    """Have idle energy claim what is left for its site, and tell of every site with any matched energy."""
    hours: dict[str, dict[int, _Hour]] = {}
    settled = [receipt.job for receipt in receipts]
    for line in (line for receipt in receipts for line in receipt.lines):
        one = hours.setdefault(line.site, {}).setdefault(line.hour_ms, _Hour())
        one.facility_j += line.facility_j
        one.claims += line.certificates
    idle = _claim_idle(state, hours, settled)
    state.certificates.balance()
    return tuple(
        _supply(state, site, hours[site], idle.get(site, ()))
        for site in sorted(hours)
        if any(one.claims for one in hours[site].values())
    )


def _claim_idle(
    state: State, hours: dict[str, dict[int, _Hour]], settled: Collection[str]
) -> dict[str, tuple[Claim, ...]]:
    """Idle energy takes what leases without a final receipt cannot claim any more."""
    open_j: dict[tuple[str, int], int] | None = None
    found: dict[str, tuple[Claim, ...]] = {}
    for site, idle in sorted(state.idle_hours.items()):
        market = _market(state, site)
        beneficiary = site_beneficiary(site)
        for hour_ms, idle_j in sorted(idle.items()):
            one = hours.setdefault(site, {}).setdefault(hour_ms, _Hour())
            one.facility_j += idle_j
            left_wh = state.certificates.unclaimed_wh(beneficiary, hour_ms, market)
            if left_wh:
                open_j = _open_j(state, frozenset(settled)) if open_j is None else open_j
                kept_wh = -(-open_j.get((site, hour_ms), 0) // J_PER_WH)
                wh = min(idle_j // J_PER_WH, max(0, left_wh - kept_wh))
                claims = state.certificates.claim((beneficiary,), hour_ms, market, wh)
                one.claims += claims
                found[site] = (*found.get(site, ()), *claims)
    return found


def _market(state: State, site: str) -> str:
    """Where certificates can reach a site: in the market of the zone that it counts in."""
    return markets.market_of(counted_zone(state.world, state.world.sites[site].spec, state.world.at_ms))


def _open_j(state: State, settled: Collection[str]) -> dict[tuple[str, int], int]:
    """Sealed energy by site and hour of leases whose job has no final receipt yet."""
    world = state.world
    found: dict[tuple[str, int], int] = {}
    for lease, keys in world.hours_of.items():
        row = world.leases.row_of.get(lease)
        if row is None or lease.rpartition(".")[0] in settled:
            continue
        site = world.leases.objects["site"][row]
        ints = world.energy.ints
        for at in world.energy.rows(keys):
            hour = (site, int(ints["hour_ms"][at]))
            used_j = int(ints["gpu_j"][at] + ints["host_j"][at] + ints["overhead_j"][at])
            found[hour] = found.get(hour, 0) + used_j
    return found


def _supply(state: State, site: str, hours: dict[int, _Hour], idle: tuple[Claim, ...]) -> SiteSupply:
    kinds = markets.sources().values()
    renewable = [one.source for one in kinds if one.renewable]
    carbon_free = [one.source for one in kinds if one.carbon_free]
    every = sorted(hours)
    columns = [hours[hour_ms] for hour_ms in every]
    used_j = sum(one.facility_j for one in columns)
    renewable_wh = tuple(one.wh(renewable) for one in columns)
    carbon_free_wh = tuple(one.wh(carbon_free) for one in columns)
    return SiteSupply(
        site=SiteId(site),
        market=_market(state, site),
        hour_ms=tuple(every),
        facility_j=tuple(one.facility_j for one in columns),
        matched_wh=tuple(one.wh(markets.sources()) for one in columns),
        renewable_wh=renewable_wh,
        carbon_free_wh=carbon_free_wh,
        idle_claims=idle,
        renewable_ppm=share_ppm(sum(renewable_wh), used_j),
        carbon_free_ppm=share_ppm(sum(carbon_free_wh), used_j),
    )
