"""Whose job is next: tenants take turns by weighted fair share where the operator has set weights.

The tenant that holds the least container time for its weight is next (progressive filling), the name deciding between
equals; inside a tenant the order stays what it was. Where nothing is scarce every job gets what it would have had in
any order, so the turns change nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from math import lcm
from typing import TypeVar

from sunward.model.plan import Segment

J = TypeVar("J")

WEIGHT_UNNAMED = 1
"""Of a tenant that the operator gave none."""


class Shares:
    """The container time that each tenant holds; exact integers, changed in place as options are taken and given."""

    __slots__ = ("_common", "_held_ms", "_weights", "set")

    def __init__(self, weights: Iterable[tuple[str, int]]) -> None:
        self._weights = dict(weights)
        self._common = lcm(*self._weights.values())
        self._held_ms: dict[str, int] = {}
        self.set = bool(self._weights)
        """Whether tenants take turns at all."""

    def add(self, tenant: str, container_ms: int) -> None:
        """Count what a tenant takes, or gives back."""
        self._held_ms[tenant] = self._held_ms.get(tenant, 0) + container_ms

    def copy(self) -> Shares:
        """The same as it is now, to go on or back from."""
        other = Shares(self._weights.items())
        other._held_ms = dict(self._held_ms)
        return other

    def served(self, tenant: str) -> int:
        """What a tenant holds for its weight: comparable between tenants, and nothing else."""
        return self._held_ms.get(tenant, 0) * (self._common // self._weights.get(tenant, WEIGHT_UNNAMED))

    def may_displace(self, tenant: str, other: str) -> bool:
        """Whether a tenant's job may push another's aside: never one of a tenant that holds less for its weight."""
        return not self.set or tenant == other or self.served(tenant) < self.served(other)

    def turns(self, order: Iterable[J], tenant_of: Callable[[J], str]) -> Iterator[J]:
        """Jobs as their tenants' turns come; what each takes is to be counted before the next one is asked for."""
        if not self.set:
            yield from order
            return
        queues: dict[str, deque[J]] = {}
        for job in order:
            queues.setdefault(tenant_of(job), deque()).append(job)
        while queues:
            tenant = min(queues, key=lambda one: (self.served(one), one))
            yield queues[tenant].popleft()
            if not queues[tenant]:
                del queues[tenant]


def container_ms(segments: Iterable[Segment], now_ms: int) -> int:
    """Container time that segments still hold."""
    return sum(one.containers * max(0, one.end_ms - max(one.start_ms, now_ms)) for one in segments)
