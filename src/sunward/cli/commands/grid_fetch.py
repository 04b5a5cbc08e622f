"""`sunward grid fetch`: a user's own archive of a source's hours, in the form that `up --carbon` and `--price` read."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sunward.cli import show
from sunward.cli.reasons import SERIES, word
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.errors import InputError
from sunward.model.datum import SeriesKind
from sunward.units import HOUR_MS, SECOND_MS, floor_to

if TYPE_CHECKING:
    from sunward.adapters.feeds.archive import Step
    from sunward.adapters.feeds.settings import Subscription


@command()
@click.argument("zone")
@option("--source", required=True, help="neso, electricity-maps, energy-charts, watttime, eia or open-meteo.")
@option("--from", "start", required=True, metavar="TIME", help="First hour, UTC, e.g. 2026-01-31 or 2026-01-31T06:00.")
@option("--to", "end", default="", metavar="TIME", help="End, UTC; else now.")
@option(
    "--to-file", type=click.Path(dir_okay=False, path_type=Path), required=True, help="CSV or Parquet to keep it in."
)
@option("--kind", type=click.Choice([kind.value for kind in SeriesKind]), help="Series; else the one that decides.")
@option("--place", default="", help="The source's own name of the zone.")
@option("--key-env", default="", metavar="NAME", help="Environment variable that holds the key.")
@option("--key-file", default="", metavar="FILE", help="File that holds the key, readable by you alone.")
@option("--usd-per-eur", type=float, default=0.0, help="Rate at which EUR prices count.")
@option("--url", "address", default="", help="Address of the source, where it is not the public one.")
@option("--again", is_flag=True, help="Ask for hours that are kept already too: sources revise.")
@pass_shell
def fetch(
    shell: Shell,
    zone: str,
    source: str,
    start: str,
    end: str,
    to_file: Path,
    kind: str | None,
    place: str,
    key_env: str,
    key_file: str,
    usd_per_eur: float,
    address: str,
    *,
    again: bool,
) -> None:
    """Keep a source's hours of a zone in a file of your own.

    A fetch that is broken off goes on where it was; hours that are kept already are not asked for again.
    """
    from sunward.adapters.feeds import archive  # noqa: PLC0415 - an HTTP client and numpy come with it
    from sunward.adapters.feeds.settings import FeedEntry, subscribe  # noqa: PLC0415 - as above

    start_ms, end_ms = _hour(start), min(_hour(end) if end else _next_hour(), _next_hour())
    if start_ms >= end_ms:
        raise InputError(_("{start} does not come before {end}").format(start=start, end=end or "now"), code="SW-230")
    entry = FeedEntry(
        zone=zone,
        source=source,
        kinds=(SeriesKind(kind),) if kind else (),
        place=place,
        key_env=key_env,
        key_file=key_file,
        usd_per_eur=usd_per_eur,
        url=address,
    )
    one = subscribe(entry, "grid fetch", Path.cwd(), os.environ)
    wanted = _wanted(one)
    kept = archive.Archive(to_file, wanted)
    steps: list[Step] = []

    def tell(step: Step) -> None:
        steps.append(step)
        text = _("{start} to {end}: {hours} h kept").format(
            start=show.stamp(step.start_ms), end=show.stamp(step.end_ms), hours=step.hours
        )
        click.echo(text, err=True)

    wish = archive.Wish(zone=one.zone, kind=wanted, start_ms=start_ms, end_ms=end_ms, again=again)
    try:
        archive.fetch(one.feed, kept, wish, tell)
    finally:
        one.feed.close()
    _show(shell, to_file, one, wanted, kept.span(one.zone), sum(step.hours for step in steps))


def _wanted(one: Subscription) -> SeriesKind:
    """The series named, else the one that decides, where the source has it."""
    deciding = SeriesKind.CARBON_AVERAGE_LIFECYCLE
    return deciding if deciding in one.kinds else one.kinds[0]


def _show(shell: Shell, file: Path, one: Subscription, kind: SeriesKind, span: range | None, fresh: int) -> None:
    hours, start_ms, end_ms = (len(span), span.start, span.stop) if span else (0, 0, 0)
    if shell.json:
        report = {"file": str(file), "zone": one.zone, "kind": kind, "hours": hours, "fresh": fresh}
        show.json_line(report | {"start_ms": start_ms, "end_ms": end_ms, "source": one.feed.source(kind)})
        return
    text = _("{file}: {zone}, {series}, {hours} h from {start} to {end}, {fresh} of them new")
    stamps = {"start": show.stamp(start_ms), "end": show.stamp(end_ms)}
    show.line(text.format(file=file, zone=one.zone, series=word(SERIES, kind), hours=hours, fresh=fresh, **stamps))
    show.line(one.feed.source(kind), "dim")


def _next_hour() -> int:
    """The end of the present hour: nothing later can have been observed."""
    return floor_to(int(time.time()) * SECOND_MS, HOUR_MS) + HOUR_MS


def _hour(text: str) -> int:
    """A whole hour, UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.minute or moment.second or moment.microsecond:
        line = _("{text} is no whole hour; write one like 2026-01-31 or 2026-01-31T06:00")
        raise InputError(line.format(text=text), code="SW-230")
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp()) * SECOND_MS
