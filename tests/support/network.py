"""A small network driven event by event: three sites, one tenant, flat signals, hand-made plans and readings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

from sunward.engine.orders import orders
from sunward.engine.state import State
from sunward.engine.writer import Outcome, Writer
from sunward.errors import InputError
from sunward.model.commands import Command
from sunward.model.datum import Quality, SeriesKind
from sunward.model.events import (
    AgentSeen,
    ClockMapped,
    Deposited,
    JobsSubmitted,
    LeasesReported,
    NetworkStarted,
    Payload,
    PlanProposed,
    RateObserved,
    ReadingsSealed,
    SignalObserved,
    SiteEnrolled,
    TimerFired,
)
from sunward.model.identity import JobId, PoolId, SiteId, ZoneId
from sunward.model.job import JobSpec, JobState
from sunward.model.plan import Assignment, AwakeTarget, Plan, PolicyInputs, ScoreTerms, Segment, ShadowPrice, Unplaced
from sunward.model.reading import LeaseSeals, SiteSeal
from sunward.model.signal import Observation
from sunward.model.site import LeaseReport, SiteOrders, SiteSpec
from sunward.sim.memory import MemoryJournal
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS
from tests.support.scenarios import SITES, START_MS, TENANT, WEI_PER_USD_MICRO

HYDRO = PoolId("no-hydro/H100-SXM")
SOLAR = PoolId("es-solar/A100-SXM-80GB")
COAL = PoolId("pl-coal/L40S")
DEPOSIT_WEI = 10**21
SLOT_MS = 15 * MINUTE_MS
FREE = ScoreTerms(energy=0, carbon=0, water=0, ask=0, transfer=0, wake=0, risk=0, shadow=0)


@cache
def flat_signals(hours: int = 96) -> SignalObserved:
    """100 g/kWh and 0.10 USD/kWh everywhere."""
    kinds = ((SeriesKind.CARBON_AVERAGE_LIFECYCLE, 100_000), (SeriesKind.PRICE, 100_000))
    return SignalObserved(
        observations=tuple(
            Observation(
                zone=ZoneId(zone),
                kind=kind,
                start_ms=START_MS,
                values=(value,) * hours,
                source="flat",
                quality=Quality.MODELLED,
            )
            for zone in ("DE", "ES", "NO-NO1", "PL")
            for kind, value in kinds
        )
    )


def assignment(job: str, *segments: Segment, revision: int = 0) -> Assignment:
    return Assignment(
        job=JobId(job),
        revision=revision,
        segments=segments,
        free_read=4,
        terms=FREE,
        energy_j=0,
        carbon_mg=0,
        reason="now",
        saves_ppm=0,
    )


def unplaced(job: str, *, revision: int = 0, permanent: bool = False) -> Unplaced:
    return Unplaced(job=JobId(job), revision=revision, reason="capacity", detail="none free", permanent=permanent)


def segment(pool: str, from_h: float, to_h: float, containers: int = 1) -> Segment:
    """A stretch in hours from the start of the scenario."""
    return Segment(
        pool=PoolId(pool),
        start_ms=START_MS + int(from_h * HOUR_MS),
        end_ms=START_MS + int(to_h * HOUR_MS),
        containers=containers,
    )


class Network:
    """The engine behind its writer, and a clock that only moves when told."""

    def __init__(self, *, sites: Iterable[SiteSpec] = SITES, epoch_ms: int = 7 * DAY_MS) -> None:
        self.journal = MemoryJournal()
        self.writer = Writer(State(), self.journal)
        self.at_ms = START_MS
        self._counters: dict[str, int] = {}
        sites = tuple(sites)
        self.tell(
            NetworkStarted(network="test", policy=PolicyInputs(slots=96), epoch_ms=epoch_ms),
            ClockMapped(machine_ms=START_MS, grid_ms=START_MS, speed=1),
            RateObserved(wei_per_usd_micro=WEI_PER_USD_MICRO, sources=("fixed",), quality=Quality.MODELLED),
            Deposited(tenant=TENANT, amount_wei=DEPOSIT_WEI),
            flat_signals(),
            *(SiteEnrolled(spec=spec) for spec in sites),
            *(AgentSeen(site=spec.site, boot=f"{spec.site}-1") for spec in sites),
        )

    @property
    def state(self) -> State:
        """The engine's state."""
        return self.writer.state

    def propose(self, payload: Payload) -> Outcome:
        """Commit one payload, refused or not."""
        return self.writer.commit(self.at_ms, [payload])[0]

    def tell(self, *payloads: Payload) -> list[Command]:
        """Commit payloads that must not be refused, and return all commands."""
        commands: list[Command] = []
        for payload in payloads:
            outcome = self.propose(payload)
            if outcome.refused is not None:
                raise outcome.refused
            commands += outcome.commands
        return commands

    def refusal(self, payload: Payload) -> InputError:
        """Why a payload is refused; that it leaves no trace is checked too."""
        head = self.journal.head()
        outcome = self.propose(payload)
        assert outcome.refused is not None
        assert (self.journal.head(), outcome.commands) == (head, ())
        return outcome.refused

    def wait(self, hours: float) -> list[Command]:
        """Let time pass and fire every timer on its moment."""
        commands: list[Command] = []
        until_ms = self.at_ms + int(hours * HOUR_MS)
        while (due_ms := self.state.next_due_ms) is not None and due_ms <= until_ms:
            self.at_ms = max(self.at_ms, due_ms)
            commands += self.tell(TimerFired())
        self.at_ms = until_ms
        return commands

    def submit(self, *jobs: JobSpec) -> list[Command]:
        """Submit a batch."""
        return self.tell(JobsSubmitted(jobs=jobs))

    def plan(
        self,
        *assignments: Assignment,
        leave: tuple[Unplaced, ...] = (),
        awake: tuple[AwakeTarget, ...] = (),
        planner: str = "hand",
        based_on: int = -1,
        prices: tuple[ShadowPrice, ...] = (),
    ) -> list[Command]:
        """Commit a hand-made plan; revisions given as 0 are read from the state."""
        read = tuple(
            replace(one, revision=self.number("revision", one.job)) if one.revision == 0 else one for one in assignments
        )
        left = tuple(replace(one, revision=self.number("revision", one.job)) for one in leave)
        plan = Plan(
            based_on=self.state.world.sequence if based_on < 0 else based_on,
            at_ms=self.at_ms,
            slot_ms=SLOT_MS,
            slots=96,
            planner=planner,
            assignments=read,
            unplaced=left,
            awake=awake,
            prices=prices,
        )
        return self.tell(PlanProposed(plan=plan))

    def report(
        self, lease: str, phase: str, *, units: int = 0, checkpoint: int = 0, site: str = "", **more: Any
    ) -> list[Command]:
        """One report of the agent that holds the lease."""
        leases = self.state.world.leases
        where = SiteId(site or leases.objects["site"][leases.row_of[lease]])
        one = LeaseReport(
            lease=lease,
            attempt=int(lease.rpartition(".")[2]),
            phase=phase,
            at_ms=self.at_ms,
            units=units,
            checkpoint_units=checkpoint,
            checkpoint=f"{checkpoint:064d}" if checkpoint else "",
            **more,
        )
        return self.tell(LeasesReported(site=where, boot=self.state.world.sites[where].boot, reports=(one,)))

    def seal(self, site: str, leases_j: Mapping[str, int] = MappingProxyType({}), **changes: Any) -> ReadingsSealed:
        """Commit a seal of one batch of a site up to now: joules and an hour by lease, and 50 J idle."""
        counter = self._counters[site] = self._counters.get(site, 0) + 1
        names = tuple(sorted(leases_j))
        amounts = tuple(leases_j[name] for name in names)
        payload = ReadingsSealed(
            shard="0",
            start_ms=self.at_ms,
            end_ms=self.at_ms,
            root="0" * 64,
            batches=1,
            sites=(
                SiteSeal(
                    site=site,
                    first_counter=counter,
                    last_counter=counter,
                    covered_to_ms=self.at_ms,
                    idle_gpu_j=50,
                    idle_host_j=0,
                    idle_overhead_j=0,
                    gap_ms=0,
                ),
            ),
            leases=LeaseSeals(
                lease=names,
                hour_ms=(START_MS,) * len(names),
                gpu_j=amounts,
                host_j=(0,) * len(names),
                overhead_j=(0,) * len(names),
                gpu_ms=(HOUR_MS,) * len(names),
            ),
        )
        payload = replace(payload, sites=(replace(payload.sites[0], **changes),))
        self.tell(payload)
        return payload

    def seal_all(self) -> None:
        """Cover every site up to now without leased energy."""
        for site in self.state.world.sites:
            self.seal(site)

    def job_state(self, job: str) -> JobState:
        """Where a job stands."""
        jobs = self.state.world.jobs
        return jobs.state(jobs.row_of[job])

    def number(self, name: str, job: str) -> int:
        """One figure of a job; 0 for a job that is not there."""
        jobs = self.state.world.jobs
        return int(jobs.ints[name][jobs.row_of[job]]) if job in jobs else 0

    def cell(self, name: str, job: str) -> object:
        """One object of a job."""
        jobs = self.state.world.jobs
        return jobs.objects[name][jobs.row_of[job]]

    def orders(self, site: str) -> SiteOrders:
        """The orders of a site."""
        return orders(self.state, SiteId(site))

    def balance(self, account: str) -> int:
        """What an account holds."""
        return self.state.ledger.balance(account)


Kind = TypeVar("Kind")


def of_kind(commands: Iterable[object], kind: type[Kind]) -> list[Kind]:
    return [command for command in commands if isinstance(command, kind)]
