"""The provider's daemon: one loop that owns processes, power and meters, and threads that talk.

The loop never waits for the network. Two threads sync (one waits for orders, one reports changes at once), one
delivers readings, and a few carry files; they meet the loop in a queue of replies and in the outbox.
"""

from __future__ import annotations

import json
import queue
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import sunward
from sunward.adapters import lan
from sunward.adapters.clock import SystemClock
from sunward.adapters.embedded import EmbeddedExecutor
from sunward.adapters.nvml import NvmlGauges
from sunward.adapters.power_machine import MachinePowerSwitch
from sunward.agent import parts
from sunward.agent.challenged import Challenger
from sunward.agent.client import TIMEOUT_S, Backoff, ControlPlane
from sunward.agent.config import (
    AgentConfig,
    challenged_on,
    check_admission,
    pool_specs,
    site_spec,
    wake_latency_s,
)
from sunward.agent.courier import Courier
from sunward.agent.devices import DeviceBook
from sunward.agent.echoing import Echo
from sunward.agent.environment import Environments
from sunward.agent.folder import take_folder
from sunward.agent.identity import (
    KEY_FILE,
    NEXT_FILE,
    Membership,
    load_key,
    load_membership,
    new_boot,
    public_key,
    save_membership,
)
from sunward.agent.inputs import Inputs
from sunward.agent.leases import LeaseKeeper, Pace
from sunward.agent.metering import Recorder
from sunward.agent.outbox import Outbox
from sunward.agent.owner import Kept, Owner, changes
from sunward.agent.rest import AWAKE_S, Gate, alarm_s, owner_here, sleep_until
from sunward.agent.rotation import OUTBOX_FILE, rotate
from sunward.agent.sleep import Clocks
from sunward.errors import InputError, SourceError, SunwardError
from sunward.model.identity import SiteId
from sunward.model.site import LeaseReport, PoolPower, WakeCall
from sunward.model.version import FIRST, compatible
from sunward.model.wire import SyncReply, SyncRequest
from sunward.units import SECOND_MS

ATTEMPTS = "attempts"
CACHE = "cache"
LOOK_S = 1.0
"""Between two looks for what the owner keeps, and two packets to a neighbour that is to wake."""
OWNER_LOOK_S = 30.0
"""Between two looks whether the owner is at the machine."""
CARRIERS = 4
"""Threads that carry files."""
SEND_BATCHES = 240
"""Most batches in one delivery."""
SEND_EVERY_S = 0.2
HEARTBEAT_S = 1.0
"""Between two reports of progress alone; a change of phase is reported at once."""
DRAIN_MARGIN_S = 15.0
"""Beyond the jobs' grace: for storing checkpoints and for the last readings."""


def join(config: AgentConfig, token: str) -> Membership:
    """Enrol this site with a one-time token and keep what the control plane answers.

    Raises: InputError when the configuration or the token is refused, SourceError when nobody answers.
    """
    isolation = parts.isolation(config)
    spec = site_spec(config, config.site, "", None if isinstance(isolation, str) else isolation)
    # What is declared was checked first: a mistake leaves no folder and no key behind.
    config.home.mkdir(parents=True, exist_ok=True)
    anew = not (config.home / KEY_FILE).exists()
    spec = replace(spec, public_key=public_key(load_key(config.home)))
    plane = ControlPlane(config.server, "", _backoff(time.sleep), ca=config.ca, insecure=config.insecure)
    try:
        membership = plane.enroll(token, spec)
    finally:
        plane.close()
    if anew and membership.readings.counter:
        # The site has signed readings under a key that is lost.
        outbox = Outbox(config.home / OUTBOX_FILE)
        outbox.adopt(membership.readings)
        outbox.close()
    save_membership(config.home, membership)
    return membership


