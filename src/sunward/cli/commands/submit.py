"""`sunward submit`: ask what a job would cost and cause, agree, and send it."""

from __future__ import annotations

import os
import sys
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from sunward.cli import show
from sunward.cli.commands.jobs import follow_job
from sunward.cli.described import JOB_FILE, Described, choices, described, pairs
from sunward.cli.quotation import show_quote
from sunward.cli.shell import Command, Shell, command, option, pass_shell
from sunward.cli.text import _, ngettext
from sunward.client import ApiClient
from sunward.client.jobfile import about, template
from sunward.client.pack import digest_of, names_in, pack_file
from sunward.client.place import origin_zone
from sunward.client.prepare import for_member, for_quote, gather, keep_apart, members, request_of
from sunward.errors import InputError, SunwardError
from sunward.model.hardware import WorkClass
from sunward.model.request import JobRequest, Quote, Submitted


class SubmitCommand(Command):
    """Options end where the job's own command begins, with or without `--`."""

    allow_interspersed_args = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for, ready to be sent: one request a job, and the files to store before."""

    requests: tuple[JobRequest, ...]
    uploads: dict[str, Path]
    array: bool


@command(cls=SubmitCommand)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND…")
@option("--file", type=click.Path(path_type=Path), help="Job file; else job.yaml here when no command is given.")
@option("--init", is_flag=True, help="Write a commented job.yaml, and nothing else.")
@option("--name", metavar="NAME", help=about("name"))
@option("--gpus", metavar="N", help=about("gpus.count"))
@option("--speedup", metavar="R1,R2…", help=about("speedup"))
@option("--gpu-memory", metavar="GIB", help=about("gpus.memory_gib"))
@option("--gpu-model", multiple=True, metavar="MODEL", help="Accepted GPU model; may be given again. Else any.")
@option("--hours", metavar="H", help=about("hours"))
@option("--length", metavar="TIME", help=about("length"))
@option("--family", metavar="NAME", help=about("family"))
@option("--promise", metavar="P", help=about("promise"))
@option("--finish-within", metavar="TIME", help=about("finish_within"))
@option("--start-by", metavar="TIME", help=about("start_by"))
@option("--wait-max", metavar="TIME", help=about("wait_max"))
@option("--timeout", metavar="TIME", help=about("timeout"))
@option("--units", metavar="N", help=about("units"))
@option("--unit", metavar="WORD", help=about("unit"))
@option("--checkpoint/--no-checkpoint", "--pausable", "checkpoint", default=None, help=about("checkpoint"))
@option("--min-run", metavar="TIME", help=about("min_run"))
@option("--stop-cost", metavar="TIME", help=about("stop_cost"))
@option("--max-slowdown", metavar="SHARE", help=about("max_slowdown"))
@option("--country", "countries", multiple=True, metavar="CC", help="Allowed country; may be given again. Else any.")
@option("--latency-max", metavar="MS", help=about("latency_max"))
@option("--evidence", callback=pairs, multiple=True, metavar="DIMENSION=LEVEL", help=about("evidence"))
@option("--max-cost", "--budget", "max_cost", metavar="USD", help=about("max_cost"))
@option("--policy", metavar="WORD", help=about("policy"))
@option("--zone", metavar="ZONE", help=about("zone"))
@option("--class", type=click.Choice([kind.value for kind in WorkClass]), help=about("work_class"))
@option("--folder", type=click.Path(exists=True, file_okay=False), help=about("folder"))
@option("--setup", type=click.Path(), help="Requirements or lock file to install before the start.")
@option("--env", callback=pairs, multiple=True, metavar="NAME=VALUE", help="Variable for the job; may be given again.")
@option("--secret", "secrets", multiple=True, metavar="NAME", help="Secret variable, or NAME@FILE; may be given again.")
@option("--input", "inputs", multiple=True, metavar="PATH=SOURCE", help="File to bring; #sha256=… behind s3, https.")
@option("--output", "outputs", multiple=True, metavar="GLOB", help="Files to keep besides the output folder.")
@option("--retries", metavar="N", help=about("retries"))
@option("--array", metavar="N", help=about("array"))
@option("--sweep", callback=choices, multiple=True, metavar="NAME=V1,V2", help="Values to try; may be given again.")
@option("--webhook", metavar="URL", help=about("webhook"))
@option("--key", default="", metavar="KEY", help="What was sent with this key before is not sent twice.")
@option("--dry-run", is_flag=True, help="Only show the quote; exit 1 if the job would be refused.")
@option("-y", "--yes", is_flag=True, help="Agree to the quote without being asked.")
@option("-f", "--follow", is_flag=True, help="Print the log until the job ends, and exit as the job does.")
@pass_shell
def submit(shell: Shell, /, **asked: Any) -> int:  # noqa: ANN401 - one value an option
    """Run a command where and when power is clean.

    The quote comes first: cost, carbon, start and finish, and what waiting saves. Nothing is sent or paid before
    you agree. Example: sunward submit --hours 2 --finish-within 12h --folder . -- python3 train.py
    """
    if asked["init"]:
        return _init(shell, asked)
    wanted = described(asked)
    if not (asked["yes"] or asked["dry_run"] or interactive()):
        raise InputError(_("nobody is here to agree to the quote; add -y, or --dry-run to see it only"), code="SW-602")
    with shell.client() as client, tempfile.TemporaryDirectory() as scratch:
        order = ordered(wanted, Path(scratch))
        quote = client.quote(for_quote(order.requests[0]))
        if not _agreed(shell, order, quote, asked):
            return 0 if asked["dry_run"] and quote.assignment is not None else 1
        sent = _send(shell, client, order, asked["key"] or uuid.uuid4().hex)
        codes = [follow_job(shell, client, each.job) for each in sent] if asked["follow"] else []
        return next((code for code in codes if code), 0)


def interactive() -> bool:
    """Whether a question would reach a person."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _init(shell: Shell, asked: dict[str, Any]) -> int:
    file = asked["file"] or Path(asked["folder"] or ".") / JOB_FILE
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(template())
    except FileExistsError:
        line = _("{file} is there already and stays as it is; name another with --file")
        raise InputError(line.format(file=file), code="SW-666") from None
    if shell.json:
        show.json_line({"file": str(file)})
    else:
        show.line(_("written: {file}; edit it, then `sunward submit --dry-run`").format(file=file))
    return 0


