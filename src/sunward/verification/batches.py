"""The signed batches of a bundle: authentic, sealed, and what they add up to for one job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from operator import add
from typing import NamedTuple, TypeAlias

from sunward.errors import InputError
from sunward.model.datum import Quality
from sunward.model.events import ReadingsSealed
from sunward.model.receipt import Receipt
from sunward.model.site import SiteSpec
from sunward.verification.bundle import SignedBatch
from sunward.verification.energy import SHARED, of_batch
from sunward.verification.evidence import Evidence
from sunward.verification.merkle import leads_to
from sunward.verification.reading import Message, ToldBatch, faults, read_message, unsigned
from sunward.verification.verdict import Finding, mismatch

NOTHING = (0, 0, 0, 0)
QUALITIES = tuple(Quality)
"""Best first."""
WIDE_PPM = 100_000


class Figures(NamedTuple):
    """Container time, and joules of GPUs, host and overhead."""

    gpu_ms: int
    gpu_j: int
    host_j: int
    overhead_j: int


FIGURES = Figures._fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A batch that can be read, of a known site and seal."""

    item: SignedBatch
    message: Message
    site: SiteSpec
    key: str
    """That must have signed it."""
    sound: bool
    """Whether nothing in it cannot be."""

    @property
    def batch(self) -> ToldBatch:
        """What the message says."""
        return self.message.batch


Place: TypeAlias = tuple[int, int, int]
"""Of a site's batches in a seal: the leaf of the first, its number, and that of the last."""


@dataclass(slots=True)
class Seals:
    """The seals of the evidence, with what is looked up for every batch."""

    evidence: Evidence
    places: dict[int, dict[str, Place]] = field(default_factory=dict)

    def index(self, batch: ToldBatch, sequence: int, seal: ReadingsSealed) -> int | None:
        """Where a batch stands in its seal: sites in order of id, batches in order of counter, without holes."""
        if sequence not in self.places:
            self.places[sequence] = _places(seal)
        begin, first, last = self.places[sequence].get(batch.site, (0, 1, 0))
        return begin + batch.counter - first if first <= batch.counter <= last else None


@dataclass(slots=True)
class Metered:
    """What the batches add up to for the job."""

    job: str
    findings: list[Finding] = field(default_factory=list)
    sealed: dict[tuple[int, str, int], Figures] = field(default_factory=dict)
    """(seal, lease, hour) → figures."""
    lines: dict[tuple[int, str, str], Figures] = field(default_factory=dict)
    """(hour, site, GPU model) → figures."""
    qualities: list[Quality] = field(default_factory=list)
    uncertainty_ppm: int = 0
    """The greatest that a batch with a span of the job states."""


def check_batches(batches: tuple[SignedBatch, ...], evidence: Evidence, receipt: Receipt) -> Metered:
    """Check every batch and sum the energy of the job's leases."""
    metered, seals = Metered(receipt.job), Seals(evidence)
    opened = []
    for number, item in enumerate(batches):
        one = _open(item, number, seals, metered.findings)
        if one:
            opened.append(one)
    opened.sort(key=lambda one: (one.batch.site, one.batch.counter))
    for batch in unsigned([(one.message, one.key) for one in opened]):
        metered.findings.append(_wrong("batch_signature", _named(batch), "it is not signed by the site's key"))
    # A batch that cannot be is not added up: its finding already refuses the receipt.
    opened = [one for one in opened if one.sound]
    metered.findings.extend(_check_chain(opened))
    attempts = {f"{receipt.job}.{line.attempt}": line.site for line in receipt.attempts}
    models: dict[int, dict[str, str]] = {}
    others = {""}
    for one in opened:
        if id(one.site) not in models:
            models[id(one.site)] = {device: pool.gpu_model for pool in one.site.pools for device in pool.devices}
        held = _leases(one, models[id(one.site)], attempts, others, metered)
        _add(one, held, metered)
    metered.findings.extend(_check_seals(evidence, receipt, metered))
    return metered


def _open(item: SignedBatch, number: int, seals: Seals, findings: list[Finding]) -> Opened | None:
    try:
        message = read_message(item.message)
    except InputError as reason:
        findings.append(_wrong("batch_format", f"batch {number} of the bundle", reason.message))
        return None
    batch = message.batch
    seal, site = seals.evidence.seals.get(item.seal), seals.evidence.declared(batch.site, item.seal)
    if seal is None or site is None:
        why = "its seal or its site's declaration is not in the bundle"
        findings.append(_wrong("batch_place", _named(batch), why))
        return None
    wrong = [_wrong("batch_content", _named(batch), fault) for fault in faults(batch)]
    findings.extend(wrong)
    index = seals.index(batch, item.seal, seal)
    if index is None or not leads_to(seal.root, message.hash, index, seal.batches, item.path):
        findings.append(_wrong("merkle_proof", _named(batch), f"it does not lead to the root of seal {item.seal}"))
    return Opened(item=item, message=message, site=site, key=_signer(site, batch.counter), sound=not wrong)


