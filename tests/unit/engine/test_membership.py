"""A site drains, closes for hours, keeps containers for itself, leaves and comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine.snapshots import dump, load, state_digest
from sunward.engine.writer import replay
from sunward.errors import ConflictError
from sunward.model.commands import JobChanged, Rejected, RequestPlan
from sunward.model.events import (
    AgentLost,
    AgentSeen,
    EpochRequested,
    PowerReported,
    SiteDrained,
    SiteEnrolled,
    SiteLeft,
)
from sunward.model.identity import SiteId
from sunward.model.job import JobState
from sunward.model.site import Phase, PoolPower
from sunward.units import HOUR_MS
from tests.support.network import HYDRO, SOLAR, Network, assignment, of_kind, segment
from tests.support.scenarios import SITES, START_MS, job

NORTH = SiteId("no-hydro")
SPEC = SITES[0]
FIRST_HOUR = START_MS // HOUR_MS % 24


def drain(network: Network, *, draining: bool = True):
    return network.tell(SiteDrained(site=NORTH, draining=draining))


def withhold(network: Network, containers: int):
    pool = PoolPower(pool=HYDRO, asleep=0, waking=0, idle=4, busy=0, withheld=containers)
    return network.tell(PowerReported(site=NORTH, pools=(pool,)))


def running(*, interruptible: bool) -> Network:
    """`j-1` runs in the north."""
    network = Network()
    network.submit(job("j-1", interruptible=interruptible))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    return network


def actions(network: Network) -> list[str]:
    return [order.action for order in network.orders(NORTH).leases]


def state_of(network: Network, name: str) -> JobState:
    return network.state.world.jobs.state(network.state.world.jobs.row_of[name])


def test_work_that_can_pause_moves_from_a_draining_site():
    network = running(interruptible=True)
    commands = drain(network)
    assert actions(network) == ["suspend"]
    assert of_kind(commands, RequestPlan)
    network.report("j-1.1", Phase.SUSPENDED, units=400, checkpoint=400)
    assert state_of(network, "j-1") is JobState.SUSPENDED
    (line,) = network.state.world.jobs.objects["attempt_lines"][network.state.world.jobs.row_of["j-1"]]
    assert line.ended == "draining"
    network.plan(assignment("j-1", segment(SOLAR, 0, 2)))
    network.report("j-1.2", Phase.RUNNING, units=400)
    assert state_of(network, "j-1") is JobState.RUNNING


def test_other_work_ends_where_it_is():
    network = running(interruptible=False)
    drain(network)
    assert actions(network) == ["run"]
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    assert state_of(network, "j-1") is JobState.FINISHED


def test_what_nobody_accepted_is_withdrawn():
    network = Network()
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    drain(network)
    assert (actions(network), state_of(network, "j-1")) == ([], JobState.SUBMITTED)


def test_a_draining_site_is_offered_nothing_until_that_is_undone():
    network = Network()
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0.5, 2)))
    drain(network)
    asked = network.wait(1)
    assert actions(network) == []
    assert of_kind(asked, RequestPlan)
    rejected = of_kind(network.plan(assignment("j-1", segment(HYDRO, 1, 3))), Rejected)
    assert [one.reason for one in rejected] == ["capacity"]
    drain(network, draining=False)
    assert actions(network) == ["run"]


def test_saying_it_twice_changes_nothing():
    network = running(interruptible=True)
    drain(network)
    assert drain(network) == []
    assert network.refusal(SiteDrained(site=SiteId("nowhere"), draining=True)).code == "SW-134"


def closing(network: Network, *hours: int) -> None:
    spec = replace(SPEC, closed_hours_utc=tuple(sorted((FIRST_HOUR + hour) % 24 for hour in hours)))
    network.tell(SiteEnrolled(spec=spec))


@pytest.mark.parametrize(("interruptible", "action"), [(True, "suspend"), (False, "run")])
def test_at_the_start_of_a_closed_hour_what_can_pause_does(interruptible, action):
    network = running(interruptible=interruptible)
    closing(network, 1)
    assert actions(network) == ["run"]
    network.wait(1)
    assert actions(network) == [action]


def test_a_closed_site_takes_work_again_when_it_opens():
    network = Network()
    network.submit(job("j-1"))
    closing(network, 0)
    assert of_kind(network.plan(assignment("j-1", segment(HYDRO, 0, 2))), Rejected)
    network.plan(assignment("j-1", segment(HYDRO, 1, 3)))
    network.wait(0.9)
    assert actions(network) == []
    network.wait(0.2)
    assert actions(network) == ["run"]


def test_who_opens_every_day_is_looked_at_every_day():
    network = Network()
    closing(network, 2)
    network.wait(48)
    due = [(at_ms - START_MS) / HOUR_MS for at_ms, kind, _ in network.state.due if kind == "site"]
    assert due == [50]


def test_what_the_owner_keeps_is_offered_to_nobody():
    network = Network()
    assert of_kind(withhold(network, 3), RequestPlan) == [RequestPlan(reason="owner")]
    network.submit(job("j-1"), job("j-2"))
    kept = network.plan(assignment("j-1", segment(HYDRO, 0, 2)), assignment("j-2", segment(HYDRO, 0, 2)))
    assert [(one.job, one.reason) for one in of_kind(kept, Rejected)] == [("j-2", "capacity")]
    assert len(network.orders(NORTH).leases) == 1


def test_who_was_to_start_on_a_kept_container_waits_until_it_is_given_back():
    network = Network()
    network.submit(job("j-1", gpus=4))
    network.plan(assignment("j-1", segment(HYDRO, 0.5, 2, 4)))
    withhold(network, 1)
    network.wait(1)
    assert actions(network) == []
    withhold(network, 0)
    assert actions(network) == ["run"]
    assert network.state.world.sites[NORTH].withheld_ms == {}


def test_an_offer_nobody_accepted_is_withdrawn_when_the_owner_takes_its_container():
    network = Network()
    network.submit(job("j-1"), job("j-2", gpus=2), job("j-3"))
    network.plan(*(assignment(f"j-{n}", segment(HYDRO, 0, 2, 2 if n == 2 else 1)) for n in (1, 2, 3)))
    network.report("j-1.1", Phase.RUNNING)
    withhold(network, 2)
    assert [order.job for order in network.orders(NORTH).leases] == ["j-1", "j-3"]
    withhold(network, 4)
    assert [order.job for order in network.orders(NORTH).leases] == ["j-1"]


def test_no_more_is_woken_than_the_owner_leaves():
    network = Network()
    withhold(network, 3)
    assert all(order.count <= 1 for order in network.orders(NORTH).awake)


def test_a_site_leaves_when_nothing_binds_it():
    network = running(interruptible=False)
    refused = network.refusal(SiteLeft(site=NORTH))
    assert (refused.code, "j-1.1" in refused.message) == ("SW-191", True)
    network.wait(1)
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    refused = network.refusal(SiteLeft(site=NORTH))
    assert (refused.code, "sealed" in refused.message) == ("SW-191", True)
    network.seal(NORTH, {"j-1.1": 1_000})
    network.tell(SiteLeft(site=NORTH))
    assert [pool.pool for _, pool in network.state.world.pools()] == ["es-solar/A100-SXM-80GB", "pl-coal/L40S"]
    receipts = [one for one in network.tell(EpochRequested()) if type(one).__name__ == "IssueReceipt"]
    assert len(receipts) == 1
    assert network.balance("provider:p-no-hydro") > 0


def test_who_has_left_says_nothing_more():
    network = Network()
    network.tell(SiteLeft(site=NORTH))
    for payload in (AgentSeen(site=NORTH, boot="b"), SiteDrained(site=NORTH, draining=True), SiteLeft(site=NORTH)):
        refused = network.refusal(payload)
        assert isinstance(refused, ConflictError)
        assert refused.code == "SW-192"


def test_a_site_may_come_back():
    network = Network()
    drain(network)
    network.tell(SiteLeft(site=NORTH), SiteEnrolled(spec=SPEC), AgentSeen(site=NORTH, boot="again"))
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    assert actions(network) == ["run"]


def test_who_waited_for_a_site_that_left_is_planned_anew():
    network = Network()
    network.submit(job("j-1", gpus=4))
    network.plan(assignment("j-1", segment(HYDRO, 0.5, 2, 4)))
    network.tell(SiteLeft(site=NORTH))
    assert of_kind(network.wait(1), RequestPlan)
    network.plan(assignment("j-1", segment(SOLAR, 1, 3, 4)))
    assert state_of(network, "j-1") is JobState.STAGING


def test_the_life_of_a_site_is_in_every_snapshot_and_replay():
    network = running(interruptible=True)
    withhold(network, 2)
    drain(network)
    closing(network, 3)
    network.tell(AgentLost(site=NORTH), SiteLeft(site=SiteId("pl-coal")))
    assert state_digest(load(dump(network.state))) == state_digest(network.state)
    assert state_digest(replay(network.journal.read())) == state_digest(network.state)


def test_the_reason_is_told():
    network = running(interruptible=True)
    drain(network)
    told = network.report("j-1.1", Phase.SUSPENDED, units=400, checkpoint=400)
    assert [one.reason for one in of_kind(told, JobChanged)] == ["draining"]
