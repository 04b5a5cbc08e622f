"""The metered, priced, signed account of a job."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.credits import EpochOffset
from sunward.model.datum import Quality
from sunward.model.granular import Claim, SiteSupply
from sunward.model.onchain import ChainStatement
from sunward.model.reserve import EpochReserve
from sunward.model.staking import EpochRewards

RESIDUAL_MISSING = "residual missing"
"""Market basis of energy without certificates in a market without a published residual mix."""
PARTLY_MATCHED = "certificates, residual missing"
MATCHED = "certificates"
"""Market basis where every line leaves less than a Wh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HourLine:
    """Energy of the job at one site in one hour, and the intensity it is accounted at."""

    site: str
    zone: str
    hour_ms: int
    gpu_model: str
    gpu_ms: int
    gpu_j: int
    host_j: int
    overhead_j: int
    carbon_mg_per_kwh: int
    carbon_source: str
    carbon_quality: Quality
    location_mg: int
    """Location-based, life-cycle: facility energy times average intensity."""
    market_mg_per_kwh: int
    market_mg: int
    """Market-based: claims at their factors; the rest at `market_mg_per_kwh`, the residual mix or the fossil factor."""
    embodied_mg: int
    water_ml: int
    market: str = ""
    """Within which its certificates were deliverable; empty without any."""
    certificates: tuple[Claim, ...] = ()
    """Claimed for this line, of its hour and market: docs/certificates.md."""

    @property
    def facility_j(self) -> int:
        """Energy at the site meter."""
        return self.gpu_j + self.host_j + self.overhead_j

    @property
    def matched_wh(self) -> int:
        """How much of it certificates cover."""
        return sum(one.wh for one in self.certificates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterfactual:
    """What would have been, by a named and versioned rule fixed before the job ran."""

    name: str
    """`run-now-origin` or `run-now-mean-site`, a slash, and the version."""
    facility_j: int
    carbon_mg: int
    change_ppm: int
    """(receipt − counterfactual) ÷ counterfactual of location-based operational carbon; negative = less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What was promised and whether it was kept."""

    kind: str
    at_ms: int
    kept: bool
    stated_ppm: int = 0
    """Probability with which it was to be kept, ppm; 0 = none was stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLine:
    """One attempt: where it ran and how it ended."""

    attempt: int
    site: str
    start_ms: int
    end_ms: int
    ended: str
    offered: int = 0
    """Sequence of the journal record that offered it: it is paid at the ask declared by then. 0 = an older receipt."""
    gpus: int = 0
    """Containers it held; 0 = an older receipt: as many as the job asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The account of one job. Integers only; sums of its lines."""

    version: int
    job: str
    tenant: str
    commitment: str
    epoch: int
    state: str
    submitted_ms: int
    finished_ms: int
    gpu_j: int
    host_j: int
    overhead_j: int
    facility_j: int
    location_mg: int
    market_mg: int
    market_basis: str
    """`residual missing` where the fossil factor stood in."""
    embodied_mg: int
    water_ml: int
    gpu_ms: int
    price_usd_micro: int
    price_wei: int
    offset_wei: int
    provider_wei: int
    network_wei: int
    refund_wei: int
    sci_mg_per_unit: int | None
    """((E·I) + M) / R; null without a declared R."""
    functional_unit: str
    units: int
    metered_ppm: int
    """Share of leased time that signed readings cover."""
    energy_quality: Quality
    promises: tuple[Promise, ...]
    counterfactuals: tuple[Counterfactual, ...]
    attempts: tuple[AttemptLine, ...]
    lines: tuple[HourLine, ...]
    seals: tuple[int, ...]
    """Journal sequences of the seals that hold its readings."""
    not_proved: tuple[str, ...]
    """What this receipt does not prove, stable keys."""
    energy_uncertainty_ppm: int | None = None
    """Of device and host energy, to either side: the greatest that its readings state. Null = an older receipt."""


SIGNAL_REVISED = "signal_revised"
"""A source gave an hour another intensity after the receipt had become final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What a later word changes of a final receipt, posted beside it; the receipt stays as it was signed.

    Location-based operational emissions only: prices, counterfactuals and the market basis do not follow.
    """

    job: str
    epoch: int
    """In which the receipt became final."""
    posted_epoch: int
    """In whose statement the adjustment counts."""
    sequence: int
    """Journal record that caused it."""
    at_ms: int
    cause: str
    zone: str
    hour_ms: int
    old_mg_per_kwh: int
    """As counted until now: by the receipt, or by the adjustment before."""
    new_mg_per_kwh: int
    old_mg: int
    new_mg: int
    source: str
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochStatement:
    """Totals of one settlement interval."""

    epoch: int
    start_ms: int
    end_ms: int
    receipts: tuple[str, ...]
    """SHA-256 of each receipt, in order of job id."""
    receipts_root: str
    facility_j: int
    idle_j: int
    location_mg: int
    market_mg: int
    embodied_mg: int
    paid_usd_micro: int
    """What the jobs paid, at most their metered prices: docs/settlement.md."""
    paid_wei: int
    provider_wei: int
    network_wei: int
    offset_wei: int
    refunded_wei: int
    liability_mg: int
    """Residual operational (the larger of market- and location-based) plus embodied."""
    offset_share_bps: int
    next_offset_share_bps: int
    balance_wei: int
    """Sum over all accounts: zero."""
    adjustments: int = 0
    """Entries posted in this epoch to receipts of earlier ones."""
    adjusted_location_mg: int = 0
    """Their sum; not part of `location_mg`."""
    adjusted_liability_mg: int = 0
    """What they change of earlier epochs' liability; not part of `liability_mg`."""
    supply: tuple[SiteSupply, ...] = ()
    """Sites with any matched energy, by name; q and CFE of all others are 0."""
    rewards: EpochRewards | None = None
    """What was handed out; none where no rules of staking were in force."""
    reserve: EpochReserve | None = None
    """Where the reserve stood; none where it had no rules."""
    chain: ChainStatement | None = None
    """What goes to the chain; nothing where none was named."""
    offset: EpochOffset | None = None
    """What was emitted and what was retired; none where no rules of credits were in force."""
