"""Which pools a family of jobs may use at all, and what rules the others out.

As `placement.filter` for one job: these look at what exists, never at what is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.model.hardware import Admission
from sunward.placement.crowd.groups import Families
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


def checks_of(fleet: Fleet, named: Named, families: Families) -> dict[str, BoolArray]:
    """Each constraint as (F, P), in the order of reasons."""
    pools, rates = fleet.pools, fleet.rate_ppm.T[families.work_class]
    hourly = fleet.ask_usd_micro * (units.PPM / np.maximum(rates, 1))
    return {
        "gpus": pools.count >= families.gpus[:, None],
        "memory": pools.memory_gib >= families.memory_gib[:, None],
        "model": named.models[families.models] & (rates > 0),
        "country": named.countries[families.countries],
        "admission": named.admitted[families.providers],
        "budget": hourly <= families.ask_most[:, None],
    }


def fits(fleet: Fleet, named: Named, crowd: Crowd, jobs: IntArray, pool: IntArray, run_ms: IntArray) -> BoolArray:
    """(N,) whether jobs may use given pools; all that does not change with time."""
    pools, gpus = fleet.pools, crowd.gpus[jobs]
    budget = crowd.budget_usd_micro[jobs]
    paid: BoolArray = (budget == 0) | (price_usd_micro(fleet.ask_usd_micro[pool], gpus, run_ms) <= budget)
    paid &= (pools.count[pool] >= gpus) & (pools.memory_gib[pool] >= crowd.memory_gib[jobs])
    paid &= named.models[crowd.models[jobs], pool] & (fleet.rate_ppm[pool, crowd.work_class[jobs]] > 0)
    return paid & named.countries[crowd.countries[jobs], pool] & named.admitted[crowd.providers[jobs], pool]


def eligible(checks: dict[str, BoolArray]) -> BoolArray:
    """(F, P) pools that meet them all."""
    met: BoolArray = np.logical_and.reduce(list(checks.values()))
    return met


def by_country_alone(checks: dict[str, BoolArray]) -> BoolArray:
    """(F,) families whose countries rule out a pool that meets all else."""
    others = np.logical_and.reduce([met for reason, met in checks.items() if reason != "country"])
    found: BoolArray = (others & ~checks["country"]).any(axis=1)
    return found


def only_site(fleet: Fleet, allowed: BoolArray) -> BoolArray:
    """(F,) families all of whose pools are at one site, where there are others."""
    if len(fleet.sites) < 2 or not allowed.any():  # noqa: PLR2004
        return np.zeros(len(allowed), dtype=np.bool_)
    site = fleet.pools.site
    least = np.where(allowed, site, len(fleet.sites)).min(axis=1)
    most = np.where(allowed, site, -1).max(axis=1)
    single: BoolArray = least == most
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
