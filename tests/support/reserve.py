"""A history of the reserve in which every kind of event happens once."""

from __future__ import annotations

from sunward.model.challenge import BeaconValue
from sunward.model.events import EpochRequested, PowerReported
from sunward.model.identity import SiteId, TenantId
from sunward.model.reserve import Backing, ReserveRules
from sunward.model.reserve_events import (
    CallReleased,
    DrillsDrawn,
    PromiseCalled,
    PromiseOffered,
    PromiseSold,
    PromiseWithdrawn,
    ReserveRulesSet,
    ReserveUsdTold,
    VaultRequested,
)
from sunward.model.site import PoolPower
from sunward.settlement.ledger import tenant_account
from sunward.sim.memory import MemoryJournal
from sunward.units import HOUR_MS, MINUTE_MS
from tests.support.network import HYDRO, Network
from tests.support.scenarios import START_MS, TENANT

USD = 10**6
OWNER = TenantId("p-no-hydro")
BUYER = tenant_account(TENANT)
BEACON = BeaconValue(source="test", round=1, value="ab" * 32, label="test")
RULES = ReserveRules(drill_milli_per_epoch=0)


def offer(name: str = "r-1", containers: int = 2, **changes: object) -> PromiseOffered:
    """Containers in the north for ten hours, at half a dollar each and hour."""
    plain = {
        "promise": name,
        "owner": OWNER,
        "backing": (Backing(pool=HYDRO, containers=containers),),
        "start_ms": START_MS,
        "end_ms": START_MS + 10 * HOUR_MS,
        "notice_ms": 15 * MINUTE_MS,
        "premium_usd_micro_per_h": USD // 2,
    }
    return PromiseOffered(**(plain | changes))  # type: ignore[arg-type]


def power(*, idle: int = 0, asleep: int = 0, busy: int = 0) -> PowerReported:
    """The containers in the north."""
    one = PoolPower(pool=HYDRO, asleep=asleep, waking=0, idle=idle, busy=busy)
    return PowerReported(site=SiteId("no-hydro"), pools=(one,))


def told_of_reserve() -> MemoryJournal:
    """A promise is sold, called and met; a drill is slept through and costs the premium; someone puts in."""
    network = Network()
    network.tell(
        ReserveRulesSet(rules=RULES),
        ReserveUsdTold(usd_held_micro=1_000 * USD),
        VaultRequested(number=1, holder=BUYER, wei=10**20),
        offer("r-1"),
        offer("r-2", 1),
        PromiseWithdrawn(promise="r-2"),
        PromiseSold(promise="r-1", tenant=TENANT),
    )
    network.wait(1)
    network.tell(PromiseCalled(call="c-1", promise="r-1", containers=1, until_ms=network.at_ms + HOUR_MS))
    network.wait(0.25)
    network.tell(power(idle=1, asleep=3))
    network.wait(0.25)
    network.tell(CallReleased(call="c-1"), power(asleep=4))
    network.tell(DrillsDrawn(draw=0, beacon=BEACON, owners=(OWNER,)))
    network.wait(24)
    network.tell(EpochRequested())
    return network.journal
