"""All jobs of `_mixed` known beforehand, on the true series: the planner against the bound."""

from __future__ import annotations

from benchmarks._mixed import Mixed, name_of
from benchmarks._zone_pools import USD_PER_T
from sunward.model.hardware import WorkClass
from sunward.model.identity import JobId, TenantId, ZoneId
from sunward.model.job import JobSpec
from sunward.model.plan import Segment
from sunward.units import HOUR_MS
from sunward.world.snapshot import JobView


def view_of(mixed: Mixed, one: int, done_h: int = 0, segments: tuple[Segment, ...] = ()) -> JobView:
    """One job for the planner: units are hours, so what may pause shows its progress."""
    spec = JobSpec(
        job=JobId(name_of(one)),
        tenant=TenantId("tenant"),
        commitment="",
        origin_zone=ZoneId("none"),
        work_class=WorkClass.GENERIC,
        gpus=int(mixed.gpus[one]),
        length_ms=int(mixed.length_h[one]) * HOUR_MS,
        units=int(mixed.length_h[one]) * 2,
        interruptible=bool(mixed.pausable[one]),
        deadline_ms=(mixed.first_hour + int(mixed.deadline_h[one])) * HOUR_MS,
        carbon_price_usd_per_t=USD_PER_T,
        allowed_countries=tuple(mixed.zones[zone] for zone in mixed.allowed[one].tolist()),
    )
    return JobView(
        spec=spec,
        revision=0,
        units_done=done_h * 2,
        elapsed_ms=0,
        pool="",
        fixed=False,
        segments=segments,
        opens_ms=(mixed.first_hour + int(mixed.arrival_h[one])) * HOUR_MS,
    )
