"""Which step may follow which, for jobs, leases and awake counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.errors import InvariantError
from sunward.execution.machines import JOB_STEPS, LEASE_STEPS, WAITING, after_loss, check_job_step, lease_step
from sunward.execution.power import awake_count, next_change_ms
from sunward.model.identity import PoolId
from sunward.model.job import JobState, LeaseState
from sunward.model.plan import AwakeTarget
from sunward.model.site import FINAL_PHASES, PHASE_ORDER

targets = st.lists(
    st.builds(
        lambda start, length, count: AwakeTarget(pool=PoolId("p"), start_ms=start, end_ms=start + length, count=count),
        st.integers(0, 20),
        st.integers(1, 10),
        st.integers(0, 5),
    ),
    max_size=5,
)


@pytest.mark.parametrize("state", list(JobState))
def test_nothing_follows_a_final_state_and_every_other_can_end(state):
    assert (JOB_STEPS[state] == frozenset()) == state.final
    reached, new = {state}, {state}
    while new:
        new = {then for now in new for then in JOB_STEPS[now]} - reached
        reached |= new
    assert state.final or {JobState.FINISHED, JobState.CANCELLED} <= reached


@pytest.mark.parametrize("now", list(JobState))
@pytest.mark.parametrize("then", list(JobState))
def test_a_step_is_known_or_a_fault_of_ours(now, then):
    if then in JOB_STEPS[now]:
        check_job_step("j", now, then)
    else:
        with pytest.raises(InvariantError, match=f"no step from {now.word} to {then.word}"):
            check_job_step("j", now, then)


def test_only_jobs_without_a_lease_are_offered_one():
    assert {now for now, steps in JOB_STEPS.items() if JobState.STAGING in steps} < WAITING


@pytest.mark.parametrize("now", list(LeaseState))
def test_reports_only_ever_lead_on(now):
    for phase in PHASE_ORDER:
        then = lease_step(now, phase)
        assert then is None or then > now
        if phase in FINAL_PHASES:
            assert then is (None if now is LeaseState.CLOSED else LeaseState.CLOSED)
    assert lease_step(now, "dancing") is None
    assert (LEASE_STEPS[now] == frozenset()) == (now is LeaseState.CLOSED)


def test_a_lost_job_goes_on_from_what_it_has():
    assert after_loss(has_checkpoint=True) is JobState.SUSPENDED
    assert after_loss(has_checkpoint=False) is JobState.SUBMITTED


@given(targets, st.integers(0, 30), st.integers(0, 4), st.integers(4, 6))
def test_awake_is_between_what_is_held_and_what_exists(chosen, at_ms, busy, exist):
    count = awake_count(chosen, at_ms, busy, exist)
    assert busy <= count <= exist
    planned = [one.count for one in chosen if one.start_ms <= at_ms < one.end_ms]
    assert count == min(exist, max([busy, *planned]))


@given(targets, st.integers(0, 30))
def test_nothing_changes_before_the_next_change(chosen, at_ms):
    change_ms = next_change_ms(chosen, at_ms)
    assert change_ms is None or change_ms > at_ms
    until = 40 if change_ms is None else change_ms
    assert len({awake_count(chosen, moment, 0, 9) for moment in range(at_ms, until)}) <= 1
