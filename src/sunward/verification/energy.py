"""Energy of one batch by lease and hour, after the split rules of docs/readings.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

from sunward.model.hardware import PowerState
from sunward.model.reading import ReadingBatch, Span
from sunward.verification.exact import MILLION, MS_IN_HOUR, apportion

Part: TypeAlias = tuple[str, int]
"""(lease, start of the hour); no lease = idle."""
SHARED = ("host", "meter")
"""Counters that stand for the whole node or site."""
NOT_AWAKE = (PowerState.OFF, PowerState.ASLEEP)


@dataclass(slots=True)
class Parts:
    """Joules and container time by part."""

    gpu_j: Counter[Part] = field(default_factory=Counter)
    host_j: Counter[Part] = field(default_factory=Counter)
    overhead_j: Counter[Part] = field(default_factory=Counter)
    gpu_ms: Counter[Part] = field(default_factory=Counter)

    def all(self) -> set[Part]:
        """Every part that has any figure."""
        return {*self.gpu_j, *self.host_j, *self.overhead_j, *self.gpu_ms}

    def row(self, part: Part) -> dict[str, int]:
        """The figures of one part by name."""
        return {
            "gpu_ms": self.gpu_ms[part],
            "gpu_j": self.gpu_j[part],
            "host_j": self.host_j[part],
            "overhead_j": self.overhead_j[part],
        }


def of_batch(batch: ReadingBatch, overhead_ppm: int) -> Parts:
    """What each lease used, and what nobody did."""
    parts = Parts()
    declared: Counter[Part] = Counter()
    devices = [span for span in batch.spans if span.device not in SHARED]
    for span in devices:
        times = _time_by_hour(span.t0_ms, span.t1_ms)
        for hour, time_ms in times.items():
            parts.gpu_ms[span.lease, hour] += time_ms
        for hour, joules in apportion(span.end_j - span.start_j, times).items():
            parts.gpu_j[span.lease, hour] += joules
        for hour, joules in apportion(_declared(span, overhead_ppm), times).items():
            declared[span.lease, hour] += joules
    for span in batch.spans:
        if span.device == "host":
            parts.host_j.update(_of_host(span, span.end_j - span.start_j, devices))
            declared.update(_of_host(span, _declared(span, overhead_ppm), devices))
    meter = [span for span in batch.spans if span.device == "meter"]
    if sum(span.t1_ms - span.t0_ms for span in meter) < batch.t1_ms - batch.t0_ms:
        parts.overhead_j = declared
    else:
        parts.overhead_j = _behind_meter(sum(span.end_j - span.start_j for span in meter), parts)
    return parts


def unmetered_j(before: ReadingBatch | None, batch: ReadingBatch, overhead_ppm: int) -> int:
    """What counters of one boot gained where no span is, as the site's own energy."""
    joined = before if before is not None and before.boot == batch.boot else None
    if joined is not None and _meter_covers(joined) and _meter_covers(batch):
        return _first(batch, "meter").start_j - _last(joined, "meter").end_j
    covered = _meter_covers(batch)
    total = 0
    for device in {span.device for span in batch.spans} - {"meter"}:
        spans = [span for span in batch.spans if span.device == device]
        reached = [span.end_j for span in joined.spans if span.device == device][-1:] if joined else []
        holes = list(zip(reached, [spans[0].start_j], strict=False))
        if not covered:
            holes += [(one.end_j, other.start_j) for one, other in pairwise(spans)]
        for low, high in holes:
            total += high - low + _above(low, high, overhead_ppm)
    return total


def _meter_covers(batch: ReadingBatch) -> bool:
    return sum(span.t1_ms - span.t0_ms for span in batch.spans if span.device == "meter") == batch.t1_ms - batch.t0_ms


def _first(batch: ReadingBatch, device: str) -> Span:
    return next(span for span in batch.spans if span.device == device)


def _last(batch: ReadingBatch, device: str) -> Span:
    return [span for span in batch.spans if span.device == device][-1]


def _time_by_hour(start_ms: int, end_ms: int) -> dict[int, int]:
    first, last = start_ms // MS_IN_HOUR, (end_ms - 1) // MS_IN_HOUR
    return {
        hour * MS_IN_HOUR: min(end_ms, (hour + 1) * MS_IN_HOUR) - max(start_ms, hour * MS_IN_HOUR)
        for hour in range(first, last + 1)
    }


def _declared(span: Span, overhead_ppm: int) -> int:
    """Overhead by the declared ratio: the difference of two cumulative amounts, each rounded down."""
    return _above(span.start_j, span.end_j, overhead_ppm)


def _above(low_j: int, high_j: int, overhead_ppm: int) -> int:
    above_one = overhead_ppm - MILLION
    return high_j * above_one // MILLION - low_j * above_one // MILLION


def _of_host(host: Span, joules: int, devices: list[Span]) -> Counter[Part]:
    """Joules of the host by hour, in each hour by the time that containers were awake for each lease."""
    shares: Counter[Part] = Counter()
    for hour, in_hour_j in apportion(joules, _time_by_hour(host.t0_ms, host.t1_ms)).items():
        start, end = max(host.t0_ms, hour), min(host.t1_ms, hour + MS_IN_HOUR)
        awake: Counter[Part] = Counter()
        for span in devices:
            if span.lease or span.state not in NOT_AWAKE:
                awake[span.lease, hour] += max(0, min(end, span.t1_ms) - max(start, span.t0_ms))
        shares.update(_by_weight(in_hour_j, awake) or {("", hour): in_hour_j})
    return shares


def _behind_meter(metered_j: int, parts: Parts) -> Counter[Part]:
    """Meter less equipment, by the energy of the equipment; nobody's where that stood still, nothing below it."""
    equipment = parts.gpu_j + parts.host_j
    rest_j = metered_j - equipment.total()
    return Counter(_by_weight(rest_j, equipment) or {("", 0): rest_j}) if rest_j > 0 else Counter()


def _by_weight(amount: int, weights: Mapping[Part, int]) -> dict[Part, int]:
    """Parts in order of lease and hour; empty where nothing has weight."""
    return apportion(amount, {part: weights[part] for part in sorted(weights) if weights[part] > 0})
