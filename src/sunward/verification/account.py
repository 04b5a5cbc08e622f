"""What stands on a receipt beside its lines: the job, the money, the promise, SCI and counterfactual change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from math import floor

from sunward.model.datum import Quality
from sunward.model.events import NetworkStarted
from sunward.model.job import JobSpec
from sunward.model.receipt import Receipt
from sunward.verification.batches import QUALITIES, Metered
from sunward.verification.bundle import Bundle
from sunward.verification.certificates import basis_of
from sunward.verification.evidence import Evidence
from sunward.verification.exact import MILLION, MS_IN_HOUR, TEN_THOUSAND, nearest
from sunward.verification.verdict import Finding, mismatch

RECEIPT_VERSION = 1
COUNTERFACTUALS = ("run-now-origin", "run-now-mean-site")
UNPROMISED = ("refused", "cancelled")
ALWAYS_OPEN = "result_not_checked"
UNMATCHED = {
    "residual missing": ("no_certificates",),
    "certificates, residual missing": ("part_without_certificates",),
}


def check_account(bundle: Bundle, receipt: Receipt, evidence: Evidence, metered: Metered) -> Iterator[Finding]:
    """Everything but the lines and their sums."""
    if evidence.spec is None or evidence.rules is None:
        yield Finding(key="missing", sentence="the bundle lacks the record of the job or of the network's rules")
        return
    checks = [("version", "version", receipt.version, RECEIPT_VERSION)]
    expected = [
        *checks,
        *_job(receipt, evidence.spec, evidence.submitted_ms),
        *_money(receipt, evidence.spec, evidence.rules, evidence, bundle.offset_share_bps, metered),
        *_indicators(receipt, evidence.spec),
    ]
    for key, what, found, right in expected:
        if found != right:
            yield mismatch(key, what, "the receipt", found, right)
    yield from _check_share(bundle.offset_share_bps, evidence.rules)
    yield from _check_candour(receipt, evidence, metered)


Check = tuple[str, str, object, object]
"""Key, name, found, expected."""


def _job(receipt: Receipt, spec: JobSpec, submitted_ms: int) -> Iterator[Check]:
    yield "job", "tenant", receipt.tenant, spec.tenant
    yield "job", "commitment", receipt.commitment, spec.commitment
    yield "job", "functional_unit", receipt.functional_unit, spec.functional_unit
    yield "job", "submitted_ms", receipt.submitted_ms, submitted_ms
    units = spec.units if receipt.state == "finished" else max(0, min(receipt.units, spec.units))
    yield "job", "units", receipt.units, units
    kept = receipt.state == "finished" and receipt.finished_ms <= spec.deadline_ms
    promised = [] if receipt.state in UNPROMISED else [("finish_by", spec.deadline_ms, kept)]
    if promised and spec.start_by_ms:
        in_time = any(line.start_ms <= spec.start_by_ms and line.start_ms < line.end_ms for line in receipt.attempts)
        promised.append(("start_by", spec.start_by_ms, in_time))
    stated = [(one.kind, one.at_ms, one.kept, one.stated_ppm) for one in receipt.promises]
    yield "promise", "promises", stated, [(*one, spec.promise_ppm) for one in promised]
    beyond = [line.gpus for line in receipt.attempts if line.gpus and not spec.gpus <= line.gpus <= spec.most]
    yield "job", "gpus of attempts outside what was asked", beyond, []
    leased_ms = sum((line.end_ms - line.start_ms) * (line.gpus or spec.gpus) for line in receipt.attempts)
    covered = floor(Fraction(receipt.gpu_ms * MILLION, leased_ms)) if leased_ms > 0 else MILLION
    yield "metered_ppm", "metered_ppm", receipt.metered_ppm, min(MILLION, covered)


def _money(
    receipt: Receipt, spec: JobSpec, rules: NetworkStarted, evidence: Evidence, share_bps: int, metered: Metered
) -> Iterator[Check]:
    price = sum(
        floor(Fraction(time_ms * ask, MS_IN_HOUR)) for (_, ask), time_ms in _used(receipt, evidence, metered).items()
    )
    yield "price", "price_usd_micro", receipt.price_usd_micro, price
    due = min(price, spec.budget_usd_micro or price)
    paid = min(due * evidence.wei_per_usd_micro, spec.escrow_wei)
    offset = floor(Fraction(paid * share_bps, TEN_THOUSAND))
    provider = floor(Fraction((paid - offset) * rules.provider_share_bps, TEN_THOUSAND))
    yield "payment", "price_wei", receipt.price_wei, paid
    yield "payment", "offset_wei", receipt.offset_wei, offset
    yield "payment", "provider_wei", receipt.provider_wei, provider
    yield "payment", "network_wei", receipt.network_wei, paid - offset - provider
    yield "payment", "refund_wei", receipt.refund_wei, spec.escrow_wei - paid


def _used(receipt: Receipt, evidence: Evidence, metered: Metered) -> Counter[tuple[str, int]]:
    """Container time by site and ask: an attempt is paid at the ask that was declared when it was offered.

    The lines do not tell attempts apart, so where a site's attempts differ in their ask the batches do.
    """
    asks: dict[str, set[int]] = {}
    ask_of: dict[str, tuple[str, int]] = {}
    for line in receipt.attempts:
        declared = evidence.declared(line.site, line.offered + 1 if line.offered else None)
        ask = declared.ask_usd_micro_per_gpu_h if declared else 0
        asks.setdefault(line.site, set()).add(ask)
        ask_of[f"{receipt.job}.{line.attempt}"] = (line.site, ask)
    used_ms: Counter[tuple[str, int]] = Counter()
    for hour in receipt.lines:
        if len(asks.get(hour.site, ())) == 1:
            used_ms[hour.site, min(asks[hour.site])] += hour.gpu_ms
    for (_, lease, _), figures in metered.sealed.items():
        if len(asks.get(ask_of.get(lease, ("", 0))[0], ())) > 1:
            used_ms[ask_of[lease]] += figures.gpu_ms
    return used_ms


def _indicators(receipt: Receipt, spec: JobSpec) -> Iterator[Check]:
    sci = None
    if spec.functional_unit and receipt.units > 0:
        sci = nearest(Fraction(receipt.location_mg + receipt.embodied_mg, receipt.units))
    yield "sci", "sci_mg_per_unit", receipt.sci_mg_per_unit, sci
    names = tuple(f"{name}/{spec.counterfactual}" for name in COUNTERFACTUALS) if receipt.lines else ()
    yield "counterfactual", "names", tuple(one.name for one in receipt.counterfactuals), names
    for one in receipt.counterfactuals:
        change = 0
        if one.carbon_mg:
            change = nearest(Fraction(receipt.location_mg - one.carbon_mg, one.carbon_mg) * MILLION)
        yield "counterfactual", f"change against {one.name}", one.change_ppm, change
    yield "market_basis", "market_basis", receipt.market_basis, basis_of(receipt)


def _check_share(share_bps: int, rules: NetworkStarted) -> Iterator[Finding]:
    lowest = min(rules.offset_floor_bps, rules.offset_start_bps)
    highest = max(rules.offset_ceiling_bps, rules.offset_start_bps)
    if not lowest <= share_bps <= highest:
        yield mismatch("offset_share", "offset share", "the bundle", share_bps, f"{lowest} to {highest}")


def _sealed_ppm(receipt: Receipt, evidence: Evidence) -> int:
    """The greatest uncertainty that the job's seals state of the sites where its attempts were."""
    site_of = {f"{receipt.job}.{line.attempt}": line.site for line in receipt.attempts}
    found = [0]
    for sequence in receipt.seals:
        seal = evidence.seals.get(sequence)
        if seal is not None:
            sites = {site_of.get(lease) for lease in seal.leases.lease}
            found += [one.uncertainty_ppm for one in seal.sites if one.site in sites]
    return max(found)


