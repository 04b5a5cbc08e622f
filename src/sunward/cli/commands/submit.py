"""`sunward submit`: ask what a job would cost and cause, agree, and send it."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from sunward.cli import show
from sunward.cli.commands.jobs import follow_job
from sunward.cli.reasons import PLACED, REFUSED, sentence, translated, word
from sunward.cli.shell import Command, Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.client import ApiClient
from sunward.client.pack import pack_file
from sunward.client.place import origin_zone
from sunward.errors import InputError
from sunward.model.hardware import WorkClass
from sunward.model.plan import Assignment, Unplaced
from sunward.model.request import JobRequest, Quote
from sunward.units import DAY_MS, HOUR_MS, HOUR_S, MINUTE_MS, SECOND_MS

PERIODS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


def period(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    """A length of time such as 90m, 12h or 2d, in ms."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhd])", value)
    if found is None or not float(found[1]):
        raise click.BadParameter(_("'{value}' is not a length of time; write 90m, 12h or 2d").format(value=value))
    return round(float(found[1]) * PERIODS[found[2]])


def variables(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`NAME=VALUE` pairs."""
    for value in values:
        if not value.partition("=")[0] or "=" not in value:
            raise click.BadParameter(_("'{value}' is not NAME=VALUE").format(value=value))
    return dict(value.split("=", 1) for value in values)


class SubmitCommand(Command):
    """Options end where the job's own command begins, with or without `--`."""

    allow_interspersed_args = False


@command(cls=SubmitCommand)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND…")
@option("--name", default="", help="A name for your lists; the program's if left out.")
@option("--gpus", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="GPUs, all at one site.")
@option("--gpu-memory", type=click.IntRange(min=0), default=0, metavar="GIB", help="Least memory of each GPU.")
@option("--gpu-model", multiple=True, metavar="MODEL", help="Accepted GPU model; may be given again. Else any.")
@option(
    "--hours",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="H",
    help="Estimated length on an A100.",
)
@option(
    "--finish-within",
    callback=period,
    default="24h",
    show_default=True,
    metavar="TIME",
    help="Finish by: 90m, 12h or 2d from now.",
)
@option("--units", type=click.IntRange(min=1), default=1, metavar="N", help="Units of work that its progress counts.")
@option("--pausable", is_flag=True, help="It may pause and move: it saves and restores its checkpoint.")
@option("--country", multiple=True, metavar="CC", help="Allowed country, such as NO; may be given again. Else any.")
@option(
    "--budget", type=click.FloatRange(min=0), default=0.0, metavar="USD", help="Most to pay; else what the quote says."
)
@option(
    "--policy", default="balanced", show_default=True, help="cheapest, balanced, greenest, or USD per tonne of CO2e."
)
@option("--zone", default="", metavar="ZONE", help="Grid zone it would otherwise run in; else from the time zone here.")
@option(
    "--class",
    "work_class",
    type=click.Choice([kind.value for kind in WorkClass]),
    default="generic",
    help="Kind of work.",
)
@option("--unit", "functional_unit", default="", metavar="WORD", help="What one unit is, such as image; gives an SCI.")
@option("--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Working folder to send along.")
@option(
    "--env",
    "variables",
    callback=variables,
    multiple=True,
    metavar="NAME=VALUE",
    help="Variable for the job; may be given again.",
)
@option(
    "--retries", type=click.IntRange(min=0), default=3, show_default=True, metavar="N", help="Attempts after a failure."
)
@option("--dry-run", is_flag=True, help="Only show the quote; exit 1 if the job would be refused.")
@option("-y", "--yes", is_flag=True, help="Agree to the quote without being asked.")
@option("-f", "--follow", is_flag=True, help="Print the log until the job ends; exit 0 only if it finished.")
@pass_shell
def submit(shell: Shell, /, **asked: Any) -> int:  # noqa: ANN401 - one value an option
    """Run a command where and when power is clean.

    The quote comes first: cost, carbon, start and finish, and what waiting saves. Nothing is sent or paid before
    you agree. Example: sunward submit --hours 2 --finish-within 12h --folder . -- python3 train.py
    """
    if not asked["words"]:
        raise InputError(
            _("no command to run; write it after --, as in: sunward submit -- python train.py"), code="SW-601"
        )
    if not (asked["yes"] or asked["dry_run"] or interactive()):
        raise InputError(_("nobody is here to agree to the quote; add -y, or --dry-run to see it only"), code="SW-602")
    with shell.client() as client, packed(asked["folder"]) as archive:
        request = requested(asked, archive)
        quote = client.quote(request)
        if not _agreed(shell, request, quote, asked):
            return 0 if asked["dry_run"] and quote.assignment is not None else 1
        if archive is not None:
            request = requested(asked, archive, client.put_object(archive))
        return _send(shell, client, request, follow=asked["follow"])


def interactive() -> bool:
    """Whether a question would reach a person."""
    return sys.stdin.isatty() and sys.stdout.isatty()


@contextmanager
def packed(folder: Path | None) -> Iterator[Path | None]:
    """The folder as an archive in a temporary file, or nothing."""
    if folder is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "folder.tar"
        pack_file(folder, archive)
        yield archive


def requested(asked: dict[str, Any], archive: Path | None, digest: str = "") -> JobRequest:
    """The options as the record that the service takes."""
    return JobRequest(
        name=asked["name"] or Path(asked["words"][0]).name,
        command=tuple(asked["words"]),
        env=asked["variables"],
        bundle=digest,
        origin_zone=asked["zone"] or origin_zone(os.environ),
        work_class=WorkClass(asked["work_class"]),
        gpus=asked["gpus"],
        gpu_memory_gib=asked["gpu_memory"],
        gpu_models=tuple(asked["gpu_model"]),
        length_s=max(1, round(asked["hours"] * HOUR_S)),
        units=asked["units"],
        interruptible=asked["pausable"],
        deadline_s=asked["finish_within"] // SECOND_MS,
        countries=tuple(country.upper() for country in asked["country"]),
        budget_usd=asked["budget"],
        policy=asked["policy"],
        functional_unit=asked["functional_unit"],
        retries=asked["retries"],
        data_bytes=archive.stat().st_size if archive is not None else 0,
    )


def _agreed(shell: Shell, request: JobRequest, quote: Quote, asked: dict[str, Any]) -> bool:
    """Show the quote and ask; False when there is nothing to send."""
    if shell.json:
        if asked["dry_run"] or quote.assignment is None:
            show.json_line(quote)
    else:
        show_quote(request, quote)
    if quote.assignment is None or asked["dry_run"]:
        return False
    return bool(asked["yes"]) or click.confirm(_("Submit?"), err=True)


def show_quote(request: JobRequest, quote: Quote) -> None:
    """A quote as people read it."""
    if quote.assignment is None:
        _show_refusal(quote.unplaced)
        return
    show.pairs(
        [
            (_("cost"), show.usd(quote.price_usd_micro)),
            (_("carbon"), show.carbon(quote.assignment.carbon_mg)),
            (_("where"), ", ".join(dict.fromkeys(segment.pool for segment in quote.assignment.segments))),
            (_("start"), show.stamp(quote.start_ms)),
            (_("finish"), show.stamp(quote.finish_ms)),
            (_("why"), word(PLACED, quote.assignment.reason)),
            (_("against now"), against_now(quote.assignment)),
            (_("compared with"), _("running now in {zone}, on the receipt").format(zone=request.origin_zone)),
            (_("notice"), show.Cell(translated(quote.notice), "yellow")),
        ]
    )


def _show_refusal(unplaced: Unplaced | None) -> None:
    reason = sentence(REFUSED, unplaced.reason, unplaced.detail) if unplaced else ""
    lasting = unplaced is None or unplaced.permanent
    text = _("would be refused: {reason}") if lasting else _("no place for it now, try again later: {reason}")
    show.line(text.format(reason=reason), "red" if lasting else "yellow")


def against_now(assignment: Assignment) -> str:
    """The saving of an assignment, naming what it is compared with."""
    if show.percent(assignment.saves_ppm) == show.percent(0):
        return _("the same carbon as starting now on the best pool free")
    if assignment.saves_ppm > 0:
        text = _("{percent} less carbon than starting now on the best pool free")
    else:
        text = _("{percent} more carbon than starting now on the best pool free")
    return text.format(percent=show.percent(assignment.saves_ppm))


def _send(shell: Shell, client: ApiClient, request: JobRequest, *, follow: bool) -> int:
    done = client.submit(request)
    if shell.json:
        show.json_line(done)
    else:
        show.line(_("submitted as {job}; see `sunward jobs {job}`").format(job=done.job), "green")
    return follow_job(shell, client, done.job) if follow else 0
