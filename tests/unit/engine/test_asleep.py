"""Machines that sleep: what is refused, what waits for them, who wakes them, and when they are lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine import snapshots
from sunward.errors import ConflictError, InputError
from sunward.model.commands import OrdersChanged, Rejected, RequestPlan
from sunward.model.events import AgentLost, AgentSeen, SiteAsleep, SiteEnrolled
from sunward.model.identity import PoolId, SiteId, TenantId
from sunward.model.plan import AwakeTarget
from sunward.model.site import Phase, Sleep, WakeCall
from sunward.units import DAY_MS, HOUR_MS, SECOND_MS
from sunward.world.asleep import ready_ms
from sunward.world.capacity import capacity
from tests.support.network import HYDRO, SLOT_MS, SOLAR, Network, assignment, of_kind, segment
from tests.support.scenarios import SITES, START_MS, job

NORTH, SOUTH, EAST = (spec.site for spec in SITES)
MAC = "02:00:5e:10:00:01"
WAKE_MS = SITES[0].wake_s * SECOND_MS


def at(hours: float) -> int:
    return START_MS + int(hours * HOUR_MS)


def asleep(hours: float, site: SiteId = NORTH) -> SiteAsleep:
    return SiteAsleep(site=site, until_ms=at(hours))


def awake(site: SiteId = NORTH) -> SiteAsleep:
    return SiteAsleep(site=site, until_ms=0)


def target(from_h: float, to_h: float, pool: PoolId = HYDRO) -> AwakeTarget:
    """Containers ready at `from_h`, as a planner asks for them."""
    return AwakeTarget(pool=pool, start_ms=at(from_h) - WAKE_MS, end_ms=at(to_h), count=1)


def neighbourly(**south: object) -> Network:
    """Two sites of one owner on one network, of which the northern can be woken."""
    home: dict[str, object] = {"owner": TenantId("p-home"), "lan": "home"}
    north = replace(SITES[0], **home, wake_mac=MAC)  # type: ignore[arg-type]
    return Network(sites=(north, replace(SITES[1], **(home | south)), SITES[2]))  # type: ignore[arg-type]


def free(network: Network) -> list[int]:
    """Containers of the northern pool by slot."""
    world, now_ms = network.state.world, network.at_ms
    site = world.sites[NORTH]
    room = capacity(site, site.spec.pools[0], now_ms, SLOT_MS, 24, ready_ms(world, site, now_ms))
    return [int(count) for count in room]


def test_a_machine_asleep_is_planned_on_from_its_alarm_and_offered_nothing_before_it_is_back():
    network = Network()
    network.tell(asleep(2))
    assert free(network)[:10] == [0] * 8 + [4] * 2
    network.submit(job("j-1"), job("j-2"))
    early = network.plan(assignment("j-2", segment(HYDRO, 1, 3)))
    assert [one.reason for one in of_kind(early, Rejected)] == ["capacity"]
    network.plan(assignment("j-1", segment(HYDRO, 2, 4)), awake=(target(2, 4),))
    told = network.wait(2.01)
    assert network.state.world.open_leases(NORTH) == []
    assert "site away" not in [one.reason for one in of_kind(told, RequestPlan)]
    network.tell(awake())
    assert network.state.world.open_leases(NORTH) == ["j-1.1"]


def test_orders_name_the_next_wake_and_none_where_none_is_planned():
    network = Network()
    assert network.orders(NORTH).asleep_until_ms == 0
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 3, 5)), awake=(target(3, 5),))
    assert network.orders(NORTH).asleep_until_ms == at(3)
    assert network.orders(NORTH).awake[0].count == 0
    network.tell(asleep(3))
    network.wait(3 - WAKE_MS / HOUR_MS)
    assert network.orders(NORTH).awake[0].count == 1


@pytest.mark.parametrize(
    ("sleep", "hours", "code"),
    [
        (Sleep.GPU_IDLE, 1, "SW-195"),
        (Sleep.NONE, 1, "SW-195"),
        (Sleep.SUSPEND, -1, "SW-196"),
        (Sleep.OFF, 25, "SW-196"),
    ],
)
def test_only_a_proved_sleep_of_a_day_at_most_is_taken(sleep, hours, code):
    network = Network()
    network.tell(SiteEnrolled(spec=replace(SITES[0], sleep=sleep)))
    refusal = network.refusal(asleep(hours))
    assert isinstance(refusal, InputError)
    assert refusal.code == code


def test_who_is_needed_stays_awake():
    network = Network()
    network.submit(job("j-1"), job("j-2"))
    network.plan(assignment("j-2", segment(HYDRO, 3, 5)), awake=(target(3, 5),))
    assert network.refusal(asleep(4)).code == "SW-198"
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)), awake=(target(3, 5),))
    assert network.refusal(asleep(1)).code == "SW-197"
    network.report("j-1.1", Phase.RUNNING)
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    network.tell(AgentLost(site=NORTH))
    assert isinstance(network.refusal(asleep(1)), ConflictError)


@pytest.mark.parametrize("event", [AgentLost(site=NORTH), AgentSeen(site=NORTH, boot="again"), awake()])
def test_sleep_ends_with_the_agent_or_its_return(event):
    network = Network()
    network.tell(asleep(2), event)
    assert network.state.world.sites[NORTH].asleep_until_ms == 0


def test_a_machine_that_can_be_woken_is_planned_on_after_its_latency():
    network = neighbourly()
    network.tell(asleep(2))
    # A slot that has begun when it is ready is too early; the next one is not.
    assert free(network)[:3] == [0, 4, 4]
    network.submit(job("j-1"))
    hour = SLOT_MS / HOUR_MS
    network.plan(assignment("j-1", segment(HYDRO, hour, 2)), awake=(target(hour, 2),))
    assert network.orders(SOUTH).wake == ()
    told = network.wait(hour - WAKE_MS / HOUR_MS)
    assert {one.site for one in of_kind(told, OrdersChanged)} >= {NORTH, SOUTH}
    assert network.orders(SOUTH).wake == (WakeCall(site=NORTH, mac=MAC),)
    assert network.orders(NORTH).wake == network.orders(EAST).wake == ()
    site = network.state.world.sites[NORTH]
    network.at_ms += WAKE_MS // 2
    assert ready_ms(network.state.world, site, network.at_ms) == at(hour)
    network.tell(awake())
    assert network.orders(SOUTH).wake == ()
    network.wait(WAKE_MS / HOUR_MS)
    assert network.state.world.open_leases(NORTH) == ["j-1.1"]


def test_a_call_that_nobody_hears_stops_counting():
    network = neighbourly()
    network.tell(asleep(2))
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0.25, 2)), awake=(target(0.25, 2),))
    network.wait(0.5)
    assert ready_ms(network.state.world, network.state.world.sites[NORTH], network.at_ms) == at(2)
    assert network.orders(SOUTH).wake == (WakeCall(site=NORTH, mac=MAC),)


@pytest.mark.parametrize("south", [{"owner": TenantId("p-other")}, {"lan": "office"}, {"lan": ""}])
def test_nobody_wakes_across_owners_or_networks(south):
    network = neighbourly(**south)
    network.tell(asleep(2))
    assert free(network)[:9] == [0] * 8 + [4]
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 2, 4)), awake=(target(0.5, 4),))
    network.wait(1)
    assert network.orders(SOUTH).wake == ()


def test_who_is_to_wake_another_stays_awake_itself():
    network = neighbourly()
    network.tell(asleep(3))
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 1, 2)), awake=(target(1, 2),))
    assert network.refusal(asleep(1, SOUTH)).code == "SW-197"
    network.tell(AgentLost(site=SOUTH))
    assert free(network)[4:13] == [0] * 8 + [4]


def test_a_snapshot_keeps_who_sleeps_and_an_older_one_has_nobody():
    network = Network()
    network.tell(asleep(2))
    again = snapshots.load(snapshots.dump(network.state))
    assert again.world.sites[NORTH].asleep_until_ms == at(2)
    assert snapshots.state_digest(again) == snapshots.state_digest(network.state)


def test_the_longest_sleep_is_a_day():
    network = Network()
    network.tell(SiteAsleep(site=SOUTH, until_ms=START_MS + DAY_MS))
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(SOLAR, 23.75, 24)))
    assert network.number("attempts", "j-1") == 0
