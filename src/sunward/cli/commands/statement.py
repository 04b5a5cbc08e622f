"""`sunward statement`: what a month used, caused and cost."""

from __future__ import annotations

from pathlib import Path

import click

from sunward.cli import show
from sunward.cli.reasons import COUNTERFACTUALS, STATES, word
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _, language, ngettext
from sunward.model.statement import MonthStatement, StatementLine, StatementTotals
from sunward.report.monthly_csv import statement_csv
from sunward.report.monthly_html import render_month
from sunward.units import PPM


@command()
@option(
    "--month", required=True, metavar="YYYY-MM", help="The calendar month (UTC, grid time) in which the jobs ended."
)
@option("--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), help="Write CSV; docs/statement.md.")
@option("--html", "html_file", type=click.Path(path_type=Path, dir_okay=False), help="Write a page to print.")
@option("--tenant", default="", help="Whose statement; for operators.")
@pass_shell
def statement(shell: Shell, month: str, csv_file: Path | None, html_file: Path | None, tenant: str) -> None:
    """Show the jobs that ended in a month: energy, carbon by both methods, water, cost, promises.

    Lines are provisional until their epoch closes. With --csv or --html it is written to that file instead.
    """
    with shell.client("operator" if tenant else "tenant") as client:
        found = client.statement(month, tenant)
    if csv_file is not None:
        csv_file.write_text(statement_csv(found), encoding="utf-8", newline="")
    if html_file is not None:
        html_file.write_text(render_month(found, language(), _), encoding="utf-8")
    if shell.json:
        show.json_line(found)
        return
    for file in (csv_file, html_file):
        if file is not None:
            show.line(_("written: {file}").format(file=file), "green")
    if csv_file is None and html_file is None:
        _show(found)
    if found.pending:
        text = ngettext(
            "{count} job that ended in this month is missing: its readings are not all in yet",
            "{count} jobs that ended in this month are missing: their readings are not all in yet",
            len(found.pending),
        )
        click.echo(text.format(count=len(found.pending)), err=True)


def _show(found: MonthStatement) -> None:
    show.pairs(_totals(found))
    if not found.lines:
        return
    show.line()
    columns = (
        _("JOB"),
        _("NAME"),
        _("ENDED"),
        _("STATE"),
        _("ZONE"),
        "kWh",
        _("LOCATION, g"),
        _("MARKET, g"),
        _("EMBODIED, g"),
        _("PRICE, USD"),
        _("PAID, ATH"),
        _("RECEIPT"),
    )
    show.table(columns, map(_row, found.lines))


def _row(line: StatementLine) -> show.Row:
    return (
        line.job,
        line.name,
        show.stamp(line.finished_ms),
        word(STATES, line.state),
        " ".join(line.zones) or show.NOTHING,
        show.energy(line.facility_j).removesuffix(" kWh"),
        show.grams(line.location_mg),
        show.grams(line.market_mg),
        show.grams(line.embodied_mg),
        show.usd(line.price_usd_micro).removesuffix(" USD"),
        show.ath(line.paid_wei).removesuffix(" ATH"),
        show.Cell(_("final"), "green") if line.final else show.Cell(_("provisional"), "yellow"),
    )


def _totals(found: MonthStatement) -> list[tuple[str, str | show.Cell]]:
    totals = found.totals
    return [
        (_("month"), found.month),
        (_("jobs"), _("{count}, {open} of them provisional").format(count=totals.jobs, open=totals.provisional)),
        (_("energy at the devices"), show.energy(totals.device_j)),
        (_("energy at the facility"), show.energy(totals.facility_j)),
        (_("location-based, life-cycle"), show.carbon(totals.location_mg)),
        (_("market-based"), show.carbon(totals.market_mg)),
        *_matched(totals),
        (_("embodied"), show.carbon(totals.embodied_mg)),
        (_("water"), show.litres(totals.water_ml)),
        (_("price"), show.usd(totals.price_usd_micro)),
        (_("paid"), f"{show.usd(totals.paid_usd_micro)} = {show.ath(totals.paid_wei)}"),
        (_("of it to offsets"), show.ath(totals.offset_wei)),
        (_("promises kept"), f"{totals.promises_kept}/{totals.promises}"),
        *_counterfactuals(totals),
    ]


def _matched(totals: StatementTotals) -> list[tuple[str, str | show.Cell]]:
    """What certificates of the hour cover, where there are any: of all, and of what they are called."""
    if not totals.matched_j:
        return []
    renewable, carbon_free = (part * PPM // totals.facility_j for part in (totals.renewable_j, totals.carbon_free_j))
    text = _("{energy}; renewable {renewable}, carbon-free {carbon_free} of all")
    told = text.format(
        energy=show.energy(totals.matched_j), renewable=show.percent(renewable), carbon_free=show.percent(carbon_free)
    )
    return [(_("under certificates of the hour"), told)]


def _counterfactuals(totals: StatementTotals) -> list[tuple[str, str | show.Cell]]:
    text = _("{carbon} against {own} of these {count} jobs")
    return [
        (
            word(COUNTERFACTUALS, one.name),
            text.format(carbon=show.carbon(one.carbon_mg), own=show.carbon(one.location_mg), count=one.jobs),
        )
        for one in totals.counterfactuals
    ]
