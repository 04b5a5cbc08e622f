"""Better plans led by shadow prices: flexible work leaves the clean hour to work that has no other.

All jobs are placed anew, each where its cost and the prices of the containers it holds are least together: first those
in one piece and gangs that fill most of their window, for they find least room later. Whoever ends above what prices
promised goes earlier the next time, further the more it lost, and all are placed once more; the best of these plans is
taken if it is better than the present one by more than a promised plan is changed for. Then each job moves where the
total falls. It ends at a fixed amount of work.

Prices only lead; what counts is the score without them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sunward.placement.assign import Draft, give, margin, take
from sunward.placement.demand import Demand, Option, Run, price
from sunward.placement.prices import priced
from sunward.placement.search import Task, best_option
from sunward.world.snapshot import FloatArray

BUILDS_MAX = 24
EFFORT_MAX = 80_000_000
"""Table cells that searches may touch, about a second of work; a limit of work, not of time."""
SEARCH_CELLS = 10_000
"""What a search costs besides its cells, counted in cells."""
AHEAD_FRAC = 0.5
"""How far the job that lost most goes ahead, as a share of all jobs."""
MOVES_MAX = 4
"""Rounds in which every job looks once for a better place."""

Chosen = dict[str, Option]


@dataclass(slots=True)
class _Guide:
    draft: Draft
    tasks: dict[str, Task]
    """With shadow prices among the costs."""
    least: dict[str, int]
    """What each would cost with prices if it were alone."""

    def place(self, job: str) -> int | None:
        """Take the best by cost and price together; how much more it costs than promised, None without room."""
        draft = self.draft
        option = best_option(draft.fleet, self.tasks[job], draft.board)
        if option is None:
            return None
        take(draft, job, replace(option, total=self._plain(job, option)))
        return option.total - self.least[job]

    def _plain(self, job: str, option: Option) -> int:
        """An option's score without prices."""
        dearer, plain = self.tasks[job].demand, self.draft.tasks[job].demand
        whole = self.draft.fleet
        if all(run.end_ms - run.start_ms == (run.last - run.first) * whole.slot_ms for run in option.runs):
            # Of whole slots a price is a difference of sums, which costs less to look up than all terms.
            return option.total - sum(_between(dearer, run) - _between(plain, run) for run in option.runs)
        return price(whole, plain, option.runs).terms.total


def _between(demand: Demand, run: Run) -> int:
    before = demand.costs.before_run[demand.cost_rows[demand.at(run)]]
    return int(before[run.last] - before[run.first])


def polish(draft: Draft, prices: FloatArray) -> bool:
    """Better options for jobs, led by the prices they were planned against; nobody loses its place.

    False where prices cannot lead: nothing is scarce, tenants take turns so that nobody gives way for another's gain,
    or the jobs are too many.
    """
    names = sorted(draft.tasks)
    effort = sum(task.effort + SEARCH_CELLS for task in draft.tasks.values())
    builds = min(BUILDS_MAX, EFFORT_MAX // max(1, effort))
    if draft.shares.set or not prices.any() or not builds:
        return False
    held = _clear(draft)
    tasks = dict(zip(names, priced(draft.fleet, [draft.tasks[name] for name in names], prices), strict=True))
    alone = {job: best_option(draft.fleet, task, draft.board) for job, task in tasks.items()}
    guide = _Guide(draft, tasks, {job: 0 if option is None else option.total for job, option in alone.items()})
    best = _best_of(guide, sorted(names, key=lambda job: _hard_first(draft.tasks[job])), builds, held)
    for job, option in best.items():
        take(draft, job, option)
    for _ in range(MOVES_MAX):
        moved = [_move(draft, job) for job in names]
        if not any(moved):
            break
    return True


def _clear(draft: Draft) -> Chosen:
    """Release everything; what it was."""
    held = dict(draft.chosen)
    for job in held:
        give(draft, job)
    return held


def _hard_first(task: Task) -> tuple[bool, float, str]:
    demand = task.demand
    window_ms = demand.limit_ms - max(demand.job.opens_ms, 0)
    alone = demand.pausable and demand.gpus == 1
    return alone, -demand.remaining_ms * demand.gpus / max(1, window_ms), demand.job.spec.job


def _best_of(guide: _Guide, order: list[str], builds: int, held: Chosen) -> Chosen:
    """The best of some plans, each made in an order learnt from the one before; at worst what was held."""
    draft = guide.draft
    best, worth = held, (-len(held), sum(option.total for option in held.values()))
    for _ in range(builds):
        placed = {job: guide.place(job) for job in order}
        made = _clear(draft)
        asked = sum(margin(draft, job, held[job], option) for job, option in made.items() if job in held)
        found = (-len(made), sum(option.total for option in made.values()) + asked)
        if found < worth and made.keys() >= held.keys():
            best, worth = made, found
        order = _reordered(order, {job: lost for job, lost in placed.items() if lost is not None})
    return best


def _reordered(order: list[str], lost: dict[str, int]) -> list[str]:
    """Those without a place first, then everybody as far ahead as it lost."""
    most, ahead = max([1, *lost.values()]), AHEAD_FRAC * len(order)
    rank = {job: at - ahead * lost[job] / most for at, job in enumerate(order) if job in lost}
    return sorted(order, key=lambda job: (job in rank, rank.get(job, 0.0)))


def _move(draft: Draft, job: str) -> bool:
    """Move a job where the total falls enough."""
    present, ideal = draft.chosen.get(job), draft.ideal[job]
    if present is None or (ideal is not None and present.total <= ideal.total):
        return False
    give(draft, job)
    other = best_option(draft.fleet, draft.tasks[job], draft.board)
    moves = other is not None and other.total + margin(draft, job, present, other) < present.total
    take(draft, job, other if other is not None and moves else present)
    return moves
