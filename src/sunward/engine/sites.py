"""Sites, signals, money in, and readings: facts that change the world without a state machine."""

from __future__ import annotations

import re

from sunward.engine import leases, rate, readings, staking, supply
from sunward.engine.adjust import adjust
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InputError
from sunward.model.events import (
    ClockMapped,
    Deposited,
    ForecastIssued,
    NetworkStarted,
    PowerReported,
    RateObserved,
    ReadingsSealed,
    SignalObserved,
    SiteEnrolled,
)
from sunward.model.identity import SiteId, pool_id
from sunward.model.site import SiteSpec
from sunward.model.wire import ClockMapping
from sunward.settlement.entries import deposit
from sunward.signals import climatology
from sunward.units import PPM
from sunward.world import catalogue
from sunward.world.capacity import HOURS_A_DAY, closed_at, next_border_ms
from sunward.world.state import QUALITIES, Site, World

PAYOUT = re.compile(r"0x[0-9a-fA-F]{40}")
YEARS = (2006, 2100)
"""No GPU of the catalogue computes on tensors or shaders of a kind older than CUDA."""


def network_started(turn: Turn, payload: NetworkStarted) -> None:
    """Fix the rules and begin the first epoch."""
    turn.world.rules = payload
    turn.state.offset_share_bps = payload.offset_start_bps
    begin_epoch(turn, turn.at_ms)


def check_started(state: State, payload: NetworkStarted) -> None:
    """Refuse to begin a network twice.

    Raises: ConflictError.
    """
    if state.world.rules is not None:
        raise ConflictError(f"network {state.world.rules.network} has begun, not {payload.network}", code="SW-139")


def begin_epoch(turn: Turn, start_ms: int) -> None:
    """Begin the next epoch; it ends by itself after the network's epoch length."""
    state = turn.state
    state.epoch += 1
    state.epoch_start_ms = start_ms
    state.epoch_end_ms = start_ms + turn.world.network.epoch_ms
    state.add_due(state.epoch_end_ms, "epoch", str(state.epoch))


def clock_mapped(turn: Turn, payload: ClockMapped) -> None:
    """Keep the mapping of the two clocks."""
    turn.world.clock = ClockMapping(machine_ms=payload.machine_ms, grid_ms=payload.grid_ms, speed=payload.speed)


def check_enrolled(state: State, payload: SiteEnrolled) -> None:
    """Refuse a site whose declaration cannot be true.

    Raises: InputError.
    """
    spec = payload.spec
    _check_kept(state, spec)
    if spec.overhead_ppm < PPM:
        raise InputError("the overhead ratio must be at least 1", code="SW-130")
    catalogue.load().cooling(spec.cooling)
    climatology.load().zone(spec.zone)
    if not spec.pools:
        raise InputError(f"site {spec.site} offers no GPU; add a pool", code="SW-131")
    for pool in spec.pools:
        gpu = catalogue.load().gpu(pool.gpu_model)
        if pool.gpu_model != gpu.model:
            raise InputError(f"name the GPU by its catalogue key {gpu.model}, not {pool.gpu_model}", code="SW-132")
        if pool.pool != pool_id(spec.site, pool.gpu_model) or pool.count != len(pool.devices) or pool.count < 1:
            raise InputError(f"pool {pool.pool}: its id, count and devices do not agree", code="SW-133")
    _check_terms(spec)
    devices = [device for pool in spec.pools for device in pool.devices]
    if len({pool.pool for pool in spec.pools}) < len(spec.pools) or len(set(devices)) < len(devices):
        raise InputError(f"site {spec.site} names a pool or a device twice", code="SW-133")


def _check_terms(spec: SiteSpec) -> None:
    """When a site works, how it sleeps, and who is paid."""
    hours = spec.closed_hours_utc
    wrong = {
        "closed_hours_utc: hours 0 to 23 in order, each once, and not all of them": hours != tuple(sorted(set(hours)))
        or len(hours) >= HOURS_A_DAY
        or not set(hours) <= set(range(HOURS_A_DAY)),
        "wake_s and asleep_w: not negative": min(spec.wake_s, spec.asleep_w) < 0,
        "payout: empty, or 0x and 40 hex digits": bool(spec.payout) and not PAYOUT.fullmatch(spec.payout),
        f"gpu_year: 0, or a year from {YEARS[0]} to {YEARS[1]}": bool(spec.gpu_year)
        and not YEARS[0] <= spec.gpu_year <= YEARS[1],
    }
    for wanted, is_wrong in wrong.items():
        if is_wrong:
            raise InputError(f"site {spec.site}: {wanted}", code="SW-190")


def _check_kept(state: State, spec: SiteSpec) -> None:
    """A site stays one meter in one zone of one owner, and what a receipt will say of it stands until that is final.

    The ask may change at any time: a lease keeps the one it was offered at.
    """
    known = state.world.sites.get(spec.site)
    if known is None:
        if not spec.site or "/" in spec.site:
            raise InputError(f"site name {spec.site!r} must not be empty or hold a slash", code="SW-133")
        return
    was = known.spec
    if (spec.owner, spec.zone, spec.country) != (was.owner, was.zone, was.country):
        raise ConflictError(
            f"site {spec.site} is enrolled with another owner, zone or country; enrol under another name", code="SW-137"
        )
    if spec.water_ml_per_kwh != was.water_ml_per_kwh and spec.site in state.world.leases.objects["site"]:
        raise ConflictError(
            f"site {spec.site} has jobs without a final receipt, which count its water; change it after the epoch's "
            "close",
            code="SW-138",
        )


