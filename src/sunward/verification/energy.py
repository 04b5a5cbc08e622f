"""Energy of one batch by lease and hour, after the split rules of docs/readings.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

from sunward.model.hardware import PowerState
from sunward.verification.exact import MILLION, MS_IN_HOUR, apportion
from sunward.verification.reading import AnyBatch, AnySpan

Part: TypeAlias = tuple[str, int]
"""(lease, start of the hour); no lease = idle."""
SHARED = frozenset({"host", "meter"})
"""Counters that stand for the whole node or site."""
NOT_AWAKE = frozenset({PowerState.OFF, PowerState.ASLEEP})


@dataclass(slots=True)
class Parts:
    """Joules and container time by part."""

    gpu_j: dict[Part, int] = field(default_factory=dict)
    host_j: dict[Part, int] = field(default_factory=dict)
    overhead_j: dict[Part, int] = field(default_factory=dict)
    gpu_ms: dict[Part, int] = field(default_factory=dict)

    def row(self, part: Part) -> tuple[int, int, int, int]:
        """Container time and the joules of GPUs, host and overhead of one part."""
        return (
            self.gpu_ms.get(part, 0),
            self.gpu_j.get(part, 0),
            self.host_j.get(part, 0),
            self.overhead_j.get(part, 0),
        )


def of_batch(batch: AnyBatch, overhead_ppm: int) -> Parts:
    """What each lease used, and what nobody did."""
    parts, declared, above_one = Parts(), dict[Part, int](), overhead_ppm - MILLION
    gpu_ms, gpu_j = parts.gpu_ms, parts.gpu_j
    devices = [span for span in batch.spans if span.device not in SHARED]
    for span in devices:
        t0_ms, t1_ms, start_j, end_j = span.t0_ms, span.t1_ms, span.start_j, span.end_j
        hour = t0_ms - t0_ms % MS_IN_HOUR
        if t1_ms > hour + MS_IN_HOUR:
            _over_hours(span, overhead_ppm, parts, declared)
            continue
        # Nearly every span lies in one hour.
        part = (span.lease, hour)
        gpu_ms[part] = gpu_ms.get(part, 0) + t1_ms - t0_ms
        gpu_j[part] = gpu_j.get(part, 0) + end_j - start_j
        declared[part] = declared.get(part, 0) + end_j * above_one // MILLION - start_j * above_one // MILLION
    metered_j = metered_ms = 0
    for span in batch.spans:
        if span.device == "host":
            _share_host(span, overhead_ppm, devices, parts.host_j, declared)
        elif span.device == "meter":
            metered_j, metered_ms = metered_j + span.end_j - span.start_j, metered_ms + span.t1_ms - span.t0_ms
    whole = metered_ms >= batch.t1_ms - batch.t0_ms
    parts.overhead_j = _behind_meter(metered_j, parts) if whole else declared
    return parts


def unmetered_j(before: AnyBatch | None, batch: AnyBatch, overhead_ppm: int) -> int:
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


def _meter_covers(batch: AnyBatch) -> bool:
    return sum(span.t1_ms - span.t0_ms for span in batch.spans if span.device == "meter") == batch.t1_ms - batch.t0_ms


def _first(batch: AnyBatch, device: str) -> AnySpan:
    return next(span for span in batch.spans if span.device == device)


def _last(batch: AnyBatch, device: str) -> AnySpan:
    return [span for span in batch.spans if span.device == device][-1]


def _over_hours(span: AnySpan, overhead_ppm: int, parts: Parts, declared: dict[Part, int]) -> None:
    """A device's span over several hours, each by its time."""
    times = _time_by_hour(span.t0_ms, span.t1_ms)
    used = apportion(span.end_j - span.start_j, times)
    above = apportion(_declared(span, overhead_ppm), times)
    for account, amounts in ((parts.gpu_ms, times), (parts.gpu_j, used), (declared, above)):
        for hour, amount in amounts.items():
            account[span.lease, hour] = account.get((span.lease, hour), 0) + amount


def _time_by_hour(start_ms: int, end_ms: int) -> dict[int, int]:
    first, last = start_ms // MS_IN_HOUR, (end_ms - 1) // MS_IN_HOUR
    if first == last:
        return {first * MS_IN_HOUR: end_ms - start_ms}
    return {
        hour * MS_IN_HOUR: min(end_ms, (hour + 1) * MS_IN_HOUR) - max(start_ms, hour * MS_IN_HOUR)
        for hour in range(first, last + 1)
    }


def _declared(span: AnySpan, overhead_ppm: int) -> int:
    """Overhead by the declared ratio: the difference of two cumulative amounts, each rounded down."""
    return _above(span.start_j, span.end_j, overhead_ppm)


def _above(low_j: int, high_j: int, overhead_ppm: int) -> int:
    above_one = overhead_ppm - MILLION
    return high_j * above_one // MILLION - low_j * above_one // MILLION


def _share_host(
    host: AnySpan, overhead_ppm: int, devices: list[AnySpan], host_j: dict[Part, int], declared: dict[Part, int]
) -> None:
    """The host's joules and declared overhead by hour, in each hour by the time that containers were awake."""
    times = _time_by_hour(host.t0_ms, host.t1_ms)
    used, above = apportion(host.end_j - host.start_j, times), apportion(_declared(host, overhead_ppm), times)
    for hour in times:
        start, end = max(host.t0_ms, hour), min(host.t1_ms, hour + MS_IN_HOUR)
        awake: dict[Part, int] = {}
        for span in devices:
            lease = span.lease
            if lease or span.state not in NOT_AWAKE:
                t0_ms, t1_ms = span.t0_ms, span.t1_ms
                lasted = (min(end, t1_ms)) - (max(start, t0_ms))
                if lasted > 0:
                    awake[lease, hour] = awake.get((lease, hour), 0) + lasted
        weights = _in_order(awake) or {("", hour): 1}
        for joules, account in ((used[hour], host_j), (above[hour], declared)):
            for part, share in apportion(joules, weights).items():
                account[part] = account.get(part, 0) + share


def _behind_meter(metered_j: int, parts: Parts) -> dict[Part, int]:
    """Meter less equipment, by the energy of the equipment; nobody's where that stood still, nothing below it."""
    equipment = dict(parts.gpu_j)
    for part, joules in parts.host_j.items():
        equipment[part] = equipment.get(part, 0) + joules
    rest_j = metered_j - sum(equipment.values())
    return apportion(rest_j, _in_order(equipment) or {("", 0): 1}) if rest_j > 0 else {}


def _in_order(weights: Mapping[Part, int]) -> dict[Part, int]:
    """What has weight, in order of lease and hour."""
    return {part: weights[part] for part in sorted(weights) if weights[part] > 0}
