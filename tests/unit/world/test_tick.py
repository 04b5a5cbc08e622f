"""What a planner is given: new jobs apart, a bounded number of the others, and what all the rest hold."""

from __future__ import annotations

import pytest

from sunward.engine.snapshots import dump, load
from sunward.model.events import AgentLost, CancelRequested
from sunward.model.identity import JobId, SiteId
from sunward.model.site import Phase
from sunward.units import HOUR_MS, MINUTE_MS
from sunward.world import tick
from sunward.world.snapshot import Snapshot
from sunward.world.tick import take_new, take_openings, take_tick
from tests.support.network import COAL, HYDRO, SOLAR, Network, assignment, segment, unplaced
from tests.support.scenarios import START_MS, job


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
    """One-container jobs side by side and one after the other."""
    network.submit(*(job(f"j-{n:02d}", length_ms=HOUR_MS, escrow_wei=10**18) for n in range(count)))
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
        assert len(snapshot.standing.segments) == 7
    assert len(seen) == 11


def test_who_has_no_place_or_lost_it_comes_first(network, monkeypatch):
    monkeypatch.setattr(tick, "TICK_JOBS_MAX", 4)
    placed(network, 6)
    network.submit(job("j-away"), job("j-nowhere"))
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
