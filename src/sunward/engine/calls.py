"""Called containers: woken in time, freed of lent work with notice, given to who called, and looked at when due.

A drill is a call that nobody knew of: drawn from a value of outside after the owners were fixed, for all promises of an
owner at once, and met as a call is.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from sunward.engine import ceilings, challenges, leases, plans, trust
from sunward.engine.pledge import fine_usd_micro
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.execution.machines import WAITING
from sunward.model.challenge import BeaconValue
from sunward.model.identity import SiteId, TenantId, mint
from sunward.model.job import JobState, LeaseState
from sunward.model.plan import Segment
from sunward.model.reserve import Call, CallEnded, CallKind, DrillDraw, Outcome, Penalty, Promise
from sunward.model.reserve_events import CallReleased, DrillsDrawn, PromiseCalled
from sunward.model.trust import Consequence, Dimension
from sunward.placement.filter import Fit, fit
from sunward.placement.fleet import fleet_of
from sunward.settlement.stakes import Harm
from sunward.units import HOUR_MS, MILLI_PER_UNIT, PPM, SECOND_MS, floor_to
from sunward.verification.verdict import Finding
from sunward.world.called import call_targets, kept_now, used
from sunward.world.capacity import takes_work, withheld
from sunward.world.reserve import parts
from sunward.world.view import frame, views

NO_CALL, NOT_CALLABLE, NO_DRILL = "SW-817", "SW-818", "SW-819"
HOURLY = "hour"
"""What is due is the fixing of owners, not a call."""
GRACE_MACHINE_MS = 30 * SECOND_MS
"""Machine time that messages may take: a word that containers are ready is no faster where grid time is."""
CALL_MS_MAX = 31 * 24 * HOUR_MS
MISSED = "{ready} of {containers} containers of promise {promise} were ready {minutes} min after they were {asked}"
DIGEST_CHARS = 64


def called(turn: Turn, payload: PromiseCalled) -> None:
    """Ask for containers of a promise; a drill of the same promise gives way to the need."""
    book = turn.world.reserve
    promise = book.promises[payload.promise]
    for other in book.open_calls(promise.promise):
        if other.kind is CallKind.DRILL:
            _end(turn, other, Outcome.VOID, 0)
    _open(turn, promise, payload.call, CallKind.CALL, payload.containers, payload.until_ms)
    at_once = sum(part.containers for one in book.calls.values() if one.kind is CallKind.CALL for part in one.backing)
    book.demand_max = max(book.demand_max, at_once)


def check_called(state: State, payload: PromiseCalled) -> None:
    """Refuse a call of more than was promised.

    Raises: NotFoundError, ConflictError, InputError.
    """
    book, at_ms = state.world.reserve, state.world.at_ms
    promise = book.promises.get(payload.promise)
    if promise is None:
        raise NotFoundError(f"no promise {payload.promise}", code="SW-812")
    if not promise.in_force(at_ms):
        raise ConflictError(f"promise {promise.promise} is not sold, or not in force now", code=NOT_CALLABLE)
    if not trust.NAME.fullmatch(payload.call) or payload.call in book.calls:
        raise ConflictError(f"call {payload.call[:80]!r} is there already, or not a name", code=NOT_CALLABLE)
    if not at_ms + promise.notice_ms < payload.until_ms <= min(promise.end_ms, at_ms + CALL_MS_MAX):
        line = f"a call of {promise.promise} ends after its notice, and no later than the promise; name another end"
        raise InputError(line, code=NOT_CALLABLE)
    asked = [
        part.containers for one in book.open_calls(promise.promise) if one.kind is CallKind.CALL for part in one.backing
    ]
    left = promise.containers - sum(asked)
    if not 0 < payload.containers <= left:
        line = f"promise {promise.promise} has {left} containers that are not called; name 1 to {left}"
        raise ConflictError(line, code=NOT_CALLABLE)


def released(turn: Turn, payload: CallReleased) -> None:
    """Who called needs nothing any more; what runs for it runs on as any work does."""
    _end(turn, turn.world.reserve.calls[payload.call], Outcome.VOID, 0)


def check_released(state: State, payload: CallReleased) -> None:
    """Refuse to release what nobody called.

    Raises: NotFoundError.
    """
    one = state.world.reserve.calls.get(payload.call)
    if one is None or one.kind is not CallKind.CALL:
        raise NotFoundError(f"no call {payload.call} is open", code=NO_CALL)


def _open(
    turn: Turn,
    promise: Promise,
    name: str,
    kind: CallKind,
    containers: int,
    until_ms: int,
    beacon: BeaconValue | None = None,
) -> None:
    world = turn.world
    ready_ms = turn.at_ms + promise.notice_ms
    speed = world.clock.speed if world.clock else 1
    judge_ms = ready_ms + GRACE_MACHINE_MS * speed
    taken = {
        (other.promise, part.pool): part.containers
        for other in world.reserve.open_calls(promise.promise)
        for part in other.backing
    }
    free = [
        replace(one, containers=one.containers - taken.get((promise.promise, one.pool), 0)) for one in promise.backing
    ]
    call = Call(
        call=name,
        promise=promise.promise,
        kind=kind,
        backing=parts(free, containers),
        asked_ms=turn.at_ms,
        ready_ms=ready_ms,
        judge_ms=judge_ms,
        until_ms=max(until_ms, judge_ms) if kind is CallKind.DRILL else until_ms,
        beacon=beacon,
    )
    world.reserve.calls[name] = call
    for at_ms in (ready_ms - world.network.policy.switch_ms, ready_ms, min(judge_ms, call.until_ms), call.until_ms):
        turn.state.add_due(max(at_ms, turn.at_ms), "call", name)
    plans.wake(turn, call_targets(world, [call]))
    turn.request_plan("reserve")


def look(turn: Turn, ref: str) -> None:
    """Owners are fixed, or a call has come to its next moment."""
    if ref == HOURLY:
        _fix(turn)
        arm(turn)
        return
    book = turn.world.reserve
    if (call := book.calls.get(ref)) is None:
        return
    if turn.at_ms >= call.ready_ms - turn.world.network.policy.switch_ms:
        _relieve(turn, call)
    if not call.judged and turn.at_ms >= min(call.judge_ms, call.until_ms):
        _judge(turn, call)
    if (call := book.calls.get(ref)) is not None and turn.at_ms >= call.until_ms:
        _end(turn, call, Outcome.READY, 0)


def _relieve(turn: Turn, call: Call) -> None:
    """Have lent work give way where called containers are not free: as little of it as it takes, the cheapest first.

    Work that cannot pause was never lent more than what nobody promised, so it stays.
    """
    world = turn.world
    table = world.leases
    for part in call.backing:
        pool = world.pool(part.pool)
        if pool is None:
            continue
        _adopt(turn, call, part.pool)
        gpus: dict[str, int] = {}
        for lease in sorted(world.on_pool.get(part.pool, ())):
            row = table.row_of[lease]
            if (
                table.ints["state"][row] != LeaseState.SUSPENDING
                and table.objects["job"][row] not in world.reserve.serving
            ):
                gpus[lease] = int(table.ints["gpus"][row])
        kept = kept_now(world, part.pool)
        room = pool.count - withheld(world.sites[SiteId(part.pool.partition("/")[0])], pool) - kept
        pausable = [one for one in gpus if _may_stop(turn, one)]
        for lease in ceilings.yielding(turn, pausable, gpus, sum(gpus.values()) - room, turn.at_ms, call.until_ms):
            leases.give_way(turn, lease, leases.CALLED)


def _may_stop(turn: Turn, lease: str) -> bool:
    world = turn.world
    row = world.leases.row_of[lease]
    offered = world.leases.ints["state"][row] == LeaseState.OFFERED
    return bool(offered or world.jobs.ints["interruptible"][world.jobs.row_of[world.leases.objects["job"][row]]])


def _adopt(turn: Turn, call: Call, pool: str) -> None:
    """Work of who called that runs on the pool already stays where it is, as far as the call reaches."""
    world = turn.world
    tenant = world.reserve.holder(call)
    left = _called_on(call, pool) - used(world, pool, call.call)
    for lease in sorted(world.on_pool.get(pool, ())):
        row = world.leases.row_of[lease]
        job, gpus = world.leases.objects["job"][row], int(world.leases.ints["gpus"][row])
        mine = bool(tenant) and world.jobs.tenant(world.jobs.row_of[job]) == tenant
        if mine and job not in world.reserve.serving and gpus <= left:
            world.reserve.serving[job] = call.call
            # A plan that is being worked out now still thinks that it may be moved.
            world.jobs.ints["revision"][world.jobs.row_of[job]] += 1
            left -= gpus


def _called_on(call: Call, pool: str) -> int:
    return sum(one.containers for one in call.backing if one.pool == pool)


def serve(turn: Turn) -> None:
    """Give called containers to the waiting work of who called, the first come first; what needs others waits on."""
    world = turn.world
    book = world.reserve
    book.serving = {job: call for job, call in book.serving.items() if call in book.calls and _goes_on(turn, job)}
    ready = [
        one for one in book.calls.values() if one.kind is CallKind.CALL and one.ready_ms <= turn.at_ms < one.until_ms
    ]
    for call in sorted(ready, key=lambda one: (one.asked_ms, one.call)):
        free: dict[str, int] = {one.pool: one.containers - used(world, one.pool, call.call) for one in call.backing}
        rows = _waiting(turn, book.holder(call)) if any(count > 0 for count in free.values()) else []
        if rows:
            _serve(turn, call, free, rows)


def _goes_on(turn: Turn, job: str) -> bool:
    jobs = turn.world.jobs
    row = jobs.row_of.get(job)
    return row is not None and not jobs.state(row).final and bool(jobs.objects["lease"][row])


def _waiting(turn: Turn, tenant: str) -> list[int]:
    jobs = turn.world.jobs
    states = np.isin(jobs.ints["state"][: len(jobs.ids)], [int(state) for state in WAITING])
    found = [
        row
        for row in np.flatnonzero(states).tolist()
        if jobs.ids[row] is not None
        and jobs.tenant(row) == tenant
        and not jobs.objects["lease"][row]
        and not jobs.ints["cancelled"][row]
    ]
    return sorted(found, key=lambda row: (int(jobs.ints["submitted_ms"][row]), str(jobs.ids[row])))


def _serve(turn: Turn, call: Call, free: dict[str, int], rows: list[int]) -> None:
    world = turn.world
    seen = views(world, turn.at_ms, rows)
    fleet = fleet_of(frame(world, turn.at_ms, ()))
    for view in seen:
        found = fit(fleet, view)
        if not isinstance(found, Fit):
            continue
        for row, count, needed_ms in zip(
            found.rows.tolist(), found.counts.tolist(), found.needed_ms.tolist(), strict=True
        ):
            pool = fleet.pools.ids[row]
            if count <= free.get(pool, 0) and takes_work(world.sites[pool.partition("/")[0]], turn.at_ms):
                free[pool] -= count
                _give(turn, call, view.spec.job, pool, count, turn.at_ms + needed_ms)
                break


def _give(turn: Turn, call: Call, job: str, pool: str, count: int, end_ms: int) -> None:
    world = turn.world
    spec = world.pool(pool)
    if spec is None:
        return
    world.reserve.serving[job] = call.call
    segment = Segment(pool=spec.pool, start_ms=turn.at_ms, end_ms=end_ms, containers=count)
    world.give(job, (segment,))
    world.fresh.discard(job)
    row = world.jobs.row_of[job]
    world.jobs.ints["revision"][row] += 1
    if world.jobs.state(row) is JobState.SUBMITTED:
        turn.move_job(job, JobState.PLACED, "serving", site=pool.partition("/")[0])
    leases.offer(turn, world.jobs.spec(row).job, segment)
    if not world.jobs.objects["lease"][row]:
        # Lent work has not stopped yet: it is offered again when a container comes free.
        del world.reserve.serving[job]


def ready_of(state: State, call: Call) -> int:
    """Containers of a call that are ready now, or work for it already; none is counted for two calls."""
    world = state.world
    found = 0
    for part in call.backing:
        site = world.sites.get(part.pool.partition("/")[0])
        report = site.power.get(part.pool) if site is not None and site.up and not site.left_ms else None
        idle = 0 if report is None else max(0, report.idle - report.withheld)
        for other, containers in world.reserve.calls_on(part.pool):
            mine = min(containers, used(world, part.pool, other.call))
            got = min(containers, mine + idle)
            idle -= got - mine
            if other.call == call.call:
                found += got
                break
    return found


def _judge(turn: Turn, call: Call) -> None:
    """See how many are ready. Of a drill they then prove what they are, where this network challenges."""
    ready = ready_of(turn.state, call)
    wanted = sum(one.containers for one in call.backing)
    if ready < wanted:
        _fail(turn, call, ready)
        if call.kind is CallKind.CALL:
            # It stays open: late is better than never for who needs it.
            turn.world.reserve.calls[call.call] = replace(call, judged=True)
        return
    if call.kind is CallKind.DRILL:
        _prove(turn, call)
        _end(turn, call, Outcome.READY, ready)
        return
    turn.world.reserve.calls[call.call] = replace(call, judged=True)
    _tell(turn, call, Outcome.READY, ready)


def _prove(turn: Turn, call: Call) -> None:
    """Challenge what stood ready: a word in a report is no proof, and a failed challenge is a verdict of its own."""
    for part in call.backing:
        if call.beacon is not None:
            challenges.challenge(turn, part.pool, call.beacon)


def _fail(turn: Turn, call: Call, ready: int) -> None:
    """No premium for this epoch, a verdict that may cost stake, and as much as the premium to who was let down."""
    book = turn.world.reserve
    promise = book.promises[call.promise]
    book.failed[promise.promise] = turn.state.epoch
    wanted = sum(one.containers for one in call.backing)
    figures: dict[str, str | int] = {
        "ready": ready,
        "containers": wanted,
        "promise": promise.promise,
        "minutes": (turn.at_ms - call.asked_ms) // (60 * SECOND_MS),
        "asked": "called" if call.kind is CallKind.CALL else "drilled",
    }
    record = trust.verdict(
        Finding(key=f"reserve_{call.kind}_missed", sentence=MISSED, figures=figures),
        dimension=Dimension.IDENTITY,
        consequence=Consequence.SLASHABLE,
        at_ms=turn.at_ms,
        site=call.backing[0].pool.partition("/")[0],
        about=call.call,
    )
    trust.issue(turn, record)
    start_ms = max(turn.state.epoch_start_ms, promise.start_ms, promise.sold_ms)
    span_ms = max(0, min(turn.state.epoch_end_ms, promise.end_ms) - start_ms)
    fine = fine_usd_micro(book.rules, promise, span_ms) if book.rules else 0
    if fine and record.verdict in turn.state.stakes.charges:
        # Without rules of staking nobody answers for a fine, and the vault must not: one could sell to oneself.
        _owe(turn, promise, record.verdict, fine)
    if call.kind is CallKind.DRILL:
        _end(turn, call, Outcome.FAILED, ready)
    else:
        _tell(turn, call, Outcome.FAILED, ready)


def _owe(turn: Turn, promise: Promise, verdict: str, usd_micro: int) -> None:
    """Who promised owes who bought; the verdict takes it of the stake, the vault pays what that does not hold."""
    charge = turn.state.stakes.charges[verdict]
    owed_wei = charge.owed_wei = usd_micro * turn.world.wei_per_usd_micro
    charge.harms.append(Harm(tenant=promise.tenant, ref=promise.promise, amount_wei=owed_wei))
    turn.world.reserve.penalties[verdict] = Penalty(
        verdict=verdict,
        promise=promise.promise,
        owner=promise.owner,
        tenant=TenantId(promise.tenant),
        epoch=turn.state.epoch,
        usd_micro=usd_micro,
        owed_wei=owed_wei,
    )


def _tell(turn: Turn, call: Call, outcome: Outcome, ready: int) -> None:
    book = turn.world.reserve
    owner = book.promises[call.promise].owner
    book.ended[call.promise] = CallEnded(call=call, owner=owner, outcome=outcome, at_ms=turn.at_ms, ready=ready)


def _end(turn: Turn, call: Call, outcome: Outcome, ready: int) -> None:
    """Containers are free again for other work; what came of it was told when it was looked at."""
    del turn.world.reserve.calls[call.call]
    if not call.judged:
        _tell(turn, call, outcome, ready)
    for part in call.backing:
        site = part.pool.partition("/")[0]
        turn.orders_changed(site)
        leases.unblock(turn, SiteId(site))
    turn.request_plan("reserve")


def end_all(turn: Turn, promise: str) -> None:
    """A promise is over, and with it what was called of it."""
    for call in turn.world.reserve.open_calls(promise):
        _end(turn, call, Outcome.VOID, 0)


def arm(turn: Turn) -> None:
    """Fix owners at the next full hour, where there are drills and something is sold."""
    book = turn.world.reserve
    sold = any(one.tenant for one in book.promises.values())
    if sold and book.rules is not None and book.rules.drill_milli_per_epoch:
        turn.state.add_due(floor_to(turn.at_ms, HOUR_MS) + HOUR_MS, "call", HOURLY)


def _fix(turn: Turn) -> None:
    """Fix the owners who have sold promises in force that nobody has called."""
    book = turn.world.reserve
    owners = sorted({one.owner for one in book.promises.values() if _is_idle(turn.state, one)})
    book.draw = DrillDraw(sequence=turn.world.sequence, owners=tuple(owners)) if owners else None


def _is_idle(state: State, one: Promise) -> bool:
    book, at_ms = state.world.reserve, state.world.at_ms
    return one.in_force(at_ms) and at_ms + one.notice_ms < one.end_ms and not book.open_calls(one.promise)


def drawn(turn: Turn, payload: DrillsDrawn) -> None:
    """Drill every promise of the owners whom the value names, all in the same minute."""
    book = turn.world.reserve
    if payload.draw and book.draw is not None:
        owners = tuple(one for one in book.draw.owners if _is_drawn(turn, one, payload))
        book.draw = None
    else:
        owners = payload.owners
    for promise in [one for _, one in sorted(book.promises.items()) if one.owner in owners]:
        if _is_idle(turn.state, promise):
            name = mint("d", bytes.fromhex(payload.beacon.value), turn.world.sequence, promise.promise)
            _open(turn, promise, name, CallKind.DRILL, promise.containers, 0, payload.beacon)


def check_drawn(state: State, payload: DrillsDrawn) -> None:
    """Refuse a value for owners who do not wait for one, and a drill of who has promised nothing.

    Raises: InputError, ConflictError.
    """
    book = state.world.reserve
    if len(payload.beacon.value) != DIGEST_CHARS or not trust.DIGEST.fullmatch(payload.beacon.value):
        raise InputError("the value of a beacon is 64 lower-case hex digits", code=NO_DRILL)
    if payload.draw and (book.draw is None or book.draw.sequence != payload.draw):
        raise ConflictError(f"no owners of record {payload.draw} wait for a value", code=NO_DRILL)
    for owner in payload.owners:
        if not any(one.owner == owner and _is_idle(state, one) for one in book.promises.values()):
            line = f"{owner} has no sold promise in force that is not called already; there is nothing to drill"
            raise ConflictError(line, code=NO_DRILL)


def _is_drawn(turn: Turn, owner: str, payload: DrillsDrawn) -> bool:
    """Whether the value falls below what the rules give an owner for an hour."""
    rules = turn.world.reserve.rules
    milli = rules.drill_milli_per_epoch if rules is not None else 0
    share_ppm = milli * (PPM // MILLI_PER_UNIT) * HOUR_MS // turn.world.network.epoch_ms
    told = "\n".join(["sunward-drill-draw/1", payload.beacon.value, str(payload.draw), owner, ""])
    return int(hashlib.sha256(told.encode()).hexdigest(), 16) % PPM < share_ppm
