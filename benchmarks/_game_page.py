"""The game as one self-contained page: what green brings, what each lie costs, and the figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from benchmarks._game_lies import Outcome
from sunward.report.markup import number, section, table, text
from sunward.report.style import CSS

WIDTH, ROW, LABEL, RIGHT = 760, 26, 190, 130
SOURCE = "Hours: Electricity Maps (ODbL), January 2025 release; market prices of their operators."


def render(year: int, honest: Sequence[tuple[str, float, float]], lies: Mapping[str, Outcome]) -> str:
    """The whole page. `honest`: zone, USD a year green, USD a year brown."""
    title = f"Sunward: a year of rewards, {year}"
    gains = [(zone, green - brown) for zone, green, brown in honest]
    losses = [(name, one.gain_usd) for name, one in sorted(lies.items(), key=lambda item: -item[1].gain_usd)]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{CSS}</style></head>",
            f"<body><header><h1>{escape(title)}</h1><p>{escape(SOURCE)}</p></header><main>",
            section("Honest green less honest brown, USD a year", "Same machines, leases, stake.", bars(gains)),
            section(
                "The best size of each lie less honesty, USD a year",
                "Expected over when it is found; left of the line it costs. The scale is logarithmic.",
                bars(losses),
            ),
            section("Figures", "", _figures(lies)),
            "</main><footer></footer></body></html>",
            "",
        ]
    )


def bars(rows: Sequence[tuple[str, float]]) -> str:
    """Bars to both sides of zero, as long as the logarithm of the amount."""
    longest = max((_length(value) for _, value in rows), default=1.0) or 1.0
    left = max((_length(value) for _, value in rows if value < 0), default=0.0)
    right = max((_length(value) for _, value in rows if value > 0), default=0.0)
    scale = (WIDTH - LABEL - RIGHT) / max(left + right, longest)
    zero = LABEL + left * scale
    drawn = []
    for place, (name, value) in enumerate(rows):
        y, width = 10 + place * ROW, max(1.0, _length(value) * scale)
        x = zero - width if value < 0 else zero
        fill = "var(--good)" if value > 0 else "var(--soft)"
        drawn.append(
            f'<text x="0" y="{y + 13}">{escape(name)}</text>'
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 8}" style="fill:{fill}"/>'
            f'<text class="soft" x="{max(zero, x + width) + 6:.1f}" y="{y + 13}">{value:,.2f}</text>'
        )
    height = 20 + ROW * len(rows)
    axis = f'<line class="grid" x1="{zero:.1f}" y1="0" x2="{zero:.1f}" y2="{height}"/>'
    return f'<div class="scroll"><svg viewBox="0 0 {WIDTH} {height}" role="img">{axis}{"".join(drawn)}</svg></div>'


def _length(value: float) -> float:
    return math.log10(1 + abs(value))


def _figures(lies: Mapping[str, Outcome]) -> str:
    heads = (
        text("lie"),
        text("best size"),
        number("USD a year"),
        number("if never found"),
        number("chance a day"),
    )
    rows = [
        (
            text(name),
            text(one.size),
            number(f"{one.gain_usd:,.2f}"),
            number(f"{one.unseen_usd:,.2f}"),
            number(f"{one.chance:.2%}"),
        )
        for name, one in sorted(lies.items())
    ]
    return table(heads, rows)
