"""Why jobs of a crowd have no place, with the figures that make it checkable."""

from __future__ import annotations

import numpy as np

from sunward import units
from sunward.model.identity import JobId
from sunward.model.plan import Unplaced
from sunward.placement.crowd.eligible import Checks
from sunward.placement.crowd.groups import Groups, ask_most
from sunward.placement.crowd.tables import Tables
from sunward.world.crowd import Crowd
from sunward.world.snapshot import BoolArray, FloatArray, IntArray

LASTING = ("gpus", "memory", "model", "rate", "country", "admission")
NAMED = {"rate": "model"}


def refusals(tables: Tables, crowd: Crowd, groups: Groups, checks: Checks, without: IntArray) -> list[Unplaced]:
    """A refusal for each job of `without`: positions in `Groups.jobs`, rising."""
    group = np.searchsorted(groups.first, without, side="right") - 1
    said: dict[int, tuple[str, str, bool]] = {}
    fastest: dict[int, tuple[int, FloatArray]] = {}
    rows = groups.jobs[without]
    pays, _ = ask_most(crowd.budget_usd_micro[rows], crowd.gpus[rows], crowd.length_ms[rows])
    found = []
    for row, family, most in zip(rows.tolist(), groups.family[group].tolist(), pays.tolist(), strict=True):
        if family not in said:
            said[family] = _lasting(tables, crowd, groups, checks, family)
            fastest[family] = _fastest(tables, groups, checks, family)
        reason = said[family]
        if not reason[0]:
            reason = _timed(tables, crowd, row, *fastest[family], most)
        found.append(
            Unplaced(
                job=JobId(crowd.ids[row]),
                revision=int(crowd.revision[row]),
                reason=reason[0],
                detail=reason[1],
                permanent=reason[2],
            )
        )
    return found


def _lasting(tables: Tables, crowd: Crowd, groups: Groups, checks: Checks, family: int) -> tuple[str, str, bool]:
    """The first constraint that leaves no pool, whatever the time and the load."""
    pools = tables.fleet.pools
    if not pools.ids:
        return "capacity", "no site has joined yet", False
    left = np.ones(len(pools.ids), dtype=np.bool_)
    for reason in LASTING:
        passed = checks(reason, family)
        if not (left & passed).any():
            return NAMED.get(reason, reason), _detail(tables, crowd, groups, reason, family, left), True
        left &= passed
    return "", "", False


def _detail(tables: Tables, crowd: Crowd, groups: Groups, reason: str, family: int, left: BoolArray) -> str:
    fleet, asked = tables.fleet, groups.families
    rows = np.flatnonzero(left).tolist()
    if reason == "gpus":
        return f"largest pool of one GPU model has {fleet.pools.count.max()}"
    if reason == "memory":
        most = max(fleet.pools.memory_gib[rows].tolist())
        return f"most memory is {most} GiB, {int(asked.memory_gib[family])} GiB wanted"
    if reason in {"model", "rate"}:
        there = ", ".join(sorted({fleet.pools.gpu_model[row] for row in rows}))
        wanted = ", ".join(crowd.model_sets[int(asked.models[family])])
        return f"fitting pools have {there}; wanted {wanted or 'a GPU with a rate for this work'}"
    if reason == "country":
        there = ", ".join(sorted({fleet.pools.country[row] for row in rows}))
        return f"fitting pools are in {there}; allowed {', '.join(crowd.country_sets[int(asked.countries[family])])}"
    return f"none of {len({int(fleet.pools.site[row]) for row in rows})} fitting sites admits this tenant"


def _fastest(tables: Tables, groups: Groups, checks: Checks, family: int) -> tuple[int, FloatArray]:
    """The best rate of the fitting pools, ppm, and what a reference hour costs on each, rising."""
    lasting = np.logical_and.reduce([checks(reason, family) for reason in LASTING])
    rate = tables.fleet.rate_ppm[lasting, int(groups.families.work_class[family])]
    return int(rate.max(initial=0)), np.sort(tables.fleet.ask_usd_micro[lasting] * (units.PPM / rate))


def _timed(
    tables: Tables, crowd: Crowd, row: int, rate_ppm: int, prices: FloatArray, ask_most: float
) -> tuple[str, str, bool]:
    """What time, money or load leave no room for."""
    fleet = tables.fleet
    fastest_ms = -(-int(crowd.length_ms[row]) * units.PPM // max(1, rate_ppm))
    start_ms = max(fleet.now_ms, int(crowd.opens_ms[row]))
    due_ms, fastest_h = int(crowd.deadline_ms[row]), units.hours(fastest_ms)
    start_by_ms = int(crowd.start_by_ms[row])
    if 0 < start_by_ms < fleet.now_ms:
        return "start_by", f"start-by passed {units.hours(fleet.now_ms - start_by_ms):.2f} h ago", False
    if start_ms + fastest_ms > due_ms:
        within_h = units.hours(due_ms - start_ms)
        return "deadline", f"fastest fitting pool needs {fastest_h:.2f} h, deadline is in {within_h:.2f} h", True
    if start_ms + fastest_ms > fleet.end_ms:
        reach_h = units.hours(fleet.end_ms - fleet.now_ms)
        return "horizon", f"fastest fitting pool needs {fastest_h:.2f} h, plans reach {reach_h:.2f} h", True
    paid = int(np.searchsorted(prices, ask_most, side="right"))
    if not paid:
        budget = int(crowd.budget_usd_micro[row]) / units.MICRO
        return "budget", f"no fitting pool does the work for {budget:.2f} USD", True
    return "capacity", f"no free stretch is long enough before the deadline on {paid} fitting pools", False