def ordered(wanted: Described, scratch: Path) -> Order:
    """Gather what a job takes along, pack its folder, and spread it over its array."""
    job = wanted.job
    spread = members(job, wanted.place)
    gathered = gather(job, wanted.base, os.environ, wanted.place)
    uploads = dict(gathered.uploads)
    bundle, size = "", 0
    if job.folder:
        archive = scratch / "folder.tar"
        size = pack_file(wanted.base / Path(job.folder).expanduser(), archive)
        keep_apart(job, wanted.base, names_in(archive), wanted.place)
        bundle = digest_of(archive)
        uploads[bundle] = archive
    request = request_of(job, gathered, job.zone or origin_zone(os.environ), bundle, size)
    requests = tuple(for_member(request, member) for member in spread) if spread else (request,)
    return Order(requests=requests, uploads=uploads, array=bool(spread))


def _agreed(shell: Shell, order: Order, quote: Quote, asked: dict[str, Any]) -> bool:
    """Show the quote and ask; False when there is nothing to send."""
    count = len(order.requests)
    if not shell.json:
        show_quote(order.requests[0], quote, count)
    elif asked["dry_run"] or quote.assignment is None:
        show.json_line({"count": count, "each": quote} if order.array else quote)
    if quote.assignment is None or asked["dry_run"]:
        return False
    question = ngettext("Submit?", "Submit {count} jobs?", count).format(count=count)
    return bool(asked["yes"]) or click.confirm(question, err=True)


def _send(shell: Shell, client: ApiClient, order: Order, key: str) -> list[Submitted]:
    """Store the files, then submit each job with a key of its own, so that a second try doubles none."""
    for file in order.uploads.values():
        client.keep_object(file)
    sent: list[Submitted] = []
    try:
        for index, request in enumerate(order.requests):
            sent.append(client.submit(request, f"{key}-{index}" if order.array else key))
    except SunwardError:
        if order.array and not shell.json:
            text = _("{sent} of {count} jobs were sent; the same command with --key {key} sends the rest")
            click.echo(text.format(sent=len(sent), count=len(order.requests), key=key), err=True)
        raise
    finally:
        if order.array and shell.json:
            show.json_line({"key": key, "jobs": sent})
    if not shell.json:
        _tell(sent, key)
    elif not order.array:
        show.json_line(sent[0])
    return sent


def _tell(sent: list[Submitted], key: str) -> None:
    if len(sent) == 1:
        show.line(_("submitted as {job}; see `sunward jobs {job}`").format(job=sent[0].job), "green")
        return
    text = _("{count} jobs submitted, {first} to {last}, with --key {key}; see `sunward jobs`")
    show.line(text.format(count=len(sent), first=sent[0].job, last=sent[-1].job, key=key), "green")
