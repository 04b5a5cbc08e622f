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
    parts, declared = Parts(), Counter[Part]()
    gpu_ms, gpu_j = parts.gpu_ms, parts.gpu_j
    devices = [span for span in batch.spans if span.device not in SHARED]
    for span in devices:
        hour = span.t0_ms // MS_IN_HOUR * MS_IN_HOUR
        if span.t1_ms > hour + MS_IN_HOUR:
            _over_hours(span, overhead_ppm, parts, declared)
            continue
        # Nearly every span lies in one hour. `get` is twice as fast as += on a counter that lacks the part.
        part = (span.lease, hour)
        gpu_ms[part] = gpu_ms.get(part, 0) + span.t1_ms - span.t0_ms
        gpu_j[part] = gpu_j.get(part, 0) + span.end_j - span.start_j
        declared[part] = declared.get(part, 0) + _declared(span, overhead_ppm)
    metered_j = metered_ms = 0
    for span in batch.spans:
        if span.device == "host":
            _share_host(span, overhead_ppm, devices, parts.host_j, declared)
        elif span.device == "meter":
            metered_j, metered_ms = metered_j + span.end_j - span.start_j, metered_ms + span.t1_ms - span.t0_ms
    whole = metered_ms >= batch.t1_ms - batch.t0_ms
    parts.overhead_j = _behind_meter(metered_j, parts) if whole else declared
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


def _over_hours(span: Span, overhead_ppm: int, parts: Parts, declared: Counter[Part]) -> None:
    """A device's span over several hours, each by its time."""
    times = _time_by_hour(span.t0_ms, span.t1_ms)
    used = apportion(span.end_j - span.start_j, times)
    above = apportion(_declared(span, overhead_ppm), times)
    for hour, time_ms in times.items():
        parts.gpu_ms[span.lease, hour] += time_ms
        parts.gpu_j[span.lease, hour] += used[hour]
        declared[span.lease, hour] += above[hour]


def _time_by_hour(start_ms: int, end_ms: int) -> dict[int, int]:
    first, last = start_ms // MS_IN_HOUR, (end_ms - 1) // MS_IN_HOUR
    if first == last:
        return {first * MS_IN_HOUR: end_ms - start_ms}
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


def _share_host(
    host: Span, overhead_ppm: int, devices: list[Span], host_j: Counter[Part], declared: Counter[Part]
) -> None:
    """The host's joules and declared overhead by hour, in each hour by the time that containers were awake."""
    times = _time_by_hour(host.t0_ms, host.t1_ms)
    used, above = apportion(host.end_j - host.start_j, times), apportion(_declared(host, overhead_ppm), times)
    for hour in times:
        start, end = max(host.t0_ms, hour), min(host.t1_ms, hour + MS_IN_HOUR)
        awake: dict[Part, int] = {}
        for span in devices:
            if span.lease or span.state not in NOT_AWAKE:
                begin = max(start, span.t0_ms)
                until = min(end, span.t1_ms)
                if until > begin:
                    part = (span.lease, hour)
                    awake[part] = awake.get(part, 0) + until - begin
        for joules, account in ((used[hour], host_j), (above[hour], declared)):
            for part, share in (_by_weight(joules, awake) or {("", hour): joules}).items():
                account[part] = account.get(part, 0) + share


def _behind_meter(metered_j: int, parts: Parts) -> Counter[Part]:
    """Meter less equipment, by the energy of the equipment; nobody's where that stood still, nothing below it."""
    equipment = dict(parts.gpu_j)
    for part, joules in parts.host_j.items():
        equipment[part] = equipment.get(part, 0) + joules
    rest_j = metered_j - sum(equipment.values())
    return Counter(_by_weight(rest_j, equipment) or {("", 0): rest_j}) if rest_j > 0 else Counter()


def _by_weight(amount: int, weights: Mapping[Part, int]) -> dict[Part, int]:
    """Parts in order of lease and hour; empty where nothing has weight."""
    return apportion(amount, {part: weights[part] for part in sorted(weights) if weights[part] > 0})
