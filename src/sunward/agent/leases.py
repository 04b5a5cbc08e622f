"""Reconciles what should run here with what does: orders and runs in, starts, stops and reports out.

Everything that blocks (downloads, uploads) is handed to `submit` and looked at when it is done, so a step never
waits. A report never tells of a checkpoint or an output that is not stored yet.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from sunward.agent.courier import Courier, Prepared, Stored
from sunward.agent.devices import DeviceBook
from sunward.agent.owner import Kept
from sunward.errors import ConflictError, InputError, InvariantError, NotFoundError, SourceError, SunwardError
from sunward.model.site import FINAL_PHASES, LeaseOrder, LeaseReport, Phase, SiteOrders
from sunward.ports import Executor, Launch, Run

TERMINATED_EXIT = 143
GOOD_SUSPEND_EXITS = frozenset({0, TERMINATED_EXIT})

Task = Callable[[], object]
Submit = Callable[[Task], "Future[object]"]


class Wish(StrEnum):
    """What should become of a lease."""

    RUN = "run"
    SUSPEND = "suspend"
    STOP = "stop"
    FORGET = "forget"
    """It has no right to run here any more: stop it, and tell nobody."""


ORDERED = (Wish.RUN, Wish.SUSPEND, Wish.STOP)


class Stage(StrEnum):
    """What is being done for a lease; finer than the phases that are reported."""

    PREPARING = "preparing"
    WAITING = "waiting"
    RUNNING = "running"
    CLOSING = "closing"
    ENDED = "ended"


@dataclass(slots=True)
class Held:
    """One lease as this agent holds it."""

    order: LeaseOrder
    folder: Path
    phase: str
    at_ms: int
    units: int
    stored: Stored
    stage: Stage = Stage.PREPARING
    wish: Wish = Wish.RUN
    prepared: Prepared | None = None
    """Held until it is started; the secrets in it no longer than that."""
    outputs: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    task: Future[object] | None = None
    last_task: bool = False
    """The task carries away what is left of an ended attempt; nothing comes after it."""
    asked: Wish | None = None
    """What the executor was asked for: suspend or stop."""
    run: Run | None = None
    """The last seen of the process; of an ended lease its end."""
    ended_ms: int = 0
    end_phase: str = ""
    detail: str = ""
    timed_out: bool = False
    """It was killed because the job's run time was used up."""
    given_back: Kept | None = None
    """Why the owner took a device of it back."""
    saved_s: float = 0.0
    """Machine time of the last look at log and checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Machine times of an agent's work."""

    grace_s: float = 10.0
    """From SIGTERM to SIGKILL."""
    save_s: float = 1.0
    """Between two looks at a running attempt's log and checkpoint."""
    yield_s: float = 3.0
    """From SIGTERM to SIGKILL when the owner needs the GPU now."""


