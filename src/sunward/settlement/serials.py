"""Ranges of serials that were used, by what their serials have in common: in order, and apart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

SERIAL_MAX = 2**53 - 1
Ranges = dict[str, list[list[int]]]


def is_used(ranges: Mapping[str, list[list[int]]], key: str, first: int, last: int) -> bool:
    """Whether any serial of a range was used before."""
    known = ranges.get(key, [])
    place = bisect_right(known, [last, SERIAL_MAX])
    return place > 0 and known[place - 1][1] >= first


def use(ranges: Ranges, key: str, first: int, last: int) -> None:
    """Remember serials, so that they are never used again."""
    known = ranges.setdefault(key, [])
    known.insert(bisect_right(known, [first, last]), [first, last])
