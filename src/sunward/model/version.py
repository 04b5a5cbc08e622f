"""Which versions of agent and control plane understand each other: the same minor version, and one on either side."""

from __future__ import annotations

import re

FIRST = "0.1.0"
"""What a peer is that does not say its version: saying it came after this one."""
_VERSION = re.compile(r"(\d{1,6})[.](\d{1,6})(?:[.+-].{0,60}|[a-z].{0,60})?", re.ASCII)


def compatible(ours: str, theirs: str) -> bool:
    """Whether a peer of a version is understood; one that is no version is not."""
    one, other = _VERSION.fullmatch(ours), _VERSION.fullmatch(theirs or FIRST)
    if one is None or other is None:
        return False
    return one[1] == other[1] and abs(int(one[2]) - int(other[2])) <= 1
