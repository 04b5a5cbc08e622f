"""Submission, cancellation, and the look at one job that starts, pauses or expires it."""

from __future__ import annotations

from itertools import pairwise

from sunward.engine import leases
from sunward.engine.rate import require_fresh
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.execution.machines import WAITING
from sunward.model.commands import JobChanged
from sunward.model.events import CancelRequested, JobsSubmitted
from sunward.model.identity import JobId
from sunward.model.job import JobSpec, JobState, LeaseState, LengthKind
from sunward.model.plan import Segment
from sunward.model.trust import Dimension, level_asked
from sunward.settlement.entries import escrow, refund_all
from sunward.settlement.ledger import tenant_account
from sunward.signals import climatology
from sunward.units import DAY_MS, PPM, ceil_to, floor_to
from sunward.world.called import begins_soon
from sunward.world.ceilings import overlapping

SUBMITTED = "submitted"
"""The reason of a request for a plan that concerns new jobs alone."""
OPEN_MS_MAX = 30 * DAY_MS
"""Farthest deadline: the kept signals (`signalbook.KEPT_MS`) must still hold a job's first hour at its receipt."""
LEAST = {"max_slowdown_ppm": -1}
"""Of figures that may be below 0."""
MOST = {
    "gpus": 10**5,
    "gpu_memory_gib": 10**6,
    "length_ms": 2 * OPEN_MS_MAX,
    "units": 10**12,
    "budget_usd_micro": 10**15,
    "carbon_price_usd_per_t": 10**6,
    "retries": 10**6,
    "data_bytes": 10**18,
    "start_by_ms": 2**53,
    "timeout_ms": 10**15,
    "gpus_max": 10**5,
    "latency_max_ms": 10**6,
    "max_slowdown_ppm": 10 * PPM,
}
"""Largest figures of a job: far above any need, and small enough that no column of 64 bits overflows."""
COUNTS_MAX = 1_024
"""Most numbers of GPUs that one speed-up curve may tell of."""
BAD_CURVE = "SW-187"


def check_submitted(state: State, payload: JobsSubmitted) -> None:
    """Refuse jobs that exist already or that nobody can pay for.

    Raises: ConflictError, InputError.
    """
    if not payload.jobs:
        raise InputError("nothing was submitted; name at least one job", code="SW-121")
    require_fresh(state, state.world.at_ms)
    owed: dict[str, int] = {}
    names: set[str] = set()
    for spec in payload.jobs:
        if spec.job in state.world.jobs or spec.job in names:
            raise ConflictError(f"job {spec.job} exists already", code="SW-127")
        names.add(spec.job)
        check_spec(spec, state.world.at_ms)
        owed[spec.tenant] = owed.get(spec.tenant, 0) + spec.escrow_wei
    for tenant, amount in owed.items():
        held = state.ledger.balance(tenant_account(tenant))
        if amount > held:
            raise InputError(
                f"the escrow needs {amount} wei and the account holds {held}; "
                "deposit more with `sunward account deposit`",
                code="SW-120",
            )


def check_spec(spec: JobSpec, now_ms: int) -> None:
    """Refuse figures that mean nothing.

    Raises: InputError.
    """
    if spec.gpus < 1 or spec.units < 1 or spec.length_ms < 1 or spec.escrow_wei < 1:
        raise InputError("gpus, units, length and escrow must be at least 1", code="SW-121")
    for name, most in MOST.items():
        if not LEAST.get(name, 0) <= getattr(spec, name) <= most:
            raise InputError(
                f"{name} is {getattr(spec, name)}; it must lie in {LEAST.get(name, 0)}..{most}", code="SW-121"
            )
    climatology.load().zone(spec.origin_zone)
    check_evidence(spec)
    check_elastic(spec)
    if spec.interruptible and spec.units == 1 and spec.length_kind is LengthKind.KNOWN:
        raise InputError("a pausable job must say how many units of work it has (--units)", code="SW-122")
    if spec.deadline_ms <= now_ms:
        raise InputError("the deadline has passed; name a later one", code="SW-123")
    if spec.deadline_ms > now_ms + OPEN_MS_MAX:
        raise InputError(
            f"the deadline is more than {OPEN_MS_MAX // DAY_MS} days ahead; name an earlier one", code="SW-123"
        )
    if not 0 <= spec.promise_ppm < PPM:
        raise InputError("a promise is stated with a probability above 0 and below 1; correct it", code="SW-121")
    if spec.length_kind is LengthKind.UNKNOWN and not spec.timeout_ms:
        raise InputError("a job of unknown length needs a limit on its run time; add a timeout", code="SW-121")
    if spec.start_by_ms and not now_ms < spec.start_by_ms < spec.deadline_ms:
        raise InputError("start-by must lie ahead, and before the deadline; correct one of them", code="SW-123")


