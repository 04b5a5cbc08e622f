"""What a tenant sends to the API, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field

from sunward.model.hardware import WorkClass
from sunward.model.job import LengthKind
from sunward.model.plan import Assignment, Unplaced
from sunward.model.trust import Dimension, Level
from sunward.model.wire import InputFile, JournalHead

POLICIES = {"cheapest": 0, "balanced": 100, "greenest": 5_000}
"""Named carbon prices, USD/t (DESIGN §5); any whole number is accepted too."""

SLOWDOWN_MAX = 10.0
"""As good as no bound: no power limit makes work eleven times as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job as asked. Times are grid time."""

    name: str
    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    bundle: str = ""
    """SHA-256 of a packed working folder put to /v1/objects before."""
    origin_zone: str
    """Where it would otherwise run: the first counterfactual."""
    work_class: WorkClass = WorkClass.GENERIC
    gpus: int = 1
    """The least, where `gpus_max` names more."""
    gpu_memory_gib: int = 0
    gpu_models: tuple[str, ...] = ()
    length_s: int
    """Run time on the reference GPU (A100-SXM-80GB); 0 where `length_kind` is `unknown`."""
    units: int = 1
    interruptible: bool = False
    deadline_s: int = 0
    """Finish within so many seconds of submission; 0 with `start_by_s`: long enough after it (docs/job-contract.md)."""
    start_by_s: int = 0
    """Start within so many seconds of submission; 0 = whenever the deadline allows."""
    timeout_s: int = 0
    """Most run time over all attempts; 0 = none."""
    countries: tuple[str, ...] = ()
    budget_usd: float = 0.0
    """Most to pay; 0 = what the quote needs."""
    policy: str = "balanced"
    """`cheapest`, `balanced`, `greenest`, or a carbon price in whole USD/t."""
    functional_unit: str = ""
    retries: int = 3
    data_bytes: int = 0
    setup: str = ""
    """Text of a requirements or lock file; the job finds what it names installed."""
    secrets: dict[str, str] = field(default_factory=dict)
    """Environment that is kept encrypted until the job has ended and shown to nobody but the job's own agent."""
    inputs: tuple[InputFile, ...] = ()
    outputs: tuple[str, ...] = ()
    """Globs below the working folder: what they find is kept beside the output folder, also when the job failed."""
    webhook: str = ""
    """Told by POST when the job has ended."""
    gpus_max: int = 0
    """Most GPUs it can use at once; 0 = `gpus` and no other number."""
    speedup: tuple[float, ...] = ()
    """Rate with `gpus`, `gpus` + 1, … `gpus_max` GPUs over the rate with `gpus`; the first is 1."""
    length_kind: LengthKind = LengthKind.KNOWN
    """`estimated`: it may take less or more than `length_s`; `unknown`: past jobs of the same kind tell."""
    promise: float = 0.95
    """Probability with which it is to end in time, where its length is not known: a job of which that cannot be
    promised is refused."""
    family: str = ""
    """A name for jobs that are like this one, such as `nightly-eval`: how long they took tells of this one's length."""
    wait_max_s: int = 0
    """Most time that it may stand still until it ends, pauses included; 0 = as the deadline allows."""
    min_run_s: int = 0
    """Least stretch between two pauses."""
    stop_s: int = 0
    """Time that a stop and a start cost it; 0 = what the network takes for usual."""
    max_slowdown: float = SLOWDOWN_MAX
    """Share by which a power limit may lengthen its run at most: 0.1 is a tenth, 0 is no limit at all. Left out, a plan
    may use what time the deadline leaves."""
    latency_max_ms: int = 0
    """Most round-trip time from `origin_zone` to where it runs, as modelled from distance; 0 = any."""
    evidence: dict[Dimension, Level] = field(default_factory=dict)
    """Least level of what must be believed of a site it runs at; empty = any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingOption:
    """What the same job would cost and cause if its deadline were later."""

    finish_by_s: int
    """The later deadline, seconds from submission."""
    price_usd_micro: int
    carbon_mg: int
    start_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthOutlook:
    """How long a job of unknown or estimated length may take, by what others of its kind took."""

    like_jobs: int
    """About how many past jobs of the tenant that were like it speak for this; with few it is a wide guess."""
    expected_s: int
    """Mean run time on the reference GPU."""
    upper_s: int
    """It takes longer with a probability of 5 %."""
    upper_usd_micro: int
    """Price of that."""
    promise_ppm: int
    """Probability with which it ends by `finish_by_ms`."""
    finish_by_ms: int
    timeout_s: int
    """It is stopped after so much run time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a job would cost and cause if submitted now."""

    assignment: Assignment | None
    unplaced: Unplaced | None
    price_usd_micro: int
    escrow_wei: int
    start_ms: int
    finish_ms: int
    notice: str
    """What the tenant must know before agreeing."""
    waiting: tuple[WaitingOption, ...] = ()
    """The deadline asked for, made longer step by step; those that leave no place are left out."""
    over_budget: str = ""
    """Why the tenant's monthly budget would refuse the job; empty when it would not."""
    outlook: LengthOutlook | None = None
    """Where the length is not known: what is expected of it, and what is promised. `price_usd_micro` is then what is
    expected too, and the escrow covers `upper_usd_micro`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job as the API shows it."""

    job: str
    name: str
    state: str
    reason: str
    site: str
    units: int
    units_done: int
    submitted_ms: int
    deadline_ms: int
    updated_ms: int
    assignment: Assignment | None
    refusal: Unplaced | None
    exit_code: int | None = None
    """Of the last attempt that ended by itself; None before one has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """Acknowledgement of a submitted job, with the signed head of the journal that holds it."""

    job: str
    state: str
    journal: JournalHead


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteView:
    """A site as the API shows it."""

    site: str
    zone: str
    country: str
    gpu_model: str
    gpus: int
    awake: int
    busy: int
    reachable: bool
    overhead_ppm: int
    overhead_quality: str
    carbon_mg_per_kwh: int | None
    carbon_quality: str
    ask_usd_micro_per_gpu_h: int
    power_state: str
    """The most awake state of its containers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """RFC 9457 problem details, with the stable code of docs/errors.md."""

    type: str
    title: str
    status: int
    detail: str
    code: str
