"""What an agent says, held against what can be true of its site before it becomes an event.

An agent is not trusted with the state: it reports its own leases only, in words and figures that the
state can hold, and names only files that are stored.
"""

from __future__ import annotations

from dataclasses import replace

from sunward.adapters.contents_sql import Contents
from sunward.engine.state import State
from sunward.errors import ConflictError, InputError
from sunward.model.identity import SiteId
from sunward.model.job import LeaseState
from sunward.model.site import FINAL_PHASES, PHASE_ORDER, LeaseReport, PoolPower
from sunward.model.wire import SyncRequest

DETAIL_CHARS = 300
EXIT_CODE_MAX = 255
BYTES_MAX = 2**60
"""As much as a job may say its data are."""
FENCED = "SW-140"
PAST_BOOT = "SW-135"


def checked(state: State, site: SiteId, request: SyncRequest, contents: Contents) -> SyncRequest:
    """The request as it may be recorded: the site's open leases only, with progress inside the job.

    Raises: InputError for a phase or power that cannot be, ConflictError for a file that is not stored.
    """
    if not request.boot or len(request.boot) > DETAIL_CHARS:
        raise InputError("boot must name this run of the agent", code="SW-147")
    for power in request.power:
        _check_power(state, site, power)
    open_leases = set(state.world.open_leases(site))
    reports = tuple(
        _checked_report(state, report, contents) for report in request.reports if report.lease in open_leases
    )
    return replace(request, reports=reports)


def settled(state: State, site: SiteId, request: SyncRequest) -> tuple[str, ...]:
    """Leases reported as ended that no longer stand open here: the agent need not name them again."""
    open_leases = set(state.world.open_leases(site))
    ended = [report.lease for report in request.reports if report.phase in FINAL_PHASES]
    return tuple(lease for lease in ended if lease not in open_leases)


def upload_ref(job: str, digest: str) -> str:
    """Under what a checkpoint or result of a job is noted when it is stored."""
    return f"upload:{job}:{digest}"


def output_ref(job: str) -> str:
    """Under what the result of a finished job is noted."""
    return f"output:{job}"


def require_current(state: State, site: SiteId, lease: str) -> int:
    """The row of a lease that is its job's current attempt, held by this site.

    Raises: ConflictError when another attempt has taken its place, or it has ended: its writes are fenced.
    """
    leases = state.world.leases
    row = leases.row_of.get(lease)
    if row is None or leases.objects["site"][row] != site or leases.ints["state"][row] == LeaseState.CLOSED:
        raise ConflictError(f"lease {lease} is not held by {site} any more; stop it and forget it", code=FENCED)
    return row


def _check_power(state: State, site: SiteId, power: PoolPower) -> None:
    pool = next((one for one in state.world.sites[site].spec.pools if one.pool == power.pool), None)
    if pool is None:
        raise InputError(f"site {site} has no pool {power.pool}; report enrolled pools only", code="SW-147")
    counts = (power.asleep, power.waking, power.idle, power.busy)
    if min(counts) < 0 or sum(counts) > pool.count:
        raise InputError(f"pool {power.pool} has {pool.count} containers; the reported states do not", code="SW-147")
    if not 0 <= power.withheld <= pool.count:
        raise InputError(f"pool {power.pool} can withhold 0 to {pool.count} containers", code="SW-141")


def _checked_report(state: State, report: LeaseReport, contents: Contents) -> LeaseReport:
    if report.phase not in PHASE_ORDER:
        raise InputError(f"unknown phase of a lease; use one of {', '.join(PHASE_ORDER)}", code="SW-147")
    world = state.world
    job = world.leases.objects["job"][world.leases.row_of[report.lease]]
    row = world.jobs.row_of[job]
    for digest in (report.checkpoint, report.output):
        # Stored for this very job: else an agent could name, and then fetch, what belongs to another tenant.
        if digest and contents.held(world.jobs.tenant(row), upload_ref(job, digest)) is None:
            raise ConflictError(f"lease {report.lease}: store {digest} before you report it", code="SW-148")
    units = int(world.jobs.ints["units"][row])
    return replace(
        report,
        # A job writes its own progress; what lies outside the job would break the arithmetic of everybody.
        units=min(max(report.units, 0), units),
        checkpoint_units=min(max(report.checkpoint_units, 0), units),
        checkpoint_bytes=min(max(report.checkpoint_bytes, 0), BYTES_MAX),
        detail=" ".join(report.detail.split())[:DETAIL_CHARS],
        exit_code=None if report.exit_code is None else min(max(report.exit_code, -EXIT_CODE_MAX), EXIT_CODE_MAX),
    )
