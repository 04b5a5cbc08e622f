"""A simulated run: one heap of moments, the same engine, and faults drawn from named streams."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace

import numpy as np

from sunward.engine.inputs import (
    Feeds,
    is_for_all,
    place_event,
    plan_event,
    seal_event,
    sealed_ranges,
    signal_events,
)
from sunward.engine.jobs import SUBMITTED
from sunward.engine.leases import is_news
from sunward.engine.orders import orders
from sunward.engine.state import State
from sunward.engine.writer import Writer, replay
from sunward.metering.seal import Hashed
from sunward.model.commands import Command, OrdersChanged, RequestPlan
from sunward.model.events import (
    AgentLost,
    AgentSeen,
    ClockMapped,
    Deposited,
    EpochRequested,
    JobsSubmitted,
    LeasesReported,
    NetworkStarted,
    Payload,
    PlanProposed,
    PowerReported,
    RateObserved,
    SiteCurtailed,
    SiteDrained,
    SiteEnrolled,
    TimerFired,
)
from sunward.model.identity import SiteId
from sunward.model.job import JobSpec
from sunward.model.reading import ReadingBatch
from sunward.model.site import Ceiling, LeaseReport, SiteSpec
from sunward.model.wire import ClockMapping
from sunward.signals.typical import ClimatologyForecaster, ClimatologySource
from sunward.sim.fleet import SimSite
from sunward.sim.memory import MemoryJournal, VirtualClock
from sunward.sim.naps import GRACE_MS, Naps
from sunward.sim.plan_checker import check_plan
from sunward.units import HOUR_MS, MINUTE_MS, PPM, SECOND_MS, ceil_to
from sunward.world.snapshot import Snapshot
from sunward.world.tick import is_flooded, take_new, take_tick

REPORT_MS = 5 * MINUTE_MS
PLAN_MS = 2 * SECOND_MS
"""Grid time between a snapshot and the commit of its plan: plans meet a world that has moved on."""

TAKEN_BACK_FRAC = 0.2
"""Share of the simulated curtailments that are lifted before their end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How often things go wrong, per simulated hour; all zero = a calm run."""

    agent_crashes_per_h: float = 0.0
    job_kills_per_h: float = 0.0
    service_restarts_per_h: float = 0.0
    owner_uses_per_h: float = 0.0
    """How often the owner of a site takes some of its containers for a while."""
    drains_per_h: float = 0.0
    """How often a site drains for a while."""
    curtailments_per_h: float = 0.0
    """How often a site is told to draw less for a while, at once or with notice; now and then it is taken back."""
    oversleeps_frac: float = 0.0
    """Share of the sleeps of machines from which they come back too late."""
    duplicate_frac: float = 0.0
    """Share of deliveries (reports, readings) that arrive twice."""
    loss_frac: float = 0.0
    """Share of deliveries that never arrive."""
    delay_ms_max: int = 0
    """Deliveries arrive up to so much later, hence out of order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is simulated."""

    start_ms: int
    hours: int
    sites: tuple[SiteSpec, ...]
    jobs: tuple[tuple[int, JobSpec], ...]
    """(submission time, job)."""
    rules: NetworkStarted
    rate: RateObserved
    deposits: tuple[Deposited, ...]
    faults: Faults = Faults()
    seed: int = 0
    naps: bool = False
    """Whether machines with nothing to do sleep as a whole."""
    report_ms: int = REPORT_MS
    """How often sites meter, store checkpoints and report."""
    keep_readings: bool = False
    """Whether the accepted batches are kept for a checker."""
    true_ms: Mapping[str, int] = field(default_factory=dict)
    """What jobs really take on their least reference GPUs, where it is not what they say; only their sites know it."""


@dataclass(slots=True)
class Tally:
    """What a run counted, for its checkers and its report."""

    plan_violations: list[str] = field(default_factory=list)
    crashes: int = 0
    kills: int = 0
    restarts: int = 0
    owner_uses: int = 0
    drains: int = 0
    curtailments: int = 0
    naps: int = 0
    woken: int = 0
    """Machines that a neighbour woke before their own alarm."""
    oversleeps: int = 0
    duplicates: int = 0
    losses: int = 0
    plans: int = 0
    plan_changes: int = 0
    """Times a later plan changed where or when a job runs that had a plan."""
    metered_j: int = 0
    """Joules that all counters gained inside accepted batches."""


class Simulation:
    """Drives the engine through virtual time until the scenario ends."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.journal = MemoryJournal()
        self.clock = VirtualClock(ClockMapping(machine_ms=scenario.start_ms, grid_ms=scenario.start_ms, speed=1))
        self.feeds = Feeds(ClimatologySource(), ClimatologyForecaster())
        self.tally = Tally()
        true_ms = {
            (str(job.job), count): scenario.true_ms[job.job] * PPM // job.speed_ppm(count)
            for _, job in scenario.jobs
            for count in job.counts
            if job.job in scenario.true_ms
        }
        self.sites: dict[str, SimSite] = {
            spec.site: SimSite(spec, scenario.start_ms, true_ms) for spec in scenario.sites
        }
        self._moments: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self._deliveries: Counter[tuple[str, str]] = Counter()
        self._planning = False
        self._placing = False
        self._received: dict[str, int] = {}
        self._accepted: list[Hashed] = []
        self.readings: list[ReadingBatch] = []
        self._sealed: dict[str, ReadingBatch] = {}
        self._timer_ms = -1
        self._naps = Naps(self)
        self.writer = Writer(State(), self.journal)
        self._recorded = State()
        """What the journal alone gave at the last restart."""
        self.commit([scenario.rules, ClockMapped(machine_ms=scenario.start_ms, grid_ms=scenario.start_ms, speed=1)])
        self.commit([scenario.rate, *scenario.deposits])
        self.commit([SiteEnrolled(spec=spec) for spec in scenario.sites])
        self.commit([AgentSeen(site=SiteId(name), boot=site.boot) for name, site in self.sites.items()])
        self._schedule_all()

    def stream(self, purpose: str, entity: str = "") -> np.random.Generator:
        """A stream of its own for one purpose and entity, so that another site never reshuffles this one."""
        words = np.frombuffer(f"{purpose}/{entity}".encode(), np.uint8).astype(np.uint32)
        return np.random.default_rng([self.scenario.seed, *words.tolist()])

    def at(self, at_ms: int, act: Callable[[], None]) -> None:
        """Do something at a moment; moments of equal time keep the order in which they were set."""
        self._number += 1
        heapq.heappush(self._moments, (at_ms, self._number, act))

    def every(self, step_ms: int, act: Callable[[], None]) -> None:
        """Do something again and again."""

        def again() -> None:
            act()
            self.at(self.now_ms + step_ms, again)

        self.at(ceil_to(self.now_ms + 1, step_ms), again)

    @property
    def now_ms(self) -> int:
        """Grid time."""
        return self.clock.grid_ms()

    @property
    def end_ms(self) -> int:
        """When the run ends."""
        return self.scenario.start_ms + self.scenario.hours * HOUR_MS

    def run(self) -> Tally:
        """Run to the end, then close the epoch."""
        while self._moments and self._moments[0][0] <= self.end_ms:
            at_ms, _, act = heapq.heappop(self._moments)
            self.clock.move_to(at_ms)
            act()
            self._arm_timer()
        self.clock.move_to(self.end_ms)
        self._deliver_all()
        self.commit([EpochRequested()])
        self.tally.plan_changes = self.writer.state.world.plan_changes
        return self.tally

    def commit(self, payloads: list[Payload], sealed: list[tuple[str, int, int]] | None = None) -> None:
        """Record payloads and act on their commands."""
        for outcome in self.writer.commit(self.now_ms, payloads, sealed or []):
            if outcome.refused is not None:
                raise outcome.refused
            for command in outcome.commands:
                self._act(command)

    def _act(self, command: Command) -> None:
        if isinstance(command, OrdersChanged):
            site = command.site
            self.at(self.now_ms + SECOND_MS, lambda: self.sync(site))
        elif isinstance(command, RequestPlan):
            self._request(command)

    def _request(self, request: RequestPlan) -> None:
        """New jobs are placed before anything else is planned."""
        fresh, flooded = bool(self.writer.state.world.fresh), is_flooded(self.writer.state.world)
        if fresh and not flooded and not self._placing:
            self._placing = True
            self.at(self.now_ms + SECOND_MS, self._place)
        if (is_for_all(request) or flooded) and not self._planning:
            self._planning = True
            self.at(self.now_ms + SECOND_MS + (2 * PLAN_MS if fresh else 0), self._plan)

    def _schedule_all(self) -> None:
        self._take_signals()
        self.every(HOUR_MS, self._take_signals)
        self.every(self.scenario.report_ms, self._report_all)
        for at_ms, spec in self.scenario.jobs:
            self.at(at_ms, lambda spec=spec: self.commit([JobsSubmitted(jobs=(spec,))]))  # type: ignore[misc]
        faults = self.scenario.faults
        for name in self.sites:
            self._draw("crash", name, faults.agent_crashes_per_h, lambda name=name: self._crash(name))  # type: ignore[misc]
            self._draw("kill", name, faults.job_kills_per_h, lambda name=name: self._kill(name))  # type: ignore[misc]
            self._draw("owner", name, faults.owner_uses_per_h, lambda name=name: self._owner_comes(name))  # type: ignore[misc]
            self._draw("drain", name, faults.drains_per_h, lambda name=name: self._drain(name))  # type: ignore[misc]
            self._draw("curtail", name, faults.curtailments_per_h, lambda name=name: self._curtail(name))  # type: ignore[misc]
        self._draw("restart", "", faults.service_restarts_per_h, self._restart)

    def _draw(self, purpose: str, entity: str, per_h: float, act: Callable[[], None]) -> None:
        if per_h <= 0:
            return
        gaps_h = self.stream(purpose, entity).exponential(1 / per_h, size=int(self.scenario.hours * per_h * 3) + 10)
        for at_h in np.cumsum(gaps_h):
            self.at(self.scenario.start_ms + int(at_h * HOUR_MS), act)

    def _take_signals(self) -> None:
        origins = {spec.origin_zone for _, spec in self.scenario.jobs}
        events = signal_events(self.writer.state.world, self.feeds, self.now_ms, origins)
        if events:
            self.commit(events)

    def _place(self) -> None:
        self._placing = False
        if self.writer.state.world.fresh and not is_flooded(self.writer.state.world):
            snapshot = take_new(self.writer.state.world, self.now_ms)
            self._propose(snapshot, place_event(snapshot))

    def _plan(self) -> None:
        self._planning = False
        if is_flooded(self.writer.state.world):
            # What is left of the new jobs then is placed one by one.
            self.at(self.now_ms + 2 * PLAN_MS, lambda: self._request(RequestPlan(reason=SUBMITTED)))
        snapshot = take_tick(self.writer.state.world, self.now_ms)
        if snapshot.jobs or snapshot.crowd is not None or self.writer.state.world.awake:
            self._propose(snapshot, plan_event(snapshot))

    def _propose(self, snapshot: Snapshot, proposed: PlanProposed) -> None:
        self.tally.plans += 1
        self.tally.plan_violations += check_plan(snapshot, proposed.plan)
        self.at(self.now_ms + PLAN_MS, lambda: self.commit([proposed]))

    def _arm_timer(self) -> None:
        due_ms = self.writer.state.next_due_ms
        if due_ms is not None and due_ms != self._timer_ms:
            self._timer_ms = due_ms
            self.at(max(due_ms, self.now_ms), self._fire)

    def _fire(self) -> None:
        self._timer_ms = -1
        due_ms = self.writer.state.next_due_ms
        if due_ms is not None and due_ms <= self.now_ms:
            self.commit([TimerFired()])

    def sync(self, name: str) -> None:
        """One poll of an agent: take orders, act, report."""
        site = self.sites[name]
        if not site.up or site.asleep:
            return
        wanted = orders(self.writer.state, SiteId(name))
        site.follow(wanted, self.now_ms)
        for call in wanted.wake:
            self._naps.wake(call.site)
        self._step(name)

    def _step(self, name: str) -> None:
        site = self.sites[name]
        if not site.up or site.asleep:
            return
        site.step(self.now_ms)
        self._send_reports(name)
        change_ms = site.next_change_ms(self.now_ms)
        if change_ms is not None:
            self.at(max(change_ms, self.now_ms + 1), lambda: self._step(name))

    def _send_reports(self, name: str) -> None:
        site = self.sites[name]
        boot, reports = site.boot, site.reports()
        self._deliver("report", name, lambda: self._hear(name, boot, reports))

    def _deliver(self, purpose: str, name: str, act: Callable[[], None]) -> None:
        """Over a network that may lose, delay and double; what was lost is said again with the next report."""
        faults = self.scenario.faults
        if faults.delay_ms_max == 0 and faults.duplicate_frac == 0 and faults.loss_frac == 0:
            act()
            return
        self._deliveries[purpose, name] += 1
        draw = self.stream(f"deliver-{purpose}-{self._deliveries[purpose, name]}", name)
        if faults.loss_frac and draw.random() < faults.loss_frac:
            self.tally.losses += 1
            return
        for _ in range(2 if draw.random() < faults.duplicate_frac else 1):
            self.at(self.now_ms + int(draw.integers(0, faults.delay_ms_max + 1)), act)

    def _hear(self, name: str, boot: str, reports: tuple[LeaseReport, ...]) -> None:
        site = self.sites[name]
        state = self.writer.state
        if boot != site.boot or not state.world.sites[name].up:
            return
        news = tuple(report for report in reports if is_news(state, report))
        payloads: list[Payload] = []
        if any(state.world.sites[name].power.get(one.pool) != one for one in site.power()):
            payloads.append(PowerReported(site=SiteId(name), pools=site.power()))
        if news:
            payloads.append(LeasesReported(site=SiteId(name), boot=boot, reports=news))
        if payloads:
            self.commit(payloads)

    def _report_all(self) -> None:
        for name, site in self.sites.items():
            if site.up and not site.asleep:
                site.step(self.now_ms)
                site.checkpoint()
                site.seal_minute(self.now_ms)
                self._send_reports(name)
                self._send_readings(name)
                if self.scenario.naps:
                    self._naps.consider(name)
        self._seal()

    def _send_readings(self, name: str) -> None:
        batches = list(self.sites[name].unsent)
        self._deliver("readings", name, lambda: self._ingest(name, batches))

    def _ingest(self, name: str, batches: list[Hashed]) -> None:
        """Accept what continues the chain; a second delivery finds nothing new."""
        for hash_, batch in batches:
            if batch.counter != self._received.get(name, 0) + 1:
                self.tally.duplicates += 1
                continue
            self._received[name] = batch.counter
            self._accepted.append((hash_, batch))
            if self.scenario.keep_readings:
                self.readings.append(batch)
            self.tally.metered_j += sum(span.end_j - span.start_j for span in batch.spans)
        site = self.sites[name]
        site.unsent = [(hash_, batch) for hash_, batch in site.unsent if batch.counter > self._received[name]]

    def _seal(self) -> None:
        if self._accepted:
            payload = seal_event(self.writer.state, "0", self._accepted, self._sealed)
            self._sealed.update((batch.site, batch) for _, batch in self._accepted)
            self._accepted = []
            self.commit([payload], sealed_ranges(payload))

    def _deliver_all(self) -> None:
        """At the end every outbox is emptied."""
        for name, site in self.sites.items():
            if site.up:
                site.seal_minute(self.now_ms)
            self._ingest(name, list(site.unsent))
        self._seal()

    def _crash(self, name: str) -> None:
        site = self.sites[name]
        if not site.up or site.asleep or self.now_ms >= self.end_ms:
            return
        self.tally.crashes += 1
        site.crash(self.now_ms)
        away_ms = int(self.stream(f"away-{self.now_ms}", name).integers(SECOND_MS, HOUR_MS))
        if away_ms > GRACE_MS:
            self.at(self.now_ms + GRACE_MS, lambda: self.lose(name))
        self.at(self.now_ms + away_ms, lambda: self._return(name))

    def lose(self, name: str) -> None:
        """The control plane gives a silent agent up."""
        if self.writer.state.world.sites[name].up:
            self.commit([AgentLost(site=SiteId(name))])

    def _return(self, name: str) -> None:
        site = self.sites[name]
        site.reboot(self.now_ms)
        self.commit([AgentSeen(site=SiteId(name), boot=site.boot)])
        self._send_readings(name)

    def _kill(self, name: str) -> None:
        site = self.sites[name]
        running = sorted(lease for lease, run in site.runs.items() if run.devices)
        if site.up and running:
            draw = self.stream(f"victim-{self.now_ms}", name)
            self.tally.kills += 1
            site.fail(running[int(draw.integers(len(running)))], self.now_ms)
            self._send_reports(name)

    def _owner_comes(self, name: str) -> None:
        """The owner uses some containers for minutes to hours, whoever works on them."""
        site = self.sites[name]
        free = sorted(set(site.devices) - site.kept)
        if not site.up or site.asleep or not free or self.now_ms >= self.end_ms:
            return
        draw = self.stream(f"owner-{self.now_ms}", name)
        taken = draw.choice(free, size=int(draw.integers(1, len(free) + 1)), replace=False).tolist()
        self.tally.owner_uses += 1
        site.keep(taken, self.now_ms)
        self._send_reports(name)
        self.at(self.now_ms + int(draw.integers(MINUTE_MS, 3 * HOUR_MS)), lambda: self._owner_goes(name, taken))

    def _owner_goes(self, name: str, taken: list[str]) -> None:
        self.sites[name].give_back(taken)
        if self.sites[name].up and not self.sites[name].asleep:
            self._send_reports(name)

    def _drain(self, name: str) -> None:
        """A site drains for minutes to hours."""
        if self.now_ms >= self.end_ms or self.writer.state.world.sites[name].draining:
            return
        self.tally.drains += 1
        self.commit([SiteDrained(site=SiteId(name), draining=True)])
        lasts_ms = int(self.stream(f"drained-{self.now_ms}", name).integers(MINUTE_MS, 3 * HOUR_MS))
        undone = SiteDrained(site=SiteId(name), draining=False)
        self.at(self.now_ms + lasts_ms, lambda: self.commit([undone]))

    def _curtail(self, name: str) -> None:
        """The grid asks a site to draw less, for minutes to hours, at once or hours ahead."""
        if self.now_ms >= self.end_ms:
            return
        self.tally.curtailments += 1
        draw = self.stream(f"curtailed-{self.now_ms}", name)
        start_ms = self.now_ms + max(0, int(draw.integers(-2 * HOUR_MS, 3 * HOUR_MS)))
        limit = Ceiling(
            ceiling=f"sim-{self.tally.curtailments}",
            start_ms=start_ms,
            end_ms=start_ms + int(draw.integers(MINUTE_MS, 4 * HOUR_MS)),
            ceiling_w=int(draw.integers(0, 4_000)),
            source="operator",
        )
        told = SiteCurtailed(site=SiteId(name), ceiling=limit)
        self.commit([told])
        if draw.random() < TAKEN_BACK_FRAC:
            self.at(int(draw.integers(self.now_ms, limit.end_ms)), lambda: self.commit([replace(told, cancelled=True)]))

    def _restart(self) -> None:
        """The control plane dies and comes back: its state is what the journal says."""
        self.tally.restarts += 1
        self.journal.claim_leadership()
        # What was recorded before the last restart was replayed then.
        self._recorded = replay(self.journal.read(self._recorded.world.sequence), self._recorded)
        self.writer = Writer(deepcopy(self._recorded), self.journal)
        self._timer_ms = -1
        self._planning = False
        self._placing = False
        self._act(RequestPlan(reason="restart"))