def _check_candour(receipt: Receipt, evidence: Evidence, metered: Metered) -> Iterator[Finding]:
    """The receipt claims no better quality than its evidence has, and names what it does not prove."""
    worst = max(map(QUALITIES.index, metered.qualities), default=QUALITIES.index(Quality.MODELLED))
    if QUALITIES.index(receipt.energy_quality) < worst:
        yield mismatch("quality", "energy_quality", "the receipt", receipt.energy_quality, QUALITIES[worst])
    sealed_ppm = max(_sealed_ppm(receipt, evidence), metered.uncertainty_ppm)
    if receipt.energy_uncertainty_ppm not in (None, sealed_ppm):
        key, told = "energy_uncertainty_ppm", receipt.energy_uncertainty_ppm
        yield mismatch("uncertainty", key, "the receipt", told, sealed_ppm)
    sites = [evidence.declared(site) for site in {line.site for line in receipt.lines}]
    named = {
        "energy": [receipt.energy_quality],
        "overhead": [site.overhead_quality for site in sites if site],
        "carbon_intensity": [line.carbon_quality for line in receipt.lines],
    }
    due = [ALWAYS_OPEN, *UNMATCHED.get(basis_of(receipt), ())]
    for datum, qualities in named.items():
        quality = max(qualities, key=QUALITIES.index, default=Quality.MODELLED)
        if quality is not Quality.MEASURED:
            due.append(f"{datum}_{quality}")
    if receipt.metered_ppm < MILLION:
        due.append("part_of_time_unmetered")
    for key in due:
        if key not in receipt.not_proved:
            yield mismatch("not_proved", "not_proved", "the receipt", receipt.not_proved, f"{key} among them")
