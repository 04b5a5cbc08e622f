import hashlib

import pytest

from sunward.metering import merkle
from sunward.verification.merkle import leads_to

LEAVES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(13)]


@pytest.mark.parametrize("size", range(1, 14))
def test_every_leaf_of_every_tree_leads_to_its_root_and_to_no_other(size):
    leaves = LEAVES[:size]
    root = merkle.root(leaves)
    for index, leaf in enumerate(leaves):
        path = merkle.proof(leaves, index)
        assert leads_to(root, leaf, index, size, path)
        assert not leads_to(root, LEAVES[(index + 1) % 13], index, size, path)
        assert not leads_to("f" * 64, leaf, index, size, path)
        assert not leads_to(root, leaf, index, size, (*path, leaf))
        assert not path or not leads_to(root, leaf, index, size, path[:-1])


def test_an_index_that_cannot_be_leads_nowhere():
    root = merkle.root(LEAVES[:3])
    path = merkle.proof(LEAVES[:3], 0)
    assert not leads_to(root, LEAVES[0], 1, 3, path)
    assert not leads_to(root, LEAVES[0], -1, 3, path)
    assert not leads_to(root, LEAVES[0], 3, 3, path)
    assert not leads_to(root, "not hex", 0, 3, path)
    assert not leads_to(root, LEAVES[0], 0, 3, ("not hex", *path[1:]))


def test_a_tree_of_three_by_hand():
    def node(*parts):
        return hashlib.sha256(b"".join(parts)).digest()

    leaves = [node(b"\x00", bytes.fromhex(leaf)) for leaf in LEAVES[:3]]
    root = node(b"\x01", node(b"\x01", leaves[0], leaves[1]), leaves[2]).hex()
    assert leads_to(root, LEAVES[2], 2, 3, (node(b"\x01", leaves[0], leaves[1]).hex(),))
