"""Which container does what: the agent's own book of its devices, from leases and reported power states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sunward.errors import InvariantError
from sunward.model.hardware import PowerState, WorkClass
from sunward.model.identity import PoolId
from sunward.model.site import LeaseOrder, PoolPower


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What one device does from some moment on."""

    state: PowerState
    lease: str = ""
    work_class: WorkClass = WorkClass.GENERIC
    power_cap_w: int = 0


ASLEEP = DeviceState(PowerState.ASLEEP)
IDLE = DeviceState(PowerState.IDLE)
WAKING = DeviceState(PowerState.WAKING)
_RANK = {PowerState.BUSY: 0, PowerState.DRAINING: 0, PowerState.IDLE: 1, PowerState.WAKING: 2, PowerState.ASLEEP: 3}


class DeviceBook:
    """Devices by pool. A leased device is busy; the other awake ones are those that were awake before, then the first.

    A PowerSwitch counts containers; the book names them, always the same way for the same history.
    """

    def __init__(self, pools: Mapping[str, tuple[str, ...]], cap_w: int = 0) -> None:
        """`cap_w`: the owner's own limit of a leased device, 0 = none."""
        self._pools = dict(pools)
        self._cap_w = cap_w
        self._kept: frozenset[str] = frozenset()
        self.states: dict[str, DeviceState] = {device: ASLEEP for devices in pools.values() for device in devices}

    def update(self, powers: Iterable[PoolPower]) -> None:
        """Take the containers' power states as a PowerSwitch counts them."""
        for power in powers:
            unleased = [device for device in self._pools[power.pool] if not self.states[device].lease]
            leased = len(self._pools[power.pool]) - len(unleased)
            # What the owner keeps is named awake first: it is the owner who uses it.
            unleased.sort(key=lambda device: (device not in self._kept, _RANK[self.states[device].state]))
            idle = max(0, power.idle - leased)
            waking = max(0, power.waking - max(0, leased - power.idle))
            named = [IDLE] * idle + [WAKING] * waking
            named += [ASLEEP] * (len(unleased) - len(named))
            self.states.update(zip(unleased, named, strict=True))

    def lease(self, order: LeaseOrder) -> tuple[str, ...]:
        """Give awake, free devices of its pool to a lease; empty when there are not enough."""
        open_ = [device for device in self._pools.get(order.pool, ()) if device not in self._kept]
        free = [device for device in open_ if self.states[device].state == PowerState.IDLE]
        if len(free) < order.gpus:
            return ()
        given = tuple(free[: order.gpus])
        busy = DeviceState(PowerState.BUSY, order.lease, order.work_class, self._lower(order.power_cap_w))
        self.states.update(dict.fromkeys(given, busy))
        return given

    def recap(self, devices: Iterable[str], power_cap_w: int) -> None:
        """Take another power limit for devices that are leased."""
        for device in devices:
            self.states[device] = replace(self.states[device], power_cap_w=self._lower(power_cap_w))

    def _lower(self, power_cap_w: int) -> int:
        """The lower of the plan's and the owner's limit; 0 = none."""
        return min((cap_w for cap_w in (power_cap_w, self._cap_w) if cap_w), default=0)

    def keep(self, devices: Iterable[str]) -> None:
        """Take the devices that the owner keeps now; they are leased no more until they are left out again."""
        self._kept = frozenset(devices)

    def room(self, pool: str) -> int:
        """Containers of a pool that are neither leased nor kept, awake or not."""
        return len(self.spare(pool))

    def spare(self, pool: str) -> tuple[str, ...]:
        """The devices of those containers."""
        of_pool = self._pools.get(pool, ())
        return tuple(one for one in of_pool if not self.states[one].lease and one not in self._kept)

    def drain(self, devices: Iterable[str]) -> None:
        """Note that the lease of these devices is about to end."""
        for device in devices:
            before = self.states[device]
            if not before.lease:
                raise InvariantError(f"device {device} drains without a lease")
            self.states[device] = DeviceState(PowerState.DRAINING, before.lease, before.work_class, before.power_cap_w)

    def release(self, devices: Iterable[str]) -> None:
        """Take devices back from a lease; they are awake and idle."""
        self.states.update(dict.fromkeys(devices, IDLE))

    def busy(self, pool: str) -> int:
        """Containers of a pool that hold a lease; they must not be put to sleep."""
        return sum(bool(self.states[device].lease) for device in self._pools[pool])

    def powers(self) -> tuple[PoolPower, ...]:
        """Containers by power state, with the busy ones told apart."""
        return tuple(self._power(pool, devices) for pool, devices in self._pools.items())

    def host_state(self) -> PowerState:
        """What the machine around the devices does: as much as its busiest device."""
        return min((state.state for state in self.states.values()), key=_RANK.__getitem__, default=PowerState.IDLE)

    def _power(self, pool: str, devices: tuple[str, ...]) -> PoolPower:
        states = [self.states[device] for device in devices]
        busy = sum(bool(state.lease) for state in states)
        return PoolPower(
            pool=PoolId(pool),
            asleep=states.count(ASLEEP),
            waking=states.count(WAKING),
            idle=states.count(IDLE),
            busy=busy,
            withheld=sum(device in self._kept for device in devices),
        )
