"""Erasing a tenant's private content: the books stay, and hold only commitments of what is gone."""

from __future__ import annotations

import asyncio

from sunward.errors import ConflictError
from sunward.model.events import CancelRequested
from sunward.model.identity import JobId
from sunward.model.records import Erased
from sunward.service.control import ControlPlane

OPEN = "SW-169"


async def erased(control: ControlPlane, tenant: str, *, cancel: bool) -> Erased:
    """Erase names, commands, logs, files and budget of a tenant, whose jobs must have ended; `cancel` ends open ones.

    Raises: ConflictError while jobs are open, and then nothing is erased.
    """
    still_open = _open_jobs(control, tenant)
    if cancel:
        for job in still_open:
            control.commit_one(CancelRequested(job=job))
        still_open = _open_jobs(control, tenant)
    if still_open:
        what = "are ending; ask again in a moment" if cancel else "are open; cancel them first, or ask for it too"
        raise ConflictError(f"{len(still_open)} jobs of this tenant {what}", code=OPEN)
    store = control.store
    jobs = store.contents.erase_content(tenant)
    store.privates.erase_tenant(tenant)
    store.budgets.drop(tenant)
    # Kept answers repeat what was said of jobs, their names too.
    store.access.drop_replies(tenant)
    digests = store.contents.release(tenant)
    await asyncio.to_thread(control.objects.remove, digests)
    store.contents.drop_old_pages()
    return Erased(tenant=tenant, jobs=jobs, objects=len(digests))


def _open_jobs(control: ControlPlane, tenant: str) -> list[JobId]:
    jobs = control.state.world.jobs
    return [JobId(job) for job in jobs if jobs.tenant(row := jobs.row_of[job]) == tenant and not jobs.state(row).final]
