"""Records that agents and the control plane exchange, the private content of a job, and the journal as it is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from sunward.model.site import LeaseReport, PoolPower, SiteOrders


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file that a job finds in its working folder."""

    path: str
    """Where, below the working folder."""
    sha256: str
    url: str = ""
    """`https://` or `s3://`; empty: an object that the tenant has put to /v1/objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContent:
    """What only the tenant and the provider of the lease may read; never journalled."""

    name: str
    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    setup: str = ""
    """Text of a requirements or lock file."""
    inputs: tuple[InputFile, ...] = ()
    outputs: tuple[str, ...] = ()
    """Globs below the working folder, kept as results beside the output folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockMapping:
    """Grid time = grid_ms + (machine − machine_ms) · speed."""

    machine_ms: int
    grid_ms: int
    speed: int

    def grid(self, machine_ms: int) -> int:
        """Grid time at a machine time."""
        return self.grid_ms + (machine_ms - self.machine_ms) * self.speed

    def machine(self, grid_ms: int) -> int:
        """First machine time at which grid time has reached `grid_ms`."""
        return self.machine_ms - (self.grid_ms - grid_ms) // self.speed


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """All that an agent knows: every lease it holds or has not yet had acknowledged as ended."""

    boot: str
    orders_version: int
    """Version of the orders it last took; the poll returns at once when newer ones exist."""
    wait_ms: int
    reports: tuple[LeaseReport, ...]
    power: tuple[PoolPower, ...]
    version: str = ""
    """Of the agent's sunward; empty from the first version, which did not say."""
    asleep_until_ms: int = 0
    """Grid time until which the machine is about to sleep; 0 = it is awake. It may sleep once the reply says so too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReply:
    """The orders, and the ended leases that need not be reported again."""

    clock: ClockMapping
    orders: SiteOrders
    settled: tuple[str, ...]
    version: str = ""
    """Of the control plane's sunward."""
    asleep_until_ms: int = 0
    """What was noted of the site's sleep; 0 = it counts as awake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeTrial:
    """A machine is about to sleep, to see whether its neighbours wake it; times are machine time."""

    mac: str
    lan: str
    after_s: int
    for_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """How many machines of the same owner are awake on the same network."""

    awake: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingsHead:
    """Where the readings of a site stand: the last batch that is held, none where the number is 0."""

    counter: int = 0
    hash: str = ""
    t1_ms: int = 0


NO_READINGS = ReadingsHead()


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalHead:
    """Where the journal stands; signed by the control plane so that a fork can be shown."""

    sequence: int
    hash: str
    term: int
    signature: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """One journal record, as docs/journal.md has it."""

    sequence: int
    previous: str
    hash: str
    term: int
    kind: str
    version: int
    at_ms: int
    body: str
    """Canonical JSON of the payload."""
    signature: str = ""
    """Of the control plane, over the head that this record was; hex."""
