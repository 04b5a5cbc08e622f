"""The outside world as the engine's shells see it; one conformance suite per port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from sunward.model.challenge import BeaconValue
from sunward.model.commands import Command
from sunward.model.credits import CreditOrder, Offer, RegistryAnswer
from sunward.model.datum import SeriesKind
from sunward.model.events import Event
from sunward.model.identity import ZoneId
from sunward.model.records import FeedLine
from sunward.model.signal import Forecast, Observation
from sunward.model.site import LeaseOrder, PoolPower
from sunward.model.wire import JobContent, JournalHead
from sunward.signals.series import Series


class Clock(Protocol):
    """Two clocks (DESIGN §3): grid time may run faster, machine time never does."""

    def grid_ms(self) -> int:
        """Grid time now, ms since 1970 UTC."""

    def machine_ms(self) -> int:
        """Machine time now, ms since 1970 UTC."""


class SignalSource(Protocol):
    """Dated series of a zone."""

    def observe(self, zone: ZoneId, kind: SeriesKind, start_ms: int, end_ms: int) -> Series:
        """Values over `[start_ms, end_ms)`, hourly.

        Raises: SourceError when the source fails, InputError when the zone or time is unknown to it.
        """


class Forecaster(Protocol):
    """Forecasts from what was known at `issued_ms`."""

    def forecast(self, zone: ZoneId, kind: SeriesKind, issued_ms: int, hours: int) -> Forecast:
        """Hourly p10, p50, p90 for `hours` hours from the hour that holds `issued_ms`."""


class Beacon(Protocol):
    """Values that nobody who takes part in a draw could know before or choose."""

    def after(self, machine_ms: int) -> BeaconValue:
        """The first value that comes into the world after a moment.

        Raises: SourceError when it cannot be had (yet).
        """


class Retirement(Protocol):
    """A registry that retires carbon credits, or whoever does so at one for others."""

    name: str

    def offer(self, order: CreditOrder) -> Offer | RegistryAnswer:
        """What an order would cost, or why it cannot be had; nothing is bought by asking.

        Raises: SourceError when it cannot be asked.
        """

    def place(self, order: CreditOrder, reference: str) -> RegistryAnswer:
        """Have an order carried out, under the reference of its offer.

        Raises: SourceError when it is not known whether it was taken: then it is asked after, and not placed again.
        """

    def find(self, order: CreditOrder, reference: str) -> RegistryAnswer:
        """What became of an order that went out.

        Raises: SourceError when it cannot be asked.
        """


class LiveSignals(Protocol):
    """What live feeds have told so far: read from what is held, so no call waits for a network."""

    def covers(self, zone: ZoneId, kind: SeriesKind) -> bool:
        """Whether a feed tells this series."""

    def kinds(self, zone: ZoneId) -> tuple[SeriesKind, ...]:
        """The series that feeds tell of a zone."""

    def take_news(self) -> bool:
        """Whether more is held than when this was asked last."""

    def told(self, zone: ZoneId, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Observation, ...]:
        """Hours of [start_ms, end_ms) told as observed, in runs of one source and quality."""

    def expected(self, zone: ZoneId, kind: SeriesKind, start_ms: int, end_ms: int) -> tuple[Observation, ...]:
        """Hours of [start_ms, end_ms) as forecast last, in such runs."""

    def instead(self, zone: ZoneId, kind: SeriesKind, hour_ms: int, at_ms: int) -> Observation | None:
        """What counts for an hour that was not told; nothing while its value may still come.

        Raises: SourceError, InputError when nothing can stand in.
        """

    def issued_ms(self, zone: ZoneId, kind: SeriesKind) -> int:
        """When the newest forecast of a series was had; 0 for none."""

    def status(self, at_ms: int) -> tuple[FeedLine, ...]:
        """How every series stands."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as the journal holds it, with the commands it caused."""

    sequence: int
    previous: str
    hash: str
    term: int
    event: Event


class Journal(Protocol):
    """Append-only, hash-chained; append is compare-and-swap on (sequence, previous hash, term)."""

    def head(self) -> JournalHead:
        """Where the journal stands; sequence 0 and 64 zeros when empty."""

    def claim_leadership(self) -> JournalHead:
        """Begin a new term: from now on every append of an earlier leader fails."""

    def append(
        self,
        expected: JournalHead,
        events: Sequence[Event],
        commands: Sequence[tuple[Command, ...]],
        *,
        sealed: Sequence[tuple[str, int, int]] = (),
    ) -> JournalHead:
        """Record events, project their commands and mark the batches they seal, all or nothing.

        `sealed`: (site, first counter, last counter), each as a `ReadingsSealed` among the events names it.
        Raises: ConflictError when the head is not `expected` (another writer leads).
        """

    def read(self, after: int = 0) -> Iterator[Recorded]:
        """Recorded events with a sequence greater than `after`, in order."""


