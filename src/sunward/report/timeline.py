"""The timeline: one strip of carbon intensity per site, and under it one lane per job. Drawn as plain SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape

from sunward.report.figures import clock
from sunward.report.page import JobRow, ReportData, SiteRow
from sunward.units import HOUR_MS, MG_PER_G, ceil_to, floor_to

HEAT_G_PER_KWH = (50, 100, 200, 300, 450, 600)
"""Upper bounds of the heat classes but the last: from hydro and nuclear grids to coal ones."""
SITE_COLOURS = 6

_WIDTH = 1100.0
_LEFT = 128.0
_RIGHT = 16.0
_TOP = 26.0
_STRIP = 20.0
_LANE = 26.0
_BAR = 16.0
_BREAK = 14.0
_CROSS = 5.0
_LABELLED_PX = 46.0
_TICKS_MAX = 13
_LABEL_MAX = 17
_TICK_HOURS = (1, 2, 3, 6, 12, 24, 48)

Translate = Callable[[str], str]


def heat_class(mg_per_kwh: int) -> int:
    """Class of an intensity, 0 = cleanest."""
    return sum(mg_per_kwh >= bound * MG_PER_G for bound in HEAT_G_PER_KWH)


def timeline(data: ReportData, translate: Translate) -> str:
    """The whole picture; every shape carries a title, and the tables of the page hold the same facts as text."""
    height = _TOP + len(data.sites) * _STRIP + _BREAK + len(data.jobs) * _LANE + _CROSS
    parts = [
        f'<svg viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" aria-labelledby="tl-title tl-desc">',
        f'<title id="tl-title">{escape(translate("Timeline of jobs over carbon intensity"))}</title>',
        f'<desc id="tl-desc">{escape(_description(translate))}</desc>',
        *_axis(data, height),
    ]
    colours = {site.site: index % SITE_COLOURS for index, site in enumerate(data.sites)}
    top = _TOP
    for site in data.sites:
        parts += _strip(data, site, top)
        top += _STRIP
    top += _BREAK
    for job in data.jobs:
        parts += _lane(data, job, top, colours, translate)
        top += _LANE
    return "\n".join([*parts, "</svg>"])


def legend(data: ReportData, translate: Translate) -> str:
    """What colours and marks mean, as a list."""
    sample = '<svg viewBox="0 0 30 16" aria-hidden="true">{}</svg>{}'
    block = '<rect class="{}" width="30" height="16" rx="2"/>'
    bounds = (0, *HEAT_G_PER_KWH)
    items = [
        sample.format(block.format(f"h{index}"), _heat_range(low, HEAT_G_PER_KWH[index : index + 1]))
        for index, low in enumerate(bounds)
    ]
    items[-1] += " gCO2e/kWh"
    items += [
        sample.format(block.format(f"s{index % SITE_COLOURS}"), escape(site.site))
        for index, site in enumerate(data.sites)
    ]
    marks = (
        ('<line class="wait" x1="0" y1="8" x2="30" y2="8"/>', translate("waiting")),
        ('<line class="pause" x1="0" y1="8" x2="30" y2="8"/>', translate("paused or moving")),
        (f'<path class="kill" d="{_cross(15, 8)}"/>', translate("killed on purpose")),
        ('<line class="deadline" x1="15" y1="0" x2="15" y2="16"/>', translate("finish by")),
    )
    items += [sample.format(mark, escape(text)) for mark, text in marks]
    return '<ul class="legend">' + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def _heat_range(low: int, high: tuple[int, ...]) -> str:
    return f"{low}–{high[0]}" if high else f"{low}+"


def _description(translate: Translate) -> str:
    return translate(
        "Above, one strip per site: the carbon intensity of its grid, hour by hour. Below, one lane per job: "
        "coloured bars where it runs, by site; lines where it waits or pauses; a cross where it was killed."
    )


def _axis(data: ReportData, height: float) -> Iterator[str]:
    step_ms = _tick_ms(data)
    for at_ms in range(ceil_to(data.start_ms, step_ms), data.end_ms + 1, step_ms):
        x = _x(data, at_ms)
        yield f'<line class="grid" x1="{x:.1f}" y1="{_TOP - 6:.1f}" x2="{x:.1f}" y2="{height:.1f}"/>'
        yield f'<text class="soft" x="{x:.1f}" y="{_TOP - 11:.1f}" text-anchor="middle">{clock(at_ms)}</text>'


def _tick_ms(data: ReportData) -> int:
    steps = [hours * HOUR_MS for hours in _TICK_HOURS]
    return next((step for step in steps if (data.end_ms - data.start_ms) <= _TICKS_MAX * step), steps[-1])


def _strip(data: ReportData, site: SiteRow, top: float) -> Iterator[str]:
    yield f'<text x="4" y="{top + 14:.1f}">{_label(site.site)}</text>'
    first_ms = floor_to(data.start_ms, HOUR_MS)
    hours = range(first_ms, data.end_ms, HOUR_MS)
    # A series may go on after the window; what it holds beyond is not drawn.
    for hour_ms, mg_per_kwh in zip(hours, site.carbon_mg_per_kwh, strict=False):
        title = f"{site.site} {clock(hour_ms)}: {mg_per_kwh / MG_PER_G:.0f} gCO2e/kWh"
        yield _block(data, hour_ms, hour_ms + HOUR_MS, top + 2, _STRIP - 4, f"h{heat_class(mg_per_kwh)}", title)


def _lane(data: ReportData, job: JobRow, top: float, colours: dict[str, int], translate: Translate) -> Iterator[str]:
    middle = top + _LANE / 2
    yield f'<text x="4" y="{middle + 4:.1f}">{_label(job.label)}</text>'
    running = sorted(job.bars, key=lambda bar: bar.start_ms)
    if not running:
        yield _rule(data, "wait", job.submitted_ms, job.end_ms, middle)
        text = escape(job.decided)
        x = _x(data, job.end_ms) + 6
        yield f'<text class="soft" x="{x:.1f}" y="{middle + 4:.1f}">{text}</text>'
        return
    yield _rule(data, "wait", job.submitted_ms, running[0].start_ms, middle)
    yield _rule(data, "pause", running[0].start_ms, running[-1].end_ms, middle)
    for bar in running:
        title = f"{job.label}: {bar.site} {clock(bar.start_ms)}–{clock(bar.end_ms)}"
        colour = f"s{colours.get(bar.site, 0)}"
        yield _block(data, bar.start_ms, bar.end_ms, middle - _BAR / 2, _BAR, colour, title)
        if _x(data, bar.end_ms) - _x(data, bar.start_ms) >= _LABELLED_PX:
            x = _x(data, bar.start_ms) + 6
            yield f'<text class="inbar" x="{x:.1f}" y="{middle + 4:.1f}">{escape(bar.site)}</text>'
    for kill_ms in job.kills_ms:
        title = escape(f"{translate('killed on purpose')} {clock(kill_ms)}")
        yield f'<path class="kill" d="{_cross(_x(data, kill_ms), middle)}"><title>{title}</title></path>'
    if data.start_ms <= job.deadline_ms <= data.end_ms:
        x = _x(data, job.deadline_ms)
        title = escape(f"{translate('finish by')} {clock(job.deadline_ms)}")
        line = f'x1="{x:.1f}" y1="{middle - _BAR / 2:.1f}" x2="{x:.1f}" y2="{middle + _BAR / 2:.1f}"'
        yield f'<line class="deadline" {line}><title>{title}</title></line>'


def _label(text: str) -> str:
    """A name cut to the room beside the lanes; the whole of it stands in the tables."""
    return escape(text if len(text) <= _LABEL_MAX else f"{text[: _LABEL_MAX - 1]}…")


def _block(data: ReportData, start_ms: int, end_ms: int, y: float, height: float, style: str, title: str) -> str:
    x, width = _x(data, start_ms), _x(data, end_ms) - _x(data, start_ms)
    shape = f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 1.5):.1f}" height="{height:.1f}"'
    return f"{shape}><title>{escape(title)}</title></rect>"


def _rule(data: ReportData, style: str, start_ms: int, end_ms: int, y: float) -> str:
    return (
        f'<line class="{style}" x1="{_x(data, start_ms):.1f}" y1="{y:.1f}" x2="{_x(data, end_ms):.1f}" y2="{y:.1f}"/>'
    )


def _cross(x: float, y: float) -> str:
    left, right, up, down = x - _CROSS, x + _CROSS, y - _CROSS, y + _CROSS
    return f"M{left:.1f} {up:.1f}L{right:.1f} {down:.1f}M{left:.1f} {down:.1f}L{right:.1f} {up:.1f}"


def _x(data: ReportData, at_ms: int) -> float:
    """Place of a moment on the page; what lies outside the window stands at its edge."""
    inside_ms = min(max(at_ms, data.start_ms), data.end_ms)
    length_ms = max(1, data.end_ms - data.start_ms)
    return _LEFT + (inside_ms - data.start_ms) / length_ms * (_WIDTH - _LEFT - _RIGHT)
