"""Many records at once, from columns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import repeat
from typing import Any, TypeVar

Record = TypeVar("Record")


def records(kind: type[Record], number: int, /, **columns: Iterable[Any]) -> list[Record]:
    """So many records of a frozen class with slots, a column a field; as so many calls, in a third of the time."""
    made = list(map(object.__new__, repeat(kind, number)))
    for name, values in columns.items():
        deque(map(getattr(kind, name).__set__, made, values), maxlen=0)
    return made
