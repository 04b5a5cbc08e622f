"""A receipt from its pieces: sums, shares, and what it does not prove. Integers only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sunward.errors import InvariantError
from sunward.model.datum import Quality
from sunward.model.job import JobSpec, JobState
from sunward.model.receipt import (
    MATCHED,
    PARTLY_MATCHED,
    RESIDUAL_MISSING,
    AttemptLine,
    Counterfactual,
    HourLine,
    Promise,
    Receipt,
)
from sunward.model.trust import Level
from sunward.report.sci import sci_mg_per_unit
from sunward.units import J_PER_WH, PPM

RECEIPT_VERSION = 1
DECLARED_ZONE = "declared_zone"
"""Where lines count in another zone than their site declares."""

_WORST_LAST = tuple(Quality)
_UNMATCHED = {RESIDUAL_MISSING: ("no_certificates",), PARTLY_MATCHED: ("part_without_certificates",), MATCHED: ()}
"""What each market basis leaves open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """How the escrow of one job was settled."""

    price_usd_micro: int = 0
    price_wei: int = 0
    """What was paid: offset, provider and network share together."""
    offset_wei: int = 0
    provider_wei: int = 0
    network_wei: int = 0
    refund_wei: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Evidence level per dimension of the sites a job ran at when it ended; the weakest of them."""

    gpu_identity: Level = Level.DECLARED
    place: Level = Level.DECLARED
    device_age: Level = Level.DECLARED


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptParts:
    """All that a receipt is made of."""

    spec: JobSpec
    state: JobState
    epoch: int
    submitted_ms: int
    finished_ms: int
    units_done: int
    leased_ms: int
    """Container time its leases held running, as reported."""
    lines: tuple[HourLine, ...]
    counterfactuals: tuple[Counterfactual, ...]
    paid: Paid
    attempts: tuple[AttemptLine, ...]
    promises: tuple[Promise, ...]
    seals: tuple[int, ...]
    energy_qualities: tuple[Quality, ...]
    """Quality of each site's readings, from the seals; none = modelled."""
    overhead_qualities: tuple[Quality, ...]
    """Quality of each site's overhead; none = modelled."""
    energy_uncertainty_ppm: int = 0
    """Greatest of the readings, from the seals."""
    evidence: Evidence = Evidence()
    elsewhere: bool = False
    """A site's place was shown less well than asked, and it counts in the dirtiest zone that was not excluded."""


def build_receipt(parts: ReceiptParts) -> Receipt:
    """The receipt of one job; every total is the sum of its lines.

    Raises: InvariantError when the shares do not add up to the price.
    """
    paid = parts.paid
    if paid.offset_wei + paid.provider_wei + paid.network_wei != paid.price_wei:
        raise InvariantError(f"the shares of job {parts.spec.job} do not add up to its price")
    gpu_j = sum(line.gpu_j for line in parts.lines)
    host_j = sum(line.host_j for line in parts.lines)
    overhead_j = sum(line.overhead_j for line in parts.lines)
    location_mg = sum(line.location_mg for line in parts.lines)
    embodied_mg = sum(line.embodied_mg for line in parts.lines)
    gpu_ms = sum(line.gpu_ms for line in parts.lines)
    return Receipt(
        version=RECEIPT_VERSION,
        job=parts.spec.job,
        tenant=parts.spec.tenant,
        commitment=parts.spec.commitment,
        epoch=parts.epoch,
        state=parts.state.word,
        submitted_ms=parts.submitted_ms,
        finished_ms=parts.finished_ms,
        gpu_j=gpu_j,
        host_j=host_j,
        overhead_j=overhead_j,
        facility_j=gpu_j + host_j + overhead_j,
        location_mg=location_mg,
        market_mg=sum(line.market_mg for line in parts.lines),
        market_basis=market_basis(parts.lines),
        embodied_mg=embodied_mg,
        water_ml=sum(line.water_ml for line in parts.lines),
        gpu_ms=gpu_ms,
        price_usd_micro=paid.price_usd_micro,
        price_wei=paid.price_wei,
        offset_wei=paid.offset_wei,
        provider_wei=paid.provider_wei,
        network_wei=paid.network_wei,
        refund_wei=paid.refund_wei,
        sci_mg_per_unit=sci_mg_per_unit(location_mg, embodied_mg, parts.units_done, parts.spec.functional_unit),
        functional_unit=parts.spec.functional_unit,
        units=parts.units_done,
        metered_ppm=metered_ppm(gpu_ms, parts.leased_ms),
        energy_quality=worst(parts.energy_qualities),
        energy_uncertainty_ppm=parts.energy_uncertainty_ppm,
        promises=parts.promises,
        counterfactuals=parts.counterfactuals,
        attempts=parts.attempts,
        lines=parts.lines,
        seals=parts.seals,
        not_proved=tuple(_not_proved(parts, gpu_ms)),
    )


def market_basis(lines: tuple[HourLine, ...]) -> str:
    """What market-based emissions rest on; what is less than a Wh has no certificate and is not named."""
    if not any(line.certificates for line in lines):
        return RESIDUAL_MISSING
    whole = all(line.facility_j - line.matched_wh * J_PER_WH < J_PER_WH for line in lines)
    return MATCHED if whole else PARTLY_MATCHED


def metered_ppm(gpu_ms: int, leased_ms: int) -> int:
    """Share of leased time that readings cover, rounded down, at most all; nothing leased leaves nothing unmetered."""
    return min(PPM, gpu_ms * PPM // leased_ms) if leased_ms > 0 else PPM


def worst(qualities: tuple[Quality, ...]) -> Quality:
    """The weakest of qualities; without any, modelled."""
    return max(qualities, key=_WORST_LAST.index, default=Quality.MODELLED)


def _not_proved(parts: ReceiptParts, gpu_ms: int) -> Iterator[str]:
    """Stable keys, in a fixed order."""
    for dimension, level in (
        ("gpu_identity", parts.evidence.gpu_identity),
        ("place", parts.evidence.place),
        ("device_age", parts.evidence.device_age),
    ):
        if level is not Level.ATTESTED:
            yield f"{dimension}_{level}"
    if parts.elsewhere:
        yield DECLARED_ZONE
    for datum, qualities in (
        ("energy", parts.energy_qualities),
        ("overhead", parts.overhead_qualities),
        ("carbon_intensity", tuple(line.carbon_quality for line in parts.lines)),
    ):
        quality = worst(qualities)
        if quality is not Quality.MEASURED:
            yield f"{datum}_{quality}"
    if metered_ppm(gpu_ms, parts.leased_ms) < PPM:
        yield "part_of_time_unmetered"
    yield from _UNMATCHED[market_basis(parts.lines)]
    yield "result_not_checked"
