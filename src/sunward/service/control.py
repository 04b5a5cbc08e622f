"""The control plane's shell around the one writer: time, plans, signals, seals, silent agents.

Everything here runs on one event loop; only solving a plan leaves it, on an immutable snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.adapters.clock import SystemClock
from sunward.adapters.objects import FsObjectStore
from sunward.adapters.sql import SqlStore
from sunward.engine import snapshots
from sunward.engine.inputs import Feeds, is_for_all, place_event, plan_event, signal_events, zones_needed
from sunward.engine.leases import is_news
from sunward.engine.orders import orders
from sunward.engine.state import State
from sunward.engine.writer import Outcome, SealedBatches, Writer, replay
from sunward.errors import ConflictError, InvariantError, SourceError, SunwardError
from sunward.model.chain import head_bytes
from sunward.model.commands import Command, JobChanged, OrdersChanged, Rejected, RequestPlan
from sunward.model.events import (
    AgentLost,
    AgentSeen,
    ClockMapped,
    LeasesReported,
    Payload,
    PlanProposed,
    PowerReported,
    SiteAsleep,
    TimerFired,
)
from sunward.model.identity import SiteId
from sunward.model.site import LeaseReport, SiteOrders
from sunward.model.wire import JournalHead, SyncRequest
from sunward.service import endings
from sunward.service.desk import Desk
from sunward.service.gathering import Gathering
from sunward.service.hearing import PAST_BOOT, checked, output_ref
from sunward.service.ingest import Intake, facility_j
from sunward.service.latency import Waits
from sunward.service.presence import Presence, hear_again, silent
from sunward.service.secrecy import Secrets, first_secrets
from sunward.service.solver import Run, here
from sunward.service.trials import Trials
from sunward.units import DAY_MS, HOUR_MS, SECOND_MS, floor_to
from sunward.world.snapshot import Snapshot
from sunward.world.tick import is_flooded, take_new, take_openings, take_tick

T = TypeVar("T")
log = logging.getLogger("sunward.control")

SNAPSHOT_EVERY = 20_000
"""Events between two snapshots of the state."""
TICK_S = 0.02
"""Longest machine time between two looks at what is due, while grid time is accelerated."""
IDLE_TICK_S = 1.0
REPLIES_KEPT_MS = 7 * DAY_MS
"""How long, of machine time, the answer to a request is kept for its repetition."""
PLAN_REST_S = 0.05
"""Least machine time between two full plans, so that a plan refused at commit never spins."""
PLAN_SHARE = 0.25
"""Most of one core that full plans take while the network is busy: the rest between two of them is as long as needed.
"""
CHECKPOINT_S = 2.0
PLACE_GATHER_S = 0.01
"""New jobs that come within this time share one immediate plan."""


@dataclass(slots=True)
class Settings:
    """How one control plane runs."""

    first: tuple[Payload, ...]
    """What a new journal begins with: the network's rules, the mapping, the rate, and the rules of all else."""
    mapping: ClockMapped
    """Used when the journal is empty; afterwards the recorded mapping counts."""
    grace_s: float = 30.0
    """Machine time of silence after which an agent counts as lost."""
    seal_ms: int = 300_000
    """Grid time between two seals."""


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
        secrets: Secrets | None = None,
    ) -> None:
        self.store = store
        self.objects = objects
        self.clock = clock
        self.feeds = feeds
        self.key = key
        self.settings = settings
        self.secrets = secrets or first_secrets(key)
        self.seed = bytes.fromhex(self.secrets.ids)
        self.presence: dict[str, Presence] = {}
        self.plan_wanted = asyncio.Event()
        self.place_wanted = asyncio.Event()
        self.placements = 0
        self.solve: Run = here
        """Runs the search for a full plan; called in a thread."""
        self.search: Run = here
        """Runs the searches for prices and for new jobs, likewise."""
        self.waits = Waits()
        self.desk = Desk(self._openings, self._searched)
        self._placing = asyncio.Lock()
        self.gathering = Gathering(self._commit_waiting)
        self._signals_for: tuple[int, frozenset[str]] = (-1, frozenset())
        """The hour whose signals were taken, and of which zones."""
        self.events = 0
        self.rejections = 0
        self.feed_failures = 0
        self._failures_told: set[str] = set()
        """What the log has said of failing series, so that it says it once until it changes."""
        self.plans = 0
        self.plan_s = 0.0
        self.month_paid: dict[str, tuple[str, int, int]] = {}
        """By tenant: a month, the epoch it was read in, and what the month's final receipts cost, micro-USD."""
        self.coming: dict[str, dict[str, int]] = {}
        """By tenant: escrow in wei of jobs that were checked against its budget and are about to be recorded."""
        self.sealed_j = 0
        """Energy sealed since the start, served and idle."""
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self.leaving = False
        self._snapshot_at = 0
        self._hour_ms = -1
        self.notices_wanted = asyncio.Event()
        self.private_jobs: set[str] = set()
        """Open jobs of which something is kept only until they end."""
        self._tidied_machine_ms = 0
        self.trials = Trials()
        self.writer = self._load()
        endings.catch_up(self)
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
            writer.commit(self.settings.mapping.grid_ms, self.settings.first)
        mapping = writer.state.world.clock
        if mapping is None:
            raise InvariantError("the journal holds no mapping of the clocks")
        self.clock.set_mapping(mapping, writer.state.world.at_ms)
        now = self.clock.elapsed_ms()
        # Agents that waited for orders when the last run ended are answered at once.
        sequence = writer.state.world.sequence
        self.presence = {site: Presence(now, orders_sequence=sequence) for site in writer.state.world.sites}
        self.plan_wanted.set()
        self.place_wanted.set()
        return writer

    def commit(self, payloads: Sequence[Payload], sealed: SealedBatches = ()) -> list[Outcome]:
        """Record payloads now, with whatever waits to be recorded, and act on their commands.

        Raises: SourceError when the database failed, InvariantError when they could not be recorded for another
            reason (another leader): the state in memory is then ahead of the journal, so this process must end
            and load it anew.
        """
        waiting = self.gathering.take()
        self.store.coming = {one.job: one.content for one in reversed(waiting) if one.content is not None}
        if self.failure is None:
            try:
                every = [*payloads, *(one.payload for one in waiting)]
                outcomes = self.writer.commit(self.clock.grid_ms(), every, sealed)
            except Exception as reason:  # noqa: BLE001  whatever it was, the state can no longer be trusted
                self.fail(reason)
        stopping = self.stopping()
        if stopping is not None:
            for one in waiting:
                one.fail(stopping)
            raise stopping from self.failure
        for outcome in outcomes:
            self.events += outcome.refused is None
            for command in outcome.commands:
                self._act(command, outcome.sequence)
        for one, outcome in zip(waiting, outcomes[len(payloads) :], strict=True):
            one.answer(outcome)
        return outcomes[: len(payloads)]

    def _commit_waiting(self) -> None:
        with contextlib.suppress(InvariantError, SourceError):  # Each of those who wait is told.
            self.commit([])

    def stopping(self) -> SunwardError | None:
        """What `commit` raises once a commit has failed: the state in memory is not what is recorded."""
        if self.failure is None:
            return None
        line = f"the control plane is stopping: {self.failure}"
        if isinstance(self.failure, SourceError):
            return SourceError(line, code=self.failure.code)
        return InvariantError(line)

    def commit_one(self, payload: Payload) -> Outcome:
        """Record one payload.

        Raises: InputError when it is refused.
        """
        outcome = self.commit([payload])[0]
        if outcome.refused is not None:
            raise outcome.refused
        return outcome

    def fail(self, reason: BaseException) -> None:
        """End the service: `run` raises the first reason given."""
        if self.failure is None:
            log.critical("the control plane stops: %s: %s", type(reason).__name__, reason)
            self.failure = reason
            self.failed.set()

    def _act(self, command: Command, sequence: int) -> None:
        """Commands that the store has not already carried out by projecting them."""
        if isinstance(command, OrdersChanged):
            presence = self.presence.get(command.site)
            if presence is not None:
                presence.orders_sequence = sequence
                presence.changed.set()
        elif isinstance(command, JobChanged):
            self.waits.see(command)
            endings.job_changed(self, command)
        elif isinstance(command, RequestPlan):
            self.place_wanted.set()
            if is_for_all(command):
                self.plan_wanted.set()
        elif isinstance(command, Rejected):
            self.rejections += 1
            log.info("assignment of %s rejected at commit: %s", command.job, command.reason)

    def signed_head(self) -> JournalHead:
        """The head of the journal with the control plane's signature, so that a fork can be shown."""
        head = self.writer.head
        return replace(head, signature=self.key.sign(head_bytes(head.sequence, head.hash, head.term)).hex())

    def ensure_signals(self, more: Sequence[str] = ()) -> None:
        """Have observations and forecasts of every zone in use; a failing series keeps the old ones, visibly."""
        now_ms = self.clock.grid_ms()
        hour, zones = self._signals_for
        used = {*more, *zones_needed(self.state.world)}
        if hour == now_ms // HOUR_MS and used <= zones:
            return
        failures: list[str] = []
        events = signal_events(self.state.world, self.feeds, now_ms, more, failures)
        if not failures:
            known = zones if hour == now_ms // HOUR_MS else frozenset()
            self._signals_for = (now_ms // HOUR_MS, known | used)
        self.feed_failures += len(failures)
        for failure in sorted(set(failures) - self._failures_told):
            log.warning("signals: %s; planning goes on with what is known", failure)
        self._failures_told = set(failures)
        if events:
            self.commit(events)

    async def hear(self, site: SiteId, request: SyncRequest) -> None:
        """Take in what an agent says.

        Raises: InputError for what cannot be true of its site, ConflictError for files it has not stored or
            from a run of the agent that is over; then nothing is taken in.
        """
        request = checked(self.state, site, request, self.store.contents)
        now = self.clock.elapsed_ms()
        presence = self.presence.setdefault(site, Presence(now))
        known = self.state.world.sites[site]
        if request.boot in presence.past_boots:
            # The last words of a killed agent may arrive after the first ones of its successor.
            raise ConflictError(f"site {site} runs boot {known.boot}, not {request.boot}", code=PAST_BOOT)
        presence.seen_ms = now
        payloads: list[Payload] = []
        if not known.up or known.boot != request.boot:
            presence.past_boots |= {known.boot} - {"", request.boot}
            self.commit_one(AgentSeen(site=site, boot=request.boot))
        if any(known.power.get(power.pool) != power for power in request.power):
            payloads.append(PowerReported(site=site, pools=request.power))
        news = tuple(report for report in request.reports if is_news(self.state, report))
        for report in news:
            if report.output:
                self._keep_output(report)
        if news:
            payloads.append(LeasesReported(site=site, boot=request.boot, reports=news))
        await asyncio.gather(*map(self.gathering.record, payloads))
        if known.asleep_until_ms != request.asleep_until_ms:
            # Refused when the site is needed after all: then the reply says that it counts as awake.
            self.commit([SiteAsleep(site=site, until_ms=request.asleep_until_ms)])

    def _keep_output(self, report: LeaseReport) -> None:
        """The engine forgets a job when its receipt is final; its results stay the tenant's."""
        job = report.lease.rpartition(".")[0]
        tenant = self.state.world.jobs.tenant(self.state.world.jobs.row_of[job])
        self.store.contents.hold(tenant, output_ref(job), report.output)

    async def wait_for_orders(self, site: SiteId, version: int, wait_s: float) -> None:
        """Return as soon as the site has orders newer than `version`, or after the wait.

        A version this journal has not reached comes from another journal: its orders mean nothing here.
        """
        presence = self.presence[site]
        if not presence.orders_sequence <= version <= self.state.world.sequence:
            return
        presence.changed.clear()
        if self.leaving:
            return
        try:
            await asyncio.wait_for(presence.changed.wait(), wait_s)
        except TimeoutError:
            return

    def let_go(self) -> None:
        """Answer every agent that waits for orders, now and from now on: the process is about to end."""
        self.leaving = True
        for presence in self.presence.values():
            presence.changed.set()

    async def run(self) -> None:
        """Serve until cancelled; an error in any task is an error of all.

        Raises: whatever ended it, as it was first seen.
        """
        self.ensure_signals()
        tasks = [
            asyncio.create_task(work())
            for work in (
                self._keep_time,
                self._keep_placing,
                self._keep_planning,
                self._keep_sealing,
                self._keep_checkpoints,
                self.failed.wait,
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            error = task.exception()
            if error is not None:
                self.fail(error)
        raise self.failure or InvariantError("a task of the control plane ended by itself")

    async def _keep_time(self) -> None:
        """Look at what is due, again and again."""
        looked_ms = self.clock.elapsed_ms()
        while True:
            now_ms = self.clock.elapsed_ms()
            if now_ms - looked_ms > self.settings.grace_s * SECOND_MS / 2:
                hear_again(self.presence.values(), now_ms)
            looked_ms = now_ms
            self.tick()
            await asyncio.sleep(TICK_S if self.clock.mapping.speed > 1 else IDLE_TICK_S)

    def tick(self) -> None:
        """Fire timers when due, take signals hourly and when feeds have news, notice silent agents, keep snapshots."""
        now_ms = self.clock.grid_ms()
        if self.feeds.live is not None and self.feeds.live.take_news():
            self._signals_for = (-1, frozenset())
            self.ensure_signals()
        if floor_to(now_ms, HOUR_MS) != self._hour_ms:
            self._hour_ms = floor_to(now_ms, HOUR_MS)
            self.ensure_signals()
        due_ms = self.state.next_due_ms
        if due_ms is not None and due_ms <= now_ms:
            self.commit([TimerFired()])
        for site, silent_ms in silent(self.presence, self.state, self.clock, self.settings.grace_s):
            log.warning("agent of %s silent for %d ms: its attempts are given up", site, silent_ms)
            self.commit([AgentLost(site=site)])
        self._keep_snapshot()
        self._keep_tidy()

    def _keep_snapshot(self) -> None:
        sequence = self.state.world.sequence
        if sequence - self._snapshot_at >= SNAPSHOT_EVERY:
            self._snapshot_at = sequence
            self.store.save_snapshot(sequence, snapshots.dump(self.state))

    def _openings(self) -> Snapshot:
        """What everybody's present segments leave now."""
        self.ensure_signals()
        return take_openings(self.state.world, self.clock.grid_ms())

    async def _searched(self, search: Callable[..., T], *arguments: object) -> T:
        found: T = await asyncio.to_thread(self.search, search, *arguments)
        return found

    async def _keep_placing(self) -> None:
        """Place new jobs as they come; whatever comes meanwhile is the next batch."""
        while True:
            await self.place_wanted.wait()
            await asyncio.sleep(PLACE_GATHER_S)
            self.place_wanted.clear()
            await self.place_new()
            if is_flooded(self.state.world):
                self.plan_wanted.set()

    async def place_new(self) -> None:
        """Give every new job its first answer: a place beside all others, or why there is none."""
        async with self._placing:
            while self.state.world.fresh and self.state.world.sites and not is_flooded(self.state.world):
                self.ensure_signals()
                snapshot = take_new(self.state.world, self.clock.grid_ms())
                proposed = await self._searched(place_event, snapshot)
                self.commit([proposed])
                self.placements += 1

    def _keep_tidy(self) -> None:
        """Every hour, drop tokens, enrolments and kept replies that can no longer be used."""
        now_ms = self.clock.machine_ms()
        if now_ms - self._tidied_machine_ms >= HOUR_MS:
            self._tidied_machine_ms = now_ms
            self.store.access.clean_up(now_ms, REPLIES_KEPT_MS)

    async def _keep_planning(self) -> None:
        """Solve whenever asked, one plan at a time and no more than its share; the API never waits for it."""
        while True:
            await self.plan_wanted.wait()
            started_s = time.perf_counter()
            await self.plan_once()
            spent_s = time.perf_counter() - started_s
            await asyncio.sleep(max(PLAN_REST_S, spent_s * (1 / PLAN_SHARE - 1)))

    async def plan_once(self) -> None:
        """Solve on the world as it is now, beside the loop, and commit what comes out; new jobs come first."""
        await self.place_new()
        self.ensure_signals()
        self.plan_wanted.clear()
        if not self.state.world.sites:
            return
        snapshot = take_tick(self.state.world, self.clock.grid_ms())
        if not snapshot.jobs and snapshot.crowd is None and not self.state.world.awake:
            return
        started_s = time.perf_counter()
        proposed: PlanProposed = await asyncio.to_thread(self.solve, plan_event, snapshot)
        self.plan_s += time.perf_counter() - started_s
        self.commit([proposed])
        self.plans += 1
        if self.state.world.fresh:
            self.place_wanted.set()

    async def _keep_checkpoints(self) -> None:
        """Spare the commits the work of moving the log into a large database, which waits for the disk."""
        while True:
            await asyncio.sleep(CHECKPOINT_S)
            await asyncio.to_thread(self.store.checkpoint)

    async def _keep_sealing(self) -> None:
        """Seal stored batches every five minutes of grid time."""
        speed = self.clock.mapping.speed
        while True:
            await asyncio.sleep(max(TICK_S, self.settings.seal_ms / SECOND_MS / speed))
            self.seal_now()

    def seal_now(self) -> None:
        """Seal every stored batch that no seal holds yet."""
        if (refused := self.intake.take_refused()) is not None:
            self.commit([refused])
        sealed = self.intake.seal()
        if sealed is not None:
            payload, ranges = sealed
            self.commit([payload], ranges)
            self.sealed_j += facility_j(payload)

    def orders_for(self, site: SiteId) -> SiteOrders:
        """The orders of a site now."""
        return self.trials.added(orders(self.state, site), self.state.world, self.clock.machine_ms())
