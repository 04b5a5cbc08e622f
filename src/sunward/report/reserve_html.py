"""The stress test of the reserve as one self-contained page: a picture of coverage under each shock, and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from sunward.model.calendar import utc_text
from sunward.model.reserve_views import StressLine, StressTest
from sunward.report import figures
from sunward.report.markup import number, section, table, text
from sunward.report.style import CSS
from sunward.report.timeline import Translate
from sunward.units import PPM

WIDTH, ROW_PX, BAR_PX = 760, 46, 24
LEFT, RIGHT, TOP = 250, 90, 28
SHOWN_MAX = 4
"""Bars end at so many times the floor: what is more is safe, and would only squeeze the rest."""
MINUTE_CHARS = len("2026-11-23T08:30")
PERCENT = 100
Names = Callable[[str], str]


def render_stress(found: StressTest, lang: str, name_of: Names, _: Translate) -> str:
    """The whole page; `name_of` gives the shocks their names, `_` turns English texts into the reader's language."""
    title = escape(_("Sunward: stress test of the reserve"))
    subtitle = _("As the books stood at {at} (UTC, grid time); each shock alone, then all together.")
    note = _("Bars: value of the vault over what is owed. The line is the floor, below which nothing is sold.")
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="{escape(lang)}">',
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{CSS}</style></head>",
            f"<body><header><h1>{title}</h1>",
            f"<p>{escape(subtitle.format(at=utc_text(found.at_ms)[:MINUTE_CHARS]))}</p></header><main>",
            section(_("Coverage"), note, _picture(found, name_of, _)),
            section(_("Figures"), "", _figures(found.lines, name_of, _)),
            "</main><footer></footer></body></html>",
            "",
        ]
    )


def percent(value_ppm: int | None, nothing: str) -> str:
    """Coverage as people read it, rounded down."""
    return nothing if value_ppm is None else f"{value_ppm * PERCENT // PPM:,} %"


def _picture(found: StressTest, name_of: Names, _: Translate) -> str:
    height = TOP + ROW_PX * len(found.lines)
    top_ppm = SHOWN_MAX * found.floor_ppm
    room = WIDTH - LEFT - RIGHT
    floor_x = LEFT + room // SHOWN_MAX
    label = escape(_("Coverage under each shock against the floor"))
    parts = [
        f'<div class="scroll"><svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">',
        f'<line x1="{floor_x}" x2="{floor_x}" y1="{TOP - 8}" y2="{height}" stroke="var(--bad)"/>',
        (
            f'<text class="soft" x="{floor_x}" y="{TOP - 12}" text-anchor="middle">'
            f"{escape(_('floor'))} {percent(found.floor_ppm, '')}</text>"
        ),
    ]
    for row, line in enumerate(found.lines):
        y = TOP + row * ROW_PX + (ROW_PX - BAR_PX) // 2
        shown_ppm = top_ppm if line.coverage_ppm is None else min(line.coverage_ppm, top_ppm)
        long = max(1, room * shown_ppm // top_ppm)
        below = line.coverage_ppm is not None and line.coverage_ppm < found.floor_ppm
        fill = "var(--bad)" if below else "var(--accent)"
        middle, told = y + BAR_PX * 2 // 3, percent(line.coverage_ppm, _("nothing owed"))
        parts += [
            f'<text x="{LEFT - 10}" y="{middle}" text-anchor="end">{escape(name_of(line.shock))}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{long}" height="{BAR_PX}" fill="{fill}"/>',
            f'<text class="soft" x="{LEFT + long + 8}" y="{middle}">{escape(told)}</text>',
        ]
    return "".join([*parts, "</svg></div>"])


def _figures(lines: Sequence[StressLine], name_of: Names, _: Translate) -> str:
    heads = (
        text(_("Shock")),
        number(_("Vault, USD")),
        number(_("Owed, USD")),
        number(_("Coverage")),
        number(_("Called")),
        number(_("Ready")),
        text(_("First to break")),
    )
    rows = (
        (
            text(name_of(line.shock) + (f" ({line.dark})" if line.dark else "")),
            number(figures.usd(line.value_usd_micro)),
            number(figures.usd(line.liability_usd_micro)),
            number(percent(line.coverage_ppm, _("nothing owed"))),
            number(str(line.asked)),
            number(str(line.delivered)),
            text(line.first_broken or _("none")),
        )
        for line in lines
    )
    return table(heads, rows)
