"""Who gets what: jobs one at a time where they lose most by waiting, then bounded improvement.

1. Present segments are kept while they still hold.
2. The rest are placed: gangs first, then those with fewest pools, then those that lose most by their second-best
   choice (regret), then by id. One search a job, a second one where others took its best place.
3. A job without room may displace planned ones if each of them still finds a place.
4. Rounds: each job moves, or displaces others, where the total falls; a promised plan changes only for a gain of
   `hysteresis_ppm`. Steps 3 and 4 end at a fixed amount of work.

Where tenants have shares, step 1 keeps only what runs; the rest are placed as their tenants' turns come, each in the
order of step 2, and a tenant never displaces one that holds less for its weight. Promises come first: where turns
leave a job without the place it had, all that was planned is kept, and only what is new takes turns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from sunward import units
from sunward.placement.board import Board, runs_of
from sunward.placement.demand import Demand, Option, Run, continues, price
from sunward.placement.filter import is_fresh, price_usd_micro, settling_ms
from sunward.placement.fleet import Fleet
from sunward.placement.search import Task, best_option
from sunward.placement.shares import Shares
from sunward.placement.windows import option_at, regret, roomy, starts_per_pool
from sunward.world.snapshot import BoolArray

ROUNDS_MAX = 3
EFFORT_MAX = 100_000_000
"""Table cells that rescue and improvement may touch, about a second of work; a limit of work, not of time."""
VICTIMS_MAX = 8
"""Most jobs that one job may displace at once."""
NO_SECOND = 2**62


@dataclass(slots=True)
class Draft:
    """The plan in the making."""

    fleet: Fleet
    board: Board
    tasks: dict[str, Task]
    """Every job that may be placed or moved, by id."""
    shares: Shares
    """What each tenant holds, with what is chosen here."""
    chosen: dict[str, Option] = field(default_factory=dict)
    kept: dict[str, Option] = field(default_factory=dict)
    """Present segments that still hold."""
    ideal: dict[str, Option | None] = field(default_factory=dict)
    """The best option if no other planned job were there: a lower bound."""
    order: list[str] = field(default_factory=list)
    """Jobs in the order in which they were placed."""
    effort: int = 0


def assign(fleet: Fleet, board: Board, tasks: dict[str, Task], shares: Shares) -> Draft:
    """Choose an option for as many jobs as find one; `board` and `shares` hold what cannot be moved."""
    draft = Draft(fleet, board, tasks, shares)
    order, fallback = _order(draft)
    for job, task in sorted(tasks.items()):
        present = present_option(fleet, task)
        if present is not None and board.holds(task.demand, present):
            take(draft, job, present)
            draft.kept[job] = present
    if shares.set:
        for job in [one for one in draft.chosen if not tasks[one].demand.job.pool]:
            give(draft, job)
    by_turns = _fill(draft, order, fallback)
    if draft.kept.keys() - draft.chosen.keys():
        for job in tuple(draft.chosen):
            give(draft, job)
        for job, present in draft.kept.items():
            take(draft, job, present)
        by_turns = _fill(draft, order, fallback)
    draft.order = by_turns
    return draft


def improve(draft: Draft) -> None:
    """Move jobs, or let them displace others, where the total falls."""
    for _ in range(ROUNDS_MAX):
        moved = [_improve(draft, job, draft.order) for job in draft.order]
        if not any(moved):
            return


def _fill(draft: Draft, order: list[str], fallback: dict[str, list[Option]]) -> list[str]:
    """Place what has no place yet, turn by turn; the order of all jobs that came of it."""
    filled = [job for job in order if job in draft.chosen] if draft.shares.set else []
    for job in _turns(draft, order):
        if job not in draft.chosen:
            _renew(draft, job)
        filled.append(job)
    for job in _turns(draft, filled):
        if job not in draft.chosen and draft.effort < EFFORT_MAX:
            _rescue(draft, job, fallback[job], filled)
    return filled


def _turns(draft: Draft, order: list[str]) -> Iterator[str]:
    if not draft.shares.set:
        return iter(order)
    waiting = [job for job in order if job not in draft.chosen]
    return draft.shares.turns(waiting, lambda job: draft.tasks[job].demand.job.spec.tenant)


def _order(draft: Draft) -> tuple[list[str], dict[str, list[Option]]]:
    """Jobs in canonical order, and each one's best start per pool on the board without planned jobs."""
    keys: dict[str, tuple[int, int, int, str]] = {}
    starts: dict[str, list[Option]] = {}
    for job, task in draft.tasks.items():
        found = roomy(task.windows, draft.board.open(task.demand))
        lost = regret(task.windows, found)
        pools = len(np.unique(task.demand.rows[found.any(axis=1)]))
        keys[job] = (-task.demand.gpus, pools, -(NO_SECOND if lost is None else lost), job)
        starts[job] = best_per_pool(task, found)
        draft.ideal[job] = best_option(draft.fleet, task, draft.board)
    return sorted(keys, key=keys.__getitem__), starts


