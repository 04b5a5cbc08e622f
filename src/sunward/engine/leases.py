"""Leases: offered, reported, suspended, lost."""

from __future__ import annotations

import numpy as np

from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.execution.machines import after_loss, lease_step
from sunward.model.events import AgentLost, AgentSeen, LeasesReported
from sunward.model.identity import JobId, SiteId, lease_id
from sunward.model.job import JobState, LeaseState
from sunward.model.plan import Segment
from sunward.model.receipt import AttemptLine
from sunward.model.site import PHASE_ORDER, LeaseReport, Phase
from sunward.world import draw
from sunward.world.called import kept_now, may_hold, used
from sunward.world.capacity import takes_work, withheld
from sunward.world.ceilings import ceiling_w, is_capped
from sunward.world.progress import progress
from sunward.world.state import Site, World

PLANNED = frozenset({"moving", "resizing", "capping", "waiting"})
"""Why a plan suspends a lease; the same plan says where and when its job goes on."""
CURTAILED = "curtailed"
"""Why a lease is suspended that draws more than its site may; a plan says where its job goes on, at once or later."""
CALLED = "called"
"""Why a lease is suspended whose containers were promised to someone who calls them; told on as the one before."""
TIMEOUT = "timeout"
"""Why a lease and its job ended that used up its run time; another try would use more."""
PROGRESS_STEPS = 100
"""Progress enters the journal in steps of one hundredth of a job."""


def check_site_known(state: State, site: str) -> None:
    """Refuse a word from a site that never enrolled.

    Raises: NotFoundError.
    """
    if site not in state.world.sites:
        raise NotFoundError(f"site {site} is not enrolled", code="SW-134")


def offer(turn: Turn, job: JobId, segment: Segment) -> None:
    """Offer the next attempt of a job to the site of its present segment, if a container is free now."""
    world = turn.world
    pool = world.pool(segment.pool)
    site = world.sites.get(segment.pool.partition("/")[0])
    if pool is None or site is None or not takes_work(site, turn.at_ms):
        _wait_for(turn, segment.pool, job)
        if site is None or not site.asleep_until_ms:
            # A machine asleep is planned on as far as it can be awake: its job waits for it.
            turn.request_plan("site away")
        return
    table = world.jobs
    row = table.row_of[job]
    room = pool.count - withheld(site, pool) - world.busy(segment.pool) - _promised(turn, job, pool.pool)
    rigid = not table.ints["interruptible"][row] and job not in world.reserve.serving
    lent = not rigid or may_hold(world, pool, segment.containers)
    if room < segment.containers or not lent or not _may_draw(turn, site, row, segment):
        _wait_for(turn, segment.pool, job)
        return
    table.ints["attempts"][row] += 1
    attempt = int(table.ints["attempts"][row])
    lease = lease_id(job, attempt)
    lease_row = world.open_lease(lease, job, attempt, site.spec.site, segment)
    world.leases.ints["from_units"][lease_row] = table.ints["units_done"][row]
    world.leases.ints["units"][lease_row] = table.ints["units_done"][row]
    table.ints["live_units"][row] = table.ints["units_done"][row]
    turn.move_job(job, JobState.STAGING, "offered", site=site.spec.site)
    turn.orders_changed(site.spec.site)


def _promised(turn: Turn, job: JobId, pool: str) -> int:
    """Free containers of a pool that are kept for who called them; whose work it is may take them."""
    world = turn.world
    own = job in world.reserve.serving
    return 0 if own or not world.reserve.calls else max(0, kept_now(world, pool) - used(world, pool))


def _may_draw(turn: Turn, site: Site, job_row: int, segment: Segment) -> bool:
    """Whether one more lease stays under the ceiling of a site, now and as long as a stop would take."""
    soon_ms = turn.at_ms + turn.world.network.policy.switch_ms
    room_w = draw.room_w(site.spec, ceiling_w(site, turn.at_ms, soon_ms)) if is_capped(site) else draw.NO_LIMIT_W
    if room_w == draw.NO_LIMIT_W:
        return True
    more_w = draw.job_w(turn.world, job_row, segment.pool, segment.containers, segment.power_cap_w)
    return draw.drawn_w(turn.world, site.spec.site) + more_w <= room_w


def _wait_for(turn: Turn, pool: str, job: JobId) -> None:
    waiting = turn.state.blocked.setdefault(pool, [])
    if job not in waiting:
        waiting.append(job)


def unblock(turn: Turn, site: SiteId) -> None:
    """Look again at the jobs that found no room at a site: containers or the agent may have come."""
    for pool in turn.world.sites[site].spec.pools:
        turn.look_later(turn.state.blocked.pop(pool.pool, []))


