"""What the distributor on a chain pays out by: a leaf for each wallet, and the Merkle tree over them.

Formats are those of `RewardDistributor` (docs/chain.md): hashes are keccak-256, amounts are cumulative, and a leaf is
bound to chain, contract and epoch. Needs the extra `chain`; who only checks a leaf needs `verification.onchain`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eth_hash.auto import keccak

from sunward.errors import InputError

WORD_BYTES = 32
ADDRESS_DIGITS = 40
NO_ROOT = keccak(b"")
"""Root over no leaves at all: no claim leads to it, and the budget of an epoch counts by it all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What one wallet may have claimed in all, up to an epoch."""

    address: str
    cumulative_wei: int
    salt: str
    """32 bytes, hex; it follows from the journal, so that anybody can make it again."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """The leaves of one epoch in order of address, and every level of the tree over them."""

    leaves: tuple[Leaf, ...]
    levels: tuple[tuple[bytes, ...], ...]

    @property
    def root(self) -> bytes:
        """What is posted."""
        return self.levels[-1][0] if self.leaves else NO_ROOT

    @property
    def total_wei(self) -> int:
        """Sum of all leaves: what was ever earned by wallets."""
        return sum(leaf.cumulative_wei for leaf in self.leaves)

    def proof(self, index: int) -> tuple[bytes, ...]:
        """The siblings on the way from a leaf to the root, the nearest first.

        Raises: IndexError when there is no such leaf.
        """
        if not 0 <= index < len(self.leaves):
            raise IndexError(f"leaf {index} of {len(self.leaves)}")
        path = []
        for level in self.levels[:-1]:
            sibling = index ^ 1
            # The last node of an odd level rises unchanged, so it has no sibling to name.
            if sibling < len(level):
                path.append(level[sibling])
            index //= 2
        return tuple(path)


def distribution(
    chain_id: int, contract: str, epoch: int, journal_head: str, cumulative: Mapping[str, int]
) -> Distribution:
    """The tree of an epoch over what each wallet earned so far, wei; wallets that earned nothing have no leaf.

    `journal_head`: hash of the record that closed the epoch.
    Raises: InputError when an address is none or an amount is negative.
    """
    earned = {address: wei for address, wei in sorted(cumulative.items()) if wei}
    salts = {address: salt_of(journal_head, epoch, address) for address in earned}
    bound = word(chain_id) + address_word(contract) + word(epoch)
    hashes = tuple(
        keccak(keccak(bound + address_word(address) + word(wei) + salts[address])) for address, wei in earned.items()
    )
    leaves = tuple(
        Leaf(address=address, cumulative_wei=wei, salt=salts[address].hex()) for address, wei in earned.items()
    )
    return Distribution(leaves, _levels(hashes))


def salt_of(journal_head: str, epoch: int, address: str) -> bytes:
    """The salt of a leaf: no secret, and known to nobody before the epoch is closed."""
    return hashlib.sha256(f"sunward-leaf/1\n{journal_head}\n{epoch}\n{address}\n".encode()).digest()


def word(number: int) -> bytes:
    """A uint256 as the ABI writes it.

    Raises: InputError for a number that is none.
    """
    try:
        return number.to_bytes(WORD_BYTES, "big")
    except OverflowError:
        raise InputError(f"{number} is no unsigned integer of 256 bits", code="SW-820") from None


def address_word(address: str) -> bytes:
    """An address, `0x` and 40 lower-case hex digits, as the ABI writes it.

    Raises: InputError for text that is none.
    """
    digits = address.removeprefix("0x")
    if len(digits) != ADDRESS_DIGITS or len(address) != ADDRESS_DIGITS + 2 or set(digits) - set("0123456789abcdef"):
        raise InputError(f"{address} is no address; write 0x and 40 hex digits in lower case", code="SW-820")
    return bytes.fromhex(digits).rjust(WORD_BYTES, b"\0")


def _levels(hashes: Sequence[bytes]) -> tuple[tuple[bytes, ...], ...]:
    """All levels, leaves first; a pair is hashed in the order of its values, so a proof needs no sides."""
    level = tuple(hashes)
    levels = [level]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        odd = level[-1:] if len(level) % 2 else ()
        level = tuple(keccak(min(pair) + max(pair)) for pair in pairs) + odd
        levels.append(level)
    return tuple(levels)
