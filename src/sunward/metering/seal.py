"""From accepted batches to one `ReadingsSealed`: energy per lease and hour, idle energy, and a Merkle root.

A pure function of signed batches and declared facts. All sums are integers and the parts add up exactly:
leases and idle together are what the counters counted, to the joule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeAlias

from sunward.errors import InvariantError
from sunward.metering import merkle
from sunward.metering.chain import Fault, named_faults
from sunward.metering.split import by_hour, largest_remainder, overlap_ms
from sunward.metering.wire import HOST, METER
from sunward.model.datum import Quality
from sunward.model.events import ReadingsSealed
from sunward.model.hardware import PowerState
from sunward.model.reading import LeaseSeals, ReadingBatch, SiteSeal, Span
from sunward.units import PPM

IDLE = ""
"""The lease of energy that no lease used: the provider's idle account."""

_SLEEPING = frozenset({PowerState.OFF, PowerState.ASLEEP})
_WORST_LAST = tuple(Quality)
MEASURED_PPM_MAX = 100_000
"""Counters that may lie further from the truth than this are an estimate, whatever their site calls them."""

Part: TypeAlias = tuple[str, int]
"""(lease, start of the hour); the lease is empty for idle energy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFacts:
    """What a site declared that its readings do not tell."""

    overhead_ppm: int
    """Facility energy over IT energy, times a million; used where no site meter covers a batch."""


Hashed: TypeAlias = tuple[str, ReadingBatch]
"""A stored batch and the SHA-256 of its signed bytes."""


@dataclass(slots=True)
class Energy:
    """Joules and container time by part."""

    gpu_j: dict[Part, int] = field(default_factory=dict)
    host_j: dict[Part, int] = field(default_factory=dict)
    overhead_j: dict[Part, int] = field(default_factory=dict)
    gpu_ms: dict[Part, int] = field(default_factory=dict)

    def add(self, other: Energy) -> None:
        """Take over all of another account."""
        _add(self.gpu_j, other.gpu_j)
        _add(self.host_j, other.host_j)
        _add(self.overhead_j, other.overhead_j)
        _add(self.gpu_ms, other.gpu_ms)


def seal(
    shard: str,
    accepted: Sequence[Hashed],
    site_facts: Mapping[str, SiteFacts],
    previous: Mapping[str, ReadingBatch],
) -> ReadingsSealed:
    """Seal accepted batches, in whatever order they come.

    `previous`: the last batch sealed before, by site; a site that is absent is sealed for the first time.
    Raises: InvariantError without any batch, for a site without facts, or when a site's numbers have a hole.
    """
    if not accepted:
        raise InvariantError("a seal needs at least one batch")
    ordered = sorted(accepted, key=lambda item: (item[1].site, item[1].counter))
    leases = Energy()
    sites = []
    for site, group in groupby(ordered, key=lambda item: item[1].site):
        if site not in site_facts:
            raise InvariantError(f"readings of {site} were accepted although it never enrolled")
        batches = [batch for _, batch in group]
        site_seal, energy = _site(batches, site_facts[site], previous.get(site))
        sites.append(site_seal)
        leases.add(energy)
    return ReadingsSealed(
        shard=shard,
        start_ms=min(batch.t0_ms for _, batch in ordered),
        end_ms=max(batch.t1_ms for _, batch in ordered),
        root=merkle.root([digest for digest, _ in ordered]),
        batches=len(ordered),
        sites=tuple(sites),
        leases=_columns(leases),
    )


def batch_energy(batch: ReadingBatch, facts: SiteFacts) -> tuple[Energy, tuple[Fault, ...]]:
    """Energy of one batch by lease and hour, and what its counters contradict.

    Device energy belongs to the span's lease. Host energy is shared by container time among the containers
    awake in the same span; what idle ones would carry is idle. Overhead is the site meter less IT energy
    where the meter covers the whole batch, else the declared ratio.
    """
    energy = Energy()
    devices = [span for span in batch.spans if span.device not in (HOST, METER)]
    modelled: dict[Part, int] = {}
    for span in devices:
        for hour_ms, start_ms, end_ms, joules in _hours_of(span, _joules(span)):
            _add(energy.gpu_j, {(span.lease, hour_ms): joules})
            _add(energy.gpu_ms, {(span.lease, hour_ms): end_ms - start_ms})
        for hour_ms, _, _, joules in _hours_of(span, _declared_overhead_j(span, facts)):
            _add(modelled, {(span.lease, hour_ms): joules})
    for span in batch.spans:
        if span.device == HOST:
            _add(energy.host_j, _shares(span, _joules(span), devices))
            _add(modelled, _shares(span, _declared_overhead_j(span, facts), devices))
    metered = _metered_j(batch)
    if metered is None:
        energy.overhead_j = modelled
        return energy, ()
    energy.overhead_j, faults = _metered_overhead(metered, energy)
    return energy, faults


def unmetered_j(previous: ReadingBatch | None, batch: ReadingBatch, facts: SiteFacts) -> int:
    """Facility energy that counters of one boot gained outside every span, in a batch and before it.

    A site meter that covers both batches whole saw all of it: its own step between them, and nothing within. Else
    what the equipment gained and the declared ratio, again as a difference of cumulative amounts.
    """
    before = previous if previous is not None and previous.boot == batch.boot else None
    whole = _metered_j(batch) is not None
    by_meter = whole and before is not None and _metered_j(before) is not None
    ends = {span.device: span.end_j for span in before.spans} if before else {}
    inside: set[str] = set()
    total = 0
    for span in batch.spans:
        start_j = ends.get(span.device, span.start_j)
        counts = by_meter == (span.device == METER) if span.device not in inside else not whole and span.device != METER
        if counts:
            total += span.start_j - start_j
            if not by_meter:
                total += _ratio_j(start_j, span.start_j, facts)
        ends[span.device] = span.end_j
        inside.add(span.device)
    return total


def _site(batches: Sequence[ReadingBatch], facts: SiteFacts, previous: ReadingBatch | None) -> tuple[SiteSeal, Energy]:
    total = Energy()
    faults: set[Fault] = set()
    boots: list[str] = []
    gap_ms = outside_j = meter_ms = meter_j = meter_it_j = 0
    last = previous
    for batch in batches:
        if last is not None and batch.counter != last.counter + 1:
            raise InvariantError(f"batch {batch.counter} of {batch.site} was to be sealed after {last.counter}")
        energy, found = batch_energy(batch, facts)
        total.add(energy)
        faults.update(found, named_faults(last, batch))
        gap_ms += batch.t0_ms - last.t1_ms if last is not None else 0
        outside_j += unmetered_j(last, batch, facts)
        metered = _metered_j(batch)
        if metered is not None:
            meter_ms += batch.t1_ms - batch.t0_ms
            meter_j += metered
            meter_it_j += sum(energy.gpu_j.values()) + sum(energy.host_j.values())
        if last is None or last.boot != batch.boot:
            boots.append(batch.boot)
        last = batch
    sealed = SiteSeal(
        site=batches[0].site,
        first_counter=batches[0].counter,
        last_counter=batches[-1].counter,
        covered_to_ms=batches[-1].t1_ms,
        idle_gpu_j=_idle(total.gpu_j),
        idle_host_j=_idle(total.host_j),
        idle_overhead_j=_idle(total.overhead_j),
        gap_ms=gap_ms,
        quality=max(map(_quality, batches), key=_WORST_LAST.index),
        faults=tuple(sorted(faults)),
        unmetered_j=outside_j,
        covered_ms=sum(batch.t1_ms - batch.t0_ms for batch in batches),
        meter_ms=meter_ms,
        meter_j=meter_j,
        meter_it_j=meter_it_j,
        boots=tuple(boots),
        uncertainty_ppm=max(batch.uncertainty_ppm for batch in batches),
    )
    return sealed, total


def _quality(batch: ReadingBatch) -> Quality:
    """What a batch says of itself, and no better than its uncertainty allows."""
    best = Quality.ESTIMATED if batch.uncertainty_ppm > MEASURED_PPM_MAX else Quality.MEASURED
    return max(batch.quality, best, key=_WORST_LAST.index)


def _columns(energy: Energy) -> LeaseSeals:
    parts = [*energy.gpu_j, *energy.host_j, *energy.overhead_j]
    rows = sorted({part for part in parts if part[0] != IDLE})
    return LeaseSeals(
        lease=tuple(lease for lease, _ in rows),
        hour_ms=tuple(hour_ms for _, hour_ms in rows),
        gpu_j=tuple(energy.gpu_j.get(row, 0) for row in rows),
        host_j=tuple(energy.host_j.get(row, 0) for row in rows),
        overhead_j=tuple(energy.overhead_j.get(row, 0) for row in rows),
        gpu_ms=tuple(energy.gpu_ms.get(row, 0) for row in rows),
    )


def _hours_of(span: Span, joules: int) -> list[tuple[int, int, int, int]]:
    """(hour, start, end, joules) of the parts of a span; joules in proportion to time."""
    pieces = by_hour(span.t0_ms, span.t1_ms)
    shares = largest_remainder(joules, [end_ms - start_ms for _, start_ms, end_ms in pieces])
    return [(*piece, share) for piece, share in zip(pieces, shares, strict=True)]


def _shares(host: Span, joules: int, devices: Sequence[Span]) -> dict[Part, int]:
    """Host energy by lease and hour, in proportion to the time containers were awake for each."""
    shared: dict[Part, int] = {}
    for hour_ms, start_ms, end_ms, in_hour_j in _hours_of(host, joules):
        awake_ms: dict[Part, int] = {}
        for device in devices:
            together_ms = overlap_ms(device.t0_ms, device.t1_ms, start_ms, end_ms)
            if together_ms and (device.lease or device.state not in _SLEEPING):
                _add(awake_ms, {(device.lease, hour_ms): together_ms})
        _add(shared, _spread(in_hour_j, awake_ms, (IDLE, hour_ms)))
    return shared


def _spread(amount: int, weights: Mapping[Part, int], otherwise: Part) -> dict[Part, int]:
    """An amount over parts by weight, exactly; all of it to `otherwise` where nothing has weight."""
    parts = sorted(part for part, weight in weights.items() if weight)
    if not parts:
        return {otherwise: amount}
    shares = largest_remainder(amount, [weights[part] for part in parts])
    return dict(zip(parts, shares, strict=True))


def _declared_overhead_j(span: Span, facts: SiteFacts) -> int:
    """Overhead of one span by the declared ratio, as a difference of cumulative amounts.

    Rounding the cumulative amount down, not each span, makes the overhead of a span the exact sum of the
    overheads of its pieces, wherever it is cut.
    """
    return _ratio_j(span.start_j, span.end_j, facts)


def _ratio_j(start_j: int, end_j: int, facts: SiteFacts) -> int:
    extra_ppm = facts.overhead_ppm - PPM
    return end_j * extra_ppm // PPM - start_j * extra_ppm // PPM


def _metered_j(batch: ReadingBatch) -> int | None:
    """What the site meter counted, when its spans cover the whole batch."""
    meter = [span for span in batch.spans if span.device == METER]
    covered_ms = sum(span.t1_ms - span.t0_ms for span in meter)
    if covered_ms < batch.t1_ms - batch.t0_ms:
        return None
    return sum(_joules(span) for span in meter)


def _metered_overhead(metered_j: int, energy: Energy) -> tuple[dict[Part, int], tuple[Fault, ...]]:
    """Meter less IT energy, over the parts in proportion to their IT energy."""
    it_j = dict(energy.gpu_j)
    _add(it_j, energy.host_j)
    overhead_j = metered_j - sum(it_j.values())
    if overhead_j < 0:
        return {}, (Fault.METER_LOW,)
    return _spread(overhead_j, it_j, (IDLE, 0)), ()


def _joules(span: Span) -> int:
    return span.end_j - span.start_j


def _idle(amounts: Mapping[Part, int]) -> int:
    return sum(amount for (lease, _), amount in amounts.items() if lease == IDLE)


def _add(total: dict[Part, int], more: Mapping[Part, int]) -> None:
    for part, amount in more.items():
        total[part] = total.get(part, 0) + amount
