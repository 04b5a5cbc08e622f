"""Submission, cancellation, expiry and refusal, and what each does with the escrow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.commands import JobChanged, RequestPlan
from sunward.model.events import AgentLost, CancelRequested, JobsSubmitted
from sunward.model.identity import JobId, SiteId
from sunward.model.job import JobState
from sunward.model.site import Phase
from sunward.units import DAY_MS, HOUR_MS
from tests.support.network import DEPOSIT_WEI, HYDRO, Network, assignment, of_kind, segment, unplaced
from tests.support.scenarios import START_MS, TENANT, job

ESCROW_WEI = 10**20


def test_submission_sets_the_escrow_aside_and_asks_for_a_plan():
    network = Network()
    commands = network.submit(job("j-1"), job("j-2"))
    assert [command.state for command in of_kind(commands, JobChanged)] == ["submitted", "submitted"]
    assert of_kind(commands, RequestPlan) == [RequestPlan(reason="submitted")]
    assert network.balance("escrow:j-1") == network.balance("escrow:j-2") == ESCROW_WEI
    assert network.balance(f"tenant:{TENANT}") == DEPOSIT_WEI - 2 * ESCROW_WEI


def test_a_batch_that_cannot_be_paid_is_refused_whole():
    network = Network()
    jobs = tuple(job(f"j-{n}") for n in range(11))
    assert network.refusal(JobsSubmitted(jobs=jobs)).code == "SW-120"
    network.submit(*jobs[:10])
    assert network.balance(f"tenant:{TENANT}") == 0


@pytest.mark.parametrize("twice", [True, False])
def test_a_job_is_submitted_once(twice):
    network = Network()
    if not twice:
        network.submit(job("j-1"))
    batch = JobsSubmitted(jobs=(job("j-1"),) * (2 if twice else 1))
    assert isinstance(network.refusal(batch), ConflictError)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"gpus": 0}, "SW-121"),
        ({"units": 0}, "SW-121"),
        ({"length_ms": 0}, "SW-121"),
        ({"escrow_wei": 0}, "SW-121"),
        ({"gpus": 2**63}, "SW-121"),
        ({"units": 2**63}, "SW-121"),
        ({"data_bytes": -1}, "SW-121"),
        ({"latency_max_ms": -1}, "SW-121"),
        ({"evidence": ("taste=metered",)}, "SW-747"),
        ({"evidence": ("identity=sure",)}, "SW-747"),
        ({"evidence": ("place=metered", "identity=metered")}, "SW-747"),
        ({"evidence": ("place=metered", "place=endorsed")}, "SW-747"),
        ({"max_slowdown_ppm": -2}, "SW-121"),
        ({"carbon_price_usd_per_t": -5}, "SW-121"),
        ({"retries": -1}, "SW-121"),
        ({"interruptible": True, "units": 1}, "SW-122"),
        ({"deadline_ms": START_MS}, "SW-123"),
        ({"deadline_ms": START_MS + 31 * DAY_MS}, "SW-123"),
        ({"deadline_ms": 2**63}, "SW-123"),
        ({"origin_zone": "XX-NOWHERE"}, "SW-100"),
    ],
)
def test_figures_that_mean_nothing_are_refused(changes, code):
    refused = Network().refusal(JobsSubmitted(jobs=(job("j-1", **changes),)))
    assert isinstance(refused, InputError)
    assert refused.code == code


def test_an_empty_batch_is_refused():
    assert Network().refusal(JobsSubmitted(jobs=())).code == "SW-121"


def waiting(network: Network) -> None:
    network.submit(job("j-1"))


def placed(network: Network) -> None:
    waiting(network)
    network.plan(assignment("j-1", segment(HYDRO, 1, 3)))
    assert network.job_state("j-1") is JobState.PLACED


def offered(network: Network) -> None:
    waiting(network)
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    assert network.job_state("j-1") is JobState.STAGING


@pytest.mark.parametrize("reach", [waiting, placed])
def test_what_never_ran_is_cancelled_at_once_and_refunded(reach):
    network = Network()
    reach(network)
    changed = of_kind(network.tell(CancelRequested(job=JobId("j-1"))), JobChanged)
    assert [command.state for command in changed] == ["cancelled"]
    assert network.balance("escrow:j-1") == 0
    assert network.balance(f"tenant:{TENANT}") == DEPOSIT_WEI


def test_an_offer_nobody_took_is_withdrawn():
    network = Network()
    offered(network)
    network.tell(CancelRequested(job=JobId("j-1")))
    assert network.job_state("j-1") is JobState.CANCELLED
    assert network.orders("no-hydro").leases == ()
    assert [line.ended for line in network.cell("attempt_lines", "j-1")] == ["withdrawn"]


@pytest.mark.parametrize("phase", [Phase.ACCEPTED, Phase.WAKING, Phase.RUNNING])
@pytest.mark.parametrize("last", [Phase.SUSPENDED, Phase.FAILED])
def test_a_taken_lease_is_stopped_first(phase, last):
    network = Network()
    offered(network)
    network.report("j-1.1", phase)
    network.tell(CancelRequested(job=JobId("j-1")))
    assert not network.job_state("j-1").final
    assert [order.action for order in network.orders("no-hydro").leases] == ["stop"]
    network.tell(CancelRequested(job=JobId("j-1")))
    network.report("j-1.1", last)
    assert network.job_state("j-1") is JobState.CANCELLED
    assert isinstance(network.refusal(CancelRequested(job=JobId("j-1"))), ConflictError)


def test_work_done_before_the_stop_counts_as_finished():
    network = Network()
    offered(network)
    network.report("j-1.1", Phase.RUNNING)
    network.tell(CancelRequested(job=JobId("j-1")))
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    assert network.job_state("j-1") is JobState.FINISHED


def test_a_suspended_job_is_cancelled_but_its_work_is_still_to_be_paid():
    network = Network()
    offered(network)
    network.report("j-1.1", Phase.RUNNING)
    network.report("j-1.1", Phase.SUSPENDED, units=10, checkpoint=10)
    assert network.job_state("j-1") is JobState.SUSPENDED
    network.tell(CancelRequested(job=JobId("j-1")))
    assert network.job_state("j-1") is JobState.CANCELLED
    assert network.balance("escrow:j-1") == ESCROW_WEI


def test_cancelling_what_does_not_exist_is_refused():
    assert isinstance(Network().refusal(CancelRequested(job=JobId("j-9"))), NotFoundError)


def test_a_job_never_started_expires_at_its_deadline_with_a_refund():
    network = Network()
    network.submit(job("j-1", deadline_ms=START_MS + 2 * HOUR_MS))
    assert of_kind(network.wait(1.9), JobChanged) == []
    changed = of_kind(network.wait(0.1), JobChanged)
    assert [(one.state, one.reason) for one in changed] == [("expired", "deadline")]
    assert network.balance(f"tenant:{TENANT}") == DEPOSIT_WEI


def test_a_started_job_is_finished_even_when_late():
    network = Network()
    network.submit(job("j-1", deadline_ms=START_MS + HOUR_MS))
    network.plan(assignment("j-1", segment(HYDRO, 0, 1)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(2)
    assert network.job_state("j-1") is JobState.RUNNING
    network.report("j-1.1", Phase.FINISHED)
    assert network.job_state("j-1") is JobState.FINISHED


def test_a_permanent_refusal_ends_the_job_with_a_refund():
    network = Network()
    waiting(network)
    changed = of_kind(network.plan(leave=(unplaced("j-1", permanent=True),)), JobChanged)
    assert [(one.state, one.reason, one.detail) for one in changed] == [("refused", "capacity", "none free")]
    assert network.balance(f"tenant:{TENANT}") == DEPOSIT_WEI


def test_a_passing_refusal_takes_the_place_away_and_says_so():
    network = Network()
    placed(network)
    changed = of_kind(network.plan(leave=(unplaced("j-1"),)), JobChanged)
    assert [(one.state, one.reason) for one in changed] == [("submitted", "capacity")]
    assert network.cell("segments", "j-1") == ()
    assert replace(network.cell("refusal", "j-1"), revision=0) == unplaced("j-1")


def test_a_refusal_of_another_revision_changes_nothing():
    network = Network()
    placed(network)
    before = network.state.world.sequence
    revision = network.number("revision", "j-1")
    stale = replace(unplaced("j-1", permanent=True), revision=revision - 1)
    plan = network.journal
    network.tell(replace_plan(network, stale))
    assert plan.head().sequence == before + 1
    assert network.job_state("j-1") is JobState.PLACED


def replace_plan(network: Network, refusal):
    proposed = list(network.journal.read())[-1].event.payload
    return replace(proposed, plan=replace(proposed.plan, at_ms=network.at_ms, assignments=(), unplaced=(refusal,)))


def changes(commands, name):
    return [(one.state, one.reason, one.exit_code) for one in of_kind(commands, JobChanged) if one.job == name]


@pytest.mark.parametrize("after_h", [-1, 0, 12])
def test_a_start_by_lies_ahead_and_before_the_deadline(after_h):
    asked = job("j-1", start_by_ms=START_MS + after_h * HOUR_MS)
    assert Network().refusal(JobsSubmitted(jobs=(asked,))).code == "SW-123"


def test_a_missed_start_by_expires_the_job_and_refunds_it():
    network = Network()
    network.submit(job("j-1", start_by_ms=START_MS + HOUR_MS), job("j-2"))
    assert ("expired", "start_by", None) in changes(network.wait(1), "j-1")
    assert (network.job_state("j-1"), network.job_state("j-2")) == (JobState.EXPIRED, JobState.SUBMITTED)
    assert network.balance("escrow:j-1") == 0


def test_a_planned_start_that_finds_no_container_in_time_expires():
    network = Network()
    network.submit(*(job(f"j-{number}", start_by_ms=START_MS + HOUR_MS, gpus=4) for number in (1, 2)))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2, 4)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(0.5)
    # The planner thought that the first one would have ended by now.
    network.state.world.give("j-1", ())
    network.plan(assignment("j-2", segment(HYDRO, 0.5, 2, 4)))
    network.wait(0.5)
    assert (network.job_state("j-1"), network.job_state("j-2")) == (JobState.RUNNING, JobState.EXPIRED)


def test_a_job_that_began_is_not_ended_by_its_start_by():
    network = Network()
    network.submit(job("j-1", start_by_ms=START_MS + HOUR_MS))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    network.report("j-1.1", Phase.FAILED)
    network.wait(2)
    assert network.job_state("j-1") is JobState.SUBMITTED


def test_run_time_is_counted_over_all_attempts():
    network = Network()
    network.submit(job("j-1", timeout_ms=2 * HOUR_MS, retries=9))
    network.plan(assignment("j-1", segment(HYDRO, 0, 4)))
    assert network.orders("no-hydro").leases[0].timeout_ms == 2 * HOUR_MS
    network.wait(0.25)
    network.report("j-1.1", Phase.RUNNING)
    network.wait(0.5)
    network.report("j-1.1", Phase.FAILED, exit_code=1)
    network.plan(assignment("j-1", segment(HYDRO, 0.75, 4)))
    # Waking and fetching are not run time; the half hour of the first attempt is.
    assert network.orders("no-hydro").leases[0].timeout_ms == 1.5 * HOUR_MS
    network.report("j-1.2", Phase.RUNNING)
    network.wait(1.5)
    told = network.report("j-1.2", Phase.FAILED, timed_out=True, exit_code=137)
    assert changes(told, "j-1") == [("failed", "timeout", 137)]


def test_a_job_without_run_time_left_is_not_tried_again_whatever_ended_it():
    network = Network()
    network.submit(job("j-1", timeout_ms=HOUR_MS, retries=9))
    network.plan(assignment("j-1", segment(HYDRO, 0, 4)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(1)
    told = network.tell(AgentLost(site=SiteId("no-hydro")))
    assert changes(told, "j-1") == [("failed", "timeout", None)]


def test_a_word_of_a_time_limit_that_nobody_set_is_a_failure_like_others():
    network = Network()
    network.submit(job("j-1", retries=1))
    network.plan(assignment("j-1", segment(HYDRO, 0, 4)))
    network.report("j-1.1", Phase.RUNNING)
    told = network.report("j-1.1", Phase.FAILED, timed_out=True, exit_code=137)
    assert changes(told, "j-1") == [("submitted", "failed", 137)]