def best_per_pool(task: Task, found: BoolArray, most: int | None = None) -> list[Option]:
    """The cheapest start in one piece on each pool, cheapest first; of so many pools where `most` says."""
    slots, least = (one.tolist() for one in starts_per_pool(task.windows.total, found))
    rows = np.flatnonzero(found.any(axis=1)).tolist()
    if most is not None:
        rows = sorted(rows, key=lambda at: (least[at], int(task.windows.start_ms[at, slots[at]]), at))[:most]
    best = [option_at(task.demand, task.windows, at, slots[at]) for at in rows]
    return sorted(best, key=lambda option: (option.total, option.runs[0].start_ms, option.runs[0].row))


def _is_claimed(draft: Draft, job: str, option: Option) -> bool:
    """Whether an option has no room beside what other tenants had planned and have had no turn for yet."""
    tenant = draft.tasks[job].demand.job.spec.tenant
    others = [
        run
        for other, kept in draft.kept.items()
        if other not in draft.chosen and draft.tasks[other].demand.job.spec.tenant != tenant
        for run in kept.runs
    ]
    for run in option.runs:
        free = draft.board.free[run.row, run.first : run.last].copy()
        for other in others:
            if other.row == run.row:
                free[max(0, other.first - run.first) : max(0, other.last - run.first)] -= other.gpus
        if (free < run.gpus).any():
            return True
    return False


def present_option(fleet: Fleet, task: Task) -> Option | None:
    """A job's present segments as an option, unless they break a constraint or no longer end the work."""
    demand = task.demand
    runs = runs_of(fleet, demand.job)
    if not runs or len(runs) < sum(segment.end_ms > fleet.now_ms for segment in demand.job.segments):
        return None
    if not demand.fits(runs) or any(run.end_ms > demand.limit_ms for run in runs):
        return None
    if runs[0].start_ms < demand.job.opens_ms:
        return None
    if runs[0].start_ms > max(demand.start_by_ms, fleet.now_ms):
        return None
    if _waits_too_long(fleet, demand, runs):
        return None
    runs = _reaching(fleet, demand, runs)
    if _done_ppm(fleet, demand, runs) < _due_ppm(fleet, demand, runs):
        return None
    return Option(runs, price(fleet, demand, runs).terms.total)


def _waits_too_long(fleet: Fleet, demand: Demand, runs: tuple[Run, ...]) -> bool:
    """Whether the pauses before and between the runs are more than the job has left of them."""
    if demand.wait_ms is None:
        return False
    still_ms = sum(
        run.start_ms - ends for run, ends in zip(runs, (fleet.now_ms, *(run.end_ms for run in runs)), strict=False)
    )
    return still_ms > max(0, demand.wait_ms)


