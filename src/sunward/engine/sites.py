"""Sites, signals, money in, and readings: facts that change the world without a state machine."""

from __future__ import annotations

from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import InputError, NotFoundError
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
from sunward.model.identity import pool_id
from sunward.model.wire import ClockMapping
from sunward.settlement.entries import deposit
from sunward.signals import climatology
from sunward.units import PPM
from sunward.world import catalogue
from sunward.world.state import QUALITIES, Site


def network_started(turn: Turn, payload: NetworkStarted) -> None:
    """Fix the rules and begin the first epoch."""
    turn.world.rules = payload
    turn.state.offset_share_bps = payload.offset_start_bps
    begin_epoch(turn, turn.at_ms)


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
    del state
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


def site_enrolled(turn: Turn, payload: SiteEnrolled) -> None:
    """Add a site, or take its new declaration."""
    known = turn.world.sites.get(payload.spec.site)
    if known is None:
        turn.world.sites[payload.spec.site] = Site(spec=payload.spec, enrolled_ms=turn.at_ms)
    else:
        known.spec = payload.spec
    turn.request_plan("site enrolled")


def power_reported(turn: Turn, payload: PowerReported) -> None:
    """Keep what the agent says of its containers."""
    turn.world.sites[payload.site].power.update({one.pool: one for one in payload.pools})


def signal_observed(turn: Turn, payload: SignalObserved) -> None:
    """Keep observed values."""
    for observation in payload.observations:
        turn.world.signals.observe(observation)


def forecast_issued(turn: Turn, payload: ForecastIssued) -> None:
    """Take new forecasts and plan on them."""
    for forecast in payload.forecasts:
        turn.world.signals.issue(forecast)
    turn.request_plan("forecast")


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
    turn.post([deposit(turn.origin(), payload.tenant, payload.amount_wei)])


def check_site_known(state: State, site: str) -> None:
    """Refuse a word from a site that never enrolled.

    Raises: NotFoundError.
    """
    if site not in state.world.sites:
        raise NotFoundError(f"site {site} is not enrolled", code="SW-134")


def readings_sealed(turn: Turn, payload: ReadingsSealed) -> None:
    """Add sealed energy to leases and sites."""
    world = turn.world
    world.add_energy(payload.leases, world.sequence)
    worst = {seal.site: QUALITIES.index(seal.quality) for seal in payload.sites}
    for lease in set(payload.leases.lease):
        row = world.leases.row_of.get(lease)
        if row is not None:
            known = int(world.leases.ints["quality"][row])
            world.leases.ints["quality"][row] = max(known, worst[world.leases.objects["site"][row]])
    for seal in payload.sites:
        world.seal_site(seal)