class LeaseKeeper:
    """All leases at this site. One thread uses it: the executor's."""

    def __init__(
        self, root: Path, executor: Executor, courier: Courier, book: DeviceBook, submit: Submit, pace: Pace
    ) -> None:
        """`root`: holds a folder per attempt; what an earlier run of the agent left there is removed."""
        self._root = root
        self._executor = executor
        self._courier = courier
        self._book = book
        self._submit = submit
        self._pace = pace
        self._held: dict[str, Held] = {}
        self._notes: list[str] = []
        self._version = -1
        self._draining = False
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(mode=0o700, parents=True)

    def apply(self, orders: SiteOrders, settled: Iterable[str], now_ms: int) -> None:
        """Take orders; older ones than those already taken change nothing.

        Raises: InputError for an action this version does not know; nothing is changed then.
        """
        for lease in settled:
            held = self._held.get(lease)
            if held is not None and held.stage is Stage.ENDED:
                self._drop(held)
        if orders.version < self._version:
            return
        named = {order.lease: order for order in orders.leases}
        unknown = [order.action for order in orders.leases if order.action not in ORDERED]
        if unknown:
            raise InputError(f"unknown order {unknown[0]!r}; upgrade this agent", code="SW-509")
        self._version = orders.version
        for lease, held in self._held.items():
            if held.stage is not Stage.ENDED:
                held.wish = self._wished(named.get(lease), held.wish)
                self._recap(held, named.get(lease))
        for lease, order in named.items():
            if lease not in self._held and order.action == Wish.RUN and not self._draining:
                self._accept(order, now_ms)

    def drain(self) -> None:
        """Accept nothing new and suspend all that runs, because the agent is about to end."""
        self._draining = True
        for held in self._held.values():
            if held.wish is Wish.RUN:
                held.wish = Wish.SUSPEND

    def keep(self, kept: Mapping[str, Kept]) -> None:
        """Take the devices that the owner keeps now: what runs on one that must be given back is suspended."""
        self._book.keep(kept)
        for held in self._held.values():
            if held.wish is not Wish.RUN:
                continue
            reasons = [kept[device] for device in held.devices if device in kept and kept[device].yields]
            if not reasons and held.stage is Stage.WAITING and self._book.room(held.order.pool) < held.order.gpus:
                reasons = [Kept("the owner keeps the GPUs it would have had")]
            if reasons:
                held.wish = Wish.SUSPEND
                held.given_back = max(reasons, key=lambda one: one.now)

    @property
    def version(self) -> int:
        """Version of the orders last taken; -1 before any."""
        return self._version

    @property
    def active(self) -> int:
        """Leases that have not ended."""
        return sum(held.stage is not Stage.ENDED for held in self._held.values())

    def step(self, now_ms: int, machine_s: float, speed: int) -> tuple[str, ...]:
        """Do what can be done now. Returns one line for each thing that changed or failed."""
        runs = {run.lease: run for run in self._executor.poll()}
        for lease in sorted(self._held):
            held = self._held[lease]
            held.run = run = runs.get(lease, held.run)
            if run is not None:
                held.units = max(held.units, run.units)
            # Neither the end of a job nor an order to stop it waits for an upload.
            if held.stage is Stage.RUNNING and run is not None and not run.running:
                self._exited(held, run, now_ms)
            self._watch_time(held, now_ms)
            self._press(held)
            if held.task is None or held.task.done():
                self._collect(held, now_ms)
                self._proceed(held, now_ms, machine_s, speed)
        notes = tuple(self._notes)
        self._notes.clear()
        return notes

    def reports(self) -> tuple[LeaseReport, ...]:
        """Every lease held or not yet settled, as it stands."""
        return tuple(_report(held) for _, held in sorted(self._held.items()) if held.wish is not Wish.FORGET)

    def _wished(self, order: LeaseOrder | None, before: Wish) -> Wish:
        if order is None:
            return Wish.FORGET
        if before in (Wish.STOP, Wish.FORGET):
            return before
        wish = Wish(order.action)
        # A job that was asked to stop cannot be asked to stay: its report brings a new attempt.
        return Wish.SUSPEND if wish is Wish.RUN and (self._draining or before is Wish.SUSPEND) else wish

    def _recap(self, held: Held, order: LeaseOrder | None) -> None:
        """Take another power limit; one that is lifted holds while the job runs on."""
        if order is not None and order.power_cap_w != held.order.power_cap_w:
            held.order = replace(held.order, power_cap_w=order.power_cap_w, unit_ms_grid=order.unit_ms_grid)
            self._book.recap(held.devices if held.stage is Stage.RUNNING else (), order.power_cap_w)

    def _accept(self, order: LeaseOrder, now_ms: int) -> None:
        folder = self._root / order.lease
        stored = Stored(checkpoint_units=order.checkpoint_units, checkpoint=order.checkpoint)
        held = Held(order, folder, Phase.ACCEPTED, now_ms, order.checkpoint_units, stored)
        held.task = self._prepare(held)
        self._held[order.lease] = held
        self._notes.append(f"{order.lease} accepted")

    def _prepare(self, held: Held) -> Future[object]:
        return self._submit(lambda: self._courier.prepare(held.order, held.folder))

    def _collect(self, held: Held, now_ms: int) -> None:
        """Look at a task that is done."""
        task, held.task = held.task, None
        if task is None:
            return
        last, held.last_task = held.last_task, False
        try:
            result = task.result()
        except SourceError as reason:
            self._notes.append(f"{held.order.lease} waits: {reason.message}")
            if not reason.transient:
                self._give_up(held, reason.message, now_ms)
        except SunwardError as reason:
            lost = isinstance(reason, ConflictError) or (
                isinstance(reason, NotFoundError) and held.stage is not Stage.PREPARING
            )
            if lost:
                self._notes.append(f"{held.order.lease} fenced: {reason.message}")
                held.wish = Wish.FORGET
            else:
                self._give_up(held, reason.message, now_ms)
        except OSError as reason:
            self._give_up(held, str(reason), now_ms)
        else:
            self._take(held, result, last=last)

    def _take(self, held: Held, result: object, *, last: bool) -> None:
        match result:
            case Stored() as stored:
                held.stored = stored
                # A job may be stopped between its checkpoint and its word of progress; what is stored has been done.
                held.units = max(held.units, stored.checkpoint_units)
            case Prepared() as prepared:
                held.prepared, held.stored, held.stage = prepared, prepared.stored, Stage.WAITING
                held.outputs = prepared.content.outputs
            case _:
                raise InvariantError(f"a task of {held.order.lease} returned {type(result).__name__}")
        if last:
            self._end(held)

    def _proceed(self, held: Held, now_ms: int, machine_s: float, speed: int) -> None:
        match held.stage:
            case Stage.PREPARING | Stage.WAITING if held.wish is not Wish.RUN:
                reason = held.given_back.reason if held.given_back else "it had not started"
                self._close(held, Phase.SUSPENDED, now_ms, reason)
            case Stage.PREPARING if held.task is None:
                held.task = self._prepare(held)
            case Stage.WAITING:
                self._try_start(held, now_ms, machine_s, speed)
            case Stage.RUNNING:
                self._save_now_and_then(held, machine_s)
        if held.stage is Stage.CLOSING and held.task is None:
            self._submit_closing(held)
        if held.stage is Stage.ENDED and held.wish is Wish.FORGET:
            self._drop(held)

    def _try_start(self, held: Held, now_ms: int, machine_s: float, speed: int) -> None:
        devices = self._book.lease(held.order)
        if not devices:
            if held.phase != Phase.WAKING:
                self._enter(held, Phase.WAKING, now_ms)
            return
        prepared = held.prepared
        if prepared is None:
            raise InvariantError(f"{held.order.lease} starts without its content")
        unit_ms = held.order.unit_ms_grid / speed
        try:
            self._executor.start(
                Launch(
                    held.order,
                    prepared.content,
                    devices,
                    held.folder,
                    unit_ms,
                    secrets=prepared.secrets,
                    environment=prepared.environment,
                )
            )
        except SunwardError as reason:
            self._book.release(devices)
            self._give_up(held, reason.message, now_ms)
            return
        held.prepared = None
        held.devices, held.stage, held.saved_s = devices, Stage.RUNNING, machine_s
        self._enter(held, Phase.RUNNING, now_ms)

    def _save_now_and_then(self, held: Held, machine_s: float) -> None:
        if held.asked is None and machine_s - held.saved_s >= self._pace.save_s:
            held.saved_s = machine_s
            lease, folder, stored = held.order.lease, held.folder, held.stored
            held.task = self._submit(lambda: self._courier.save(lease, folder, stored, checkpoint=True))

    def _watch_time(self, held: Held, now_ms: int) -> None:
        """Kill an attempt that has used up the run time left to its job: nothing of it would count any more."""
        limit_ms = held.order.timeout_ms
        if held.stage is Stage.RUNNING and not held.timed_out and 0 < limit_ms <= now_ms - held.at_ms:
            held.timed_out, held.asked = True, Wish.STOP
            self._book.drain(held.devices)
            self._executor.stop(held.order.lease)

    def _press(self, held: Held) -> None:
        """Ask the executor for what the lease's wish needs, once each."""
        if held.stage is not Stage.RUNNING or held.wish is Wish.RUN or held.wish is held.asked or held.timed_out:
            return
        held.asked = held.wish
        self._book.drain(held.devices)
        if held.wish is Wish.SUSPEND:
            hurry = held.given_back is not None and held.given_back.now
            self._executor.suspend(held.order.lease, self._pace.yield_s if hurry else self._pace.grace_s)
        else:
            self._executor.stop(held.order.lease)

    def _exited(self, held: Held, run: Run, now_ms: int) -> None:
        self._book.release(held.devices)
        if run.exit_code == 0 and run.units >= held.order.units:
            held.timed_out = False
            self._close(held, Phase.FINISHED, now_ms, "")
        elif held.timed_out:
            self._close(held, Phase.FAILED, now_ms, "killed: the job's run time was used up")
        elif held.asked is not None:
            good = held.asked is not Wish.SUSPEND or run.exit_code in GOOD_SUSPEND_EXITS
            told = [held.given_back.reason] if held.given_back else []
            self._close(held, Phase.SUSPENDED, now_ms, "; ".join([*told, *([] if good else [_why(run)])]))
        elif run.exit_code == 0:
            done = f"exit code 0 after {run.units} of {held.order.units} units"
            self._close(held, Phase.FAILED, now_ms, f"{done}; write progress to $SUNWARD_PROGRESS")
        else:
            self._close(held, Phase.FAILED, now_ms, _why(run))

    def _close(self, held: Held, phase: str, now_ms: int, detail: str) -> None:
        held.stage, held.end_phase, held.ended_ms, held.detail = Stage.CLOSING, phase, now_ms, detail

    def _submit_closing(self, held: Held) -> None:
        if held.wish is Wish.FORGET or held.run is None:
            self._end(held)
            return
        lease, folder, outputs = held.order.lease, held.folder, held.outputs
        before, by_itself = held.stored, held.end_phase != Phase.SUSPENDED
        checkpoint = held.wish is not Wish.STOP and held.end_phase != Phase.FINISHED

        def carry() -> Stored:
            stored = self._courier.save(lease, folder, before, checkpoint=checkpoint)
            return self._courier.save_output(lease, folder, stored, outputs) if by_itself else stored

        held.task, held.last_task = self._submit(carry), True

    def _end(self, held: Held) -> None:
        held.stage, held.prepared = Stage.ENDED, None
        self._executor.forget(held.order.lease)
        self._courier.release(held.order.lease)
        shutil.rmtree(held.folder, ignore_errors=True)
        if held.wish is not Wish.FORGET:
            self._enter(held, held.end_phase, held.ended_ms)

    def _give_up(self, held: Held, reason: str, now_ms: int) -> None:
        """A fault that another try cannot mend ends the attempt; a running job goes on, unsaved."""
        self._notes.append(f"{held.order.lease} cannot go on: {reason}")
        if held.stage is Stage.RUNNING:
            return
        if held.stage is not Stage.CLOSING:
            held.ended_ms = now_ms
        if held.end_phase != Phase.SUSPENDED:
            held.end_phase = Phase.FAILED
        held.detail = reason
        self._end(held)

    def _enter(self, held: Held, phase: str, at_ms: int) -> None:
        held.phase, held.at_ms = phase, at_ms
        self._notes.append(f"{held.order.lease} {phase}" + (f": {held.detail}" if held.detail else ""))

    def _drop(self, held: Held) -> None:
        del self._held[held.order.lease]


def _why(run: Run) -> str:
    return run.detail or f"exit code {run.exit_code}"


def _report(held: Held) -> LeaseReport:
    ended = held.phase in FINAL_PHASES
    return LeaseReport(
        lease=held.order.lease,
        attempt=held.order.attempt,
        phase=held.phase,
        at_ms=held.at_ms,
        units=held.units,
        checkpoint_units=held.stored.checkpoint_units,
        checkpoint=held.stored.checkpoint,
        devices=held.devices,
        exit_code=held.run.exit_code if ended and held.run else None,
        output=held.stored.output,
        detail=held.detail if ended else "",
        timed_out=ended and held.timed_out,
        checkpoint_bytes=held.stored.checkpoint_bytes,
    )
