"""Every lie of docs/threat-model.md, told to the product's own checks; none may pay, and honest sites hear no alarm.

Keys: attacks, profitable, detected, bounded, undetectable, false_alarms_per_site_year. `not_as_told` lists lies that
end otherwise than the threat model says. `false_alarms_upper_95` is what the years watched leave possible: at that rate
so few alarms are heard in one of twenty such runs.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections import Counter
from pathlib import Path

from benchmarks import _lies_machines, _lies_places, _lies_readings, _lies_records, _lies_supply
from benchmarks._honest import a_site, found_in, honest_year, signed, true_minutes
from benchmarks._lies import MY, Ends, Judged, judge, stake_days_needed
from benchmarks.calibration import calibrate

LIES = (*_lies_machines.LIES, *_lies_readings.LIES, *_lies_supply.LIES, *_lies_places.LIES, *_lies_records.LIES)
PAGE = Path(__file__).parent.parent / "docs" / "threat-model.md"
HONEST_MINUTES = 60
HOURS_EVERY = 20
TOLD_EVERY = 500
DOUBT = 0.05


def main() -> None:
    """Tell the lies, then watch honest sites."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plays", type=int, default=20, help="of each lie")
    parser.add_argument("--site-years", type=int, default=5_000, help="of honest sites, each year a site of its own")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    judged = []
    for lie in LIES:
        judged.append(judge(lie, MY, asked.plays, asked.seed))
        _tell(judged[-1])
    alarms = _alarms(asked.seed, asked.site_years)
    ends = Counter(one.ends for one in judged)
    print(
        json.dumps(
            {
                "attacks": len(judged),
                "profitable": sum(one.profitable for one in judged),
                **{str(one): ends[one] for one in Ends},
                "false_alarms_per_site_year": alarms / asked.site_years,
                "false_alarms_upper_95": round(upper_mean(alarms) / asked.site_years, 6),
                "honest_site_years": asked.site_years,
                "stake_days_needed": round(max(stake_days_needed(one, MY) for one in judged), 1),
                "not_as_told": [one.key for one in judged if not one.as_told],
                "not_played": sorted(threat_model().keys() - {one.key for one in judged}),
                **calibrate(),
            }
        )
    )


def threat_model() -> dict[str, str]:
    """How each attack of docs/threat-model.md is said to end."""
    rows = (line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `"))
    return {row[1].strip(" `"): row[-2].strip() for row in rows}


def upper_mean(events: int) -> float:
    """The mean of a Poisson number of which so few or fewer are drawn with a chance of one in twenty; 3.0 for none."""
    low, high = 0.0, 10.0 + 4.0 * events
    while high - low > 1e-9:
        mean = (low + high) / 2
        chance = sum(math.exp(-mean) * mean**number / math.factorial(number) for number in range(events + 1))
        low, high = (mean, high) if chance > DOUBT else (low, mean)
    return high


def _alarms(seed: int, years: int) -> int:
    """Alarms on honest sites: a year of each before the bounds, an hour of one in twenty before the whole chain."""
    alarms = 0
    for year in range(years):
        draw = random.Random(f"{seed} honest {year}")
        found = honest_year(draw)
        if year % HOURS_EVERY == 0:
            found += found_in(a_site(), signed(draw, true_minutes(draw, HONEST_MINUTES)))
        if year % TOLD_EVERY == 0:
            print(f"honest sites {year + 1} of {years}", file=sys.stderr)
        if found:
            print(f"false alarm in year {year}: {', '.join(found)}", file=sys.stderr)
        alarms += bool(found)
    return alarms


def _tell(one: Judged) -> None:
    by = ", ".join(one.by[:4])
    print(
        f"{one.key:26} {one.ends:13} found {one.found_share:4.0%}  gain {one.gain_usd:8.2f} USD a day,"
        f"  net {one.net_usd:12.2f}  {by}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
