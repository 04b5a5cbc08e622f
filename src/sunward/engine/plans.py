"""Commit of a recorded plan: each assignment is checked again at the state it meets."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sunward.engine import asleep
from sunward.engine.jobs import end_unserved
from sunward.engine.turn import Turn
from sunward.execution.machines import WAITING
from sunward.execution.power import next_change_ms
from sunward.model.commands import Rejected
from sunward.model.events import PlanProposed
from sunward.model.identity import PoolId
from sunward.model.job import JobState
from sunward.model.plan import Assignment, AwakeTarget, Plan, Segment, Unplaced
from sunward.placement.sleep import steps
from sunward.units import SECOND_MS, floor_to
from sunward.world.asleep import ready_ms
from sunward.world.called import call_targets, kept_slots
from sunward.world.capacity import capacity
from sunward.world.ceilings import is_capped
from sunward.world.draw import Headroom
from sunward.world.occupancy import Slots, add, occupied, slot_range


def commit(turn: Turn, payload: PlanProposed) -> None:
    """Take what still fits; what does not goes back to the next tick."""
    plan = payload.plan
    for refusal in plan.unplaced:
        # First, because what they leave is what others were given.
        _leave(turn, refusal)
        if plan.adds and not refusal.permanent:
            # There may be room once others have moved.
            turn.request_plan("unplaced")
    conflicts = _conflicts(turn, plan)
    for assignment in plan.assignments:
        if assignment.job in conflicts:
            turn.emit(Rejected(job=assignment.job, reason=conflicts[assignment.job]))
            turn.request_plan("rejected")
        else:
            _accept(turn, assignment)
    if plan.adds:
        _learn(turn, [assignment for assignment in plan.assignments if assignment.job not in conflicts])
        _add_awake(turn, plan)
    else:
        turn.world.shadows.take(plan.prices)
        _set_awake(turn, plan)
    turn.look_later([assignment.job for assignment in plan.assignments if assignment.job not in conflicts])


def _learn(turn: Turn, placed: Sequence[Assignment]) -> None:
    """Count new work that starts as soon as its containers are awake: what was put off needs none kept awake."""
    world, at_once = turn.world, []
    for assignment in placed:
        first = assignment.segments[0]
        site = world.sites[first.pool.partition("/")[0]]
        if first.start_ms <= turn.at_ms + site.spec.wake_s * SECOND_MS:
            at_once.append((assignment, first))
    if not at_once:
        return
    prices = world.jobs.ints["carbon_price_usd_per_t"][world.jobs.rows(assignment.job for assignment, _ in at_once)]
    world.arrivals.learn(
        turn.at_ms,
        sorted({first.pool for _, first in at_once}),
        sum(first.containers for _, first in at_once),
        sum(one.containers * (one.end_ms - one.start_ms) for given, _ in at_once for one in given.segments),
        int(prices.mean()),
    )


def _conflicts(turn: Turn, plan: Plan) -> dict[str, str]:
    """Reasons by job for all assignments that cannot stand.

    A refused job keeps what it had, which may leave no room for one that was to take its place: hence the rounds.
    """
    conflicts = _stale(turn, plan.assignments)
    rooms = _Rooms(turn, plan)
    while True:
        crowded = _crowded(turn, plan, rooms, conflicts)
        if not crowded:
            return conflicts
        conflicts |= crowded


class _Rooms:
    """What each pool offers over the slots of a plan; None for a pool that is not there."""

    def __init__(self, turn: Turn, plan: Plan) -> None:
        self._turn, self._plan = turn, plan
        self._known: dict[str, Slots | None] = {}

    def __getitem__(self, name: str) -> Slots | None:
        if name not in self._known:
            self._known[name] = self._look(name)
        return self._known[name]

    def _look(self, name: str) -> Slots | None:
        world, plan = self._turn.world, self._plan
        pool, site = world.pool(name), world.sites.get(name.partition("/")[0])
        if pool is None or site is None:
            return None
        room = capacity(site, pool, plan.at_ms, plan.slot_ms, plan.slots, ready_ms(world, site, plan.at_ms))
        return room - kept_slots(world, pool.pool, plan.at_ms)


def _crowded(turn: Turn, plan: Plan, rooms: _Rooms, conflicts: Collection[str]) -> dict[str, str]:
    """Assignments, in the order of the plan, that find a pool full or a ceiling reached beside all that stands.

    All that touch a pool with room for all of them have room there; only the others are added one by one.
    """
    start_ms = floor_to(plan.at_ms, plan.slot_ms)
    standing = [assignment for assignment in plan.assignments if assignment.job not in conflicts]
    pools = {segment.pool for assignment in standing for segment in assignment.segments}
    taken = occupied(turn.world, plan.at_ms, plan.slots, {assignment.job for assignment in standing}, pools)
    every = {pool: column.copy() for pool, column in taken.items()}
    segments = (segment for assignment in standing for segment in assignment.segments)
    add(every, segments, start_ms, plan.slot_ms, plan.slots)
    short = {pool for pool in pools if (room := rooms[pool]) is None or (every[pool] > room).any()}
    doubtful = short | {pool for pool in pools if _is_capped(turn, pool)}
    rows = {assignment.job: turn.world.jobs.row_of[assignment.job] for assignment in standing}
    headroom = Headroom(turn.world, plan.at_ms, plan.slots, rows.values())
    crowded: dict[str, str] = {}
    for assignment in standing if doubtful else ():
        touched = [segment for segment in assignment.segments if segment.pool in doubtful]
        if not all(_has_room(plan, start_ms, taken, rooms, segment) for segment in touched):
            crowded[assignment.job] = "capacity"
        elif not headroom.holds(rows[assignment.job], touched):
            crowded[assignment.job] = "ceiling"
        else:
            add(taken, touched, start_ms, plan.slot_ms, plan.slots)
            headroom.take(rows[assignment.job], touched)
    return crowded


def _is_capped(turn: Turn, pool: str) -> bool:
    site = turn.world.sites.get(pool.partition("/")[0])
    return site is not None and is_capped(site)


def _has_room(plan: Plan, start_ms: int, taken: dict[str, Slots], rooms: _Rooms, segment: Segment) -> bool:
    room = rooms[segment.pool]
    first, last = slot_range(segment, start_ms, plan.slot_ms, plan.slots)
    return room is not None and not (taken[segment.pool][first:last] + segment.containers > room[first:last]).any()


def _stale(turn: Turn, assignments: Sequence[Assignment]) -> dict[str, str]:
    """Reasons by job for all assignments that were made for what is no longer so."""
    world, jobs = turn.world, turn.world.jobs
    away = {
        pool
        for pool in {segment.pool for assignment in assignments for segment in assignment.segments}
        if world.pool(pool) is None or not world.sites[pool.partition("/")[0]].up
    }
    rows = [jobs.row_of.get(assignment.job) for assignment in assignments]
    known = [row for row in rows if row is not None]
    columns = (jobs.ints[name][known].tolist() for name in ("state", "cancelled", "revision"))
    figures = dict(zip(known, zip(*columns, strict=True), strict=True))
    found: dict[str, str] = {}
    for assignment, row in zip(assignments, rows, strict=True):
        state, cancelled, revision = (JobState.FINISHED, 0, 0) if row is None else figures[row]
        if state >= JobState.FINISHED or cancelled:
            found[assignment.job] = "ended"
        elif revision != assignment.revision:
            found[assignment.job] = "revision"
        elif away and any(segment.pool in away for segment in assignment.segments):
            found[assignment.job] = "site away"
    return found


def _accept(turn: Turn, assignment: Assignment) -> None:
    jobs = turn.world.jobs
    row = jobs.row_of[assignment.job]
    if _course(jobs.objects["segments"][row], turn.at_ms) not in ((), _course(assignment.segments, turn.at_ms)):
        jobs.ints["plan_changes"][row] += 1
        turn.world.plan_changes += 1
    turn.world.give(assignment.job, assignment.segments)
    turn.world.fresh.discard(assignment.job)
    jobs.objects["assignment"][row] = assignment
    jobs.objects["refusal"][row] = None
    for segment in assignment.segments:
        turn.state.add_due(segment.start_ms, "job", assignment.job)
        turn.state.add_due(segment.end_ms, "job", assignment.job)
    if jobs.state(row) is JobState.SUBMITTED:
        turn.move_job(
            assignment.job,
            JobState.PLACED,
            assignment.reason,
            site=assignment.segments[0].pool.partition("/")[0],
        )
    else:
        jobs.ints["revision"][row] += 1


def _course(segments: tuple[Segment, ...], at_ms: int) -> tuple[tuple[str, int, int, int, int], ...]:
    """Where, when, on how many, under which limit a job is still to run; that it may end later is no change of it."""
    ahead = [one for one in segments if one.end_ms > at_ms]
    return tuple(
        (
            one.pool,
            one.containers,
            one.power_cap_w,
            max(one.start_ms, at_ms),
            0 if one is ahead[-1] else one.end_ms,
        )
        for one in ahead
    )


def _leave(turn: Turn, refusal: Unplaced) -> None:
    jobs = turn.world.jobs
    row = jobs.row_of.get(refusal.job)
    if row is None or jobs.ints["revision"][row] != refusal.revision or jobs.objects["lease"][row]:
        return
    jobs.objects["refusal"][row] = refusal
    turn.world.fresh.discard(refusal.job)
    if jobs.state(row) not in WAITING:
        return
    # Evidence ends and is shown anew: who had a place by it waits for that, as long as the deadline lets it.
    returns = jobs.ints["promise_ppm"][row] or refusal.reason == "evidence"
    promised = returns and jobs.objects["assignment"][row] is not None
    if refusal.permanent and not jobs.ints["attempts"][row] and not promised:
        end_unserved(turn, refusal.job, JobState.REFUSED, refusal.reason, refusal.detail)
        return
    turn.world.give(refusal.job, ())
    if jobs.state(row) is JobState.PLACED:
        turn.move_job(refusal.job, JobState.SUBMITTED, refusal.reason, detail=refusal.detail)


def _set_awake(turn: Turn, plan: Plan) -> None:
    """Take the plan's targets, and beside them what was asked for jobs that it has not seen."""
    world = turn.world
    world.added_awake = [(sequence, added) for sequence, added in world.added_awake if sequence > plan.based_on]
    targets: dict[str, list[AwakeTarget]] = {pool: [] for pool in world.awake}
    for target in plan.awake:
        targets.setdefault(target.pool, []).append(target)
    before = world.awake
    world.awake = {pool: tuple(targets[pool]) for pool in sorted(targets) if targets[pool]}
    for _, added in world.added_awake:
        _raise_awake(turn, added)
    if world.reserve.calls:
        called = call_targets(world, world.reserve.calls.values())
        targets |= {pool: [] for pool in _raise_awake(turn, called) if pool not in targets}
    for pool in sorted(targets):
        if world.awake.get(pool) == before.get(pool):
            # The next change of these targets is remembered already.
            turn.orders_changed(pool.partition("/")[0])
        else:
            look_at_power(turn, pool)