@dataclass(frozen=True, slots=True)
class Launch:
    """All that an executor needs to run one attempt."""

    order: LeaseOrder
    content: JobContent
    devices: tuple[str, ...]
    folder: Path
    """Holds `work/` (unpacked bundle), `checkpoint/`, `output/`; the executor adds `log`."""
    unit_ms_machine: float
    """Machine ms one unit takes at the modelled rate of these devices; 0 = do not pace."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Part of the environment that is written nowhere but where the job itself is started from."""
    environment: Path | None = None
    """A virtual environment whose programs come first, readable to the job; it lies outside the folder."""


@dataclass(frozen=True, slots=True)
class Run:
    """What an executor knows of one attempt."""

    lease: str
    running: bool
    exit_code: int | None
    units: int
    """From `$SUNWARD_PROGRESS`."""
    detail: str = ""


class Executor(Protocol):
    """Starts, suspends and watches attempts on the machines of one site."""

    sandboxed: bool

    def start(self, launch: Launch) -> None:
        """Start an attempt; starting the same lease twice does nothing."""

    def suspend(self, lease: str, grace_s: float) -> None:
        """Ask to checkpoint and stop: SIGTERM, grace on the machine clock, SIGKILL. Returns at once."""

    def stop(self, lease: str) -> None:
        """Kill at once."""

    def poll(self) -> tuple[Run, ...]:
        """Every attempt known, ended ones until `forget`."""

    def forget(self, lease: str) -> None:
        """Drop what is kept of an ended attempt."""


class PowerSwitch(Protocol):
    """Wakes and sleeps containers as far as the machine can."""

    def set_awake(self, pool: str, count: int, at_ms: int) -> None:
        """Ask for a number of awake containers."""

    def states(self, at_ms: int) -> tuple[PoolPower, ...]:
        """Containers by power state now."""


class Meter(Protocol):
    """Cumulative energy counters."""

    quality: str

    def read(self, at_ms: int) -> dict[str, int]:
        """Cumulative joules per device id, `host`, and `meter` where the site has one.

        Raises: SourceError when a counter cannot be read; never a zero in its place.
        """


class ObjectStore(Protocol):
    """Content-addressed bytes."""

    def put(self, source: BinaryIO) -> str:
        """Store and return the SHA-256, hex."""

    def open(self, digest: str) -> BinaryIO:
        """Read what was stored. Raises: NotFoundError."""

    def has(self, digest: str) -> bool:
        """Whether it is stored."""

    def remove(self, digests: Iterable[str]) -> None:
        """Erase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What a transaction costs now, wei for a unit of gas."""

    base_wei: int
    tip_wei: int

    @property
    def most_wei(self) -> int:
        """What to offer at most: twice the base fee lets a transaction wait for a dearer block."""
        return 2 * self.base_wei + self.tip_wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What is to be signed; no `to` makes a contract."""

    chain_id: int
    nonce: int
    to: str
    data: bytes
    gas: int
    max_fee_wei: int
    """The most a unit of gas may cost, tip included."""
    tip_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A transaction that only has to be sent."""

    raw: bytes
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """A transaction that stands in a block of the chain as it is now; a re-organisation may take it out again."""

    hash: str
    block: int
    succeeded: bool
    gas_used: int
    contract: str = ""
    """The address it made, if it made one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLog:
    """An event that a contract emitted."""

    contract: str
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    transaction: str


class Chain(Protocol):
    """An EVM chain. Addresses are `0x` and 40 lower-case hex digits, hashes likewise with 64.

    Every call raises SourceError when the chain cannot be asked.
    """

    @property
    def chain_id(self) -> int:
        """Which chain it is."""

    def height(self) -> int:
        """Number of the newest block."""

    def next_nonce(self, address: str) -> int:
        """How many transactions of an address are in blocks."""

    def balance(self, address: str) -> int:
        """What an address may spend on gas, wei of the chain's own coin."""

    def fees(self) -> Fees:
        """What gas costs now."""

    def gas(self, sender: str, to: str, data: bytes) -> int:
        """What a transaction would use; no `to` makes a contract.

        Raises: ChainRefusedError when it would fail.
        """

    def send(self, raw: bytes) -> None:
        """Hand over a signed transaction; one that is known already, or in a block, is no fault."""

    def mined(self, transaction: str) -> Mined | None:
        """What became of a transaction; nothing while no block holds it."""

    def read(self, to: str, data: bytes) -> bytes:
        """The answer of a contract's view. Raises: ChainRefusedError."""

    def logs(self, contract: str, topic: bytes, first_block: int, last_block: int) -> tuple[ChainLog, ...]:
        """Events of a kind in blocks, both ends included, in order."""
