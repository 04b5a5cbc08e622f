"""The lies of the threat model: each ends as the page says, a few times told; an honest hour trips nothing."""

from __future__ import annotations

import random

import pytest
from benchmarks._honest import a_site, found_in, honest_year, signed, true_minutes
from benchmarks._lies import MY, Economy, judge
from benchmarks.attacks import LIES, threat_model, upper_mean


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.key)
def test_a_lie_ends_as_the_threat_model_says_and_does_not_pay(lie):
    judged = judge(lie, MY, plays=2, seed=7)
    assert (judged.ends, judged.ends.value) == (lie.ends, threat_model()[lie.key])
    assert not judged.profitable


def test_an_honest_site_hears_no_alarm():
    assert found_in(a_site(), signed(random.Random(1), true_minutes(random.Random(2), 20))) == ()
    assert honest_year(random.Random(3), days=2) == ()


def test_a_lie_that_nobody_sees_and_that_counts_would_pay():
    unseen = next(lie for lie in LIES if lie.key == "shaved_energy")
    assert judge(unseen, Economy(visit_days=10**9), plays=2, seed=7).profitable


def test_the_rule_of_three():
    """Of no alarm in n years, three in n are possible; more alarms leave more possible (tables of the Poisson law)."""
    assert [round(upper_mean(alarms), 3) for alarms in (0, 1, 5)] == [2.996, 4.744, 10.513]