def begin_suspend(turn: Turn, lease: str, reason: str) -> None:
    """Order a lease to checkpoint and stop; an attempt nobody accepted yet is simply withdrawn."""
    world = turn.world
    row = world.leases.row_of[lease]
    if world.leases.ints["state"][row] == LeaseState.OFFERED:
        close(turn, lease, "withdrawn")
        return
    world.leases.ints["state"][row] = LeaseState.SUSPENDING
    world.leases.objects["reason"][row] = reason
    turn.orders_changed(world.leases.objects["site"][row])


def give_way(turn: Turn, lease: str, reason: str = CURTAILED) -> None:
    """Suspend a lease for a ceiling or a call; its job keeps what the plan gives it later.

    One that cannot pause begins anew.
    """
    world = turn.world
    job = world.leases.objects["job"][world.leases.row_of[lease]]
    row = world.jobs.row_of[job]
    later = [one for one in world.jobs.objects["segments"][row] if one.start_ms > turn.at_ms]
    world.give(job, tuple(later) if world.jobs.ints["interruptible"][row] else ())
    begin_suspend(turn, lease, reason)


def move_on(turn: Turn, site: SiteId, reason: str) -> None:
    """Suspend all work at a site that can be paused, and withdraw what nobody has accepted; the rest ends there."""
    world = turn.world
    for lease in world.open_leases(site):
        row = world.leases.row_of[lease]
        state = world.leases.ints["state"][row]
        pausable = world.jobs.ints["interruptible"][world.jobs.row_of[world.leases.objects["job"][row]]]
        if state == LeaseState.OFFERED or (pausable and state != LeaseState.SUSPENDING):
            begin_suspend(turn, lease, reason)


def withdraw_excess(turn: Turn, site: SiteId) -> None:
    """Withdraw offers that nobody accepted yet and that the owner has left no container for, the last ones first."""
    world = turn.world
    for pool in world.sites[site].spec.pools:
        room = pool.count - withheld(world.sites[site], pool)
        offered = [lease for lease in world.on_pool.get(pool.pool, ()) if _is_offered(turn, lease)]
        for lease in sorted(offered, key=lambda one: (-_offered_at(turn, one), one)):
            if world.busy(pool.pool) > room:
                close(turn, lease, "withdrawn")


def _is_offered(turn: Turn, lease: str) -> bool:
    leases = turn.world.leases
    return bool(leases.ints["state"][leases.row_of[lease]] == LeaseState.OFFERED)


def _offered_at(turn: Turn, lease: str) -> int:
    leases = turn.world.leases
    return int(leases.ints["offered_sequence"][leases.row_of[lease]])


def check_reported(state: State, payload: LeasesReported) -> None:
    """Refuse what no agent of this site can have seen.

    Raises: NotFoundError, ConflictError, InputError.
    """
    check_site_known(state, payload.site)
    boot = state.world.sites[payload.site].boot
    if payload.boot != boot:
        raise ConflictError(f"site {payload.site} runs boot {boot}, not {payload.boot}", code="SW-135")
    for one in payload.reports:
        if one.phase not in PHASE_ORDER:
            raise InputError(f"lease {one.lease}: unknown phase {one.phase}", code="SW-136")


def report(turn: Turn, payload: LeasesReported) -> None:
    """Take in what an agent says of its leases; what it says of another site's is passed over."""
    leases = turn.world.leases
    for one in payload.reports:
        row = leases.row_of.get(one.lease)
        if row is not None and leases.objects["site"][row] == payload.site:
            _report_one(turn, one, row)
    turn.orders_changed(payload.site)


