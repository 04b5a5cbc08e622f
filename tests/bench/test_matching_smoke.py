"""The benchmark of matching by the hour, small: it accounts for every Wh, and would see one that is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from benchmarks.matching import Sums, add, cancelled_of, network, use_of, year

from sunward.metering.matching import match

SITES, HOURS = 40, 200


def test_every_wh_is_accounted_for() -> None:
    sums = year(3, SITES, HOURS)
    assert sums.error_wh == 0
    assert sums.matched_wh + sums.unclaimed_wh == sums.cancelled_wh
    assert 0 < sums.matched_wh < sums.cancelled_wh


def test_a_wh_that_is_lost_or_counted_twice_is_seen() -> None:
    draw = np.random.default_rng(1)
    made = network(draw, SITES)
    use, cancelled = use_of(draw, made, 24), cancelled_of(draw, made, 0, 24)
    found = match(use, cancelled)
    site, hour = np.argwhere(found.matched_wh)[0]
    more = found.matched_wh.copy()
    more[site, hour] += 1
    sums = Sums()
    add(sums, use, cancelled, replace(found, matched_wh=more))
    assert sums.error_wh > 0
