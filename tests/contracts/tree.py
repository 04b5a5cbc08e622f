"""Leaves and trees of the distributor, written from the specification alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eth_abi import encode
from eth_utils import keccak

CHAIN_ID = 31337
LEAF = ("uint256", "address", "uint256", "address", "uint256", "bytes32")


@dataclass(frozen=True)
class Leaf:
    """What an owner earned up to an epoch, at a contract on a chain."""

    contract: str
    epoch: int
    owner: str
    cumulative_wei: int
    chain_id: int = CHAIN_ID
    salt: bytes = b"\x07" * 32

    def inner(self) -> bytes:
        """The leaf hashed once."""
        fields = (self.chain_id, self.contract, self.epoch, self.owner, self.cumulative_wei, self.salt)
        return keccak(encode(LEAF, fields))

    def node(self) -> bytes:
        """The leaf as it stands in the tree."""
        return keccak(self.inner())

    def at(self, epoch: int, cumulative_wei: int) -> Leaf:
        """The same owner's leaf of another epoch."""
        return replace(self, epoch=epoch, cumulative_wei=cumulative_wei)


class Tree:
    """A tree over nodes in the order given; who has no sibling rises as it is."""

    def __init__(self, nodes: list[bytes]) -> None:
        self.rows = [nodes]
        while len(self.rows[-1]) > 1:
            row = self.rows[-1]
            pairs = [pair(*row[i : i + 2]) if i + 1 < len(row) else row[i] for i in range(0, len(row), 2)]
            self.rows.append(pairs)

    @property
    def root(self) -> bytes:
        """The hash over everything."""
        return self.rows[-1][0]

    def proof(self, index: int) -> list[bytes]:
        """The siblings from a leaf to the root."""
        found: list[bytes] = []
        for row in self.rows[:-1]:
            if index ^ 1 < len(row):
                found.append(row[index ^ 1])
            index //= 2
        return found


def pair(left: bytes, right: bytes) -> bytes:
    """The hash of two nodes, which does not depend on their order."""
    return keccak(min(left, right) + max(left, right))
