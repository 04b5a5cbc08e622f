"""From a fuel mix to an average life-cycle intensity, by published factors; an estimate, and labelled so."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources

FACTORS = "IPCC AR5 median life-cycle factors"


@cache
def factors() -> Mapping[str, float]:
    """gCO2e/kWh by fuel; `data/factors.csv` names each figure's source."""
    file = resources.files("sunward.adapters.feeds").joinpath("data/factors.csv")
    with file.open(encoding="utf-8") as rows:
        return {row["fuel"]: float(row["gco2e_per_kwh"]) for row in csv.DictReader(rows)}


def lifecycle_g_per_kwh(amounts: Mapping[str, float]) -> float | None:
    """The mean factor of amounts by fuel; a fuel without a factor counts as `other`, and nothing generated has none."""
    total = sum(amount for amount in amounts.values() if amount > 0)
    if total <= 0:
        return None
    known = factors()
    weighted = sum(amount * known.get(fuel, known["other"]) for fuel, amount in amounts.items() if amount > 0)
    return weighted / total
