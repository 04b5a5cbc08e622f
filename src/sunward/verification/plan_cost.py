"""What containers cost in each pool and at each moment, worked out again from the columns of a snapshot.

Second author to the planner's score: plain figures in USD, moments instead of slots, nothing rounded. Waking machines
and moving data are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sunward.model.plan import Segment
from sunward.verification.exact import MILLION, MS_IN_HOUR
from sunward.world.snapshot import BoolArray, FloatArray, IntArray, Snapshot

W_IN_KW = 1_000
G_IN_TONNE = MILLION
SPREAD_SHARE = 0.1
"""Share of the upper spread of a forecast that a score adds for its being unsure (docs/planning.md)."""


@dataclass(frozen=True, slots=True, eq=False)
class Tariff:
    """One kind of container: cost per hour in each pool between moments at which it changes."""

    edges_ms: IntArray
    """(H + 1,) from now on."""
    hourly: FloatArray
    """(P, H) USD per container and hour."""
    before: FloatArray
    """(P, H + 1) USD of one container from now to each edge."""

    def until(self, pool: IntArray, at_ms: FloatArray) -> FloatArray:
        """USD of one container of each pool from now to a moment; the shapes must agree."""
        slot = self.slot(at_ms)
        part: FloatArray = (np.maximum(at_ms, self.edges_ms[0]) - self.edges_ms[slot]) / MS_IN_HOUR
        told: FloatArray = self.before[pool, slot] + part * self.hourly[pool, slot]
        return told

    def slot(self, at_ms: FloatArray) -> IntArray:
        """In which stretch a moment lies; the last one where it lies beyond."""
        found = np.searchsorted(self.edges_ms, at_ms, side="right") - 1
        inside: IntArray = np.clip(found, 0, len(self.edges_ms) - 2)
        return inside


def under_limits(snapshot: Snapshot) -> list[Snapshot]:
    """The snapshot, and for each place in the list of power limits once more with what containers do under it."""
    caps, pools = snapshot.pools.caps, snapshot.pools
    found = [snapshot]
    if caps is None:
        return found
    for level in range(caps.cap_w.shape[2]):
        has = caps.cap_w[:, :, level] > 0
        busy_w = np.where(has, caps.busy_w[:, :, level], pools.busy_w)
        rate = np.where(has, caps.rate[:, :, level], pools.rate)
        found.append(replace(snapshot, pools=replace(pools, busy_w=busy_w, rate=rate)))
    return found


def level_of(snapshot: Snapshot, work_class: int, segment: Segment) -> int:
    """Which of these a segment is under; one with a limit that its pool does not have counts as without."""
    caps, pools = snapshot.pools.caps, snapshot.pools
    if caps is None or not segment.power_cap_w or segment.pool not in pools.ids:
        return 0
    known = caps.cap_w[pools.ids.index(segment.pool), work_class].tolist()
    return known.index(segment.power_cap_w) + 1 if segment.power_cap_w in known else 0


def edges_of(snapshot: Snapshot) -> IntArray:
    """(H + 1,) now, and the ends of the slots."""
    ends = snapshot.start_ms + np.arange(1, snapshot.slots + 1, dtype=np.int64) * snapshot.slot_ms
    return np.concatenate(([snapshot.now_ms], ends))


def tariff(snapshot: Snapshot, work_class: int, carbon_usd_per_t: int, added_usd_per_h: FloatArray) -> Tariff:
    """Of one class of work at one carbon price; `added_usd_per_h` (P, H) comes on top."""
    pools, policy, edges = snapshot.pools, snapshot.policy, edges_of(snapshot)
    it_kw = pools.busy_w[:, work_class] / W_IN_KW
    grams = snapshot.carbon_g_per_kwh + SPREAD_SHARE * snapshot.carbon_spread_g_per_kwh
    per_kwh = (snapshot.price_usd_per_kwh + grams * carbon_usd_per_t / G_IN_TONNE)[pools.zone]
    water = it_kw * pools.water_l_per_kwh * policy.water_price_usd_micro_per_l / MILLION
    waits_h = (edges[:-1] - snapshot.now_ms) / MS_IN_HOUR
    waiting = 1.0 + waits_h * policy.delay_ppm_per_h / MILLION
    hourly = (it_kw * pools.overhead)[:, None] * per_kwh + water[:, None]
    hourly = hourly + pools.ask_usd_per_h[:, None] * waiting + added_usd_per_h
    before = np.zeros((len(pools.ids), len(edges)))
    np.cumsum(hourly * np.diff(edges) / MS_IN_HOUR, axis=1, out=before[:, 1:])
    return Tariff(edges, hourly, before)


Held = tuple[IntArray, IntArray, IntArray, IntArray]
"""Stretches: pool, containers, start and end of each."""


def used_h(edges_ms: IntArray, shape: tuple[int, int], held: Held) -> FloatArray:
    """(P, H) container-hours of stretches."""
    found = np.zeros(shape)
    for row, count, start, end in np.stack(held, axis=1).tolist():
        overlap = np.minimum(edges_ms[1:], end) - np.maximum(edges_ms[:-1], start)
        found[row] += count * np.maximum(overlap, 0) / MS_IN_HOUR
    return found


def blocked_before(room: BoolArray) -> IntArray:
    """(P, H + 1) how many stretches before each have no room."""
    found = np.zeros((room.shape[0], room.shape[1] + 1), dtype=np.int64)
    np.cumsum(~room, axis=1, out=found[:, 1:])
    return found
