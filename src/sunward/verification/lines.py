"""The lines of a receipt: energy as metered, and every figure that follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from sunward.model.receipt import HourLine, Receipt
from sunward.verification.batches import FIGURES, Metered
from sunward.verification.bundle import Bundle
from sunward.verification.certificates import market_of_line
from sunward.verification.counted import check_zones
from sunward.verification.evidence import Evidence
from sunward.verification.exact import J_IN_KWH, nearest
from sunward.verification.verdict import Finding, mismatch

SUMMED = ("gpu_ms", "gpu_j", "host_j", "overhead_j", "location_mg", "market_mg", "embodied_mg", "water_ml")


def check_lines(bundle: Bundle, receipt: Receipt, evidence: Evidence, metered: Metered) -> Iterator[Finding]:
    """Every line is one of the metered ones, in order, and right in each figure."""
    names = sorted({line.site for line in receipt.lines})
    declared = {name: site for name in names if (site := evidence.declared(name))}
    if len(declared) < len(names):
        yield mismatch("zone", "sites declared", "the lines", names, sorted(declared))
    yield from check_zones(receipt, declared, evidence.places)
    keys = [(line.hour_ms, line.site, line.gpu_model) for line in receipt.lines]
    if keys != sorted(metered.lines):
        yield mismatch("lines", "hour, site and GPU model", "the lines", keys, sorted(metered.lines))
    for key, line in zip(keys, receipt.lines, strict=True):
        where = f"hour {line.hour_ms} at {line.site}"
        if key in metered.lines:
            for name in FIGURES:
                yield from _equal("line_energy", name, where, getattr(line, name), getattr(metered.lines[key], name))
        yield from _check_carbon(line, where, bundle, evidence)
        yield from _check_resources(line, where, bundle, evidence)


def check_sums(receipt: Receipt) -> Iterator[Finding]:
    """The totals are the sums of the lines."""
    for name in SUMMED:
        total = sum(getattr(line, name) for line in receipt.lines)
        yield from _equal("sums", name, "the receipt", getattr(receipt, name), total)
    energy = receipt.gpu_j + receipt.host_j + receipt.overhead_j
    yield from _equal("sums", "facility_j", "the receipt", receipt.facility_j, energy)


def _check_carbon(line: HourLine, where: str, bundle: Bundle, evidence: Evidence) -> Iterator[Finding]:
    told = (line.carbon_mg_per_kwh, line.carbon_source, line.carbon_quality)
    yield from _equal("intensity", "intensity", where, told, evidence.intensity(line.zone, line.hour_ms))
    facility_kwh = Fraction(line.gpu_j + line.host_j + line.overhead_j, J_IN_KWH)
    location = nearest(facility_kwh * line.carbon_mg_per_kwh)
    yield from _equal("location_mg", "location_mg", where, line.location_mg, location)
    factor = next((one.mg_per_kwh for one in bundle.market if one.zone == line.zone), None)
    yield from _equal("market_factor", "market_mg_per_kwh", where, line.market_mg_per_kwh, factor)
    yield from _equal("market_mg", "market_mg", where, line.market_mg, market_of_line(line))


def _check_resources(line: HourLine, where: str, bundle: Bundle, evidence: Evidence) -> Iterator[Finding]:
    figures = next((one for one in bundle.hardware if one.gpu_model == line.gpu_model), None)
    embodied = None
    if figures and figures.service_life_ms > 0:
        embodied = nearest(Fraction(figures.embodied_mg * line.gpu_ms, figures.service_life_ms))
    yield from _equal("embodied_mg", "embodied_mg", where, line.embodied_mg, embodied)
    site = evidence.declared(line.site)
    equipment_kwh = Fraction(line.gpu_j + line.host_j, J_IN_KWH)
    water = nearest(equipment_kwh * site.water_ml_per_kwh) if site else None
    yield from _equal("water_ml", "water_ml", where, line.water_ml, water)


def _equal(key: str, what: str, where: str, found: object, expected: object) -> Iterator[Finding]:
    if found != expected:
        yield mismatch(key, what, where, found, expected)
