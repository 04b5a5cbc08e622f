"""`sunward grid`: the hours gone and ahead in a grid zone, drawn in the terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from sunward.cli import show
from sunward.cli.commands.grid_fetch import fetch
from sunward.cli.reasons import QUALITIES, SERIES, word
from sunward.cli.shell import Shell, Shown, group, option, pass_shell
from sunward.cli.text import N_, _
from sunward.client.place import origin_zone
from sunward.errors import SourceError
from sunward.model.datum import Quality, SeriesKind
from sunward.model.records import GridStretch, GridView, Quantiles
from sunward.units import DAY_MS, HOUR_MS, MG_PER_G, MICRO, MILLI_PER_UNIT, SECOND_MS, floor_to

if TYPE_CHECKING:
    from sunward.signals.climatology import Band

MODELLED = N_("modelled typical year")
HEIGHT = 8
EIGHTHS = " ▁▂▃▄▅▆▇█"
RANGE_ABOVE, RANGE_BELOW = "░", "▓"
STEPS = len(EIGHTHS) - 1
AXIS_WIDTH = 7
GREEN_BELOW_G = 150
RED_FROM_G = 450
"""Colours for the eye only, g/kWh: hydro, wind, solar and nuclear grids stay green; grids led by coal are red."""
HOURS_MAX = 168
LABEL_HOURS = 6


@group(cls=Shown)
def grid() -> None:
    """Draw a zone's carbon intensity and price: `sunward grid ZONE`."""


grid.add_command(fetch)


@grid.command("show")
@click.argument("zone", required=False)
@option("--hours", type=click.IntRange(1, HOURS_MAX), default=48, show_default=True, metavar="N", help="Hours ahead.")
@option("--past", type=click.IntRange(0, HOURS_MAX), default=48, show_default=True, metavar="N", help="Hours gone.")
@pass_shell
def show_zone(shell: Shell, zone: str | None, hours: int, past: int) -> None:
    """Draw the hours gone and the hours ahead of a zone, each with its source.

    Without a service the packaged typical year is drawn, and says so.
    """
    name = zone or origin_zone(os.environ)
    try:
        with shell.client() as client:
            view = client.grid(name, hours, past)
    except SourceError as reason:
        click.echo(_("{reason}; the packaged typical year is shown").format(reason=reason.message), err=True)
        view = typical(name, floor_to(int(time.time()) * SECOND_MS, HOUR_MS), hours, past)
    if shell.json:
        show.json_line(view)
        return
    show.line(_("{zone} {name}: {quality}").format(zone=view.zone, name=view.name, quality=_quality(view)))
    show.line()
    show.drawing(chart(view, max(show.width() - AXIS_WIDTH, LABEL_HOURS)))
    show.line()
    show.table(("", _("LEAST"), _("MEAN"), _("MOST")), _rows(view))
    for text in _sources(view):
        show.line(text, "dim")


def typical(zone: str, start_ms: int, hours: int, past: int = 0) -> GridView:
    """The packaged typical year of a zone.

    Raises: InputError for an unknown zone.
    """
    from sunward.signals import climatology  # noqa: PLC0415 - needs numpy, which the light client does without

    known = climatology.load()
    carbon = known.carbon_mgco2e_per_kwh(zone, start_ms, hours)
    price = known.price_usd_micro_per_kwh(zone, start_ms, hours)
    gone_ms = start_ms - past * HOUR_MS
    gone = known.carbon_moments(zone, gone_ms, past).mean.tolist() if past else []
    return GridView(
        zone=zone,
        name=known.zone(zone).name,
        start_ms=start_ms,
        carbon_mg_per_kwh=_quantiles(carbon),
        price_usd_micro_per_kwh=_quantiles(price),
        source=carbon.source,
        quality=Quality.MODELLED,
        past=(_typical_past(gone_ms, gone, carbon.source),) if gone else (),
    )


def _typical_past(start_ms: int, values: list[int], source: str) -> GridStretch:
    from sunward.signals.series import UNITS  # noqa: PLC0415 - needs numpy, as above

    kind = SeriesKind.CARBON_AVERAGE_LIFECYCLE
    return GridStretch(
        kind=kind,
        unit=UNITS[kind],
        start_ms=start_ms,
        values=tuple(values),
        source=source,
        quality=Quality.MODELLED,
    )


@dataclass(frozen=True, slots=True)
class Bar:
    """One column: the middle, how far it may lie below and above, and whether it is forecast."""

    low: float
    middle: float
    high: float
    ahead: bool


