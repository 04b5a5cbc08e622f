"""What a reference hour costs at its best on every pool, about: in this order pools are worth a close look.

Axes: L kinds of lines (class, carbon price, length in octaves, reach), D carbon prices, N lengths in coarse steps,
R reaches, Z zones, P pools, C classes of work, K rates of a class, E edges of slots.
"""

from __future__ import annotations

import numpy as np

from sunward import units
from sunward.placement.crowd.compiled import compiled
from sunward.placement.crowd.groups import Groups, packed
from sunward.placement.crowd.tables import Tables
from sunward.placement.score import carbon_usd_per_kwh
from sunward.world.snapshot import FloatArray, IntArray

STEPS = 96
"""A horizon is looked at in about so many steps."""
REACHES = 4
"""Limits are told apart by the quarter, half, three quarters and whole of the logarithm of the horizon."""
PPM = units.PPM


def lures_of(tables: Tables, groups: Groups) -> tuple[FloatArray, IntArray]:
    """(L, P) micro-USD of a reference hour, inf without a rate, and the row of each group."""
    fleet, length = tables.fleet, groups.length_ms
    octave = np.log2(np.maximum(1, length / fleet.slot_ms)).astype(np.int64) // 2 * 2
    reach_slots = np.clip((groups.limit_ms - length - fleet.start_ms) // fleet.slot_ms, 1, fleet.slots)
    far = np.log2(reach_slots) / max(1.0, np.log2(fleet.slots)) * REACHES
    reach = np.clip(np.ceil(far).astype(np.int64) - 1, 0, REACHES - 1)
    prices, price = np.unique(groups.carbon_price, return_inverse=True)
    columns = (groups.work_class, price, octave, reach)
    _, at, kind = np.unique(packed(columns), return_index=True, return_inverse=True)
    step = max(1, fleet.slots // STEPS)
    edges = np.append(np.arange(0, fleet.slots, step), fleet.slots)
    count = len(edges) - 1
    lengths = np.minimum(1 << np.arange((count - 1).bit_length() + 1), count)
    reaches = np.array([max(0, round(count ** ((one + 1) / REACHES)) - 1) for one in range(REACHES)])
    best = best_hours(_power(tables, prices, edges), tables.hours[edges], tables.late[edges], lengths, reaches)
    kinds = np.stack([column[at] for column in columns], axis=1)
    water = tables.litres_per_h * fleet.policy.water_price_usd_micro_per_l
    hourly = np.stack([tables.facility_kw, np.repeat(fleet.ask_usd_micro[:, None], water.shape[1], axis=1), water])
    least = least_costs(kinds, best, lengths, step * fleet.slot_ms, fleet.slot_ms, tables.zone, fleet.rate_ppm, hourly)
    return least, kind


def _power(tables: Tables, prices: IntArray, edges: IntArray) -> FloatArray:
    """(2, D, Z, edges) micro-USD until each edge of a kW, and of a common pool."""
    usd_per_g = carbon_usd_per_kwh(np.ones(1), 1) * prices[:, None, None]
    power = (tables.risky_before[None, :, edges] * usd_per_g + tables.price_before[None, :, edges]) * units.MICRO
    common = float(np.median(tables.facility_kw))
    return np.stack([power, power * common + tables.late[edges] * float(np.median(tables.fleet.ask_usd_micro))])


@compiled
def best_hours(
    power: FloatArray, hours: FloatArray, late: FloatArray, lengths: IntArray, reaches: IntArray
) -> FloatArray:
    """(D, N, R, Z, 2) what a kW costs and how late it is, an hour, where a common pool is cheapest within reach."""
    _, prices, zones, edges = power.shape
    best = np.zeros((prices, len(lengths), len(reaches), zones, 2))
    for price in range(prices):
        for zone in range(zones):
            for at in range(len(lengths)):
                least, begin, reach = np.inf, 0, 0
                for first in range(edges - lengths[at]):
                    end = first + lengths[at]
                    lasts = hours[end] - hours[first]
                    mean = (power[1, price, zone, end] - power[1, price, zone, first]) / lasts
                    if mean < least:
                        least, begin = mean, first
                    while reach < len(reaches) and (first == reaches[reach] or first == edges - lengths[at] - 1):
                        end = begin + lengths[at]
                        lasts = hours[end] - hours[begin]
                        spent = power[0, price, zone, end] - power[0, price, zone, begin]
                        best[price, at, reach, zone, 0] = spent / lasts
                        best[price, at, reach, zone, 1] = (late[end] - late[begin]) / lasts
                        reach += 1
    return best


@compiled
def least_costs(
    kinds: IntArray,
    best: FloatArray,
    lengths: IntArray,
    step_ms: int,
    slot_ms: int,
    zone: IntArray,
    rate_ppm: IntArray,
    hourly: FloatArray,
) -> FloatArray:
    """(L, P) about the least cost of a reference hour over the starts within a reach; inf without a rate.

    `hourly`: (3, P, C) kW, ask and water of an hour.
    """
    least = np.full((len(kinds), len(zone)), np.inf)
    for row in range(len(kinds)):
        kind, price, octave, reach = kinds[row]
        for pool in range(len(zone)):
            rate = rate_ppm[pool, kind]
            if rate > 0:
                run = (slot_ms << octave) * (PPM / rate) / step_ms
                at = 0
                # The length that is nearest on a logarithmic scale: halfway is a factor of the root of two.
                while at < len(lengths) - 1 and run * run > 2 * lengths[at] * lengths[at]:
                    at += 1
                spent, late = best[price, at, reach, zone[pool]]
                cost = spent * hourly[0, pool, kind] + late * hourly[1, pool, kind] + hourly[2, pool, kind]
                least[row, pool] = cost * (PPM / rate)
    return least
