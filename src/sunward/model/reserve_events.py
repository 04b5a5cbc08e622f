"""What happens to the reserve, as recorded in the journal; docs/settlement.md."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.challenge import BeaconValue
from sunward.model.identity import TenantId
from sunward.model.reserve import Backing, ReserveRules


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRulesSet:
    """How the reserve works from now on, whole."""

    rules: ReserveRules


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveUsdTold:
    """What the vault holds in USD beside its ATH, as the operator tells it."""

    usd_held_micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultRequested:
    """Someone wants to put ATH into the vault, or to take shares out of it, at the close of an epoch."""

    number: int
    """The next one of the vault."""
    holder: str
    wei: int = 0
    shares: int = 0
    on_chain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseOffered:
    """An owner promises containers; nothing binds it before someone buys."""

    promise: str
    owner: TenantId
    backing: tuple[Backing, ...]
    start_ms: int
    end_ms: int
    notice_ms: int
    premium_usd_micro_per_h: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseWithdrawn:
    """An owner takes back a promise that nobody bought."""

    promise: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseSold:
    """A tenant bought a promise, whole."""

    promise: str
    tenant: TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseCalled:
    """Containers of a sold promise are needed: ready within its notice, for as long as named."""

    call: str
    promise: str
    containers: int
    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReleased:
    """Called containers are no longer needed."""

    call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillsDrawn:
    """A value from outside decides whose promises are drilled: of owners fixed before, or of those asked for."""

    draw: int
    """The record that fixed the owners; 0: the operator asked for `owners`."""
    beacon: BeaconValue
    owners: tuple[TenantId, ...] = ()
