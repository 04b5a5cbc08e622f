"""What is spoken for is kept in step event by event; counted from scratch it must come out the same."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.engine.snapshots import dump, load
from sunward.model.events import JobsSubmitted, LeasesReported, Payload, PlanProposed
from sunward.model.identity import SiteId
from sunward.model.site import LeaseReport, Phase
from sunward.placement.board import Board
from sunward.placement.fleet import fleet_of
from sunward.world.occupancy import Slots, add, occupied
from sunward.world.snapshot import IntArray
from sunward.world.state import World
from sunward.world.tick import take_openings
from sunward.world.view import take_snapshot
from tests.property.test_ledger_events import JOBS, payloads, plans
from tests.support.network import COAL, HYDRO, SLOT_MS, SOLAR, Network, assignment, segment
from tests.support.scenarios import START_MS, job

POOLS = (HYDRO, SOLAR, COAL)
SLOTS = 12

Counts = dict[str, list[int]]
progress = st.builds(
    lambda name, units: LeasesReported(
        site=SiteId("no-hydro"),
        boot="",
        reports=(
            LeaseReport(
                lease=f"{name}.1",
                attempt=1,
                phase=Phase.RUNNING,
                at_ms=START_MS,
                units=units,
                checkpoint_units=0,
                checkpoint="",
            ),
        ),
    ),
    st.sampled_from(JOBS),
    st.sampled_from([500, 990]),
)


def counted(world: World, now_ms: int, without: frozenset[str]) -> Counts:
    """From scratch: a job with a lease as the planner sees it, any other by what it was given."""
    taken: dict[str, Slots] = {}
    start_ms = now_ms - now_ms % SLOT_MS
    seen = {view.spec.job: view.segments for view in take_snapshot(world, now_ms).jobs}
    for name in world.jobs:
        row = world.jobs.row_of[name]
        leased = bool(world.jobs.objects["lease"][row])
        if name not in without:
            add(taken, seen[name] if leased else world.jobs.objects["segments"][row], start_ms, SLOT_MS, SLOTS)
    return {pool: taken[pool].tolist() if pool in taken else [0] * SLOTS for pool in POOLS}


def kept(world: World, now_ms: int, without: frozenset[str]) -> Counts:
    """As the world keeps it."""
    held = occupied(world, now_ms, SLOTS, without, POOLS)
    return {pool: column.tolist() for pool, column in held.items()}


@dataclass(frozen=True)
class Free:
    """Containers of each pool slot by slot; less or equal where no slot has more."""

    slots: IntArray

    def __le__(self, other: Free) -> bool:
        return bool((self.slots <= other.slots).all())


def openings(world: World, now_ms: int) -> Free:
    """As a quote and an immediate plan see it."""
    return Free(Board(fleet_of(take_openings(world, now_ms))).free)


def laid_out(world: World, now_ms: int) -> Free:
    """As a full plan sees it that leaves every job where it is."""
    snapshot = take_snapshot(world, now_ms)
    board = Board(fleet_of(snapshot))
    for view in snapshot.jobs:
        board.occupy(view)
    return Free(board.free)


def fitted(network: Network, payload: Payload) -> list[Payload]:
    """Plans and reports as the state would take them, so that most of them change something."""
    world = network.state.world
    if isinstance(payload, PlanProposed):
        read = tuple(replace(one, revision=network.number("revision", one.job)) for one in payload.plan.assignments)
        return [PlanProposed(plan=replace(payload.plan, at_ms=network.at_ms, assignments=read))]
    if isinstance(payload, LeasesReported):
        heard = [(one, world.leases.row_of[one.lease]) for one in payload.reports if one.lease in world.leases]
        sites = [(one, world.sites[world.leases.objects["site"][row]]) for one, row in heard]
        return [LeasesReported(site=site.spec.site, boot=site.boot, reports=(one,)) for one, site in sites]
    return [payload]


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.one_of(payloads, plans, progress), st.integers(0, 3 * SLOT_MS)), max_size=25),
    st.frozensets(st.sampled_from(JOBS)),
    st.booleans(),
)
def test_kept_in_step_is_counted_from_scratch(steps, left_out, begun):
    network = Network()
    network.submit(*(job(name, interruptible=name != "j-0") for name in JOBS))
    if begun:
        network.plan(*(assignment(name, segment(HYDRO, 0, 1.1), segment(SOLAR, 1.6, 2)) for name in JOBS))
        for name in JOBS:
            network.report(f"{name}.1", Phase.RUNNING, units=100, checkpoint=100)
    for payload, gap_ms in steps:
        network.at_ms += gap_ms
        if isinstance(payload, JobsSubmitted):
            continue
        for event in fitted(network, payload):
            network.propose(event)
        world = network.state.world
        without = frozenset(name for name in left_out if name in world.jobs)
        assert kept(world, network.at_ms, without) == counted(world, network.at_ms, without)
        assert openings(world, network.at_ms) <= laid_out(world, network.at_ms)
    again = load(dump(network.state)).world
    without = frozenset(name for name in left_out if name in again.jobs)
    assert kept(again, network.at_ms, without) == counted(network.state.world, network.at_ms, without)
    for pool in POOLS:
        assert again.busy(pool) == network.state.world.busy(pool)
