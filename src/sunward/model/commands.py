"""What the engine asks of the shell. Identified by (event sequence, index), hence idempotent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sunward.model.identity import JobId, SiteId
from sunward.model.ledger import Entry
from sunward.model.receipt import Adjustment, EpochStatement, Receipt
from sunward.model.staking import RewardLine


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersChanged:
    """The orders of a site changed: wake its agent's poll. What to do is in `engine.orders(state, site)`."""

    site: SiteId


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPlan:
    """Something changed that a plan should take into account."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanged:
    """A job reached another state: project it for readers and followers."""

    job: JobId
    tenant: str
    state: str
    reason: str
    at_ms: int
    detail: str = ""
    site: str = ""
    units: int = 0
    exit_code: int | None = None
    """With which the attempt ended by itself that this change tells of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostEntries:
    """Ledger entries made by this event: project them."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueReceipt:
    """A receipt became final: sign and store it."""

    receipt: Receipt
    paid_usd_micro: int
    """What its job paid, in micro-USD at the rate of settlement; the receipt has it in wei."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostAdjustments:
    """Final receipts count otherwise from now on: project the entries that say so."""

    adjustments: tuple[Adjustment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRewards:
    """What an epoch gave to each owner: store its lines."""

    lines: tuple[RewardLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseEpoch:
    """An epoch closed: store its statement."""

    statement: EpochStatement


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An assignment of a plan was refused at commit; it returns to the next tick."""

    job: JobId
    reason: str


Command: TypeAlias = (
    OrdersChanged
    | RequestPlan
    | JobChanged
    | PostEntries
    | PostAdjustments
    | PostRewards
    | IssueReceipt
    | CloseEpoch
    | Rejected
)
