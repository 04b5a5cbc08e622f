"""The challenged side: makes the store, computes the products, commits to them, and opens what is asked for.

Written from docs/challenges.md, apart from the side that checks it (`sunward.verification.challenge`).
"""

from __future__ import annotations

import base64
import hashlib

import numpy as np
from numpy.typing import NDArray

from sunward.agent.challenge_store import Cells, Entries, Store
from sunward.metering import merkle
from sunward.model.challenge import ChallengeSize, Opening

MATRIX = b"sunward-challenge-matrix/1\n"
QUESTION = b"sunward-challenge-question/1\n"
NUMBER_BYTES = 8
SIX_BITS = 63
Doubles = NDArray[np.float64]


class Prover:
    """One answer to one challenge; what it keeps beside the store are hashes."""

    def __init__(self, size: ChallengeSize, store: Store) -> None:
        self._size = size
        self._store = store
        self._nonce = b""
        self._roots: list[str] = []
        self._leaves: list[list[str]] = []

    def fill(self) -> None:
        """Make the store. Raises: SourceError."""
        self._store.fill()

    def commit(self, nonce: bytes) -> tuple[str, ...]:
        """The root of every product; each round starts from the root of the one before."""
        self._nonce, self._roots, self._leaves = nonce, [], []
        for number in range(self._size.rounds):
            leaves = self._hashed(self._store.times(self._matrix(number)))
            self._leaves.append(leaves)
            self._roots.append(merkle.root(leaves))
        return tuple(self._roots)

    def answer(self, question: bytes) -> tuple[Opening, ...]:
        """What a question asks to be opened: those rows are computed once more, which costs less than keeping all."""
        rounds, rows = self._asked(question)
        leaves = sorted({row // self._size.leaf_rows for row in rows})
        wanted = [row for leaf in leaves for row in self._rows_of(leaf)]
        stored = self._store.rows(wanted).astype(np.float64)
        return tuple(one for number in rounds for one in self._openings(number, leaves, stored))

    def _openings(self, number: int, leaves: list[int], stored: Doubles) -> list[Opening]:
        # A double holds integers of 53 bits, so this product is exact as well.
        cells = (stored @ self._matrix(number).astype(np.float64)).astype("<i4")
        found, start = [], 0
        for leaf, path in zip(leaves, merkle.proofs(self._leaves[number], leaves), strict=True):
            end = start + len(self._rows_of(leaf))
            text = base64.b64encode(cells[start:end].tobytes()).decode()
            found.append(Opening(round=number, leaf=leaf, cells=text, path=path))
            start = end
        return found

    def _rows_of(self, leaf: int) -> range:
        first = leaf * self._size.leaf_rows
        return range(first, min(first + self._size.leaf_rows, self._size.rows))

    def _matrix(self, number: int) -> Entries:
        before = bytes.fromhex(self._roots[number - 1]) if number else b""
        told = MATRIX + self._nonce + number.to_bytes(NUMBER_BYTES, "big") + before
        raw = hashlib.shake_128(told).digest(self._size.width * self._size.columns)
        bits = (np.frombuffer(raw, np.uint8) & SIX_BITS).astype(np.int8) - np.int8(32)
        return bits.reshape(self._size.width, self._size.columns)

    def _hashed(self, product: Cells) -> list[str]:
        """The leaves of a product: SHA-256 of some rows each."""
        raw = memoryview(product.astype("<i4").tobytes())
        step = self._size.leaf_rows * self._size.columns * product.itemsize
        return [hashlib.sha256(raw[start : start + step]).hexdigest() for start in range(0, len(raw), step)]

    def _asked(self, question: bytes) -> tuple[list[int], list[int]]:
        """Rounds and rows that follow from a question; its vector is the other side's business."""
        size = self._size
        cells = size.columns + 2 * size.rounds_opened + 2 * size.rows_opened
        raw = hashlib.shake_256(QUESTION + question).digest(NUMBER_BYTES * cells)
        drawn = [int.from_bytes(raw[at : at + NUMBER_BYTES], "little") for at in range(0, len(raw), NUMBER_BYTES)]
        drawn = drawn[size.columns :]
        before = size.rounds - 1
        rounds = list(dict.fromkeys(one % before for one in drawn[: 2 * size.rounds_opened])) if before else []
        rows = list(dict.fromkeys(one % size.rows for one in drawn[2 * size.rounds_opened :]))
        return [*sorted(rounds[: size.rounds_opened - 1]), before], sorted(rows[: size.rows_opened])
