"""Jobs at other carbon prices, worked out on a snapshot beside the writer; nothing is recorded of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sunward.errors import ConflictError, InputError
from sunward.model.identity import JobId, TenantId
from sunward.model.whatif import WhatIf, WhatIfRequest
from sunward.placement.whatif import what_if
from sunward.service import views
from sunward.service.contents import content_of
from sunward.service.control import ControlPlane
from sunward.service.lengths import view_of
from sunward.service.submit import CARBON_USD_MAX, job_spec
from sunward.world.snapshot import Snapshot
from sunward.world.tick import take_openings, take_some

PRICES_MAX = 24
JOBS_MAX = 64
"""Most jobs of one question: each price plans all of them anew."""
NOT_TO_TRY, ENDED = "SW-178", "SW-126"


async def tried(control: ControlPlane, tenant: TenantId, wanted: WhatIfRequest) -> WhatIf:
    """The trade between cost, carbon and delay of the jobs named, of all open ones, or of one not submitted.

    Raises: InputError, ConflictError; NotFoundError for a job that is not the tenant's.
    """
    _check(wanted)
    control.ensure_signals()
    if wanted.request is not None:
        spec = job_spec(control, tenant, JobId("what-if"), wanted.request)
        content_of(control, tenant, wanted.request)
        snapshot = replace(
            take_openings(control.state.world, control.clock.grid_ms()), jobs=(view_of(control.state.world, spec),)
        )
        return await _weighed(snapshot, wanted, (), 0)
    named = _named(control, tenant, wanted.jobs) if wanted.jobs else _open(control, tenant)
    snapshot = _of_open(control, named)
    jobs = tuple(str(job.spec.job) for job in snapshot.jobs)
    return await _weighed(snapshot, wanted, jobs, len(named) - len(jobs))


def _check(wanted: WhatIfRequest) -> None:
    prices = wanted.carbon_prices_usd_per_t
    if not 1 <= len(prices) <= PRICES_MAX or not all(0 <= price <= CARBON_USD_MAX for price in prices):
        line = f"name 1 to {PRICES_MAX} carbon prices, each between 0 and {CARBON_USD_MAX} USD per tonne"
        raise InputError(line, code=NOT_TO_TRY)
    if wanted.jobs and wanted.request is not None:
        raise InputError("name open jobs or describe one, not both", code=NOT_TO_TRY)
    if len(wanted.jobs) > JOBS_MAX:
        raise InputError(f"name at most {JOBS_MAX} jobs at once", code=NOT_TO_TRY)


def _named(control: ControlPlane, tenant: TenantId, jobs: tuple[str, ...]) -> tuple[str, ...]:
    for job in jobs:
        row = views.job_row(control, job, tenant)
        if row.state in views.FINAL_STATES:
            raise ConflictError(f"job {job} has ended already: {row.state}", code=ENDED)
    return tuple(dict.fromkeys(jobs))


def _open(control: ControlPlane, tenant: TenantId) -> tuple[str, ...]:
    table = control.state.world.jobs
    rows = ((job, table.row_of[job]) for job in table)
    found = tuple(job for job, row in rows if table.tenant(row) == tenant and not table.state(row).final)
    if not found:
        raise InputError("you have no open job; describe one, or submit one first", code=NOT_TO_TRY)
    if len(found) > JOBS_MAX:
        raise InputError(f"{len(found)} jobs are open; name at most {JOBS_MAX} of them", code=NOT_TO_TRY)
    return found


def _of_open(control: ControlPlane, jobs: tuple[str, ...]) -> Snapshot:
    """Those of the jobs that may be placed or moved, beside what all others hold."""
    world, now_ms = control.state.world, control.clock.grid_ms()
    seen = take_some(world, now_ms, jobs)
    movable = tuple(str(job.spec.job) for job in seen.jobs if not job.fixed)
    return seen if len(movable) == len(seen.jobs) else take_some(world, now_ms, movable)


async def _weighed(snapshot: Snapshot, wanted: WhatIfRequest, jobs: tuple[str, ...], left_out: int) -> WhatIf:
    points = await asyncio.to_thread(what_if, snapshot, wanted.carbon_prices_usd_per_t) if snapshot.jobs else ()
    return WhatIf(at_ms=snapshot.now_ms, based_on=snapshot.based_on, jobs=jobs, left_out=left_out, points=points)
