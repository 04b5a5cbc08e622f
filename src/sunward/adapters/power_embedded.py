"""A modelled PowerSwitch: containers that wake after a latency in grid time and sleep at once."""

from __future__ import annotations

from collections.abc import Mapping

from sunward.errors import InputError
from sunward.model.identity import PoolId
from sunward.model.site import WAKE_S, PoolPower
from sunward.units import SECOND_MS


class ModelledPowerSwitch:
    """Power states as a function of the moment and of what was asked before; nothing is switched.

    It does not know leases: an awake container counts as idle here, and whoever holds leases tells which are busy.
    """

    def __init__(self, pools: Mapping[str, int], wake_ms: int = WAKE_S * SECOND_MS, *, sleeps: bool = True) -> None:
        """`pools`: containers that exist per pool, all asleep at first. Without `sleeps` all are always idle."""
        self._exist = dict(pools)
        self._sleeps = sleeps
        self._wake_ms = wake_ms
        self._ready_ms: dict[str, list[int]] = {pool: [] for pool in pools}

    def set_awake(self, pool: str, count: int, at_ms: int) -> None:
        """Ask for a number of awake containers; fewer means that the last woken sleep first.

        Raises: InputError for an unknown pool or a count it does not have.
        """
        if pool not in self._exist:
            raise InputError(f"no pool {pool} here", code="SW-507")
        if not 0 <= count <= self._exist[pool]:
            raise InputError(f"{pool} has {self._exist[pool]} containers, not {count}", code="SW-508")
        ready = self._ready_ms[pool]
        del ready[count:]
        ready += [at_ms + self._wake_ms] * (count - len(ready))

    def states(self, at_ms: int) -> tuple[PoolPower, ...]:
        """Containers by power state now."""
        states = []
        for pool, ready in self._ready_ms.items():
            idle = sum(moment <= at_ms for moment in ready)
            waking, asleep = len(ready) - idle, self._exist[pool] - len(ready)
            if not self._sleeps:
                idle, waking, asleep = self._exist[pool], 0, 0
            states.append(PoolPower(pool=PoolId(pool), asleep=asleep, waking=waking, idle=idle, busy=0))
        return tuple(states)
