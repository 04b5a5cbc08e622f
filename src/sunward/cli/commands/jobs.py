"""Commands on jobs that were submitted: what became of them, what they wrote, and ending them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from sunward.cli import show
from sunward.cli.reasons import EXPIRED, JOB_REASONS, PLACED_AHEAD, REFUSED, STATES, sentence, word
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _, ngettext
from sunward.client import ApiClient
from sunward.client.pack import unpack
from sunward.errors import SourceError
from sunward.model.job import JobState
from sunward.model.records import HistoryLine
from sunward.model.request import JobView

T = TypeVar("T")

POLL_S = 0.5
SIGNALLED, EXIT_MAX = 128, 255
PATIENCE = 40
"""Polls that may fail in a row while following a log: a service that restarts is waited for."""
STYLES = {
    "finished": "green",
    "running": "cyan",
    "failed": "red",
    "refused": "red",
    "expired": "red",
    "suspended": "yellow",
}
FINAL = frozenset(state.word for state in JobState if state.final)
TABLES = {JobState.REFUSED.word: REFUSED, JobState.EXPIRED.word: EXPIRED}
"""Where a state's reasons are explained, if not in `JOB_REASONS`."""


@command()
@click.argument("job", required=False)
@option("--state", type=click.Choice([state.word for state in JobState]), help="Only jobs in this state.")
@option("--limit", type=click.IntRange(min=1), help="At most so many jobs.")
@pass_shell
def jobs(shell: Shell, job: str | None, state: str | None, limit: int | None) -> None:
    """List your jobs, or tell all about one."""
    with shell.client() as client:
        if job:
            _show_one(shell, client.job(job), client.history(job))
        else:
            _show_all(shell, client.jobs(state=state or "", limit=limit or 0))


@command()
@click.argument("job")
@option("-f", "--follow", is_flag=True, help="Keep printing until the job ends, and exit as the job does.")
@pass_shell
def logs(shell: Shell, job: str, follow: bool) -> int:  # noqa: FBT001 - click's signature
    """Print what a job writes."""
    with shell.client() as client:
        if follow:
            return follow_job(shell, client, job)
        offset = 0
        text = bytearray()
        while (part := client.logs(job, offset)).text:
            text += part.text
            offset = part.next_offset
    if shell.json:
        show.json_line({"job": job, "log": text.decode(errors="replace")})
    else:
        click.echo(bytes(text), nl=False)
    return 0


@command()
@click.argument("job")
@option("--to", "folder", type=click.Path(path_type=Path), help="New or empty folder; the job's id if left out.")
@pass_shell
def fetch(shell: Shell, job: str, folder: Path | None) -> None:
    """Bring a job's results here."""
    target = folder or Path(job)
    with shell.client() as client, tempfile.TemporaryFile() as archive:
        client.save_output(job, archive)
        archive.seek(0)
        files = unpack(archive, target)
    if shell.json:
        show.json_line({"job": job, "folder": str(target), "files": files})
    else:
        text = ngettext("{count} file written to {folder}", "{count} files written to {folder}", len(files))
        show.line(text.format(count=len(files), folder=target))


@command()
@click.argument("job")
@pass_shell
def cancel(shell: Shell, job: str) -> None:
    """Stop a job; what was metered is paid, the rest comes back."""
    with shell.client() as client:
        view = client.cancel(job)
    if shell.json:
        show.json_line(view)
    else:
        show.line(_("{job}: {state}").format(job=view.job, state=word(STATES, view.state)))


def follow_job(shell: Shell, client: ApiClient, job: str) -> int:
    """Print a job's log as it grows, and on stderr what becomes of it; its exit code."""
    offset = 0
    told = ""
    while True:
        part = _patiently(shell, lambda at=offset: client.logs(job, at))  # type: ignore[misc]
        if not shell.json:
            click.echo(part.text, nl=False)
        offset = part.next_offset
        if part.final and not part.text:
            break
        if not part.text:
            told = _tell(shell, _patiently(shell, lambda: client.job(job)), told)
            shell.sleep(POLL_S)
    view = _patiently(shell, lambda: client.job(job))
    while view.state not in FINAL:
        shell.sleep(POLL_S)
        view = _patiently(shell, lambda: client.job(job))
    if shell.json:
        show.json_line(view)
    else:
        _tell(shell, view, told)
    return exit_code(view)


