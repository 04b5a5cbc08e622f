"""A month's statement as one self-contained page for the screen and for A4 paper."""

from __future__ import annotations

from html import escape

from sunward.model.calendar import utc_text
from sunward.model.receipt import RESIDUAL_MISSING
from sunward.model.statement import CounterfactualSum, MonthStatement, SeriesNote, StatementLine, StatementTotals
from sunward.report import figures
from sunward.report.markup import Cell, bullets, number, pairs, section, table, text, wide
from sunward.report.style import CSS
from sunward.report.timeline import Translate
from sunward.units import BPS, HOUR_MS, ML_PER_L, PPM, round_half_up

PRINT_CSS = """
@page { size: A4 landscape; margin: 12mm; }
@media print { table { font-size:7.5pt; } th, td { padding:.15rem .3rem; } thead { display:table-header-group; }
  tr { break-inside:avoid; } section { break-inside:auto; } h2 { break-after:avoid; } }
"""
DAY_CHARS = len("2026-11-23")
MINUTE_CHARS = len("2026-11-23T08:30")


def render_month(statement: MonthStatement, lang: str, _: Translate) -> str:
    """The whole page; `_` turns the English texts of this module into the reader's language."""
    title = escape(_("Sunward: statement of {month}").format(month=statement.month))
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="{escape(lang)}">',
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{CSS}{PRINT_CSS}</style></head>",
            f"<body><header><h1>{title}</h1><p>{escape(_subtitle(statement, _))}</p></header><main>",
            _summary(statement.totals, _),
            _jobs(statement, _),
            _counterfactuals(statement.totals.counterfactuals, _),
            _series(statement.totals.series, _),
            _notes(statement, _),
            "</main><footer></footer></body></html>",
            "",
        ]
    )


def _subtitle(statement: MonthStatement, _: Translate) -> str:
    line = _("Account {tenant}. Jobs that ended from {start} until {end} (UTC, grid time); drawn up {at}.")
    return line.format(
        tenant=statement.tenant,
        start=utc_text(statement.start_ms)[:DAY_CHARS],
        end=utc_text(statement.end_ms)[:DAY_CHARS],
        at=_minute(statement.at_ms),
    )


def _summary(totals: StatementTotals, _: Translate) -> str:
    facts = (
        (_("Jobs"), str(totals.jobs)),
        (_("of them provisional"), str(totals.provisional)),
        (_("GPU hours"), f"{totals.gpu_ms / HOUR_MS:,.2f}"),
        (_("Energy at the devices"), f"{figures.kwh(totals.device_j)} kWh"),
        (_("Energy at the facility"), f"{figures.kwh(totals.facility_j)} kWh"),
        (_("Location-based, life-cycle"), f"{figures.grams(totals.location_mg)} gCO2e"),
        (_("Market-based"), f"{figures.grams(totals.market_mg)} gCO2e"),
        (_("Embodied"), f"{figures.grams(totals.embodied_mg)} gCO2e"),
        (_("Water"), f"{_litres(totals.water_ml)} l"),
        (_("Metered price"), f"{figures.usd(totals.price_usd_micro)} USD"),
        (_("Paid"), f"{figures.usd(totals.paid_usd_micro)} USD = {figures.ath(totals.paid_wei)} ATH"),
        (_("of it set aside for offsets"), _offset(totals)),
        (_("Promises kept"), f"{totals.promises_kept}/{totals.promises}"),
    )
    note = _("The two bases are two answers to one question; they are never added.")
    return section(_("Totals"), note, f"<dl>{pairs(facts)}</dl>")


def _offset(totals: StatementTotals) -> str:
    """The part of what was paid, and its share in percent."""
    bps = round_half_up(totals.offset_wei * BPS, totals.paid_wei) if totals.paid_wei else 0
    return f"{figures.ath(totals.offset_wei)} ATH ({bps / BPS:.2%})"


