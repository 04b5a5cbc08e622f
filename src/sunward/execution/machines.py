"""State machines of jobs and leases: which step may follow which."""

from __future__ import annotations

from sunward.errors import InvariantError
from sunward.model.job import JobState, LeaseState
from sunward.model.site import Phase

J = JobState
L = LeaseState

JOB_STEPS: dict[JobState, frozenset[JobState]] = {
    J.SUBMITTED: frozenset({J.PLACED, J.CANCELLED, J.EXPIRED, J.REFUSED}),
    J.PLACED: frozenset({J.SUBMITTED, J.STAGING, J.CANCELLED, J.EXPIRED, J.REFUSED}),
    J.STAGING: frozenset({J.RUNNING, J.SUBMITTED, J.SUSPENDED, J.FINISHED, J.FAILED, J.CANCELLED}),
    J.RUNNING: frozenset({J.SUBMITTED, J.SUSPENDED, J.FINISHED, J.FAILED, J.CANCELLED}),
    J.SUSPENDED: frozenset({J.STAGING, J.CANCELLED, J.EXPIRED, J.FAILED, J.REFUSED}),
    J.FINISHED: frozenset(),
    J.FAILED: frozenset(),
    J.CANCELLED: frozenset(),
    J.EXPIRED: frozenset(),
    J.REFUSED: frozenset(),
}
"""A job whose lease is lost goes back to submitted, or to suspended when it holds a checkpoint."""

LEASE_STEPS: dict[LeaseState, frozenset[LeaseState]] = {
    L.OFFERED: frozenset({L.ACCEPTED, L.WAKING, L.RUNNING, L.SUSPENDING, L.CLOSED}),
    L.ACCEPTED: frozenset({L.WAKING, L.RUNNING, L.SUSPENDING, L.CLOSED}),
    L.WAKING: frozenset({L.RUNNING, L.SUSPENDING, L.CLOSED}),
    L.RUNNING: frozenset({L.SUSPENDING, L.CLOSED}),
    L.SUSPENDING: frozenset({L.CLOSED}),
    L.CLOSED: frozenset(),
}

_PHASE_STATE = {
    Phase.ACCEPTED: L.ACCEPTED,
    Phase.WAKING: L.WAKING,
    Phase.RUNNING: L.RUNNING,
    Phase.SUSPENDED: L.CLOSED,
    Phase.FINISHED: L.CLOSED,
    Phase.FAILED: L.CLOSED,
}

WAITING = frozenset({J.SUBMITTED, J.PLACED, J.SUSPENDED})
"""States in which a job holds no lease."""


def check_job_step(job: str, now: JobState, then: JobState) -> None:
    """Refuse a step the machine does not know.

    Raises: InvariantError.
    """
    if then not in JOB_STEPS[now]:
        raise InvariantError(f"job {job}: no step from {now.word} to {then.word}")


def lease_step(now: LeaseState, phase: str) -> LeaseState | None:
    """The state a report leads to, or None when it tells nothing new (late, doubled or out of order)."""
    then = _PHASE_STATE.get(phase)
    return then if then in LEASE_STEPS[now] else None


def after_loss(has_checkpoint: bool) -> JobState:  # noqa: FBT001
    """Where a job stands when its attempt was lost or failed and may be tried again."""
    return J.SUSPENDED if has_checkpoint else J.SUBMITTED
