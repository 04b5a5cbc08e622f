"""Prometheus metrics, read from the control plane at each scrape; labels come from closed sets or from sites."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from sunward.model.job import JobState
from sunward.service.control import ControlPlane
from sunward.service.grid_events import Watch, age_s
from sunward.units import SECOND_MS
from sunward.world.ceilings import ceiling_w
from sunward.world.readings import WINDOW_MS

POOLS_MAX = 1_000
"""Most pools told one by one; a larger network is told in sums."""
ALL_POOLS = "all"


class Collector:
    """Reads the state when asked; keeps nothing."""

    def __init__(self, control: ControlPlane, watches: Sequence[Watch] = ()) -> None:
        self._control = control
        self._watches = watches

    def collect(self) -> Iterator[Metric]:
        """Every metric of the control plane."""
        control = self._control
        yield _jobs(control)
        yield from _containers(control)
        yield _gauge("leases_open", "Leases that hold containers.", sum(map(len, control.state.world.on_pool.values())))
        yield _gauge("journal_sequence", "Sequence of the last journal record.", control.state.world.sequence)
        yield _gauge(
            "sites_reachable", "Sites whose agent is heard.", sum(s.up for s in control.state.world.sites.values())
        )
        yield SummaryMetricFamily(
            "sunward_plan_seconds",
            "Machine time spent on solving.",
            count_value=control.plans,
            sum_value=control.plan_s,
        )
        yield HistogramMetricFamily(
            "sunward_submit_to_placed_seconds",
            "Machine time from the record of a job to the record of its place.",
            buckets=list(control.waits.buckets()),
            sum_value=control.waits.sum_s,
        )
        yield _counter("immediate_plans", "Plans that placed new jobs alone.", control.placements)
        yield _counter("events", "Events recorded since the start.", control.events)
        yield _counter("rejected_assignments", "Assignments refused at commit.", control.rejections)
        yield _counter(
            "plan_changes",
            "Times a later plan changed where or when a job runs that had a plan.",
            control.state.world.plan_changes,
        )
        yield _gauge("plan_changes_of_one_job", "Most such changes of one open job.", _most_changes(control))
        yield _counter("feed_failures", "Failures of signal sources.", control.feed_failures)
        yield from _feeds(control)
        yield from _grid(control, self._watches)
        yield _counter("batches_accepted", "Signed batches of readings stored.", control.intake.accepted)
        yield from _refused(control)
        yield _counter("energy_sealed_joules", "Facility energy sealed, served and idle.", control.sealed_j)


def _refused(control: ControlPlane) -> Iterator[Metric]:
    """Faults of readings; labels are the names of docs/readings.md."""
    refused = CounterMetricFamily(
        "sunward_batches_refused", "Messages of readings refused, by fault.", labels=["fault"]
    )
    for fault, count in sorted(control.intake.refused.items()):
        refused.add_metric([fault], count)
    yield refused
    named = GaugeMetricFamily(
        "sunward_reading_faults", "Faults of readings remembered for thirty days, by site.", labels=["site", "fault"]
    )
    now_ms = control.clock.grid_ms()
    for site in sorted(control.state.world.readings.days)[:POOLS_MAX]:
        for fault, count in sorted(control.state.world.readings.over(site, now_ms, WINDOW_MS).faults.items()):
            named.add_metric([site, fault], count)
    yield named


def registry_of(control: ControlPlane, watches: Sequence[Watch] = ()) -> CollectorRegistry:
    """A registry of this control plane alone, and of the servers it hears grid events from."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(control, watches))
    return registry


def _jobs(control: ControlPlane) -> GaugeMetricFamily:
    jobs = control.state.world.jobs
    counts = Counter(jobs.state(row) for row in jobs.row_of.values())
    family = GaugeMetricFamily("sunward_jobs", "Jobs without a final receipt, by state.", labels=["state"])
    for state in JobState:
        family.add_metric([state.word], counts[state])
    return family


def _most_changes(control: ControlPlane) -> int:
    jobs = control.state.world.jobs
    return int(jobs.ints["plan_changes"].max())


def _containers(control: ControlPlane) -> Iterator[GaugeMetricFamily]:
    awake = GaugeMetricFamily("sunward_containers_awake", "Containers awake, by pool.", labels=["pool"])
    busy = GaugeMetricFamily("sunward_containers_busy", "Containers at work, by pool.", labels=["pool"])
    sums: Counter[tuple[str, str]] = Counter()
    pools = control.state.world.pools()
    for spec, pool in pools:
        power = control.state.world.sites[spec.site].power.get(pool.pool)
        label = pool.pool if len(pools) <= POOLS_MAX else ALL_POOLS
        sums["awake", label] += power.idle + power.busy if power else 0
        sums["busy", label] += power.busy if power else 0
    for (kind, label), count in sorted(sums.items()):
        (awake if kind == "awake" else busy).add_metric([label], count)
    yield awake
    yield busy


def _feeds(control: ControlPlane) -> Iterator[Metric]:
    """How live feeds stand; labels are zones, kinds and sources of the operator's own settings."""
    live = control.feeds.live
    if live is None:
        return
    labels = ["zone", "kind", "feed"]
    age = GaugeMetricFamily(
        "sunward_feed_age_seconds", "Age of the last observed hour's end, by series.", labels=labels
    )
    told = GaugeMetricFamily(
        "sunward_feed_observed", "1 while observed values count, 0 while something stands in.", labels=labels
    )
    failing = GaugeMetricFamily("sunward_feed_failures_in_a_row", "Failed requests in a row, by series.", labels=labels)
    now_ms = control.clock.grid_ms()
    for line in live.status(now_ms):
        series = [line.zone, line.kind.value, line.feed]
        if line.observed_to_ms:
            age.add_metric(series, (now_ms - line.observed_to_ms) / SECOND_MS)
        told.add_metric(series, line.using == "observed")
        failing.add_metric(series, line.failures)
    yield age
    yield told
    yield failing


def _grid(control: ControlPlane, watches: Sequence[Watch]) -> Iterator[Metric]:
    """What limits sites now, and how the servers stand that tell it; labels are sites."""
    limit = GaugeMetricFamily("sunward_site_ceiling_watts", "What a site may draw now, if limited.", labels=["site"])
    now_ms = control.clock.grid_ms()
    for name, site in control.state.world.sites.items():
        watts = ceiling_w(site, now_ms, now_ms + 1)
        if not site.left_ms and not math.isinf(watts):
            limit.add_metric([name], watts)
    yield limit
    if not watches:
        return
    age = GaugeMetricFamily("sunward_grid_events_age_seconds", "Time since a grid server answered.", labels=["site"])
    failing = GaugeMetricFamily("sunward_grid_events_failures_in_a_row", "Failed requests in a row.", labels=["site"])
    unread = GaugeMetricFamily("sunward_grid_events_unread", "Events told that mean nothing here.", labels=["site"])
    for site_name in sorted({one.site for one in watches}):
        here = [one for one in watches if one.site == site_name]
        ages = [seconds for one in here if (seconds := age_s(one, control.clock.machine_ms())) is not None]
        if ages:
            age.add_metric([site_name], max(ages))
        failing.add_metric([site_name], max(one.failures for one in here))
        unread.add_metric([site_name], sum(one.unread for one in here))
    yield age
    yield failing
    yield unread


def _gauge(name: str, told: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sunward_{name}", told, value=value)


def _counter(name: str, told: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"sunward_{name}", told, value=value)
