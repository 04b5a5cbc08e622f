"""Where a challenged device keeps its store and multiplies it: on the processor, or on GPUs through PyTorch.

Integers only, so that every device gives the same bits. Entries of the store have eight bits, those of a round's matrix
six, so that parts of 4,096 products add up exactly in 32-bit floats too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sunward.errors import InputError, SourceError
from sunward.model.challenge import WORD_BYTES, ChallengeSize

NO_DEVICE = "SW-771"
STORE = b"sunward-challenge-store/1\n"
MULTIPLIER = 0x9E3779B1
EXACT_WIDTH = 4_096
"""Products of 13 bits that add up below 2**24, the integers that a 32-bit float holds."""
BLOCK_BYTES = 1 << 26
"""Rows are made and multiplied in blocks of about this size."""
CACHE_BYTES = 1 << 17
KEYS = 8

Cells = NDArray[np.int32]
Entries = NDArray[np.int8]


class Store(Protocol):
    """The memory that a challenge fills."""

    def fill(self) -> None:
        """Make every row. Raises: SourceError when the memory is not there."""

    def times(self, matrix: Entries) -> Cells:
        """The product of the whole store with a matrix, rows by columns."""

    def rows(self, wanted: Sequence[int]) -> Entries:
        """Some rows as they lie in the store."""


def keys_of(seed: bytes) -> list[int]:
    """What the steps that make a word are keyed with."""
    return np.frombuffer(hashlib.sha256(STORE + seed).digest(), "<u4").tolist()  # type: ignore[no-any-return]


class ProcessorStore:
    """The store in the machine's own memory; what it computes is what a GPU computes, only later."""

    def __init__(self, seed: bytes, size: ChallengeSize) -> None:
        self._keys = [np.uint32(key) for key in keys_of(seed)]
        self._size = size
        self._store: Entries = np.empty((0, 0), np.int8)

    def fill(self) -> None:
        """Make every row, a few at a time: they stay in the processor's cache meanwhile."""
        try:
            self._store = np.empty((self._size.rows, self._size.width), np.int8)
        except MemoryError:
            raise SourceError(f"{self._size.bytes} bytes of memory are not there", code=NO_DEVICE) from None
        block = max(1, CACHE_BYTES // self._size.width)
        for start in range(0, self._size.rows, block):
            end = min(start + block, self._size.rows)
            self._store[start:end] = self._made(start, end)

    def _made(self, start: int, end: int) -> Entries:
        words = self._size.width // WORD_BYTES
        right = np.tile(np.arange(words, dtype=np.uint32), (end - start, 1))
        left = np.repeat(np.arange(start, end, dtype=np.uint32)[:, None], words, axis=1)
        held = np.empty_like(right)
        for step in range(self._size.mixing):
            np.bitwise_xor(right, self._keys[step % KEYS], out=held)
            left += held
            left += np.uint32(step)
            left *= np.uint32(MULTIPLIER)
            np.right_shift(left, np.uint32(15), out=held)
            left ^= held
            np.right_shift(right, np.uint32(19), out=held)
            right <<= np.uint32(13)
            right |= held
            right += left
        left ^= right
        return left.astype("<u4").view(np.int8)

    def times(self, matrix: Entries) -> Cells:
        """Products of parts in floats, which are exact at that width, added up as integers."""
        size = self._size
        product = np.zeros((size.rows, matrix.shape[1]), np.int32)
        block = max(1, BLOCK_BYTES // (EXACT_WIDTH * WORD_BYTES))
        for start in range(0, size.width, EXACT_WIDTH):
            part = matrix[start : start + EXACT_WIDTH].astype(np.float32)
            for row in range(0, size.rows, block):
                left = self._store[row : row + block, start : start + EXACT_WIDTH].astype(np.float32)
                product[row : row + block] += (left @ part).astype(np.int32)
        return product

    def rows(self, wanted: Sequence[int]) -> Entries:
        """Some rows as they lie in the store."""
        return self._store[list(wanted)]


class TorchStore:
    """The store on GPUs, its rows shared out among them. Run on a stand-in for PyTorch only, never yet on a GPU."""

    def __init__(self, seed: bytes, size: ChallengeSize, devices: Sequence[str], torch: Any) -> None:  # noqa: ANN401
        self._torch = torch
        self._keys = [_signed(key) for key in keys_of(seed)]
        self._size = size
        share = -(-size.rows // len(devices))
        self._parts = [
            (start, min(start + share, size.rows), device)
            for start, device in zip(range(0, size.rows, share), devices, strict=False)
        ]
        self._stores: list[Any] = []

    def fill(self) -> None:
        """Make every row on its device, in blocks."""
        torch, size = self._torch, self._size
        block = max(1, BLOCK_BYTES // size.width)
        try:
            for start, end, device in self._parts:
                store = torch.empty((end - start, size.width), dtype=torch.int8, device=device)
                self._stores.append(store)
                for row in range(start, end, block):
                    last = min(row + block, end)
                    store[row - start : last - start] = self._block(row, last, device)
        except RuntimeError as reason:
            # PyTorch's own error for memory that is not there is one of these.
            raise SourceError(f"the store cannot be made: {reason}", code=NO_DEVICE) from None

    def _block(self, start: int, end: int, device: str) -> Any:  # noqa: ANN401
        torch, words = self._torch, self._size.width // WORD_BYTES
        right = torch.arange(words, dtype=torch.int32, device=device).repeat(end - start, 1)
        left = torch.arange(start, end, dtype=torch.int32, device=device).reshape(-1, 1).repeat(1, words)
        for step in range(self._size.mixing):
            # 32-bit integers wrap; what a shift to the right drags in of the sign is masked away.
            left = (left + (right ^ self._keys[step % KEYS]) + step) * _signed(MULTIPLIER)
            left ^= (left >> 15) & 0x1FFFF
            right = ((right << 13) | ((right >> 19) & 0x1FFF)) + left
        return (left ^ right).contiguous().view(torch.int8)

    def times(self, matrix: Entries) -> Cells:
        """Eight-bit products added up in 32-bit integers, on all devices at once."""
        torch = self._torch
        parts = []
        for store, (_, _, device) in zip(self._stores, self._parts, strict=True):
            # Matrix units take the second factor column by column.
            right = torch.from_numpy(np.ascontiguousarray(matrix.T)).to(device).t()
            parts.append(torch._int_mm(store, right))  # noqa: SLF001  the one integer product that PyTorch has
        return np.concatenate([part.cpu().numpy() for part in parts])

    def rows(self, wanted: Sequence[int]) -> Entries:
        """Some rows as they lie in the store."""
        found = np.empty((len(wanted), self._size.width), np.int8)
        for store, (start, end, _) in zip(self._stores, self._parts, strict=True):
            for place, row in enumerate(wanted):
                if start <= row < end:
                    found[place] = store[row - start].cpu().numpy()
        return found


def _signed(word: int) -> int:
    """An unsigned 32-bit integer as the signed one of the same bits."""
    return word - (1 << 32) if word >= 1 << 31 else word


def gpu_store(seed: bytes, size: ChallengeSize, containers: int) -> Store:
    """The store on the first GPUs that CUDA names.

    Raises: SourceError when PyTorch or so many GPUs are not there.
    """
    if find_spec("torch") is None:
        raise SourceError("a challenge needs PyTorch with CUDA here; install it", transient=False, code=NO_DEVICE)
    import torch  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  large, and only for this

    found = torch.cuda.device_count()
    if found < containers:
        raise SourceError(f"{containers} GPUs are challenged, CUDA names {found}", transient=False, code=NO_DEVICE)
    return TorchStore(seed, size, [f"cuda:{number}" for number in range(containers)], torch)


def processor_store(seed: bytes, size: ChallengeSize, containers: int) -> Store:
    """The store in the machine's memory, for tests and for small sizes."""
    del containers
    return ProcessorStore(seed, size)


STORES: dict[str, Callable[[bytes, ChallengeSize, int], Store]] = {"gpu": gpu_store, "processor": processor_store}


def store_for(kind: str, seed: bytes, size: ChallengeSize, containers: int) -> Store:
    """The store of a kind. Raises: InputError for an unknown kind or a size that cannot be computed."""
    size.check()
    if kind not in STORES:
        raise InputError(f"a challenge runs on one of {', '.join(sorted(STORES))}, not {kind}", code=NO_DEVICE)
    return STORES[kind](seed, size, containers)
