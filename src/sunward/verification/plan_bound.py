"""A bound that no plan can go below, from shadow prices, by a second author (Lagrangian relaxation).

At given prices of containers each job is looked at alone, as if there were room for all: the least that any of its
options costs, prices included. The sum of that, less what all containers are worth at these prices, is not above the
cost of any plan for the same jobs, whatever prices at or above zero it is worked out with; good prices only make it
better. Nothing is shared with the planner, and the prices are not trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from sunward.model.certificate import PlanCertificate, PricedPool
from sunward.model.plan import Segment
from sunward.verification.exact import MILLION, MS_IN_HOUR
from sunward.verification.plan_asks import Ask, allowed, asks_of
from sunward.verification.plan_cost import (
    Held,
    Tariff,
    blocked_before,
    edges_of,
    level_of,
    tariff,
    under_limits,
    used_h,
)
from sunward.world.snapshot import FloatArray, IntArray, Snapshot

ROUNDING_FRAC = 1e-6
"""Scores are whole micro-USD per slot, run times whole milliseconds: so much a plan may seem to lie below a bound."""


@dataclass(slots=True)
class _Sums:
    cost_usd: float = 0.0
    least_usd: float = 0.0
    exact: int = 0
    loose: int = 0
    stays: int = 0
    without: list[str] = field(default_factory=list)


class _Book:
    """Tariffs by class of work, carbon price and power limit, with and without shadow prices."""

    def __init__(self, snapshot: Snapshot, prices: FloatArray) -> None:
        self.levels = under_limits(snapshot)
        self._prices = prices
        self._known: dict[tuple[int, int, int, bool], Tariff] = {}

    def of(self, ask: Ask, level: int, *, dear: bool) -> Tariff:
        key = (ask.work_class, ask.carbon_usd_per_t, level, dear)
        if key not in self._known:
            added = self._prices if dear else np.zeros_like(self._prices)
            self._known[key] = tariff(self.levels[level], ask.work_class, ask.carbon_usd_per_t, added)
        return self._known[key]

    def options(self, ask: Ask) -> list[tuple[Snapshot, Tariff]]:
        """Under what a job may run, and what that costs with shadow prices."""
        limits = len(self.levels) if ask.limited else 1
        return [(self.levels[level], self.of(ask, level, dear=True)) for level in range(limits)]


def certify(snapshot: Snapshot, prices_usd_micro_per_h: IntArray | None = None) -> PlanCertificate:
    """What the present places of all jobs cost, and what no other places for them could cost less than.

    `prices_usd_micro_per_h` (P, H), at least 0; without them those of the snapshot, or none.
    """
    given = snapshot.shadow_usd_micro_per_h if prices_usd_micro_per_h is None else prices_usd_micro_per_h
    shape = snapshot.pools.available.shape
    prices = np.zeros(shape) if given is None else np.maximum(given, 0) / MILLION
    asks = list(asks_of(snapshot))
    kept = _held(snapshot, [part for ask in asks if ask.stays for part in ask.given])
    room = snapshot.pools.available.astype(np.float64)
    if snapshot.standing is not None:
        room = room - snapshot.standing.taken
    hours = np.diff(edges_of(snapshot)) / MS_IN_HOUR
    room = np.maximum(0.0, room - used_h(edges_of(snapshot), shape, kept) / hours)
    book, sums = _Book(snapshot, prices), _Sums()
    for ask in asks:
        _add(snapshot, book, ask, room, sums)
    worth = float((prices * room * hours).sum())
    return _certificate(snapshot, sums, sums.least_usd - worth, prices)


def _certificate(snapshot: Snapshot, sums: _Sums, bound_usd: float, prices: FloatArray) -> PlanCertificate:
    without = tuple(sums.without)
    cost = round(sums.cost_usd * MILLION)
    bound = round(bound_usd * MILLION)
    below = bound_usd > sums.cost_usd + ROUNDING_FRAC * abs(sums.cost_usd) + 1.0 / MILLION
    return PlanCertificate(
        at_ms=snapshot.now_ms,
        based_on=snapshot.based_on,
        jobs=sums.exact + sums.loose + sums.stays + len(without),
        exact=sums.exact,
        loose=sums.loose,
        stays=sums.stays,
        without=without,
        cost_usd_micro=cost,
        bound_usd_micro=bound,
        gap_ppm=0 if cost <= 0 else round((cost - bound) * MILLION / cost),
        holds=not below and not without,
        pools=_priced(snapshot, prices),
    )


def _priced(snapshot: Snapshot, prices: FloatArray) -> tuple[PricedPool, ...]:
    hours = np.diff(edges_of(snapshot)) / MS_IN_HOUR
    found = []
    for row in np.flatnonzero(prices.any(axis=1)).tolist():
        scarce = prices[row] > 0
        most, mean = prices[row].max(), (prices[row] * hours).sum() / hours[scarce].sum()
        found.append(
            PricedPool(
                pool=snapshot.pools.ids[row],
                scarce_ms=round(float(hours[scarce].sum()) * MS_IN_HOUR),
                mean_usd_micro_per_h=round(float(mean) * MILLION),
                most_usd_micro_per_h=round(float(most) * MILLION),
            )
        )
    return tuple(found)


def _held(snapshot: Snapshot, parts: list[Segment]) -> Held:
    """Pool, containers, start and end of stretches still to come; pools that have left are left out."""
    row = {pool: at for at, pool in enumerate(snapshot.pools.ids)}
    rows = [
        (row[one.pool], one.containers, max(one.start_ms, snapshot.now_ms), one.end_ms)
        for one in parts
        if one.pool in row and one.end_ms > snapshot.now_ms
    ]
    pool, containers, start, end = np.array(rows, dtype=np.int64).reshape(len(rows), 4).T
    return pool, containers, start, end


def _add(snapshot: Snapshot, book: _Book, ask: Ask, room: FloatArray, sums: _Sums) -> None:
    cost = _cost(snapshot, book, ask)
    sums.cost_usd += cost
    if ask.stays:
        sums.least_usd += cost
        sums.stays += ask.number
        return
    pools = np.flatnonzero(allowed(snapshot, ask))
    options = book.options(ask)
    if ask.in_one_piece:
        found = (_one_piece(world, dear, ask, pools, room) for world, dear in options)
        least = min((one for one in found if one is not None), default=None)
    else:
        least = _pieces(options, ask, pools, room)
    if least is None:
        sums.least_usd += cost
        sums.without.extend(ask.jobs)
    else:
        sums.least_usd += least * ask.number
        sums.exact += ask.number * ask.in_one_piece
        sums.loose += ask.number * (not ask.in_one_piece)


def _cost(snapshot: Snapshot, book: _Book, ask: Ask) -> float:
    total = 0.0
    for level in range(len(book.levels)):
        plain = book.of(ask, level, dear=False)
        given = [part for part in ask.given if level_of(snapshot, ask.work_class, part) == level]
        pool, containers, start, end = _held(snapshot, given)
        spans = plain.until(pool, end.astype(np.float64)) - plain.until(pool, start.astype(np.float64))
        total += float((containers * spans).sum())
    return total


def _one_piece(snapshot: Snapshot, dear: Tariff, ask: Ask, pools: IntArray, room: FloatArray) -> float | None:
    """The least of all starts, not of those at slots alone.

    What a run costs changes along straight lines while it is moved in time, so the least lies where it begins or ends
    with a slot, or as early or as late as it may.
    """
    run_ms = ask.work_ms / snapshot.pools.rate[pools, ask.work_class]
    edges = dear.edges_ms.astype(np.float64)
    latest = np.minimum(ask.limit_ms, edges[-1]) - run_ms
    if ask.start_by_ms:
        latest = np.minimum(latest, ask.start_by_ms)
    earliest = np.full_like(latest, max(ask.opens_ms, snapshot.now_ms))
    begins = np.broadcast_to(edges[:-1], (len(pools), len(edges) - 1))
    start = np.concatenate([begins, edges[1:] - run_ms[:, None], earliest[:, None], latest[:, None]], axis=1)
    where = np.broadcast_to(pools[:, None], start.shape)
    end = start + run_ms[:, None]
    # A run time is a whole number of ms for the planner, which rounds it up.
    fits = (start >= earliest[:, None] - 1.0) & (start <= latest[:, None] + 1.0)
    blocked = blocked_before(room >= ask.counts[0])
    full = blocked[where, dear.slot(np.maximum(end - 1.0, start)) + 1] - blocked[where, dear.slot(start)]
    fits &= full == 0
    if not fits.any():
        return None
    cost = ask.counts[0] * (dear.until(where, end) - dear.until(where, start))
    return float(cost[fits].min())


def _pieces(options: Sequence[tuple[Snapshot, Tariff]], ask: Ask, pools: IntArray, room: FloatArray) -> float | None:
    """Less than any way with pauses: in each slot the most work of any option at the least cost of any, pauses free."""
    edges = options[0][1].edges_ms.astype(np.float64)
    begin = np.maximum(edges[:-1], ask.opens_ms)
    usable_h = np.maximum(np.minimum(edges[1:], ask.limit_ms) - begin, 0.0) / MS_IN_HOUR
    per_work, work_h = np.full(len(usable_h), np.inf), np.zeros(len(usable_h))
    several = product(options, zip(ask.counts, ask.speeds, strict=True))
    for (world, dear), (count, speed) in several:
        rate = world.pools.rate[pools, ask.work_class] * speed
        open_here = room[pools] >= count
        ratio = np.where(open_here, count * dear.hourly[pools] / rate[:, None], np.inf)
        per_work = np.minimum(per_work, ratio.min(axis=0, initial=np.inf))
        work_h = np.maximum(work_h, np.where(open_here, rate[:, None], 0.0).max(axis=0, initial=0.0) * usable_h)
    order = np.argsort(per_work, kind="stable")
    left = ask.work_ms / MS_IN_HOUR - np.concatenate(([0.0], np.cumsum(work_h[order])[:-1]))
    done = np.clip(left, 0.0, work_h[order])
    if done.sum() < ask.work_ms / MS_IN_HOUR * (1.0 - ROUNDING_FRAC):
        return None
    used = done > 0
    return float((done[used] * per_work[order][used]).sum())
