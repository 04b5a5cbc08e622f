"""`sunward plan`: what is going to run where, and why."""

from __future__ import annotations

import click

from sunward.cli import show
from sunward.cli.commands.jobs import why
from sunward.cli.commands.plan_certify import certify
from sunward.cli.commands.plan_explain import explain
from sunward.cli.commands.plan_whatif import what_if
from sunward.cli.quotation import against_now
from sunward.cli.reasons import FILTER_NAMES, FILTERS, PLACED, REFUSED, TERMS, sentence, word
from sunward.cli.shell import Shell, Shown, group, pass_shell
from sunward.cli.text import N_, _
from sunward.model.plan import Alternative, Assignment, Unplaced
from sunward.model.records import PlanView
from sunward.model.request import JobView

ALTERNATIVES = {"now": N_("start now")}


@group(cls=Shown)
def plan() -> None:
    """Show the present plan, explain a job's place, try other carbon prices, or certify it all."""


plan.add_command(explain)
plan.add_command(what_if)
plan.add_command(certify)


@plan.command("show")
@click.argument("job", required=False)
@pass_shell
def show_plan(shell: Shell, job: str | None) -> None:
    """Show the present plan, or why one job is placed as it is."""
    with shell.client() as client:
        if job:
            _show_job(shell, client.job(job))
        else:
            _show_all(shell, client.plan())


def _show_all(shell: Shell, view: PlanView) -> None:
    if shell.json:
        show.json_line(view)
        return
    text = _("plan of {time}, based on journal record {sequence}")
    show.line(text.format(time=show.stamp(view.at_ms), sequence=view.based_on))
    rows = [row for assignment in view.assignments for row in _segments(assignment)]
    show.table((_("JOB"), _("POOL"), _("START"), _("END"), "GPU", _("WHY")), rows)
    for unplaced in view.unplaced:
        show.line(f"{unplaced.job}: {sentence(REFUSED, unplaced.reason, unplaced.detail)}", "yellow")
    if view.awake:
        show.line()
        awake = (
            (each.pool, show.stamp(each.start_ms), show.stamp(each.end_ms), str(each.count)) for each in view.awake
        )
        show.table((_("POOL"), _("START"), _("END"), _("AWAKE")), awake)


def _segments(assignment: Assignment) -> list[show.Row]:
    reason = word(PLACED, assignment.reason)
    return [
        (assignment.job, part.pool, show.stamp(part.start_ms), show.stamp(part.end_ms), show.gpus(part), reason)
        for part in assignment.segments
    ]


def _show_job(shell: Shell, view: JobView) -> None:
    if shell.json:
        refused = view.refusal.reason if view.refusal else ""
        show.json_line(
            {
                "job": view.job,
                "assignment": view.assignment,
                "refusal": view.refusal,
                "filters": dict(_filters(view.assignment, view.refusal)) if view.assignment or refused else {},
            }
        )
        return
    show.line(f"{view.job}: {why(view)}")
    if view.assignment is not None or view.refusal is not None:
        show.line()
    for name, passed in _filters(view.assignment, view.refusal):
        show.line(f"  {_mark(passed=passed)} {word(FILTER_NAMES, name)}", "green" if passed else "red")
    if view.assignment is not None:
        _show_assignment(view.assignment)


def _filters(assignment: Assignment | None, refusal: Unplaced | None) -> list[tuple[str, bool]]:
    """The hard constraints that were passed, and the one that was not; what lies behind it was not reached."""
    if assignment is not None:
        return [(name, True) for name in FILTERS]
    if refusal is None or refusal.reason not in FILTERS:
        return []
    stop = FILTERS.index(refusal.reason)
    return [*((name, True) for name in FILTERS[:stop]), (refusal.reason, False)]


def _mark(*, passed: bool) -> str:
    return "✓" if passed else "✗"


def _show_assignment(assignment: Assignment) -> None:
    show.line()
    show.table((_("JOB"), _("POOL"), _("START"), _("END"), "GPU", _("WHY")), _segments(assignment))
    show.line()
    terms = assignment.terms
    rows = [(word(TERMS, name), show.usd(getattr(terms, name))) for name in TERMS]
    show.table((_("TERM OF THE SCORE"), "USD"), [*((name, text.removesuffix(" USD")) for name, text in rows)])
    show.line(_("sum {total}; {saving}").format(total=show.usd(terms.total), saving=against_now(assignment)))
    if assignment.alternatives:
        show.line()
        columns = (_("INSTEAD"), _("START"), _("SCORE"), _("CARBON"))
        show.table(columns, (_alternative(other) for other in assignment.alternatives))


def _alternative(other: Alternative) -> show.Row:
    label = word(ALTERNATIVES, other.label)
    return (label, show.stamp(other.start_ms), show.usd(other.total_usd_micro), show.carbon(other.carbon_mg))
