"""What a tenant asks, and the states a job goes through."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from sunward.model.hardware import WorkClass
from sunward.model.identity import JobId, TenantId, ZoneId
from sunward.units import PPM

COUNTS_ALL = 4
"""Up to so many numbers of containers are all planned with; of more only doubling steps: searches stay small."""


class JobState(IntEnum):
    """submitted → placed → staging → running ⇄ suspended → one of the final states."""

    SUBMITTED = 0
    PLACED = 1
    STAGING = 2
    RUNNING = 3
    SUSPENDED = 4
    FINISHED = 5
    FAILED = 6
    CANCELLED = 7
    EXPIRED = 8
    REFUSED = 9

    @property
    def final(self) -> bool:
        """Whether nothing can happen to the job any more."""
        return self >= JobState.FINISHED

    @property
    def word(self) -> str:
        """The state as users and the API name it."""
        return self.name.lower()


class LeaseState(IntEnum):
    """offered → accepted → waking → running → suspending → closed(reason)."""

    OFFERED = 0
    ACCEPTED = 1
    WAKING = 2
    RUNNING = 3
    SUSPENDING = 4
    CLOSED = 5

    @property
    def word(self) -> str:
        """The state as users and the API name it."""
        return self.name.lower()


class LengthKind(StrEnum):
    """What is known beforehand of how long a job runs."""

    KNOWN = "known"
    ESTIMATED = "estimated"
    """It may run shorter or longer than said; how much, past estimates of the same kind tell."""
    UNKNOWN = "unknown"
    """Nobody said; past jobs of the same kind tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """The public part of a job: all that planning, metering and settlement need, nothing private.

    Command, name, environment and files are private content: they live in erasable tables and enter
    the journal only as `commitment`.
    """

    job: JobId
    tenant: TenantId
    commitment: str
    """SHA-256 over salt and private content, hex."""
    bundle: str = ""
    """SHA-256 of the packed working folder, hex, or empty."""
    origin_zone: ZoneId
    """Where the tenant would have run it: the first counterfactual."""
    work_class: WorkClass = WorkClass.GENERIC
    gpus: int = 1
    gpu_memory_gib: int = 0
    """Least memory of each GPU."""
    gpu_models: tuple[str, ...] = ()
    """Catalogue keys accepted; empty = any."""
    length_ms: int
    """Run time on the reference GPU (A100-SXM-80GB), grid time; where nobody said, what was expected at submission."""
    units: int = 1
    """Units of work in the whole job; progress and checkpoints count them."""
    interruptible: bool = False
    deadline_ms: int
    """Finish by, grid time."""
    allowed_countries: tuple[str, ...] = ()
    """ISO 3166-1 alpha-2; empty = any."""
    budget_usd_micro: int = 0
    """Most the tenant will pay; 0 = the whole escrow."""
    carbon_price_usd_per_t: int = 100
    known_providers: tuple[str, ...] = ()
    """Sites that know this tenant (admission `known`) or are its own (`own`)."""
    retries: int = 3
    functional_unit: str = ""
    """R of the SCI; one `unit` of work is one R. Empty: the SCI is null."""
    data_bytes: int = 0
    escrow_wei: int = 0
    start_by_ms: int = 0
    """Start by, grid time; 0 = whenever the deadline allows."""
    timeout_ms: int = 0
    """Most run time over all attempts, grid time; 0 = none."""
    wait_max_ms: int = 0
    """Most grid time the job may stand still between its arrival and its end, pauses included; 0 = no such limit."""
    min_run_ms: int = 0
    """Least stretch of a run between two pauses; 0 = as short as the planner likes."""
    stop_ms: int = 0
    """Time lost by a stop and a start; 0 = the network's `switch_ms`."""
    gpus_max: int = 0
    """Most GPUs it can use at once, `gpus` then being the least; 0 = `gpus` and no other number."""
    speedup_ppm: tuple[int, ...] = ()
    """Rate with `gpus`, `gpus` + 1, … `gpus_max` GPUs over the rate with `gpus`, which `length_ms` is for."""
    length_kind: LengthKind = LengthKind.KNOWN
    promise_ppm: int = 0
    """Probability stated for finish-by, and start-by where asked; 0 = none is stated."""
    family: str = ""
    """Which jobs of the tenant this one is like, as an opaque word: their lengths tell of its length; or empty."""
    max_slowdown_ppm: int = 0
    """Most that a power limit may add to its run time; 0 = what the deadline leaves, negative = nothing."""
    counterfactual: int = 1
    """Version of the counterfactuals on its receipt, fixed before it runs."""
    latency_max_ms: int = 0
    """Most round-trip time from the origin zone to where it runs, as modelled from distance; 0 = any."""
    evidence: tuple[str, ...] = ()
    """What must be believed of a site it runs at: `dimension=level`, each dimension once and in order; empty = any."""

    @property
    def elastic(self) -> bool:
        """Whether it can run on more than one number of GPUs."""
        return self.gpus_max > self.gpus

    @property
    def most(self) -> int:
        """Most GPUs it can use at once."""
        return max(self.gpus, self.gpus_max)

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers of containers that plans choose from: all it can use where they are few, else doubling steps."""
        if not self.elastic:
            return (self.gpus,)
        if self.gpus_max - self.gpus < COUNTS_ALL:
            return tuple(range(self.gpus, self.gpus_max + 1))
        doublings = (self.gpus_max // self.gpus).bit_length()
        steps = {self.gpus << step for step in range(doublings)} | {self.gpus_max}
        return tuple(sorted(steps))

    def speed_ppm(self, containers: int) -> int:
        """Rate on so many containers over the rate on the least."""
        return self.speedup_ppm[containers - self.gpus] if self.elastic else PPM
