"""The snapshot laid out for planning: pools in order of id, signals per pool, slots with their usable part.

Axes: P pools in order of pool id, H slots. Nothing here depends on the order of the snapshot's rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from sunward import units
from sunward.model.hardware import WorkClass
from sunward.model.plan import PolicyInputs
from sunward.world.snapshot import WORK_CLASSES, FloatArray, IntArray, PoolColumns, PowerCaps, Snapshot

NO_CEILING_W = 2**62
NEAR_SLOTS_MIN = 16
"""Fewer slots are not worth tables of their own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fleet:
    """What every job is planned against, before anything is occupied."""

    now_ms: int
    start_ms: int
    slot_ms: int
    slots: int
    end_ms: int
    """End of the last slot: no plan reaches further."""
    policy: PolicyInputs
    pools: PoolColumns
    row: dict[str, int]
    """Pool id to row."""
    sites: tuple[str, ...]
    zones: tuple[str, ...]
    begin_ms: IntArray
    """(H,) first usable moment of each slot; `now_ms` for slot 0."""
    usable_ms: IntArray
    """(H,) what can be used of each slot."""
    carbon: FloatArray
    """(P, H) gCO2e/kWh."""
    spread: FloatArray
    """(P, H) gCO2e/kWh, p90 − p50."""
    price: FloatArray
    """(P, H) USD/kWh."""
    rate_ppm: IntArray
    """(P, C) throughput against the reference GPU."""
    ask_usd_micro: IntArray
    """(P,) per container and hour."""
    headroom_w: IntArray
    """(S, H) whole facility watts left above all containers asleep, rounded down."""
    idle_awake: IntArray
    """(P,) containers awake now that no job uses."""
    taken: IntArray
    """(P, H) containers of jobs that are not planned here."""
    shadow_usd_micro_per_h: IntArray | None
    """(P, H) per container, where new work is to leave what is scarce to those who have no other; None = it is not."""
    greenness_ppm: IntArray
    """(P,) verified greenness of the pool's site, 0 when unknown."""
    nearer: dict[int, Fleet] = field(default_factory=dict)
    """The same fleet over fewer slots, made when first asked for."""

    def cap_level(self, row: int, work_class: WorkClass, cap_w: int) -> int:
        """Which of a pool's power limits it is, counted from 1; 0 = none, or none that the pool has."""
        caps = self.pools.caps
        if caps is None or not cap_w:
            return 0
        known = caps.cap_w[row, WORK_CLASSES.index(work_class)].tolist()
        return known.index(cap_w) + 1 if cap_w in known else 0

    def near(self, limit_ms: int) -> Fleet:
        """This fleet with its signals over no more slots than a job with this limit needs, rounded up.

        Nothing beyond the limit can be chosen, so nothing is lost; plans reach as far as before.
        """
        needed = max(NEAR_SLOTS_MIN, -(-(limit_ms - self.start_ms) // self.slot_ms))
        slots = 1 << (needed - 1).bit_length()
        if slots >= self.slots:
            return self
        shadow = self.shadow_usd_micro_per_h
        if slots not in self.nearer:
            self.nearer[slots] = replace(
                self,
                slots=slots,
                begin_ms=self.begin_ms[:slots],
                usable_ms=self.usable_ms[:slots],
                carbon=self.carbon[:, :slots],
                spread=self.spread[:, :slots],
                price=self.price[:, :slots],
                shadow_usd_micro_per_h=None if shadow is None else shadow[:, :slots],
                nearer={},
            )
        return self.nearer[slots]


def fleet_of(snapshot: Snapshot, *, shadows: bool = False) -> Fleet:
    """Lay a snapshot out for planning, against the shadow prices of the last full plan where they are to count."""
    pools = _in_order(snapshot.pools)
    slot_start = snapshot.start_ms + np.arange(snapshot.slots, dtype=np.int64) * snapshot.slot_ms
    begin = np.maximum(slot_start, snapshot.now_ms)
    row = {pool: index for index, pool in enumerate(pools.ids)}
    green = dict(snapshot.policy.greenness_ppm)
    return Fleet(
        now_ms=snapshot.now_ms,
        start_ms=snapshot.start_ms,
        slot_ms=snapshot.slot_ms,
        slots=snapshot.slots,
        end_ms=snapshot.start_ms + snapshot.slots * snapshot.slot_ms,
        policy=snapshot.policy,
        pools=pools,
        row=row,
        sites=snapshot.sites,
        zones=snapshot.zones,
        begin_ms=begin,
        usable_ms=slot_start + snapshot.slot_ms - begin,
        carbon=snapshot.carbon_g_per_kwh[pools.zone],
        spread=snapshot.carbon_spread_g_per_kwh[pools.zone],
        price=snapshot.price_usd_per_kwh[pools.zone],
        rate_ppm=np.rint(pools.rate * units.PPM).astype(np.int64),
        ask_usd_micro=np.rint(pools.ask_usd_per_h * units.MICRO).astype(np.int64),
        headroom_w=_headroom(snapshot, pools),
        idle_awake=_idle_awake(snapshot, pools, row),
        taken=_taken(snapshot, pools),
        shadow_usd_micro_per_h=_shadow(snapshot) if shadows else None,
        greenness_ppm=np.array([green.get(snapshot.sites[site], 0) for site in pools.site.tolist()], dtype=np.int64),
    )


def _order(pools: PoolColumns) -> IntArray:
    return np.array(sorted(range(len(pools.ids)), key=pools.ids.__getitem__), dtype=np.int64)


def _taken(snapshot: Snapshot, pools: PoolColumns) -> IntArray:
    if snapshot.standing is None:
        return np.zeros((len(pools.ids), snapshot.slots), np.int64)
    return snapshot.standing.taken[_order(snapshot.pools)]


def _shadow(snapshot: Snapshot) -> IntArray | None:
    shadow = snapshot.shadow_usd_micro_per_h
    return None if shadow is None else shadow[_order(snapshot.pools)]


def _in_order(pools: PoolColumns) -> PoolColumns:
    order = _order(pools)
    if (order[:-1] < order[1:]).all():
        return pools
    columns: dict[str, Any] = {}
    for column in fields(PoolColumns):
        columns[column.name] = _permuted(getattr(pools, column.name), order)
    return PoolColumns(**columns)


def _permuted(values: Any, order: IntArray) -> Any:  # noqa: ANN401
    if values is None:
        return None
    if isinstance(values, PowerCaps):
        return PowerCaps(**{one.name: getattr(values, one.name)[order] for one in fields(PowerCaps)})
    return values[order] if isinstance(values, np.ndarray) else tuple(values[index] for index in order.tolist())


def _headroom(snapshot: Snapshot, pools: PoolColumns) -> IntArray:
    """Sleeping containers draw too, so a ceiling is first spent on them."""
    asleep_w = np.zeros(len(snapshot.sites))
    np.add.at(asleep_w, pools.site, pools.count * pools.asleep_w * pools.overhead)
    left = np.floor(np.minimum(snapshot.site_ceiling_w, float(NO_CEILING_W // 2)) - asleep_w[:, None])
    headroom: IntArray = np.where(np.isinf(snapshot.site_ceiling_w), NO_CEILING_W, left.astype(np.int64))
    return headroom


def _idle_awake(snapshot: Snapshot, pools: PoolColumns, row: dict[str, int]) -> IntArray:
    idle = pools.awake.copy()
    if snapshot.standing is not None:
        idle -= snapshot.standing.busy[_order(snapshot.pools)]
    for job in snapshot.jobs:
        if job.pool in row:
            idle[row[job.pool]] -= job.held
    least: IntArray = np.maximum(idle, 0)
    return least
