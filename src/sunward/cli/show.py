"""Figures and tables as people read them: by rich on a terminal, plain aligned lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sunward.cli.text import _
from sunward.model.codec import encode
from sunward.model.plan import Segment
from sunward.units import (
    G_PER_KG,
    HOUR_MS,
    J_PER_KWH,
    MG_PER_G,
    MICRO,
    MINUTE_MS,
    ML_PER_L,
    PPM,
    SECOND_MS,
    WEI_PER_ATH,
)

NOTHING = "–"
PERCENT = 100


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with a colour for terminals."""

    text: str
    style: str = ""


Row: TypeAlias = Sequence["str | Cell"]


def json_line(record: object) -> None:
    """The canonical JSON of a record, on one line."""
    click.echo(encode(record))


def line(text: str = "", style: str = "") -> None:
    """One line of prose."""
    console = _console()
    if console.is_terminal:
        console.print(Text(clean(text), style=style))
    else:
        click.echo(clean(text))


def table(columns: Sequence[str], rows: Iterable[Row]) -> None:
    """A table with a heading."""
    console = _console()
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    if console.is_terminal:
        console.print(_drawn(columns, cells))
        return
    plain = [list(columns), *([clean(cell.text) for cell in row] for row in cells)]
    _aligned(plain)


def pairs(rows: Iterable[tuple[str, str | Cell]]) -> None:
    """Names and values, one pair a line."""
    console = _console()
    grid = Table.grid(padding=(0, 2))
    plain = []
    for name, value in rows:
        cell = value if isinstance(value, Cell) else Cell(value)
        grid.add_row(Text(name, style="dim"), Text(clean(cell.text), style=cell.style))
        plain.append([name, clean(cell.text)])
    if console.is_terminal:
        console.print(grid)
    else:
        _aligned(plain)


def drawing(lines: Iterable[Sequence[Cell]]) -> None:
    """Lines made of coloured pieces, never wrapped."""
    console = _console()
    for pieces in lines:
        if console.is_terminal:
            console.print(Text.assemble(*((cell.text, cell.style) for cell in pieces)), no_wrap=True, crop=False)
        else:
            click.echo("".join(cell.text for cell in pieces).rstrip())


def width() -> int:
    """Columns to draw in."""
    return _console().width


def clean(text: str) -> str:
    """Text without control characters: names and details come from others, and terminals obey escapes."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def gpus(part: Segment) -> str:
    """How many GPUs a stretch holds, and what each may draw where that is limited."""
    limit = _(", at most {watts} W each").format(watts=part.power_cap_w) if part.power_cap_w else ""
    return f"{part.containers}{limit}"


def stretches(texts: Iterable[str]) -> str:
    """What changes from stretch to stretch."""
    return _(", then ").join(texts)


def stamp(at_ms: int) -> str:
    """A moment, UTC."""
    return f"{datetime.fromtimestamp(at_ms // SECOND_MS, UTC):%Y-%m-%d %H:%MZ}" if at_ms else NOTHING


def span(duration_ms: int) -> str:
    """A length of time."""
    minutes = duration_ms // MINUTE_MS
    per_hour = HOUR_MS // MINUTE_MS
    if minutes < per_hour:
        return _("{minutes} min").format(minutes=minutes)
    return _("{hours} h {minutes:02d} min").format(hours=minutes // per_hour, minutes=minutes % per_hour)


def usd(amount_micro: int) -> str:
    """Money in USD; small amounts keep the digits that differ from zero."""
    return f"{amount_micro / MICRO:,.{2 if abs(amount_micro) >= 100 * MICRO else 4}f} USD"


def ath(amount_wei: int) -> str:
    """Money in test ATH."""
    return f"{amount_wei / WEI_PER_ATH:,.4f} ATH"


def carbon(amount_mg: int) -> str:
    """Carbon in g, or in kg from 10 kg on."""
    weight = amount_mg / MG_PER_G
    return f"{weight / G_PER_KG:,.2f} kgCO2e" if abs(weight) >= 10 * G_PER_KG else f"{weight:,.1f} gCO2e"


def grams(amount_mg: int) -> str:
    """Carbon in g, for columns that name the unit."""
    return f"{amount_mg / MG_PER_G:,.1f}"


def litres(amount_ml: int) -> str:
    """Water in litres."""
    return f"{amount_ml / ML_PER_L:,.2f} l"


def energy(amount_j: int) -> str:
    """Energy in kWh."""
    return f"{amount_j / J_PER_KWH:,.3f} kWh"


def intensity(mg_per_kwh: int | None) -> str:
    """Carbon intensity in g/kWh."""
    return NOTHING if mg_per_kwh is None else f"{mg_per_kwh / MG_PER_G:,.0f}"


def ratio(amount_ppm: int) -> str:
    """A ratio such as an overhead."""
    return f"{amount_ppm / PPM:.2f}"


def percent(amount_ppm: int) -> str:
    """A share in whole percent, without its sign."""
    return f"{abs(amount_ppm) * PERCENT / PPM:.0f} %"


def probability(amount_ppm: int) -> str:
    """A probability, without zeros behind it."""
    return f"{amount_ppm / PPM:g}"


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)


def _drawn(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Table:
    drawn = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        drawn.add_column(column)
    for row in rows:
        drawn.add_row(*(Text(clean(cell.text), style=cell.style) for cell in row))
    return drawn


def _aligned(rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        return
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        padded = (text + " " * (room - cell_len(text)) for text, room in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
