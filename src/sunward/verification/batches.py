"""The signed batches of a bundle: authentic, sealed, and what they add up to for one job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from sunward.errors import InputError
from sunward.model.datum import Quality
from sunward.model.events import ReadingsSealed
from sunward.model.reading import ReadingBatch
from sunward.model.receipt import Receipt
from sunward.model.site import SiteSpec
from sunward.verification.bundle import SignedBatch
from sunward.verification.energy import SHARED, of_batch
from sunward.verification.evidence import Evidence
from sunward.verification.merkle import leads_to
from sunward.verification.reading import faults, message_signed, read_message
from sunward.verification.verdict import Finding, mismatch

FIGURES = ("gpu_ms", "gpu_j", "host_j", "overhead_j")
NOTHING = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A batch that can be read, of a known site and seal."""

    item: SignedBatch
    batch: ReadingBatch
    hash: str
    site: SiteSpec
    signed: bytes
    signature: bytes
    key: str
    """That must have signed it."""
    sound: bool
    """Whether nothing in it cannot be."""


@dataclass(slots=True)
class Metered:
    """What the batches add up to for the job."""

    findings: list[Finding] = field(default_factory=list)
    sealed: dict[tuple[int, str, int], Counter[str]] = field(default_factory=dict)
    """(seal, lease, hour) → figures."""
    lines: dict[tuple[int, str, str], Counter[str]] = field(default_factory=dict)
    """(hour, site, GPU model) → figures."""
    qualities: list[Quality] = field(default_factory=list)
    uncertainty_ppm: int = 0
    """The greatest that a batch with a span of the job states."""


def check_batches(batches: tuple[SignedBatch, ...], evidence: Evidence, receipt: Receipt) -> Metered:
    """Check every batch and sum the energy of the job's leases."""
    metered = Metered()
    opened = []
    for number, item in enumerate(batches):
        one = _open(item, number, evidence, metered.findings)
        if one:
            opened.append(one)
    opened.sort(key=lambda one: (one.batch.site, one.batch.counter))
    metered.findings.extend(_check_signatures(opened))
    # A batch that cannot be is not added up: its finding already refuses the receipt.
    opened = [one for one in opened if one.sound]
    metered.findings.extend(_check_chain(opened))
    attempts = {f"{receipt.job}.{line.attempt}": line.site for line in receipt.attempts}
    for one in opened:
        _add(one, attempts, receipt.job, metered)
    metered.findings.extend(_check_seals(evidence, receipt, metered))
    return metered


def _open(item: SignedBatch, number: int, evidence: Evidence, findings: list[Finding]) -> Opened | None:
    try:
        batch, digest, signed, signature = read_message(item.message)
    except InputError as reason:
        findings.append(_wrong("batch_format", f"batch {number} of the bundle", reason.message))
        return None
    where = f"batch {batch.counter} of {batch.site}"
    seal, site = evidence.seals.get(item.seal), evidence.declared(batch.site, item.seal)
    if seal is None or site is None:
        findings.append(_wrong("batch_place", where, "its seal or its site's declaration is not in the bundle"))
        return None
    wrong = [_wrong("batch_content", where, fault) for fault in faults(batch)]
    findings.extend(wrong)
    index = _index(batch, seal)
    if index is None or not leads_to(seal.root, digest, index, seal.batches, item.path):
        findings.append(_wrong("merkle_proof", where, f"it does not lead to the root of seal {item.seal}"))
    key = _signer(site, batch.counter)
    return Opened(
        item=item, batch=batch, hash=digest, site=site, signed=signed, signature=signature, key=key, sound=not wrong
    )


def _signer(site: SiteSpec, counter: int) -> str:
    """The key that signs a batch: the first of the retired ones that reaches so far, else the present one."""
    for retired in site.retired_keys:
        if retired.last_counter >= counter:
            return retired.public_key
    return site.public_key


def _index(batch: ReadingBatch, seal: ReadingsSealed) -> int | None:
    """Where a batch stands in its seal: sites in order of id, batches in order of counter, without holes."""
    start = 0
    found = None
    for site in sorted(seal.sites, key=lambda one: one.site):
        if site.site == batch.site and site.first_counter <= batch.counter <= site.last_counter:
            found = start + batch.counter - site.first_counter
        start += site.last_counter - site.first_counter + 1
    return found if start == seal.batches else None


