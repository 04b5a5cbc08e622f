"""The state of the world: everything the events so far amount to, except money."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from sunward.errors import InvariantError
from sunward.model.datum import Quality
from sunward.model.events import NetworkStarted
from sunward.model.hardware import WorkClass
from sunward.model.identity import LeaseId, SiteId
from sunward.model.job import LeaseState
from sunward.model.plan import AwakeTarget, Segment
from sunward.model.reading import LeaseSeals, SiteSeal
from sunward.model.site import Ceiling, PoolPower, PoolSpec, SiteSpec
from sunward.model.wire import ClockMapping
from sunward.units import DAY_MS, PPM, floor_to
from sunward.world.arrivals import ArrivalBook
from sunward.world.bookings import OpenRows, Steps
from sunward.world.challenges import ChallengeBook
from sunward.world.closed import ClosedLines
from sunward.world.jobs import JobTable
from sunward.world.lengths import LengthBook
from sunward.world.places import PlaceBook
from sunward.world.power import lease_rate
from sunward.world.readings import ReadingsBook
from sunward.world.reserve import ReserveBook
from sunward.world.served import ServedBook
from sunward.world.shadows import ShadowBook
from sunward.world.signalbook import SignalBook
from sunward.world.table import Table
from sunward.world.trust import TrustBook

LEASE_INTS = (
    "state",
    "attempt",
    "gpus",
    "offered_ms",
    "offered_sequence",
    "ask_usd_micro",
    "started_ms",
    "ended_ms",
    "units",
    "from_units",
    "power_cap_w",
    "run_ms",
    "quality",
    "uncertainty_ppm",
)
QUALITIES = tuple(Quality)
"""Best first; a lease keeps the worst quality of its readings as an index into this."""
LEASE_OBJECTS = ("job", "site", "pool", "reason", "detail", "seals")
ENERGY_INTS = ("hour_ms", "gpu_j", "host_j", "overhead_j", "gpu_ms")


@dataclass(slots=True)
class Site:
    """A site with what its agent last said."""

    spec: SiteSpec
    enrolled_ms: int = 0
    up: bool = False
    boot: str = ""
    power: dict[str, PoolPower] = field(default_factory=dict)
    covered_to_ms: int = 0
    """End of the last sealed batch."""
    last_counter: int = 0
    idle_j: int = 0
    """Facility energy of this epoch that served no job."""
    gap_ms: int = 0
    faults: int = 0
    day_ms: int = 0
    """UTC day of the last seal, and the facility energy sealed in it."""
    day_leased_j: int = 0
    day_idle_j: int = 0
    draining: bool = False
    """No new work is offered to it."""
    left_ms: int = 0
    """When it left the network; 0 = it has not."""
    withheld_ms: dict[str, int] = field(default_factory=dict)
    """By pool, since when its owner withholds any of it."""
    asleep_until_ms: int = 0
    """Its machine sleeps and is ready again by itself then; 0 = it is awake."""
    called_ms: int = 0
    """Since when a neighbour should wake it; 0 = nobody should."""
    ceilings: dict[str, Ceiling] = field(default_factory=dict)
    """Limits on its power that are in force or to come, by name."""


@dataclass(slots=True)
class World:
    """Columnar tables of jobs, leases and energy; small records for sites."""

    sequence: int = 0
    at_ms: int = 0
    rules: NetworkStarted | None = None
    clock: ClockMapping | None = None
    wei_per_usd_micro: int = 0
    sites: dict[str, Site] = field(default_factory=dict)
    jobs: JobTable = field(default_factory=JobTable)
    leases: Table = field(default_factory=lambda: Table(LEASE_INTS, LEASE_OBJECTS))
    energy: Table = field(default_factory=lambda: Table(ENERGY_INTS, ("lease",)))
    """One row per lease and hour, keyed `lease@hour_ms`."""
    hours_of: dict[str, list[str]] = field(default_factory=dict)
    """Keys of the energy rows of each lease."""
    signals: SignalBook = field(default_factory=SignalBook)
    closed: ClosedLines = field(default_factory=ClosedLines)
    lengths: LengthBook = field(default_factory=LengthBook)
    arrivals: ArrivalBook = field(default_factory=ArrivalBook)
    shadows: ShadowBook = field(default_factory=ShadowBook)
    trust: TrustBook = field(default_factory=TrustBook)
    challenges: ChallengeBook = field(default_factory=ChallengeBook)
    places: PlaceBook = field(default_factory=PlaceBook)
    readings: ReadingsBook = field(default_factory=ReadingsBook)
    served: ServedBook = field(default_factory=ServedBook)
    reserve: ReserveBook = field(default_factory=ReserveBook)
    awake: dict[str, tuple[AwakeTarget, ...]] = field(default_factory=dict)
    on_pool: dict[str, set[str]] = field(default_factory=dict)
    """Open leases of each pool."""
    held: dict[str, int] = field(default_factory=dict)
    """Containers of each pool held by open leases."""
    open_rows: dict[str, OpenRows] = field(default_factory=dict)
    """Open leases of each pool as rows."""
    booked: dict[str, Steps] = field(default_factory=dict)
    """Containers of each pool that jobs were given; not those of jobs that run and cannot be paused."""
    bookers: dict[str, set[int]] = field(default_factory=dict)
    """By pool, rows of the jobs that have containers booked there."""
    visiting: dict[str, set[int]] = field(default_factory=dict)
    """By pool, rows of jobs that were given containers there and run on another pool; this pool has them booked."""
    fresh: set[str] = field(default_factory=set)
    """Submitted jobs that no planner has answered for yet."""
    added_awake: list[tuple[int, tuple[AwakeTarget, ...]]] = field(default_factory=list)
    """What plans that only add have asked to be awake, by their sequence, until a full plan has seen it."""
    late_j: int = 0
    """Energy sealed for leases whose receipt was final already; told, never spread over others."""
    plan_changes: int = 0
    """How often a later plan changed where or when a job runs that had a plan; a last run that ends later apart."""

    @property
    def network(self) -> NetworkStarted:
        """The rules of the network."""
        if self.rules is None:
            raise InvariantError("the journal does not begin with network_started")
        return self.rules

    def pool(self, pool: str) -> PoolSpec | None:
        """The declared pool, if its site is enrolled."""
        site = self.sites.get(pool.partition("/")[0])
        if site is None:
            return None
        return next((spec for spec in site.spec.pools if spec.pool == pool), None)

    def pools(self) -> list[tuple[SiteSpec, PoolSpec]]:
        """All pools of the sites that have not left, in order of pool id."""
        found = [(site.spec, pool) for site in self.sites.values() if not site.left_ms for pool in site.spec.pools]
        return sorted(found, key=lambda pair: pair[1].pool)

    def busy(self, pool: str) -> int:
        """Containers of a pool held by open leases."""
        return self.held.get(pool, 0)

    def open_leases(self, site: str) -> list[str]:
        """Open leases at a site, in order."""
        spec = self.sites[site].spec
        return sorted(lease for pool in spec.pools for lease in self.on_pool.get(pool.pool, ()))

    def open_lease(self, lease: LeaseId, job: str, attempt: int, site: SiteId, segment: Segment) -> int:
        """Record a lease offered for a segment and return its row."""
        pool, gpus, cap_w = segment.pool, segment.containers, segment.power_cap_w
        row = self.leases.add(lease)
        ints, objects = self.leases.ints, self.leases.objects
        ints["state"][row] = LeaseState.OFFERED
        ints["attempt"][row] = attempt
        ints["gpus"][row] = gpus
        ints["offered_ms"][row] = self.at_ms
        ints["offered_sequence"][row] = self.sequence
        ints["ask_usd_micro"][row] = self.sites[site].spec.ask_usd_micro_per_gpu_h
        ints["power_cap_w"][row] = cap_w
        ints["run_ms"][row] = self._run_ms(self.jobs.row_of[job], pool, gpus, cap_w)
        objects["job"][row] = job
        objects["site"][row] = site
        objects["pool"][row] = pool
        objects["reason"][row] = ""
        objects["detail"][row] = ""
        objects["seals"][row] = ()
        self.on_pool.setdefault(pool, set()).add(lease)
        self.held[pool] = self.held.get(pool, 0) + gpus
        self.open_rows.setdefault(pool, OpenRows()).add(row, self.jobs.row_of[job])
        self._take_up(job, lease)
        return row

    def lift_cap(self, lease: str) -> None:
        """Let a lease run without its power limit from now on; its job's plan says the same."""
        row = self.leases.row_of[lease]
        job, pool = self.leases.objects["job"][row], self.leases.objects["pool"][row]
        gpus = int(self.leases.ints["gpus"][row])
        self.leases.ints["power_cap_w"][row] = 0
        self.leases.ints["run_ms"][row] = self._run_ms(self.jobs.row_of[job], pool, gpus, 0)
        given = self.jobs.objects["segments"][self.jobs.row_of[job]]
        self.give(job, tuple(replace(one, power_cap_w=0) if one.pool == pool else one for one in given))

    def _run_ms(self, job_row: int, pool: str, gpus: int, cap_w: int) -> int:
        """Grid time that the whole job takes on so many containers of a pool, under a power limit."""
        work_class = WorkClass(self.jobs.words[self.jobs.ints["work_class"][job_row]])
        rate = lease_rate(pool.partition("/")[2], work_class, cap_w)
        speed = self.jobs.speed_ppm(job_row, gpus) / PPM
        return math.ceil(int(self.jobs.ints["length_ms"][job_row]) / (rate * speed))

    def close_lease(self, lease: str, reason: str, at_ms: int) -> None:
        """Record the end of a lease; its row stays until the job's receipt is final."""
        row = self.leases.row_of[lease]
        self.leases.ints["state"][row] = LeaseState.CLOSED
        self.leases.ints["ended_ms"][row] = at_ms
        self.leases.objects["reason"][row] = reason
        pool = self.leases.objects["pool"][row]
        self.on_pool[pool].discard(lease)
        self.held[pool] -= int(self.leases.ints["gpus"][row])
        self.open_rows[pool].remove(row)
        self._take_up(self.leases.objects["job"][row], "")

    def give(self, job: str, segments: tuple[Segment, ...]) -> None:
        """Replace what a job was given by a plan."""
        row = self.jobs.row_of[job]
        self._count(row, -1)
        self.jobs.objects["segments"][row] = segments
        self.jobs.ints["given_first_end_ms"][row] = min((segment.end_ms for segment in segments), default=0)
        self.jobs.ints["given_last_end_ms"][row] = max((segment.end_ms for segment in segments), default=0)
        self._count(row, 1)

    def booked_segments(self, row: int) -> tuple[Segment, ...]:
        """What is booked for a job; one that runs and cannot be paused holds its container, whatever it was given."""
        lease = self.jobs.objects["lease"][row]
        return () if lease and not self.jobs.ints["interruptible"][row] else self.jobs.objects["segments"][row]

    def _take_up(self, job: str, lease: str) -> None:
        row = self.jobs.row_of[job]
        self._count(row, -1)
        self.jobs.objects["lease"][row] = lease
        self._count(row, 1)

    def _count(self, row: int, sign: int) -> None:
        """Keep `booked` and `visiting` in step with the segments and the lease of one job."""
        segments, lease = self.booked_segments(row), self.jobs.objects["lease"][row]
        if not segments:
            return
        slot_ms = self.network.policy.slot_ms
        here = self.leases.objects["pool"][self.leases.row_of[lease]] if lease else ""
        for segment in segments:
            self.booked.setdefault(segment.pool, Steps()).book(segment, slot_ms, sign * segment.containers)
            bookers = self.bookers.setdefault(segment.pool, set())
            (bookers.add if sign > 0 else bookers.discard)(row)
            if lease and segment.pool != here:
                visitors = self.visiting.setdefault(segment.pool, set())
                (visitors.add if sign > 0 else visitors.discard)(row)

    def index(self) -> None:
        """Make anew what follows from the tables, once they are loaded."""
        self.held, self.open_rows, self.booked, self.bookers, self.visiting = {}, {}, {}, {}, {}
        for pool, leases in self.on_pool.items():
            rows = self.leases.rows(leases)
            self.held[pool] = sum(int(self.leases.ints["gpus"][row]) for row in rows)
            self.open_rows[pool] = OpenRows()
            for row in rows:
                self.open_rows[pool].add(row, self.jobs.row_of[self.leases.objects["job"][row]])
        for row in self.jobs.row_of.values():
            self._count(row, 1)
        self.fresh = {job for job, row in self.jobs.row_of.items() if self.jobs.is_fresh(row)}

    def add_energy(self, seals: LeaseSeals, sequence: int) -> None:
        """Add sealed totals to their leases; what belongs to no known lease is kept as late energy."""
        table, leases = self.energy, self.leases.row_of
        rows: list[int] = []
        taken: list[int] = []
        for index, (lease, hour_ms) in enumerate(zip(seals.lease, seals.hour_ms, strict=True)):
            if lease not in leases:
                self.late_j += seals.gpu_j[index] + seals.host_j[index] + seals.overhead_j[index]
                continue
            key = f"{lease}@{hour_ms}"
            row = table.row_of.get(key)
            if row is None:
                row = table.add(key)
                table.ints["hour_ms"][row] = hour_ms
                table.objects["lease"][row] = lease
                self.hours_of.setdefault(lease, []).append(key)
            rows.append(row)
            taken.append(index)
            known = self.leases.objects["seals"]
            if sequence not in known[leases[lease]]:
                known[leases[lease]] = (*known[leases[lease]], sequence)
        for name in ("gpu_j", "host_j", "overhead_j", "gpu_ms"):
            # A lease and hour may stand in several rows of one seal: `add.at` adds each of them.
            np.add.at(table.ints[name], rows, np.asarray(getattr(seals, name), np.int64)[taken])

    def seal_site(self, seal: SiteSeal, leased_j: int) -> None:
        """Record where a site's chain of batches stands, what was idle and what its leases used."""
        site = self.sites[seal.site]
        idle_j = seal.idle_gpu_j + seal.idle_host_j + seal.idle_overhead_j + seal.unmetered_j
        if site.day_ms != floor_to(self.at_ms, DAY_MS):
            site.day_ms, site.day_leased_j, site.day_idle_j = floor_to(self.at_ms, DAY_MS), 0, 0
        site.day_leased_j += leased_j
        site.day_idle_j += idle_j
        site.covered_to_ms = max(site.covered_to_ms, seal.covered_to_ms)
        site.last_counter = seal.last_counter
        site.idle_j += idle_j
        site.gap_ms += seal.gap_ms
        site.faults += len(seal.faults)

    def forget_job(self, job: str) -> None:
        """Remove a job, its leases and its energy, once its receipt is final."""
        row = self.jobs.row_of[job]
        attempts = int(self.jobs.ints["attempts"][row])
        for attempt in range(1, attempts + 1):
            lease = f"{job}.{attempt}"
            for key in self.hours_of.pop(lease, ()):
                self.energy.remove(key)
            if lease in self.leases:
                self.leases.remove(lease)
        self.jobs.remove(job)