def _jobs(statement: MonthStatement, _: Translate) -> str:
    heads = (
        text(_("Job")),
        text(_("Ended")),
        text(_("State")),
        wide(_("Where")),
        number(_("kWh, devices")),
        number(_("kWh, facility")),
        number(_("gCO2e, location")),
        number(_("gCO2e, market")),
        number(_("gCO2e, embodied")),
        number(_("Litres")),
        number(_("Price, USD")),
        number(_("Paid, ATH")),
        text(_("Promise")),
        text(_("Receipt")),
    )
    totals = statement.totals
    foot = (
        text(_("Total")),
        *(text(""),) * 3,
        *_amounts(totals),
        number(figures.usd(totals.price_usd_micro)),
        number(figures.ath(totals.paid_wei)),
        *(text(""),) * 2,
    )
    rows = [_job(line, _) for line in statement.lines]
    return section(_("Jobs"), "", table(heads, rows, foot))


def _job(line: StatementLine, _: Translate) -> tuple[Cell, ...]:
    where = ", ".join(line.zones)
    sites = ", ".join(line.sites)
    return (
        text(line.name or line.job),
        text(_minute(line.finished_ms)),
        text(_(line.state)),
        wide(f"{sites} ({where})" if sites else "–"),
        *_amounts(line),
        number(figures.usd(line.price_usd_micro)),
        number(figures.ath(line.paid_wei)),
        _promise(line, _),
        text(line.receipt[:12] if line.final else _("provisional")),
    )


def _amounts(of: StatementLine | StatementTotals) -> tuple[Cell, ...]:
    return (
        number(figures.kwh(of.device_j)),
        number(figures.kwh(of.facility_j)),
        number(figures.grams(of.location_mg)),
        number(figures.grams(of.market_mg)),
        number(figures.grams(of.embodied_mg)),
        number(_litres(of.water_ml)),
    )


def _promise(line: StatementLine, _: Translate) -> Cell:
    if not line.promises:
        return text("–")
    kept = all(promise.kept for promise in line.promises)
    return ("ok", escape(_("kept"))) if kept else ("no", escape(_("broken")))


def _counterfactuals(sums: tuple[CounterfactualSum, ...], _: Translate) -> str:
    if not sums:
        return ""
    heads = (
        text(_("Rule")),
        number(_("Jobs")),
        number(_("gCO2e under the rule")),
        number(_("gCO2e of these jobs")),
        number(_("Change")),
    )
    rows = [
        (
            text(one.name),
            number(str(one.jobs)),
            number(figures.grams(one.carbon_mg)),
            number(figures.grams(one.location_mg)),
            number(_change(one)),
        )
        for one in sums
    ]
    note = _("What location-based emissions would have been by a rule that was fixed before the jobs ran.")
    return section(_("Counterfactuals, each by its name"), note, table(heads, rows))


def _change(one: CounterfactualSum) -> str:
    return figures.change((one.location_mg - one.carbon_mg) * PPM // one.carbon_mg) if one.carbon_mg else "–"


def _series(notes: tuple[SeriesNote, ...], _: Translate) -> str:
    if not notes:
        return ""
    heads = (text(_("Zone")), text(_("Source of the intensity")), text(_("Quality")), number(_("kWh, facility")))
    rows = [
        (text(one.zone), wide(one.source), text(_(one.quality.value)), number(figures.kwh(one.facility_j)))
        for one in notes
    ]
    return section(_("Carbon series"), "", table(heads, rows))


def _notes(statement: MonthStatement, _: Translate) -> str:
    notes = [
        _("ATH is a test token without value. The price is metered; what is paid is at most the escrow."),
        _("Offsets reduce none of the emissions shown here."),
    ]
    if any(line.market_basis == RESIDUAL_MISSING for line in statement.lines):
        notes.append(
            _("Market-based: no certificates and no residual mix are known; the zone's fossil factor stands in.")
        )
    if statement.totals.provisional:
        notes.append(_("Provisional lines may still change: their epoch has not closed."))
    if statement.pending:
        line = _("Not on this statement yet, because their readings are not all in: {jobs}.")
        notes.append(line.format(jobs=", ".join(statement.pending)))
    return section(_("Notes"), "", bullets(notes))


def _minute(at_ms: int) -> str:
    return utc_text(at_ms)[:MINUTE_CHARS].replace("T", " ")


def _litres(amount_ml: int) -> str:
    return f"{amount_ml / ML_PER_L:,.2f}"
