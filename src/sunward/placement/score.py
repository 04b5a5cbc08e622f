"""The one objective, in micro-USD per pool and slot, every term apart (DESIGN §5).

A slot's figures are those of the whole gang running through the usable part of the slot, rounded half up to
an integer once per term, pool and slot. A part of a slot costs its share by time, rounded half up again. What the
search compares and what the plan reports are therefore the same integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.model.hardware import WorkClass
from sunward.placement.fleet import Fleet
from sunward.world.snapshot import WORK_CLASSES, FloatArray, IntArray

RISK_FRAC = 0.1
"""Share of the forecast's upper spread that is charged: enough to prefer the surer of two equal slots."""
BYTES_PER_GB = 10**9
"""SI gigabyte, as network tariffs count."""
WH_PER_KWH = units.W_PER_KW

ENERGY, CARBON, WATER, ASK, RISK, SHADOW = range(6)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlotCosts:
    """Costs of one kind of gang on every pool; with more counts or power limits, one row more a pool for each."""

    pool: IntArray
    """(P,) pool of each row, in the order of the fleet."""
    gpus: IntArray
    """(P,) containers held at once."""
    terms: IntArray
    """(5, P, H) micro-USD: energy, carbon, water, ask, risk; (6, P, H) with the shadow price, where it counts."""
    run: IntArray
    """(P, H) sum of the terms."""
    before_run: IntArray
    """(P, H + 1) sums of `run` over the slots before."""
    energy_j: IntArray
    """(P, H) facility energy."""
    carbon_mg: IntArray
    """(P, H) location-based emissions."""
    wake_one: FloatArray
    """(P, H) micro-USD to wake one container."""


def slot_costs(fleet: Fleet, work_class: WorkClass, gpus: int, carbon_price_usd_per_t: int) -> SlotCosts:
    """Score `gpus` containers of one work class on every pool and slot."""
    busy_w = fleet.pools.busy_w[:, WORK_CLASSES.index(work_class)]
    return costs_on(fleet, slice(None), busy_w, gpus, carbon_price_usd_per_t)


def costs_on(
    fleet: Fleet, rows: slice | IntArray, busy_w: FloatArray, gpus: int, carbon_price_usd_per_t: int
) -> SlotCosts:
    """Score `gpus` containers on some pools and every slot; `busy_w`: IT watts of one on each of these pools."""
    pools, price = fleet.pools, fleet.price[rows]
    overhead = pools.overhead[rows]
    it_j = (busy_w * gpus)[:, None] * fleet.usable_ms / units.SECOND_MS
    it_kwh = it_j / units.J_PER_KWH
    facility_kwh = it_kwh * overhead[:, None]
    carbon_usd = carbon_usd_per_kwh(fleet.carbon[rows], carbon_price_usd_per_t)
    spread_usd = carbon_usd_per_kwh(fleet.spread[rows], carbon_price_usd_per_t)
    litres = it_kwh * pools.water_l_per_kwh[rows][:, None]
    hours = fleet.usable_ms / units.HOUR_MS
    ask_usd_micro = fleet.ask_usd_micro[rows][:, None] * gpus * hours
    delay_h = (fleet.begin_ms - fleet.now_ms) / units.HOUR_MS
    delay_usd_micro = ask_usd_micro * delay_h * fleet.policy.delay_ppm_per_h / units.PPM
    terms = np.stack(
        [
            to_micro(facility_kwh * price),
            to_micro(facility_kwh * carbon_usd),
            to_integer(litres * fleet.policy.water_price_usd_micro_per_l),
            to_integer(ask_usd_micro),
            to_integer(facility_kwh * spread_usd * RISK_FRAC * units.MICRO + delay_usd_micro),
        ]
    )
    if fleet.shadow_usd_micro_per_h is not None:
        terms = np.concatenate([terms, to_integer(fleet.shadow_usd_micro_per_h[rows] * gpus * hours)[None]])
    run = terms.sum(axis=0)
    before_run = np.zeros((run.shape[0], fleet.slots + 1), dtype=np.int64)
    np.cumsum(run, axis=1, out=before_run[:, 1:])
    wake_kwh = (pools.wake_j[rows] * overhead / units.J_PER_KWH)[:, None]
    return SlotCosts(
        pool=np.arange(len(pools.ids), dtype=np.int64)[rows],
        gpus=np.full(len(run), gpus, dtype=np.int64),
        terms=terms,
        run=run,
        before_run=before_run,
        energy_j=to_integer(it_j * overhead[:, None]),
        carbon_mg=to_integer(facility_kwh * fleet.carbon[rows] * units.MG_PER_G),
        wake_one=wake_kwh * (price + carbon_usd) * units.MICRO,
    )


def joined(costs: Sequence[SlotCosts]) -> SlotCosts:
    """Several tables as one, the rows of each after those of the one before."""
    if len(costs) == 1:
        return costs[0]
    return SlotCosts(
        terms=np.concatenate([one.terms for one in costs], axis=1),
        **{
            name: np.concatenate([getattr(one, name) for one in costs])
            for name in ("pool", "gpus", "run", "before_run", "energy_j", "carbon_mg", "wake_one")
        },
    )


def carbon_usd_per_kwh(intensity_g_per_kwh: FloatArray, carbon_price_usd_per_t: int) -> FloatArray:
    """USD of the emissions of one kWh."""
    priced: FloatArray = intensity_g_per_kwh * (carbon_price_usd_per_t / (units.G_PER_KG * units.KG_PER_T))
    return priced


def to_micro(usd: FloatArray) -> IntArray:
    """USD to micro-USD, rounded half up: the one rounding of a score's term."""
    return to_integer(usd * units.MICRO)


def to_integer(amount: FloatArray) -> IntArray:
    """Nearest integers, halves up."""
    nearest: IntArray = np.floor(amount + 0.5).astype(np.int64)
    return nearest


def share(amount: IntArray, part_ms: IntArray, whole_ms: IntArray) -> IntArray:
    """What `part_ms` of `whole_ms` takes of an integer amount, rounded half up."""
    taken: IntArray = (2 * amount * part_ms + whole_ms) // (2 * whole_ms)
    return taken
