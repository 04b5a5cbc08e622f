"""A year of certificates matched with use by the hour: how long it takes, and whether every Wh is accounted for.

Sites in many markets, some with solar power of their own and some whose tenants bought wind, hydro or nuclear power by
the hour. Inputs are seeded and made week by week; only the matching is timed. What is conserved is counted from the
inputs and results by other code than matched them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration import calibrate, stay_on_one_core
from sunward.metering.matching import Cancelled, Matched, Use, match
from sunward.signals import markets
from sunward.units import J_PER_KWH, J_PER_WH

IntArray = NDArray[np.int64]
HOURS = 8_760
WEEK_H = 168
DAY_H = 24
MARKETS = 60
SITES_A_TENANT = 20
SOLAR_SHARE = 0.4
"""Of sites with panels."""
PEAK_WH_PER_KW = 2_000
"""Of a site's panels at noon under a clear sky, for each kW that the site uses in the mean."""
BOUGHT_SHARE = 0.7
"""Of the hours and markets of a tenant for which it cancelled certificates."""
SOURCES = ("wind", "hydro", "nuclear")


@dataclass(frozen=True, slots=True)
class Network:
    """What stays the same over the year."""

    market: IntArray
    tenant: IntArray
    mean_kw: NDArray[np.float64]
    panels: IntArray
    """Sites that have some."""


@dataclass(slots=True)
class Sums:
    """What came in and what came out, in Wh and J."""

    cpu_s: float = 0.0
    used_j: int = 0
    matched_wh: int = 0
    cancelled_wh: int = 0
    unclaimed_wh: int = 0
    bundles: int = 0
    error_wh: int = 0


def network(draw: np.random.Generator, sites: int) -> Network:
    """Sites of tenants in markets."""
    return Network(
        market=draw.integers(0, MARKETS, sites),
        tenant=np.arange(sites) // SITES_A_TENANT,
        mean_kw=draw.lognormal(3.0, 1.0, sites),
        panels=np.flatnonzero(draw.random(sites) < SOLAR_SHARE),
    )


def use_of(draw: np.random.Generator, made: Network, hours: int) -> Use:
    """What each site used in each hour, around its mean."""
    sites = len(made.market)
    used_kwh = made.mean_kw[:, None] * draw.uniform(0.3, 1.7, (sites, hours))
    return Use(
        used_j=(used_kwh * J_PER_KWH).astype(np.int64),
        market=made.market,
        tenant=made.tenant,
        location_mg_per_kwh=draw.integers(20_000, 800_000, (sites, hours)),
        residual_mg_per_kwh=draw.integers(490_000, 1_000_000, sites),
    )


def cancelled_of(draw: np.random.Generator, made: Network, first_hour: int, hours: int) -> Cancelled:
    """The week's certificates: the sun of each site, and what tenants bought by market and hour."""
    height = np.sin(((first_hour + np.arange(hours)) % DAY_H - 6) / 12 * np.pi).clip(0)
    sun_wh = (made.mean_kw[made.panels, None] * 2_000 * height * draw.uniform(0, 1, (len(made.panels), hours))).astype(
        int
    )
    panel, sunny = np.nonzero(sun_wh)
    pairs = np.unique(made.tenant * MARKETS + made.market)
    pair, hour = np.nonzero(draw.random((len(pairs), hours)) < BOUGHT_SHARE)
    bought_wh = draw.integers(1, 80_000, len(pair))
    kinds = [markets.energy_source(name) for name in SOURCES]
    kind = draw.integers(0, len(kinds), len(pair))
    solar, own = markets.energy_source("solar"), np.full(len(panel), True)
    site = made.panels[panel]
    return Cancelled(
        hour=np.concatenate([hour, sunny]),
        market=np.concatenate([pairs[pair] % MARKETS, made.market[site]]),
        tenant=np.concatenate([pairs[pair] // MARKETS, np.full(len(panel), -1)]),
        site=np.concatenate([np.zeros(len(pair), np.int64), site]),
        wh=np.concatenate([bought_wh, sun_wh[panel, sunny]]),
        mg_per_kwh=np.concatenate(
            [np.array([one.mg_per_kwh for one in kinds])[kind], np.full(len(panel), solar.mg_per_kwh)]
        ),
        renewable=np.concatenate([np.array([one.renewable for one in kinds])[kind], own]),
        carbon_free=np.concatenate([np.array([one.carbon_free for one in kinds])[kind], own]),
    )


def add(sums: Sums, use: Use, cancelled: Cancelled, found: Matched) -> None:
    """Count what a week came to, and every Wh that was made or lost on the way."""
    matched, claimed = int(found.matched_wh.sum()), int(found.claimed_wh.sum())
    unclaimed = cancelled.wh - found.claimed_wh
    lost_j = np.abs(use.used_j - found.residual_j - found.matched_wh * J_PER_WH).sum()
    per_hour = np.bincount(cancelled.hour, weights=found.claimed_wh, minlength=use.used_j.shape[1])
    moved = np.abs(per_hour - found.matched_wh.sum(axis=0)).sum()
    by_market = np.bincount(cancelled.market, weights=found.claimed_wh, minlength=MARKETS)
    sites = np.bincount(use.market, weights=found.matched_wh.sum(axis=1), minlength=MARKETS)
    negative = -int(np.minimum(unclaimed, 0).sum()) - int(np.minimum(found.residual_j, 0).sum())
    sums.error_wh += abs(matched - claimed) + int(-(-lost_j // J_PER_WH)) + int(moved)
    sums.error_wh += int(np.abs(by_market - sites).sum()) + negative
    sums.used_j += int(use.used_j.sum())
    sums.matched_wh += matched
    sums.cancelled_wh += int(cancelled.wh.sum())
    sums.unclaimed_wh += int(unclaimed.sum())
    sums.bundles += len(cancelled.wh)


def year(seed: int, sites: int, hours: int) -> Sums:
    """Match all hours, a week at a time."""
    draw = np.random.default_rng(seed)
    made, sums = network(draw, sites), Sums()
    for first in range(0, hours, WEEK_H):
        span = min(WEEK_H, hours - first)
        use, cancelled = use_of(draw, made, span), cancelled_of(draw, made, first, span)
        started = time.process_time()
        found = match(use, cancelled)
        sums.cpu_s += time.process_time() - started
        add(sums, use, cancelled, found)
        sys.stderr.write(f"hour {first + span} of {hours}: {sums.cpu_s:.1f} s, {sums.error_wh} Wh off\n")
    return sums


def main() -> None:
    """Match, and tell in one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=5_000)
    parser.add_argument("--hours", type=int, default=HOURS)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    stay_on_one_core()
    sums = year(chosen.seed, chosen.sites, chosen.hours)
    told = {
        "cpu_s": round(sums.cpu_s, 2),
        "sites": chosen.sites,
        "hours": chosen.hours,
        "conservation_error_wh": sums.error_wh,
        "bundles": sums.bundles,
        "used_gwh": round(sums.used_j / J_PER_WH / 1e9, 3),
        "matched_gwh": round(sums.matched_wh / 1e9, 3),
        "unclaimed_gwh": round(sums.unclaimed_wh / 1e9, 3),
    }
    sys.stdout.write(json.dumps(told | calibrate()) + "\n")


if __name__ == "__main__":
    main()