def chart(view: GridView, room: int) -> list[list[show.Cell]]:
    """Columns with a scale at the left and UTC hours below: solid for hours gone, dim with their range for those ahead.

    Several hours share a column if they must; an hour not known leaves its column empty.
    """
    start_ms, bars = _bars(view)
    per_column = -(-len(bars) // room)
    columns = [_joined(bars[first : first + per_column]) for first in range(0, len(bars), per_column)]
    top = max(*(bar.high for bar in columns if bar is not None), 1.0)
    lines = [
        [show.Cell(_scale(level, top)), *(_piece(bar, level, top) for bar in columns)]
        for level in reversed(range(HEIGHT))
    ]
    return [
        *lines,
        [show.Cell(" " * (AXIS_WIDTH - 1) + "└" + "─" * len(columns))],
        *_hours(start_ms, per_column, len(columns)),
    ]


def _bars(view: GridView) -> tuple[int, list[Bar | None]]:
    """When the first hour starts, and every hour from then on."""
    gone = {
        one.start_ms + index * HOUR_MS: value / MG_PER_G for one in view.past for index, value in enumerate(one.values)
    }
    start_ms = min(gone, default=view.start_ms)
    known = (gone.get(hour_ms) for hour_ms in range(start_ms, view.start_ms, HOUR_MS))
    past = [None if value is None else Bar(value, value, value, ahead=False) for value in known]
    bands = view.carbon_mg_per_kwh
    ahead = [
        Bar(low / MG_PER_G, middle / MG_PER_G, high / MG_PER_G, ahead=True)
        for low, middle, high in zip(bands.p10, bands.p50, bands.p90, strict=True)
    ]
    return start_ms, [*past, *ahead]


def _joined(group: Sequence[Bar | None]) -> Bar | None:
    """The mean of the hours that share a column; forecast when any of them is."""
    known = [bar for bar in group if bar is not None]
    if not known:
        return None
    lows, middles, highs = zip(*((bar.low, bar.middle, bar.high) for bar in known), strict=True)
    count = len(known)
    return Bar(sum(lows) / count, sum(middles) / count, sum(highs) / count, ahead=any(bar.ahead for bar in known))


def _piece(bar: Bar | None, level: int, top: float) -> show.Cell:
    """The part of a column that lies in one line: the bar, above it the upper range, and below it the lower."""
    if bar is None:
        return show.Cell(" ")
    text = _bar(bar.middle, level, top)
    if not bar.ahead:
        return show.Cell(text, colour(bar.middle))
    if text == " " and _bar(bar.high, level, top) != " ":
        text = RANGE_ABOVE
    elif text == EIGHTHS[-1] and _bar(bar.low, level, top) != EIGHTHS[-1]:
        text = RANGE_BELOW
    return show.Cell(text, f"dim {colour(bar.middle)}")


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


def _quantiles(band: Band) -> Quantiles:
    return Quantiles(p10=tuple(band.p10.tolist()), p50=tuple(band.p50.tolist()), p90=tuple(band.p90.tolist()))


def _quality(view: GridView) -> str:
    return _(MODELLED) if view.quality == Quality.MODELLED else word(QUALITIES, view.quality)


def _rows(view: GridView) -> list[tuple[str, ...]]:
    """Least, mean and most of each series, gone and ahead apart."""
    carbon = _("carbon intensity, average, life-cycle, gCO2e/kWh")
    gone = [value for one in view.past for value in one.values]
    rows = [_figures(_("{series}, gone").format(series=carbon), gone, MG_PER_G, ",.0f")] if gone else []
    ahead = _("{series}, ahead").format(series=carbon)
    rows.append(_figures(ahead, view.carbon_mg_per_kwh.p50, MG_PER_G, ",.0f"))
    rows.append(_figures(_("price, USD/kWh"), view.price_usd_micro_per_kwh.p50, MICRO, ",.3f"))
    for kind in dict.fromkeys(one.kind for one in view.more):
        values = [value for one in view.more if one.kind is kind for value in one.values]
        rows.append(_figures(word(SERIES, kind), values, MILLI_PER_UNIT, ",.1f"))
    return rows


def _figures(name: str, values: Sequence[int], scale: int, form: str) -> tuple[str, ...]:
    figures = (min(values), sum(values) / len(values), max(values))
    return (name, *(f"{figure / scale:{form}}" for figure in figures))


def _sources(view: GridView) -> list[str]:
    """Every source that is drawn or counted, once, with its quality."""
    gone = dict.fromkeys((one.source, one.quality) for one in view.past)
    other = dict.fromkeys((one.source, one.quality) for one in view.more)
    return [
        *(_("gone: {source} ({quality})").format(source=source, quality=word(QUALITIES, q)) for source, q in gone),
        _("ahead: {source}").format(source=view.source),
        *(_("also: {source} ({quality})").format(source=source, quality=word(QUALITIES, q)) for source, q in other),
    ]
