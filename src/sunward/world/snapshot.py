"""The immutable view of the world that a planner works on.

Axes: Z zones, H slots, S sites, P pools, C work classes (in the order of `WORK_CLASSES`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sunward.model.hardware import WorkClass
from sunward.model.job import JobSpec
from sunward.model.plan import PolicyInputs, Segment
from sunward.world.crowd import Crowd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
NumberArray = FloatArray | IntArray

WORK_CLASSES = tuple(WorkClass)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PowerCaps:
    """Power limits that a lease may be given, where the site proved that it can set them; K limits, highest first."""

    cap_w: IntArray
    """(P, C, K) board watts; 0 = no such limit."""
    busy_w: FloatArray
    """(P, C, K) IT watts of one busy container under it."""
    rate: FloatArray
    """(P, C, K) throughput of one container under it against the reference GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolColumns:
    """All pools, one row each, in order of pool id."""

    ids: tuple[str, ...]
    site: IntArray
    """(P,) row in `Snapshot.sites`."""
    zone: IntArray
    """(P,) row in `Snapshot.zones`."""
    country: tuple[str, ...]
    gpu_model: tuple[str, ...]
    count: IntArray
    """(P,) containers that exist."""
    available: IntArray
    """(P, H) containers that can be planned on in each slot: 0 while the agent is lost, the site is closed or drains;
    less what the owner withholds and what the reserve holds."""
    memory_gib: IntArray
    overhead: FloatArray
    """(P,) facility energy over IT energy, >= 1."""
    water_l_per_kwh: FloatArray
    ask_usd_per_h: FloatArray
    """(P,) per container and hour."""
    busy_w: FloatArray
    """(P, C) IT watts of one busy container: device and its host share."""
    idle_w: FloatArray
    """(P,) IT watts of one awake, idle container."""
    asleep_w: FloatArray
    """(P,) IT watts of one sleeping container."""
    rate: FloatArray
    """(P, C) throughput of one container against the reference GPU."""
    wake_j: FloatArray
    """(P,) IT energy to wake one container."""
    wake_ms: IntArray
    awake: IntArray
    """(P,) containers awake now."""
    admission: tuple[str, ...]
    caps: PowerCaps | None = None
    """None = no pool has any."""
    evidence: IntArray | None = None
    """(P, D) level of each dimension as its place in the order; None = everything is declared everywhere."""
    not_promised: IntArray | None = None
    """(P,) containers that back no sold promise of the reserve: what cannot pause uses no others; None = all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """How long a job may still run, where that is not known, and how surely its promise is to be kept."""

    remaining_ms: tuple[int, ...]
    """Possible remaining run times on the reference GPU, given what has run already; strictly increasing."""
    weight_ppm: tuple[int, ...]
    """Their probabilities; positive, the sum is 1,000,000."""
    promise_ppm: int
    """Probability with which finish-by and start-by are to be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One open job as the planner sees it."""

    spec: JobSpec
    revision: int
    units_done: int
    """Safe progress: the newest stored checkpoint, or live progress while it runs undisturbed."""
    elapsed_ms: int
    """Run time already spent on the present attempt: what a job without units would lose by a move, and for any
    job how much of its start is over."""
    pool: str
    """Pool it runs on now, or empty."""
    fixed: bool
    """True: it runs and may not be moved (contiguous, or about to end); its segments only occupy."""
    segments: tuple[Segment, ...]
    """What it was assigned and has not yet used up; empty = not placed."""
    lengths: Lengths | None = None
    """None = the length is known: `spec.length_ms`."""
    waited_ms: int = 0
    """Grid time it has stood still since it arrived, pauses included: counts towards `spec.wait_max_ms`."""
    begun: bool = False
    """A job of unknown length has run before, which no unit need show: its next start is a restart."""
    gpus: int = 0
    """Containers it runs on now; 0 = it does not run."""
    power_cap_w: int = 0
    """Limit of each board that it runs under now; 0 = none."""
    checkpoint_bytes: int = 0
    """What must travel besides its data when it goes on at another site."""
    data_site: str = ""
    """Site of its last attempt, where its data lies; empty = in the tenant's origin zone."""
    opens_ms: int = 0
    """Earliest start of a job that is only announced; not after now for one that is there."""

    @property
    def held(self) -> int:
        """Containers it runs on now, or would at least."""
        return self.gpus or self.spec.gpus

    @property
    def remaining_frac(self) -> float:
        """Share of the job's work that is still to be done."""
        return max(0.0, 1.0 - self.units_done / self.spec.units)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """What open jobs hold that are not among those to plan: counted by pool, so that nobody looks at each of them."""

    taken: IntArray
    """(P, H) containers."""
    busy: IntArray
    """(P,) containers held by leases now."""
    tenants: tuple[tuple[str, int], ...] = ()
    """(tenant, container ms from now on), where tenants have shares."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expected:
    """New work that will want containers at once, as past arrivals tell."""

    starts_per_h: FloatArray
    """(H,)."""
    containers: float
    """Mean of a start."""
    work_h: float
    """Container-hours of a start, mean."""
    carbon_price_usd_per_t: float
    pools: tuple[str, ...]
    """Pools that took such work of late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """World, signals and open jobs at one moment; equal snapshots give equal plans."""

    based_on: int
    now_ms: int
    start_ms: int
    """Start of slot 0: the slot that holds `now_ms`; what is left of it can be used at once."""
    slot_ms: int
    slots: int
    policy: PolicyInputs
    zones: tuple[str, ...]
    """As sites declare them; one stands more than once where sites in it count in different zones."""
    carbon_g_per_kwh: FloatArray
    """(Z, H) expected average life-cycle intensity, of the zone that counts."""
    carbon_spread_g_per_kwh: FloatArray
    """(Z, H) p90 − p50."""
    price_usd_per_kwh: FloatArray
    """(Z, H)."""
    sites: tuple[str, ...]
    site_ceiling_w: FloatArray
    """(S, H) facility watts; inf = none."""
    pools: PoolColumns
    jobs: tuple[JobView, ...]
    """The jobs to plan: in a full snapshot every open one, in order of job id."""
    standing: Standing | None = None
    """What all other jobs hold; None = there are no others."""
    crowd: Crowd | None = None
    """More jobs to plan, many at a time; what they were given stands neither in `jobs` nor in `standing`."""
    shadow_usd_micro_per_h: IntArray | None = None
    """(P, H) shadow prices of the newest full plan, per container and hour; None = there is none."""
    expected: Expected | None = None
    """None = nothing is known of what may come."""