def check_evidence(spec: JobSpec) -> None:
    """Refuse what no evidence could be.

    Raises: InputError.
    """
    dimensions = [level_asked(word)[0] for word in spec.evidence]
    if sorted(set(dimensions), key=tuple(Dimension).index) != dimensions:
        raise InputError("name each dimension of evidence once, in order", code="SW-747")


def check_elastic(spec: JobSpec) -> None:
    """Refuse numbers of GPUs and a speed-up curve that do not belong together.

    Raises: InputError.
    """
    curve = spec.speedup_ppm
    if not spec.gpus_max and not curve:
        return
    if spec.gpus_max < spec.gpus:
        raise InputError(
            f"gpus_max is {spec.gpus_max}, below gpus {spec.gpus}; name the least and the most", code=BAD_CURVE
        )
    wanted = spec.gpus_max - spec.gpus + 1
    if len(curve) != wanted or wanted > COUNTS_MAX:
        raise InputError(
            f"speedup has {len(curve)} values for {spec.gpus} to {spec.gpus_max} GPUs; "
            f"give one for each number of GPUs, at most {COUNTS_MAX}",
            code=BAD_CURVE,
        )
    if curve[0] != PPM or any(after < before for before, after in pairwise(curve)):
        raise InputError("speedup begins with 1, for the least GPUs, and never falls; correct it", code=BAD_CURVE)
    for more, rate in enumerate(curve):
        if rate * spec.gpus > (spec.gpus + more) * PPM:
            raise InputError(
                f"speedup {rate / PPM:g} with {spec.gpus + more} GPUs is more than in proportion to {spec.gpus}; "
                "it is a rate over that of the least GPUs",
                code=BAD_CURVE,
            )
    if spec.elastic and not spec.interruptible:
        raise InputError(
            "a job that changes its number of GPUs must be able to pause (--checkpoint and --units)", code=BAD_CURVE
        )


def submit(turn: Turn, payload: JobsSubmitted) -> None:
    """Take in jobs: escrow, a row each, and a plan."""
    jobs = turn.world.jobs
    jobs.insert(payload.jobs, turn.at_ms)
    for spec in payload.jobs:
        turn.world.fresh.add(spec.job)
        turn.post([escrow(turn.origin(), spec.tenant, spec.job, spec.escrow_wei)])
        turn.state.add_due(spec.deadline_ms, "job", spec.job)
        if spec.start_by_ms:
            turn.state.add_due(spec.start_by_ms, "job", spec.job)
        turn.emit(JobChanged(job=spec.job, tenant=spec.tenant, state="submitted", reason="submitted", at_ms=turn.at_ms))
    arm_slot(turn)
    turn.request_plan(SUBMITTED)


def arm_slot(turn: Turn) -> None:
    """Plan again at the next slot boundary as long as jobs are open."""
    slot_ms = turn.world.network.policy.slot_ms
    boundary = ceil_to(turn.at_ms + 1, slot_ms)
    if turn.state.slot_armed_ms < boundary:
        turn.state.slot_armed_ms = boundary
        turn.state.add_due(boundary, "slot", "")


def check_cancel(state: State, payload: CancelRequested) -> None:
    """Refuse to cancel what does not exist or has ended.

    Raises: NotFoundError, ConflictError.
    """
    row = state.world.jobs.row_of.get(payload.job)
    if row is None:
        raise NotFoundError(f"there is no open job {payload.job}", code="SW-104")
    if state.world.jobs.state(row).final:
        raise ConflictError(f"job {payload.job} has ended already", code="SW-126")


