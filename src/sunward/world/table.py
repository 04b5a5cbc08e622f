"""A table as a struct of arrays: int64 columns, object columns, one row per identifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sunward.errors import InvariantError

FIRST_ROWS = 64


class Table:
    """Columns grow together; the row of a removed identifier is given to a later one.

    Rows are handed out in a fixed order, so equal histories give equal tables.
    """

    __slots__ = ("free", "ids", "ints", "objects", "row_of", "size")

    def __init__(self, ints: Sequence[str], objects: Sequence[str]) -> None:
        self.ints: dict[str, NDArray[np.int64]] = {name: np.zeros(FIRST_ROWS, np.int64) for name in ints}
        self.objects: dict[str, list[Any]] = {name: [] for name in objects}
        self.ids: list[str | None] = []
        self.row_of: dict[str, int] = {}
        self.free: list[int] = []
        self.size = FIRST_ROWS

    def __len__(self) -> int:
        return len(self.row_of)

    def __contains__(self, key: str) -> bool:
        return key in self.row_of

    def __iter__(self) -> Iterator[str]:
        """Identifiers in alphabetical order, which no history of rows can change."""
        return iter(sorted(self.row_of))

    def add(self, key: str) -> int:
        """A cleared row for a new identifier."""
        if key in self.row_of:
            raise InvariantError(f"{key} is already in the table")
        if self.free:
            row = self.free.pop()
            self.ids[row] = key
        else:
            row = len(self.ids)
            self.reserve(row + 1)
            self.ids.append(key)
            for cells in self.objects.values():
                cells.append(None)
        self.row_of[key] = row
        return row

    def add_many(self, keys: Sequence[str]) -> list[int]:
        """Cleared rows for many new identifiers: free ones first, then new ones at the end of the table."""
        reused = [self.free.pop() for _ in range(min(len(self.free), len(keys)))]
        first = len(self.ids)
        rows = [*reused, *range(first, first + len(keys) - len(reused))]
        self.reserve(first + len(keys) - len(reused))
        for row, key in zip(reused, keys, strict=False):
            self.ids[row] = key
        self.ids.extend(keys[len(reused) :])
        self.row_of.update(zip(keys, rows, strict=True))
        if len(self.row_of) + len(self.free) != len(self.ids):
            raise InvariantError("an identifier of the batch is already in the table")
        for cells in self.objects.values():
            cells.extend([None] * (len(keys) - len(reused)))
        return rows

    def remove(self, key: str) -> None:
        """Forget an identifier and all that is kept of it; its row becomes free."""
        row = self.row_of.pop(key)
        self.ids[row] = None
        for column in self.ints.values():
            column[row] = 0
        for cells in self.objects.values():
            cells[row] = None
        self.free.append(row)

    def reserve(self, rows: int) -> None:
        """Make room for a number of rows."""
        if rows <= self.size:
            return
        size = max(rows, 2 * self.size)
        for name, column in self.ints.items():
            grown = np.zeros(size, np.int64)
            grown[: self.size] = column
            self.ints[name] = grown
        self.size = size

    def rows(self, keys: Iterable[str]) -> list[int]:
        """Rows of identifiers."""
        return [self.row_of[key] for key in keys]

    def dump(self) -> dict[str, Any]:
        """The table as plain values: bytes per int column, lists per object column."""
        used = len(self.ids)
        return {
            "ids": self.ids,
            "free": self.free,
            "ints": {name: column[:used].tobytes() for name, column in self.ints.items()},
            "objects": self.objects,
        }

    def load(self, record: Mapping[str, Any]) -> None:
        """Take the content of a dump."""
        self.ids = list(record["ids"])
        self.free = list(record["free"])
        self.row_of = {key: row for row, key in enumerate(self.ids) if key is not None}
        self.size = max(FIRST_ROWS, len(self.ids))
        for name in self.ints:
            column = np.zeros(self.size, np.int64)
            column[: len(self.ids)] = np.frombuffer(record["ints"][name], np.int64)
            self.ints[name] = column
        self.objects = {name: list(record["objects"][name]) for name in self.objects}