def is_news(state: State, one: LeaseReport) -> bool:
    """Whether a report tells more than the journal holds; small steps of progress are not news."""
    leases = state.world.leases
    row = leases.row_of.get(one.lease)
    if row is None or leases.ints["state"][row] == LeaseState.CLOSED:
        return False
    if lease_step(LeaseState(int(leases.ints["state"][row])), one.phase) is not None:
        return True
    if _tells_start(state, one, row):
        return True
    jobs = state.world.jobs
    job_row = jobs.row_of[leases.objects["job"][row]]
    step = max(1, int(jobs.ints["units"][job_row]) // PROGRESS_STEPS)
    newer = bool(one.checkpoint) and one.checkpoint_units > int(jobs.ints["units_done"][job_row])
    return newer or one.units >= int(leases.ints["units"][row]) + step


def _tells_start(state: State, one: LeaseReport, row: int) -> bool:
    """Whether a lease began to run before it heard that it should stop: its time counts all the same."""
    ints = state.world.leases.ints
    stopping = ints["state"][row] == LeaseState.SUSPENDING
    return one.phase == Phase.RUNNING and bool(stopping) and not ints["started_ms"][row]


def _report_one(turn: Turn, one: LeaseReport, row: int) -> None:
    world = turn.world
    if world.leases.ints["state"][row] == LeaseState.CLOSED:
        return
    job = world.leases.objects["job"][row]
    job_row = world.jobs.row_of[job]
    _keep_progress(turn, one, row, job_row)
    if _tells_start(turn.state, one, row):
        world.leases.ints["started_ms"][row] = turn.at_ms
    now = LeaseState(int(world.leases.ints["state"][row]))
    then = lease_step(now, one.phase)
    if then is None:
        _hurry(turn, one.lease, row, job_row)
        return
    if then is LeaseState.CLOSED:
        _ended(turn, one, JobId(job), row)
        return
    world.leases.ints["state"][row] = then
    if then is LeaseState.RUNNING:
        world.leases.ints["started_ms"][row] = turn.at_ms
        attempt = int(world.leases.ints["attempt"][row])
        turn.move_job(
            job, JobState.RUNNING, "resumed" if attempt > 1 else "started", site=world.leases.objects["site"][row]
        )
        _hurry(turn, one.lease, row, job_row)


def _hurry(turn: Turn, lease: str, row: int, job_row: int) -> None:
    """Lift the power limit of work that would end too late under it: that it may be slow was the deadline's to say."""
    world = turn.world
    if not world.leases.ints["power_cap_w"][row] or world.leases.ints["state"][row] != LeaseState.RUNNING:
        return
    end_ms = progress(world, np.array([row]), np.array([job_row]), turn.at_ms).end_ms[0]
    # Half of the margin is for the start, which is over, the other half for the end.
    late = end_ms + world.network.policy.finish_margin_ms // 2 > world.jobs.ints["deadline_ms"][job_row]
    if not late or not _may_draw_all(turn, lease, row, job_row, int(end_ms)):
        return
    world.lift_cap(lease)
    # A plan that is being worked out now still thinks the limit holds.
    world.jobs.ints["revision"][job_row] += 1
    turn.orders_changed(world.leases.objects["site"][row])
    turn.request_plan("limit lifted")


def _may_draw_all(turn: Turn, lease: str, row: int, job_row: int, end_ms: int) -> bool:
    """Whether the site's ceiling leaves room for a lease without its power limit, to its end."""
    world = turn.world
    site, pool = world.sites[world.leases.objects["site"][row]], world.leases.objects["pool"][row]
    if not is_capped(site):
        return True
    more_w = draw.job_w(world, job_row, pool, int(world.leases.ints["gpus"][row]), 0) - draw.lease_w(world, lease)
    return draw.drawn_w(world, site.spec.site) + more_w <= draw.room_w(site.spec, ceiling_w(site, turn.at_ms, end_ms))


def _keep_progress(turn: Turn, one: LeaseReport, row: int, job_row: int) -> None:
    jobs, leases = turn.world.jobs, turn.world.leases
    exist = int(jobs.ints["units"][job_row])
    leases.ints["units"][row] = max(int(leases.ints["units"][row]), min(one.units, exist))
    jobs.ints["live_units"][job_row] = leases.ints["units"][row]
    if one.checkpoint and one.checkpoint_units >= jobs.ints["units_done"][job_row]:
        jobs.ints["units_done"][job_row] = min(one.checkpoint_units, exist)
        jobs.objects["checkpoint"][job_row] = one.checkpoint
        # An agent that has not fetched a checkpoint yet names it without its size, which stays what it was.
        jobs.ints["checkpoint_bytes"][job_row] = one.checkpoint_bytes or jobs.ints["checkpoint_bytes"][job_row]


def _ended(turn: Turn, one: LeaseReport, job: JobId, row: int) -> None:
    jobs, leases = turn.world.jobs, turn.world.leases
    job_row = jobs.row_of[job]
    site = leases.objects["site"][row]
    leases.objects["detail"][row] = one.detail
    why = leases.objects["reason"][row]
    if one.phase == Phase.FINISHED:
        jobs.ints["units_done"][job_row] = jobs.ints["units"][job_row]
        jobs.objects["output"][job_row] = one.output
        close(turn, one.lease, "finished", settle=False)
        turn.move_job(job, JobState.FINISHED, "finished", site=site, exit_code=one.exit_code)
    elif one.phase == Phase.SUSPENDED:
        close(turn, one.lease, why or "suspended")
    else:
        jobs.ints["failures"][job_row] += 1
        jobs.objects["output"][job_row] = one.output
        reason = TIMEOUT if one.timed_out and jobs.ints["timeout_ms"][job_row] else "failed"
        close(turn, one.lease, reason, detail=one.detail, exit_code=one.exit_code)


def covered(world: World, lease: str) -> bool:
    """Whether all readings of an ended lease are sealed."""
    row = world.leases.row_of[lease]
    if world.leases.objects["reason"][row] == "withdrawn":
        # Nobody took it. A lost one may have run even when no word of its start arrived.
        return True
    site = world.sites[world.leases.objects["site"][row]]
    return site.covered_to_ms >= int(world.leases.ints["ended_ms"][row])


def run_ms_left(state: State, job_row: int) -> int | None:
    """Run time a job may still use over all attempts, without the one that runs; None when it has no limit."""
    jobs = state.world.jobs
    limit_ms = int(jobs.ints["timeout_ms"][job_row])
    if not limit_ms:
        return None
    lines: tuple[AttemptLine, ...] = jobs.objects["attempt_lines"][job_row]
    return limit_ms - sum(line.end_ms - line.start_ms for line in lines)


def close(
    turn: Turn, lease: str, reason: str, *, settle: bool = True, detail: str = "", exit_code: int | None = None
) -> None:
    """End a lease, and unless its job has finished say where the job stands now."""
    world = turn.world
    row = world.leases.row_of[lease]
    job = world.leases.objects["job"][row]
    pool = world.leases.objects["pool"][row]
    world.close_lease(lease, reason, turn.at_ms)
    job_row = world.jobs.row_of[job]
    world.jobs.objects["attempt_lines"][job_row] += (_line(turn, row, reason),)
    turn.orders_changed(world.leases.objects["site"][row])
    if settle:
        _settle_job(turn, JobId(job), reason, detail, exit_code)
    turn.look_later(turn.state.blocked.pop(pool, []))
    site = world.leases.objects["site"][row]
    if is_capped(world.sites[site]):
        # Under a ceiling what ends on one pool makes room on all of them.
        unblock(turn, site)


def _line(turn: Turn, row: int, reason: str) -> AttemptLine:
    leases = turn.world.leases
    started = int(leases.ints["started_ms"][row]) or turn.at_ms
    return AttemptLine(
        attempt=int(leases.ints["attempt"][row]),
        site=leases.objects["site"][row],
        start_ms=started,
        end_ms=turn.at_ms,
        ended=reason,
        offered=int(leases.ints["offered_sequence"][row]),
        gpus=int(leases.ints["gpus"][row]),
    )


def _settle_job(turn: Turn, job: JobId, reason: str, detail: str, exit_code: int | None) -> None:
    jobs = turn.world.jobs
    row = jobs.row_of[job]
    if jobs.ints["cancelled"][row]:
        turn.move_job(job, JobState.CANCELLED, "cancelled")
        return
    left_ms = run_ms_left(turn.state, row)
    if reason == TIMEOUT or (left_ms is not None and left_ms <= 0):
        turn.move_job(job, JobState.FAILED, TIMEOUT, detail=detail, exit_code=exit_code)
        return
    if jobs.ints["failures"][row] > jobs.ints["retries"][row]:
        turn.move_job(job, JobState.FAILED, "failed", detail=detail, exit_code=exit_code)
        return
    planned = reason in PLANNED or (reason in (CURTAILED, CALLED) and bool(jobs.objects["segments"][row]))
    then = JobState.SUSPENDED if planned else after_loss(bool(jobs.objects["checkpoint"][row]))
    turn.move_job(job, then, reason, detail=detail, exit_code=exit_code)
    if planned:
        # The plan that suspended it says where it goes on; a container may already be free there.
        turn.look_later([job])
    else:
        turn.world.give(job, ())
        turn.request_plan(reason)


def agent_seen(turn: Turn, payload: AgentSeen) -> None:
    """Note that an agent is there; a new boot means its old attempts are gone."""
    site = turn.world.sites[payload.site]
    if site.boot and site.boot != payload.boot:
        _lose_all(turn, payload.site, accepted_only=True)
    site.boot = payload.boot
    turn.world.readings.tell(payload.site, payload.boot)
    site.up = True
    site.asleep_until_ms = site.called_ms = 0
    unblock(turn, payload.site)
    turn.orders_changed(payload.site)
    turn.request_plan("site seen")


def agent_lost(turn: Turn, payload: AgentLost) -> None:
    """Give up the attempts of a silent agent; whatever they still write is fenced."""
    site = turn.world.sites[payload.site]
    turn.orders_changed(payload.site)
    site.up = False
    site.asleep_until_ms = site.called_ms = 0
    _lose_all(turn, payload.site, accepted_only=False)
    turn.request_plan("site lost")


def _lose_all(turn: Turn, site: SiteId, *, accepted_only: bool) -> None:
    world = turn.world
    for lease in world.open_leases(site):
        row = world.leases.row_of[lease]
        if accepted_only and world.leases.ints["state"][row] == LeaseState.OFFERED:
            continue
        close(turn, lease, "lost")
