"""One site as the API shows it; functions that change nothing."""

from __future__ import annotations

from sunward.engine.ceilings import TIME_MAX_MS
from sunward.engine.epochs import terms
from sunward.engine.membership import unsealed
from sunward.model.job import LeaseState
from sunward.model.site import Ceiling
from sunward.model.site_views import PoolStatus, SiteAccount, SiteLease, SiteStatus
from sunward.service.control import ControlPlane
from sunward.settlement.ledger import provider_account
from sunward.units import BPS, DAY_MS, floor_to, price_usd_micro
from sunward.world.capacity import closed_at, withheld
from sunward.world.ceilings import overlapping
from sunward.world.readings import COVER_MS, WINDOW_MS
from sunward.world.state import Site, World


def site_status(control: ControlPlane, site: Site, *, own: bool) -> SiteStatus:
    """A site as it stands; leases and money for its owner only."""
    spec, now_ms = site.spec, control.clock.grid_ms()
    presence = control.presence.get(spec.site)
    week = control.state.world.readings.over(spec.site, now_ms, COVER_MS)
    today = site.day_ms == floor_to(now_ms, DAY_MS)
    return SiteStatus(
        site=spec.site,
        zone=spec.zone,
        country=spec.country,
        owner=spec.owner,
        reachable=site.up,
        draining=site.draining,
        left_ms=site.left_ms,
        closed=closed_at(spec, now_ms),
        asleep_until_ms=site.asleep_until_ms,
        closed_hours_utc=spec.closed_hours_utc,
        silent_ms=None if presence is None else max(0, control.clock.elapsed_ms() - presence.seen_ms),
        ask_usd_micro_per_gpu_h=spec.ask_usd_micro_per_gpu_h,
        sleep=spec.sleep.value,
        wake_s=spec.wake_s,
        gpu_year=spec.gpu_year,
        pools=_pools(site),
        leased_today_j=site.day_leased_j if today else 0,
        idle_today_j=site.day_idle_j if today else 0,
        account=_account(control, site) if own else None,
        power_ceiling_w=spec.power_ceiling_w,
        ceilings=ceilings_of(site, now_ms) if own else (),
        reading_faults=dict(sorted(control.state.world.readings.over(spec.site, now_ms, WINDOW_MS).faults.items())),
        metered_ppm=week.share_ppm(week.covered_ms) if week.covered_ms else None,
    )


def ceilings_of(site: Site, now_ms: int) -> tuple[Ceiling, ...]:
    """Limits on a site's power that are not over, the first to begin first."""
    return tuple(overlapping(site, now_ms, TIME_MAX_MS))


def _pools(site: Site) -> tuple[PoolStatus, ...]:
    found = []
    for pool in site.spec.pools:
        report = site.power.get(pool.pool)
        found.append(
            PoolStatus(
                pool=pool.pool,
                gpu_model=pool.gpu_model,
                count=pool.count,
                awake=report.idle + report.busy if report else 0,
                busy=report.busy if report else 0,
                withheld=withheld(site, pool),
            )
        )
    return tuple(found)


def _account(control: ControlPlane, site: Site) -> SiteAccount:
    state, spec = control.state, site.spec
    return SiteAccount(
        leases=tuple(_lease(state.world, lease) for lease in state.world.open_leases(spec.site)),
        unsealed=tuple(unsealed(state.world, spec.site)),
        earned_wei=str(state.ledger.balance(provider_account(spec.owner))),
        owed_usd_micro=owed_usd_micro(control, spec.site),
        settles_ms=state.epoch_end_ms,
        payout=spec.payout,
    )


def _lease(world: World, lease: str) -> SiteLease:
    row = world.leases.row_of[lease]
    ints = world.leases.ints
    job_row = world.jobs.row_of[world.leases.objects["job"][row]]
    return SiteLease(
        lease=lease,
        pool=world.leases.objects["pool"][row],
        gpus=int(ints["gpus"][row]),
        state=LeaseState(int(ints["state"][row])).word,
        started_ms=int(ints["started_ms"][row]),
        units_done=int(ints["units"][row]),
        units=int(world.jobs.ints["units"][job_row]),
        can_pause=bool(world.jobs.ints["interruptible"][job_row]),
    )


def owed_usd_micro(control: ControlPlane, site: str) -> int:
    """What its metered work will bring the provider at the shares of now, as far as no receipt of it is final.

    A budget or an escrow may bound a job's payment below this.
    """
    world, shares = control.state.world, terms(control.state)
    table = world.leases
    price = 0
    for lease, row in table.row_of.items():
        if table.objects["site"][row] == site:
            hours = world.energy.rows(world.hours_of.get(lease, ()))
            used_ms = sum(int(world.energy.ints["gpu_ms"][hour]) for hour in hours)
            price += price_usd_micro(used_ms, int(table.ints["ask_usd_micro"][row]))
    after_offset = price - price * shares.offset_share_bps // BPS
    return after_offset * shares.provider_share_bps // BPS
