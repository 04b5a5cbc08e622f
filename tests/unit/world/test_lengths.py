"""What past jobs tell of run times: bins, survival under censoring, wider classes, fading, care after a broken word."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.units import HOUR_MS, MINUTE_MS, PPM
from sunward.world import lengths
from sunward.world.lengths import (
    BINS,
    CARE_LEAST_PPM,
    LEAN,
    ONE,
    RATIO,
    RUN,
    UNIT,
    Histogram,
    LengthBook,
    bin_of,
    chain_of,
    edges_ms,
    prior,
    top_ms,
)

CHAIN = chain_of(RUN, tenant="t", work_class="training", gpus=1, family="")


def book(*run_h: float, ended: bool = True) -> LengthBook:
    found = LengthBook()
    for hours in run_h:
        found.learn(CHAIN, int(hours * HOUR_MS), ended=ended)
    return found


def quantile_h(found: LengthBook, share_ppm: int, run_h: float = 0) -> float:
    return found.curve(CHAIN).quantile_ms(int(run_h * HOUR_MS), share_ppm) / HOUR_MS


def test_bins_double_every_eighth_and_reach_from_a_minute_to_45_days():
    edges = edges_ms()
    assert edges[:: lengths.OCTAVE][:4] == (MINUTE_MS, 2 * MINUTE_MS, 4 * MINUTE_MS, 8 * MINUTE_MS)
    assert edges[BINS] == MINUTE_MS << 16
    assert all(1.08 < after / before < 1.1 for before, after in pairwise(edges))


@given(st.integers(1, 10**11))
def test_no_run_is_taken_for_a_shorter_one(run_ms):
    at = bin_of(run_ms)
    assert 0 <= at <= BINS + 1
    assert run_ms <= top_ms(at) or at == BINS + 1
    assert at == 0 or run_ms > top_ms(at - 1) or at == BINS + 1


@pytest.mark.parametrize("kind", [RUN, RATIO])
def test_where_nothing_is_known_the_prior_speaks(kind):
    known = prior((kind, "", "training"))
    assert known.upto[-1] == ONE
    assert all(one <= two for one, two in pairwise(known.upto))
    found = LengthBook().curve(chain_of(kind, tenant="t", work_class="training", gpus=1, family="f"))
    assert found == known


def test_the_prior_of_run_times_is_the_trace_of_alibaba():
    found = LengthBook()
    assert quantile_h(found, 500_000) == pytest.approx(0.67, rel=0.1)
    assert quantile_h(found, 950_000) == pytest.approx(9.5, rel=0.2)


def test_without_censoring_a_class_is_its_own_jobs_and_some_of_the_wider_one():
    runs = [2 * MINUTE_MS, 30 * MINUTE_MS, 30 * MINUTE_MS, 5 * HOUR_MS]
    own, wider = Histogram(), prior(CHAIN[-1])
    for run_ms in runs:
        own.add(bin_of(run_ms), ended=True)
    found = lengths._leaning(own, wider)
    for at in range(BINS + 2):
        shorter = sum(bin_of(run_ms) <= at for run_ms in runs)
        right = (LEAN * wider.upto[at] / ONE + shorter) / (LEAN + len(runs))
        assert found.upto[at] / ONE == pytest.approx(right, abs=0.003)


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=30))
def test_survival_is_the_product_of_what_each_bin_leaves(jobs):
    own, wider = Histogram(), prior(CHAIN[-1])
    for at, ended in jobs:
        bins = own.ended if ended else own.stopped
        bins[at] = bins.get(at, 0) + UNIT
    found = lengths._leaning(own, wider)
    alive = Fraction(1)
    for at in range(41):
        before = Fraction(wider.upto[at - 1], ONE) if at else Fraction(0)
        there = LEAN * (1 - before) + sum(other >= at for other, _ in jobs)
        gone = LEAN * (Fraction(wider.upto[at], ONE) - before) + sum(other == at and ended for other, ended in jobs)
        alive *= 1 - gone / there
        assert abs(1 - alive - Fraction(found.upto[at], ONE)) < Fraction(1, 10**5)


def test_a_job_stopped_from_outside_counts_as_a_longer_one():
    plain, stopped = book(*[1.0] * 10), book(*[1.0] * 10)
    for _ in range(5):
        stopped.learn(CHAIN, 2 * HOUR_MS, ended=False)
    assert quantile_h(stopped, 800_000) > quantile_h(plain, 800_000)
    assert book(*[1.0] * 10, ended=False).curve(CHAIN).upto[bin_of(HOUR_MS)] < ONE // 2


def test_what_has_run_long_is_among_the_long_ones():
    found = book(*[0.5] * 50, *[8.0] * 50)
    assert quantile_h(found, 250_000) < 1
    assert 8 <= quantile_h(found, 250_000, run_h=1) < 9
    assert quantile_h(found, 500_000, run_h=10**6) == 2 * 10**6


@given(st.lists(st.floats(0.01, 100), max_size=20), st.floats(0, 200))
def test_points_rise_and_lie_ahead(runs, so_far_h):
    run_ms = int(so_far_h * HOUR_MS)
    curve = book(*runs).curve(CHAIN)
    points = curve.points(run_ms)
    assert points[-1][1] == PPM
    assert points[0][0] > run_ms
    for one, two in pairwise(points):
        assert one[0] < two[0]
        assert 0 <= one[1] <= two[1]
    for share in (500_000, 900_000, 990_000):
        ends = next(end_ms for end_ms, upto in points if upto >= share)
        assert ends >= curve.quantile_ms(run_ms, share) - 1 or ends == points[-1][0]


def test_old_jobs_fade():
    found = book(*[8.0] * 300, *[1.0] * 600)
    assert quantile_h(found, 800_000) < 1.2
    assert found.jobs(CHAIN[0]) <= 256


def test_few_jobs_say_little():
    assert quantile_h(book(*[1.0] * 3), 950_000) > 4
    assert quantile_h(book(*[1.0] * 200), 950_000) < 1.2


def test_a_family_leans_on_the_like_jobs_of_its_tenant():
    found = book(*[1.0] * 100)
    family = chain_of(RUN, tenant="t", work_class="training", gpus=1, family="f-eval")
    assert found.curve(family) == found.curve(CHAIN)
    for _ in range(30):
        found.learn(family, 4 * HOUR_MS, ended=True)
    assert found.curve(family).quantile_ms(0, 500_000) >= 4 * HOUR_MS
    stranger = chain_of(RUN, tenant="u", work_class="training", gpus=8, family="")
    assert found.curve(stranger) != LengthBook().curve(stranger)
    other = chain_of(RUN, tenant="u", work_class="rendering", gpus=8, family="")
    assert found.curve(other) == LengthBook().curve(other)


def test_the_mean_counts_no_more_than_the_limit():
    curve = book(*[2.0] * 200).curve(CHAIN)
    assert 2 * HOUR_MS <= curve.mean_ms(100 * HOUR_MS) < 2.5 * HOUR_MS
    assert curve.mean_ms(HOUR_MS) <= HOUR_MS


def test_broken_promises_make_careful_and_kept_ones_bold_again():
    one = Histogram()
    one.judge(50_000, kept=False)
    careful = one.care_ppm
    assert careful < PPM
    one.judge(50_000, kept=True)
    assert careful < one.care_ppm < PPM
    for _ in range(1_000):
        one.judge(50_000, kept=True)
    assert one.care_ppm == PPM
    for _ in range(1_000):
        one.judge(50_000, kept=False)
    assert one.care_ppm == CARE_LEAST_PPM


def test_care_keeps_promises_that_the_lengths_alone_would_break():
    draw, one, kept = np.random.default_rng(1), Histogram(), []
    for _ in range(4_000):
        # Three times as many break as the lengths say.
        good = bool(draw.random() > 3 * 0.05 * one.care_ppm / PPM)
        one.judge(50_000, kept=good)
        kept.append(good)
    assert sum(kept[2_000:]) / 2_000 >= 0.945


@pytest.mark.parametrize("promise_ppm", [500_000, 900_000, 950_000, 990_000])
def test_a_quantile_is_exceeded_no_more_often_than_it_says(promise_ppm):
    draw, found, kept = np.random.default_rng(2), LengthBook(), 0
    for _ in range(600):
        run_ms = int(draw.lognormal(np.log(HOUR_MS), 0.8))
        kept += run_ms <= found.curve(CHAIN).quantile_ms(0, promise_ppm)
        found.learn(CHAIN, run_ms, ended=True)
    assert kept / 600 >= promise_ppm / PPM - 0.005


def test_the_class_that_learnt_nothing_for_longest_is_forgotten(monkeypatch):
    monkeypatch.setattr(lengths, "CLASSES_MAX", 4)
    found = LengthBook()
    chains = [chain_of(RUN, tenant=tenant, work_class="training", gpus=1, family="") for tenant in "abc"]
    for chain in chains:
        found.learn(chain, HOUR_MS, ended=True)
    assert len(found.classes) == 4
    assert found.jobs(chains[0][0]) == 0
    assert found.jobs(chains[2][0]) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.01, 50), st.booleans()), max_size=20))
def test_a_book_comes_back_from_its_dump(jobs):
    found = LengthBook()
    for tenant, hours, ended in jobs:
        chain = chain_of(RUN, tenant=tenant, work_class="training", gpus=1, family="")
        found.learn(chain, int(hours * HOUR_MS), ended=ended)
        found.judge(chain[1], 50_000, kept=ended)
    again = LengthBook.load(found.dump())
    assert again.classes == found.classes
    assert list(again.classes) == list(found.classes)
