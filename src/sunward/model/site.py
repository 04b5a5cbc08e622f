"""What a provider declares of a site, and what an agent reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sunward.model.challenge import ChallengeOrder
from sunward.model.datum import Quality
from sunward.model.hardware import Admission, WorkClass
from sunward.model.identity import PoolId, SiteId, TenantId, ZoneId
from sunward.model.place import AnchorCall


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """All containers of one GPU model at one site."""

    pool: PoolId
    gpu_model: str
    """A key of the hardware catalogue."""
    count: int
    devices: tuple[str, ...]
    """Device ids, one per container."""


class Sleep(StrEnum):
    """The deepest idle state that a site proved; a plan saves no more than that."""

    NONE = "none"
    """Always on."""
    GPU_IDLE = "gpu_idle"
    """Only the GPUs idle: nothing is saved, and nothing has to wake."""
    SUSPEND = "suspend"
    """To memory."""
    OFF = "off"


WAKE_S = 90
"""Seconds from asleep to ready of a server that suspends to memory; modelled, between resume and a cold boot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredKey:
    """A key that signed a site's readings up to a batch."""

    public_key: str
    last_counter: int
    """Number of the last batch that it may sign."""
    signature: str
    """Of this key over `key_bytes` of the next one, hex; empty where the key was lost and the owner joined anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSpec:
    """One electricity meter in one zone, as enrolled."""

    site: SiteId
    owner: TenantId
    """The provider's account."""
    zone: ZoneId
    country: str
    """ISO 3166-1 alpha-2."""
    cooling: str
    """A key of the cooling catalogue."""
    overhead_ppm: int
    """Facility energy over IT energy, times a million; >= 1,000,000."""
    overhead_quality: Quality
    water_ml_per_kwh: int
    """Site water per kWh of IT energy."""
    ask_usd_micro_per_gpu_h: int
    admission: Admission
    pools: tuple[PoolSpec, ...]
    public_key: str
    """Ed25519 key that signs the readings, 64 hex digits."""
    power_ceiling_w: int = 0
    """Grid connection of the site; 0 = not stated."""
    closed_hours_utc: tuple[int, ...] = ()
    """Hours of the UTC day, 0 to 23, in which the site takes no work."""
    wake_s: int = WAKE_S
    """Seconds of grid time from asleep to ready."""
    sleep: Sleep = Sleep.SUSPEND
    """A declaration without it is older than the proof; it counts as planned at that time."""
    asleep_w: int = 0
    """IT watts of the whole site with every container asleep, measured; 0 = not, then the catalogue's figure counts."""
    payout: str = ""
    """Address to pay, 0x and 40 hex digits; empty = the owner's account alone."""
    gpu_year: int = 0
    """Year of first use as declared; 0 = not stated. Without evidence the devices count as new either way."""
    lan: str = ""
    """Opaque name of the local network the machine is on, the same for all agents on it; empty = not stated."""
    wake_mac: str = ""
    """Address of the network card by which a neighbour on that network wakes it, as was proved; empty = it cannot."""
    retired_keys: tuple[RetiredKey, ...] = ()
    """Keys that signed before `public_key`, oldest first."""
    power_caps: bool = False
    """Its driver lets the agent limit the power of a leased GPU, as was tried when the agent started."""

    def key_at(self, counter: int) -> str:
        """The key that signs the batch of a number."""
        return next((one.public_key for one in self.retired_keys if counter <= one.last_counter), self.public_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """Facility watts that a site may draw at most during `[start_ms, end_ms)`, grid time: a grid event or own use."""

    ceiling: str
    """Its name at the site; told again under the same name, it replaces what was told before."""
    start_ms: int
    end_ms: int
    ceiling_w: int
    source: str
    """Who lowered it: `operator`, `provider`, or a feed."""


def key_bytes(site: str, old_public: str, new_public: str, from_counter: int) -> bytes:
    """What a site's retiring key signs of the one that signs its readings from a batch on."""
    return f"sunward-site-key/1\n{site}\n{old_public}\n{new_public}\n{from_counter}\n".encode("ascii")


class Phase:
    """Phases of a lease as an agent reports them, in order."""

    ACCEPTED = "accepted"
    WAKING = "waking"
    RUNNING = "running"
    SUSPENDED = "suspended"
    FINISHED = "finished"
    FAILED = "failed"


PHASE_ORDER = (Phase.ACCEPTED, Phase.WAKING, Phase.RUNNING, Phase.SUSPENDED, Phase.FINISHED, Phase.FAILED)
FINAL_PHASES = frozenset({Phase.SUSPENDED, Phase.FINISHED, Phase.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseReport:
    """What an agent saw of one lease; sent again until acknowledged, so reports are level, not edge."""

    lease: str
    attempt: int
    phase: str
    at_ms: int
    """Grid time of the change of phase."""
    units: int
    """Units of work done so far, counted over all attempts."""
    checkpoint_units: int
    """Units held by the newest checkpoint that is safely stored."""
    checkpoint: str
    """SHA-256 of that checkpoint's archive, or empty."""
    devices: tuple[str, ...] = ()
    exit_code: int | None = None
    output: str = ""
    """SHA-256 of the output archive, set when the attempt has ended by itself."""
    detail: str = ""
    """One line for the tenant; never private content."""
    timed_out: bool = False
    """It was stopped because the job's run time was used up."""
    checkpoint_bytes: int = 0
    """Size of the newest stored checkpoint's archive, by the agent's word; 0 = not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPower:
    """Containers of a pool by power state, as the agent sees them."""

    pool: PoolId
    asleep: int
    waking: int
    idle: int
    busy: int
    withheld: int = 0
    """Containers that the owner keeps for itself now, whatever they draw: own use, quiet hours, heat, a fault.

    They stand among the states above as well. Leases that still run count against what is left: an agent that
    withholds a leased container suspends that lease by itself and reports it so.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseOrder:
    """What should be true of one lease at an agent."""

    lease: str
    job: str
    attempt: int
    pool: PoolId
    gpus: int
    action: str
    """`run`, `suspend` (checkpoint, then stop) or `stop`."""
    bundle: str
    """SHA-256 of the job's packed working folder, or empty."""
    checkpoint: str
    """SHA-256 of the checkpoint to restore, or empty."""
    checkpoint_units: int
    units: int
    unit_ms_grid: int
    """Grid milliseconds one unit takes on this pool by the estimate."""
    power_cap_w: int
    """0 = none."""
    work_class: WorkClass = WorkClass.GENERIC
    """What the modelled meter takes the devices' power from."""
    timeout_ms: int = 0
    """Run time left to the job, grid time: when this attempt has used it, it is stopped and fails. 0 = no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwakeOrder:
    """How many containers of a pool should be awake now."""

    pool: PoolId
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeCall:
    """A machine of the same owner on the same local network that should be woken."""

    site: SiteId
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteOrders:
    """All that should be true at one site now; an agent reconciles towards it and forgets nothing else."""

    site: SiteId
    version: int
    """Sequence of the last journal event taken into account."""
    leases: tuple[LeaseOrder, ...]
    awake: tuple[AwakeOrder, ...]
    asleep_until_ms: int = 0
    """Grid time at which containers must be ready again by the present plan; 0 = none is planned."""
    wake: tuple[WakeCall, ...] = ()
    """Neighbours to wake, again and again until they are no longer named."""
    challenges: tuple[ChallengeOrder, ...] = ()
    """What the site should prove of its devices."""
    anchors: tuple[AnchorCall, ...] = ()
    """Who waits for its key to answer."""
