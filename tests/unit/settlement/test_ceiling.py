import pytest

from sunward.errors import InvariantError
from sunward.settlement.bonus import Bonus
from sunward.settlement.ceiling import Reward, fees_by_owner, rewards
from sunward.settlement.entries import Origin, Terms, refund_all, settle_job
from sunward.settlement.weights import StakingReward

ORIGIN = Origin(sequence=1, first=0, epoch=1, at_ms=0)
TERMS = Terms(wei_per_usd_micro=1, offset_share_bps=0, provider_share_bps=8_000)


def stake(owner, base, green):
    return StakingReward(owner=owner, stake_wei=1, backed_wei=1, base_wei=base, green_wei=green)


def saving(owner, wei):
    return Bonus(owner=owner, counted_j=1, bonus_wei=wei)


def test_bonus_gives_way_first_then_green_and_base_never():
    found = rewards([stake("a", 50, 30)], [saving("a", 40)], {"a": 100})
    assert found == (
        Reward(owner="a", base_wei=50, green_wei=30, bonus_wei=20, fees_wei=100, green_cut_wei=0, bonus_cut_wei=20),
    )
    assert (found[0].staking_wei, found[0].reward_wei) == (80, 100)
    (poor,) = rewards([stake("a", 50, 30)], [saving("a", 40)], {"a": 41})
    assert (poor.base_wei, poor.green_wei, poor.bonus_wei) == (50, 20, 0)
    (none,) = rewards([stake("a", 50, 30)], [saving("a", 40)], {})
    assert (none.reward_wei, none.green_cut_wei, none.bonus_cut_wei) == (50, 30, 40)


def test_owners_with_only_one_of_both():
    found = rewards([stake("b", 1, 2)], [saving("a", 3)], {"a": 100, "b": 100, "c": 100})
    assert [(one.owner, one.reward_wei) for one in found] == [("a", 3), ("b", 3)]


def test_fees_follow_the_owners_parts_of_each_job():
    # 1,000 paid: 800 to the providers, 200 fees; of the first job a quarter to a. Of 5: 4 and 1 fee, nobody's half wei.
    shared = settle_job(ORIGIN, TERMS, job="j", tenant="t", escrow_wei=1_000, prices_usd_micro={"a": 300, "b": 900})
    small = settle_job(ORIGIN, TERMS, job="k", tenant="t", escrow_wei=5, prices_usd_micro={"a": 5, "b": 5})
    none = refund_all(ORIGIN, job="l", tenant="t", escrow_wei=7)
    assert fees_by_owner([shared, small, none]) == {"a": 50, "b": 150}


def test_nobody_is_rewarded_twice():
    with pytest.raises(InvariantError):
        rewards([stake("a", 1, 1), stake("a", 1, 1)], [], {})
    with pytest.raises(InvariantError):
        rewards([], [saving("a", 1), saving("a", 1)], {})
