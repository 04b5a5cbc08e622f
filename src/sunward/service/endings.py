"""What happens beside the books when a job ends: its secrets are dropped, and its tenant is told.

Both are done from the projected state, so a service that dies in between does them at its next start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunward.errors import NotFoundError
from sunward.model.commands import JobChanged
from sunward.model.job import JobState
from sunward.service import notices

if TYPE_CHECKING:
    from sunward.service.control import ControlPlane

JOB_ENDED = "job_ended"
FINAL = frozenset(state.word for state in JobState if state.final)


def job_changed(control: ControlPlane, change: JobChanged) -> None:
    """Act on the end of a job of which something is kept until then."""
    if change.job in control.private_jobs and change.state in FINAL:
        _end(control, change.job, change.state, change.exit_code, change.at_ms)


def catch_up(control: ControlPlane) -> None:
    """Act on the jobs that ended, or were never recorded, when the last run of the service broke off."""
    for job in control.store.privates.jobs():
        try:
            row = control.store.queries.job_row(job)
        except NotFoundError:
            control.store.privates.end(job, None)
            continue
        if row.state in FINAL:
            _end(control, job, row.state, row.exit_code, row.updated_ms)
        else:
            control.private_jobs.add(job)


def _end(control: ControlPlane, job: str, state: str, exit_code: int | None, at_ms: int) -> None:
    private = control.store.privates.get(job)
    notice = None
    if private is not None and private.webhook:
        body = {"job": job, "state": state, "exit_code": exit_code, "at_ms": at_ms}
        notice = notices.new_notice(control, private.tenant, private.webhook, JOB_ENDED, body)
    control.store.privates.end(job, notice)
    control.private_jobs.discard(job)
    control.notices_wanted.set()
