"""The Strategic Compute Reserve: its rules, what providers promise, calls and drills, and the vault behind them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sunward.model.challenge import BeaconValue
from sunward.model.identity import PoolId, TenantId
from sunward.units import HOUR_MS, MINUTE_MS, PPM


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRules:
    """How the reserve works from now on, whole."""

    floor_ppm: int = 1_500_000
    """Coverage below which nothing is sold and no exit takes effect."""
    haircut_ppm: int = 500_000
    """Share of its price at which the vault's ATH counts."""
    exit_delay_ms: int = 168 * HOUR_MS
    """From an exit asked for to the first close of an epoch at which it may take effect."""
    replacement_usd_micro_per_h: int = 4_000_000
    """What a container of a model that is not listed costs to replace; a modelled figure."""
    replacements: tuple[tuple[str, int], ...] = ()
    """(GPU model, micro-USD per container-hour), in order of model."""
    reserve_share_bps: int = 2_000
    """Of a premium, for the vault; the offset share comes first, the provider has the rest."""
    notice_min_ms: int = 5 * MINUTE_MS
    notice_max_ms: int = 24 * HOUR_MS
    premium_max_usd_micro_per_h: int = 1_000_000_000
    drill_milli_per_epoch: int = 100
    """Drills of an owner that has sold promises, in an epoch, times a thousand: one in ten epochs."""
    fine_ppm: int = PPM
    """Of the epoch's premium, what a failure costs beside the premium that is not paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """Containers of one pool that stand behind a promise."""

    pool: PoolId
    containers: int


class PromiseState(StrEnum):
    """Where a promise stands."""

    OFFERED = "offered"
    SOLD = "sold"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Containers of a model, in a region, for a time, that are ready within a notice once they are called."""

    promise: str
    owner: TenantId
    gpu_model: str
    backing: tuple[Backing, ...]
    """In order of pool."""
    region: tuple[str, ...]
    """The zones its containers stand in, in order."""
    start_ms: int
    end_ms: int
    notice_ms: int
    premium_usd_micro_per_h: int
    """Per container and hour; paid once it is sold, for what was served."""
    tenant: str = ""
    """Who bought it; empty: nobody yet."""
    sold_ms: int = 0
    replacement_usd_micro_per_h: int = 0
    """What its containers cost to replace, fixed at the sale."""
    served_from_ms: int = 0
    """What lies before is paid."""

    @property
    def containers(self) -> int:
        """How many it promises."""
        return sum(one.containers for one in self.backing)

    def in_force(self, at_ms: int) -> bool:
        """Whether it is sold and may be called at a moment."""
        return bool(self.tenant) and self.start_ms <= at_ms < self.end_ms


class CallKind(StrEnum):
    """Why containers are to be ready."""

    CALL = "call"
    """Whoever bought the promise needs them."""
    DRILL = "drill"
    """To see whether they would be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Containers of a promise that are to be ready from a moment on."""

    call: str
    promise: str
    kind: CallKind
    backing: tuple[Backing, ...]
    asked_ms: int
    ready_ms: int
    """When they are to be ready: the notice after it was asked for."""
    judge_ms: int
    """When it is looked at; later than `ready_ms` by what messages take on the machine clock."""
    until_ms: int
    judged: bool = False
    beacon: BeaconValue | None = None
    """Of a drill: the value that drew it."""


class Outcome(StrEnum):
    """How a call or drill ended."""

    READY = "ready"
    FAILED = "failed"
    VOID = "void"
    """Nothing can be said: the promise ended before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """How a call or a drill was met."""

    call: Call
    owner: TenantId
    outcome: Outcome
    at_ms: int
    ready: int
    """Containers that were ready when it was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalty:
    """What an owner owes the buyer of a promise that was not kept; due once its verdict can no longer fall."""

    verdict: str
    promise: str
    owner: TenantId
    tenant: TenantId
    epoch: int
    usd_micro: int
    """Not yet paid."""
    owed_wei: int = 0
    """What its verdict is to take of the owner's stake for it; 0 = it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultRequest:
    """A deposit or an exit that waits for the close of an epoch."""

    number: int
    holder: str
    """An account of the ledger: `provider:{owner}` or `tenant:{id}`."""
    wei: int = 0
    """To put in; 0 for an exit."""
    shares: int = 0
    """To take out; 0 for a deposit."""
    matures_ms: int = 0
    """From when on it may take effect."""
    on_chain: bool = False
    """The wei come from, or go to, the holder's wallet on the chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillDraw:
    """Owners that may be drilled, fixed before the value that decides is known."""

    sequence: int
    owners: tuple[TenantId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReserve:
    """Where the reserve stood when an epoch closed, after its entries."""

    held_wei: int
    usd_held_micro: int
    value_usd_micro: int
    liability_usd_micro: int
    coverage_ppm: int | None
    """None where nothing was owed."""
    sold: int
    """Containers behind sold promises."""
    penalties_usd_micro: int
    """Due and not paid, those that may still fall among them."""
