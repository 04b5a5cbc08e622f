"""What a challenged device answered, checked from docs/challenges.md alone.

No clock and no chance in here: seeds come in. The store is never made whole, only the rows that were drawn.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sunward.model.challenge import CELL_BYTES, WORD_BYTES, ChallengeSize, Opening
from sunward.verification.merkle import leads_to
from sunward.verification.verdict import Finding

PRIME = (1 << 31) - 1
"""Products are compared modulo this prime: a wrong row passes one time in two thousand million."""
STORE = b"sunward-challenge-store/1\n"
MATRIX = b"sunward-challenge-matrix/1\n"
QUESTION = b"sunward-challenge-question/1\n"
MULTIPLIER = 0x9E3779B1
"""Odd, so that multiplying by it loses nothing."""
FOLD, TURN, WORD_BITS = 15, 13, 32
ENTRY_MASK, ENTRY_HALF = 63, 32
"""Entries of a round's matrix have six bits, with a sign."""
HASH_BYTES = 32

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The vector, and what is to be opened."""

    vector: Integers
    rounds: tuple[int, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """All that was said, and in this order."""

    seed: bytes
    size: ChallengeSize
    nonce: bytes
    roots: tuple[str, ...]
    question: bytes
    openings: tuple[Opening, ...]


def asked(seed: bytes, size: ChallengeSize) -> Asked:
    """What follows from a question's seed; the last round is always among those opened."""
    cells = size.columns + 2 * size.rounds_opened + 2 * size.rows_opened
    drawn = np.frombuffer(hashlib.shake_256(QUESTION + seed).digest(8 * cells), "<u8")
    vector, rounds, rows = np.split(drawn, [size.columns, size.columns + 2 * size.rounds_opened])
    before = _distinct(rounds, size.rounds - 1, size.rounds_opened - 1)
    return Asked(
        vector=(vector % np.uint64(PRIME)).astype(np.int64),
        rounds=(*before, size.rounds - 1),
        rows=_distinct(rows, size.rows, size.rows_opened),
    )


def _distinct(drawn: NDArray[np.uint64], below: int, most: int) -> tuple[int, ...]:
    """The first different numbers drawn, at most so many, in order."""
    return tuple(sorted(list(dict.fromkeys(int(one) % below for one in drawn))[:most])) if below else ()


def judge(told: Transcript) -> tuple[Finding, ...]:
    """Everything that is wrong with an answer; nothing, where every opened row is a row of the right product."""
    size, question = told.size, asked(told.question, told.size)
    if len(told.roots) != size.rounds or not all(_is_hash(root) for root in told.roots):
        return (_finding("challenge_roots", "{found} roots were given where {rounds} products were asked for",
                         found=len(told.roots), rounds=size.rounds),)  # fmt: skip
    given = {(one.round, one.leaf): one for one in told.openings}
    store = {row: store_row(told.seed, row, size) for row in question.rows}
    findings: list[Finding] = []
    for number in question.rounds:
        # A vector in place of the whole matrix: one row then costs its width, not its width times the columns.
        folded = matrix(told.nonce, told.roots, number, size) @ question.vector % PRIME
        for row in question.rows:
            cells = _opened(given.get((number, row // size.leaf_rows)), told.roots[number], number, row, size)
            if isinstance(cells, Finding):
                findings.append(cells)
            elif not _is_product(cells, question.vector, store[row], folded, size):
                line = "row {row} of product {round} is not what the store gives"
                findings.append(_finding("challenge_product", line, row=row, round=number))
    return tuple(findings)


def store_row(seed: bytes, row: int, size: ChallengeSize) -> Integers:
    """One row of the store, made by as many steps as the challenge says."""
    keys = np.frombuffer(hashlib.sha256(STORE + seed).digest(), "<u4")
    second = np.arange(size.width // WORD_BYTES, dtype=np.uint32)
    first = np.full_like(second, row)
    for step in range(size.mixing):
        first = (first + (second ^ keys[step % len(keys)]) + np.uint32(step)) * np.uint32(MULTIPLIER)
        first ^= first >> np.uint32(FOLD)
        second = (second << np.uint32(TURN) | second >> np.uint32(WORD_BITS - TURN)) + first
    return (first ^ second).astype("<u4").view(np.int8).astype(np.int64)


def matrix(nonce: bytes, roots: Sequence[str], number: int, size: ChallengeSize) -> Integers:
    """What the store is multiplied by in a round: it follows from the product of the round before."""
    before = bytes.fromhex(roots[number - 1]) if number else b""
    told = MATRIX + nonce + number.to_bytes(8, "big") + before
    raw = np.frombuffer(hashlib.shake_128(told).digest(size.width * size.columns), np.uint8)
    return (raw & ENTRY_MASK).astype(np.int64).reshape(size.width, size.columns) - ENTRY_HALF


def _opened(one: Opening | None, root: str, number: int, row: int, size: ChallengeSize) -> Integers | Finding:
    """The cells of a row, if what was opened leads to the root."""
    if one is None:
        return _finding("challenge_opening", "row {row} of product {round} was not opened", row=row, round=number)
    leaf = row // size.leaf_rows
    count = min(size.leaf_rows, size.rows - leaf * size.leaf_rows)
    try:
        raw = base64.b64decode(one.cells, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    whole = len(raw) == count * size.columns * CELL_BYTES
    if not whole or not leads_to(root, hashlib.sha256(raw).hexdigest(), leaf, size.leaves, one.path):
        line = "row {row} of product {round} does not lead to the root that was committed to"
        return _finding("challenge_root", line, row=row, round=number)
    cells: Integers = np.frombuffer(raw, "<i4").astype(np.int64).reshape(count, size.columns)[row % size.leaf_rows]
    return cells


def _is_product(cells: Integers, vector: Integers, stored: Integers, folded: Integers, size: ChallengeSize) -> bool:
    """Freivalds' check of one row: (row of C)·r = (row of B)·(A·r), modulo the prime."""
    most = size.width * 128 * ENTRY_HALF
    if int(np.abs(cells).max()) > most:
        return False
    # Terms stay below 2**62, and so do sums over columns or width, by the bounds that a size has.
    left = int((cells % PRIME * vector % PRIME).sum()) % PRIME
    return left == int((stored * folded).sum()) % PRIME


def _is_hash(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == HASH_BYTES
    except ValueError:
        return False


def _finding(key: str, sentence: str, **figures: str | int) -> Finding:
    return Finding(key=key, sentence=sentence, figures=figures)
