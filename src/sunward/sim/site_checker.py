"""What sites were asked to hold, checked from the journal alone: hours, drains, what owners keep, sleep, who has left.

A second author: no arithmetic is shared with the planner or the engine, and time is counted in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sunward.model.commands import Command, JobChanged, Rejected
from sunward.model.events import (
    AgentLost,
    AgentSeen,
    JobsSubmitted,
    PlanProposed,
    PowerReported,
    SiteAsleep,
    SiteDrained,
    SiteEnrolled,
    SiteLeft,
)
from sunward.model.plan import Plan, Segment
from sunward.model.reserve_events import PromiseCalled, PromiseOffered, PromiseSold
from sunward.ports import Recorded

SECOND = 1_000
HOUR = 3_600_000
HOURS = 24
HELD = ("staging", "running")
"""States in which a job holds containers."""


@dataclass(slots=True)
class _Facts:
    """What the events so far say of one site."""

    containers: dict[str, int]
    closed: tuple[int, ...]
    kept: dict[str, int] = field(default_factory=dict)
    draining: bool = False
    left: bool = False
    home: tuple[str, str] = ("", "")
    """Owner and local network."""
    wakes_ms: int | None = None
    """Latency after a neighbour's call; None where nobody can wake it."""
    up: bool = False
    slept_ms: int = 0
    until_ms: int = 0
    """Since when and until when its machine sleeps; 0 = it is awake."""


