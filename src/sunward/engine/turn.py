"""One turn of the engine: the state, the moment, and what is to be told to the shell."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from sunward.engine.state import State
from sunward.execution.machines import check_job_step
from sunward.model.commands import Command, JobChanged, OrdersChanged, PostEntries, RequestPlan
from sunward.model.identity import JobId, SiteId
from sunward.model.job import JobState
from sunward.model.ledger import Entry
from sunward.settlement.entries import Origin
from sunward.world import outlook
from sunward.world.asleep import neighbours
from sunward.world.state import World


@dataclass(slots=True)
class Turn:
    """Handlers of one event share it."""

    state: State
    at_ms: int
    commands: list[Command] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    sites: set[str] = field(default_factory=set)
    plan_reason: str = ""
    to_look_at: deque[str] = field(default_factory=deque)

    @property
    def world(self) -> World:
        """The world of this state."""
        return self.state.world

    def emit(self, command: Command) -> None:
        """Ask something of the shell."""
        self.commands.append(command)

    def orders_changed(self, site: str) -> None:
        """Say once per turn that a site has new orders, and those who can wake it with it."""
        self.sites.add(site)
        self.sites.update(other.spec.site for other in neighbours(self.world, site))

    def request_plan(self, reason: str) -> None:
        """Ask once per turn for a plan; the first reason is told."""
        self.plan_reason = self.plan_reason or reason

    def look_later(self, jobs: Sequence[str]) -> None:
        """Look at jobs before the turn ends: something they wait for may have come."""
        self.to_look_at.extend(jobs)

    def origin(self) -> Origin:
        """The cause of the next ledger entries."""
        return Origin(sequence=self.world.sequence, first=len(self.entries), epoch=self.state.epoch, at_ms=self.at_ms)

    def post(self, entries: Sequence[Entry]) -> None:
        """Post entries to the ledger and tell them."""
        for entry in entries:
            self.state.ledger.post(entry)
        self.entries.extend(entries)

    def move_job(
        self, job: str, then: JobState, reason: str, *, detail: str = "", site: str = "", exit_code: int | None = None
    ) -> None:
        """Take a job to another state; a final state puts it in line for its receipt."""
        jobs = self.world.jobs
        row = jobs.row_of[job]
        now = jobs.state(row)
        if now != then:
            check_job_step(job, now, then)
            jobs.ints["state"][row] = then
            jobs.ints["revision"][row] += 1
        jobs.ints["updated_ms"][row] = self.at_ms
        if then.final:
            jobs.ints["finished_ms"][row] = self.at_ms
            self._learn(row, then)
            self.world.give(job, ())
            self.world.fresh.discard(job)
            self.state.closing.append(job)
        self.emit(
            JobChanged(
                job=JobId(job),
                tenant=jobs.tenant(row),
                state=then.word,
                reason=reason,
                at_ms=self.at_ms,
                detail=detail,
                site=site,
                units=int(jobs.ints["units_done"][row]),
                exit_code=exit_code,
            )
        )

    def _learn(self, row: int, then: JobState) -> None:
        """Take in how long a job ran, and whether it ended as promised; nothing is promised to one that was refused."""
        finished = then is JobState.FINISHED
        if self.world.jobs.ints["attempts"][row]:
            outlook.learn(self.world, row, finished=finished)
        if then not in (JobState.REFUSED, JobState.CANCELLED):
            in_time = self.at_ms <= int(self.world.jobs.ints["deadline_ms"][row])
            outlook.judge(self.world, row, kept=finished and in_time)

    def finish(self) -> tuple[Command, ...]:
        """All commands of the turn in one fixed order."""
        if self.entries:
            self.emit(PostEntries(entries=tuple(self.entries)))
        for site in sorted(self.sites):
            self.emit(OrdersChanged(site=SiteId(site)))
        if self.plan_reason:
            self.emit(RequestPlan(reason=self.plan_reason))
        return tuple(self.commands)
