"""The efficiency bonus: joules that shown work saved against published references, and what they earn.

Both parts are exact in nanojoules; an owner's figure is rounded down once, site by site. docs/settlement.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sunward.errors import InvariantError
from sunward.units import MILLIJOULE_PER_J, NANO, PPM


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a unit of a work class takes, published at least one epoch before it counts."""

    energy_mj: int
    """IT energy of a unit of reference work: e_ref."""
    pue_ppm: int
    """PUE_ref, 1,000,000 = 1.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownWork:
    """Work of one class at one site whose doing was shown, and the energy of the leases that did it."""

    work_class: str
    units: int
    it_j: int
    facility_j: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteWork:
    """One site's shown work of an epoch, and how well its figures are shown."""

    owner: str
    site: str
    work: tuple[ShownWork, ...]
    energy_cap_ppm: int
    overhead_cap_ppm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSaving:
    """What a site saved, and how much of it counts. The parts may be below zero; what counts is not."""

    owner: str
    site: str
    pue_part_j: int
    it_part_j: int
    counted_j: int

    @property
    def saved_j(self) -> int:
        """Both parts."""
        return self.pue_part_j + self.it_part_j


@dataclass(frozen=True, slots=True, kw_only=True)
class BonusTerms:
    """What an epoch pays for savings."""

    budget_wei: int
    """B: this epoch's share, and what earlier epochs did not spend."""
    saved_min_j: int
    """S_min: below so much saved in all, the budget is not paid in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bonus:
    """What one owner's savings earned, before the ceiling of what is linked to work."""

    owner: str
    counted_j: int
    bonus_wei: int


def site_saving(work: SiteWork, references: Mapping[str, Reference]) -> SiteSaving:
    """What a site saved against the references of its work; work of a class without one does not count.

    A part above zero counts times the cap of its dimension, a part below zero whole: what is not shown may cost and
    never earn. Raises: InvariantError on figures out of range.
    """
    pue_nj = it_nj = 0
    for one in work.work:
        reference = references.get(one.work_class)
        if reference is None:
            continue
        _check(work, one)
        allowed_nj = one.it_j * reference.pue_ppm * MILLIJOULE_PER_J
        pue_nj += allowed_nj - one.facility_j * NANO
        it_nj += one.units * reference.energy_mj * reference.pue_ppm - allowed_nj
    counted_nj = _capped(pue_nj, work.overhead_cap_ppm) + _capped(it_nj, work.energy_cap_ppm)
    pue_part_j = pue_nj // NANO
    return SiteSaving(
        owner=work.owner,
        site=work.site,
        pue_part_j=pue_part_j,
        it_part_j=(pue_nj + it_nj) // NANO - pue_part_j,
        counted_j=max(0, counted_nj) // NANO,
    )


def bonuses(terms: BonusTerms, savings: Iterable[SiteSaving]) -> tuple[Bonus, ...]:
    """Divide the budget by what counts; in order of owner. Together at most the budget; the rest rolls over.

    Raises: InvariantError when the least saving is not positive.
    """
    if terms.saved_min_j <= 0:
        raise InvariantError("the least saving must be positive, or one joule would earn the whole budget")
    counted: dict[str, int] = {}
    for one in savings:
        counted[one.owner] = counted.get(one.owner, 0) + one.counted_j
    whole = max(sum(counted.values()), terms.saved_min_j)
    return tuple(
        Bonus(owner=owner, counted_j=joules, bonus_wei=terms.budget_wei * joules // whole)
        for owner, joules in sorted(counted.items())
    )


def _capped(part_nj: int, cap_ppm: int) -> int:
    return part_nj * cap_ppm // PPM if part_nj > 0 else part_nj


def _check(work: SiteWork, one: ShownWork) -> None:
    caps = (work.energy_cap_ppm, work.overhead_cap_ppm)
    if min(one.units, one.it_j) < 0 or one.facility_j < one.it_j or not all(0 <= cap <= PPM for cap in caps):
        raise InvariantError(f"shown work of {work.site} is out of range")
