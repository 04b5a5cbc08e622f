"""Exact arithmetic of the verifier: fractions, one rounding at the end, nothing shared with metering."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from fractions import Fraction
from math import floor
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

# Written out here, not taken from `units`: a wrong figure there must not pass here.
J_IN_KWH = 3_600_000
MS_IN_HOUR = 3_600_000
MS_IN_DAY = 86_400_000
MILLION = 1_000_000
TEN_THOUSAND = 10_000


def nearest(value: Fraction) -> int:
    """The nearest integer, halves up."""
    return floor(value + Fraction(1, 2))


def apportion(amount: int, weights: Mapping[Key, int]) -> dict[Key, int]:
    """An amount by weight, in whole units, largest remainder first; equal remainders in the order given."""
    total = sum(weights.values())
    exact = {key: Fraction(amount * weight, total) for key, weight in weights.items()}
    whole = {key: floor(share) for key, share in exact.items()}
    hungry = sorted(exact, key=lambda key: whole[key] - exact[key])
    for key in hungry[: amount - sum(whole.values())]:
        whole[key] += 1
    return whole
