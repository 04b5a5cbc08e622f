"""What the API says of one site to its owner and to others, and what an owner asks of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sunward.model.site import Ceiling, SiteSpec
from sunward.model.wire import JournalHead


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    """Containers of one pool, as the agent last counted them."""

    pool: str
    gpu_model: str
    count: int
    awake: int
    busy: int
    withheld: int
    """Kept by the owner for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLease:
    """An attempt that a site holds."""

    lease: str
    pool: str
    gpus: int
    state: str
    started_ms: int
    """Grid time; 0 = not yet."""
    units_done: int
    units: int
    can_pause: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteAccount:
    """What only the owner and the operator read."""

    leases: tuple[SiteLease, ...]
    unsealed: tuple[str, ...]
    """Ended leases whose readings are not all sealed."""
    earned_wei: str
    """The owner's balance, over all its sites; decimal text."""
    owed_usd_micro: int
    """The provider's part, at the shares of now, of metered work whose receipts are not final."""
    settles_ms: int
    """Grid time at which the present epoch closes by itself."""
    payout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStatus:
    """One site as it stands."""

    site: str
    zone: str
    country: str
    owner: str
    reachable: bool
    draining: bool
    left_ms: int
    """Grid time at which it left; 0 = it has not."""
    closed: bool
    """Whether it takes no work in this hour."""
    asleep_until_ms: int = 0
    """Grid time at which its machine wakes by itself; 0 = it is awake."""
    closed_hours_utc: tuple[int, ...]
    silent_ms: int | None
    """Machine time since its agent was last heard; null when it was not since the service started."""
    ask_usd_micro_per_gpu_h: int
    sleep: str
    wake_s: int
    gpu_year: int
    pools: tuple[PoolStatus, ...]
    leased_today_j: int
    """Facility energy of jobs sealed since the UTC day began, grid time."""
    idle_today_j: int
    account: SiteAccount | None
    power_ceiling_w: int = 0
    """Grid connection as declared; 0 = not stated."""
    ceilings: tuple[Ceiling, ...] = ()
    """What limits it further, now or later; for its owner and the operator only."""
    reading_faults: dict[str, int] = field(default_factory=dict)
    """Faults of its readings in the last thirty days of grid time, by name."""
    metered_ppm: int | None = None
    """Share of the last seven days' time and energy that its signed readings cover; null before the first day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainRequest:
    """Whether the site is to be emptied."""

    draining: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CeilingRequest:
    """What a site is to draw at most for a while."""

    kw: float
    """At the site's meter."""
    until_ms: int
    """Grid time."""
    start_ms: int = 0
    """Grid time; 0 = now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskRequest:
    """Terms to change; what is not named stays."""

    ask_usd_micro_per_gpu_h: int | None = None
    payout: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A site's new key, in the words of the one it follows."""

    public_key: str
    from_counter: int
    """Number of the first batch of readings that it signs."""
    signature: str
    """Of the old key over `sunward.model.site.key_bytes`, hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTaken:
    """A site's key and the first batch of readings that it signs."""

    public_key: str
    from_counter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What an agent declares of its site after it joined."""

    spec: SiteSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A site that has left, and what its owner is still owed."""

    site: str
    owed_usd_micro: int
    settles_ms: int
    journal: JournalHead
