"""`sunward feeds`: how every series of the service's live feeds stands."""

from __future__ import annotations

import json
import time

import click
import msgspec

from sunward.cli import show
from sunward.cli.reasons import QUALITIES, SERIES, STANDINGS, word
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.model.records import FeedLine
from sunward.units import SECOND_MS


@command()
@option("--schema", is_flag=True, help="Print the JSON schema of feeds.toml instead.")
@pass_shell
def feeds(shell: Shell, schema: bool) -> None:  # noqa: FBT001 - click's signature
    """Show which source tells each series, how old its word is, and what failed last."""
    if schema:
        from sunward.adapters.feeds.settings import FeedFile  # noqa: PLC0415 - an HTTP client is loaded with it

        click.echo(json.dumps(msgspec.json.schema(FeedFile), indent=2, ensure_ascii=False))
        return
    with shell.client() as client:
        lines = client.feeds()
    if shell.json:
        show.json_line(lines)
        return
    if not lines:
        show.line(_("no live feeds: start with `sunward up --feeds feeds.toml`; the typical year tells all zones"))
        return
    now_ms = int(time.time()) * SECOND_MS
    columns = (_("ZONE"), _("SERIES"), _("FEED"), _("NOW"), _("QUALITY"), _("OBSERVED TO"), _("LAST ANSWER"))
    show.table(columns, (_row(line, now_ms) for line in lines))
    for line in lines:
        if line.error:
            style = "red" if line.using != "observed" else "yellow"
            show.line(f"{line.zone} {line.feed}: {line.code} {line.error}", style)


def _row(line: FeedLine, now_ms: int) -> show.Row:
    standing = word(STANDINGS, line.using) if line.using else show.NOTHING
    had = _("{span} ago").format(span=show.span(max(0, now_ms - line.had_ms))) if line.had_ms else show.NOTHING
    return (
        line.zone,
        word(SERIES, line.kind),
        line.feed,
        show.Cell(standing, "green" if line.using == "observed" else "yellow"),
        word(QUALITIES, line.quality) if line.quality else show.NOTHING,
        show.stamp(line.observed_to_ms),
        had,
    )
