"""`sunward plan explain`: what ruled places out, what the chosen one costs, what else there was, what waiting saves."""

from __future__ import annotations

from collections.abc import Sequence

import click

from sunward.cli import show
from sunward.cli.quotation import against_now
from sunward.cli.reasons import CHOICES, FILTER_NAMES, PLACED, REFUSED, STATES, TERMS, sentence, word
from sunward.cli.shell import Shell, command, pass_shell
from sunward.cli.text import _
from sunward.model.explanation import Choice, Explanation, Promise, WaitPoint

EIGHTHS = " ▏▎▍▌▋▊▉█"
BAR_CELLS = 24
STEPS = len(EIGHTHS) - 1


@command()
@click.argument("job")
@pass_shell
def explain(shell: Shell, job: str) -> None:
    """Explain a job's place: filters, terms of the score, alternatives, and what waiting saves.

    Worked out on what is known now; of a job that has ended, the decision as it was recorded.
    """
    with shell.client() as client:
        found = client.explanation(job)
    if shell.json:
        show.json_line(found)
        return
    show.line(f"{found.job}: {_headline(found)}")
    show.line()
    show.pairs(_promise(found.promise))
    if found.filters:
        show.line()
        show.line(_("of {count} pools, these are ruled out:").format(count=found.pools))
        show.table((_("CONSTRAINT"), _("RULED OUT"), _("LEFT")), map(_filter, _telling(found)))
    if found.chosen is not None:
        show.line()
        _show_choices([found.chosen, *found.alternatives])
        for one in found.elsewhere:
            line = _("{site} says {declared}, which is not shown as asked: its carbon is that of {counted}")
            show.line(line.format(site=one.site, declared=one.declared, counted=one.counted), "yellow")
    elif found.assignment is not None:
        show.line()
        _show_recorded(found)
    if found.waiting:
        show.line()
        show.line(_("with another finish-by, on what is known now:"))
        columns = ("  " + _("FINISH BY"), _("COST"), _("CARBON"), "")
        show.table(columns, _curve(found.waiting, found.promise.finish_by_ms))


def _headline(found: Explanation) -> str:
    state = word(STATES, found.state)
    if found.refusal is not None:
        return f"{state}; {sentence(REFUSED, found.refusal.reason, found.refusal.detail)}"
    reason = word(PLACED, found.assignment.reason) if found.assignment is not None else _("not placed so far")
    return f"{state}; {reason}" + (f"; {_('it runs and is not moved')}" if found.fixed and found.chosen else "")


def _promise(promise: Promise) -> list[tuple[str, str | show.Cell]]:
    rows: list[tuple[str, str | show.Cell]] = [(_("finish by"), show.stamp(promise.finish_by_ms))]
    if promise.start_by_ms:
        rows.append((_("start by"), show.stamp(promise.start_by_ms)))
    if promise.start_ms:
        rows.append((_("expected start"), show.stamp(promise.start_ms)))
    if promise.end_ms:
        late = promise.spare_ms < 0
        text = _("{time}, {span} too late") if late else _("{time}, {span} to spare")
        told = text.format(time=show.stamp(promise.end_ms), span=show.span(abs(promise.spare_ms)))
        rows.append((_("expected finish"), show.Cell(told, "red" if late else "green")))
    if promise.stated_ppm:
        rows.append((_("probability stated"), show.percent(promise.stated_ppm)))
    return rows


def _telling(found: Explanation) -> list[tuple[str, int, int]]:
    """The constraints that took something away, or all when none did."""
    lines = [(one.name, one.removed, one.left) for one in found.filters]
    return [line for line in lines if line[1]] or lines


def _filter(line: tuple[str, int, int]) -> show.Row:
    name, removed, left = line
    return (word(FILTER_NAMES, name), str(removed), show.Cell(str(left), "" if left else "red"))


def _show_choices(choices: Sequence[Choice]) -> None:
    """Terms down, options across, so that what differs stands side by side; all in USD but time and carbon."""
    rows: list[show.Row] = [
        (word(TERMS, term), *(_figure(getattr(one.terms, term)) for one in choices))
        for term in TERMS
        if any(getattr(one.terms, term) for one in choices)
    ]
    rows += [
        (_("sum"), *(_figure(one.total_usd_micro) for one in choices)),
        (_("difference"), show.NOTHING, *(_signed(one.more_usd_micro) for one in choices[1:])),
        (_("you pay"), *(_figure(one.price_usd_micro) for one in choices)),
        (_("carbon"), *(show.carbon(one.carbon_mg) for one in choices)),
        (_("start"), *(show.stamp(one.segments[0].start_ms) for one in choices)),
        (_("finish"), *(show.stamp(one.segments[-1].end_ms) for one in choices)),
        (_("where"), *(", ".join(dict.fromkeys(part.pool for part in one.segments)) for one in choices)),
    ]
    if any(part.power_cap_w for one in choices for part in one.segments):
        rows.append(("GPU", *(show.stretches(show.gpus(part) for part in one.segments) for one in choices)))
    show.table((_("TERM, USD"), *(word(CHOICES, one.label) for one in choices)), rows)


def _figure(amount_micro: int) -> str:
    return show.usd(amount_micro).removesuffix(" USD")


def _signed(amount_micro: int) -> show.Cell:
    sign = "−" if amount_micro < 0 else "+"
    return show.Cell(f"{sign}{_figure(abs(amount_micro))}", "green" if amount_micro < 0 else "")


def _show_recorded(found: Explanation) -> None:
    """The decision of a job that is not planned any more."""
    recorded = found.assignment
    if recorded is None:
        return
    show.line(_("as it was decided:"))
    rows = [(word(TERMS, name), _figure(getattr(recorded.terms, name))) for name in TERMS]
    show.table((_("TERM, USD"), "USD"), [*rows, (_("sum"), _figure(recorded.terms.total))])
    show.line(against_now(recorded))


def _curve(points: Sequence[WaitPoint], asked_ms: int) -> list[show.Row]:
    """One row a finish-by: cost and carbon, and the carbon as a bar; the job's own is marked."""
    most = max(1, *(point.carbon_mg for point in points))
    return [
        (
            ("→ " if point.finish_by_ms == asked_ms else "  ") + show.stamp(point.finish_by_ms),
            show.usd(point.price_usd_micro),
            show.carbon(point.carbon_mg),
            show.Cell(_bar(point.carbon_mg, most), "green"),
        )
        for point in points
    ]


def _bar(value: int, most: int) -> str:
    eighths = round(value * BAR_CELLS * STEPS / most)
    whole, rest = divmod(eighths, STEPS)
    return EIGHTHS[-1] * whole + (EIGHTHS[rest] if rest else "")
