"""The report as one self-contained page: no script, no network, nothing beside the file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sunward.model.credits import EpochOffset, coverage_percent
from sunward.report import figures
from sunward.report.markup import Cell, bullets, number, pairs, section, table, text, wide
from sunward.report.page import CheckRow, EpochRow, JobRow, ReceiptRow, ReportData, SiteRow
from sunward.report.style import CSS
from sunward.report.timeline import Translate, legend, timeline
from sunward.units import J_PER_WH, MG_PER_G


def render_report(data: ReportData, translate: Translate) -> str:
    """The whole page; `translate` turns the English texts of this package into the reader's language.

    Values in `data` are shown as they are and escaped; they are never read as markup.
    """
    title = escape(translate("Sunward: AI jobs run where power is clean, with a receipt."))
    sections = (
        _truth(data, translate),
        _sites(data.sites, translate),
        _timeline(data, translate),
        _decisions(data.jobs, translate),
        _receipts(data.receipts, translate),
        *(_epoch(row, translate) for row in data.epochs),
        _ledger(data, translate),
        _checks(data, translate),
    )
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="{escape(data.lang)}">',
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{CSS}</style></head>",
            f"<body><header><h1>{title}</h1><p>{escape(data.subtitle)}</p></header><main>",
            *sections,
            "</main>",
            _footer(data, translate),
            "</body></html>",
            "",
        ]
    )


def _truth(data: ReportData, translate: Translate) -> str:
    real, modelled = escape(translate("What is real")), escape(translate("What is modelled"))
    return (
        f'<div class="truth"><div><h2>{real}</h2>{bullets(data.real)}</div>'
        f"<div><h2>{modelled}</h2>{bullets(data.modelled)}</div></div>"
    )


def _sites(sites: Sequence[SiteRow], translate: Translate) -> str:
    heads = (
        text(translate("Site")),
        text(translate("Zone")),
        text(translate("GPUs")),
        number(translate("gCO2e/kWh, mean")),
        number(translate("Overhead")),
        text(translate("State")),
        text(translate("Source of the intensity")),
    )
    rows = [
        (
            text(site.site),
            text(site.zone),
            text(site.gpus),
            number(_mean_g(site.carbon_mg_per_kwh)),
            number(figures.ratio(site.overhead_ppm)),
            text(site.state),
            wide(f"{site.carbon_source} ({translate(site.carbon_quality)})"),
        )
        for site in sites
    ]
    return section(translate("Sites"), "", table(heads, rows))


def _timeline(data: ReportData, translate: Translate) -> str:
    note = translate("Times are UTC. Strips show the average, life-cycle carbon intensity of each site's grid.")
    picture = f'<div class="scroll">{timeline(data, translate)}{legend(data, translate)}</div>'
    return section(translate("What ran where and when"), note, picture)


def _decisions(jobs: Sequence[JobRow], translate: Translate) -> str:
    heads = (
        text(translate("Job")),
        text(translate("Asked")),
        text(translate("Decided")),
        text(translate("Why")),
    )
    rows = [(text(job.label), text(job.asked), text(job.decided), wide(job.why)) for job in jobs]
    return section(translate("Decisions"), "", table(heads, rows))


def _receipts(receipts: Sequence[ReceiptRow], translate: Translate) -> str:
    heads = (
        text(translate("Job")),
        text(translate("Where")),
        number(translate("kWh")),
        number(translate("gCO2e")),
        number(translate("gCO2e, run now*")),
        number(translate("Change")),
        number(translate("Embodied gCO2e")),
        text(translate("Promises kept")),
        number(translate("Price, USD")),
        text(translate("Status")),
    )
    note = translate(
        "kWh at the facility; gCO2e location-based, life-cycle. Embodied carbon stands apart and is in neither figure."
    )
    rules = ", ".join(sorted({row.counterfactual for row in receipts}))
    star = f"<p>* {escape(translate('Counterfactual:'))} <code>{escape(rules)}</code></p>" if rules else ""
    body = table(heads, [_receipt(row, translate) for row in receipts])
    return section(translate("Receipts"), note, body + star)


def _receipt(row: ReceiptRow, translate: Translate) -> tuple[Cell, ...]:
    style = "n less" if row.change_ppm < 0 else "n more" if row.change_ppm > 0 else "n"
    return (
        text(row.label),
        text(row.where),
        number(figures.kwh(row.facility_j)),
        number(figures.grams(row.location_mg)),
        number(figures.grams(row.counterfactual_mg)),
        (style, escape(figures.change(row.change_ppm))),
        number(figures.grams(row.embodied_mg)),
        ("ok" if row.promises_kept == row.promises else "no", f"{row.promises_kept}/{row.promises}"),
        number(figures.usd(row.price_usd_micro)),
        text(translate("final") if row.final else translate("provisional")),
    )


def _epoch(row: EpochRow, translate: Translate) -> str:
    facts = (
        (translate("Paid"), f"{figures.usd(row.paid_usd_micro)} USD = {figures.ath(row.paid_wei)} ATH"),
        (translate("To providers"), f"{figures.ath(row.provider_wei)} ATH"),
        (translate("To the network"), f"{figures.ath(row.network_wei)} ATH"),
        (translate("Set aside for credits"), f"{figures.ath(row.offset_wei)} ATH"),
        (translate("Refunded"), f"{figures.ath(row.refunded_wei)} ATH"),
        (translate("Energy of jobs"), f"{figures.kwh(row.facility_j)} kWh"),
        (translate("Idle energy, the providers' own"), f"{figures.kwh(row.idle_j)} kWh"),
        (translate("Location-based, life-cycle"), f"{figures.grams(row.location_mg)} gCO2e"),
        (translate("Market-based, residual missing"), f"{figures.grams(row.market_mg)} gCO2e"),
        (translate("Embodied"), f"{figures.grams(row.embodied_mg)} gCO2e"),
    )
    retired = _retired(row.offset, translate) if row.offset is not None else ()
    root = f"<dt>{escape(translate('Root of the receipts'))}</dt><dd><code>{escape(row.receipts_root)}</code></dd>"
    note = translate("The two bases are two answers to one question; they are never added.")
    if row.offset is not None:
        covered = translate("Retired credits cover {percent} % of measured residual.")
        note += " " + covered.format(percent=coverage_percent(row.offset.coverage_ppm))
    return section(f"{translate('Epoch')} {row.epoch}", note, f"<dl>{pairs((*facts, *retired))}{root}</dl>")


def _retired(told: EpochOffset, translate: Translate) -> tuple[tuple[str, str], ...]:
    return (
        (translate("Matched by certificates"), f"{figures.kwh(told.matched_wh * J_PER_WH)} kWh"),
        (translate("Residual"), f"{figures.grams(told.residual_mg)} gCO2e"),
        (translate("Retired credits"), f"{told.retired_kg} kg"),
        (translate("Test credits, counted 0"), f"{told.test_kg} kg"),
    )


def _ledger(data: ReportData, translate: Translate) -> str:
    heads = (text(translate("Account")), number("ATH"))
    rows = [(text(row.account), number(figures.ath(row.amount_wei))) for row in data.accounts]
    balance = sum(row.amount_wei for row in data.accounts)
    foot = (text(translate("Balance")), number(str(balance) if balance == 0 else figures.ath(balance)))
    note = translate("Test ATH without value. Every entry has two sides, so all accounts together are zero.")
    return section(translate("Ledger"), note, table(heads, rows, foot))


def _checks(data: ReportData, translate: Translate) -> str:
    heads = (text(translate("Check")), text(translate("Result")), text(translate("Detail")))
    rows = [(text(row.check), _result(row, translate), wide(row.detail)) for row in data.checks]
    head = (
        (translate("Journal"), f"{data.journal_sequence} {translate('events')}"),
        (translate("Head"), data.journal_hash),
    )
    body = f"<dl>{pairs(head)}</dl>{table(heads, rows)}"
    return section(translate("Verification"), "", body)


def _result(row: CheckRow, translate: Translate) -> Cell:
    return ("ok", escape(translate("passed"))) if row.passed else ("no", escape(translate("failed")))


def _footer(data: ReportData, translate: Translate) -> str:
    if not data.not_proved:
        return "<footer></footer>"
    return f"<footer><strong>{escape(translate('Not proved'))}</strong>{bullets(data.not_proved)}</footer>"


def _mean_g(series_mg: Sequence[int]) -> str:
    return f"{sum(series_mg) / len(series_mg) / MG_PER_G:.0f}" if series_mg else "–"