def _check_signatures(opened: list[Opened]) -> Iterator[Finding]:
    """Each batch is signed, or named by the hash of its bytes in one of the same key that is."""
    after: Opened | None = None
    for one in reversed(opened):
        named = (
            after is not None
            and after.key == one.key
            and after.batch.site == one.batch.site
            and after.batch.counter == one.batch.counter + 1
            and after.batch.previous == one.hash
        )
        after = one
        if not named and not message_signed(one.signed, one.signature, one.key):
            where = f"batch {one.batch.counter} of {one.batch.site}"
            yield _wrong("batch_signature", where, "it is not signed by the site's key")
            after = None


def _check_chain(opened: list[Opened]) -> Iterator[Finding]:
    for before, after in pairwise(opened):
        one, other = before.batch, after.batch
        if one.site != other.site:
            continue
        where = f"batch {other.counter} of {other.site}"
        if one.counter == other.counter:
            yield _wrong("batch_chain", where, "it is in the bundle twice")
        elif other.counter == one.counter + 1 and other.previous != before.hash:
            yield _wrong("batch_chain", where, "it does not name the batch before it")
        if other.t0_ms < one.t1_ms:
            yield _wrong("batch_chain", where, "it begins before the batch before it ended")


def _add(one: Opened, attempts: dict[str, str], job: str, metered: Metered) -> None:
    where = f"batch {one.batch.counter} of {one.batch.site}"
    models = {device: pool.gpu_model for pool in one.site.pools for device in pool.devices}
    model_of: dict[str, str] = {}
    for span in one.batch.spans:
        if span.device in SHARED or span.lease.rpartition(".")[0] != job:
            continue
        model = models.get(span.device)
        if model is None or model_of.setdefault(span.lease, model) != model:
            metered.findings.append(_wrong("device", where, f"{span.device} is not of the lease's pool"))
        if attempts.get(span.lease) != one.batch.site:
            metered.findings.append(_wrong("attempt", where, f"{span.lease} is no attempt of the receipt at this site"))
    if not model_of:
        metered.findings.append(_wrong("batch_place", where, "no span of it is of a lease of the job"))
        return
    metered.qualities.append(one.batch.quality)
    metered.uncertainty_ppm = max(metered.uncertainty_ppm, one.batch.uncertainty_ppm)
    parts = of_batch(one.batch, one.site.overhead_ppm)
    # Every part of a lease has container time.
    for lease, hour in parts.gpu_ms:
        if lease in model_of:
            row = parts.row((lease, hour))
            for account in (
                metered.sealed.setdefault((one.item.seal, lease, hour), Counter()),
                metered.lines.setdefault((hour, one.batch.site, model_of[lease]), Counter()),
            ):
                for name, figure in row.items():
                    account[name] += figure


def _check_seals(evidence: Evidence, receipt: Receipt, metered: Metered) -> Iterator[Finding]:
    """The job's rows in its seals are what its batches add up to, and no seal is missing or idle."""
    rows: dict[tuple[int, str, int], tuple[int, ...]] = {}
    for sequence in receipt.seals:
        seal = evidence.seals.get(sequence)
        leases = seal.leases if seal else None
        if leases is None or not any(lease.rpartition(".")[0] == receipt.job for lease in leases.lease):
            yield _wrong("seals", f"seal {sequence}", "it is not in the bundle or holds nothing of the job")
            continue
        columns = (leases.lease, leases.hour_ms, leases.gpu_ms, leases.gpu_j, leases.host_j, leases.overhead_j)
        for lease, hour, *figures in zip(*columns, strict=False):
            if str(lease).rpartition(".")[0] == receipt.job:
                key = (sequence, str(lease), int(hour))
                # A seal may give a lease and hour in several rows.
                rows[key] = tuple(map(sum, zip(rows.get(key, NOTHING), map(int, figures), strict=True)))
    for key in sorted(rows.keys() | metered.sealed.keys()):
        found = rows.get(key)
        expected = tuple(metered.sealed[key][name] for name in FIGURES) if key in metered.sealed else None
        if found != expected:
            where = f"lease {key[1]} in hour {key[2]} of seal {key[0]}"
            yield mismatch("sealed_totals", ", ".join(FIGURES), where, found, expected)


def _wrong(key: str, where: str, why: str) -> Finding:
    return Finding(key=key, sentence="{where}: {why}", figures={"where": where, "why": why})
