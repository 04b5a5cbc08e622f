"""`sunward site curtail`: what a site may draw for a while."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from sunward.cli import show
from sunward.cli.keeper import agent_folder, joined, keeper, named
from sunward.cli.reasons import CEILING_SOURCES, word
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.cli.when import moment_or_span
from sunward.client import ApiClient
from sunward.errors import InputError
from sunward.model.site import Ceiling
from sunward.units import SECOND_MS, W_PER_KW


@command()
@click.argument("name", default="", metavar="[SITE]")
@option("--kw", type=float, default=None, help="Most that the site may draw at its meter, kW.")
@option("--until", default="", metavar="TIME", help="End, UTC, as in 2026-06-11T18:00, or a length of time as in 2h.")
@option("--from", "start", default="", metavar="TIME", help="Begin; else at once.")
@option("--cancel", default="", metavar="ID", help="Lift this limit instead.")
@option("--folder", type=click.Path(path_type=Path), help="The agent's own folder; else `agent` in the home folder.")
@pass_shell
def curtail(
    shell: Shell, name: str, kw: float | None, until: str, start: str, cancel: str, folder: Path | None
) -> None:
    """Limit what a site draws for a while: running work gives way before it begins; without limits, list them."""
    asked = [kw is not None, bool(until), bool(start)]
    if (cancel and any(asked)) or (any(asked) and not all(asked[:2])):
        raise InputError(_("give --kw and --until, or --cancel alone"), code="SW-703")
    here = joined(agent_folder(shell, folder))
    name = named(shell, here, name)
    with keeper(shell, here, name, "operator") as client:
        if cancel:
            client.lift_ceiling(name, cancel)
        elif kw is not None:
            until_ms = moment_or_span(until, lambda: _now_ms(client))
            start_ms = moment_or_span(start, lambda: _now_ms(client)) if start else 0
            made = client.curtail(name, kw, until_ms, start_ms)
            if shell.json:
                show.json_line(made)
                return
        found = client.ceilings(name)
    if shell.json:
        show.json_line(found)
    elif found:
        told(found)
    else:
        show.line(_("nothing limits what {site} draws but its connection").format(site=name))


def _now_ms(client: ApiClient) -> int:
    """Grid time: on a network that runs faster than the clock on the wall, that is not now."""
    return client.clock().grid(time.time_ns() * SECOND_MS // 10**9)


def told(ceilings: Sequence[Ceiling]) -> None:
    """The limits, the first to begin first."""
    columns = (_("CEILING"), _("FROM"), _("UNTIL"), "kW", _("TOLD BY"))
    show.table(columns, map(_cells, ceilings))


def _cells(one: Ceiling) -> show.Row:
    return (
        one.ceiling,
        show.stamp(one.start_ms),
        show.stamp(one.end_ms),
        f"{one.ceiling_w / W_PER_KW:g}",
        word(CEILING_SOURCES, one.source),
    )
