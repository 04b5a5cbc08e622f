"""A simulated site: its agent, executor, power switch and meter in virtual time.

It follows orders, reports levels and signs nothing: its readings enter the seal the way accepted ones do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sunward.metering.seal import Hashed
from sunward.model.codec import digest, digest_bytes
from sunward.model.datum import Quality
from sunward.model.hardware import PowerState, WorkClass
from sunward.model.reading import ReadingBatch, Span
from sunward.model.site import LeaseOrder, LeaseReport, Phase, PoolPower, PoolSpec, SiteOrders, SiteSpec
from sunward.units import SECOND_MS, joules
from sunward.world import catalogue, power
from sunward.world.sleeping import sleeps

STOP_MS = 2 * SECOND_MS
"""Grid time a simulated job takes to write its checkpoint and stop."""
UNCERTAINTY_PPM = 50_000


@dataclass(slots=True)
class Run:
    """One attempt at a simulated site."""

    order: LeaseOrder
    devices: tuple[str, ...]
    start_ms: int
    """When it runs: at once on an awake container, otherwise after waking."""
    unit_ms: int = 1
    """What a unit of it really takes here."""
    stop_ms: int | None = None
    phase: str = Phase.ACCEPTED
    changed_ms: int = 0
    units: int = 0
    safe_units: int = 0
    timed_out: bool = False
    paced_ms: int = 0
    """Since when a unit takes what it takes now; 0 = from the start."""
    paced_units: int = 0
    """Units done until then."""

    @property
    def limit_ms(self) -> int | None:
        """When its run time is used up, if it is limited."""
        return self.start_ms + self.order.timeout_ms if self.order.timeout_ms else None

    @property
    def end_ms(self) -> int:
        """When it is done if nothing stops it."""
        since_ms, units = self._paced
        return since_ms + (self.order.units - units) * self.unit_ms

    def units_at(self, at_ms: int) -> int:
        """Units done over all attempts."""
        since_ms, units = self._paced
        return min(self.order.units, units + max(0, at_ms - since_ms) // self.unit_ms)

    @property
    def _paced(self) -> tuple[int, int]:
        return (self.paced_ms, self.paced_units) if self.paced_ms else (self.start_ms, self.order.checkpoint_units)

    def repace(self, order: LeaseOrder, unit_ms: int, at_ms: int) -> None:
        """Go on at another pace; a unit under way counts for nothing."""
        if at_ms > self.start_ms:
            self.paced_units, self.paced_ms = self.units_at(at_ms), at_ms
        self.order, self.unit_ms = order, unit_ms


@dataclass(slots=True)
class Device:
    """A counter with the constant power it has now."""

    name: str
    gpu_model: str
    pool: str
    state: str = PowerState.ASLEEP
    lease: str = ""
    work_class: WorkClass = WorkClass.GENERIC
    power_cap_w: int = 0
    since_ms: int = 0
    counted_j: float = 0.0
    told_j: int = 0
    spans: list[Span] = field(default_factory=list)

    def watts(self) -> float:
        """Board power in the present state; modelled."""
        if self.state == PowerState.ASLEEP:
            return 0.0
        busy = 1.0 if self.state == PowerState.BUSY else 0.0
        gpu = catalogue.load().gpu(self.gpu_model)
        return power.device_power_w(gpu, self.work_class, busy, self.power_cap_w or None)

    def settle(self, at_ms: int) -> None:
        """Close the span up to a moment."""
        if at_ms <= self.since_ms:
            return
        self.counted_j += joules(self.watts(), at_ms - self.since_ms)
        self.spans.append(
            Span(
                device=self.name,
                lease=self.lease,
                state=self.state,
                t0_ms=self.since_ms,
                t1_ms=at_ms,
                start_j=self.told_j,
                end_j=int(self.counted_j),
            )
        )
        self.told_j = int(self.counted_j)
        self.since_ms = at_ms

    def change(self, state: str, lease: str, work_class: WorkClass, at_ms: int, power_cap_w: int = 0) -> None:
        """Take another state from a moment on."""
        self.settle(at_ms)
        self.state, self.lease, self.work_class, self.power_cap_w = state, lease, work_class, power_cap_w


class SimSite:
    """One site of the simulated fleet."""

    def __init__(self, spec: SiteSpec, at_ms: int, true_ms: Mapping[tuple[str, int], int] | None = None) -> None:
        self.spec = spec
        self.true_ms = true_ms or {}
        """What jobs really take on so many reference GPUs, where it is not what they say."""
        self.up = True
        self.boot_number = 1
        self.counter = 0
        self.previous = ""
        self.batch_from_ms = at_ms
        self.runs: dict[str, Run] = {}
        self.awake_at: dict[str, int] = {}
        """When each awake or waking device is ready."""
        self.devices: dict[str, Device] = {
            name: Device(name, pool.gpu_model, pool.pool, since_ms=at_ms)
            for pool in spec.pools
            for name in pool.devices
        }
        self.host_j = 0.0
        self.host_told_j = 0
        self.host_since_ms = at_ms
        self.host_spans: list[Span] = []
        self.unsent: list[Hashed] = []
        self.kept: set[str] = set()
        """Devices that the owner keeps for itself now."""
        self.asleep = False
        """The whole machine sleeps, and its agent with it."""
        self.wake_ms = spec.wake_s * SECOND_MS
        self.can_sleep = sleeps(spec)
        if not self.can_sleep:
            for name, device in self.devices.items():
                self.awake_at[name] = at_ms
                device.state = PowerState.IDLE

    @property
    def boot(self) -> str:
        """Name of the present run of the agent."""
        return f"{self.spec.site}-{self.boot_number}"

    def follow(self, orders: SiteOrders, at_ms: int) -> None:
        """Reconcile towards orders."""
        wanted = {order.lease: order for order in orders.leases}
        for lease in [lease for lease in self.runs if lease not in wanted]:
            self._release(self.runs.pop(lease), at_ms)
        for lease, order in wanted.items():
            run = self.runs.get(lease)
            if run is None and order.action == "run":
                self._accept(order, at_ms)
            elif run is None:
                self.runs[lease] = Run(order, (), at_ms, phase=Phase.SUSPENDED, changed_ms=at_ms)
            elif order.action != "run" and run.stop_ms is None:
                run.stop_ms = at_ms + STOP_MS
            elif order.power_cap_w != run.order.power_cap_w:
                self._recap(run, order, at_ms)
        for awake in orders.awake:
            self._set_awake(awake.pool, awake.count, at_ms)

    def _pool(self, pool: str) -> PoolSpec:
        return next(spec for spec in self.spec.pools if spec.pool == pool)

    def _free(self, pool: str) -> list[str]:
        held = {name for run in self.runs.values() for name in run.devices}
        return [name for name in self._pool(pool).devices if name not in held and name not in self.kept]

    def _wake(self, name: str, at_ms: int) -> int:
        if name not in self.awake_at:
            self.awake_at[name] = at_ms + self.wake_ms
            self._change(name, PowerState.WAKING, "", WorkClass.GENERIC, at_ms)
        return self.awake_at[name]

    def _accept(self, order: LeaseOrder, at_ms: int) -> None:
        free = sorted(self._free(order.pool), key=lambda name: (name not in self.awake_at, name))[: order.gpus]
        if len(free) < order.gpus:
            return
        ready_ms = max([at_ms, *(self._wake(name, at_ms) for name in free)])
        self.runs[order.lease] = Run(
            order,
            tuple(free),
            ready_ms,
            unit_ms=self._unit_ms(order),
            changed_ms=at_ms,
            units=order.checkpoint_units,
            safe_units=order.checkpoint_units,
        )

    def _recap(self, run: Run, order: LeaseOrder, at_ms: int) -> None:
        """Another power limit, and with it another pace."""
        run.repace(replace(order, checkpoint_units=run.order.checkpoint_units), self._unit_ms(order), at_ms)
        if run.phase == Phase.RUNNING:
            for name in run.devices:
                self._change(name, PowerState.BUSY, order.lease, order.work_class, at_ms, order.power_cap_w)

    def _unit_ms(self, order: LeaseOrder) -> int:
        true_ms = self.true_ms.get((order.job, order.gpus))
        if true_ms is None:
            return order.unit_ms_grid
        rate = power.lease_rate(self._pool(order.pool).gpu_model, order.work_class, order.power_cap_w)
        return max(1, round(true_ms / rate / order.units))

    def keep(self, names: Iterable[str], at_ms: int) -> None:
        """The owner takes devices: a job on one goes at once, with no time for a checkpoint."""
        self.kept.update(names)
        for run in self.runs.values():
            if not self.kept.isdisjoint(run.devices):
                run.phase, run.changed_ms = Phase.SUSPENDED, at_ms
                self._release(run, at_ms)

    def give_back(self, names: Iterable[str]) -> None:
        """The owner is done with devices."""
        self.kept.difference_update(names)

    def _set_awake(self, pool: str, count: int, at_ms: int) -> None:
        if not self.can_sleep:
            return
        names = self._pool(pool).devices
        awake = [name for name in names if name in self.awake_at]
        for name in [name for name in names if name not in self.awake_at][: max(0, count - len(awake))]:
            self._wake(name, at_ms)
        idle = [name for name in awake if name in self._free(pool)]
        for name in idle[: max(0, len(awake) - count)]:
            del self.awake_at[name]
            self._change(name, PowerState.ASLEEP, "", WorkClass.GENERIC, at_ms)

    def _release(self, run: Run, at_ms: int) -> None:
        for name in run.devices:
            self._change(name, PowerState.IDLE, "", WorkClass.GENERIC, at_ms)
        run.devices = ()

    def next_change_ms(self, at_ms: int) -> int | None:
        """The next moment at which something happens by itself."""
        moments = [run.start_ms for run in self.runs.values() if run.phase == Phase.ACCEPTED]
        moments += [run.stop_ms for run in self.runs.values() if run.stop_ms is not None and run.devices]
        running = [run for run in self.runs.values() if run.phase == Phase.RUNNING]
        moments += [run.end_ms for run in running]
        moments += [run.limit_ms for run in running if run.limit_ms is not None]
        moments += [ready for name, ready in self.awake_at.items() if self.devices[name].state == PowerState.WAKING]
        return min((max(moment, at_ms) for moment in moments), default=None)

    def step(self, at_ms: int) -> None:
        """Let everything happen that is due by now."""
        for name, ready_ms in self.awake_at.items():
            if self.devices[name].state == PowerState.WAKING and ready_ms <= at_ms:
                self._change(name, PowerState.IDLE, "", WorkClass.GENERIC, at_ms)
        for run in self.runs.values():
            if run.devices:
                self._step_run(run, at_ms)

    def _step_run(self, run: Run, at_ms: int) -> None:
        if run.phase == Phase.ACCEPTED and run.start_ms <= at_ms:
            run.phase, run.changed_ms = Phase.RUNNING, at_ms
            for name in run.devices:
                cap_w = run.order.power_cap_w
                self._change(name, PowerState.BUSY, run.order.lease, run.order.work_class, at_ms, cap_w)
        run.units = max(run.units, run.units_at(at_ms)) if run.phase == Phase.RUNNING else run.units
        if run.phase == Phase.RUNNING and run.end_ms <= at_ms:
            self._end(run, Phase.FINISHED, at_ms)
        elif run.phase == Phase.RUNNING and run.limit_ms is not None and run.limit_ms <= at_ms:
            run.timed_out = True
            self._end(run, Phase.FAILED, at_ms)
        elif run.stop_ms is not None and run.stop_ms <= at_ms:
            self._end(run, Phase.SUSPENDED, at_ms)

    def _end(self, run: Run, phase: str, at_ms: int) -> None:
        run.phase, run.changed_ms = phase, at_ms
        if phase != Phase.FAILED:
            run.safe_units = run.units
        self._release(run, at_ms)

    def fail(self, lease: str, at_ms: int) -> None:
        """The job's process is killed: what came after its last checkpoint is lost."""
        run = self.runs.get(lease)
        if run is not None and run.devices:
            self._end(run, Phase.FAILED, at_ms)

    def crash(self, at_ms: int) -> None:
        """The agent and everything it ran are gone; what was signed waits in its outbox."""
        self.seal_minute(at_ms)
        for run in self.runs.values():
            self._release(run, at_ms)
        self.runs.clear()
        self.up = False

    def reboot(self, at_ms: int) -> None:
        """The agent is back under a new boot; its modelled counters begin anew after a gap."""
        self.boot_number += 1
        self.up = True
        for device in self.devices.values():
            device.spans.clear()
            device.since_ms = at_ms
            device.state = PowerState.IDLE if device.name in self.awake_at else PowerState.ASLEEP
        self.host_spans.clear()
        self.host_since_ms = at_ms
        self.batch_from_ms = at_ms

    def lie_down(self, at_ms: int) -> None:
        """The machine suspends: nothing of it works on."""
        self.asleep = True
        self.awake_at.clear()
        for name in self.devices:
            self._change(name, PowerState.ASLEEP, "", WorkClass.GENERIC, at_ms)

    def get_up(self, at_ms: int) -> None:
        """The machine goes on where it stopped."""
        self.asleep = False
        for name in self.devices:
            self.awake_at[name] = at_ms
            self._change(name, PowerState.IDLE, "", WorkClass.GENERIC, at_ms)

    def checkpoint(self) -> None:
        """Running jobs store a checkpoint of what they have done."""
        for run in self.runs.values():
            if run.phase == Phase.RUNNING:
                run.safe_units = run.units

    def reports(self) -> tuple[LeaseReport, ...]:
        """Everything known of every lease, as an agent repeats it."""
        return tuple(self._report(run) for run in self.runs.values())

    def _report(self, run: Run) -> LeaseReport:
        lease = run.order.lease
        return LeaseReport(
            lease=lease,
            attempt=run.order.attempt,
            phase=run.phase,
            at_ms=run.changed_ms,
            units=run.units,
            checkpoint_units=run.safe_units,
            checkpoint=digest_bytes(f"{run.order.job}@{run.safe_units}".encode()) if run.safe_units else "",
            devices=run.devices,
            exit_code={Phase.FINISHED: 0, Phase.FAILED: -9}.get(run.phase),
            output=digest_bytes(lease.encode()) if run.phase == Phase.FINISHED else "",
            timed_out=run.timed_out,
        )

    def power(self) -> tuple[PoolPower, ...]:
        """Containers by power state."""
        return tuple(self._pool_power(pool) for pool in self.spec.pools)

    def _pool_power(self, pool: PoolSpec) -> PoolPower:
        states = [self.devices[name].state for name in pool.devices]
        return PoolPower(
            pool=pool.pool,
            asleep=states.count(PowerState.ASLEEP),
            waking=states.count(PowerState.WAKING),
            idle=states.count(PowerState.IDLE),
            busy=states.count(PowerState.BUSY),
            withheld=len(self.kept.intersection(pool.devices)),
        )

    def _change(
        self, name: str, state: str, lease: str, work_class: WorkClass, at_ms: int, power_cap_w: int = 0
    ) -> None:
        self._settle_host(at_ms)
        self.devices[name].change(state, lease, work_class, at_ms, power_cap_w)

    def _host_w(self) -> float:
        total = 0.0
        for device in self.devices.values():
            gpu = catalogue.load().gpu(device.gpu_model)
            if device.state == PowerState.ASLEEP:
                total += gpu.host_w_asleep
            else:
                total += power.host_power_w(gpu, 1.0 if device.state == PowerState.BUSY else 0.0)
        return total

    def _settle_host(self, at_ms: int) -> None:
        if at_ms <= self.host_since_ms:
            return
        self.host_j += joules(self._host_w(), at_ms - self.host_since_ms)
        self.host_spans.append(
            Span(
                device="host",
                lease="",
                state="",
                t0_ms=self.host_since_ms,
                t1_ms=at_ms,
                start_j=self.host_told_j,
                end_j=int(self.host_j),
            )
        )
        self.host_told_j = int(self.host_j)
        self.host_since_ms = at_ms

    def seal_minute(self, at_ms: int) -> None:
        """Put everything metered since the last batch into the next one."""
        self._settle_host(at_ms)
        for device in self.devices.values():
            device.settle(at_ms)
        if at_ms <= self.batch_from_ms:
            return
        spans = [*self.host_spans, *(span for device in self.devices.values() for span in device.spans)]
        self.host_spans = []
        for device in self.devices.values():
            device.spans = []
        self.counter += 1
        batch = ReadingBatch(
            site=self.spec.site,
            boot=self.boot,
            counter=self.counter,
            t0_ms=self.batch_from_ms,
            t1_ms=at_ms,
            previous=self.previous,
            uncertainty_ppm=UNCERTAINTY_PPM,
            quality=Quality.MODELLED,
            spans=tuple(spans),
        )
        self.previous = digest(batch)
        self.batch_from_ms = at_ms
        self.unsent.append((self.previous, batch))
