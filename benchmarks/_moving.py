"""Running work that may move every hour, where moving costs: transfer of a checkpoint, egress, a stop and a start.

Every job runs on one container of 1 kW, a site has one, and a job goes on for as long as it is looked at. *Always*
sends the jobs every hour to the sites that are expected to be cheapest in it, whatever that costs, with as few moves
as that takes. *Paying* is the planner: every hour it sees each job where it runs, with `AHEAD_H` hours of work left,
and moves it only where that is worth more than it costs. What either emits is counted here, on the true values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from benchmarks._zone_pools import snapshot_of
from benchmarks._zone_series import Year
from sunward.model.hardware import WorkClass
from sunward.model.identity import JobId, PoolId, TenantId, ZoneId
from sunward.model.job import JobSpec
from sunward.model.plan import Plan, PolicyInputs, Segment
from sunward.placement.planner import plan
from sunward.signals.forecast.learner import rolling
from sunward.units import G_PER_KG, HOUR_MS, KG_PER_T, MICRO, W_PER_KW
from sunward.world.snapshot import FloatArray, IntArray, JobView

AHEAD_H = 24
"""Hours of work that a job is known to have left, at any hour: what a move has to pay off in."""
CHECKPOINT_GB = 20
KWH_PER_GB = 0.06
USD_PER_GB = 0.02
STOP_H = 5 / 60
BYTES_PER_GB = 10**9
POLICY = PolicyInputs(
    transfer_usd_micro_per_gb=round(USD_PER_GB * MICRO),
    transfer_wh_per_gb=round(KWH_PER_GB * W_PER_KW),
    transfer_by_region=False,
    switch_ms=round(STOP_H * HOUR_MS),
    finish_margin_ms=0,
    delay_ppm_per_h=0,
    slot_ms=HOUR_MS,
    slots=AHEAD_H + 1,
)
"""The service's own but for the one egress price and the margins that are about time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What one rule came to at one carbon price."""

    rule: str
    usd_per_t: int
    moves: int
    saving: float
    """Of the emissions of staying, with those of moving counted against it."""
    saved_kg: float
    saved_g_per_move: float
    egress_usd: float
    worth_usd: float
    """What is saved at the carbon price, less egress."""


def expected_ahead(year: Year, hours: range) -> list[FloatArray]:
    """(Z, AHEAD_H + 1) for each of some hours, learnt and told from what lies before it."""
    values = np.concatenate([year.before, year.intensity], axis=1)
    first = year.start_ms // HOUR_MS - year.before.shape[1]
    begin = year.start_ms // HOUR_MS
    issues = range(begin + hours.start, begin + hours.stop)
    blocks = rolling(values, first, issues, horizon=AHEAD_H + 1, lowest=0.0)
    return [block.p50[:, at].astype(np.float64) for block in blocks for at in range(block.p50.shape[1])]


def always(expected: Sequence[FloatArray], homes: IntArray) -> IntArray:
    """(H, J) where each job runs in each hour."""
    at, rows = homes.copy(), []
    for one in expected:
        wanted = np.argsort(one[:, 0], kind="stable")[: len(at)]
        moves = np.flatnonzero(~np.isin(at, wanted))
        at[moves] = np.setdiff1d(wanted, at)
        rows.append(at.copy())
    return np.array(rows)


def paying(year: Year, hours: range, expected: Sequence[FloatArray], homes: IntArray, usd_per_t: int) -> IntArray:
    """(H, J) where the planner has each job run in each hour."""
    at, rows = homes.tolist(), []
    row = {zone: number for number, zone in enumerate(year.zones)}
    for hour, one in zip(hours, expected, strict=True):
        now_ms = year.start_ms + hour * HOUR_MS
        jobs = [_running(number, year.zones[site], now_ms, usd_per_t) for number, site in enumerate(at)]
        snapshot = replace(snapshot_of(year.zones, one, now_ms, jobs, containers=1), policy=POLICY)
        for job, pool in _first_pools(plan(snapshot)).items():
            at[int(job)] = row[pool]
        rows.append(at.copy())
    return np.array(rows)


def _running(number: int, zone: str, now_ms: int, usd_per_t: int) -> JobView:
    spec = JobSpec(
        job=JobId(f"{number:03d}"),
        tenant=TenantId("tenant"),
        commitment="",
        origin_zone=ZoneId("none"),
        work_class=WorkClass.GENERIC,
        length_ms=AHEAD_H * HOUR_MS,
        units=1_000,
        interruptible=True,
        start_by_ms=now_ms,
        deadline_ms=now_ms + (AHEAD_H + 1) * HOUR_MS,
        carbon_price_usd_per_t=usd_per_t,
        data_bytes=CHECKPOINT_GB * BYTES_PER_GB,
    )
    stays = Segment(pool=PoolId(zone), start_ms=now_ms - HOUR_MS, end_ms=now_ms + AHEAD_H * HOUR_MS, containers=1)
    return JobView(
        spec=spec, revision=0, units_done=0, elapsed_ms=HOUR_MS, pool=zone, fixed=False, segments=(stays,), begun=True
    )


def _first_pools(made: Plan) -> dict[str, str]:
    """Where changed jobs run from now on."""
    if made.unplaced or any(one.segments[0].start_ms > made.at_ms for one in made.assignments):
        raise AssertionError(f"running work was stopped at {made.at_ms}")
    return {one.job: one.segments[0].pool for one in made.assignments}


def counted(rule: str, places: IntArray, homes: IntArray, true: FloatArray, usd_per_t: int) -> Moved:
    """Emissions of running and of moving, by the values that came; what travels counts half at either end.

    Shapes: places (H, J), homes (J,), true (Z, H).
    """
    hours = np.arange(len(places))[:, None]
    before = np.concatenate([homes[None], places[:-1]])
    here, there, moved = true[places, hours], true[before, hours], places != before
    stayed = float(true[homes[None], hours].sum())
    each = CHECKPOINT_GB * KWH_PER_GB * (here + there) / 2 + STOP_H * here
    saved = stayed - float(here.sum()) - float(each[moved].sum())
    moves = int(moved.sum())
    egress = moves * CHECKPOINT_GB * USD_PER_GB
    return Moved(
        rule=rule,
        usd_per_t=usd_per_t,
        moves=moves,
        saving=saved / stayed,
        saved_kg=saved / G_PER_KG,
        saved_g_per_move=saved / max(1, moves),
        egress_usd=egress,
        worth_usd=saved / (G_PER_KG * KG_PER_T) * usd_per_t - egress,
    )


def compare(year: Year, hours: range, jobs: int, prices: Sequence[int], seed: int) -> list[dict[str, object]]:
    """Both rules over some hours, from sites drawn at random."""
    homes = np.random.default_rng(seed).choice(len(year.zones), jobs, replace=False)
    expected = expected_ahead(year, hours)
    true = year.intensity[:, hours.start : hours.stop]
    figures = []
    for price in prices:
        routes = {"always": always(expected, homes), "paying": paying(year, hours, expected, homes, price)}
        figures += [asdict(counted(rule, places, homes, true, price)) for rule, places in routes.items()]
    return figures
