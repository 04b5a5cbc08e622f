"""Certificates against use, hour by hour and market by market, for many sites at once. Integer columns.

The rules are those of docs/certificates.md: a site's hour takes what is cancelled for its tenant, then what is
cancelled for itself, in order of ids, and never more whole Wh than it used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sunward.errors import InputError, InvariantError
from sunward.model.basis import Basis, Emissions
from sunward.units import J_PER_KWH, J_PER_WH, PPM

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
USED_J_MAX = 2_000_000_000_000
"""Of one site in one hour, half a GWh: products with any intensity stay within 64 bits."""
MG_PER_KWH_MAX = 2_000_000
MARKETS_MAX = 9_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """S sites over H hours."""

    used_j: IntArray
    """(S, H) facility energy, asleep and idle included."""
    market: IntArray
    """(S,) code of each site's market; negative = none, which matches nothing."""
    tenant: IntArray
    """(S,) code of whoever the energy was used for."""
    location_mg_per_kwh: IntArray
    """(S, H) average intensity of the zone."""
    residual_mg_per_kwh: IntArray
    """(S,) residual mix, or the fossil factor in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """N bundles of hourly certificates in order of ids; each is for a tenant or for a site."""

    hour: IntArray
    """Column of `Use` its hour is."""
    market: IntArray
    tenant: IntArray
    """Beneficiary; negative = a site is."""
    site: IntArray
    """Row of `Use`; read where no tenant is."""
    wh: IntArray
    mg_per_kwh: IntArray
    renewable: BoolArray
    carbon_free: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """(S, H) what was matched and what was not, and (N,) what of each bundle was claimed."""

    matched_wh: IntArray
    renewable_wh: IntArray
    carbon_free_wh: IntArray
    residual_j: IntArray
    location_mg: IntArray
    market_mg: IntArray
    claimed_wh: IntArray

    def emissions(self) -> tuple[Emissions, Emissions]:
        """Both bases, side by side."""
        location = Emissions(Basis.LOCATION, int(self.location_mg.sum()))
        return location, Emissions(Basis.MARKET, int(self.market_mg.sum()))


def match(use: Use, cancelled: Cancelled) -> Matched:
    """Match certificates with the use of the same hour and market, and account both bases.

    Raises: InputError for figures out of range.
    """
    _check(use, cancelled)
    sites, hours = use.used_j.shape
    left_wh = (use.used_j // J_PER_WH).ravel()
    site, hour = np.divmod(np.arange(sites * hours), hours)
    cells: list[IntArray] = []
    rows: list[IntArray] = []
    amounts: list[IntArray] = []
    for own in (False, True):
        of_pass = np.flatnonzero((cancelled.tenant < 0) == own)
        who = cancelled.site if own else cancelled.tenant
        supply = _pools(cancelled.hour, cancelled.market, who, hours)[of_pass]
        demand = _pools(hour, use.market[site], site if own else use.tenant[site], hours)
        wants = np.flatnonzero((left_wh > 0) & (use.market[site] >= 0) & _among(demand, supply))
        cell, row, wh = claims(demand[wants], left_wh[wants], supply, cancelled.wh[of_pass])
        cells.append(wants[cell])
        rows.append(of_pass[row])
        amounts.append(wh)
        left_wh -= _sum(wants[cell], wh, left_wh.size)
    return _account(use, cancelled, np.concatenate(cells), np.concatenate(rows), np.concatenate(amounts))


def claims(
    demand_pool: IntArray, demand_wh: IntArray, supply_pool: IntArray, supply_wh: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Who takes how much of what: (D,), (D,), (B,), (B,) → demand, supply and Wh of each claim.

    Within a pool the first demand takes from the first supply, and so on until either is used up: both are laid end
    to end on one axis, where each piece between two marks belongs to one of each.
    """
    wants, gives = np.argsort(demand_pool, kind="stable"), np.argsort(supply_pool, kind="stable")
    demand_from, supply_from = _laid(demand_pool[wants], demand_wh[wants], supply_pool[gives], supply_wh[gives])
    demand_to, supply_to = demand_from + demand_wh[wants], supply_from + supply_wh[gives]
    marks = _distinct(demand_from, demand_to, supply_from, supply_to)
    low, high = marks[:-1], marks[1:]
    want = np.searchsorted(demand_from, low, side="right") - 1
    give = np.searchsorted(supply_from, low, side="right") - 1
    if not wants.size or not gives.size:
        return wants[:0], gives[:0], demand_wh[:0]
    both = (want >= 0) & (give >= 0)
    both &= (low < demand_to[want]) & (low < supply_to[give])
    return wants[want[both]], gives[give[both]], (high - low)[both]


