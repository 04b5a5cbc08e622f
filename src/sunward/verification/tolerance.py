"""How far a reading may lie beyond a bound before it is called false.

A site states the standard uncertainty u of its readings as a share. An honest reading is the true energy times
(1 + e), with e of standard deviation at most u and tails no heavier than the normal distribution's. It trips a bound
only if |e| > k u. With n tests a year, k is chosen so that n times the chance of one test is the bar; as
a sum of chances this holds however the errors hang together: from minute to minute, between devices, or as one
error of calibration that is the same all year.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

from sunward.verification.coefficients import value
from sunward.verification.exact import MILLION

BATCHES_A_YEAR = 525_960
"""A site signs one batch a minute; no window of a test is shorter."""
TESTS_OF_DEVICE = 2
TESTS_OF_SITE = 6


@lru_cache(maxsize=1 << 12)
def factor(tests_a_year: int) -> float:
    """k: standard deviations that no honest reading passes, but for the chance that the bar allows."""
    return NormalDist().inv_cdf(1.0 - value("false_alarms") / tests_a_year)


def spread(uncertainty_ppm: int, devices: int) -> float:
    """K times u for the readings of a site with so many devices, as a share of the energy read."""
    tests = BATCHES_A_YEAR * (TESTS_OF_DEVICE * devices + TESTS_OF_SITE)
    return factor(tests) * uncertainty_ppm / MILLION
