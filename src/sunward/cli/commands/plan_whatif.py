"""`sunward plan what-if`: cost against carbon and delay over carbon prices."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from sunward.cli import show
from sunward.cli.commands.submit import ordered
from sunward.cli.described import of_file
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _, language, ngettext
from sunward.client.prepare import for_quote
from sunward.errors import InputError
from sunward.model.request import JobRequest
from sunward.model.whatif import CARBON_PRICES, WhatIf, WhatIfPoint, WhatIfRequest
from sunward.report.whatif_html import render_what_if

ROWS, LABEL_CELLS = 12, 12
FRONTIER, DOMINATED = "●", "○"


@command()
@click.argument("jobs", nargs=-1)
@option(
    "--job-file", "--file", "file", type=click.Path(path_type=Path, dir_okay=False), help="A job not submitted yet."
)
@option(
    "--carbon-prices",
    default=",".join(map(str, CARBON_PRICES)),
    show_default=True,
    metavar="P1,P2,…",
    help="Carbon prices to try, whole USD per tonne.",
)
@option("--html", "html_file", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with the picture.")
@pass_shell
def what_if(shell: Shell, jobs: tuple[str, ...], file: Path | None, carbon_prices: str, html_file: Path | None) -> None:
    """Try other carbon prices: what JOBs, all your open jobs, or a job file would cost and cause.

    Nothing is changed by it. The frontier is marked: the other points are worse in one thing and better in none.
    """
    if jobs and file is not None:
        raise InputError(_("name open jobs or a job file, not both"), code="SW-667")
    wanted = WhatIfRequest(
        carbon_prices_usd_per_t=_prices(carbon_prices), jobs=jobs, request=None if file is None else _request(file)
    )
    with shell.client() as client:
        found = client.what_if(wanted)
    if html_file is not None:
        html_file.write_text(render_what_if(found, language(), _), encoding="utf-8")
    if shell.json:
        show.json_line(found)
        return
    _show(found)
    if html_file is not None:
        show.line(_("written: {file}").format(file=html_file), "green")


def _prices(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        line = _("--carbon-prices takes whole USD per tonne with commas between, as in 0,50,100; not {text}")
        raise InputError(line.format(text=repr(text[:80])), code="SW-667")
    return tuple(map(int, words))


def _request(file: Path) -> JobRequest:
    """The job of a job file as a quote sees it: nothing private, nothing stored; of an array the first job."""
    with tempfile.TemporaryDirectory() as scratch:
        return for_quote(ordered(of_file(file), Path(scratch)).requests[0])


def _show(found: WhatIf) -> None:
    if found.jobs:
        text = ngettext("{count} open job", "{count} open jobs", len(found.jobs))
        show.line(text.format(count=len(found.jobs)))
    if found.left_out:
        text = ngettext(
            "{count} job runs and is not moved: it is left out",
            "{count} jobs run and are not moved: they are left out",
            found.left_out,
        )
        show.line(text.format(count=found.left_out), "yellow")
    if not found.points:
        return
    show.line()
    columns = (_("USD/t"), _("YOU PAY"), _("COST"), _("CARBON"), _("MEAN DELAY"), _("PLACED"), "")
    show.table(columns, map(_row, found.points))
    show.line()
    show.line(_("carbon (upwards, gCO2e) against cost (USD); {mark}: frontier").format(mark=FRONTIER), "dim")
    show.drawing(chart(found.points, max(show.width() - LABEL_CELLS - 1, LABEL_CELLS)))


def _row(point: WhatIfPoint) -> show.Row:
    return (
        f"{point.carbon_price_usd_per_t:,}",
        show.usd(point.price_usd_micro),
        show.usd(point.cost_usd_micro),
        show.carbon(point.carbon_mg),
        show.span(point.delay_ms),
        f"{point.placed}/{point.placed + point.unplaced}",
        show.Cell(f"{FRONTIER} {_('frontier')}", "green") if point.frontier else f"{DOMINATED} {_('dominated')}",
    )


def chart(points: Sequence[WhatIfPoint], room: int) -> list[list[show.Cell]]:
    """Points in a frame, carbon upwards and cost to the right; where several fall together the frontier is seen."""
    costs, carbons = [one.cost_usd_micro for one in points], [one.carbon_mg for one in points]
    seen: dict[tuple[int, int], show.Cell] = {}
    for point in sorted(points, key=lambda one: one.frontier):
        column = _place(point.cost_usd_micro, costs, room)
        row = _place(point.carbon_mg, carbons, ROWS)
        seen[row, column] = show.Cell(*((FRONTIER, "green") if point.frontier else (DOMINATED, "dim")))
    labels = {0: show.grams(min(carbons)), ROWS - 1: show.grams(max(carbons))}
    lines = []
    for row in reversed(range(ROWS)):
        cells = [seen.get((row, column), show.Cell(" ")) for column in range(room)]
        lines.append([show.Cell(f"{labels.get(row, ''):>{LABEL_CELLS - 2}} │"), *cells])
    low, high = (show.usd(value).removesuffix(" USD") for value in (min(costs), max(costs)))
    return [
        *lines,
        [show.Cell(" " * (LABEL_CELLS - 1) + "└" + "─" * room)],
        [show.Cell(" " * LABEL_CELLS + low + high.rjust(max(room - len(low), len(high) + 1)))],
    ]


def _place(value: int, values: Sequence[int], room: int) -> int:
    low, high = min(values), max(values)
    return 0 if high == low else round((value - low) * (room - 1) / (high - low))