def cancel(turn: Turn, payload: CancelRequested) -> None:
    """Cancel at once when nothing runs, otherwise stop the lease first."""
    jobs = turn.world.jobs
    row = jobs.row_of[payload.job]
    jobs.ints["cancelled"][row] = 1
    turn.world.give(payload.job, ())
    lease = jobs.objects["lease"][row]
    if lease:
        leases.begin_suspend(turn, lease, "cancelled")
    else:
        end_unserved(turn, payload.job, JobState.CANCELLED, "cancelled")


def end_unserved(turn: Turn, job: str, state: JobState, reason: str, detail: str = "") -> None:
    """End a job that holds no lease; one that never ran gets its escrow back at once."""
    jobs = turn.world.jobs
    row = jobs.row_of[job]
    turn.move_job(job, state, reason, detail=detail)
    if not jobs.ints["attempts"][row]:
        refund = refund_all(turn.origin(), job=job, tenant=jobs.tenant(row), escrow_wei=jobs.objects["escrow_wei"][row])
        turn.post(refund.entries)


def segment_at(segments: tuple[Segment, ...], at_ms: int) -> Segment | None:
    """The segment that covers a moment."""
    return next((segment for segment in segments if segment.start_ms <= at_ms < segment.end_ms), None)


def look_at(turn: Turn, job: str) -> None:
    """Do what the plan says for one job at this moment: start it, pause it, or see that it is too late."""
    jobs = turn.world.jobs
    row = jobs.row_of.get(job)
    if row is None or jobs.state(row).final:
        return
    segments = jobs.objects["segments"][row]
    lease = jobs.objects["lease"][row]
    present = segment_at(segments, turn.at_ms)
    if lease:
        _look_at_running(turn, job, lease, present, segments)
        return
    if present is not None:
        leases.offer(turn, JobId(job), present)
    missed = _missed(turn, row)
    if missed and jobs.state(row) in WAITING:
        end_unserved(turn, job, JobState.EXPIRED, missed)
    elif present is None and not missed and not any(segment.start_ms > turn.at_ms for segment in segments):
        turn.request_plan("unplaced")


def _missed(turn: Turn, row: int) -> str:
    """Which promise to a job that nobody has begun is broken by now; one that has begun is finished all the same."""
    ints = turn.world.jobs.ints
    if ints["attempts"][row]:
        return ""
    if turn.at_ms >= ints["deadline_ms"][row]:
        return "deadline"
    return "start_by" if 0 < ints["start_by_ms"][row] <= turn.at_ms else ""


def _look_at_running(turn: Turn, job: str, lease: str, present: Segment | None, segments: tuple[Segment, ...]) -> None:
    world = turn.world
    row = world.leases.row_of[lease]
    if world.leases.ints["state"][row] == LeaseState.SUSPENDING:
        return
    if not world.jobs.ints["interruptible"][world.jobs.row_of[job]]:
        return
    here = world.leases.objects["pool"][row], *(int(world.leases.ints[name][row]) for name in ("gpus", "power_cap_w"))
    # Another number of GPUs or power limit is a stop and a start as well, also where it is the same pool.
    elsewhere = present is not None and (present.pool, present.containers, present.power_cap_w) != here
    later = present is None and any(segment.start_ms > turn.at_ms for segment in segments)
    if present is None and not later and world.jobs.ints["length_kind"][world.jobs.row_of[job]]:
        # It runs longer than was planned for, and on: the plan must know.
        turn.request_plan("overrun")
    if elsewhere or later:
        leases.begin_suspend(turn, lease, _why_paused(turn, present, *here[:2]))


def _why_paused(turn: Turn, present: Segment | None, pool: str, gpus: int) -> str:
    slot_ms = turn.world.network.policy.slot_ms
    slot_start_ms = floor_to(turn.at_ms, slot_ms)
    limits = overlapping(turn.world.sites[pool.partition("/")[0]], turn.at_ms, slot_start_ms + 2 * slot_ms)
    if any(one.start_ms >= slot_start_ms for one in limits):
        # A limit begins in this slot or the next, so the plan has kept that clear; what little is left before is not
        # always worth running.
        return leases.CURTAILED
    if begins_soon(turn.world, pool, slot_start_ms, slot_start_ms + 2 * slot_ms):
        return leases.CALLED
    if present is None:
        return "waiting"
    if present.pool != pool:
        return "moving"
    return "resizing" if present.containers != gpus else "capping"
