"""Which pools a family of jobs may use at all, and what rules the others out.

As `placement.filter` for one job: these look at what exists, never at what is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.model.hardware import Admission
from sunward.placement.crowd.groups import Families, packed
from sunward.placement.filter import price_usd_micro
from sunward.placement.fleet import Fleet
from sunward.world.crowd import Crowd
from sunward.world.snapshot import BoolArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Named:
    """(S, P) for each set of words that jobs name, whether a pool is in it."""

    models: BoolArray
    countries: BoolArray
    admitted: BoolArray


def named_of(fleet: Fleet, crowd: Crowd) -> Named:
    """Look every set up once."""
    pools = fleet.pools
    any_tenant = np.array([rule == Admission.ANYONE for rule in pools.admission], dtype=np.bool_)
    sites = [fleet.sites[site] for site in pools.site.tolist()]
    return Named(
        models=_in_sets(pools.gpu_model, crowd.model_sets, empty=True),
        countries=_in_sets(pools.country, crowd.country_sets, empty=True),
        admitted=any_tenant | _in_sets(sites, crowd.provider_sets, empty=False),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checks:
    """Each constraint as a small table of its kinds (K, P), and the kind of each family (F,)."""

    tables: dict[str, tuple[BoolArray, IntArray]]
    """In the order of reasons."""

    def __call__(self, reason: str, family: int) -> BoolArray:
        """(P,) which pools pass."""
        table, kind = self.tables[reason]
        passed: BoolArray = table[kind[family]]
        return passed

    def met(self, *, but: str = "") -> BoolArray:
        """(F, P) pools that pass all of them, or all but one."""
        passed: BoolArray | None = None
        for reason, (table, kind) in self.tables.items():
            if reason == but:
                continue
            if passed is None:
                passed = table[kind]
            elif not table.all():
                passed &= table[kind]
        return np.ones((0, 0), dtype=np.bool_) if passed is None else passed


def checks_of(fleet: Fleet, named: Named, families: Families) -> Checks:
    """What families of jobs ask of pools, budgets included."""
    pools = fleet.pools
    gpus, gpus_kind = np.unique(families.gpus, return_inverse=True)
    memory, memory_kind = np.unique(families.memory_gib, return_inverse=True)
    paid, paid_kind = _paid(fleet, families)
    return Checks(
        tables={
            "gpus": (pools.count >= gpus[:, None], gpus_kind),
            "memory": (pools.memory_gib >= memory[:, None], memory_kind),
            "model": (named.models, families.models),
            "rate": (fleet.rate_ppm.T > 0, families.work_class),
            "country": (named.countries, families.countries),
            "admission": (named.admitted, families.providers),
            "budget": (paid, paid_kind),
        }
    )


SEARCHED = ("gpus", "rate", "budget")
"""What the search looks at itself."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoolSets:
    """Pools by what families ask of them apart from numbers, rates and budgets."""

    passes: BoolArray
    """(sets, P)."""
    row: IntArray
    """(F,) set of each family."""


def pool_sets(checks: Checks) -> PoolSets:
    """The sets that occur; there are far fewer of them than of families."""
    some = [of for reason, of in checks.tables.items() if reason not in SEARCHED]
    _, at, row = np.unique(packed([kind for _, kind in some]), return_index=True, return_inverse=True)
    return PoolSets(passes=np.logical_and.reduce([table[kind[at]] for table, kind in some]), row=row)


def _paid(fleet: Fleet, families: Families) -> tuple[BoolArray, IntArray]:
    """Which pools' asks the budgets pay, by class and budget."""
    kinds, at, kind = np.unique(
        np.stack([families.work_class.astype(np.float64), families.ask_most]),
        axis=1,
        return_index=True,
        return_inverse=True,
    )
    rates = np.maximum(fleet.rate_ppm.T[families.work_class[at]], 1)
    return fleet.ask_usd_micro * (units.PPM / rates) <= kinds[1][:, None], kind.reshape(-1)


def fits(fleet: Fleet, named: Named, crowd: Crowd, jobs: IntArray, pool: IntArray, run_ms: IntArray) -> BoolArray:
    """(N,) whether jobs may use given pools; all that does not change with time."""
    pools, gpus = fleet.pools, crowd.gpus[jobs]
    budget = crowd.budget_usd_micro[jobs]
    paid: BoolArray = (budget == 0) | (price_usd_micro(fleet.ask_usd_micro[pool], gpus, run_ms) <= budget)
    paid &= (pools.count[pool] >= gpus) & (pools.memory_gib[pool] >= crowd.memory_gib[jobs])
    paid &= named.models[crowd.models[jobs], pool] & (fleet.rate_ppm[pool, crowd.work_class[jobs]] > 0)
    return paid & named.countries[crowd.countries[jobs], pool] & named.admitted[crowd.providers[jobs], pool]


def by_country_alone(checks: Checks, allowed: BoolArray) -> BoolArray:
    """(F,) families whose countries rule out a pool that meets all else."""
    found: BoolArray = checks.met(but="country").sum(axis=1) > allowed.sum(axis=1)
    return found


def only_site(fleet: Fleet, allowed: BoolArray) -> BoolArray:
    """(F,) families all of whose pools are at one site, where there are others."""
    if len(fleet.sites) < 2 or not allowed.any():  # noqa: PLR2004
        return np.zeros(len(allowed), dtype=np.bool_)
    site = fleet.pools.site
    first = site[allowed.argmax(axis=1)]
    elsewhere: BoolArray = np.any(allowed & (site != first[:, None]), axis=1)
    single: BoolArray = np.any(allowed, axis=1)
    single &= ~elsewhere
    return single


def _in_sets(words: Sequence[str], sets: tuple[tuple[str, ...], ...], *, empty: bool) -> BoolArray:
    """(S, P) whether a pool's word is in a set; an empty set holds all words, or none."""
    kinds = sorted(set(words))
    known = {word: at for at, word in enumerate(kinds)}
    which = np.array([known[word] for word in words], dtype=np.int64)
    found = np.zeros((max(1, len(sets)), len(kinds)), dtype=np.bool_)
    for row, names in enumerate(sets):
        found[row] = empty and not names
        found[row, [known[name] for name in names if name in known]] = True
    return found[:, which]