def _add_awake(turn: Turn, plan: Plan) -> None:
    turn.world.added_awake.append((turn.world.sequence, plan.awake))
    wake(turn, plan.awake)


def wake(turn: Turn, added: tuple[AwakeTarget, ...]) -> None:
    """Have so many more containers awake, and tell their sites when they may have to wake."""
    for pool in _raise_awake(turn, added):
        look_at_power(turn, pool)


def _raise_awake(turn: Turn, added: tuple[AwakeTarget, ...]) -> list[str]:
    """Have so many more containers awake, at most all; the pools that changes."""
    world = turn.world
    by_pool: dict[str, list[AwakeTarget]] = {}
    for target in added:
        by_pool.setdefault(target.pool, []).append(target)
    for pool, targets in by_pool.items():
        spec = world.pool(pool)
        both = [*world.awake.get(pool, ()), *targets]
        world.awake[pool] = tuple(
            AwakeTarget(pool=PoolId(pool), start_ms=start, end_ms=end, count=min(count, spec.count if spec else 0))
            for start, end, count in steps([(one.start_ms, one.end_ms, one.count) for one in both])
            if end > turn.at_ms
        )
    world.awake = {pool: world.awake[pool] for pool in sorted(world.awake)}
    return sorted(by_pool)


def look_at_power(turn: Turn, pool: str) -> None:
    """Tell the site when its awake count may have changed, and remember the next change."""
    targets = turn.world.awake.get(pool, ())
    change_ms = next_change_ms(targets, turn.at_ms)
    if change_ms is not None:
        turn.state.add_due(change_ms, "pool", pool)
    site = pool.partition("/")[0]
    asleep.note_call(turn, site)
    turn.orders_changed(site)
