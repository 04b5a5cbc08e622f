"""A plan: what the planner chose, on what it was based, and why."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.identity import JobId, PoolId

IMMEDIATE = "immediate-1"
"""Name and version of the planner that places new jobs and moves nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of `[start_ms, end_ms)` on one pool; nothing is left to choose later."""

    pool: PoolId
    start_ms: int
    end_ms: int
    containers: int
    power_cap_w: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTerms:
    """Every term of an assignment's score, micro-USD; the sum is the objective (DESIGN §5)."""

    energy: int
    carbon: int
    water: int
    ask: int
    transfer: int
    wake: int
    risk: int
    shadow: int

    @property
    def total(self) -> int:
        """The objective, micro-USD."""
        return self.energy + self.carbon + self.water + self.ask + self.transfer + self.wake + self.risk + self.shadow


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """An option that was not taken: the best of one pool, or running now."""

    label: str
    """`now` (start at once on the best free pool), or a pool id."""
    start_ms: int
    total_usd_micro: int
    carbon_mg: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Where and when one job runs, with every term of its score."""

    job: JobId
    revision: int
    """Revision of the job that the planner read; commit refuses another one."""
    segments: tuple[Segment, ...]
    free_read: int
    """Least free containers over the slots used, as read: what commit checks again."""
    terms: ScoreTerms
    energy_j: int
    """Facility energy expected for these segments."""
    carbon_mg: int
    reason: str
    """Stable key of the main reason: `now`, `waiting`, `moving`, `resizing`, `capping`, `residency`, `only_site`,
    `kept`, `deadline`."""
    saves_ppm: int
    """Carbon saved against starting now on the best pool free now, ppm; negative = worse."""
    alternatives: tuple[Alternative, ...] = ()
    ends_ppm: int = 0
    """Positive where the length is not known: the probability that the job ends within its segments. Terms, energy,
    carbon and saving are then what is expected, and it goes on after its segments where it has not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortAssignment:
    """How many jobs of a cohort run where and when: columns of one length, an entry for each stretch.

    It says of all jobs of the cohort; how many it leaves out have no place. Amounts are of all jobs of an entry.
    """

    cohort: JobId
    revision: int
    """Revision of the cohort that the planner read."""
    containers: int
    """Of each job."""
    jobs: tuple[int, ...]
    pool: tuple[PoolId, ...]
    start_ms: tuple[int, ...]
    end_ms: tuple[int, ...]
    free_read: tuple[int, ...]
    energy_j: tuple[int, ...]
    carbon_mg: tuple[int, ...]
    saves_ppm: tuple[int, ...]
    """Carbon saved against starting now on the best pool free now, as of an `Assignment`."""
    terms: ScoreTerms
    """Of all entries together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """Why a job has no assignment."""

    job: JobId
    revision: int
    reason: str
    """Stable key: `gpus`, `memory`, `model`, `country`, `latency`, `evidence`, `admission`, `deadline`, `horizon`,
    `budget`, `start_by`, `capacity`."""
    detail: str
    """Figures that make the reason checkable, e.g. `largest site has 4`."""
    permanent: bool
    """True: no change of time or load helps; the job is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwakeTarget:
    """How many containers of a pool are to be awake during `[start_ms, end_ms)`."""

    pool: PoolId
    start_ms: int
    end_ms: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowPrice:
    """What one more container of a pool would save others during `[start_ms, end_ms)`; 0 where it is not named."""

    pool: PoolId
    start_ms: int
    end_ms: int
    usd_micro_per_h: int
    """Per container and hour; positive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole decision. Jobs not named keep what they have."""

    based_on: int
    """Sequence of the last journal event in the snapshot."""
    at_ms: int
    slot_ms: int
    slots: int
    planner: str
    """Name and version of the algorithm."""
    assignments: tuple[Assignment, ...]
    unplaced: tuple[Unplaced, ...]
    awake: tuple[AwakeTarget, ...]
    """All that is to be awake; of a plan that only adds, what its own assignments need."""
    prices: tuple[ShadowPrice, ...] = ()
    """Shadow prices of scarce pools, in order of pool and time. A plan that only adds names none: it was made against
    those of the newest full plan."""
    cohorts: tuple[CohortAssignment, ...] = ()
    """Jobs that were counted together, in order of cohort. A service names each job; simulations need not."""

    @property
    def adds(self) -> bool:
        """Whether it only adds to what stands: other jobs and other containers stay as they are."""
        return self.planner == IMMEDIATE


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInputs:
    """What later stages feed back into planning; neutral by default (DESIGN §5)."""

    greenness_ppm: tuple[tuple[str, int], ...] = ()
    """(site, verified greenness); only a tie-break within 1 % of score."""
    reserved: tuple[tuple[str, int], ...] = ()
    """(pool, containers promised to the reserve)."""
    water_price_usd_micro_per_l: int = 2_000
    """2 USD per cubic metre: the order of municipal tariffs; a tenant never pays it, it only steers."""
    transfer_usd_micro_per_gb: int = 20_000
    """0.02 USD/GB egress (BENCH B3), where no list price is known or none is to be used."""
    transfer_wh_per_gb: int = 60
    """0.06 kWh/GB (BENCH B3)."""
    switch_ms: int = 300_000
    """Stop and restart of a job, 5 min (BENCH B3)."""
    finish_margin_ms: int = 300_000
    """A job is planned to end so long before its deadline: starts and stops take time that no plan knows."""
    hysteresis_ppm: int = 30_000
    """A running plan is kept unless another is better by this share."""
    delay_ppm_per_h: int = 2_000
    """Risk of waiting: work done an hour later counts this share of its ask more, so waiting must be worth it."""
    slot_ms: int = 900_000
    slots: int = 384
    """96 h of 15 min."""
    tenant_shares: tuple[tuple[str, int], ...] = ()
    """(tenant, weight) of those the operator weighed; all others weigh 1. Without any, tenants take no turns."""
    transfer_by_region: bool = True
    """Moved data costs what price lists say for the continents of both ends."""
