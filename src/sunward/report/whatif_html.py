"""The trade between cost, carbon and delay as one self-contained page: two pictures and the figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from sunward.model.calendar import utc_text
from sunward.model.whatif import WhatIf, WhatIfPoint
from sunward.report import figures
from sunward.report.markup import number, section, table, text
from sunward.report.style import CSS
from sunward.report.timeline import Translate
from sunward.units import HOUR_MS, MG_PER_G, MICRO

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 90, 30, 20, 50
DOT_PX, LABEL_PX = 5, 9
TICKS = 5
MARGIN_FRAC = 0.06
"""Room around the outermost points."""
MINUTE_CHARS = len("2026-11-23T08:30")
Measure = Callable[[WhatIfPoint], float]


def render_what_if(found: WhatIf, lang: str, _: Translate) -> str:
    """The whole page; `_` turns the English texts of this module into the reader's language."""
    title = escape(_("Sunward: cost, carbon and delay by carbon price"))
    subtitle = _("Worked out at {at} (UTC, grid time) on what was known then; nothing was changed by it.")
    note = _("Filled points are the frontier: no other point is at least as good in everything and better in one.")
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="{escape(lang)}">',
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{CSS}</style></head>",
            f"<body><header><h1>{title}</h1>",
            f"<p>{escape(subtitle.format(at=utc_text(found.at_ms)[:MINUTE_CHARS]))}</p></header><main>",
            section(_("Cost and carbon"), note, _picture(found.points, _cost, _("cost, USD"), _)),
            section(_("Delay and carbon"), "", _picture(found.points, _delay, _("mean delay, h"), _)),
            section(_("Figures"), "", _figures(found.points, _)),
            "</main><footer></footer></body></html>",
            "",
        ]
    )


def _cost(point: WhatIfPoint) -> float:
    return point.cost_usd_micro / MICRO


def _delay(point: WhatIfPoint) -> float:
    return point.delay_ms / HOUR_MS


def _carbon(point: WhatIfPoint) -> float:
    return point.carbon_mg / MG_PER_G


def _picture(points: Sequence[WhatIfPoint], across: Measure, name: str, _: Translate) -> str:
    """Carbon upwards, another measure across; each point carries its carbon price."""
    shown = [point for point in points if point.placed]
    if not shown:
        return f"<p>{escape(_('No job finds a place.'))}</p>"
    x_of = _scale([across(point) for point in shown], LEFT, WIDTH - RIGHT)
    y_of = _scale([_carbon(point) for point in shown], HEIGHT - BOTTOM, TOP)
    label = escape(_("Carbon, gCO2e, against {measure}").format(measure=name))
    parts = [
        f'<div class="scroll"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">',
        *_axis([across(point) for point in shown], x_of, upright=False),
        *_axis([_carbon(point) for point in shown], y_of, upright=True),
        (
            f'<text class="soft" x="{(LEFT + WIDTH - RIGHT) // 2}" y="{HEIGHT - 8}" text-anchor="middle">'
            f"{escape(name)}</text>"
        ),
        (
            f'<text class="soft" transform="translate(14 {(TOP + HEIGHT - BOTTOM) // 2}) rotate(-90)" '
            f'text-anchor="middle">{escape(_("carbon, gCO2e"))}</text>'
        ),
        _line(shown, lambda point: (x_of(across(point)), y_of(_carbon(point)))),
        *(_dot(point, x_of(across(point)), y_of(_carbon(point)), _) for point in shown),
        "</svg></div>",
    ]
    return "".join(parts)


def _scale(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    """From values to pixels, with some room around."""
    low, high = min(values), max(values)
    room = (high - low) * MARGIN_FRAC or max(abs(high) * MARGIN_FRAC, 1.0)
    low, high = low - room, high + room
    return lambda value: round(start + (value - low) / (high - low) * (end - start), 1)


def _axis(values: Sequence[float], place: Callable[[float], float], *, upright: bool) -> list[str]:
    low, high = min(values), max(values)
    steps = TICKS if high > low else 1
    marks = [low + (high - low) * step / max(steps - 1, 1) for step in range(steps)]
    parts = []
    for mark in marks:
        at, shown = place(mark), f"{mark:,.4g}" if mark < MG_PER_G else f"{mark:,.0f}"
        if upright:
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
            parts.append(f'<text class="soft" x="{LEFT - 8}" y="{at + 4}" text-anchor="end">{shown}</text>')
        else:
            parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
            parts.append(f'<text class="soft" x="{at}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{shown}</text>')
    return parts


def _line(points: Sequence[WhatIfPoint], place: Callable[[WhatIfPoint], tuple[float, float]]) -> str:
    """Through the points of the frontier, from the left."""
    through = sorted({place(point) for point in points if point.frontier})
    path = " ".join(f"{x},{y}" for x, y in through)
    return f'<polyline points="{path}" fill="none" stroke="var(--accent)" stroke-width="1.5"/>'


def _dot(point: WhatIfPoint, x: float, y: float, _: Translate) -> str:
    fill = "var(--accent)" if point.frontier else "none"
    told = _("{price} USD/t: {cost} USD, {carbon} gCO2e, {delay} h of delay").format(
        price=f"{point.carbon_price_usd_per_t:,}",
        cost=figures.usd(point.cost_usd_micro),
        carbon=figures.grams(point.carbon_mg),
        delay=f"{_delay(point):,.1f}",
    )
    return (
        f'<circle cx="{x}" cy="{y}" r="{DOT_PX}" fill="{fill}" stroke="var(--accent)" stroke-width="1.5">'
        f"<title>{escape(told)}</title></circle>"
        f'<text class="soft" x="{x + LABEL_PX}" y="{y - LABEL_PX / 2}">{point.carbon_price_usd_per_t:,}</text>'
    )


def _figures(points: Sequence[WhatIfPoint], _: Translate) -> str:
    heads = (
        number(_("Carbon price, USD/t")),
        number(_("You pay, USD")),
        number(_("Cost, USD")),
        number(_("Carbon, g")),
        number(_("Delay, h")),
        number(_("Placed")),
        text(""),
    )
    rows = (
        (
            number(f"{point.carbon_price_usd_per_t:,}"),
            number(figures.usd(point.price_usd_micro)),
            number(figures.usd(point.cost_usd_micro)),
            number(figures.grams(point.carbon_mg)),
            number(f"{_delay(point):,.2f}"),
            number(f"{point.placed}/{point.placed + point.unplaced}"),
            text(_("frontier") if point.frontier else _("dominated")),
        )
        for point in points
    )
    return table(heads, rows)
