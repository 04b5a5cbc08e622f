from __future__ import annotations

import hashlib

import pytest

from sunward.metering import merkle


def sha(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1 word for word: split at the largest power of two below n."""
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return sha(b"\x00" + leaves[0])
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha(b"\x01" + by_definition(leaves[:split]) + by_definition(leaves[split:]))


def fold(leaf: bytes, index: int, size: int, path: tuple[str, ...]) -> bytes:
    """RFC 9162 §2.1.3.2: from a leaf and its siblings to the root."""
    node, last = sha(b"\x00" + leaf), size - 1
    for sibling in map(bytes.fromhex, path):
        if index % 2 or index == last:
            node = sha(b"\x01" + sibling + node)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            node = sha(b"\x01" + node + sibling)
        index, last = index >> 1, last >> 1
    assert last == 0
    return node


@pytest.mark.parametrize("size", [*range(18), 31, 33])
def test_root_and_proofs_follow_the_rfc(size: int) -> None:
    leaves = [sha(bytes([index])) for index in range(size)]
    hashes = [leaf.hex() for leaf in leaves]
    assert merkle.root(hashes) == by_definition(leaves).hex()
    for index, leaf in enumerate(leaves):
        assert fold(leaf, index, size, merkle.proof(hashes, index)).hex() == merkle.root(hashes)


def test_a_node_never_passes_for_a_leaf() -> None:
    hashes = [sha(bytes([index])).hex() for index in range(2)]
    assert merkle.root([merkle.root(hashes)]) != merkle.root(hashes)


@pytest.mark.parametrize("index", [-1, 2])
def test_there_is_no_proof_of_an_absent_leaf(index: int) -> None:
    with pytest.raises(IndexError):
        merkle.proof(["00" * 32] * 2, index)
