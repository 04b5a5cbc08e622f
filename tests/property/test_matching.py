"""Matching by the hour: conserved to the joule, never across hours or markets, and as single claims would have it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.errors import InputError, InvariantError
from sunward.metering.matching import Cancelled, Use, match, share_ppm
from sunward.model.basis import Basis, Emissions, total
from sunward.units import J_PER_KWH, J_PER_WH, round_half_up

SITES, HOURS, MARKETS, TENANTS = 3, 3, 2, 2
BUNDLE = st.tuples(
    st.integers(0, HOURS - 1),
    st.integers(0, MARKETS - 1),
    st.integers(-1, TENANTS - 1),
    st.integers(0, SITES - 1),
    st.integers(1, 9),
    st.sampled_from([11_000, 12_000, 230_000]),
)
ARRAY = np.int64


def _use(used_j, markets, tenants) -> Use:
    return Use(
        used_j=np.array(used_j, ARRAY).reshape(SITES, HOURS),
        market=np.array(markets, ARRAY),
        tenant=np.array(tenants, ARRAY),
        location_mg_per_kwh=np.full((SITES, HOURS), 400_000, ARRAY),
        residual_mg_per_kwh=np.array([500_000, 700_000, 900_000], ARRAY),
    )


def _cancelled(bundles) -> Cancelled:
    columns = [np.array([one[number] for one in bundles], ARRAY) for number in range(6)]
    hour, market, tenant, site, wh, factor = columns
    return Cancelled(
        hour=hour,
        market=market,
        tenant=tenant,
        site=site,
        wh=wh,
        mg_per_kwh=factor,
        renewable=factor != 12_000,
        carbon_free=factor != 230_000,
    )


def _by_hand(use: Use, bundles) -> tuple[dict[tuple[int, int], list[tuple[int, int]]], list[int]]:
    """Claims (bundle, Wh) of each site and hour, one Wh after the other."""
    left = [one[4] for one in bundles]
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    room = {(s, h): int(use.used_j[s, h]) // J_PER_WH for s in range(SITES) for h in range(HOURS)}
    for own in (False, True):
        for (s, h), most in room.items():
            for number, (hour, market, tenant, site, _, _) in enumerate(bundles):
                fits = site == s if own else tenant == use.tenant[s]
                if (tenant < 0) == own and fits and hour == h and market == use.market[s]:
                    taken = min(left[number], most - sum(wh for _, wh in found.get((s, h), [])))
                    left[number] -= taken
                    if taken:
                        found.setdefault((s, h), []).append((number, taken))
    return found, left


@given(
    used_j=st.lists(st.integers(0, 40_000), min_size=9, max_size=9),
    markets=st.lists(st.integers(-1, MARKETS - 1), min_size=3, max_size=3),
    tenants=st.lists(st.integers(0, TENANTS - 1), min_size=3, max_size=3),
    bundles=st.lists(BUNDLE, max_size=12),
)
def test_every_wh_is_matched_once_in_its_hour_and_market_or_stays(used_j, markets, tenants, bundles) -> None:
    use, cancelled = _use(used_j, markets, tenants), _cancelled(bundles)
    found = match(use, cancelled)
    by_hand, left = _by_hand(use, bundles)
    assert (found.matched_wh * J_PER_WH + found.residual_j == use.used_j).all()
    assert found.matched_wh.sum() == found.claimed_wh.sum()
    assert found.claimed_wh.tolist() == [one[4] - rest for one, rest in zip(bundles, left, strict=True)]
    for s in range(SITES):
        for h in range(HOURS):
            claims = by_hand.get((s, h), [])
            assert found.matched_wh[s, h] == sum(wh for _, wh in claims)
            assert found.renewable_wh[s, h] == sum(wh for number, wh in claims if bundles[number][5] != 12_000)
            assert found.carbon_free_wh[s, h] == sum(wh for number, wh in claims if bundles[number][5] != 230_000)
            covered = sum(wh * J_PER_WH * bundles[number][5] for number, wh in claims)
            rest = int(found.residual_j[s, h]) * int(use.residual_mg_per_kwh[s])
            assert found.market_mg[s, h] == round_half_up(covered + rest, J_PER_KWH)
            assert found.location_mg[s, h] == round_half_up(int(use.used_j[s, h]) * 400_000, J_PER_KWH)


@given(one=st.integers(0, 10**18), other=st.integers(0, 10**18), first=st.sampled_from(Basis))
def test_bases_are_never_mixed(one, other, first) -> None:
    second = Basis.MARKET if first is Basis.LOCATION else Basis.LOCATION
    here, there = Emissions(first, one), Emissions(second, other)
    for mix in (
        lambda: here + there,
        lambda: here - there,
        lambda: here < there,
        lambda: here <= there,
        lambda: total(first, (here, there)),
        lambda: here + other,
    ):
        with pytest.raises(InvariantError):
            mix()
    same = Emissions(first, other)
    assert (here + same - same).mg == one
    assert (here < same, here <= same) == (one < other, one <= other)


def test_both_bases_stand_side_by_side() -> None:
    use = _use([J_PER_KWH] * 9, [0, 0, 0], [0, 0, 0])
    location, market = match(use, _cancelled([(0, 0, 0, 0, 1_000, 11_000)])).emissions()
    assert location == Emissions(Basis.LOCATION, 9 * 400_000)
    assert market == Emissions(Basis.MARKET, 3 * (500_000 + 700_000 + 900_000) - 500_000 + 11_000)


def test_shares_round_down_and_nothing_has_none() -> None:
    assert share_ppm(1, 3 * J_PER_WH) == 333_333
    assert share_ppm(5, 5 * J_PER_WH) == 1_000_000
    assert share_ppm(0, 0) == 0


@pytest.mark.parametrize("bundle", [(0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 1, 3_000_000), (0, 10_000, 0, 0, 1, 1)])
def test_figures_out_of_range_are_refused(bundle) -> None:
    with pytest.raises(InputError):
        match(_use([1] * 9, [0, 0, 0], [0, 0, 0]), _cancelled([bundle]))


def test_too_much_energy_is_refused() -> None:
    with pytest.raises(InputError):
        match(_use([3 * 10**12] * 9, [0, 0, 0], [0, 0, 0]), _cancelled([]))