def run(config: AgentConfig, stop: threading.Event | None = None) -> None:
    """Serve until SIGTERM or SIGINT (or until `stop`), then suspend jobs, deliver readings, and return.

    A second signal ends it at once, as a crash would: the next start puts everything in order.
    Raises: NotFoundError when the site has not joined, InputError and SourceError when it cannot start.
    """
    stop = stop or threading.Event()

    def end(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
    Agent(config, stop).run()


def say(event: str, **facts: object) -> None:
    """One line of the agent's own log: a JSON object on standard error."""
    with suppress(OSError):
        # A full disk that the log lies on must not end the agent.
        print(json.dumps({"event": event, **facts}, ensure_ascii=False), file=sys.stderr, flush=True)  # noqa: T201


@dataclass(frozen=True, slots=True)
class _Told:
    """What the loop last published for the threads that report it."""

    orders_version: int
    reports: tuple[LeaseReport, ...]
    powers: tuple[PoolPower, ...]

    def urgent(self) -> object:
        """All of it but progress in units: a change here is worth a request of its own."""
        leases = [(r.lease, r.phase, r.checkpoint_units, r.output, r.detail) for r in self.reports]
        return leases, self.powers


class Agent:
    """One run of the daemon."""

    def __init__(self, config: AgentConfig, stop: threading.Event) -> None:
        self._config = config
        self._stop = stop
        self._over = threading.Event()
        self._boot = new_boot()
        self._membership = load_membership(config.home)
        self._alone = take_folder(config.home)
        self._pools = pool_specs(config, self._membership.site)
        self._plane = ControlPlane(
            config.server,
            self._membership.token,
            _backoff(self._over.wait),
            ca=config.ca,
            insecure=config.insecure,
        )
        if (config.home / NEXT_FILE).exists():
            # A change of keys was cut short; nothing may be signed before it is known which key counts.
            rotate(config.home, self._membership.site, self._plane)
        self._key = load_key(config.home)
        self._outbox = Outbox(config.home / OUTBOX_FILE)
        self._clock = SystemClock()
        self._book = DeviceBook({pool.pool: pool.devices for pool in self._pools}, config.gpu_power_w_max)
        self._power = parts.switch(config, self._pools)
        self._gate = Gate()
        self._rest_from_s = time.monotonic() + AWAKE_S
        self._owner_here = True
        self._calls: tuple[WakeCall, ...] = ()
        self._planned_ms = 0
        self._carriers = ThreadPoolExecutor(CARRIERS, thread_name_prefix="carrier")
        self._executor = self._make_executor()
        self._keeper = self._make_keeper()
        self._challenger = Challenger(self._plane, self._boot, challenged_on(config), self._book.spare, say)
        self._echo = Echo(SiteId(self._membership.site), self._key, say)
        self._owner = Owner(
            config=config,
            devices=tuple(device for pool in self._pools for device in pool.devices),
            ours=self._executor.processes,
            moved_bytes=lambda: self._plane.moved_bytes,
            gauges=NvmlGauges() if config.meter == "nvml" else None,
        )
        self._kept = self._look({})
        self._replies: queue.SimpleQueue[SyncReply] = queue.SimpleQueue()
        self._told = _Told(-1, (), self._book.powers())
        self._changed = threading.Event()
        self._recorder: Recorder | None = None
        self._last_ms = 0
        self._waiting = False
        self._said: dict[str, str] = {}

    def run(self) -> None:
        """Work until asked to stop, then drain."""
        poller = threading.Thread(target=self._poll, daemon=True)
        others = [threading.Thread(target=work, daemon=True) for work in (self._report, self._deliver, self._watch)]
        say("started", site=self._membership.site, boot=self._boot)
        for thread in (poller, *others):
            thread.start()
        try:
            while not self._stop.wait(self._config.tick_s):
                self._tick()
            self._drain()
        finally:
            self._over.set()
            self._changed.set()
            self._carriers.shutdown(wait=False, cancel_futures=True)
            # The poller may be inside a long wait for orders, which nobody needs any more.
            for thread in others:
                thread.join()
            self._outbox.close()
            self._alone.close()
        say("stopped", site=self._membership.site)

    def _make_executor(self) -> EmbeddedExecutor:
        isolation = parts.isolation(self._config)
        self._cage = None if isinstance(isolation, str) else isolation
        check_admission(self._config, self._cage)
        if isinstance(isolation, str):
            say("no_sandbox", reason=isolation, consequence="only the owner's own jobs run here")
        return EmbeddedExecutor(self._config.home / ATTEMPTS, self._cage, parts.limits(self._config))

    def _make_keeper(self) -> LeaseKeeper:
        pace = Pace(grace_s=self._config.grace_s, save_s=self._config.save_s, yield_s=self._config.yield_s)
        root = self._config.home / ATTEMPTS
        cache = self._config.home / CACHE
        rules, most = self._config.setup_rules, self._config.cache_bytes_max
        environments = Environments(cache / "environments", rules, most, self._over)
        backoff = _backoff(self._over.wait)
        inputs = Inputs(cache / "inputs", self._plane, self._config.input_rules, backoff)
        courier = Courier(self._plane, environments, inputs)
        return LeaseKeeper(root, self._executor, courier, self._book, self._submit, pace)

    def _submit(self, task: Callable[[], object]) -> Future[object]:
        return self._carriers.submit(task)

    def _tick(self) -> None:
        """One pass: sign what is past, take orders, move power and leases, note what changed."""
        self._take_replies()
        if self._recorder is None:
            return
        now_ms = self._now_ms()
        problems = self._recorder.advance(now_ms)
        self._keeper.keep(self._kept)
        self._book.update(self._power.states(now_ms))
        self._challenger.step()
        self._echo.step()
        for note in self._keeper.step(now_ms, time.monotonic(), self._clock.mapping.speed):
            say("lease", note=note, grid_ms=now_ms)
        problems += self._recorder.observe(self._book.states, self._book.host_state(), now_ms)
        self._complain("meter", "; ".join(problems))
        self._publish()
        if isinstance(self._power, MachinePowerSwitch) and self._may_rest(self._power):
            self._rest(self._power)

    def _may_rest(self, power: MachinePowerSwitch) -> bool:
        """Whether nobody needs the machine now; whether for long enough is another question."""
        busy = self._keeper.active or self._keeper.reports() or self._kept or self._calls or self._owner_here
        busy = busy or self._challenger.active
        over = self._stop.is_set() or time.monotonic() < self._rest_from_s
        return power.unused and not busy and not over and self._clock.mapping.speed == 1

    def _rest(self, power: MachinePowerSwitch) -> None:
        """Tell the control plane, suspend the machine, and go on where it stopped."""
        wake_ms = wake_latency_s(self._config) * SECOND_MS
        if not sleep_until(self._planned_ms, wake_ms, self._now_ms()):
            return
        self._rest_from_s = time.monotonic() + AWAKE_S
        try:
            if self._gate.shut(self._config.poll_s + TIMEOUT_S):
                # What the last requests brought may say otherwise.
                self._take_replies()
                until_ms = sleep_until(self._planned_ms, wake_ms, self._now_ms())
                if until_ms and power.unused and not self._keeper.active and not self._kept and not self._calls:
                    self._try("sleep", partial(self._sleep, power, until_ms, wake_ms))
        finally:
            power.get_up()
            self._gate.open()
            self._rest_from_s = time.monotonic() + AWAKE_S
            self._changed.set()

    def _sleep(self, power: MachinePowerSwitch, until_ms: int, wake_ms: int) -> None:
        """Suspend, when every reading is delivered and the control plane has taken note. Raises: SourceError."""
        power.lie_down()
        self._note_power()
        if self._recorder is None:
            return
        problems = self._recorder.finish(self._now_ms())
        if problems:
            raise SourceError("; ".join(problems))
        while self._outbox.unsent(1):
            self._send()
        reply = self._ask(0, until_ms)
        self._replies.put(reply)
        if reply.asleep_until_ms != until_ms:
            return
        clocks = Clocks()
        before_s = clocks.suspended_s()
        say("asleep", until_ms=until_ms)
        try:
            power.suspend(alarm_s(until_ms, wake_ms, self._now_ms()))
        finally:
            power.get_up()
            self._recorder.advance(self._now_ms())
            self._note_power()
            say("awake", slept_s=round(clocks.suspended_s() - before_s))

    def _note_power(self) -> None:
        """Take what the switch says into the book, the readings and the next request."""
        now_ms = self._now_ms()
        self._book.update(self._power.states(now_ms))
        if self._recorder is not None:
            self._recorder.observe(self._book.states, self._book.host_state(), now_ms)
        self._told = _Told(self._keeper.version, self._keeper.reports(), self._book.powers())

    def _take_replies(self) -> None:
        while True:
            try:
                reply = self._replies.get_nowait()
            except queue.Empty:
                return
            self._clock.set_mapping(reply.clock)
            now_ms = self._now_ms()
            if self._recorder is None:
                self._begin_metering(now_ms)
            try:
                self._keeper.apply(reply.orders, reply.settled, now_ms)
                self._challenger.take(reply.orders.challenges)
                self._echo.take(reply.orders.anchors)
                if reply.orders.version >= self._keeper.version:
                    self._move_power(reply, now_ms)
            except InputError as reason:
                self._complain("orders", reason.message)

    def _move_power(self, reply: SyncReply, now_ms: int) -> None:
        self._calls, self._planned_ms = reply.orders.wake, reply.orders.asleep_until_ms
        for awake in reply.orders.awake:
            self._power.set_awake(awake.pool, max(awake.count, self._book.busy(awake.pool)), now_ms)

    def _begin_metering(self, now_ms: int) -> None:
        head = self._outbox.head()
        # After a step back of grid time the chain goes on where it ended: time is never signed twice.
        self._last_ms = now_ms = max(now_ms, head.t1_ms)
        if self._config.meter == "nvml" and self._clock.mapping.speed != 1:
            raise InputError("measured energy needs grid time at machine speed; use the modelled meter", code="SW-514")
        meter = parts.meter(self._config, self._pools, head.counters_j, now_ms)
        self._recorder = Recorder(self._membership.site, self._boot, meter, self._outbox, self._key, now_ms)

    def _publish(self) -> None:
        told = _Told(self._keeper.version, self._keeper.reports(), self._book.powers())
        urgent = told.urgent() != self._told.urgent()
        self._told = told
        if urgent:
            self._changed.set()

    def _drain(self) -> None:
        """Suspend all jobs, report them, and deliver the readings; give up on what takes too long."""
        say("draining", leases=self._keeper.active)
        self._challenger.close()
        self._keeper.drain()
        deadline_s = time.monotonic() + self._config.grace_s + DRAIN_MARGIN_S
        while self._keeper.active and time.monotonic() < deadline_s:
            self._tick()
            time.sleep(self._config.tick_s)
        if self._recorder is not None:
            self._complain("meter", "; ".join(self._recorder.finish(self._now_ms())))
        self._publish()
        self._try("sync", partial(self._sync, 0))
        self._waiting = True
        while self._waiting and time.monotonic() < deadline_s:
            if not self._try("readings", self._send):
                time.sleep(SEND_EVERY_S)

    def _poll(self) -> None:
        """Thread: say once what this machine is now, then wait for orders, again and again."""
        declared = False
        while not self._over.is_set():
            declared = declared or self._try("declaration", self._declare)
            wait_ms = round(self._config.poll_s * SECOND_MS)
            if not self._try("sync", partial(self._sync, wait_ms)):
                self._over.wait(HEARTBEAT_S)

    def _report(self) -> None:
        """Thread: report changes at once, and progress at every heartbeat."""
        before: tuple[LeaseReport, ...] = ()
        while not self._over.is_set():
            urgent = self._changed.wait(HEARTBEAT_S)
            self._changed.clear()
            reports = self._told.reports
            if (urgent or reports != before) and self._try("sync", partial(self._sync, 0)):
                before = reports

    def _deliver(self) -> None:
        """Thread: send batches as they come."""
        while not self._over.wait(SEND_EVERY_S):
            while self._try("readings", self._send) and self._waiting and not self._over.is_set():
                pass

    def _watch(self) -> None:
        """Thread: look for what the owner keeps; asking a driver may take longer than the loop can wait."""
        look_s = 0.0
        while not self._over.wait(LOOK_S):
            self._kept = self._look(self._kept)
            if isinstance(self._power, MachinePowerSwitch) and time.monotonic() >= look_s:
                self._owner_here, look_s = owner_here(), time.monotonic() + OWNER_LOOK_S
            for one in self._calls:
                self._try(f"wake {one.site}", partial(_wake, one))

    def _look(self, before: Mapping[str, Kept]) -> Mapping[str, Kept]:
        now = self._owner.look(datetime.now(tz=UTC).date().isoformat())
        for note in changes(before, now):
            say("owner", note=note)
        return now

    def _declare(self) -> None:
        self._plane.declare(site_spec(self._config, self._membership.site, public_key(self._key), self._cage))

    def _sync(self, wait_ms: int) -> None:
        with self._gate.passing():
            self._replies.put(self._ask(wait_ms))

    def _ask(self, wait_ms: int, asleep_until_ms: int = 0) -> SyncReply:
        """Report everything and take orders. Raises: InputError, SourceError."""
        told = self._told
        request = SyncRequest(
            boot=self._boot,
            orders_version=told.orders_version,
            wait_ms=wait_ms,
            reports=told.reports,
            power=told.powers,
            version=sunward.__version__,
            asleep_until_ms=asleep_until_ms,
        )
        reply = self._plane.sync(request)
        if not compatible(sunward.__version__, reply.version):
            raise InputError(
                f"the control plane is sunward {reply.version[:40] or FIRST}, this agent {sunward.__version__}; "
                "upgrade the older of the two",
                code="SW-434",
            )
        return reply

    def _send(self) -> None:
        batches = self._outbox.unsent(SEND_BATCHES)
        self._waiting = bool(batches)
        if not batches:
            return
        held = self._plane.send_batches([raw for _, raw in batches])
        self._outbox.acknowledge(held)
        if held < batches[0][0] - 1 and self._outbox.rewind(held):
            # The control plane came back from a backup and lacks what it once held.
            return
        if held < batches[0][0]:
            raise SourceError(f"readings from {batches[0][0]} on are refused; the control plane holds up to {held}")

    def _try(self, what: str, work: Callable[[], None]) -> bool:
        """Whether it worked; a failure is said once, until it changes."""
        try:
            work()
        except SunwardError as reason:
            self._complain(what, reason.message)
            return False
        self._complain(what, "")
        return True

    def _complain(self, what: str, problem: str) -> None:
        if problem and self._said.get(what) != problem:
            say("problem", what=what, reason=problem)
        elif not problem and self._said.get(what):
            say("recovered", what=what)
        self._said[what] = problem

    def _now_ms(self) -> int:
        """Grid time, never earlier than a moment already used."""
        self._last_ms = max(self._last_ms, self._clock.grid_ms())
        return self._last_ms


def _backoff(sleep: Callable[[float], object]) -> Backoff:
    return Backoff(sleep=sleep, jitter=random.SystemRandom().random)


def _wake(one: WakeCall) -> None:
    """Send the packet that wakes a neighbour. Raises: InputError, SourceError."""
    try:
        lan.call(one.mac)
    except OSError as reason:
        raise SourceError(f"the packet cannot be sent: {reason}") from None
