"""Leases: offered, blocked, suspended, moved, lost, fenced, retried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine.leases import is_news
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.commands import JobChanged, OrdersChanged, RequestPlan
from sunward.model.events import AgentLost, AgentSeen, LeasesReported, SiteEnrolled
from sunward.model.identity import SiteId
from sunward.model.job import JobState, LeaseState
from sunward.model.site import LeaseReport, Phase, PoolSpec
from sunward.units import HOUR_MS
from sunward.world.view import take_snapshot
from tests.support.network import HYDRO, SOLAR, Network, assignment, of_kind, segment
from tests.support.scenarios import SITES, START_MS, job

NORTH = SiteId("no-hydro")


def lease_state(network: Network, lease: str) -> LeaseState:
    leases = network.state.world.leases
    return LeaseState(int(leases.ints["state"][leases.row_of[lease]]))


def running(*, units: int = 0, checkpoint: int = 0, **changes: object) -> Network:
    """A network with `j-1` running on the northern site."""
    network = Network()
    network.submit(job("j-1", **changes))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING, units=units, checkpoint=checkpoint)
    assert network.job_state("j-1") is JobState.RUNNING
    return network


def attempts(network: Network) -> list[tuple[int, str, str]]:
    return [(line.attempt, line.site, line.ended) for line in network.cell("attempt_lines", "j-1")]


def test_a_lease_goes_through_its_states_and_never_back():
    network = Network()
    network.submit(job("j-1"))
    commands = network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    assert OrdersChanged(site=NORTH) in commands
    seen = []
    for phase in (Phase.ACCEPTED, Phase.WAKING, Phase.ACCEPTED, Phase.RUNNING, Phase.WAKING, Phase.FINISHED):
        network.report("j-1.1", phase)
        seen.append(lease_state(network, "j-1.1").word)
    assert seen == ["accepted", "waking", "waking", "running", "running", "closed"]
    assert network.job_state("j-1") is JobState.FINISHED
    assert network.number("units_done", "j-1") == 1_000
    assert network.orders("no-hydro").leases == ()


def test_a_start_planned_for_later_waits_for_its_moment():
    network = Network()
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 1, 3)))
    assert network.orders("no-hydro").leases == ()
    network.wait(1)
    (order,) = network.orders("no-hydro").leases
    assert (order.lease, order.action, order.pool, order.units) == ("j-1.1", "run", HYDRO, 1_000)


def test_a_full_pool_blocks_until_someone_leaves():
    network = Network()
    network.submit(job("j-1", gpus=4), job("j-2", gpus=1), job("j-3", gpus=4))
    network.plan(assignment("j-1", segment(HYDRO, 0, 1, 4)), assignment("j-2", segment(HYDRO, 1, 3, 1)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(1.1)
    assert network.job_state("j-2") is JobState.PLACED
    assert network.state.blocked == {HYDRO: ["j-2"]}
    commands = network.report("j-1.1", Phase.FINISHED)
    assert network.job_state("j-2") is JobState.STAGING
    assert network.state.blocked == {}
    assert OrdersChanged(site=NORTH) in commands


def test_an_agent_that_comes_back_finds_the_jobs_that_waited_for_it():
    network = Network()
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 1.1, 3)))
    network.tell(AgentLost(site=NORTH))
    commands = network.wait(1.1)
    assert RequestPlan(reason="site away") in commands
    assert network.job_state("j-1") is JobState.PLACED
    network.tell(AgentSeen(site=NORTH, boot="no-hydro-2"))
    assert network.job_state("j-1") is JobState.STAGING


def test_a_plan_moves_a_pausable_job_with_its_checkpoint():
    network = running(units=300, checkpoint=300, interruptible=True)
    commands = network.plan(assignment("j-1", segment(SOLAR, 0, 3)))
    assert [order.action for order in network.orders("no-hydro").leases] == ["suspend"]
    assert of_kind(commands, JobChanged) == []
    commands = network.report("j-1.1", Phase.SUSPENDED, units=310, checkpoint=310)
    assert [(one.state, one.reason) for one in of_kind(commands, JobChanged)] == [
        ("suspended", "moving"),
        ("staging", "offered"),
    ]
    (order,) = network.orders("es-solar").leases
    assert (order.lease, order.attempt, order.checkpoint_units) == ("j-1.2", 2, 310)
    changed = of_kind(network.report("j-1.2", Phase.RUNNING, units=310), JobChanged)
    assert [(one.state, one.reason, one.site) for one in changed] == [("running", "resumed", "es-solar")]
    network.report("j-1.2", Phase.FINISHED, units=1_000)
    assert attempts(network) == [(1, "no-hydro", "moving"), (2, "es-solar", "finished")]


@pytest.mark.parametrize("phase", [Phase.ACCEPTED, Phase.WAKING, Phase.RUNNING])
def test_a_job_moved_before_its_first_checkpoint_starts_again_elsewhere(phase):
    network = Network()
    network.submit(job("j-1", interruptible=True))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", phase)
    network.plan(assignment("j-1", segment(SOLAR, 0, 3)))
    network.report("j-1.1", Phase.SUSPENDED)
    (order,) = network.orders("es-solar").leases
    assert (order.lease, order.checkpoint, order.checkpoint_units) == ("j-1.2", "", 0)


def test_a_lease_offered_and_moved_at_once_is_withdrawn():
    network = Network()
    network.submit(job("j-1", interruptible=True))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    commands = network.plan(assignment("j-1", segment(SOLAR, 0, 3)))
    assert attempts(network) == [(1, "no-hydro", "withdrawn")]
    assert RequestPlan(reason="withdrawn") in commands
    network.plan(assignment("j-1", segment(SOLAR, 0, 3)))
    assert [order.lease for order in network.orders("es-solar").leases] == ["j-1.2"]


def test_a_pause_waits_for_its_next_segment():
    network = running(interruptible=True)
    network.plan(assignment("j-1", segment(HYDRO, 0, 1), segment(HYDRO, 4, 5)))
    network.wait(1)
    assert [order.action for order in network.orders("no-hydro").leases] == ["suspend"]
    network.report("j-1.1", Phase.SUSPENDED, units=500, checkpoint=500)
    assert network.job_state("j-1") is JobState.SUSPENDED
    network.wait(3)
    assert [(one.lease, one.action) for one in network.orders("no-hydro").leases] == [("j-1.2", "run")]


def test_what_cannot_be_paused_runs_on_past_its_segment():
    network = running()
    network.wait(3)
    assert [order.action for order in network.orders("no-hydro").leases] == ["run"]


def test_what_a_move_must_carry_is_the_size_of_the_newest_checkpoint_last_told():
    network = running(units=300, checkpoint=300, interruptible=True)
    assert carried(network) == 0
    network.report("j-1.1", Phase.RUNNING, units=310, checkpoint=310, checkpoint_bytes=20 * 10**9)
    network.report("j-1.1", Phase.RUNNING, units=320, checkpoint=310)
    assert carried(network) == 20 * 10**9
    network.report("j-1.1", Phase.RUNNING, units=330, checkpoint=330, checkpoint_bytes=5)
    assert carried(network) == 5


def carried(network: Network) -> int:
    (view,) = take_snapshot(network.state.world, START_MS + HOUR_MS).jobs
    return view.checkpoint_bytes


@pytest.mark.parametrize(("checkpoint", "then"), [(0, JobState.SUBMITTED), (250, JobState.SUSPENDED)])
def test_a_lost_agent_closes_the_attempt_and_keeps_the_checkpoint(checkpoint, then):
    network = running(units=400, checkpoint=checkpoint)
    commands = network.tell(AgentLost(site=NORTH))
    assert RequestPlan(reason="lost") in commands
    assert network.job_state("j-1") is then
    assert attempts(network) == [(1, "no-hydro", "lost")]
    network.plan(assignment("j-1", segment(SOLAR, 0, 3)))
    (order,) = network.orders("es-solar").leases
    assert (order.attempt, order.checkpoint_units) == (2, checkpoint)
    assert network.number("failures", "j-1") == 0


def test_late_reports_of_an_old_attempt_change_nothing():
    network = running(units=400, checkpoint=250)
    network.tell(AgentLost(site=NORTH))
    network.plan(assignment("j-1", segment(SOLAR, 0, 3)))
    network.report("j-1.2", Phase.RUNNING, units=250)
    before = [network.number(name, "j-1") for name in ("state", "units_done", "live_units", "attempts", "failures")]
    for phase in (Phase.RUNNING, Phase.SUSPENDED, Phase.FAILED, Phase.FINISHED):
        assert not is_news(network.state, report_of("j-1.1", phase, 999))
        assert of_kind(network.report("j-1.1", phase, units=999, checkpoint=999), JobChanged) == []
    assert before == [
        network.number(name, "j-1") for name in ("state", "units_done", "live_units", "attempts", "failures")
    ]
    assert [order.lease for order in network.orders("es-solar").leases] == ["j-1.2"]


def test_a_new_boot_ends_what_the_old_one_had_taken():
    network = running(units=400, checkpoint=250)
    network.submit(job("j-2"))
    network.plan(assignment("j-2", segment(HYDRO, 0, 2)))
    network.tell(AgentSeen(site=NORTH, boot="no-hydro-2"))
    assert network.job_state("j-1") is JobState.SUSPENDED
    assert [order.lease for order in network.orders("no-hydro").leases] == ["j-2.1"]
    network.tell(AgentSeen(site=NORTH, boot="no-hydro-2"))
    assert [order.lease for order in network.orders("no-hydro").leases] == ["j-2.1"]


def test_retries_exhausted_is_failed():
    network = Network()
    network.submit(job("j-1", retries=1))
    for attempt in (1, 2):
        network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
        network.report(f"j-1.{attempt}", Phase.RUNNING)
        network.report(f"j-1.{attempt}", Phase.FAILED)
    assert network.job_state("j-1") is JobState.FAILED
    assert [ended for _, _, ended in attempts(network)] == ["failed", "failed"]


def test_nobody_speaks_for_the_leases_of_another_site():
    network = running(units=10)
    assert of_kind(network.report("j-1.1", Phase.FINISHED, units=1_000, site="es-solar"), JobChanged) == []
    assert network.job_state("j-1") is JobState.RUNNING


def test_units_never_exceed_the_job():
    network = running()
    network.report("j-1.1", Phase.RUNNING, units=2**70, checkpoint=2**70)
    assert (network.number("live_units", "j-1"), network.number("units_done", "j-1")) == (1_000, 1_000)


def report_of(lease: str, phase: str, units: int = 0) -> LeaseReport:
    return LeaseReport(
        lease=lease, attempt=1, phase=phase, at_ms=START_MS, units=units, checkpoint_units=units, checkpoint="c" * 64
    )


@pytest.mark.parametrize(
    ("site", "boot", "phase", "error"),
    [
        ("no-hydro", "no-hydro-0", Phase.RUNNING, ConflictError),
        ("no-hydro", "no-hydro-1", "dancing", InputError),
        ("nowhere", "nowhere-1", Phase.RUNNING, NotFoundError),
    ],
)
def test_words_that_no_agent_can_say_are_refused(site, boot, phase, error):
    network = running()
    payload = LeasesReported(site=SiteId(site), boot=boot, reports=(report_of("j-1.1", phase),))
    assert isinstance(network.refusal(payload), error)
    assert not is_news(network.state, report_of("j-1.1", "dancing"))


def test_small_steps_are_not_news():
    network = running(units=5)
    state = network.state
    quiet = replace(report_of("j-1.1", Phase.RUNNING, 14), checkpoint="")
    assert not is_news(state, quiet)
    assert is_news(state, replace(quiet, units=15))
    assert is_news(state, replace(quiet, checkpoint="c" * 64))
    assert is_news(state, replace(quiet, phase=Phase.FINISHED))
    assert not is_news(state, report_of("j-9.1", Phase.RUNNING))


def test_a_start_told_after_the_stop_still_counts_as_time():
    network = Network()
    network.submit(job("j-1", interruptible=True))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.ACCEPTED)
    network.plan(assignment("j-1", segment(SOLAR, 2, 4)))
    assert is_news(network.state, report_of("j-1.1", Phase.RUNNING))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(0.1)
    network.report("j-1.1", Phase.SUSPENDED, units=50, checkpoint=50)
    (line,) = network.cell("attempt_lines", "j-1")
    assert line.end_ms - line.start_ms == HOUR_MS // 10


def test_a_pool_declared_away_gives_up_its_leases():
    network = running(units=400, checkpoint=250)
    spec = SITES[0]
    small = replace(spec, pools=(PoolSpec(pool="no-hydro/L4", gpu_model="L4", count=1, devices=("new",)),))
    network.tell(SiteEnrolled(spec=small))
    assert network.job_state("j-1") is JobState.SUSPENDED
    assert attempts(network) == [(1, "no-hydro", "lost")]


def test_more_containers_unblock_who_waits():
    network = Network()
    network.submit(job("j-1", gpus=4), job("j-2", gpus=2))
    network.plan(assignment("j-1", segment(HYDRO, 0, 1, 4)), assignment("j-2", segment(HYDRO, 1, 3, 2)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(1)
    spec = SITES[0]
    pool = replace(spec.pools[0], count=6, devices=tuple(f"g{n}" for n in range(6)))
    network.tell(SiteEnrolled(spec=replace(spec, pools=(pool,))))
    assert network.job_state("j-2") is JobState.STAGING