def exit_code(view: JobView) -> int:
    """The exit code that stands for a job's end: its own, as a shell would tell it, where it has one."""
    if view.state == JobState.FINISHED.word:
        return 0
    code = (view.exit_code or 1) if view.state == JobState.FAILED.word else 1
    # A job that a signal ended has the signal's number below zero.
    code = SIGNALLED - code if code < 0 else code
    return code if code <= EXIT_MAX else 1


def _tell(shell: Shell, view: JobView, told: str) -> str:
    """Say a job's state on stderr, once until it changes; what was said."""
    text = show.clean(f"{view.job}: {word(STATES, view.state)} – {why(view)}")
    if text != told and not shell.json:
        click.echo(text, err=True)
    return text


def _patiently(shell: Shell, ask: Callable[[], T]) -> T:
    """An answer, even if the service must first come back."""
    for _attempt in range(PATIENCE):
        try:
            return ask()
        except SourceError as reason:
            if not reason.transient:
                raise
            shell.sleep(POLL_S)
    return ask()


def _show_all(shell: Shell, found: tuple[JobView, ...]) -> None:
    if shell.json:
        show.json_line({"jobs": found})
        return
    if not found:
        show.line(_("no jobs; `sunward submit --help` shows how to send one"))
        return
    columns = (_("JOB"), _("NAME"), _("STATE"), _("SITE"), _("DONE"), _("FINISH BY"), _("WHY"))
    show.table(columns, ([*_cells(view), why(view)] for view in found))


def _cells(view: JobView) -> list[str | show.Cell]:
    state = show.Cell(word(STATES, view.state), STYLES.get(view.state, ""))
    done = f"{view.units_done}/{view.units}"
    return [view.job, view.name, state, view.site or show.NOTHING, done, show.stamp(view.deadline_ms)]


def why(view: JobView) -> str:
    """The reason for a job's present state, in words."""
    if view.refusal is not None:
        return sentence(REFUSED, view.refusal.reason, view.refusal.detail)
    if view.state == JobState.EXPIRED.word:
        return word(EXPIRED, view.reason)
    if view.state not in PLACED_AHEAD or view.assignment is None:
        return word(JOB_REASONS, view.reason)
    reason = word(JOB_REASONS, view.assignment.reason if view.state == JobState.PLACED.word else view.reason)
    ahead = [part for part in view.assignment.segments if part.start_ms >= view.updated_ms]
    if not ahead:
        return reason
    where = {"time": show.stamp(ahead[0].start_ms), "site": ahead[0].pool.partition("/")[0]}
    return _("{reason} (from {time} at {site})").format(reason=reason, **where)


def _show_one(shell: Shell, view: JobView, history: tuple[HistoryLine, ...]) -> None:
    if shell.json:
        show.json_line({"job": view, "history": history})
        return
    names = (_("job"), _("name"), _("state"), _("site"), _("done"), _("finish by"))
    show.pairs(
        [*zip(names, _cells(view), strict=True), (_("submitted"), show.stamp(view.submitted_ms)), (_("why"), why(view))]
    )
    show.line()
    columns = (_("TIME"), _("STATE"), _("SITE"), _("DONE"), _("WHY"))
    show.table(columns, ([*_history_cells(change)] for change in history))


def _history_cells(change: HistoryLine) -> list[str | show.Cell]:
    state = show.Cell(word(STATES, change.state), STYLES.get(change.state, ""))
    text = sentence(TABLES.get(change.state, JOB_REASONS), change.reason, change.detail)
    return [show.stamp(change.at_ms), state, change.site or show.NOTHING, str(change.units), text]
