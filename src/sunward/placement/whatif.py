"""Some jobs planned anew at several carbon prices, beside what all others hold; the plans are weighed and dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sunward import units
from sunward.model.plan import Plan, Segment
from sunward.model.whatif import WhatIfPoint
from sunward.placement.planner import plan
from sunward.world.snapshot import Snapshot


def what_if(snapshot: Snapshot, carbon_prices_usd_per_t: Sequence[int]) -> tuple[WhatIfPoint, ...]:
    """One point a price, lowest price first; what the snapshot's jobs were promised before binds nobody here."""
    points = [_point(snapshot, price, plan(_at(snapshot, price))) for price in sorted(set(carbon_prices_usd_per_t))]
    return tuple(replace(one, frontier=not any(_beats(other, one) for other in points)) for one in points)


def _at(snapshot: Snapshot, carbon_price_usd_per_t: int) -> Snapshot:
    jobs = (
        replace(job, spec=replace(job.spec, carbon_price_usd_per_t=carbon_price_usd_per_t), segments=())
        for job in snapshot.jobs
    )
    return replace(snapshot, jobs=tuple(jobs))


def _point(snapshot: Snapshot, carbon_price_usd_per_t: int, made: Plan) -> WhatIfPoint:
    placed, terms = made.assignments, [one.terms for one in made.assignments]
    still_ms = sum(_standing_ms(one.segments, made.at_ms) for one in placed)
    return WhatIfPoint(
        carbon_price_usd_per_t=carbon_price_usd_per_t,
        placed=len(placed),
        unplaced=len(snapshot.jobs) - len(placed),
        price_usd_micro=sum(_price(snapshot, segment) for one in placed for segment in one.segments),
        cost_usd_micro=sum(one.energy + one.water + one.ask + one.transfer + one.wake for one in terms),
        carbon_mg=sum(one.carbon_mg for one in placed),
        delay_ms=units.round_half_up(still_ms, len(placed)) if placed else 0,
        finish_ms=max((one.segments[-1].end_ms for one in placed), default=0),
        frontier=False,
    )


def _standing_ms(segments: Sequence[Segment], now_ms: int) -> int:
    return segments[-1].end_ms - now_ms - sum(one.end_ms - one.start_ms for one in segments)


def _price(snapshot: Snapshot, segment: Segment) -> int:
    ask_usd = float(snapshot.pools.ask_usd_per_h[snapshot.pools.ids.index(segment.pool)])
    run_ms = segment.end_ms - segment.start_ms
    return -(-segment.containers * run_ms * round(ask_usd * units.MICRO) // units.HOUR_MS)


def _beats(one: WhatIfPoint, other: WhatIfPoint) -> bool:
    """Whether one point is nowhere worse and somewhere better."""
    mine, theirs = _measures(one), _measures(other)
    return mine != theirs and all(a <= b for a, b in zip(mine, theirs, strict=True))


def _measures(point: WhatIfPoint) -> tuple[int, int, int, int]:
    return point.unplaced, point.cost_usd_micro, point.carbon_mg, point.delay_ms