def _reaching(fleet: Fleet, demand: Demand, runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """Runs with the last one as long as a job of unknown length may take by now, as far as time and budget go."""
    missing_ppm = _due_ppm(fleet, demand, runs) - _done_ppm(fleet, demand, runs)
    if demand.job.lengths is None or missing_ppm <= 0:
        return runs
    run, budget = runs[-1], demand.job.spec.budget_usd_micro
    missing_ms = -(-missing_ppm // int(demand.rate_ppm[demand.at(run)]))
    last = -(-(run.end_ms + missing_ms - fleet.start_ms) // fleet.slot_ms)
    end_ms = min(fleet.start_ms + last * fleet.slot_ms, demand.limit_ms)
    longer = (*runs[:-1], replace(run, end_ms=end_ms, last=min(last, fleet.slots)))
    rows, lengths = np.array([one.row for one in longer]), np.array([one.end_ms - one.start_ms for one in longer])
    asked = int(price_usd_micro(fleet.ask_usd_micro[rows], np.array([one.gpus for one in longer]), lengths).sum())
    return longer if not budget or asked <= budget else runs


def _done_ppm(fleet: Fleet, demand: Demand, runs: tuple[Run, ...]) -> int:
    """Reference ms, times a million, that runs add."""
    done, restart = 0, 0 if is_fresh(demand.job) else demand.stop_ms
    for run in runs:
        lost_ms = 0 if continues(fleet, demand, run) else restart
        done += max(0, run.end_ms - run.start_ms - lost_ms) * int(demand.rate_ppm[demand.at(run)])
        restart = demand.stop_ms
    return done


def _due_ppm(fleet: Fleet, demand: Demand, runs: tuple[Run, ...]) -> int:
    """What kept runs must add: a unit under way is not reported yet, and a start just made may still take its time."""
    job = demand.job
    rate = int(demand.rate_ppm[demand.at(runs[0])])
    due = demand.remaining_ms * units.PPM
    if job.lengths is None and job.spec.units > 1:
        due -= job.spec.length_ms * units.PPM // job.spec.units if job.pool else 0
    elif job.lengths is None and runs[0].row == demand.current:
        due -= job.elapsed_ms * rate
    begun = any(segment.start_ms <= fleet.now_ms for segment in job.segments)
    starting_ms = settling_ms(fleet, job) if job.pool else demand.stop_ms
    return due - (starting_ms * rate if begun else 0)


def take(draft: Draft, job: str, option: Option) -> None:
    """Choose an option for a job and hold what it uses."""
    demand = draft.tasks[job].demand
    draft.board.take(demand, option)
    draft.chosen[job] = option
    draft.shares.add(demand.job.spec.tenant, _container_ms(option))


def give(draft: Draft, job: str) -> Option | None:
    """Release what a job has; what it was, None if nothing."""
    option = draft.chosen.pop(job, None)
    if option is not None:
        demand = draft.tasks[job].demand
        draft.board.give(demand, option)
        draft.shares.add(demand.job.spec.tenant, -_container_ms(option))
    return option


def _container_ms(option: Option) -> int:
    return sum(run.gpus * (run.end_ms - run.start_ms) for run in option.runs)


def _renew(draft: Draft, job: str) -> None:
    """Place a job, where it was as long as nobody took that in an earlier turn and nothing is better by enough.

    What only another tenant's plan kept it from is its turn's to take: any gain is enough.
    """
    placed, kept = _place(draft, job), draft.kept.get(job)
    if kept is None:
        return
    new = give(draft, job)
    stays = draft.board.holds(draft.tasks[job].demand, kept)
    least = 0 if new is None or _is_claimed(draft, job, new) else margin(draft, job, kept, new)
    if stays and (not placed or new is None or new.total + least >= kept.total):
        take(draft, job, kept)
    elif new is not None:
        take(draft, job, new)


def _place(draft: Draft, job: str) -> bool:
    """Take the ideal when it finds room, else the best that does."""
    task, option = draft.tasks[job], draft.ideal[job]
    if option is None or not draft.board.holds(task.demand, option):
        draft.effort += task.effort
        option = best_option(draft.fleet, task, draft.board)
    if option is None:
        return False
    take(draft, job, option)
    return True


def _rescue(draft: Draft, job: str, starts: list[Option], order: list[str]) -> None:
    """Place a job by displacing planned ones that all find another place."""
    ideal = draft.ideal[job]
    for option in ([] if ideal is None else [ideal]) + starts:
        if draft.effort >= EFFORT_MAX or _displace(draft, job, option, order):
            return


def _improve(draft: Draft, job: str, order: list[str]) -> bool:
    """Move a job, alone or by displacing others, if the total falls enough."""
    present, ideal = draft.chosen.get(job), draft.ideal[job]
    if present is None or ideal is None or present.total <= ideal.total or draft.effort >= EFFORT_MAX:
        return False
    draft.effort += draft.tasks[job].effort
    give(draft, job)
    other = best_option(draft.fleet, draft.tasks[job], draft.board)
    if other is not None and other.total + margin(draft, job, present, other) < present.total:
        take(draft, job, other)
        return True
    take(draft, job, present)
    return _displace(draft, job, ideal, order)


def margin(draft: Draft, job: str, old: Option, new: Option) -> int:
    """What a change must gain before a promised plan is touched."""
    if draft.kept.get(job) != old or old == new:
        return 0
    return abs(old.total) * draft.fleet.policy.hysteresis_ppm // units.PPM


def _displace(draft: Draft, job: str, option: Option, order: list[str]) -> bool:
    """Give a job an option that others stand in the way of; undone unless all end placed and the change pays."""
    old = {job: give(draft, job)}
    for other in _victims(draft, job, option, order):
        if draft.board.holds(draft.tasks[job].demand, option):
            break
        old[other] = give(draft, other)
    placed = draft.board.holds(draft.tasks[job].demand, option)
    if placed:
        take(draft, job, option)
        placed = all(_place(draft, other) for other in order if other in old and other != job)
    if placed and pays(draft, old):
        return True
    for other in old:
        give(draft, other)
    for other, before in old.items():
        if before is not None:
            take(draft, other, before)
    return False


def pays(draft: Draft, old: dict[str, Option | None]) -> bool:
    """Whether the new options cost less than the old ones by more than the margins; placing a job always pays."""
    change = 0
    for job, before in old.items():
        if before is None:
            return True
        after = draft.chosen[job]
        change += after.total - before.total + margin(draft, job, before, after)
    return change < 0


def _victims(draft: Draft, job: str, option: Option, order: list[str]) -> list[str]:
    """Planned jobs that use what an option wants, those that came last in order first."""
    site = draft.fleet.pools.site
    tenant = {one: draft.tasks[one].demand.job.spec.tenant for one in (job, *draft.chosen)}
    in_way = [
        other
        for other in reversed(order)
        if other != job
        and other in draft.chosen
        and draft.shares.may_displace(tenant[job], tenant[other])
        and any(
            site[one.row] == site[two.row] and one.first < two.last and two.first < one.last
            for one in draft.chosen[other].runs
            for two in option.runs
        )
    ]
    return in_way[:VICTIMS_MAX]
