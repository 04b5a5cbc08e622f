"""What sites drew at their meters against the ceilings they were told, from readings and the journal alone.

A second author: no arithmetic is shared with the planner or the engine; power is what the counters gained over time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sunward.model.events import AgentSeen, PowerReported, SiteCurtailed, SiteEnrolled
from sunward.model.hardware import PowerState
from sunward.model.reading import ReadingBatch
from sunward.model.site import SiteSpec
from sunward.ports import Recorded
from sunward.world import catalogue, power

SECOND = 1_000
MILLION = 1_000_000
STOP_MS = 30 * SECOND
"""Time from a limit's begin, or from its being told, in which work writes its checkpoint and containers fall asleep."""
LAG_MS = 600 * SECOND
"""How late the journal may learn that an owner's use of containers has ended or begun."""


@dataclass(frozen=True, slots=True)
class Told:
    """A limit as it was in force."""

    start_ms: int
    end_ms: int
    watts: int


@dataclass(slots=True)
class _Site:
    spec: SiteSpec
    open: dict[str, Told] = field(default_factory=dict)
    over: list[Told] = field(default_factory=list)
    withheld: list[tuple[int, int]] = field(default_factory=list)
    """Containers that the owner keeps, from a moment on."""
    seen_ms: list[int] = field(default_factory=list)
    """When its agent came back: until then nobody could tell its containers to sleep."""


def check_draw(records: Iterable[Recorded], batches: Iterable[ReadingBatch]) -> list[str]:
    """Every stretch in which a site drew more than it was told to."""
    sites: dict[str, _Site] = {}
    for record in records:
        _learn(sites, record)
    by_site: dict[str, list[ReadingBatch]] = {}
    for batch in batches:
        by_site.setdefault(batch.site, []).append(batch)
    return [
        f"{name} draws {drawn:.0f} W at {at_ms}, it was told {told.watts} W at most"
        for name, site in sites.items()
        for told, at_ms, drawn in _excesses(site, by_site.get(name, []))
    ]


def _learn(sites: dict[str, _Site], record: Recorded) -> None:
    at_ms = record.event.at_ms
    match record.event.payload:
        case SiteEnrolled(spec=spec):
            sites.setdefault(spec.site, _Site(spec)).spec = spec
        case AgentSeen(site=name):
            sites[name].seen_ms.append(at_ms)
        case PowerReported(site=name, pools=pools):
            sites[name].withheld.append((at_ms, sum(one.withheld for one in pools)))
        case SiteCurtailed(site=name, ceiling=one, cancelled=cancelled):
            site = sites[name]
            before = site.open.pop(one.ceiling, None)
            if before is not None:
                site.over.append(Told(before.start_ms, min(before.end_ms, at_ms), before.watts))
            if not cancelled:
                site.open[one.ceiling] = Told(max(one.start_ms, at_ms), one.end_ms, one.ceiling_w)
        case _:
            return


def _excesses(site: _Site, batches: Sequence[ReadingBatch]) -> Iterator[tuple[Told, int, float]]:
    limits = [one for one in (*site.over, *site.open.values()) if one.end_ms > one.start_ms + STOP_MS]
    if not limits:
        return
    for start_ms, end_ms, drawn_w, spare_w, resting in _pieces(batches):
        drawn = drawn_w * site.spec.overhead_ppm / MILLION
        for told in limits:
            if start_ms < told.start_ms + STOP_MS or end_ms > told.end_ms:
                continue
            if any(0 <= start_ms - seen_ms < STOP_MS for seen_ms in site.seen_ms):
                continue
            # Who wakes for work to come draws no more than awake; what the owner keeps is the owner's own.
            excused = min(resting, _waking_or_kept(site, start_ms))
            most = max(told.watts, _asleep_w(site.spec)) + excused * _more_awake_w(site.spec)
            if drawn > most + spare_w + 1:
                yield told, start_ms, drawn


def _pieces(batches: Sequence[ReadingBatch]) -> Iterator[tuple[int, int, float, float, int]]:
    """Stretches in which no counter changes its pace: begin, end, IT watts, what rounding hides, who is awake idle."""
    changes: dict[int, list[float]] = {}
    for batch in batches:
        for span in batch.spans:
            lasts_s = (span.t1_ms - span.t0_ms) / SECOND
            resting = span.state in (PowerState.IDLE, PowerState.WAKING)
            watts, spare = (span.end_j - span.start_j) / lasts_s, 1 / lasts_s
            for at_ms, sign in ((span.t0_ms, 1), (span.t1_ms, -1)):
                entry = changes.setdefault(at_ms, [0.0, 0.0, 0.0])
                for index, value in enumerate((watts, spare, float(resting))):
                    entry[index] += sign * value
    level = [0.0, 0.0, 0.0]
    moments = sorted(changes)
    for at_ms, until_ms in pairwise(moments):
        level = [one + more for one, more in zip(level, changes[at_ms], strict=True)]
        yield at_ms, until_ms, level[0], level[1], round(level[2])


def _waking_or_kept(site: _Site, at_ms: int) -> int:
    """Containers that the owner kept at any time about a moment; of one that wakes the journal says nothing: two."""
    before = [count for since_ms, count in site.withheld if since_ms <= at_ms - LAG_MS][-1:]
    about = [count for since_ms, count in site.withheld if abs(since_ms - at_ms) < LAG_MS]
    return max([0, *before, *about]) + 2


def _asleep_w(spec: SiteSpec) -> float:
    """Facility watts of the site with all containers asleep, by the catalogue."""
    it_w = sum(pool.count * catalogue.load().gpu(pool.gpu_model).host_w_asleep for pool in spec.pools)
    return it_w * spec.overhead_ppm / MILLION


def _more_awake_w(spec: SiteSpec) -> float:
    """Facility watts that the hungriest container draws more awake and idle than asleep."""
    gpus = [catalogue.load().gpu(pool.gpu_model) for pool in spec.pools]
    most = max(gpu.power_w_idle + power.host_power_w(gpu, 0.0) - gpu.host_w_asleep for gpu in gpus)
    return most * spec.overhead_ppm / MILLION
