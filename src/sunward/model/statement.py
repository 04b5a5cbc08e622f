"""What a tenant used and paid in a calendar month: one line a job, and their sums. Integers only."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.datum import Quality
from sunward.model.receipt import Counterfactual, Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesNote:
    """Energy that was accounted with one series of carbon intensity."""

    zone: str
    source: str
    quality: Quality
    facility_j: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One job that ended in the month, from its receipt."""

    job: str
    name: str
    """Private to the tenant; empty for others."""
    state: str
    final: bool
    """Whether its epoch has closed; before that every figure may still change."""
    epoch: int
    receipt: str
    """SHA-256 of the final receipt; empty before."""
    submitted_ms: int
    finished_ms: int
    sites: tuple[str, ...]
    zones: tuple[str, ...]
    gpu_ms: int
    device_j: int
    """GPUs alone; a part of `facility_j`."""
    facility_j: int
    location_mg: int
    """Location-based, life-cycle."""
    market_mg: int
    market_basis: str
    embodied_mg: int
    water_ml: int
    price_usd_micro: int
    """Metered."""
    paid_usd_micro: int
    """At most the price: docs/settlement.md."""
    paid_wei: int
    offset_wei: int
    """The part of `paid_wei` that was set aside for offsets."""
    counterfactuals: tuple[Counterfactual, ...]
    promises: tuple[Promise, ...]
    energy_quality: Quality
    metered_ppm: int
    series: tuple[SeriesNote, ...]
    matched_j: int = 0
    """Under certificates of the same hour and market; a part of `facility_j`, as are the next two."""
    renewable_j: int = 0
    carbon_free_j: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterfactualSum:
    """One named counterfactual over the jobs that have it, and what those jobs emitted themselves."""

    name: str
    jobs: int
    carbon_mg: int
    location_mg: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementTotals:
    """Sums of lines. The bases of emissions stand beside one another and are never added."""

    jobs: int
    provisional: int
    gpu_ms: int
    device_j: int
    facility_j: int
    location_mg: int
    market_mg: int
    embodied_mg: int
    water_ml: int
    price_usd_micro: int
    paid_usd_micro: int
    paid_wei: int
    offset_wei: int
    promises: int
    promises_kept: int
    counterfactuals: tuple[CounterfactualSum, ...]
    series: tuple[SeriesNote, ...]
    matched_j: int = 0
    renewable_j: int = 0
    carbon_free_j: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthPage:
    """A part of a month's statement."""

    tenant: str
    month: str
    """`YYYY-MM`: the jobs that ended in this month of UTC, in grid time."""
    start_ms: int
    end_ms: int
    at_ms: int
    """When it was drawn up."""
    lines: tuple[StatementLine, ...]
    totals: StatementTotals
    """Of these lines; the totals of the month are the sums over its pages."""
    pending: tuple[str, ...]
    """Jobs that ended in the month and whose readings or signals are not all in: they have no line yet."""
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthStatement:
    """A whole month."""

    tenant: str
    month: str
    start_ms: int
    end_ms: int
    at_ms: int
    lines: tuple[StatementLine, ...]
    totals: StatementTotals
    pending: tuple[str, ...]
