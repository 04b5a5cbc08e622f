"""Splitting integers and intervals so that nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence

from sunward.units import HOUR_MS, floor_to


def largest_remainder(amount: int, weights: Sequence[int]) -> list[int]:
    """An amount in proportion to weights, as integers that add up to it exactly.

    Each share is rounded down; the units left over go to the largest remainders, earlier weights first.
    Raises: ValueError for a negative amount or weight, or when no weight is positive.
    """
    whole = sum(weights)
    if amount < 0 or whole <= 0 or min(weights) < 0:
        raise ValueError(f"cannot split {amount} over {len(weights)} weights that sum to {whole}")
    shares = [amount * weight // whole for weight in weights]
    remainders = [amount * weight % whole for weight in weights]
    by_size = sorted(range(len(weights)), key=lambda index: -remainders[index])
    for index in by_size[: amount - sum(shares)]:
        shares[index] += 1
    return shares


def by_hour(start_ms: int, end_ms: int) -> list[tuple[int, int, int]]:
    """(hour, start, end) of the parts of `[start_ms, end_ms)` in each grid hour it touches."""
    hours = range(floor_to(start_ms, HOUR_MS), end_ms, HOUR_MS)
    return [(hour, max(hour, start_ms), min(hour + HOUR_MS, end_ms)) for hour in hours]


def overlap_ms(start_ms: int, end_ms: int, other_start_ms: int, other_end_ms: int) -> int:
    """Time that two half-open intervals share."""
    return max(0, min(end_ms, other_end_ms) - max(start_ms, other_start_ms))
