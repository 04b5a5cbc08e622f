"""Merkle inclusion after RFC 6962, walked from leaf to root by the size of the tree."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def leads_to(root: str, leaf: str, index: int, size: int, path: Sequence[str]) -> bool:
    """Whether a leaf (a SHA-256, hex) stands at an index of the tree of that size and root."""
    try:
        steps = [bytes.fromhex(step) for step in path]
        here = hashlib.sha256(b"\x00" + bytes.fromhex(leaf)).digest()
    except ValueError:
        return False
    if not 0 <= index < size:
        return False
    last = size - 1
    for step in steps:
        if last == 0:
            return False
        if index % 2 or index == last:
            here = hashlib.sha256(b"\x01" + step + here).digest()
            # A last node without a partner rises until it is a right child.
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            here = hashlib.sha256(b"\x01" + here + step).digest()
        index, last = index // 2, last // 2
    return last == 0 and here.hex() == root
