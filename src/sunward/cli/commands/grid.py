"""`sunward grid`: the hours ahead in a grid zone, drawn in the terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from sunward.cli import show
from sunward.cli.reasons import QUALITIES, word
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import N_, _
from sunward.client.place import origin_zone
from sunward.errors import SourceError
from sunward.model.datum import Quality
from sunward.model.records import GridView, Quantiles
from sunward.units import DAY_MS, HOUR_MS, MG_PER_G, MICRO, SECOND_MS, floor_to

if TYPE_CHECKING:
    from sunward.signals.climatology import Band

MODELLED = N_("modelled typical year")
HEIGHT = 8
EIGHTHS = " ▁▂▃▄▅▆▇█"
STEPS = len(EIGHTHS) - 1
AXIS_WIDTH = 7
GREEN_BELOW_G = 150
RED_FROM_G = 450
"""Colours for the eye only, g/kWh: hydro, wind, solar and nuclear grids stay green; grids led by coal are red."""
HOURS_MAX = 336
LABEL_HOURS = 6


@command()
@click.argument("zone", required=False)
@option("--hours", type=click.IntRange(1, HOURS_MAX), default=48, show_default=True, metavar="N", help="Hours ahead.")
@pass_shell
def grid(shell: Shell, zone: str | None, hours: int) -> None:
    """Draw a zone's carbon intensity and price, hour by hour.

    Without a service the packaged typical year is drawn, and says so.
    """
    name = zone or origin_zone(os.environ)
    try:
        with shell.client() as client:
            view = client.grid(name, hours)
    except SourceError as reason:
        click.echo(_("{reason}; the packaged typical year is shown").format(reason=reason.message), err=True)
        view = typical(name, floor_to(int(time.time()) * SECOND_MS, HOUR_MS), hours)
    if shell.json:
        show.json_line(view)
        return
    show.line(_("{zone} {name}: {quality}").format(zone=view.zone, name=view.name, quality=_quality(view)))
    show.line(view.source, "dim")
    show.line()
    show.drawing(chart(view, max(show.width() - AXIS_WIDTH, LABEL_HOURS)))
    show.line()
    show.table(("", _("LEAST"), _("MEAN"), _("MOST")), [_carbon_row(view), _price_row(view)])


def typical(zone: str, start_ms: int, hours: int) -> GridView:
    """The packaged typical year of a zone.

    Raises: InputError for an unknown zone.
    """
    from sunward.signals import climatology  # noqa: PLC0415 - needs numpy, which the light client does without

    known = climatology.load()
    carbon = known.carbon_mgco2e_per_kwh(zone, start_ms, hours)
    price = known.price_usd_micro_per_kwh(zone, start_ms, hours)
    return GridView(
        zone=zone,
        name=known.zone(zone).name,
        start_ms=start_ms,
        carbon_mg_per_kwh=_quantiles(carbon),
        price_usd_micro_per_kwh=_quantiles(price),
        source=carbon.source,
        quality=Quality.MODELLED,
    )


def chart(view: GridView, room: int) -> list[list[show.Cell]]:
    """Columns of bars with a scale at the left and UTC hours below; several hours share a column if they must."""
    per_column = -(-len(view.carbon_mg_per_kwh.p50) // room)
    bars = _means([value / MG_PER_G for value in view.carbon_mg_per_kwh.p50], per_column)
    top = max(*bars, 1.0)
    lines = [
        [show.Cell(_scale(level, top)), *(show.Cell(_bar(value, level, top), colour(value)) for value in bars)]
        for level in reversed(range(HEIGHT))
    ]
    return [
        *lines,
        [show.Cell(" " * (AXIS_WIDTH - 1) + "└" + "─" * len(bars))],
        *_hours(view.start_ms, per_column, len(bars)),
    ]


def colour(gco2e_per_kwh: float) -> str:
    """Green, amber or red by value."""
    if gco2e_per_kwh < GREEN_BELOW_G:
        return "green"
    return "yellow" if gco2e_per_kwh < RED_FROM_G else "red"


def _bar(value: float, level: int, top: float) -> str:
    """The part of a bar that lies in one line of text; the lowest line always shows something."""
    filled = round(value / top * HEIGHT * STEPS)
    return EIGHTHS[min(max(filled - level * STEPS, int(level == 0)), STEPS)]


def _scale(level: int, top: float) -> str:
    """The value at the upper edge of every second line."""
    labelled = (HEIGHT - 1 - level) % 2 == 0
    return f"{top * (level + 1) / HEIGHT:>{AXIS_WIDTH - 2}.0f} ┤" if labelled else " " * (AXIS_WIDTH - 1) + "│"


def _hours(start_ms: int, per_column: int, columns: int) -> list[list[show.Cell]]:
    marks, days = "", ""
    for column in range(columns):
        at_ms = start_ms + column * per_column * HOUR_MS
        fits = len(marks) <= column
        if fits and (at_ms // HOUR_MS % LABEL_HOURS < per_column):
            stamp = show.stamp(at_ms)
            marks = marks.ljust(column) + stamp[11:13]
            if at_ms % DAY_MS < per_column * HOUR_MS or not days:
                days = days.ljust(column) + stamp[5:10]
    indent = " " * AXIS_WIDTH
    return [[show.Cell(indent + marks)], [show.Cell(f"{indent}{days} UTC")]]


def _means(values: Sequence[float], per_column: int) -> list[float]:
    groups = (values[start : start + per_column] for start in range(0, len(values), per_column))
    return [sum(group) / len(group) for group in groups]


def _quantiles(band: Band) -> Quantiles:
    return Quantiles(p10=tuple(band.p10.tolist()), p50=tuple(band.p50.tolist()), p90=tuple(band.p90.tolist()))


def _quality(view: GridView) -> str:
    return _(MODELLED) if view.quality == Quality.MODELLED else word(QUALITIES, view.quality)


def _carbon_row(view: GridView) -> tuple[str, ...]:
    values = view.carbon_mg_per_kwh.p50
    figures = (min(values), sum(values) / len(values), max(values))
    return (_("carbon intensity, average, life-cycle, gCO2e/kWh"), *(f"{figure / MG_PER_G:,.0f}" for figure in figures))


def _price_row(view: GridView) -> tuple[str, ...]:
    values = view.price_usd_micro_per_kwh.p50
    figures = (min(values), sum(values) / len(values), max(values))
    return (_("price, USD/kWh"), *(f"{figure / MICRO:,.3f}" for figure in figures))
