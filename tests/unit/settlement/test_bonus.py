from dataclasses import replace

import pytest

from sunward.errors import InvariantError
from sunward.settlement.bonus import Bonus, BonusTerms, Reference, ShownWork, SiteSaving, SiteWork, bonuses, site_saving

REFERENCES = {"lm": Reference(energy_mj=2_000, pue_ppm=1_500_000)}
# 1,000 units at 2 J are 2,000 J of reference IT energy, 3,000 J at the reference's meter.
WORK = SiteWork(
    owner="a",
    site="s-1",
    work=(ShownWork(work_class="lm", units=1_000, it_j=1_600, facility_j=2_000),),
    energy_cap_ppm=500_000,
    overhead_cap_ppm=800_000,
)


def drew(it_j, facility_j, **caps):
    return replace(WORK, work=(replace(WORK.work[0], it_j=it_j, facility_j=facility_j),), **caps)


def test_saving_by_hand():
    # Overhead: 1,600 · 1.5 − 2,000 = 400. Computers: 3,000 − 2,400 = 600. Counted: 0.8 · 400 + 0.5 · 600.
    saving = site_saving(WORK, REFERENCES)
    assert saving == SiteSaving(owner="a", site="s-1", pue_part_j=400, it_part_j=600, counted_j=620)
    assert saving.saved_j == 1_000


def test_what_is_not_shown_costs_and_does_not_earn():
    # Computers draw 2,200: 300 J over; overhead 3,300 − 2,400 = 900 saved, none of it shown.
    saving = site_saving(drew(2_200, 2_400, overhead_cap_ppm=0), REFERENCES)
    assert (saving.pue_part_j, saving.it_part_j, saving.counted_j) == (900, -300, 0)
    assert site_saving(drew(2_200, 2_400), REFERENCES).counted_j == 720 - 300


def test_waste_is_never_owed():
    assert site_saving(drew(5_000, 9_000), REFERENCES).counted_j == 0


def test_work_without_a_reference_does_not_count():
    assert site_saving(WORK, {}) == SiteSaving(owner="a", site="s-1", pue_part_j=0, it_part_j=0, counted_j=0)


def test_parts_are_exact_and_the_whole_is_rounded_once():
    # Per site 3 units · 333 mJ · 1.1 = 1.0989 J allowed, 1 J · 1.1 at the reference's overhead; 1 J drawn.
    odd = {"lm": Reference(energy_mj=333, pue_ppm=1_100_000)}
    work = replace(
        WORK, work=(ShownWork(work_class="lm", units=30, it_j=10, facility_j=10),), overhead_cap_ppm=1_000_000
    )
    saving = site_saving(work, odd)
    # 1 J of overhead; computers 10.989 − 11 = −0.011 J: together 0.989.
    assert (saving.pue_part_j, saving.it_part_j, saving.counted_j) == (1, -1, 0)


def test_bonuses_by_hand():
    found = [
        SiteSaving(owner=owner, site=f"{owner}{n}", pue_part_j=0, it_part_j=0, counted_j=joules)
        for n, (owner, joules) in enumerate([("b", 100), ("a", 200), ("a", 33)])
    ]
    terms = BonusTerms(budget_wei=1_000, saved_min_j=100)
    assert bonuses(terms, found) == (
        Bonus(owner="a", counted_j=233, bonus_wei=699),
        Bonus(owner="b", counted_j=100, bonus_wei=300),
    )
    # Little saved in all earns its part of S_min, not the whole budget.
    assert [one.bonus_wei for one in bonuses(replace(terms, saved_min_j=3_330), found)] == [69, 30]


def test_impossible_figures_are_refused():
    with pytest.raises(InvariantError):
        site_saving(drew(2_000, 1_999), REFERENCES)
    with pytest.raises(InvariantError):
        bonuses(BonusTerms(budget_wei=1, saved_min_j=0), [])
