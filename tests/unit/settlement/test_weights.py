from dataclasses import replace

import pytest

from sunward.errors import InvariantError
from sunward.settlement.weights import (
    SiteGreen,
    SiteRecord,
    Staker,
    StakingReward,
    StakingTerms,
    site_green,
    staking_rewards,
)

TERMS = StakingTerms(budget_wei=1_000, green_ppm=400_000, stake_wei_per_wh=10)
RECORD = SiteRecord(
    leased_wh=600,
    facility_wh=1_000,
    matched_wh=500,
    leased_ms=60,
    present_ms=100,
    epochs_unmatched=0,
    energy_cap_ppm=500_000,
    renewables_cap_ppm=800_000,
)


def staker(owner, stake, *sites):
    return Staker(
        owner=owner,
        stake_wei=stake,
        sites=tuple(SiteGreen(site=f"{owner}.{n}", energy_wh=wh, q_ppm=q) for n, (wh, q) in enumerate(sites)),
    )


def test_rewards_by_hand():
    # Green energy of a: 20 Wh at 1 and 40 Wh at a half = 40 Wh, which back 400 wei of its 600; b has 400 and nothing.
    # Base: 1,000 · 0.6 · 600/1,000 = 360 and 240. Green: 1,000 · 0.4 · 400/1,000 = 160.
    assert staking_rewards(TERMS, [staker("b", 400), staker("a", 600, (20, 1_000_000), (40, 500_000))]) == (
        StakingReward(owner="a", stake_wei=600, backed_wei=400, base_wei=360, green_wei=160),
        StakingReward(owner="b", stake_wei=400, backed_wei=0, base_wei=240, green_wei=0),
    )


def test_energy_beyond_the_stake_backs_no_more():
    (one,) = staking_rewards(TERMS, [staker("a", 600, (10**9, 1_000_000))])
    assert (one.backed_wei, one.base_wei, one.green_wei, one.reward_wei) == (600, 600, 400, 1_000)


def test_reward_is_rounded_once_and_base_never_hides_green():
    # 1,000 · (0.6 · 1 + 0.4 · 1/3)/7 = 104.76, of which base 85.71.
    terms = replace(TERMS, stake_wei_per_wh=1)
    first, _ = staking_rewards(terms, [staker("a", 1, (1, 333_333)), staker("b", 6)])
    assert (first.base_wei, first.green_wei, first.backed_wei) == (85, 19, 0)


def test_nobody_is_paid_without_stake():
    assert staking_rewards(TERMS, [staker("a", 0, (100, 1_000_000))]) == (
        StakingReward(owner="a", stake_wei=0, backed_wei=0, base_wei=0, green_wei=0),
    )
    assert staking_rewards(TERMS, []) == ()


def test_green_of_one_costs_others_nothing():
    brown = staking_rewards(TERMS, [staker("a", 500), staker("b", 500)])
    mixed = staking_rewards(TERMS, [staker("a", 500, (10**9, 1_000_000)), staker("b", 500)])
    assert mixed[1] == brown[1]
    assert mixed[0].base_wei == brown[0].base_wei


@pytest.mark.parametrize(
    "found", [[staker("a", 1), staker("a", 1)], [staker("a", -1)], [staker("a", 1, (1, 1_000_001))]]
)
def test_impossible_stakes_are_refused(found):
    with pytest.raises(InvariantError):
        staking_rewards(TERMS, found)


def test_site_by_hand():
    # E = 600 · 0.5; q = 500/1,000 · 0.8.
    assert site_green("s-1", RECORD, load_min_ppm=600_000) == SiteGreen(site="s-1", energy_wh=300, q_ppm=400_000)


def test_q_ends_below_the_least_load_and_when_its_last_hour_is_old():
    assert site_green("s-1", RECORD, load_min_ppm=600_001).q_ppm == 0
    assert site_green("s-1", replace(RECORD, epochs_unmatched=2), load_min_ppm=0).q_ppm == 400_000
    assert site_green("s-1", replace(RECORD, epochs_unmatched=3), load_min_ppm=0).q_ppm == 0
    nothing = replace(RECORD, leased_wh=0, facility_wh=0, matched_wh=0, leased_ms=0, present_ms=0)
    assert site_green("s-1", nothing, load_min_ppm=0) == SiteGreen(site="s-1", energy_wh=0, q_ppm=0)


@pytest.mark.parametrize(
    "change", [{"leased_wh": 1_001}, {"matched_wh": 1_001}, {"leased_ms": 101}, {"energy_cap_ppm": -1}]
)
def test_impossible_sites_are_refused(change):
    with pytest.raises(InvariantError):
        site_green("s-1", replace(RECORD, **change), load_min_ppm=0)
