import pytest

from sunward.errors import InvariantError
from sunward.settlement.bonus import Bonus
from sunward.settlement.ceiling import Reward, fees_by_owner
from sunward.settlement.ceiling import rewards as under_ceiling
from sunward.settlement.entries import Origin, Terms, refund_all, settle_job
from sunward.settlement.weights import StakingReward
from sunward.units import PPM

ORIGIN = Origin(sequence=1, first=0, epoch=1, at_ms=0)
TERMS = Terms(wei_per_usd_micro=1, offset_share_bps=0, provider_share_bps=8_000)


def stake(owner, base, green, stake_wei=10**6):
    return StakingReward(owner=owner, stake_wei=stake_wei, backed_wei=1, base_wei=base, green_wei=green)


def saving(owner, wei):
    return Bonus(owner=owner, counted_j=1, bonus_wei=wei)


def rewards(staking, found, fees, answer_ppm=PPM):
    return under_ceiling(staking, found, fees, answer_ppm=answer_ppm)


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


def test_the_bonus_leaves_half_of_the_ceiling_to_green():
    (brown,) = rewards([stake("a", 50, 0)], [saving("a", 40)], {"a": 60})
    (green,) = rewards([stake("a", 50, 12)], [saving("a", 40)], {"a": 60})
    assert (brown.green_wei, brown.bonus_wei, brown.bonus_cut_wei) == (0, 15, 25)
    assert (green.green_wei, green.bonus_wei) == (12, 15)


def test_stake_answers_for_what_is_linked_to_work():
    # A stake of 8,000 at 0.25 % answers for 20, whatever the fees.
    (one,) = rewards([stake("a", 50, 15, 8_000)], [saving("a", 40)], {"a": 1_000}, answer_ppm=2_500)
    assert (one.base_wei, one.green_wei, one.bonus_wei, one.green_cut_wei, one.bonus_cut_wei) == (50, 15, 5, 0, 35)
    (none,) = rewards([], [saving("a", 40)], {"a": 1_000})
    assert (none.reward_wei, none.bonus_cut_wei) == (0, 40)


def test_owners_with_only_one_of_both():
    found = rewards([stake("b", 1, 2), stake("a", 0, 0)], [saving("a", 3)], {"a": 100, "b": 100, "c": 100})
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
