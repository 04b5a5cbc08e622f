"""Checks of what a chain holds, without the extra that posts there: a leaf of rewards leads to its root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sunward.verification.keccak import keccak256

WORD_HEX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardLeaf:
    """A leaf with all it is bound to."""

    chain_id: int
    contract: str
    epoch: int
    address: str
    cumulative_wei: int
    salt: str


def leaf_leads_to(root: str, leaf: RewardLeaf, proof: Sequence[str]) -> bool:
    """Whether a leaf stands under a root, both hashes hex without `0x`; nonsense in either is a no."""
    try:
        here = keccak256(keccak256(bytes.fromhex(_fields(leaf))))
        steps = [bytes.fromhex(step) for step in proof]
    except ValueError:
        return False
    for step in steps:
        first, second = sorted((here, step))
        here = keccak256(first + second)
    return here.hex() == root


def _fields(leaf: RewardLeaf) -> str:
    """The leaf's ABI encoding, hex.

    Raises: ValueError for what has no such encoding.
    """
    numbers = f"{leaf.chain_id:064x}", f"{leaf.epoch:064x}", f"{leaf.cumulative_wei:064x}"
    chain_id, epoch, wei = numbers
    contract, address = (text.removeprefix("0x").rjust(WORD_HEX, "0") for text in (leaf.contract, leaf.address))
    told = [chain_id, contract, epoch, address, wei, leaf.salt]
    if any(len(one) != WORD_HEX for one in told):
        raise ValueError("a field of the leaf is no word of 32 bytes")
    return "".join(told)
