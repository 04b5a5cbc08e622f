"""A month's statement as CSV (RFC 4180): one header line, one line a job; docs/statement.md names the columns.

Figures keep every digit that is recorded, but for kWh, whose nine decimals still tell joules apart.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from sunward.model.calendar import utc_text
from sunward.model.receipt import Counterfactual
from sunward.model.statement import MonthStatement, StatementLine
from sunward.units import J_PER_KWH, MG_PER_G, MICRO, ML_PER_L, NANO, PPM, SECOND_MS, WEI_PER_ATH, round_half_up

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet reads as the start of a formula, or skips before one."""
COUNTERFACTUALS = ("run-now-origin", "run-now-mean-site")


def statement_csv(statement: MonthStatement) -> str:
    """The whole file, to be written as UTF-8 without change of line ends."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for line in statement.lines:
        writer.writerow([write(line) for write in COLUMNS.values()])
    return target.getvalue()


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe stands before one that could be."""
    return f"'{text}" if text.startswith(FORMULA) else text


def decimal(amount: int, scale: int) -> str:
    """An integer count of `1 / scale`, `scale` a power of ten, as exact decimal text."""
    whole, rest = divmod(abs(amount), scale)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:0{len(str(scale)) - 1}d}"


def kwh(energy_j: int) -> str:
    """Energy in kWh to nine decimals, rounded half up."""
    return decimal(round_half_up(energy_j * NANO, J_PER_KWH), NANO)


def _counterfactual(name: str, show: Callable[[Counterfactual], str]) -> Callable[[StatementLine], str]:
    """A figure of one counterfactual; empty for a job that has none."""
    return lambda line: next((show(one) for one in line.counterfactuals if one.name.partition("/")[0] == name), "")


def _kept(line: StatementLine) -> str:
    if not line.promises:
        return ""
    return "yes" if all(promise.kept for promise in line.promises) else "no"


COLUMNS: dict[str, Callable[[StatementLine], str]] = {
    "job": lambda line: safe(line.job),
    "name": lambda line: safe(line.name),
    "state": lambda line: line.state,
    "standing": lambda line: "final" if line.final else "provisional",
    "epoch": lambda line: str(line.epoch),
    "receipt_sha256": lambda line: line.receipt,
    "submitted_utc": lambda line: utc_text(line.submitted_ms),
    "ended_utc": lambda line: utc_text(line.finished_ms),
    "sites": lambda line: safe(" ".join(line.sites)),
    "zones": lambda line: safe(" ".join(line.zones)),
    "gpu_seconds": lambda line: decimal(line.gpu_ms, SECOND_MS),
    "device_kwh": lambda line: kwh(line.device_j),
    "facility_kwh": lambda line: kwh(line.facility_j),
    "location_based_gco2e": lambda line: decimal(line.location_mg, MG_PER_G),
    "market_based_gco2e": lambda line: decimal(line.market_mg, MG_PER_G),
    "market_basis": lambda line: safe(line.market_basis),
    "embodied_gco2e": lambda line: decimal(line.embodied_mg, MG_PER_G),
    "water_l": lambda line: decimal(line.water_ml, ML_PER_L),
    "price_usd": lambda line: decimal(line.price_usd_micro, MICRO),
    "paid_usd": lambda line: decimal(line.paid_usd_micro, MICRO),
    "paid_ath": lambda line: decimal(line.paid_wei, WEI_PER_ATH),
    "offset_ath": lambda line: decimal(line.offset_wei, WEI_PER_ATH),
    "run_now_origin_gco2e": _counterfactual(COUNTERFACTUALS[0], lambda one: decimal(one.carbon_mg, MG_PER_G)),
    "run_now_origin_change": _counterfactual(COUNTERFACTUALS[0], lambda one: decimal(one.change_ppm, PPM)),
    "run_now_mean_site_gco2e": _counterfactual(COUNTERFACTUALS[1], lambda one: decimal(one.carbon_mg, MG_PER_G)),
    "run_now_mean_site_change": _counterfactual(COUNTERFACTUALS[1], lambda one: decimal(one.change_ppm, PPM)),
    "promise_kept": _kept,
    "energy_quality": lambda line: line.energy_quality.value,
    "metered": lambda line: decimal(line.metered_ppm, PPM),
    "carbon_series": lambda line: safe("; ".join(f"{one.zone}: {one.source} ({one.quality})" for one in line.series)),
    "matched_kwh": lambda line: kwh(line.matched_j),
    "renewable_kwh": lambda line: kwh(line.renewable_j),
    "carbon_free_kwh": lambda line: kwh(line.carbon_free_j),
}
"""What each column holds, in order; a column once named keeps its meaning, new ones come last."""
