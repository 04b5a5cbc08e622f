"""Why a job is placed as it is, worked out on a snapshot beside the writer; nothing is recorded of it."""

from __future__ import annotations

import asyncio

from sunward.adapters.queries import JobRow
from sunward.model.events import PlanProposed
from sunward.model.explanation import CountedZone, Explanation, Promise
from sunward.model.job import JobSpec
from sunward.model.plan import Assignment
from sunward.model.request import JobView
from sunward.placement.why import Why, why
from sunward.service import views
from sunward.service.control import ControlPlane
from sunward.world.places import counted_elsewhere
from sunward.world.tick import take_some

NOTHING = Why(filters=(), chosen=None, alternatives=(), waiting=())


async def explained(control: ControlPlane, row: JobRow) -> Explanation:
    """All that is known of one job's place; of one that has ended, the decision that was recorded last."""
    view = views.job_view(control, row, named=False)
    jobs = control.state.world.jobs
    at = jobs.row_of.get(row.job)
    if at is None or row.state in views.FINAL_STATES:
        recorded = await asyncio.to_thread(_recorded, control, row.job)
        return _explanation(control, view, NOTHING, recorded, _promise(view, NOTHING), fixed=True)
    spec = jobs.spec(at)
    control.ensure_signals()
    snapshot = take_some(control.state.world, control.clock.grid_ms(), (row.job,))
    found = await asyncio.to_thread(why, snapshot)
    fixed = snapshot.jobs[0].fixed
    return _explanation(control, view, found, view.assignment, _promise(view, found, spec), fixed=fixed)


def _recorded(control: ControlPlane, job: str) -> Assignment | None:
    """The last decision on a job in the journal, found by the job's own history."""
    for row in reversed(tuple(control.store.queries.history(job))):
        payload = control.store.record(row.sequence).event.payload
        if isinstance(payload, PlanProposed):
            named = [one for one in payload.plan.assignments if one.job == job]
            if named:
                return named[-1]
    return None


def _explanation(
    control: ControlPlane, view: JobView, found: Why, recorded: Assignment | None, promise: Promise, *, fixed: bool
) -> Explanation:
    return Explanation(
        job=view.job,
        state=view.state,
        at_ms=control.clock.grid_ms(),
        based_on=control.state.world.sequence,
        assignment=recorded,
        refusal=view.refusal,
        promise=promise,
        fixed=fixed,
        pools=len(control.state.world.pools()),
        filters=found.filters,
        chosen=found.chosen,
        alternatives=found.alternatives,
        waiting=found.waiting,
        elsewhere=_elsewhere(control, found),
    )


def _elsewhere(control: ControlPlane, found: Why) -> tuple[CountedZone, ...]:
    """The sites of all choices whose carbon is costed in another zone than they declare."""
    world = control.state.world
    choices = (*(() if found.chosen is None else (found.chosen,)), *found.alternatives)
    sites = sorted({part.pool.partition("/")[0] for choice in choices for part in choice.segments})
    specs = [world.sites[site].spec for site in sites if site in world.sites]
    counted = counted_elsewhere(world, specs, control.clock.grid_ms())
    return tuple(
        CountedZone(site=one.site, declared=one.zone, counted=counted[one.site]) for one in specs if one.site in counted
    )


def _promise(view: JobView, found: Why, spec: JobSpec | None = None) -> Promise:
    segments = found.chosen.segments if found.chosen is not None else ()
    end_ms = segments[-1].end_ms if segments else 0
    return Promise(
        finish_by_ms=view.deadline_ms,
        start_by_ms=spec.start_by_ms if spec else 0,
        start_ms=segments[0].start_ms if segments and not view.units_done else 0,
        end_ms=end_ms,
        spare_ms=view.deadline_ms - end_ms if end_ms else 0,
        stated_ppm=spec.promise_ppm if spec else 0,
    )
