"""What past jobs tell of how long a job runs: decaying histograms by class of job, from which survival is estimated.

Integers only, so equal histories of jobs give equal books. Run times are those on the reference GPU. A job that ended
by itself is an end; one that was cancelled, failed or never came to its end only tells that it would have run longer:
it stays at risk up to where it was stopped (Kaplan and Meier). Each class leans on what the wider one around it knows
besides, like on `LEAN` jobs more (a Dirichlet process prior, after Susarla and Van Ryzin), the widest on `PRIOR`; so a
class of few jobs says little that the wider one does not say too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from math import isqrt
from typing import Any

from sunward.units import MINUTE_MS, PPM

OCTAVE = 8
"""Bins in a doubling of the run time: a length is known to 9 %."""
BINS = 16 * OCTAVE
"""From one minute to 45 days; what is longer counts into one bin more."""
UNIT = 1 << 20
"""Weight of a job that has just ended."""
FADE_BITS = 8
"""Each further job of a class takes so small a part (a 256th) from the weight of those before it."""
CLASSES_MAX = 2_048
"""The class that has learnt nothing for longest is forgotten first."""
LEAN = 3
ONE = 1 << 30
"""Probability 1 in what follows."""
RATIO_MS = MINUTE_MS << 9
"""An estimate that was right counts as a run of so long, the top of a bin; one of twice the run as half of it."""
STEPS_PPM = (
    *range(50_000, 950_000, 50_000),
    *(925_000, 940_000, 950_000, 960_000, 970_000, 980_000),
    *(985_000, 990_000, 993_000, 996_000, 998_000, 999_000),
)
"""Shares of the jobs at which a planner is told the run time."""
CARE_LEAST_PPM = PPM // 64
CARE_STEP = 16

PRIOR = (
    *(20, 20, 20, 20, 3940, 9101, 8437, 8340, 8136, 7876, 6825, 7660, 7738, 7473, 6143, 5468),
    *(4110, 3195, 2054, 1987, 862, 424, 475, 143, 31, 20, 20, 20, 20, 20, 20, 20),
)
"""Jobs per half octave from one minute on: 99,998 of the Alibaba PAI trace of 2020 (CC-BY-4.0, as sampled by GAIA,
which leaves out jobs below five minutes), and 20 more everywhere, since other networks have other jobs."""
PRIOR_RATIO = (
    *(1, 1, 1, 1, 2, 2, 3, 4, 6, 8, 10, 14, 20, 30, 45, 60),
    *(90, 150, 90, 60, 35, 20, 12, 7, 4, 2, 1, 1, 1, 1, 1, 1),
)
"""The same of actual over estimated run times. Assumed, not measured: six in ten run no longer than estimated, one in
ten more than two and a half times as long, one in fifty more than eight times."""

Key = tuple[str, ...]
"""A class: words and numbers that stand in the public part of a job."""


@cache
def edges_ms() -> tuple[int, ...]:
    """(BINS + 1,) tops of the bins: each holds the run times up to its own and over the one before."""
    # Whole eighth roots: the same on every machine.
    return tuple(isqrt(isqrt(isqrt(MINUTE_MS**OCTAVE << at))) for at in range(BINS + 1))


def bin_of(run_ms: int) -> int:
    """The bin of a run time."""
    return bisect_left(edges_ms(), run_ms)


def top_ms(at: int) -> int:
    """The longest run time of a bin: what a run in it is taken to last, so that nothing is promised too early."""
    edges = edges_ms()
    return edges[at] if at <= BINS else 2 * edges[BINS]


@dataclass(slots=True)
class Histogram:
    """Jobs of one class by bin, the older the lighter."""

    ended: dict[int, int] = field(default_factory=dict)
    stopped: dict[int, int] = field(default_factory=dict)
    """Stopped in this bin from outside: they would have run longer."""
    care_ppm: int = PPM
    """Part of the risk that its promises may state which they may take: falls with each broken one, rises with each
    kept one."""

    def add(self, at: int, *, ended: bool) -> None:
        """Count one more job."""
        for bins in (self.ended, self.stopped):
            for one, weight in list(bins.items()):
                left = weight - (weight >> FADE_BITS) - 1
                if left > 0:
                    bins[one] = left
                else:
                    del bins[one]
        bins = self.ended if ended else self.stopped
        bins[at] = bins.get(at, 0) + UNIT

    def without(self, inner: Histogram) -> Histogram:
        """The jobs that are not in a narrower class too, so that each counts once."""
        return Histogram(_less(self.ended, inner.ended), _less(self.stopped, inner.stopped))

    def judge(self, risk_ppm: int, *, kept: bool) -> None:
        """Take in what became of a promise that states so much risk.

        In the long run the care balances broken against kept promises, whatever the reason for which they break:
        each broken one lowers it by as much as 1 / risk kept ones raise it (adaptive conformal inference, Gibbs and
        Candès 2021).
        """
        if kept:
            self.care_ppm += self.care_ppm * risk_ppm // (CARE_STEP * PPM)
        else:
            self.care_ppm -= self.care_ppm * (PPM - risk_ppm) // (CARE_STEP * PPM)
        self.care_ppm = min(PPM, max(CARE_LEAST_PPM, self.care_ppm))


def _less(bins: Mapping[int, int], inner: Mapping[int, int]) -> dict[int, int]:
    # A wider class fades faster: where less is left of its jobs than of the narrower one, there are no others.
    return {at: weight - inner.get(at, 0) for at, weight in bins.items() if weight > inner.get(at, 0)}


@dataclass(frozen=True, slots=True)
class Curve:
    """Probabilities of run times."""

    upto: tuple[int, ...]
    """(BINS + 2,) probability that a job runs no longer than the top of each bin; the last is ONE."""

    def quantile_ms(self, run_ms: int, share_ppm: int) -> int:
        """The run time that such a share of the jobs does not exceed that have run for so long."""
        before = self._before(run_ms)
        at = bisect_left(self.upto, before + (ONE - before) * share_ppm // PPM)
        # What outlives every bin goes on as long again.
        return top_ms(at) if top_ms(at) > run_ms else 2 * run_ms

    def points(self, run_ms: int) -> list[tuple[int, int]]:
        """(run time, probability of no more in ppm) at the steps of `STEPS_PPM`, for a job that has run for so long.

        Each step tells the top of its bin, so nothing ends later than said but the last: that is a mean.
        """
        before = self._before(run_ms)
        alive = ONE - before
        found: list[tuple[int, int]] = []
        for step in STEPS_PPM:
            at = bisect_left(self.upto, before + alive * step // PPM)
            share = (self.upto[at] - before) * PPM // alive if alive else PPM
            if not found or top_ms(at) > found[-1][0]:
                found.append((top_ms(at), min(share, PPM - 1)))
        found = [point for point in found if point[0] > run_ms]
        last_ms = self._mean_ms(bin_of(found[-1][0]) + 1 if found else BINS + 1)
        return [*found, (max(last_ms, found[-1][0] + 1 if found else 2 * run_ms), PPM)]

    def mean_ms(self, most_ms: int) -> int:
        """The mean run time of jobs that are stopped after so long."""
        run_ms, before = 0, 0
        for at, upto in enumerate(self.upto):
            run_ms += min(top_ms(at), most_ms) * (upto - before)
            before = upto
        return max(1, run_ms // ONE)

    def _mean_ms(self, first: int) -> int:
        """The mean run time of those that outlive all bins before one."""
        alive, run_ms, before = ONE - self.upto[first - 1], 0, self.upto[first - 1]
        for at in range(first, BINS + 2):
            run_ms += top_ms(at) * (self.upto[at] - before)
            before = self.upto[at]
        return run_ms // alive if alive else top_ms(first)

    def _before(self, run_ms: int) -> int:
        """Probability of ending sooner; what ends in the bin under way counts as still to come."""
        first = bin_of(run_ms + 1)
        before = self.upto[first - 1] if first else 0
        return before if before < ONE else self.upto[BINS]


@dataclass(slots=True)
class LengthBook:
    """Histograms by class, least recently changed first."""

    classes: dict[Key, Histogram] = field(default_factory=dict)
    curves: dict[tuple[Key, ...], Curve] = field(default_factory=dict)
    """Worked out since the last change; no part of the state."""

    def learn(self, chain: Sequence[Key], run_ms: int, *, ended: bool) -> None:
        """Count a job in its class and all wider ones."""
        at = bin_of(run_ms)
        for key in chain:
            self._changed(key).add(at, ended=ended)

    def judge(self, key: Key, risk_ppm: int, *, kept: bool) -> None:
        """Take in what became of a promise to a job of a class."""
        self._changed(key).judge(risk_ppm, kept=kept)

    def care_ppm(self, key: Key) -> int:
        """Part of the stated risk that a new promise may take."""
        known = self.classes.get(key)
        return PPM if known is None else known.care_ppm

    def jobs(self, key: Key) -> int:
        """About how many past jobs speak for a class: those long gone count less."""
        known = self.classes.get(key)
        return 0 if known is None else sum(known.ended.values()) // UNIT

    def _changed(self, key: Key) -> Histogram:
        known = self.classes.pop(key, None) or Histogram()
        self.classes[key] = known
        if len(self.classes) > CLASSES_MAX:
            del self.classes[next(iter(self.classes))]
        self.curves.clear()
        return known

    def curve(self, chain: Sequence[Key]) -> Curve:
        """How long jobs of a class run; `chain` names it and the ever wider ones around it, the widest last."""
        key = tuple(chain)
        known = self.curves.get(key)
        if known is None:
            known = prior(chain[-1])
            found = [self.classes.get(one) or Histogram() for one in chain]
            for inner, outer in zip([Histogram(), *found][::-1][1:], found[::-1], strict=True):
                more = outer.without(inner)
                known = _leaning(more, known) if more.ended or more.stopped else known
            self.curves[key] = known
        return known

    def dump(self) -> list[Any]:
        """Plain values, in the order in which classes will be forgotten."""
        return [
            [list(key), sorted(one.ended.items()), sorted(one.stopped.items()), one.care_ppm]
            for key, one in self.classes.items()
        ]

    @classmethod
    def load(cls, record: Iterable[Any]) -> LengthBook:
        """The content of a dump."""
        return cls({tuple(key): Histogram(dict(ended), dict(stopped), care) for key, ended, stopped, care in record})


@cache
def prior(widest: Key) -> Curve:
    """What is taken for granted where nothing has been learnt."""
    shares = PRIOR_RATIO if widest[0] == RATIO else PRIOR
    split = OCTAVE // 2
    mass = [0, *(share * ONE // (sum(shares) * split) for share in shares for _ in range(split)), 0]
    # Rounding, and what is longer than all that was ever seen: a thousandth of a job in a hundred.
    mass[-1] = ONE - sum(mass)
    return Curve(tuple(accumulate(mass)))


def _leaning(own: Histogram, wider: Curve) -> Curve:
    """Survival of a class with its own jobs and `LEAN` more that are spread like those of the wider class."""
    at_risk = sum(own.ended.values()) + sum(own.stopped.values())
    before, gone, upto = 0, 0, []
    for at in range(BINS + 2):
        lean = LEAN * UNIT * (ONE - before) // ONE
        taken = LEAN * UNIT * (wider.upto[at] - before) // ONE + own.ended.get(at, 0)
        gone += (ONE - gone) * min(taken, lean + at_risk) // max(1, lean + at_risk)
        upto.append(gone)
        before = wider.upto[at]
        at_risk -= own.ended.get(at, 0) + own.stopped.get(at, 0)
    upto[-1] = ONE
    return Curve(tuple(upto))


RATIO = "ratio"
RUN = "run"


def chain_of(kind: str, *, tenant: str, work_class: str, gpus: int, family: str) -> tuple[Key, ...]:
    """The class of a job and the wider ones around it: its family, its tenant's like jobs, all of its tenant, all."""
    own = (kind, tenant, work_class, str(gpus))
    wider = (own, own[:3], (kind, "", work_class))
    return ((*own, family), *wider) if family else wider
