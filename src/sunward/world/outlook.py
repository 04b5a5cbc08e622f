"""How long jobs of estimated or unknown length may still run, by what they have run and what others like them did."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.hardware import WorkClass
from sunward.model.job import JobSpec, LengthKind
from sunward.units import PPM
from sunward.world.lengths import RATIO, RATIO_MS, RUN, Curve, Key, LengthBook, chain_of
from sunward.world.power import lease_rate
from sunward.world.snapshot import Lengths
from sunward.world.state import World

HELD_PPM = 950_000
"""A running job holds its container for as long as so many of its kind would still run, or as many as promised."""
KINDS = tuple(LengthKind)
"""As the column `length_kind` counts them."""
NOT_SAVED = frozenset({"lost", "failed", "withdrawn", "timeout"})
"""How attempts end that leave no checkpoint of their last moment."""
TAUGHT = {LengthKind.KNOWN: (RUN,), LengthKind.UNKNOWN: (RUN,), LengthKind.ESTIMATED: (RUN, RATIO)}
"""What the end of a job teaches: of its run time, and where it was estimated also how far off that was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a job has run, on the reference GPU."""

    banked_ms: int
    """What counts towards its end: what its units or pauses kept; with neither only the present attempt."""
    least_ms: int
    """It is longer than this, as its attempts have shown."""


def pace_ppm(world: World, row: int, lease_row: int) -> int:
    """How fast a job runs on what an attempt of it holds, against its least number of reference GPUs."""
    work_class = WorkClass(world.jobs.words[world.jobs.ints["work_class"][row]])
    cap_w = int(world.leases.ints["power_cap_w"][lease_row])
    rate = lease_rate(world.leases.objects["pool"][lease_row].partition("/")[2], work_class, cap_w)
    return max(1, round(rate * world.jobs.speed_ppm(row, int(world.leases.ints["gpus"][lease_row]))))


def useful(world: World, row: int, now_ms: int) -> list[tuple[int, int]]:
    """By attempt that kept any work, its lease's row and the run time of that work; what is under way counts whole."""
    jobs, leases = world.jobs, world.leases
    rows, units = _attempts(world, row), int(jobs.ints["units"][row])
    marks = [int(leases.ints["from_units"][one]) for one in rows]
    held, pausable = bool(jobs.objects["lease"][row]), jobs.ints["interruptible"][row]
    marks.append(int(jobs.ints["live_units" if held else "units_done"][row]))
    found = []
    for lease_row, before, after in zip(rows, marks, marks[1:], strict=False):
        run_ms = _run_ms(world, lease_row, now_ms)
        under_way = held and lease_row == rows[-1]
        done = max(int(leases.ints["units"][lease_row]), after) - before
        saved = units == 1 and pausable and leases.objects["reason"][lease_row] not in NOT_SAVED
        if run_ms and (after > before or under_way or saved):
            kept_ms = run_ms if under_way or units == 1 else run_ms * (after - before) // done
            found.append((lease_row, kept_ms))
    return found


def _attempts(world: World, row: int) -> list[int]:
    attempts = range(1, int(world.jobs.ints["attempts"][row]) + 1)
    return [world.leases.row_of[f"{world.jobs.ids[row]}.{attempt}"] for attempt in attempts]


def _run_ms(world: World, lease_row: int, now_ms: int) -> int:
    ints = world.leases.ints
    started_ms = int(ints["started_ms"][lease_row])
    return (int(ints["ended_ms"][lease_row]) or now_ms) - started_ms if started_ms else 0


def waited_ms(world: World, row: int, now_ms: int) -> int:
    """Grid time that a job has stood still since it came in, pauses and lost attempts' restarts included."""
    run_ms = sum(_run_ms(world, lease_row, now_ms) for lease_row in _attempts(world, row))
    return now_ms - int(world.jobs.ints["submitted_ms"][row]) - run_ms


