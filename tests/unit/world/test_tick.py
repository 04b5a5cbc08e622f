"""What a planner is given: new jobs apart, a bounded number of the others, and what all the rest hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine.snapshots import dump, load
from sunward.model.events import AgentLost, CancelRequested, PolicySet
from sunward.model.identity import JobId, SiteId
from sunward.model.job import LengthKind
from sunward.model.site import Phase
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS
from sunward.world import tick
from sunward.world.crowd_view import held_by
from sunward.world.snapshot import WORK_CLASSES, Snapshot
from sunward.world.tick import take_new, take_openings, take_some, take_tick
from tests.support.network import COAL, HYDRO, SOLAR, Network, assignment, segment, unplaced
from tests.support.scenarios import START_MS, TENANT, job


@pytest.fixture
def network() -> Network:
    return Network()


def names(snapshot: Snapshot) -> list[str]:
    return [view.spec.job for view in snapshot.jobs]


def test_a_job_is_fresh_until_it_is_answered_for(network):
    network.submit(*(job(f"j-{n}") for n in range(5)))
    network.plan(assignment("j-0", segment(HYDRO, 1, 2)), leave=(unplaced("j-1"), unplaced("j-2", permanent=True)))
    network.tell(CancelRequested(job=JobId("j-3")))
    assert network.state.world.fresh == {"j-4"}
    assert load(dump(network.state)).world.fresh == {"j-4"}
    network.plan(leave=(unplaced("j-0"),))
    assert network.state.world.fresh == {"j-4"}


def test_new_jobs_come_in_the_order_of_their_submission(network, monkeypatch):
    monkeypatch.setattr(tick, "NEW_JOBS_MAX", 3)
    for name in ("j-z", "j-a"):
        network.submit(job(name))
        network.at_ms += 1
    network.submit(job("j-n"), job("j-b"))
    assert names(take_new(network.state.world, network.at_ms)) == ["j-z", "j-a", "j-b"]
    assert names(take_tick(network.state.world, network.at_ms)) == []


def test_openings_are_what_others_leave(network):
    network.submit(*(job(f"j-{n}", gpus=2) for n in range(3)))
    network.plan(assignment("j-0", segment(HYDRO, 0, 1, 2)), assignment("j-1", segment(HYDRO, 0.5, 2, 2)))
    network.report("j-0.1", Phase.RUNNING)
    openings = take_openings(network.state.world, START_MS)
    held = openings.standing
    row = openings.pools.ids.index(HYDRO)
    assert held.taken[row, :10].tolist() == [2, 2, 4, 4, 2, 2, 2, 2, 0, 0]
    assert (held.busy[row], held.taken.sum(), openings.jobs) == (2, held.taken[row].sum(), ())


def placed(network: Network, count: int) -> None:
    """One-container jobs side by side and one after the other, each with a limit on its waiting."""
    asked = {"length_ms": HOUR_MS, "escrow_wei": 10**18, "wait_max_ms": DAY_MS}
    network.submit(*(job(f"j-{n:02d}", **asked) for n in range(count)))
    network.plan(*(assignment(f"j-{n:02d}", segment(HYDRO, 1 + n // 4, 2 + n // 4)) for n in range(count)))


def test_a_full_plan_considers_so_many_and_the_turn_goes_round(network, monkeypatch):
    monkeypatch.setattr(tick, "TICK_JOBS_MAX", 4)
    placed(network, 11)
    world, seen = network.state.world, set()
    whole = take_openings(world, START_MS).standing.taken
    for minute in range(3):
        snapshot = take_tick(world, START_MS + minute * MINUTE_MS)
        considered = names(snapshot)
        assert len(considered) == 4
        assert considered == sorted(considered)
        seen |= set(considered)
        assert snapshot.standing.taken.sum() == whole.sum() - 4 * 4
    assert len(seen) == 11


def test_who_has_no_place_or_lost_it_comes_first(network, monkeypatch):
    monkeypatch.setattr(tick, "TICK_JOBS_MAX", 4)
    placed(network, 6)
    network.submit(job("j-away", wait_max_ms=DAY_MS), job("j-nowhere", wait_max_ms=DAY_MS))
    network.plan(assignment("j-away", segment(SOLAR, 1, 2)), leave=(unplaced("j-nowhere"),))
    network.tell(AgentLost(site=SiteId("es-solar")))
    for minute in range(4):
        assert {"j-away", "j-nowhere"} < set(names(take_tick(network.state.world, START_MS + minute * MINUTE_MS)))


def test_what_runs_and_cannot_be_paused_only_stands(network, monkeypatch):
    monkeypatch.setattr(tick, "TICK_JOBS_MAX", 4)
    placed(network, 6)
    network.submit(job("j-runs"), job("j-moves", interruptible=True, length_ms=8 * HOUR_MS))
    network.plan(
        assignment("j-runs", segment(COAL, 0, 3)),
        assignment("j-moves", segment(SOLAR, 0, 8)),
    )
    network.report("j-runs.1", Phase.RUNNING)
    network.report("j-moves.1", Phase.RUNNING, units=10)
    considered = set()
    for minute in range(6):
        snapshot = take_tick(network.state.world, START_MS + minute * MINUTE_MS)
        considered |= set(names(snapshot))
        at = {pool: snapshot.pools.ids.index(pool) for pool in (COAL, SOLAR)}
        assert snapshot.standing.busy[at[COAL]] == 1
        assert snapshot.standing.busy[at[SOLAR]] == ("j-moves" not in names(snapshot))
    assert "j-moves" in considered
    assert "j-runs" not in considered


def mixed(network: Network) -> None:
    """Jobs that a crowd holds, and one of each kind that it does not."""
    network.submit(
        *(job(f"j-{n}", gpus=1 + n % 2, escrow_wei=10**18, deadline_ms=START_MS + (9 + n) * HOUR_MS) for n in range(6)),
        job("j-free", interruptible=True, start_by_ms=START_MS + 3 * HOUR_MS, allowed_countries=("NO", "ES")),
        job("j-paused", interruptible=True),
        job("j-unknown", length_kind=LengthKind.UNKNOWN, timeout_ms=HOUR_MS),
        job("j-waits", wait_max_ms=HOUR_MS),
        job("j-near", latency_max_ms=50),
        job("j-runs", escrow_wei=10**18),
        job("j-fresh", escrow_wei=10**18),
    )
    network.plan(
        assignment("j-0", segment(HYDRO, 2, 4)),
        assignment("j-1", segment(SOLAR, 2, 4, 2)),
        assignment("j-free", segment(HYDRO, 1.1, 3)),
        assignment("j-paused", segment(HYDRO, 1, 2), segment(HYDRO, 5, 6)),
        assignment("j-unknown", segment(COAL, 3, 4)),
        assignment("j-runs", segment(COAL, 0, 2)),
        leave=tuple(unplaced(name) for name in ("j-2", "j-3", "j-4", "j-5", "j-waits", "j-near")),
    )


def test_waiting_jobs_of_a_large_world_are_counted_together(network, monkeypatch):
    mixed(network)
    world = network.state.world
    whole = take_tick(world, START_MS)
    assert whole.crowd is None
    monkeypatch.setattr(tick, "TICK_JOBS_MAX", 4)
    many = take_tick(world, START_MS)
    assert many.crowd is not None
    assert many.crowd.ids == ("j-0", "j-1", "j-2", "j-3", "j-4", "j-5", "j-free")
    assert names(many) == ["j-near", "j-paused", "j-unknown", "j-waits"]
    # Nothing is counted twice or not at all: all openings are what stands, the crowd and the jobs looked at.
    held = held_by(many.crowd, START_MS, many.slot_ms, many.standing.taken.shape)
    looked_at = take_some(world, START_MS, names(many)).standing.taken
    assert (many.standing.taken + held == looked_at).all()
    assert many.standing.busy.sum() == 1


def test_a_crowd_says_of_each_job_what_a_view_says(network, monkeypatch):
    mixed(network)
    world = network.state.world
    seen = {view.spec.job: view for view in take_tick(world, START_MS).jobs}
    monkeypatch.setattr(tick, "TICK_JOBS_MAX", 4)
    snapshot = take_tick(world, START_MS)
    crowd = snapshot.crowd
    assert crowd is not None
    for at, name in enumerate(crowd.ids):
        view = seen[name]
        spec = view.spec
        assert (crowd.revision[at], crowd.gpus[at], crowd.memory_gib[at]) == (view.revision, spec.gpus, 0)
        assert WORK_CLASSES[crowd.work_class[at]] is spec.work_class
        assert crowd.model_sets[crowd.models[at]] == spec.gpu_models
        assert crowd.country_sets[crowd.countries[at]] == spec.allowed_countries
        assert crowd.provider_sets[crowd.providers[at]] == spec.known_providers
        assert crowd.tenants[crowd.tenant[at]] == spec.tenant
        numbers = (
            "length_ms",
            "start_by_ms",
            "deadline_ms",
            "carbon_price_usd_per_t",
            "budget_usd_micro",
            "data_bytes",
        )
        assert [getattr(crowd, number)[at] for number in numbers] == [getattr(spec, number) for number in numbers]
        assert crowd.pausable[at] == spec.interruptible
        given = [(snapshot.pools.ids[crowd.pool[at]], crowd.start_ms[at], crowd.end_ms[at])] * int(crowd.pool[at] >= 0)
        assert given == [(one.pool, one.start_ms, one.end_ms) for one in view.segments]


def test_what_has_begun_is_no_longer_in_the_crowd(network, monkeypatch):
    monkeypatch.setattr(tick, "TICK_JOBS_MAX", 0)
    network.submit(job("j-begun", interruptible=True), job("j-waits"), job("j-gone"))
    network.plan(
        assignment("j-begun", segment(HYDRO, 0, 3)),
        assignment("j-waits", segment(SOLAR, 1, 3)),
        leave=(unplaced("j-gone"),),
    )
    network.report("j-begun.1", Phase.RUNNING, units=1, checkpoint=1)
    network.report("j-begun.1", Phase.FAILED, units=1, checkpoint=1, exit_code=1)
    network.tell(CancelRequested(job=JobId("j-gone")))
    crowd = take_tick(network.state.world, network.at_ms).crowd
    assert crowd is not None
    assert crowd.ids == ("j-waits",)


@pytest.mark.parametrize("weighed", [False, True])
def test_what_is_not_considered_counts_for_its_tenant_where_tenants_have_shares(network, monkeypatch, weighed):
    monkeypatch.setattr(tick, "TICK_JOBS_MAX", 4)
    placed(network, 11)
    if weighed:
        policy = replace(network.state.world.network.policy, tenant_shares=((TENANT, 2),))
        network.tell(PolicySet(policy=policy))
    standing = take_tick(network.state.world, START_MS).standing
    assert standing.tenants == (((TENANT, 7 * HOUR_MS),) if weighed else ())