def share_ppm(part_wh: int, used_j: int) -> int:
    """A share of energy used, ppm, rounded down: q of renewable, CFE of carbon-free certificates; 0 of nothing."""
    return part_wh * J_PER_WH * PPM // used_j if used_j else 0


def _laid(
    demand_pool: IntArray, demand_wh: IntArray, supply_pool: IntArray, supply_wh: IntArray
) -> tuple[IntArray, IntArray]:
    """Where each demand and supply begins on one axis, on which every pool has room for the larger of both.

    Pools come in order.
    """
    pools = _distinct(demand_pool, supply_pool)
    of_demand, of_supply = np.searchsorted(pools, demand_pool), np.searchsorted(pools, supply_pool)
    room = np.maximum(_sum(of_demand, demand_wh, pools.size), _sum(of_supply, supply_wh, pools.size))
    base = np.cumsum(room) - room
    return _within(of_demand, demand_wh, base), _within(of_supply, supply_wh, base)


def _distinct(*sorted_runs: IntArray) -> IntArray:
    """All values once, in order. Merging runs that are in order is much faster than finding them by their hash."""
    found = np.concatenate(sorted_runs)
    found.sort(kind="stable")
    return found[np.concatenate([[True], found[1:] != found[:-1]])] if found.size else found


def _among(values: IntArray, others: IntArray) -> BoolArray:
    """Which values are among others."""
    known = np.sort(others)
    place = np.searchsorted(known, values)
    found: BoolArray = np.zeros(values.size, np.bool_)
    inside = place < known.size
    found[inside] = known[place[inside]] == values[inside]
    return found


def _within(pool: IntArray, wh: IntArray, base: IntArray) -> IntArray:
    before = np.cumsum(wh) - wh
    first = np.searchsorted(pool, pool, side="left")
    return base[pool] + before - before[first] if pool.size else before


def _pools(hour: IntArray, market: IntArray, who: IntArray, hours: int) -> IntArray:
    """One code for each (who, market, hour); all are small enough not to overflow."""
    found: IntArray = (who * (MARKETS_MAX + 1) + market) * hours + hour
    return found


def _account(use: Use, cancelled: Cancelled, cell: IntArray, row: IntArray, wh: IntArray) -> Matched:
    shape, size = use.used_j.shape, use.used_j.size
    matched_wh = _sum(cell, wh, size).reshape(shape)
    residual_j = use.used_j - matched_wh * J_PER_WH
    covered = _sum(cell, wh * cancelled.mg_per_kwh[row], size).reshape(shape)
    claimed_wh = _sum(row, wh, cancelled.wh.size)
    if residual_j.min(initial=0) < 0 or (claimed_wh > cancelled.wh).any():
        raise InvariantError("more was matched than was used or cancelled")
    market = covered * J_PER_WH + residual_j * use.residual_mg_per_kwh[:, None]
    return Matched(
        matched_wh=matched_wh,
        renewable_wh=_sum(cell, wh * cancelled.renewable[row], size).reshape(shape),
        carbon_free_wh=_sum(cell, wh * cancelled.carbon_free[row], size).reshape(shape),
        residual_j=residual_j,
        location_mg=_milligrams(use.used_j * use.location_mg_per_kwh),
        market_mg=_milligrams(market),
        claimed_wh=claimed_wh,
    )


def _milligrams(j_mg_per_kwh: IntArray) -> IntArray:
    """Rounded half up, as every recorded emission."""
    found: IntArray = (j_mg_per_kwh + J_PER_KWH // 2) // J_PER_KWH
    return found


def _sum(index: IntArray, amount: IntArray, size: int) -> IntArray:
    """Sums by index, exactly: floats would lose units beyond 2⁵³."""
    found = np.zeros(size, dtype=np.int64)
    np.add.at(found, index, amount)
    return found


def _check(use: Use, cancelled: Cancelled) -> None:
    if use.used_j.min(initial=0) < 0 or use.used_j.max(initial=0) > USED_J_MAX:
        raise InputError(f"the energy of a site in an hour lies in 0..{USED_J_MAX} J", code="SW-761")
    factors = (use.location_mg_per_kwh, use.residual_mg_per_kwh, cancelled.mg_per_kwh)
    if any(one.min(initial=0) < 0 or one.max(initial=0) > MG_PER_KWH_MAX for one in factors):
        raise InputError(f"an intensity lies in 0..{MG_PER_KWH_MAX} mg/kWh", code="SW-761")
    if cancelled.wh.min(initial=1) < 1:
        raise InputError("a bundle holds at least one Wh", code="SW-761")
    if cancelled.market.max(initial=0) > MARKETS_MAX or use.market.max(initial=0) > MARKETS_MAX:
        raise InputError(f"there are at most {MARKETS_MAX} markets", code="SW-761")
