"""A year of rewards on real carbon data: whether any lie pays, and by how much green beats brown.

Zones and hours are those of the open data (Electricity Maps, ODbL; markets' prices): the shape of renewable supply,
prices and the carbon that the offset's share follows. An epoch is a day. Every amount comes out of the product's own
settlement: payment, offset share, green staking, efficiency bonus, ceiling. What is assumed of the world (stake,
visits, prices) stands in `_game_play.Rules` and docs/adr/0048-the-game.md.

Each lie is played in several sizes and with several stakes beside the same owner being honest: same machines, leases,
year and others. Its gain is the expectation over the day on which it is found, less the stake that the verdict takes. A
lie pays when its best size gains anything in any zone and seed. Keys: profitable_lies, green_over_brown.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks._game_lies import Outcome, Owner, attempts, margins, outcome
from benchmarks._game_page import render
from benchmarks._game_play import RULES, network
from benchmarks._game_reserve import reserve_outcomes
from benchmarks._game_world import load_year
from benchmarks.calibration import calibrate

ZONES = "DE,GB,US-TEX-ERCO"
PAYS_USD = 0.01
"""Below a cent a year it is rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One zone and seed, played through."""

    zone: str
    seed: int
    green_usd: float
    brown_usd: float
    outcomes: tuple[Outcome, ...]


def main() -> None:
    """Play every zone and seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="the first one (0)")
    parser.add_argument("--seeds", type=int, default=2, help="how many (2)")
    parser.add_argument("--year", type=int, default=2023)
    parser.add_argument("--zones", default=ZONES, help=f"of the detailed hourly table ({ZONES})")
    parser.add_argument("--page", type=Path, default=Path("out/game.html"))
    asked = parser.parse_args()
    worlds = [
        played(zone, asked.year, seed)
        for zone in asked.zones.split(",")
        for seed in range(asked.seed, asked.seed + asked.seeds)
    ]
    asked.page.parent.mkdir(parents=True, exist_ok=True)
    asked.page.write_text(
        render(asked.year, [(one.zone, one.green_usd, one.brown_usd) for one in worlds], best(worlds))
    )
    print(f"picture: {asked.page}", file=sys.stderr)
    print(json.dumps(summary(worlds, asked.year) | calibrate()))


def played(zone: str, year: int, seed: int) -> World:
    """All lies of one zone and seed, and honesty in both colours."""
    owner = Owner(network(load_year(zone, year), seed), seed)
    green, brown = margins(owner)
    found = [*(outcome(owner, attempt) for attempt in attempts(owner)), *reserve_outcomes(owner)]
    for one in found:
        print(
            f"{zone} {seed} {one.lie:20} {one.size:44} {one.gain_usd:12.2f} USD a year, unseen {one.unseen_usd:12.2f}",
            file=sys.stderr,
        )
    sums = {name: float(getattr(green, name).sum()) for name in ("pay", "base", "green", "bonus", "cost")}
    print(f"{zone} {seed} honest green {sums}", file=sys.stderr)
    return World(
        zone=zone,
        seed=seed,
        green_usd=float(green.margin.sum()),
        brown_usd=float(brown.margin.sum()),
        outcomes=tuple(found),
    )


def best(worlds: Sequence[World], *, within_error: bool = False) -> dict[str, Outcome]:
    """The best size of each lie, over all zones and seeds."""
    chosen: dict[str, Outcome] = {}
    for one in (one for world in worlds for one in world.outcomes if one.within_error == within_error):
        if one.lie not in chosen or one.gain_usd > chosen[one.lie].gain_usd:
            chosen[one.lie] = one
    return chosen


def slack(worlds: Sequence[World]) -> dict[str, float]:
    """By how much more rarely each lie could be found before a size of it pays; lies that never would are left out."""
    least: dict[str, float] = {}
    for one in (one for world in worlds for one in world.outcomes if not one.within_error and one.rarer < math.inf):
        least[one.lie] = min(one.rarer, least.get(one.lie, math.inf))
    return least


def summary(worlds: Sequence[World], year: int) -> dict[str, object]:
    """The last line."""
    lies = best(worlds)
    ratios = [world.green_usd / world.brown_usd for world in worlds]
    return {
        "profitable_lies": sum(one.gain_usd > PAYS_USD for one in lies.values()),
        "green_over_brown": round(float(np.mean(ratios)), 4),
        "green_over_brown_least": round(min(ratios), 4),
        "green_minus_brown_usd": round(float(np.mean([one.green_usd - one.brown_usd for one in worlds])), 2),
        "gain_usd_a_year": {name: round(one.gain_usd, 2) for name, one in sorted(lies.items())},
        "best_size": {name: one.size for name, one in sorted(lies.items())},
        "within_error_usd_a_year": {
            name: round(one.gain_usd, 2) for name, one in sorted(best(worlds, within_error=True).items())
        },
        "rarer_before_it_pays": {name: round(value, 2) for name, value in sorted(slack(worlds).items())},
        "honest_green_usd": round(float(np.mean([one.green_usd for one in worlds])), 2),
        "honest_brown_usd": round(float(np.mean([one.brown_usd for one in worlds])), 2),
        "year": year,
        "zones": sorted({one.zone for one in worlds}),
        "seeds": len({one.seed for one in worlds}),
        "stake_days": RULES.stake_days,
        "visit_days": RULES.visit_days,
    }


if __name__ == "__main__":
    main()