def ran(world: World, row: int, now_ms: int) -> Ran:
    """What a job has run until now."""
    kept = sum(run_ms * pace_ppm(world, row, lease) // PPM for lease, run_ms in useful(world, row, now_ms))
    if world.jobs.ints["units"][row] > 1 or world.jobs.ints["interruptible"][row]:
        return Ran(banked_ms=kept, least_ms=kept)
    tried = (_run_ms(world, lease, now_ms) * pace_ppm(world, row, lease) // PPM for lease in _attempts(world, row))
    return Ran(banked_ms=kept, least_ms=max(tried, default=0))


def learn(world: World, row: int, *, finished: bool) -> None:
    """Take in the length of a job that has ended; one that did not finish only shows that it is longer."""
    so_far = ran(world, row, world.at_ms)
    run_ms = so_far.banked_ms if finished else so_far.least_ms
    if not run_ms:
        return
    length_ms = int(world.jobs.ints["length_ms"][row])
    for kind in TAUGHT[KINDS[world.jobs.ints["length_kind"][row]]]:
        told_ms = run_ms if kind == RUN else run_ms * RATIO_MS // length_ms
        world.lengths.learn(_chain(world, row, kind), told_ms, ended=finished)


def judge(world: World, row: int, *, kept: bool) -> None:
    """Take in whether the promise to a job was kept."""
    risk_ppm = PPM - int(world.jobs.ints["promise_ppm"][row])
    kind = KINDS[world.jobs.ints["length_kind"][row]]
    if kind is not LengthKind.KNOWN and risk_ppm < PPM:
        world.lengths.judge(_chain(world, row, TAUGHT[kind][-1])[-2], risk_ppm, kept=kept)


def _chain(world: World, row: int, kind: str) -> tuple[Key, ...]:
    jobs = world.jobs
    return chain_of(
        kind,
        tenant=jobs.words[jobs.ints["tenant"][row]],
        work_class=jobs.words[jobs.ints["work_class"][row]],
        gpus=int(jobs.ints["gpus"][row]),
        family=jobs.words[jobs.ints["family"][row]],
    )


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected of one job: a curve, in which its estimate counts as `scale_ms` where it has one."""

    curve: Curve
    scale_ms: int
    care_ppm: int
    jobs: int
    """About how many jobs of its own class speak for it."""

    def quantile_ms(self, run_ms: int, share_ppm: int) -> int:
        """The run time that such a share of its kind does not exceed that has run for so long."""
        return self._run(self.curve.quantile_ms(self._told(run_ms), share_ppm))

    def points(self, run_ms: int) -> list[tuple[int, int]]:
        """(run time, probability of no more in ppm), for a job that has run for so long."""
        return [(self._run(told_ms), share) for told_ms, share in self.curve.points(self._told(run_ms))]

    def mean_ms(self, most_ms: int) -> int:
        """The mean run time of such jobs, if they are stopped after so long."""
        return self._run(self.curve.mean_ms(self._told(most_ms)))

    def sure_ppm(self, promise_ppm: int) -> int:
        """The probability to plan with, so that a promise is kept with the one that is stated."""
        return PPM - (PPM - promise_ppm) * self.care_ppm // PPM if promise_ppm else 0

    def lengths(self, promise_ppm: int) -> Lengths:
        """What a planner is told of a job that has not begun."""
        return as_lengths(self.points(0), self.sure_ppm(promise_ppm))

    def _told(self, run_ms: int) -> int:
        return run_ms * RATIO_MS // self.scale_ms

    def _run(self, told_ms: int) -> int:
        return max(1, told_ms * self.scale_ms // RATIO_MS)


def outlook(book: LengthBook, chain: tuple[Key, ...], estimate_ms: int = 0) -> Outlook:
    """What is expected of jobs of a class; `estimate_ms` for those whose length was estimated."""
    return Outlook(book.curve(chain), estimate_ms or RATIO_MS, book.care_ppm(chain[-2]), book.jobs(chain[0]))


def asked(world: World, spec: JobSpec) -> Outlook:
    """What is expected of a job that was not submitted yet."""
    estimated = spec.length_kind is LengthKind.ESTIMATED
    chain = chain_of(
        RATIO if estimated else RUN,
        tenant=spec.tenant,
        work_class=spec.work_class.value,
        gpus=spec.gpus,
        family=spec.family,
    )
    return outlook(world.lengths, chain, spec.length_ms if estimated else 0)


def outlook_of(world: World, row: int) -> Outlook:
    """What is expected of a job whose length is not known."""
    estimated = KINDS[world.jobs.ints["length_kind"][row]] is LengthKind.ESTIMATED
    chain = _chain(world, row, RATIO if estimated else RUN)
    return outlook(world.lengths, chain, int(world.jobs.ints["length_ms"][row]) if estimated else 0)


def left_ms(world: World, row: int, lease_row: int, now_ms: int) -> int:
    """For how long a running job of uncertain length holds its containers."""
    jobs = world.jobs
    so_far, expected = ran(world, row, now_ms), outlook_of(world, row)
    share_ppm = min(HELD_PPM, expected.sure_ppm(int(jobs.ints["promise_ppm"][row])) or HELD_PPM)
    total_ms = expected.quantile_ms(so_far.least_ms, share_ppm)
    left = _left(total_ms, so_far.banked_ms, int(jobs.ints["live_units"][row]), int(jobs.ints["units"][row]))
    return -(-left * PPM // pace_ppm(world, row, lease_row))


def _left(total_ms: int, banked_ms: int, units_done: int, units: int) -> int:
    """What is left of a run time; progress in units, where there is some, tells more than the clock."""
    if units > 1 and units_done:
        return max(1, -(-total_ms * (units - units_done) // units))
    return max(1, total_ms - banked_ms)


def lengths_of(world: World, row: int, units_done: int, now_ms: int) -> Lengths | None:
    """How long a job may still run as a planner sees it; None where its length is known."""
    jobs = world.jobs
    if not jobs.ints["length_kind"][row]:
        return None
    so_far, expected = ran(world, row, now_ms), outlook_of(world, row)
    units = int(jobs.ints["units"][row])
    points = [
        (_left(total_ms, so_far.banked_ms, units_done, units), share)
        for total_ms, share in expected.points(so_far.least_ms)
    ]
    return as_lengths(points, expected.sure_ppm(int(jobs.ints["promise_ppm"][row])))


def as_lengths(points: list[tuple[int, int]], promise_ppm: int) -> Lengths:
    """(Run time, probability of no more) as a distribution: times rise, weights are positive and sum to one."""
    remaining: list[int] = []
    weights: list[int] = []
    before = 0
    for run_ms, upto in points:
        if remaining and run_ms <= remaining[-1]:
            weights[-1] += upto - before
        elif upto > before:
            remaining.append(run_ms)
            weights.append(upto - before)
        before = max(before, upto)
    return Lengths(remaining_ms=tuple(remaining), weight_ppm=tuple(weights), promise_ppm=promise_ppm)


def within_ppm(lengths: Lengths, run_ms: int) -> int:
    """Probability that a job ends within so long on the reference GPU."""
    pairs = zip(lengths.remaining_ms, lengths.weight_ppm, strict=True)
    return sum(weight for length_ms, weight in pairs if length_ms <= run_ms)


def quantile_ms(lengths: Lengths, share_ppm: int) -> int:
    """The remaining run time that such a share of its kind does not exceed."""
    upto = 0
    for length_ms, weight in zip(lengths.remaining_ms, lengths.weight_ppm, strict=True):
        upto += weight
        if upto >= share_ppm:
            return length_ms
    return lengths.remaining_ms[-1]
