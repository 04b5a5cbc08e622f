"""Signals as running sums over time, so that the cost of any stretch on any pool is a difference of two numbers.

A pool enters a cost by three factors only: facility kW of a busy container, ask, and litres. What changes with time is
the zone's, so the tables are by zone; a pool's own line is made of them where it is looked at.

Axes: Z zones, P pools, H slots, E = H + 1 edges of slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.placement.fleet import Fleet
from sunward.placement.gravity import carbon_at, tariffs
from sunward.placement.score import BYTES_PER_GB, RISK_FRAC, WH_PER_KWH, carbon_usd_per_kwh
from sunward.world.snapshot import FloatArray, IntArray, Snapshot

UNKNOWN = ""
"""No zone has this name."""
TIE_USD_MICRO = 1e-3
"""Per hour and hour of delay: of two starts that cost the same the earlier is taken, whatever the last digit says."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tables:
    """What a stretch costs, by zone."""

    fleet: Fleet
    zone: IntArray
    """(P,)."""
    carbon: FloatArray
    """(Z, H) gCO2e/kWh."""
    spread: FloatArray
    """(Z, H) gCO2e/kWh."""
    price: FloatArray
    """(Z, H) USD/kWh."""
    hours: FloatArray
    """(E,) hours from now to each edge."""
    waited: FloatArray
    """(E,) hours weighted by how late they are, as risk counts them."""
    carbon_before: FloatArray
    """(Z, E) g·h/kWh."""
    spread_before: FloatArray
    """(Z, E) g·h/kWh."""
    risky_before: FloatArray
    """(Z, E) g·h/kWh, with what an unsure forecast is charged."""
    price_before: FloatArray
    """(Z, E) USD·h/kWh."""
    facility_kw: FloatArray
    """(P, C) of one busy container."""
    litres_per_h: FloatArray
    """(P, C) of one busy container."""
    wake_kwh: FloatArray
    """(P,) facility energy to wake one container."""
    tariff: IntArray
    """(O + 1, Z) micro-USD per GB from each zone where data lies; the last row where that is not known."""
    source: FloatArray
    """(O + 1, H) gCO2e/kWh there; not a number where it is not known."""

    def at(self, before: FloatArray, row: IntArray, at_ms: IntArray) -> FloatArray:
        """A running sum at any moment: `before` has (R, E), of which each moment reads one row."""
        fleet = self.fleet
        slot = np.clip((at_ms - fleet.start_ms) // fleet.slot_ms, 0, fleet.slots - 1)
        part = (at_ms - fleet.begin_ms[slot]) / fleet.usable_ms[slot]
        low = before[row, slot]
        value: FloatArray = low + (before[row, slot + 1] - low) * part
        return value

    def line(
        self, pool: IntArray, work_class: IntArray, carbon_price: IntArray, edges: slice = slice(None)
    ) -> FloatArray:
        """(N, E) micro-USD of one container that runs from now to each edge, or to some of them."""
        zone, kw = self.zone[pool], self.facility_kw[pool, work_class][:, None]
        power = self.risky_before[:, edges][zone]
        power *= carbon_usd_per_kwh(np.ones(1), 1) * carbon_price[:, None]
        power += self.price_before[:, edges][zone]
        power *= kw * units.MICRO
        water = self.litres_per_h[pool, work_class] * self.fleet.policy.water_price_usd_micro_per_l
        power += water[:, None] * self.hours[edges] + TIE_USD_MICRO * self.waited[edges]
        power += self.fleet.ask_usd_micro[pool][:, None] * self.late[edges]
        return power

    @property
    def late(self) -> FloatArray:
        """(E,) hours from now, each with what waiting adds to its ask."""
        return self.hours + self.waited * (self.fleet.policy.delay_ppm_per_h / units.PPM)

    def waking(self, pool: IntArray, carbon_price: IntArray) -> FloatArray:
        """(N,) micro-USD to wake one container, at the mean of all slots."""
        zone, usable = self.zone, self.hours[-1]
        per_kwh = self.price_before[:, -1] / usable
        carbon = carbon_usd_per_kwh(self.carbon_before[:, -1] / usable, 1)
        woken: FloatArray = (per_kwh[zone[pool]] + carbon[zone[pool]] * carbon_price) * self.wake_kwh[pool]
        return woken * units.MICRO

    def transfer(
        self, pool: IntArray, data_bytes: IntArray, carbon_price: IntArray, slot: IntArray, origin: IntArray
    ) -> FloatArray:
        """(N,) or (N, H) micro-USD to bring a job's data to a pool for a start in a slot, as `placement.gravity`."""
        gigabytes, zone = data_bytes / BYTES_PER_GB, self.zone[pool]
        kwh = gigabytes * self.fleet.policy.transfer_wh_per_gb / WH_PER_KWH
        there, here = self.carbon[zone, slot], self.source[origin, slot]
        mean = np.where(np.isnan(here), there, (here + there) / 2)
        carbon = carbon_usd_per_kwh(mean, 1) * carbon_price
        brought: FloatArray = gigabytes * self.tariff[origin, zone] + kwh * carbon * units.MICRO
        return brought

    def run_ms(self, pool: IntArray, work_class: IntArray, length_ms: IntArray) -> IntArray:
        """Run times on pools, rounded up."""
        run: IntArray = -(-length_ms * units.PPM // np.maximum(self.fleet.rate_ppm[pool, work_class], 1))
        return run


def tables_of(fleet: Fleet, snapshot: Snapshot, origins: Sequence[str] = ()) -> Tables:
    """Lay out what a snapshot's signals cost, and ways from the zones where data lies."""
    pools, usable_h = fleet.pools, fleet.usable_ms / units.HOUR_MS
    delay_h = (fleet.begin_ms - fleet.now_ms) / units.HOUR_MS
    it_kw = pools.busy_w / units.W_PER_KW
    carbon_before = _before(snapshot.carbon_g_per_kwh * usable_h)
    spread_before = _before(snapshot.carbon_spread_g_per_kwh * usable_h)
    return Tables(
        fleet=fleet,
        zone=pools.zone,
        carbon=snapshot.carbon_g_per_kwh,
        spread=snapshot.carbon_spread_g_per_kwh,
        price=snapshot.price_usd_per_kwh,
        hours=_before(usable_h[None])[0],
        waited=_before((usable_h * delay_h)[None])[0],
        carbon_before=carbon_before,
        spread_before=spread_before,
        risky_before=carbon_before + RISK_FRAC * spread_before,
        price_before=_before(snapshot.price_usd_per_kwh * usable_h),
        facility_kw=it_kw * pools.overhead[:, None],
        litres_per_h=it_kw * pools.water_l_per_kwh[:, None],
        wake_kwh=pools.wake_j * pools.overhead / units.J_PER_KWH,
        tariff=tariffs(fleet, (*origins, UNKNOWN)),
        source=np.stack([carbon_at(fleet, zone) for zone in (*origins, UNKNOWN)]),
    )


def _before(values: FloatArray) -> FloatArray:
    before = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=before[:, 1:])
    return before
