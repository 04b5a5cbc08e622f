"""What the REST API says and takes of the reserve."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.reserve import Backing, CallEnded, ReserveRules


@dataclass(frozen=True, slots=True, kw_only=True)
class StressLine:
    """What one shock leaves of the reserve."""

    shock: str
    """`now`, `token`, `region`, `demand` or `all`."""
    dark: str
    """The zone that is out; empty: none."""
    fall_ppm: int
    """How far the token fell."""
    demand_factor: int
    value_usd_micro: int
    liability_usd_micro: int
    coverage_ppm: int | None
    """Null where nothing is owed."""
    asked: int
    """Containers that are called."""
    delivered: int
    """Of these, how many could be ready."""
    first_broken: str
    """The first promise whose cost nobody can bear; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StressTest:
    """The reserve as it is, after each shock alone, and after all of them."""

    at_ms: int
    floor_ppm: int
    lines: tuple[StressLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultRequestLine:
    """A deposit or an exit that waits for the close of an epoch."""

    number: int
    holder: str
    wei: int
    shares: int
    matures_ms: int
    """When an exit may take effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderLine:
    """What an account has in the vault."""

    holder: str
    shares: int
    worth_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveView:
    """The vault, what it covers, and the caller's own part of it."""

    rules: ReserveRules | None
    """Null where the network has no reserve."""
    held_wei: int
    usd_held_micro: int
    value_usd_micro: int
    liability_usd_micro: int
    coverage_ppm: int | None
    """Null where nothing is owed."""
    fell_ms: int
    """Since when coverage is below the floor; 0 = it is not."""
    penalties_usd_micro: int
    sold: int
    """Containers behind sold promises."""
    called: int
    """Of these, how many are called now."""
    holders: tuple[HolderLine, ...]
    """The caller's own; operator and auditor see all, as in the next."""
    requests: tuple[VaultRequestLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLine:
    """An open call or drill of a promise."""

    call: str
    kind: str
    containers: int
    asked_ms: int
    ready_ms: int
    until_ms: int
    ready: int
    """Containers that are ready now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseLine:
    """A promise, as far as the caller may see it."""

    promise: str
    gpu_model: str
    containers: int
    region: tuple[str, ...]
    start_ms: int
    end_ms: int
    notice_ms: int
    premium_usd_micro_per_h: int
    state: str
    """`offered` or `sold`."""
    owner: str
    """Who promised it; told to its two sides, operator and auditor, as all that follows."""
    tenant: str
    backing: tuple[Backing, ...]
    calls: tuple[CallLine, ...]
    last: CallEnded | None
    """How the last call or drill was met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsdRequest:
    """What the vault holds in USD."""

    usd_held_micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultDeposit:
    """ATH to put into the vault at the close of the epoch."""

    wei: int
    account: str = "tenant"
    """Which of the caller's accounts pays: `tenant` or `provider`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultExit:
    """Shares to take out of the vault."""

    shares: int
    account: str = "tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferRequest:
    """Containers to promise."""

    backing: tuple[Backing, ...]
    end_ms: int
    notice_ms: int
    premium_usd_micro_per_h: int
    start_ms: int = 0
    """0 = now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """Containers that are needed."""

    containers: int
    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRequest:
    """Whom to drill now."""

    owner: str