def _signer(site: SiteSpec, counter: int) -> str:
    """The key that signs a batch: the first of the retired ones that reaches so far, else the present one."""
    for retired in site.retired_keys:
        if retired.last_counter >= counter:
            return retired.public_key
    return site.public_key


def _places(seal: ReadingsSealed) -> dict[str, Place]:
    """Where the batches of each site begin; nowhere when the sites do not add up to the seal."""
    begin, found = 0, dict[str, Place]()
    for site in sorted(seal.sites, key=lambda one: one.site):
        found[site.site] = (begin, site.first_counter, site.last_counter)
        begin += site.last_counter - site.first_counter + 1
    return found if begin == seal.batches else {}


def _check_chain(opened: list[Opened]) -> Iterator[Finding]:
    for before, after in pairwise(opened):
        one, other = before.batch, after.batch
        if one.site != other.site:
            continue
        where = _named(other)
        if one.counter == other.counter:
            yield _wrong("batch_chain", where, "it is in the bundle twice")
        elif other.counter == one.counter + 1 and other.previous != before.message.hash:
            yield _wrong("batch_chain", where, "it does not name the batch before it")
        if other.t0_ms < one.t1_ms:
            yield _wrong("batch_chain", where, "it begins before the batch before it ended")


def _leases(
    one: Opened, models: dict[str, str], attempts: dict[str, str], others: set[str], metered: Metered
) -> dict[str, str]:
    """The GPU model of each lease of the job in a batch; `others`: leases that are none of its, found on the way."""
    model_of: dict[str, str] = {}
    job = metered.job
    for span in one.batch.spans:
        lease = span.lease
        if lease in others or span.device in SHARED:
            continue
        if lease.rpartition(".")[0] != job:
            others.add(lease)
            continue
        model = models.get(span.device)
        if model is None or model_of.setdefault(lease, model) != model:
            why = f"{span.device} is not of the lease's pool"
            metered.findings.append(_wrong("device", _named(one.batch), why))
        if attempts.get(lease) != one.batch.site:
            why = f"{lease} is no attempt of the receipt at this site"
            metered.findings.append(_wrong("attempt", _named(one.batch), why))
    return model_of


def _add(one: Opened, model_of: dict[str, str], metered: Metered) -> None:
    if not model_of:
        metered.findings.append(_wrong("batch_place", _named(one.batch), "no span of it is of a lease of the job"))
        return
    # Counters that may lie a tenth from the truth are an estimate, whatever their site calls them.
    wide = one.batch.uncertainty_ppm > WIDE_PPM
    metered.qualities.append(
        max(one.batch.quality, Quality.ESTIMATED, key=QUALITIES.index) if wide else one.batch.quality
    )
    metered.uncertainty_ppm = max(metered.uncertainty_ppm, one.batch.uncertainty_ppm)
    parts = of_batch(one.batch, one.site.overhead_ppm)
    sealed, lines = metered.sealed, metered.lines
    # Every part of a lease has container time.
    for lease, hour in parts.gpu_ms:
        if lease in model_of:
            row = parts.row((lease, hour))
            at_seal, at_line = (one.item.seal, lease, hour), (hour, one.batch.site, model_of[lease])
            sealed[at_seal] = Figures._make(map(add, sealed.get(at_seal, NOTHING), row))
            lines[at_line] = Figures._make(map(add, lines.get(at_line, NOTHING), row))


def _check_seals(evidence: Evidence, receipt: Receipt, metered: Metered) -> Iterator[Finding]:
    """The job's rows in its seals are what its batches add up to, and no seal is missing or idle."""
    rows: dict[tuple[int, str, int], Figures] = {}
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
                rows[key] = Figures._make(map(add, rows.get(key, NOTHING), map(int, figures)))
    for key in sorted(rows.keys() | metered.sealed.keys()):
        found = rows.get(key)
        expected = metered.sealed.get(key)
        if found != expected:
            where = f"lease {key[1]} in hour {key[2]} of seal {key[0]}"
            yield mismatch("sealed_totals", ", ".join(FIGURES), where, found, expected)


def _named(batch: ToldBatch) -> str:
    return f"batch {batch.counter} of {batch.site}"


def _wrong(key: str, where: str, why: str) -> Finding:
    return Finding(key=key, sentence="{where}: {why}", figures={"where": where, "why": why})
