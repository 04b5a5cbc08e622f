"""Rewards: no split of owners, stakes or sites raises a sum, no budget is exceeded, more green never brings less."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.settlement.bonus import Bonus, BonusTerms, Reference, ShownWork, SiteWork, bonuses, site_saving
from sunward.settlement.ceiling import rewards
from sunward.settlement.weights import (
    SiteGreen,
    SiteRecord,
    Staker,
    StakingTerms,
    site_green,
    staking_rewards,
)

FEW = settings(max_examples=40)
WEI = st.integers(0, 10**27)
PPM = st.integers(0, 10**6)
WH = st.integers(0, 10**12)
TERMS = st.builds(StakingTerms, budget_wei=WEI, green_ppm=PPM, stake_wei_per_wh=st.integers(0, 10**18))
SITES = st.lists(st.builds(SiteGreen, site=st.uuids().map(str), energy_wh=WH, q_ppm=PPM), max_size=4).map(tuple)
STAKERS = st.lists(
    st.builds(Staker, owner=st.sampled_from("abcdef"), stake_wei=WEI, sites=SITES),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one.owner,
)
JOULES = st.integers(0, 10**12)
REFERENCES = {
    "x": Reference(energy_mj=1_700, pue_ppm=1_230_000),
    "y": Reference(energy_mj=333, pue_ppm=1_000_001),
}
SHOWN = st.builds(
    lambda kind, units, it_j, over_j: ShownWork(work_class=kind, units=units, it_j=it_j, facility_j=it_j + over_j),
    kind=st.sampled_from("xy"),
    units=st.integers(0, 10**9),
    it_j=JOULES,
    over_j=JOULES,
)
WORKS = st.builds(
    SiteWork,
    owner=st.sampled_from("abc"),
    site=st.uuids().map(str),
    work=st.lists(SHOWN, max_size=3).map(tuple),
    energy_cap_ppm=PPM,
    overhead_cap_ppm=PPM,
)
NOTHING = StakingTerms(budget_wei=0, green_ppm=0, stake_wei_per_wh=0)
FEES = st.dictionaries(st.sampled_from("abcdef"), WEI)


@FEW
@given(TERMS, STAKERS)
def test_no_more_than_the_budget_is_paid_and_order_is_nothing(terms, stakers):
    found = staking_rewards(terms, stakers)
    assert sum(one.reward_wei for one in found) <= terms.budget_wei
    assert all(one.base_wei >= 0 and one.green_wei >= 0 and one.backed_wei <= one.stake_wei for one in found)
    assert staking_rewards(terms, reversed(stakers)) == found


@FEW
@given(TERMS, STAKERS, st.data())
def test_no_split_of_an_owner_raises_its_sum(terms, stakers, data):
    whole, others = stakers[0], stakers[1:]
    parts = data.draw(st.integers(2, 4))
    cuts = sorted(data.draw(st.integers(0, whole.stake_wei)) for _ in range(parts - 1))
    homes = [data.draw(st.integers(0, parts - 1)) for _ in whole.sites]
    split = [
        Staker(
            owner=f"{whole.owner}/{n}",
            stake_wei=high - low,
            sites=tuple(site for site, home in zip(whole.sites, homes, strict=True) if home == n),
        )
        for n, (low, high) in enumerate(zip([0, *cuts], [*cuts, whole.stake_wei], strict=True))
    ]
    before = paid(terms, stakers, whole.owner)
    after = paid(terms, [*split, *others], whole.owner)
    assert after <= before
    if not whole.sites:
        assert after >= before - 2 * parts


@FEW
@given(TERMS, STAKERS, st.data())
def test_an_exact_split_of_a_site_changes_nothing(terms, stakers, data):
    first, *others = stakers
    site = SiteGreen(site="whole", energy_wh=data.draw(WH), q_ppm=data.draw(PPM))
    cut = data.draw(st.integers(0, site.energy_wh))
    parts = (replace(site, site="1", energy_wh=cut), replace(site, site="2", energy_wh=site.energy_wh - cut))
    whole = [replace(first, sites=(site,)), *others]
    split = [replace(first, sites=parts), *others]
    assert staking_rewards(terms, whole) == staking_rewards(terms, split)


@FEW
@given(TERMS, WEI.filter(bool), st.integers(1, 10**9), st.integers(1, 1_000), PPM, st.data())
def test_colouring_the_halves_of_a_site_brings_nothing(terms, stake, energy, parts, load, data):
    # The same supply cancelled for one part or spread over both, parts of like load: caps are one, all is exact.
    leased = energy * load // 1_000_000
    record = SiteRecord(
        leased_wh=leased * parts,
        facility_wh=energy * parts,
        matched_wh=data.draw(st.integers(0, energy * parts)),
        leased_ms=1,
        present_ms=1,
        epochs_unmatched=0,
        energy_cap_ppm=1_000_000,
        renewables_cap_ppm=1_000_000,
    )
    ours = data.draw(st.integers(0, parts))
    green = data.draw(
        st.integers(max(0, record.matched_wh - energy * (parts - ours)), min(record.matched_wh, energy * ours))
    )
    halves = (
        replace(record, leased_wh=leased * ours, facility_wh=energy * ours, matched_wh=green),
        replace(
            record,
            leased_wh=leased * (parts - ours),
            facility_wh=energy * (parts - ours),
            matched_wh=record.matched_wh - green,
        ),
    )
    one = Staker(owner="a", stake_wei=stake, sites=(site_green("w", record, load_min_ppm=0),))
    two = Staker(
        owner="a",
        stake_wei=stake,
        sites=tuple(site_green(str(n), half, load_min_ppm=0) for n, half in enumerate(halves)),
    )
    whole_wh, split_wh = (sum(site.q_ppm * site.energy_wh for site in who.sites) for who in (one, two))
    # q is rounded down, by less than a millionth.
    assert split_wh <= whole_wh + record.leased_wh
    near = replace(one, sites=(replace(one.sites[0], q_ppm=min(10**6, one.sites[0].q_ppm + 1)),))
    assert paid(terms, [two], "a") <= paid(terms, [near], "a")


@FEW
@given(TERMS, STAKERS, PPM, FEES)
def test_more_green_never_brings_less(terms, stakers, more, fees):
    first = stakers[0]
    greener = replace(first, sites=tuple(replace(site, q_ppm=max(site.q_ppm, more)) for site in first.sites))
    before = rewards(staking_rewards(terms, stakers), [], fees, answer_ppm=10**6)
    after = rewards(staking_rewards(terms, [greener, *stakers[1:]]), [], fees, answer_ppm=10**6)
    for old, new in zip(before, after, strict=True):
        assert new.reward_wei >= old.reward_wei if new.owner == first.owner else new == old


@FEW
@given(st.lists(WORKS, max_size=6), WEI, st.integers(1, 10**12), FEES, PPM)
def test_bonuses_stay_within_budget_and_ceiling(works, budget, least, fees, answer):
    savings = [site_saving(one, REFERENCES) for one in works]
    found = bonuses(BonusTerms(budget_wei=budget, saved_min_j=least), savings)
    assert sum(one.bonus_wei for one in found) <= budget
    assert bonuses(BonusTerms(budget_wei=budget, saved_min_j=least), reversed(savings)) == found
    stakes = staking_rewards(NOTHING, [Staker(owner=one, stake_wei=10**12) for one in "abc"])
    given = rewards(stakes, found, fees, answer_ppm=answer)
    for one in (one for one in given if one.owner in {all_.owner for all_ in found}):
        assert 0 <= one.bonus_wei <= min(fees.get(one.owner, 0) // 4, answer * 10**6 // 2)
        assert one.bonus_wei + one.bonus_cut_wei == next(all_.bonus_wei for all_ in found if all_.owner == one.owner)


@FEW
@given(st.lists(WORKS, min_size=1, max_size=6), WEI, st.integers(1, 10**12), st.data())
def test_no_split_of_an_owner_raises_its_bonus(works, budget, least, data):
    savings = [site_saving(one, REFERENCES) for one in works]
    owner = savings[0].owner
    split = [
        replace(one, owner=f"{owner}/{data.draw(st.integers(0, 2))}") if one.owner == owner else one for one in savings
    ]
    terms = BonusTerms(budget_wei=budget, saved_min_j=least)
    assert earned(terms, split, owner) <= earned(terms, savings, owner)


@FEW
@given(WORKS, st.integers(2, 5), WEI, st.integers(1, 10**12))
def test_like_parts_of_a_site_count_no_more_than_the_whole(work, parts, budget, least):
    whole = replace(work, work=tuple(scaled(one, parts) for one in work.work))
    savings = [site_saving(replace(work, site=str(n)), REFERENCES) for n in range(parts)]
    terms = BonusTerms(budget_wei=budget, saved_min_j=least)
    assert earned(terms, savings, work.owner) <= earned(terms, [site_saving(whole, REFERENCES)], work.owner)


@FEW
@given(TERMS, STAKERS, FEES, WEI, PPM, st.data())
def test_no_split_passes_the_ceiling(terms, stakers, fees, bonus, answer, data):
    whole = stakers[0]
    cut, fee = data.draw(st.integers(0, whole.stake_wei)), fees.get(whole.owner, 0)
    ours, saved = data.draw(st.integers(0, fee)), data.draw(st.integers(0, bonus))
    names = (f"{whole.owner}/0", f"{whole.owner}/1")
    split = [
        Staker(owner=names[0], stake_wei=cut, sites=whole.sites),
        Staker(owner=names[1], stake_wei=whole.stake_wei - cut),
    ]
    shared = {**fees, names[0]: ours, names[1]: fee - ours}
    parts = [
        Bonus(owner=name, counted_j=1, bonus_wei=wei) for name, wei in zip(names, (saved, bonus - saved), strict=True)
    ]
    one = Bonus(owner=whole.owner, counted_j=1, bonus_wei=bonus)
    before = rewards(staking_rewards(terms, stakers), [one], fees, answer_ppm=answer)
    after = rewards(staking_rewards(terms, [*split, *stakers[1:]]), parts, shared, answer_ppm=answer)
    assert total(after, whole.owner) <= total(before, whole.owner)


def scaled(one, factor):
    return replace(one, units=one.units * factor, it_j=one.it_j * factor, facility_j=one.facility_j * factor)


def paid(terms, stakers, owner):
    return total(staking_rewards(terms, stakers), owner)


def total(rows, owner):
    return sum(one.reward_wei for one in rows if one.owner.split("/")[0] == owner)


def earned(terms, savings, owner):
    return sum(one.bonus_wei for one in bonuses(terms, savings) if one.owner.split("/")[0] == owner)
