"""What the store on GPUs uses of PyTorch, done by numpy: same widths, same wrap-around, same shifts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np


class Tensor:
    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    @staticmethod
    def _raw(other: Any) -> Any:
        return other.values if isinstance(other, Tensor) else np.int32(other)

    def _with(self, work: Any, other: Any) -> Tensor:
        with np.errstate(over="ignore"):
            return Tensor(work(self.values, self._raw(other)))

    def __add__(self, other: Any) -> Tensor:
        return self._with(np.add, other)

    def __mul__(self, other: Any) -> Tensor:
        return self._with(np.multiply, other)

    def __xor__(self, other: Any) -> Tensor:
        return self._with(np.bitwise_xor, other)

    def __and__(self, other: Any) -> Tensor:
        return self._with(np.bitwise_and, other)

    def __or__(self, other: Any) -> Tensor:
        return self._with(np.bitwise_or, other)

    def __rshift__(self, other: Any) -> Tensor:
        return self._with(np.right_shift, other)

    def __lshift__(self, other: Any) -> Tensor:
        return self._with(np.left_shift, other)

    def __getitem__(self, key: Any) -> Tensor:
        return Tensor(self.values[key])

    def __setitem__(self, key: Any, other: Tensor) -> None:
        self.values[key] = other.values

    def repeat(self, rows: int, columns: int) -> Tensor:
        return Tensor(np.tile(self.values, (rows, columns)))

    def reshape(self, *shape: int) -> Tensor:
        return Tensor(self.values.reshape(shape))

    def view(self, kind: Any) -> Tensor:
        return Tensor(self.values.view(kind))

    def contiguous(self) -> Tensor:
        return Tensor(np.ascontiguousarray(self.values))

    def to(self, device: str) -> Tensor:
        return self

    def t(self) -> Tensor:
        return Tensor(self.values.T)

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> np.ndarray:
        return self.values


def _int_mm(left: Tensor, right: Tensor) -> Tensor:
    return Tensor(left.values.astype(np.int32) @ right.values.astype(np.int32))


def _empty(shape: tuple[int, int], dtype: Any, device: str) -> Tensor:
    return Tensor(np.empty(shape, dtype))


def _arange(*bounds: int, dtype: Any, device: str) -> Tensor:
    return Tensor(np.arange(*bounds, dtype=dtype))


STAND_IN = SimpleNamespace(
    int8=np.int8,
    int32=np.int32,
    empty=_empty,
    arange=_arange,
    from_numpy=Tensor,
    _int_mm=_int_mm,
)