@dataclass(slots=True)
class _Ledger:
    """Sites, and which jobs hold how much of them."""

    sites: dict[str, _Facts] = field(default_factory=dict)
    gpus: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Least and most containers by job."""
    given: dict[str, tuple[Segment, ...]] = field(default_factory=dict)
    """What a plan gave each job last."""
    held: dict[str, int] = field(default_factory=dict)
    """Containers by job that holds any."""
    holds: dict[str, str] = field(default_factory=dict)
    """Site by job."""
    tenants: dict[str, str] = field(default_factory=dict)
    """By job."""
    promises: dict[str, PromiseOffered] = field(default_factory=dict)
    buyers: dict[str, str] = field(default_factory=dict)
    """By promise."""
    calls: list[tuple[str, str, int, int]] = field(default_factory=list)
    """Who called, at which site, from when and until when containers are theirs."""


def check_sites(records: Iterable[Recorded], projected: Mapping[tuple[int, int], Command]) -> list[str]:
    """Every offer and every plan taken in that a site had no room or no time for."""
    commands: dict[int, list[Command]] = {}
    for sequence, index in sorted(projected):
        commands.setdefault(sequence, []).append(projected[sequence, index])
    ledger = _Ledger()
    found: list[str] = []
    for record in records:
        _learn(ledger, record)
        faults = list(_orphans(ledger))
        faults += _lost_asleep(ledger, record)
        _wake_and_sleep(ledger, record)
        told = commands.get(record.sequence, [])
        if isinstance(record.event.payload, PlanProposed):
            refused = {str(one.job) for one in told if isinstance(one, Rejected)}
            faults += _plan(ledger, record.event.payload.plan, refused)
        for command in told:
            if isinstance(command, JobChanged):
                faults += _change(ledger, command)
        found += [f"record {record.sequence}: {fault}" for fault in faults]
    return found


def _learn(ledger: _Ledger, record: Recorded) -> None:
    match record.event.payload:
        case SiteEnrolled(spec=spec):
            known = ledger.sites.get(spec.site)
            facts = _Facts({pool.pool: pool.count for pool in spec.pools}, spec.closed_hours_utc)
            facts.home = (spec.owner, spec.lan)
            facts.wakes_ms = spec.wake_s * SECOND if spec.lan and spec.wake_mac else None
            if known is not None:
                facts.up, facts.slept_ms, facts.until_ms = known.up, known.slept_ms, known.until_ms
            if known is not None and not known.left:
                facts.kept, facts.draining = known.kept, known.draining
            ledger.sites[spec.site] = facts
        case SiteDrained(site=site, draining=draining):
            ledger.sites[site].draining = draining
        case SiteLeft(site=site):
            ledger.sites[site].left = True
        case PowerReported(site=site, pools=pools):
            ledger.sites[site].kept |= {one.pool: one.withheld for one in pools}
        case JobsSubmitted(jobs=jobs):
            ledger.gpus |= {spec.job: (spec.gpus, max(spec.gpus, spec.gpus_max)) for spec in jobs}
            ledger.tenants |= {spec.job: spec.tenant for spec in jobs}
        case PromiseOffered() | PromiseSold() | PromiseCalled():
            _learn_promise(ledger, record)
        case _:
            return


def _learn_promise(ledger: _Ledger, record: Recorded) -> None:
    match record.event.payload:
        case PromiseOffered() as offered:
            ledger.promises[offered.promise] = offered
        case PromiseSold(promise=promise, tenant=tenant):
            ledger.buyers[promise] = tenant
        case PromiseCalled(promise=promise, until_ms=until_ms):
            offered, from_ms = ledger.promises[promise], record.event.at_ms
            for one in offered.backing:
                site = one.pool.partition("/")[0]
                ledger.calls.append((ledger.buyers[promise], site, from_ms + offered.notice_ms, until_ms))
        case _:
            return


def _is_called(ledger: _Ledger, change: JobChanged) -> bool:
    """Whether whoever the job belongs to called containers there, so that no plan need have given it any."""
    return any(
        (tenant, site) == (ledger.tenants[change.job], change.site) and from_ms <= change.at_ms < until_ms
        for tenant, site, from_ms, until_ms in ledger.calls
    )


def _lost_asleep(ledger: _Ledger, record: Recorded) -> Iterator[str]:
    if isinstance(record.event.payload, AgentLost):
        site = record.event.payload.site
        if record.event.at_ms < ledger.sites[site].until_ms:
            yield f"{site} is given up at {record.event.at_ms}, it sleeps until {ledger.sites[site].until_ms}"


def _wake_and_sleep(ledger: _Ledger, record: Recorded) -> None:
    match record.event.payload:
        case SiteAsleep(site=site, until_ms=until_ms):
            facts = ledger.sites[site]
            facts.slept_ms, facts.until_ms = (record.event.at_ms if until_ms else 0), until_ms
        case AgentSeen(site=site):
            facts = ledger.sites[site]
            facts.up, facts.slept_ms, facts.until_ms = True, 0, 0
        case AgentLost(site=site) | SiteLeft(site=site):
            facts = ledger.sites[site]
            facts.up, facts.slept_ms, facts.until_ms = False, 0, 0
        case _:
            return


def _awake_from(ledger: _Ledger, facts: _Facts) -> int:
    """The first moment at which a machine that sleeps could be awake."""
    others = (one for one in ledger.sites.values() if one is not facts and one.home == facts.home)
    if facts.wakes_ms is None or not any(one.up and not one.until_ms for one in others):
        return facts.until_ms
    return min(facts.until_ms, facts.slept_ms + facts.wakes_ms)


def _orphans(ledger: _Ledger) -> Iterator[str]:
    for job, site in ledger.holds.items():
        if ledger.sites[site].left:
            yield f"{job} is held by {site}, which has left"


def _plan(ledger: _Ledger, plan: Plan, refused: set[str]) -> Iterator[str]:
    for assignment in plan.assignments:
        if assignment.job in refused:
            continue
        ledger.given[assignment.job] = assignment.segments
        least, most = ledger.gpus[assignment.job]
        for segment in assignment.segments:
            yield from (f"{assignment.job} {fault}" for fault in _booked(ledger, segment))
            if not least <= segment.containers <= most:
                yield f"{assignment.job} is planned on {segment.containers} containers, it takes {least} to {most}"


def _booked(ledger: _Ledger, segment: Segment) -> Iterator[str]:
    site = segment.pool.partition("/")[0]
    facts = ledger.sites[site]
    if facts.draining or facts.left:
        yield f"is planned on {site}, which takes no work"
    if facts.until_ms and segment.start_ms < _awake_from(ledger, facts):
        yield f"is planned on {site} at {segment.start_ms}, when it still sleeps"
    if segment.containers > facts.containers.get(segment.pool, 0):
        yield f"is planned on {segment.containers} containers of {segment.pool}"
    hours = range(segment.start_ms // HOUR, (segment.end_ms - 1) // HOUR + 1)
    closed = [hour % HOURS for hour in hours if hour % HOURS in facts.closed]
    if closed:
        yield f"is planned on {site} in hours {closed}, in which it is closed"


def _change(ledger: _Ledger, change: JobChanged) -> Iterator[str]:
    if change.state not in HELD:
        ledger.holds.pop(change.job, None)
        ledger.held.pop(change.job, None)
        return
    if change.state != "staging":
        return
    ledger.holds[change.job] = change.site
    facts = ledger.sites[change.site]
    if facts.draining or facts.left:
        yield f"{change.job} is offered to {change.site}, which takes no work"
    if facts.until_ms:
        yield f"{change.job} is offered to {change.site}, which sleeps"
    if change.at_ms // HOUR % HOURS in facts.closed:
        yield f"{change.job} is offered to {change.site} in an hour in which it is closed"
    present = [one for one in ledger.given.get(change.job, ()) if one.start_ms <= change.at_ms < one.end_ms]
    called = not present and _is_called(ledger, change)
    if not present and not called:
        yield f"{change.job} is offered to {change.site} at {change.at_ms}, where no plan has it then"
    ledger.held[change.job] = ledger.gpus[change.job][0] if called else sum(one.containers for one in present)
    held = sum(ledger.held[job] for job, site in ledger.holds.items() if site == change.site)
    room = sum(count - facts.kept.get(pool, 0) for pool, count in facts.containers.items())
    if held > room:
        yield f"{change.job} is offered to {change.site}, where {held} containers are held then and {room} are there"
