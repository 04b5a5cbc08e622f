"""Snapshot, room and groups laid out as the records that compiled loops read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sunward import units
from sunward.placement.crowd.ground import ASKED, JOB, POOL, USE, WAY
from sunward.placement.crowd.groups import Groups, ask_most
from sunward.placement.crowd.room import Room
from sunward.placement.crowd.seek import Ground, Left, Records, survey
from sunward.placement.crowd.tables import TIE_USD_MICRO, Tables
from sunward.placement.score import BYTES_PER_GB, WH_PER_KWH, carbon_usd_per_kwh
from sunward.world.crowd import NOT_GIVEN, Crowd
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

STEPS_PER_OCTAVE = 8
"""Lengths of stretches that are told apart, in slots; up to so many all of them."""


def ground_of(tables: Tables, room: Room, sets: BoolArray, lures: FloatArray) -> Ground:
    """`sets`: (sets, P) which pools are in each; `lures`: (kinds, P)."""
    fleet, (rates, rate) = tables.fleet, _rates(tables.fleet.rate_ppm)
    lengths = _lengths(fleet.slots)
    return Ground(
        now_ms=fleet.now_ms,
        start_ms=fleet.start_ms,
        slot_ms=fleet.slot_ms,
        delay_share=fleet.policy.delay_ppm_per_h / units.PPM,
        tie=TIE_USD_MICRO,
        begin_ms=fleet.begin_ms,
        usable_ms=fleet.usable_ms,
        hours=tables.hours,
        waited=tables.waited,
        power=tables.price_before * units.MICRO,
        carbon=tables.risky_before * _usd_micro_per_g(),
        pools=_pools(tables, room),
        uses=_uses(tables, room),
        ways=_ways(tables),
        rates=rates,
        rate=rate,
        first=np.append(0, np.cumsum(sets.sum(axis=1))),
        members=np.ascontiguousarray(np.nonzero(sets)[1]),
        lengths=lengths,
        level=np.searchsorted(lengths, np.arange(fleet.slots + 1), side="right") - 1,
        lures=lures,
    )


def _usd_micro_per_g() -> float:
    """At one USD a tonne."""
    return float(carbon_usd_per_kwh(np.ones(1), 1)[0]) * units.MICRO


def _pools(tables: Tables, room: Room) -> Records:
    fleet, usable_h = tables.fleet, tables.hours[-1]
    found = np.zeros(len(tables.zone), dtype=POOL)
    found["zone"], found["site"], found["wake_ms"] = tables.zone, fleet.pools.site, fleet.pools.wake_ms
    found["ask"], found["bound"] = fleet.ask_usd_micro, room.bound
    found["waking"] = (tables.price_before[:, -1] / usable_h)[tables.zone] * tables.wake_kwh * units.MICRO
    carbon = (tables.carbon_before[:, -1] / usable_h)[tables.zone] * tables.wake_kwh
    found["waking_carbon"] = carbon * _usd_micro_per_g()
    return found


def _uses(tables: Tables, room: Room) -> Records:
    found = np.zeros(tables.facility_kw.shape, dtype=USE)
    found["kw"], found["above_w"] = tables.facility_kw, room.above_w
    found["water"] = tables.litres_per_h * tables.fleet.policy.water_price_usd_micro_per_l
    return found


def _ways(tables: Tables) -> Records:
    """From every zone where data lies to every zone of pools, at the mean of all slots."""
    found = np.zeros(tables.tariff.shape, dtype=WAY)
    here, there = tables.source.mean(axis=1)[:, None], tables.carbon.mean(axis=1)[None]
    kwh_per_gb = tables.fleet.policy.transfer_wh_per_gb / WH_PER_KWH
    found["tariff"] = tables.tariff
    found["carbon"] = np.where(np.isnan(here), there, (here + there) / 2) * (kwh_per_gb * _usd_micro_per_g())
    return found


def _lengths(slots: int) -> IntArray:
    """Numbers of slots that are told apart, up to all of them."""
    every = np.arange(1, slots + 1)
    step = 1 << np.maximum(0, np.log2(every).astype(np.int64) - int(np.log2(STEPS_PER_OCTAVE)))
    told: IntArray = every[every % step == 0]
    return told


def _rates(rate_ppm: IntArray) -> tuple[IntArray, NDArray[np.int16]]:
    """(C, K) rates of each class, and (C, P) which of them a pool has."""
    columns = [np.unique(column, return_inverse=True) for column in rate_ppm.T]
    rates = np.zeros((len(columns), max(len(kinds) for kinds, _ in columns)), dtype=np.int64)
    for row, (kinds, _) in enumerate(columns):
        rates[row, : len(kinds)] = kinds
    return rates, np.stack([which for _, which in columns]).astype(np.int16)


def left_of(ground: Ground, room: Room, gangs: IntArray) -> Left:
    """What is free; the arrays are those of the room."""
    soonest = np.empty((len(gangs), len(ground.lengths), len(room.free)), dtype=np.int16)
    left = Left(free=room.free, headroom_w=room.headroom_w, idle=room.idle, gangs=gangs, soonest=soonest)
    survey(left, ground.lengths)
    return left


def asked_of(tables: Tables, crowd: Crowd, groups: Groups, sets: IntArray, gangs: IntArray) -> tuple[Records, Records]:
    """What groups ask, and their jobs; `sets`: (G,) of pools."""
    end_ms, rows, first = tables.fleet.end_ms, groups.jobs, groups.first
    jobs = np.zeros(len(rows), dtype=JOB)
    jobs["length_ms"], jobs["limit_ms"] = crowd.length_ms[rows], np.minimum(crowd.deadline_ms[rows], end_ms)
    start_by = crowd.start_by_ms[rows]
    jobs["start_by_ms"] = np.where(start_by > 0, np.minimum(start_by, end_ms), end_ms)
    jobs["ask_most"] = ask_most(crowd.budget_usd_micro[rows], crowd.gpus[rows], crowd.length_ms[rows])[0]
    jobs["pool"] = jobs["now_pool"] = NOT_GIVEN
    asked = np.zeros(len(groups.family), dtype=ASKED)
    for name in ("work_class", "gpus", "carbon_price", "length_ms", "limit_ms", "start_by_ms", "opens", "origin"):
        asked[name] = getattr(groups, name)
    asked["pools"], asked["gang"] = sets, np.searchsorted(gangs, groups.gpus)
    asked["ask_most"] = np.minimum.reduceat(jobs["ask_most"], first[:-1])
    asked["gigabytes"] = groups.data_bytes / BYTES_PER_GB
    asked["next"], asked["end"] = first[:-1], first[1:]
    return asked, jobs
