"""Merkle trees after RFC 6962: leaves and nodes are hashed in different domains, so neither passes for the other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

LEAF = b"\x00"
NODE = b"\x01"


def root(hashes: Sequence[str]) -> str:
    """The root over leaves that are themselves SHA-256 hashes in hex; order counts. Nothing: SHA-256 of nothing."""
    if not hashes:
        return hashlib.sha256().hexdigest()
    return _levels(hashes)[-1][0].hex()


def proof(hashes: Sequence[str], index: int) -> tuple[str, ...]:
    """The siblings on the way from leaf `index` to the root, leaf first, hex.

    Raises: IndexError when there is no such leaf.
    """
    return proofs(hashes, [index])[0]


def proofs(hashes: Sequence[str], indices: Sequence[int]) -> list[tuple[str, ...]]:
    """As `proof` of several leaves; the tree is made once.

    Raises: IndexError when there is no such leaf.
    """
    wrong = [index for index in indices if not 0 <= index < len(hashes)]
    if wrong:
        raise IndexError(f"leaf {wrong[0]} of {len(hashes)}")
    levels = _levels(hashes)
    return [_path(levels, index) for index in indices]


def _path(levels: list[list[bytes]], index: int) -> tuple[str, ...]:
    path = []
    for level in levels[:-1]:
        sibling = index ^ 1
        # The last node of an odd level rises unchanged, so it has no sibling to name.
        if sibling < len(level):
            path.append(level[sibling].hex())
        index //= 2
    return tuple(path)


def _levels(hashes: Sequence[str]) -> list[list[bytes]]:
    """All levels, leaves first. Pairing from the left equals RFC 6962's split at the largest power of two."""
    level = [hashlib.sha256(LEAF + bytes.fromhex(leaf)).digest() for leaf in hashes]
    levels = [level]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        odd = level[-1:] if len(level) % 2 else []
        level = [hashlib.sha256(NODE + left + right).digest() for left, right in pairs] + odd
        levels.append(level)
    return levels
