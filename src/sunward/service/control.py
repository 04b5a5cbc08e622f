"""The control plane's shell around the one writer: time, plans, signals, seals, silent agents.

Everything here runs on one event loop; only solving a plan leaves it, on an immutable snapshot.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.adapters.clock import SystemClock
from sunward.adapters.objects import FsObjectStore
from sunward.adapters.sql import SqlStore
from sunward.engine import snapshots
from sunward.engine.inputs import Feeds, plan_event, signal_events
from sunward.engine.leases import is_news
from sunward.engine.orders import orders
from sunward.engine.state import State
from sunward.engine.writer import Outcome, SealedBatches, Writer, replay
from sunward.errors import InvariantError, SourceError
from sunward.model.chain import head_bytes
from sunward.model.commands import Command, OrdersChanged, Rejected, RequestPlan
from sunward.model.events import (
    AgentLost,
    AgentSeen,
    ClockMapped,
    LeasesReported,
    NetworkStarted,
    Payload,
    PowerReported,
    RateObserved,
    TimerFired,
)
from sunward.model.identity import SiteId
from sunward.model.site import SiteOrders
from sunward.model.wire import JournalHead, SyncRequest
from sunward.service.ingest import Intake
from sunward.units import HOUR_MS, SECOND_MS, floor_to
from sunward.world.view import take_snapshot

log = logging.getLogger("sunward.control")

SNAPSHOT_EVERY = 20_000
"""Events between two snapshots of the state."""
TICK_S = 0.02
"""Longest machine time between two looks at what is due, while grid time is accelerated."""
IDLE_TICK_S = 1.0


@dataclass(slots=True)
class Settings:
    """How one control plane runs."""

    rules: NetworkStarted
    rate: RateObserved
    mapping: ClockMapped
    """Used when the journal is empty; afterwards the recorded mapping counts."""
    grace_s: float = 30.0
    """Machine time of silence after which an agent counts as lost."""
    seal_ms: int = 300_000
    """Grid time between two seals."""


@dataclass(slots=True)
class Presence:
    """What the shell keeps of an agent on the machine clock; never journalled."""

    seen_machine_ms: int
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    orders_sequence: int = 0


class ControlPlane:
    """Composes store, clock and feeds around the writer."""

    def __init__(
        self,
        store: SqlStore,
        objects: FsObjectStore,
        clock: SystemClock,
        feeds: Feeds,
        key: Ed25519PrivateKey,
        settings: Settings,
    ) -> None:
        self.store = store
        self.objects = objects
        self.clock = clock
        self.feeds = feeds
        self.key = key
        self.settings = settings
        self.presence: dict[str, Presence] = {}
        self.plan_wanted = asyncio.Event()
        self.rejections = 0
        self.feed_failures = 0
        self.plans = 0
        self.failure: BaseException | None = None
        self._snapshot_at = 0
        self.writer = self._load()
        self.intake = Intake(store, self.writer.state, clock)

    @property
    def state(self) -> State:
        """The state; only `commit` changes it."""
        return self.writer.state

    def _load(self) -> Writer:
        """Take the lead, and the state from the newest snapshot and the journal after it."""
        self.store.claim_leadership()
        state = State()
        for _, blob in self.store.snapshots():
            try:
                state = snapshots.load(blob)
                break
            except ValueError:
                log.warning("snapshot of another version: replaying the journal instead")
        state = replay(self.store.read(state.world.sequence), state)
        self._snapshot_at = state.world.sequence
        writer = Writer(state, self.store)
        if state.world.sequence == 0:
            settings = self.settings
            writer.commit(settings.mapping.grid_ms, [settings.rules, settings.mapping, settings.rate])
        mapping = writer.state.world.clock
        if mapping is None:
            raise InvariantError("the journal holds no mapping of the clocks")
        self.clock.set_mapping(mapping)
        now = self.clock.machine_ms()
        self.presence = {site: Presence(now) for site in writer.state.world.sites}
        self.plan_wanted.set()
        return writer

    def commit(self, payloads: Sequence[Payload], sealed: SealedBatches = ()) -> list[Outcome]:
        """Record payloads now and act on their commands."""
        outcomes = self.writer.commit(self.clock.grid_ms(), payloads, sealed)
        for outcome in outcomes:
            for command in outcome.commands:
                self._act(command, outcome.sequence)
        return outcomes

    def commit_one(self, payload: Payload) -> Outcome:
        """Record one payload.

        Raises: InputError when it is refused.
        """
        outcome = self.commit([payload])[0]
        if outcome.refused is not None:
            raise outcome.refused
        return outcome

    def _act(self, command: Command, sequence: int) -> None:
        """Commands that the store has not already carried out by projecting them."""
        if isinstance(command, OrdersChanged):
            presence = self.presence.get(command.site)
            if presence is not None:
                presence.orders_sequence = sequence
                presence.changed.set()
        elif isinstance(command, RequestPlan):
            self.plan_wanted.set()
        elif isinstance(command, Rejected):
            self.rejections += 1
            log.info("assignment of %s rejected at commit: %s", command.job, command.reason)

    def signed_head(self) -> JournalHead:
        """The head of the journal with the control plane's signature, so that a fork can be shown."""
        head = self.writer.head
        return replace(head, signature=self.key.sign(head_bytes(head.sequence, head.hash, head.term)).hex())

    def ensure_signals(self, more: Sequence[str] = ()) -> None:
        """Have observations and forecasts of every zone in use; a failing source keeps the old ones, visibly."""
        try:
            events = signal_events(self.state.world, self.feeds, self.clock.grid_ms(), more)
        except SourceError as reason:
            self.feed_failures += 1
            log.warning("signals: %s; planning goes on with what is known", reason)
            return
        if events:
            self.commit(events)

    def hear(self, site: SiteId, request: SyncRequest) -> None:
        """Take in what an agent says."""
        now = self.clock.machine_ms()
        presence = self.presence.setdefault(site, Presence(now))
        presence.seen_machine_ms = now
        known = self.state.world.sites[site]
        payloads: list[Payload] = []
        if not known.up or known.boot != request.boot:
            payloads.append(AgentSeen(site=site, boot=request.boot))
        if any(known.power.get(power.pool) != power for power in request.power):
            payloads.append(PowerReported(site=site, pools=request.power))
        news = tuple(report for report in request.reports if is_news(self.state, report))
        if news:
            payloads.append(LeasesReported(site=site, boot=request.boot, reports=news))
        if payloads:
            self.commit(payloads)

    async def wait_for_orders(self, site: SiteId, version: int, wait_s: float) -> None:
        """Return as soon as the site has orders newer than `version`, or after the wait."""
        presence = self.presence[site]
        if presence.orders_sequence > version:
            return
        presence.changed.clear()
        try:
            await asyncio.wait_for(presence.changed.wait(), wait_s)
        except TimeoutError:
            return

    async def run(self) -> None:
        """Serve until cancelled; an error in any task is an error of all."""
        self.ensure_signals()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_time())
                group.create_task(self._keep_planning())
                group.create_task(self._keep_sealing())
        except BaseExceptionGroup as failed:
            self.failure = failed
            raise

    async def _keep_time(self) -> None:
        """Fire timers when due, take signals every hour, notice silent agents, keep snapshots."""
        hour_ms = floor_to(self.clock.grid_ms(), HOUR_MS)
        while True:
            now_ms = self.clock.grid_ms()
            if floor_to(now_ms, HOUR_MS) != hour_ms:
                hour_ms = floor_to(now_ms, HOUR_MS)
                self.ensure_signals()
            due_ms = self.state.next_due_ms
            if due_ms is not None and due_ms <= now_ms:
                self.commit([TimerFired()])
            self._notice_silence()
            self._keep_snapshot()
            await asyncio.sleep(TICK_S if self.clock.mapping.speed > 1 else IDLE_TICK_S)

    def _notice_silence(self) -> None:
        now = self.clock.machine_ms()
        for site, presence in list(self.presence.items()):
            silent_ms = now - presence.seen_machine_ms
            if self.state.world.sites[site].up and silent_ms > self.settings.grace_s * SECOND_MS:
                log.warning("agent of %s silent for %d ms: its attempts are given up", site, silent_ms)
                self.commit([AgentLost(site=SiteId(site))])

    def _keep_snapshot(self) -> None:
        sequence = self.state.world.sequence
        if sequence - self._snapshot_at >= SNAPSHOT_EVERY:
            self._snapshot_at = sequence
            self.store.save_snapshot(sequence, snapshots.dump(self.state))

    async def _keep_planning(self) -> None:
        """Solve whenever asked, one plan at a time; the API never waits for it."""
        while True:
            await self.plan_wanted.wait()
            self.plan_wanted.clear()
            if not self.state.world.sites:
                continue
            self.ensure_signals()
            snapshot = take_snapshot(self.state.world, self.clock.grid_ms())
            if not snapshot.jobs and not self.state.world.awake:
                continue
            proposed = await asyncio.to_thread(plan_event, snapshot)
            self.commit([proposed])
            self.plans += 1

    async def _keep_sealing(self) -> None:
        """Seal stored batches every five minutes of grid time."""
        speed = self.clock.mapping.speed
        while True:
            await asyncio.sleep(max(TICK_S, self.settings.seal_ms / SECOND_MS / speed))
            self.seal_now()

    def seal_now(self) -> None:
        """Seal every stored batch that no seal holds yet."""
        sealed = self.intake.seal()
        if sealed is not None:
            payload, ranges = sealed
            self.commit([payload], ranges)

    def orders_for(self, site: SiteId) -> SiteOrders:
        """The orders of a site now."""
        return orders(self.state, site)
