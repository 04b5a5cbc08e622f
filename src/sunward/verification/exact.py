"""Exact arithmetic of the verifier: fractions, one rounding at the end, nothing shared with metering."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from fractions import Fraction
from math import floor
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

# Written out here, not taken from `units`: a wrong figure there must not pass here.
J_IN_KWH = 3_600_000
J_IN_WH = 3_600
MS_IN_HOUR = 3_600_000
MS_IN_DAY = 86_400_000
MS_IN_SECOND = 1_000
MILLION = 1_000_000
TEN_THOUSAND = 10_000


def nearest(value: Fraction) -> int:
    """The nearest integer, halves up."""
    return floor(value + Fraction(1, 2))


def apportion(amount: int, weights: Mapping[Key, int]) -> dict[Key, int]:
    """An amount by weight, in whole units, largest remainder first; equal remainders in the order given."""
    if len(weights) == 1:
        return dict.fromkeys(weights, amount)
    total, missing = sum(weights.values()), amount
    whole: dict[Key, int] = {}
    left: list[tuple[int, int, Key]] = []
    for number, (key, weight) in enumerate(weights.items()):
        whole[key], rest = divmod(amount * weight, total)
        missing -= whole[key]
        left.append((-rest, number, key))
    if missing:
        # The number decides between equal remainders, so keys are never compared.
        left.sort()
        for _, _, key in left[:missing]:
            whole[key] += 1
    return whole
