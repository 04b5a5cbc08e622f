"""Globs below a folder: `*` and `?` within a name, `**` across folders; a folder that is named means all in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

ANY_DEPTH = "**"


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a relative path is named by any of the patterns, or lies in a folder that is."""
    parts = path.split("/")
    return any(_matches(parts, pattern.split("/")) for pattern in patterns)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """All places in the pattern that the path can stand at are followed at once, so no pattern takes long."""
    places = _passed({0}, pattern)
    for part in parts:
        following = {place for place in places if place == len(pattern) or pattern[place] == ANY_DEPTH}
        following |= {place + 1 for place in places if place < len(pattern) and fnmatchcase(part, pattern[place])}
        places = _passed(following, pattern)
    return len(pattern) in places


def _passed(places: set[int], pattern: Sequence[str]) -> set[int]:
    """The places reached by letting `**` stand for no folder at all."""
    reached = set(places)
    for place in range(len(pattern)):
        if place in reached and pattern[place] == ANY_DEPTH:
            reached.add(place + 1)
    return reached
