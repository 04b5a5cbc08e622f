"""Records of the REST API that only its two ends share."""

from __future__ import annotations

from dataclasses import dataclass, field

from sunward.model.datum import Quality, SeriesKind
from sunward.model.plan import Assignment, AwakeTarget, Unplaced
from sunward.model.receipt import Adjustment, Receipt
from sunward.model.request import JobView
from sunward.model.site import SiteSpec
from sunward.model.wire import NO_READINGS, JournalHead, ReadingsHead, RecordedEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some jobs, the newest first, and where the next page starts."""

    jobs: tuple[JobView, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """One change of a job's state."""

    at_ms: int
    state: str
    reason: str
    detail: str
    site: str
    units: int
    exit_code: int | None = None
    """With which an attempt ended by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptView:
    """A receipt; provisional, and then unsigned, until its epoch closes."""

    receipt: Receipt
    signature: str
    final: bool
    adjustments: tuple[Adjustment, ...] = ()
    """What was posted beside a final receipt since, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The SHA-256 of stored bytes, hex."""

    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Hourly p10, p50 and p90."""

    p10: tuple[int, ...]
    p50: tuple[int, ...]
    p90: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GridStretch:
    """Hours of one series of a zone, of one source and quality."""

    kind: SeriesKind
    unit: str
    start_ms: int
    values: tuple[int, ...]
    source: str
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLine:
    """How one series of a live feed stands."""

    zone: str
    kind: SeriesKind
    feed: str
    source: str
    using: str
    """What counts now for hours that are due: observed, forecast or typical year; empty for nothing."""
    quality: Quality | None
    observed_to_ms: int
    """End of the last hour told as observed; 0 for none."""
    had_ms: int
    """The last good answer; 0 for none."""
    next_ms: int
    """When the source is asked again."""
    failures: int
    """In a row."""
    code: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GridView:
    """The hours ahead in one zone, as forecast now, and where asked for the hours gone."""

    zone: str
    name: str
    start_ms: int
    carbon_mg_per_kwh: Quantiles
    price_usd_micro_per_kwh: Quantiles
    source: str
    quality: str
    past: tuple[GridStretch, ...] = ()
    """Carbon intensity (average, life-cycle) of hours gone, as known now; an hour not known is left out."""
    more: tuple[GridStretch, ...] = ()
    """Other series of the zone that feeds tell, gone and ahead; they neither decide nor account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """What is planned now, as far as the caller may see it."""

    based_on: int
    """Sequence of the last journal event taken into account."""
    at_ms: int
    assignments: tuple[Assignment, ...]
    unplaced: tuple[Unplaced, ...]
    awake: tuple[AwakeTarget, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochClosed:
    """The epoch that was closed, and the journal that holds it."""

    epoch: int
    journal: JournalHead


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalPage:
    """Journal records in order; the head's signature covers each of them through the chain."""

    records: tuple[RecordedEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryLine:
    """One posting of one ledger entry."""

    entry: str
    epoch: int
    at_ms: int
    cause: str
    ref: str
    account: str
    amount_wei: str
    """Decimal text: wei exceed what other readers of JSON keep exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPage:
    """Some postings, and where the next page starts."""

    entries: tuple[EntryLine, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """What a tenant has and has not put into escrow."""

    tenant: str
    balance_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositRequest:
    """Test money wanted."""

    amount_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositMade:
    """A balance after a deposit, and the journal that holds it."""

    balance_wei: int
    journal: JournalHead


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRequest:
    """A monthly limit wanted."""

    monthly_usd: float | None
    """None drops the limit."""
    alert_percent: int = 80
    """Share of the limit at which a notice goes to `webhook`; 0 = none."""
    webhook: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """A tenant's monthly limit, and where the present month of grid time stands."""

    limit_usd_micro: int | None
    """None where there is no limit."""
    alert_percent: int
    webhook: str
    month: str
    spent_usd_micro: int
    """Paid by jobs that ended in this month."""
    open_usd_micro: int
    """In the escrow of jobs that are not settled, at the present rate, rounded up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whoami:
    """Whose token it is, and what it allows."""

    subject: str
    roles: tuple[str, ...]
    site: str
    """The site an agent's token is bound to; else empty."""
    expires_machine_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRequest:
    """What the operator wants to remember of an enrolment."""

    note: str = ""
    site: str = ""
    """A site that has joined: the token lets its machine come back with a new key, and no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A one-time token with which a site joins; shown once."""

    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A token wanted for a subject."""

    subject: str
    scopes: tuple[str, ...]
    days: int = 0
    """0 = the service's own lifetime of tokens."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLine:
    """What is known of a token."""

    hash: str
    subject: str
    scopes: tuple[str, ...]
    expires_machine_ms: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRequest:
    """A tenant wanted; the name is what the operator calls it and can be erased."""

    name: str
    days: int = 0
    """Of its first token; 0 = the service's own lifetime of tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRequest:
    """What an operator changes of what plans are made by; what is left out stays."""

    shares: dict[str, int] = field(default_factory=dict)
    """Weight by tenant, 1 to 1,000,000; 0 takes a weight back. Without any weight tenants take no turns."""
    water_price_usd_micro_per_l: int | None = None
    """What a litre of cooling water counts in scores; no tenant pays it."""
    transfer_usd_micro_per_gb: int | None = None
    """What a gigabyte counts that is moved between regions whose price is not known."""
    transfer_wh_per_gb: int | None = None
    """Energy to move a gigabyte."""
    transfer_by_region: bool | None = None
    """False: one price for moved data, wherever it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantMade:
    """A new tenant and its first token, which is shown once."""

    tenant: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantLine:
    """A tenant as the operator knows it."""

    tenant: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPage:
    """Some tenants by id, and where the next page starts."""

    tenants: tuple[TenantLine, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What is gone of a tenant's private content."""

    tenant: str
    jobs: int
    """Jobs whose name, command, environment and log were erased."""
    objects: int
    """Stored files that nobody else holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act: who did what to whom, from where."""

    id: int
    at_machine_ms: int
    subject: str
    action: str
    target: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Some acts, oldest first, and where the next page starts."""

    acts: tuple[AuditEntry, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key of the control plane and the records it may sign for; a later key may sign for earlier ones too."""

    public_key: str
    first: int
    """The record from which on it counts."""
    last: int | None = None
    """The last record it counts for; null while it is in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeys:
    """Every key the control plane has had, oldest first, and the records that prove how each followed the last."""

    keys: tuple[SigningKey, ...]
    rotations: tuple[RecordedEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollRequest:
    """A site that joins with a one-time token."""

    token: str
    spec: SiteSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The site as enrolled and its agent's token; shown once."""

    site: str
    token: str
    journal: JournalHead
    readings: ReadingsHead = NO_READINGS
    """Where its readings stand: a machine that lost its own goes on from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchesHeld:
    """The highest batch number that is stored durably."""

    accepted: int