def site_enrolled(turn: Turn, payload: SiteEnrolled) -> None:
    """Add a site, or take its new declaration."""
    known = turn.world.sites.get(payload.spec.site)
    if known is None:
        turn.world.sites[payload.spec.site] = Site(spec=payload.spec, enrolled_ms=turn.at_ms)
    else:
        _withdraw_pools(turn, known.spec, payload.spec)
        if known.spec.public_key != payload.spec.public_key:
            readings.key_changed(turn, payload.spec)
        known.spec = payload.spec
        known.left_ms = 0
        leases.unblock(turn, payload.spec.site)
        turn.orders_changed(payload.spec.site)
    staking.note_presence(turn, payload.spec.site)
    if payload.spec.closed_hours_utc:
        look_at_hours(turn, payload.spec.site)
    turn.request_plan("site enrolled")


def look_at_hours(turn: Turn, name: SiteId) -> None:
    """A site opens or closes: move what can be moved when it closes, and remember when that changes next."""
    site = turn.world.sites[name]
    border_ms = next_border_ms(site.spec, turn.at_ms)
    if border_ms is not None and not site.left_ms:
        turn.state.add_due(border_ms, "site", name)
    if closed_at(site.spec, turn.at_ms):
        leases.move_on(turn, name, "closed")
    else:
        leases.unblock(turn, name)
    turn.request_plan("hours")


def _withdraw_pools(turn: Turn, was: SiteSpec, spec: SiteSpec) -> None:
    """Give up the attempts on pools that a new declaration leaves out."""
    kept = {pool.pool for pool in spec.pools}
    for pool in was.pools:
        if pool.pool not in kept:
            for lease in sorted(turn.world.on_pool.get(pool.pool, ())):
                leases.close(turn, lease, "lost")


def power_reported(turn: Turn, payload: PowerReported) -> None:
    """Keep what the agent says of its containers, and plan anew where the owner takes or gives back any."""
    site = turn.world.sites[payload.site]
    changed = False
    for one in payload.pools:
        before = site.power.get(one.pool)
        changed = changed or one.withheld != (before.withheld if before else 0)
        site.power[one.pool] = one
        if one.withheld:
            site.withheld_ms.setdefault(one.pool, turn.at_ms)
        else:
            site.withheld_ms.pop(one.pool, None)
    if changed:
        leases.withdraw_excess(turn, payload.site)
        leases.unblock(turn, payload.site)
        turn.orders_changed(payload.site)
        turn.request_plan("owner")


def signal_observed(turn: Turn, payload: SignalObserved) -> None:
    """Keep observed values; what they change of final receipts is posted beside them."""
    adjust(turn, payload.observations)
    for observation in payload.observations:
        turn.world.signals.observe(observation)


def forecast_issued(turn: Turn, payload: ForecastIssued) -> None:
    """Take new forecasts and plan on them."""
    for forecast in payload.forecasts:
        turn.world.signals.issue(forecast)
    turn.request_plan("forecast")


def check_rate(state: State, payload: RateObserved) -> None:
    """Refuse a rate that would turn payments round, or is not what its sources make.

    Raises: InputError.
    """
    if payload.wei_per_usd_micro < 1:
        raise InputError("the exchange rate must be at least 1 wei for a micro-USD", code="SW-125")
    rate.check_observed(state, payload)


def rate_observed(turn: Turn, payload: RateObserved) -> None:
    """Take the exchange rate for what is settled from now on."""
    turn.world.wei_per_usd_micro = payload.wei_per_usd_micro


def check_deposit(state: State, payload: Deposited) -> None:
    """Refuse an empty deposit.

    Raises: InputError.
    """
    del state
    if payload.amount_wei <= 0:
        raise InputError("a deposit must be more than nothing", code="SW-124")


def deposited(turn: Turn, payload: Deposited) -> None:
    """Credit test ATH."""
    turn.post([deposit(turn.origin(), payload.tenant, payload.amount_wei, payload.deposit)])


def readings_sealed(turn: Turn, payload: ReadingsSealed) -> None:
    """Add sealed energy to leases and sites."""
    world = turn.world
    world.add_energy(payload.leases, world.sequence)
    worst = {seal.site: (QUALITIES.index(seal.quality), seal.uncertainty_ppm) for seal in payload.sites}
    ints = world.leases.ints
    for lease in set(payload.leases.lease):
        row = world.leases.row_of.get(lease)
        quality, uncertainty_ppm = worst.get(world.leases.objects["site"][row], (0, 0)) if row is not None else (0, 0)
        if row is not None:
            ints["quality"][row] = max(int(ints["quality"][row]), quality)
            ints["uncertainty_ppm"][row] = max(int(ints["uncertainty_ppm"][row]), uncertainty_ppm)
    leased_j = _leased_j(world, payload)
    for seal in payload.sites:
        supply.note_idle(turn.state, seal, payload.start_ms)
        world.seal_site(seal, leased_j.get(seal.site, 0))
        readings.sealed(turn, seal, leased_j.get(seal.site, 0))


def _leased_j(world: World, payload: ReadingsSealed) -> dict[str, int]:
    """Facility energy of leases by site."""
    rows, site_of = world.leases.row_of, world.leases.objects["site"]
    columns = payload.leases
    found: dict[str, int] = {}
    for lease, gpu_j, host_j, overhead_j in zip(
        columns.lease, columns.gpu_j, columns.host_j, columns.overhead_j, strict=True
    ):
        if lease in rows:
            site = site_of[rows[lease]]
            found[site] = found.get(site, 0) + gpu_j + host_j + overhead_j
    return found
